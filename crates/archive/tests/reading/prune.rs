//! Pruning: each archive is read at most once, and only what nothing refers to goes.

use std::collections::HashMap;

use ironborg_archive::Session;
use ironborg_archive::delete::RemovalOptions;
use ironborg_archive::prune::{PruneOptions, PruneOutcome, Retention, prune_archives};
use ironborg_archive::references::{ChunkReferences, ReferenceSums};
use ironborg_archive::selection::{ArchiveAges, ListedArchive};
use ironborg_repository::LockMode;
use ironborg_types::{ArchiveId, ChunkId, Timestamp};

use crate::archive_writer::ArchiveWriter;
use crate::counting::CountingRepository;
use crate::machine::Machine;

fn name_only(archive: &ListedArchive) -> String {
    archive.name.to_string()
}

fn utc(at: Timestamp) -> i64 {
    at.seconds()
}

/// Keeps so many of the newest.
fn keeping(count: i64) -> PruneOptions<'static> {
    let mut retention = Retention::default();
    retention.counts[0] = count;
    PruneOptions {
        glob: None,
        ages: ArchiveAges::default(),
        retention,
        local_seconds: &utc,
        dry_run: false,
        removal: RemovalOptions::default(),
        list: true,
        format_archive: &name_only,
    }
}

/// A machine with a repository of seven archives, nothing of which is remembered.
fn machine() -> Machine {
    let machine = Machine::with_sample("mode-repokey");
    let mut session = machine.exclusive();
    for name in ["a", "b", "c", "d", "e"] {
        let mut writer = ArchiveWriter::new(&mut session);
        for file in 0..20 {
            let own = format!("{name}{file}");
            writer.file(&own, &[b"in every archive", own.as_bytes()]);
        }
        writer.finish(name);
    }
    drop(session);
    machine
}

/// Prunes all but the two newest with a repository that counts; returns how often each object was read.
fn prune_counting(machine: &Machine) -> (PruneOutcome, HashMap<ChunkId, usize>) {
    let repository = machine.open_repository(LockMode::Exclusive);
    let (repository, reads) = CountingRepository::new(repository);
    let mut session =
        Session::open(machine.client(), Box::new(repository), &[]).expect("the session opens");
    space_out(&mut session);
    reads.lock().expect("not poisoned").clear();
    let outcome = prune_archives(&mut session, &keeping(2)).expect("nothing is damaged");
    let reads = reads.lock().expect("not poisoned").clone();
    (outcome, reads)
}

/// Puts a day between archives: the writer gives all of them one time.
fn space_out(session: &mut Session) {
    for (day, entry) in session.manifest.archives.values_mut().enumerate() {
        entry.time = format!("2024-01-{:02}T00:00:00.000000", day + 1);
    }
}

/// Ids of archive objects, and how often each chunk of an item stream is listed by archives.
fn metadata(machine: &Machine) -> (Vec<ArchiveId>, HashMap<ChunkId, usize>) {
    let session = machine.session();
    let mut chunks: HashMap<ChunkId, usize> = HashMap::new();
    let mut ids = Vec::new();
    for name in session.manifest.archives.keys() {
        let archive = session.load_archive(name).expect("it is whole");
        ids.push(archive.id);
        for id in archive.metadata.items {
            *chunks.entry(id).or_default() += 1;
        }
    }
    (ids, chunks)
}

#[test]
fn the_metadata_of_every_archive_is_read_once() {
    let machine = machine();
    let (archives, chunks) = metadata(&machine);
    assert!(archives.len() == 7 && chunks.len() > 20);
    let (_, reads) = prune_counting(&machine);
    for id in &archives {
        assert_eq!(reads.get(&ChunkId::from(*id)), Some(&1), "archive {id}");
    }
    for (id, listed) in &chunks {
        assert_eq!(reads.get(id), Some(listed), "chunk {id} of an item stream");
    }
    assert_eq!(
        reads.len(),
        archives.len() + chunks.len(),
        "nothing else is read"
    );
    let session = machine.session();
    assert_eq!(session.manifest.archives.len(), 2);
    let counted = ChunkReferences::load(&session).expect("all archives read");
    let sums = ReferenceSums::load(&session, &[]).expect("all archives read");
    assert_eq!(*sums.totals(), counted.totals());
    let manifest = 1;
    let stored = session.repository.len().expect("it is known");
    assert_eq!(
        counted.table().len() + manifest,
        stored,
        "no orphan is left"
    );
}

#[test]
fn archives_seen_before_are_not_read_again() {
    let machine = machine();
    ChunkReferences::load(&machine.session()).expect("all archives read");
    let (archives, chunks) = metadata(&machine);
    let (_, reads) = prune_counting(&machine);
    assert!(chunks.keys().all(|id| !reads.contains_key(id)));
    // Those that go are looked at once more, for their authentication.
    let read = archives
        .iter()
        .filter(|id| reads.contains_key(&ChunkId::from(**id)));
    assert_eq!(read.count(), 5);
    assert!(reads.values().all(|count| *count == 1));
}

#[test]
fn a_stop_commits_what_was_pruned_by_then() {
    let line = "Pruning archive (1/5):                       e";
    let machine = machine().stopping_at(line);
    let mut session = machine.exclusive();
    space_out(&mut session);
    let error = prune_archives(&mut session, &keeping(2)).expect_err("it was stopped");
    assert_eq!(error.to_string(), "Error: Got Ctrl-C / SIGINT.");
    drop(session);
    let left: Vec<Vec<u8>> = machine.session().manifest.archives.into_keys().collect();
    let expected: [&[u8]; 5] = [b"a", b"b", b"c", b"rich", b"small"];
    assert_eq!(left, expected);
    let lines = machine.list();
    assert_eq!(lines.len(), 4, "{lines:?}");
}
