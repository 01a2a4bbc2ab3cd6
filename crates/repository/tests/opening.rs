//! Creating and opening repositories: what is refused, in which words, and what is written.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use ironborg_repository::{
    CreateOptions, LocalRepository, LockMode, OpenOptions, Repository, RepositoryError,
};
use ironborg_storage::{MemoryStorage, Storage};
use ironborg_types::{ChunkId, ErrorKind};
use support::{Messages, create, create_options, id, open, options, reading, writing};

fn new_at(path: &Path) -> Result<LocalRepository, RepositoryError> {
    LocalRepository::create(path, &create_options(), writing())
}

#[track_caller]
fn check_error<T>(result: Result<T, RepositoryError>, kind: ErrorKind, message: &str) {
    let Err(error) = result else {
        panic!("expected {message}");
    };
    assert_eq!(error.kind(), kind);
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_repository_is_made_only_where_nothing_is() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("repo");
    let shown = path.display().to_string();
    check_error(
        LocalRepository::open(&path, reading()),
        ErrorKind::RepositoryDoesNotExist,
        &format!("Repository {shown} does not exist."),
    );
    drop(new_at(&path).unwrap());
    assert!(LocalRepository::is_repository(&path));
    check_error(
        new_at(&path),
        ErrorKind::RepositoryAlreadyExists,
        &format!("A repository already exists at {shown}."),
    );
    check_error(
        new_at(&path.join("data/inner")),
        ErrorKind::RepositoryAlreadyExists,
        &format!("A repository already exists at {shown}."),
    );

    let file = scratch.path().join("file");
    fs::write(&file, "x").unwrap();
    check_error(
        new_at(&file),
        ErrorKind::RepositoryPathAlreadyExists,
        &format!("There is already something at {}.", file.display()),
    );
    check_error(
        LocalRepository::open(&file, reading()),
        ErrorKind::RepositoryInvalidRepository,
        &format!(
            "{} is not a valid repository. Check repo config.",
            file.display()
        ),
    );
    check_error(
        new_at(scratch.path()),
        ErrorKind::RepositoryPathAlreadyExists,
        &format!(
            "There is already something at {}.",
            scratch.path().display()
        ),
    );

    let deep = scratch.path().join("a/b/repo");
    check_error(
        new_at(&deep),
        ErrorKind::RepositoryParentPathDoesNotExist,
        &format!(
            "The parent path of the repo directory [{}] does not exist.",
            deep.display()
        ),
    );
    let with_parents = CreateOptions {
        make_parent_dirs: true,
        ..create_options()
    };
    LocalRepository::create(&deep, &with_parents, writing()).unwrap();

    let empty = scratch.path().join("empty");
    fs::create_dir(&empty).unwrap();
    new_at(&empty).unwrap();
}

#[test]
fn a_local_repository_has_stock_borg_s_files_and_modes() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("repo");
    let mut repository = new_at(&path).unwrap();
    repository.save_key(b"line one\nline two").unwrap();
    repository.put(&ChunkId::MANIFEST, b"manifest").unwrap();
    repository.nonce_store().reserve(16, None).unwrap();
    repository.commit().unwrap();
    let id = repository.id();
    assert_eq!(repository.location(), path.display().to_string());
    repository.close().unwrap();
    let mut names: Vec<String> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "README",
            "config",
            "data",
            "hints.1",
            "index.1",
            "integrity.1",
            "nonce"
        ]
    );
    assert_eq!(
        fs::read_to_string(path.join("config")).unwrap(),
        format!(
            "[repository]\nversion = 1\nsegments_per_dir = 1000\nmax_segment_size = 524288000\n\
             append_only = 0\nstorage_quota = 0\nadditional_free_space = 0\nid = {id}\n\
             key = line one\n\tline two\n\n"
        )
    );
    // Whatever the umask: no file is made with other bits than those it leaves.
    let probe = scratch.path().join("probe");
    fs::write(&probe, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in [
        "README",
        "config",
        "hints.1",
        "index.1",
        "integrity.1",
        "nonce",
        "data/0/0",
    ] {
        assert_eq!(mode(&path.join(name)), mode(&probe), "{name}");
    }
    let repository = LocalRepository::open(&path, reading()).unwrap();
    assert_eq!(repository.id(), id);
    assert_eq!(repository.load_key().unwrap(), b"line one\nline two");
}

/// A repository in memory with one line of its config changed.
fn with_config(change: impl Fn(&str) -> String) -> Result<LocalRepository, RepositoryError> {
    let storage = MemoryStorage::new();
    drop(create(Arc::new(storage.clone())).unwrap());
    let config = String::from_utf8(storage.read("config").unwrap()).unwrap();
    storage.set("config", change(&config));
    LocalRepository::open_in(Arc::new(storage), reading())
}

#[test]
fn a_config_that_cannot_be_used_is_refused() {
    let replace = |from: &'static str, to: &'static str| {
        with_config(move |config| {
            assert!(config.contains(from));
            config.replace(from, to)
        })
    };
    let config_error = "/memory does not have a valid configuration. Check repo config";
    check_error(
        replace("[repository]", "[other]"),
        ErrorKind::RepositoryInvalidRepositoryConfig,
        &format!("{config_error} [no repository section found]."),
    );
    check_error(
        replace("version = 1", "version = 2"),
        ErrorKind::RepositoryInvalidRepositoryConfig,
        &format!("{config_error} [repository version 2 is not supported by this borg version]."),
    );
    check_error(
        replace(
            "max_segment_size = 524288000",
            "max_segment_size = 4273995776",
        ),
        ErrorKind::RepositoryInvalidRepositoryConfig,
        &format!("{config_error} [max_segment_size >= 4273995776]."),
    );
    check_error(
        replace("version = 1", "other = 1"),
        ErrorKind::Exception,
        "No option 'version' in section: 'repository'",
    );
    for (from, to) in [
        ("segments_per_dir = 1000", "segments_per_dir = 0"),
        ("segments_per_dir = 1000", "segments_per_dir = -1"),
        ("append_only = 0", "append_only = maybe"),
        ("max_segment_size = 524288000", "max_segment_size = large"),
        ("id = ", "id = x"),
        ("[repository]", ""),
    ] {
        let error = replace(from, to).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Exception, "{to}: {error}");
    }
    for (from, to) in [
        ("max_segment_size = 524288000", "MAX_SEGMENT_SIZE: 500M"),
        ("append_only = 0\nstorage_quota = 0\n", ""),
        ("version = 1", "# a comment\nversion=1"),
    ] {
        assert!(replace(from, to).is_ok(), "{to}");
    }
    assert!(
        replace("append_only = 0", "append_only = yes")
            .unwrap()
            .append_only()
    );
    check_error(
        {
            let storage = MemoryStorage::new();
            storage.set("data/x", "");
            LocalRepository::open_in(Arc::new(storage), reading())
        },
        ErrorKind::RepositoryInvalidRepository,
        "/memory is not a valid repository. Check repo config.",
    );
}

#[test]
fn what_is_not_known_in_the_config_survives_saving_the_key() {
    let storage = MemoryStorage::new();
    drop(create(Arc::new(storage.clone())).unwrap());
    let config = String::from_utf8(storage.read("config").unwrap()).unwrap();
    storage.set("config", format!("{config}[future]\nsetting = 1\n\n"));
    let mut repository = open(&storage, writing());
    repository.save_key(b"a\nb").unwrap();
    let text = String::from_utf8(storage.read("config").unwrap()).unwrap();
    assert!(
        text.ends_with("key = a\n\tb\n\n[future]\nsetting = 1\n\n"),
        "{text}"
    );
    assert!(storage.status("config.old").unwrap().is_none());
}

#[test]
fn an_old_config_left_behind_is_erased_with_a_warning() {
    let storage = MemoryStorage::new();
    drop(create(Arc::new(storage.clone())).unwrap());
    storage.set("config.old", "old");
    let messages = Messages::new();
    let mut repository = open(
        &storage,
        OpenOptions {
            reporter: Arc::clone(&messages) as _,
            ..writing()
        },
    );
    repository.save_key(b"k").unwrap();
    assert_eq!(
        messages.take(),
        ["Old config file not securely erased on previous config update"]
    );
    assert!(storage.status("config.old").unwrap().is_none());
}

#[test]
fn a_repository_of_attic_is_told_apart() {
    let storage = MemoryStorage::new();
    drop(create(Arc::new(storage.clone())).unwrap());
    storage.set("data/0/0", "ATTICSEG and more");
    check_error(
        LocalRepository::open_in(Arc::new(storage.clone()), reading()),
        ErrorKind::RepositoryAtticRepository,
        "Attic repository detected. Please run \"borg upgrade /memory\".",
    );
    // Refusing gives the lock back.
    assert!(storage.status("lock.roster").unwrap().is_none());
}

#[test]
fn an_index_without_any_commit_needs_a_check() {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    repository.put(&id("a"), b"a").unwrap();
    repository.commit().unwrap();
    drop(repository);
    storage.remove("data/0/1").unwrap();
    check_error(
        open(&storage, reading()).len(),
        ErrorKind::RepositoryCheckNeeded,
        "Inconsistency detected. Please run \"borg check /memory\" - although likely this is \
         \"beyond repair\".",
    );
}

#[test]
fn a_reader_cannot_write() {
    let storage = MemoryStorage::new();
    drop(create(Arc::new(storage.clone())).unwrap());
    for mode in [LockMode::Shared, LockMode::None] {
        let mut repository = open(&storage, options(mode));
        let error = repository.put(&id("a"), b"a").unwrap_err();
        assert!(matches!(error, RepositoryError::NotExclusive { .. }));
        assert!(repository.delete(&id("a")).is_err());
        assert!(repository.destroy().is_err());
        assert!(repository.nonce_store().reserve(1, None).is_err());
    }
    assert_eq!(storage.list("data").unwrap(), []);
}

#[test]
fn a_destroyed_repository_is_gone() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("repo");
    let mut repository = new_at(&path).unwrap();
    repository.put(&id("a"), b"a").unwrap();
    repository.destroy().unwrap();
    drop(repository);
    assert!(!path.exists());
}
