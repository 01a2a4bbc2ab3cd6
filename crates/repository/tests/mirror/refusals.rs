//! What is no mirror of this repository stays as it is, and damage does not spread.

use std::sync::Arc;

use ironborg_repository::{LocalRepository, Repository, RepositoryError, mirror};
use ironborg_storage::Storage;

use crate::{Store, assert_same, check, files, made, memory, options, run, state_of, support};

fn refusal(result: Result<ironborg_repository::MirrorFigures, RepositoryError>) -> String {
    match result {
        Err(RepositoryError::MirrorRefused { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_repository_is_refused() {
    let (_, origin) = made();
    let (other, _) = made();
    let other: Arc<dyn Storage> = Arc::new(other.shown_as("/other"));
    let before = files(&other);
    let reason = refusal(run(&origin.storage, &other));
    assert!(reason.contains("another repository"), "{reason}");
    assert!(files(&other) == before);
}

#[test]
fn a_place_with_something_else_is_refused() {
    let (_, origin) = made();
    let (_, target) = memory();
    target.create_dir_all("").unwrap();
    target.write("letter", b"dear").unwrap();
    let result = run(&origin.storage, &target);
    assert!(matches!(
        result,
        Err(RepositoryError::PathAlreadyExists { .. })
    ));
}

#[test]
fn the_same_place_is_refused_and_one_within_it() {
    let (_, origin) = made();
    refusal(run(&origin.storage, &origin.storage));
    let store = Store::new();
    let reason = refusal(run(&store.plain("a"), &store.plain("a/b")));
    assert!(reason.contains("same place"), "{reason}");
}

#[test]
fn a_mirror_somebody_has_written_to_is_refused() {
    let (_, mut origin) = made();
    let target = Store::new().plain("mirror");
    run(&origin.storage, &target).unwrap();
    let mut written = LocalRepository::open_in(Arc::clone(&target), support::writing()).unwrap();
    written.put(&support::id("own"), b"own").unwrap();
    written.commit().unwrap();
    written.close().unwrap();
    let before = files(&target);
    let reason = refusal(run(&origin.storage, &target));
    assert!(reason.contains("has transaction"), "{reason}");
    origin.second_part();
    let reason = refusal(run(&origin.storage, &target));
    assert!(reason.contains("somebody has written to it"), "{reason}");
    assert!(files(&target) == before);
}

/// Somebody restores the repository from somewhere and goes on: what comes then has the numbers of what the mirror has.
#[test]
fn a_repository_that_went_back_is_refused() {
    let (memory, mut origin) = made();
    let target = Store::new().plain("mirror");
    let again: Arc<dyn Storage> = Arc::new(memory.snapshot());
    origin.second_part();
    run(&origin.storage, &target).unwrap();
    let reason = refusal(run(&again, &target));
    assert!(reason.contains("has only"), "{reason}");
}

#[test]
fn damage_in_the_repository_does_not_spread() {
    let (memory, mut origin) = made();
    let target = Store::new().plain("mirror");
    run(&origin.storage, &target).unwrap();
    let states = origin.states.len();
    origin.second_part();
    let new = files(&origin.storage);
    let old = files(&target);
    let damaged = new.iter().find(|(name, content)| {
        name.starts_with("data/") && content.len() > 100 && !old.contains_key(*name)
    });
    let (name, content) = damaged.unwrap();
    let mut content = content.clone();
    content[60] ^= 1;
    memory.write(name, &content).unwrap();
    match run(&origin.storage, &target) {
        Err(error @ RepositoryError::BadEntry { .. }) => {
            assert!(error.to_string().contains(name.as_str()), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let found = state_of(&target, &origin.states, "damage");
    assert_eq!(found, Some(states - 1));
}

#[test]
fn what_went_bad_in_the_mirror_is_found_and_sent_again() {
    let (_, mut origin) = made();
    origin.second_part();
    let target = Store::new().plain("mirror");
    run(&origin.storage, &target).unwrap();
    let whole = files(&target);
    let bad = whole
        .iter()
        .find(|(name, content)| name.starts_with("data/") && content.len() > 100);
    let (name, content) = bad.unwrap();
    let mut content = content.clone();
    content[70] ^= 1;
    target.write(name, &content).unwrap();
    // Nobody looks at it.
    assert_eq!(run(&origin.storage, &target).unwrap().sent, 0);
    let verify = ironborg_repository::MirrorOptions {
        verify: true,
        ..options()
    };
    let figures = mirror(&origin.storage, &target, &verify).unwrap();
    assert_eq!((figures.replaced, figures.sent), (1, 1));
    assert!(files(&target) == whole);
    target.write(name, &content[..90]).unwrap();
    let reason = refusal(run(&origin.storage, &target));
    assert!(reason.contains("--verify"), "{reason}");
    mirror(&origin.storage, &target, &verify).unwrap();
    assert!(files(&target) == whole);
    check(&target);
}

#[test]
fn an_append_only_mirror_loses_nothing() {
    let (_, mut origin) = made();
    let target = memory().1;
    run(&origin.storage, &target).unwrap();
    let config = String::from_utf8(target.read("config").unwrap()).unwrap();
    let config = config.replace("append_only = 0", "append_only = 1");
    target.write("config", config.as_bytes()).unwrap();
    let before = files(&target);
    origin.second_part();
    let figures = run(&origin.storage, &target).unwrap();
    assert!(figures.left > 0 && figures.removed == 0);
    let after = files(&target);
    let kept = |name: &str| name.starts_with("data/");
    assert!(
        before
            .iter()
            .filter(|(name, _)| kept(name))
            .all(|(name, content)| after.get(name) == Some(content))
    );
    assert_eq!(target.read("config").unwrap(), config.as_bytes());
    let found = state_of(&target, &origin.states, "append-only");
    assert_eq!(found, Some(origin.states.len() - 1));
}

#[test]
fn a_dry_run_changes_nothing() {
    let (_, origin) = made();
    let target = Store::new().plain("mirror");
    let dry = ironborg_repository::MirrorOptions {
        dry_run: true,
        ..options()
    };
    let figures = mirror(&origin.storage, &target, &dry).unwrap();
    assert!(figures.sent > 3);
    assert!(files(&target).is_empty());
}

/// A copy made by another tool becomes a mirror; one of something else does not.
#[test]
fn a_plain_copy_is_gone_on_with() {
    let (made, mut origin) = made();
    let target: Arc<dyn Storage> = Arc::new(made.snapshot().shown_as("/copy"));
    origin.grow();
    run(&origin.storage, &target).unwrap();
    assert_same(&target, &origin.storage, "copy");
    check(&target);
}
