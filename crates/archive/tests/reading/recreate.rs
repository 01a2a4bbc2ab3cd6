//! Archives made anew: what becomes of hard links, of references and of what is remembered.

use std::ops::ControlFlow;

use ironborg_archive::items::{PartFiles, with_content, with_items};
use ironborg_archive::recreate::{
    Outcome, Recompress, RecreateOptions, Recreated, Recreater, TagOptions,
};
use ironborg_archive::references::ChunkReferences;
use ironborg_archive::{ArchiveError, Session};
use ironborg_format::item::ChunkEntry;
use ironborg_object::Compression;
use ironborg_source::pattern::{Action, Style};
use ironborg_source::{Pattern, PatternMatcher};
use ironborg_types::{BytePath, ChunkId, ErrorKind};

use crate::machine::Machine;

fn options() -> RecreateOptions {
    RecreateOptions {
        matcher: PatternMatcher::new([], true),
        tags: TagOptions::default(),
        chunker: None,
        compression: Compression::default(),
        recompress: Recompress::Never,
        comment: None,
        timestamp: None,
        dry_run: false,
        checkpoint_interval: None,
        statistics: None,
    }
}

fn excluding(pattern: &str) -> PatternMatcher {
    let pattern = Pattern::new(pattern.as_bytes(), Style::Shell).expect("a pattern");
    PatternMatcher::new([(pattern, Action::Exclude)], true)
}

fn recreate(
    session: &mut Session,
    options: &RecreateOptions,
    name: &str,
    target: Option<&str>,
) -> Result<Option<Box<Recreated>>, ArchiveError> {
    let mut recreater = Recreater::new(options);
    let outcome = recreater.recreate(session, name.as_bytes(), target.map(str::as_bytes))?;
    recreater.finish(session)?;
    Ok(match outcome {
        Outcome::Recreated(recreated) => Some(recreated),
        Outcome::NothingToDo | Outcome::Listed => None,
    })
}

/// One item: path, target or first name, content.
type Entry = (BytePath, Option<BytePath>, Vec<u8>);

/// All items of an archive.
fn entries(session: &Session, name: &str) -> Vec<Entry> {
    let archive = session.load_archive(name.as_bytes()).expect("it is there");
    let mut found = Vec::new();
    with_items(session, &archive, PartFiles::Skip, |items| {
        with_content(session, |content| {
            items.for_each(|item| {
                let chunks: Vec<ChunkEntry> = item.chunks.iter().flatten().collect();
                let mut bytes = Vec::new();
                content.read(&chunks, |_, part| {
                    bytes.extend_from_slice(part);
                    Ok::<_, ArchiveError>(())
                })?;
                found.push((item.path.into(), item.source.map(BytePath::from), bytes));
                Ok::<_, ArchiveError>(ControlFlow::Continue(()))
            })
        })
    })
    .expect("it reads");
    found
}

/// Every object is referred to, and as often as the archives say.
#[track_caller]
fn assert_counts(session: &Session) {
    let references = ChunkReferences::load(session).expect("all archives read");
    let stored = session.repository.list(None, None).expect("readable");
    assert_eq!(
        references.table().len() + 1,
        stored.len(),
        "objects but the manifest"
    );
    for id in stored.iter().filter(|id| **id != ChunkId::MANIFEST) {
        assert!(references.table().refs(id) > 0, "{id} is an orphan");
        let size = session.repository.stored_size(id).expect("readable");
        let known = references.table().get(id).expect("it has references");
        assert_eq!(Some(known.csize), size, "stored size of {id}");
    }
}

#[test]
fn content_stays_the_same_whatever_is_done_to_it() {
    for sample in [
        "mode-repokey",
        "mixed-compression",
        "made-by-1.1.18-repokey",
    ] {
        let machine = Machine::with_sample(sample);
        let mut session = machine.exclusive();
        let names: Vec<String> = session
            .manifest
            .archives
            .keys()
            .map(|name| String::from_utf8(name.clone()).expect("samples have plain names"))
            .collect();
        let name = &names[0];
        let before = entries(&session, name);
        let ways = [
            (Some("10,14,12,63"), Recompress::Never, Compression::Zstd(1)),
            (
                Some("fixed,4096,100"),
                Recompress::Always,
                Compression::None,
            ),
            (None, Recompress::IfDifferent, Compression::Zlib(6)),
            (None, Recompress::Always, Compression::Lz4),
        ];
        for (chunker, recompress, compression) in ways {
            let options = RecreateOptions {
                chunker: chunker.map(|params| params.parse().expect("parameters")),
                recompress,
                compression,
                ..options()
            };
            recreate(&mut session, &options, name, None)
                .expect("it is made")
                .expect("anew");
            assert_eq!(entries(&session, name), before, "{sample} {options:?}");
            assert_counts(&session);
        }
    }
}

#[test]
fn chunks_are_compressed_once_and_only_if_they_are_not_yet() {
    let machine = Machine::with_sample("mode-repokey");
    let mut session = machine.exclusive();
    let options = RecreateOptions {
        recompress: Recompress::IfDifferent,
        compression: Compression::Zstd(3),
        ..options()
    };
    let sizes = |session: &Session| -> Vec<(ChunkId, Option<u32>)> {
        let ids = session.repository.list(None, None).expect("readable");
        ids.into_iter()
            .map(|id| (id, session.repository.stored_size(&id).expect("readable")))
            .collect()
    };
    let first = recreate(&mut session, &options, "rich", None)
        .expect("it is made")
        .expect("anew");
    let after_first = sizes(&session);
    let second = recreate(&mut session, &options, "rich", None)
        .expect("it is made")
        .expect("anew");
    assert_eq!(first.archive.stats, second.archive.stats);
    assert_eq!(second.archive.stats.unique_csize, 0);
    let changed = sizes(&session)
        .into_iter()
        .filter(|entry| entry.0 != ChunkId::MANIFEST && !after_first.contains(entry))
        .count();
    assert_eq!(
        changed, 1,
        "the archive's own object, which has a time in it"
    );
    assert_counts(&session);
}

#[test]
fn the_first_link_that_stays_takes_the_content_over() {
    let machine = Machine::with_sample("mode-none");
    let mut session = machine.exclusive();
    let before = entries(&session, "rich");
    let (later, first) = before
        .iter()
        .find_map(|(path, source, content)| {
            let source = source.as_ref()?;
            let first = before.iter().find(|(path, _, _)| path == source)?;
            (content.is_empty() && !first.2.is_empty()).then_some((path.clone(), first.clone()))
        })
        .expect("the sample has hard links");
    let options = RecreateOptions {
        matcher: excluding(&first.0.to_string()),
        ..options()
    };
    recreate(&mut session, &options, "rich", Some("fewer"))
        .expect("it is made")
        .expect("anew");
    let after = entries(&session, "fewer");
    assert!(after.iter().all(|(path, _, _)| *path != first.0));
    let moved = after
        .iter()
        .find(|(path, _, _)| *path == later)
        .expect("it stays");
    assert_eq!((&moved.1, &moved.2), (&None, &first.2));
    for (path, source, _) in &after {
        assert_ne!(
            source.as_ref(),
            Some(&first.0),
            "{path} refers to what is gone"
        );
    }
    assert_eq!(entries(&session, "rich"), before);
    assert_counts(&session);
}

#[test]
fn refusals_leave_everything_as_it_was() {
    let machine = Machine::with_sample("mode-none");
    let mut session = machine.exclusive();
    assert!(
        recreate(&mut session, &options(), "rich", None)
            .expect("nothing to do")
            .is_none()
    );
    for (name, target, kind) in [
        ("nosuch", None, ErrorKind::ArchiveDoesNotExist),
        ("rich", Some("small"), ErrorKind::ArchiveAlreadyExists),
        ("rich", Some("rich"), ErrorKind::ArchiveAlreadyExists),
    ] {
        let error = recreate(&mut session, &options(), name, target).expect_err("refused");
        assert_eq!(error.kind(), kind);
    }
    let id = session.load_archive(b"rich").expect("it is there").id;
    drop(session);
    assert_eq!(
        machine
            .session()
            .load_archive(b"rich")
            .expect("still there")
            .id,
        id
    );
}

#[test]
fn an_interrupt_leaves_the_old_archive() {
    let machine = Machine::with_sample("mode-repokey");
    let items = entries(&machine.session(), "rich");
    let files = items
        .into_iter()
        .filter(|(_, _, content)| !content.is_empty());
    let path = files
        .map(|(path, _, _)| path.to_string())
        .nth(3)
        .expect("it has files");
    let machine = machine.stopping_at(path.leak());
    let mut session = machine.exclusive();
    let before = session.load_archive(b"rich").expect("it is there").id;
    let options = RecreateOptions {
        recompress: Recompress::Always,
        ..options()
    };
    let error = recreate(&mut session, &options, "rich", None).expect_err("interrupted");
    assert!(matches!(error, ArchiveError::Interrupted), "{error}");
    drop(session);
    let session = machine.session();
    assert_eq!(
        session.load_archive(b"rich").expect("still there").id,
        before
    );
    assert!(
        session
            .manifest
            .archives
            .contains_key(b"rich.recreate.checkpoint".as_slice())
    );
}
