//! Deleting archives: exactly the objects nobody refers to any more.

use std::collections::BTreeSet;

use ironborg_archive::delete::{
    DeleteOptions, DeleteOutcome, Force, RepositoryDeletion, delete_archives, delete_repository,
};
use ironborg_archive::items::PartFiles;
use ironborg_archive::references::ChunkReferences;
use ironborg_archive::selection::ListedArchive;
use ironborg_archive::statistics::all_archives;
use ironborg_archive::{ArchiveError, Session};
use ironborg_repository::LockMode;
use ironborg_types::{BytePath, ChunkId, ErrorKind};

use crate::machine::Machine;

fn name_only(archive: &ListedArchive) -> String {
    archive.name.to_string()
}

fn options(names: &[&str]) -> DeleteOptions<'static> {
    DeleteOptions {
        names: names.iter().map(|name| BytePath::from(*name)).collect(),
        force: Force::No,
        dry_run: false,
        parts: PartFiles::Skip,
        checkpoint_interval: None,
        list: true,
        format_archive: &name_only,
    }
}

fn delete(machine: &Machine, options: &DeleteOptions<'_>) -> Result<DeleteOutcome, ArchiveError> {
    delete_archives(&mut machine.exclusive(), options)
}

/// Every object stored, but the manifest.
fn stored(session: &Session) -> BTreeSet<ChunkId> {
    let ids = session.repository.list(None, None).expect("readable");
    ids.into_iter()
        .filter(|id| *id != ChunkId::MANIFEST)
        .collect()
}

fn assert_exactly_what_is_referenced(machine: &Machine, label: &str) {
    let session = machine.session();
    let references = ChunkReferences::load(&session).expect("all archives read");
    let stored = stored(&session);
    assert_eq!(
        references.table().len(),
        stored.len(),
        "{label}: orphans or missing chunks"
    );
    for id in &stored {
        assert!(
            references.table().refs(id) > 0,
            "{label}: {id} is an orphan"
        );
    }
}

#[test]
fn all_archives_can_go_one_by_one_and_leave_no_orphan() {
    for name in [
        "mode-none",
        "uncompacted",
        "part-files",
        "made-by-1.0.13-repokey",
    ] {
        let machine = Machine::with_sample(name);
        loop {
            let first = machine.session().manifest.archives.keys().next().cloned();
            let Some(first) = first else { break };
            let first = String::from_utf8(first).expect("samples have plain names");
            let before =
                all_archives(&machine.session(), PartFiles::Skip).expect("all archives read");
            let outcome = delete(&machine, &options(&[&first])).expect("it goes");
            assert_exactly_what_is_referenced(&machine, name);
            let after =
                all_archives(&machine.session(), PartFiles::Skip).expect("all archives read");
            let freed = i64::try_from(before.unique_csize - after.unique_csize).expect("small");
            if outcome.deleted.deduplicated_size != -freed {
                assert_eq!(
                    name, "part-files",
                    "only chunks last used by parts are not counted"
                );
            }
        }
        assert!(stored(&machine.session()).is_empty(), "{name}");
    }
}

/// Sample, archive, and the figures of `borg delete --stats` run by Borg 1.4.5 on it: original,
/// compressed, deduplicated size in bytes.
const STOCK_FIGURES: [(&str, &str, (i64, i64, i64)); 10] = [
    ("mode-repokey", "rich", (-1_547_783, -17_122, -16_858)),
    ("mode-repokey", "small", (-794, -807, -807)),
    ("mode-none", "small", (-791, -685, -685)),
    ("uncompacted", "a3", (-64_722, -64_411, -1_110)),
    ("part-files", "parts", (-7_069, -6_951, -6_951)),
    ("part-files", "ck.checkpoint", (-1_110, -1_025, -1_025)),
    (
        "made-by-1.1.18-repokey",
        "rich",
        (-1_547_633, -12_819, -12_249),
    ),
    (
        "made-by-1.0.13-repokey",
        "fine",
        (-69_044, -69_603, -69_603),
    ),
    ("mixed-compression", "sparse", (-1_420_710, -8_054, -2_164)),
    ("repaired", "dam", (-70_390, -28_491, -28_230)),
];

#[test]
fn deleted_data_is_counted_as_stock_borg_counts_it() {
    for (sample, archive, expected) in STOCK_FIGURES {
        let machine = Machine::with_sample(sample);
        let deleted = delete(&machine, &options(&[archive]))
            .expect("it goes")
            .deleted;
        let found = (
            deleted.original_size,
            deleted.compressed_size,
            deleted.deduplicated_size,
        );
        assert_eq!(found, expected, "{sample}::{archive}");
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let machine = Machine::with_sample("mode-repokey");
    let before = stored(&machine.session());
    let dry = DeleteOptions {
        dry_run: true,
        ..options(&["rich", "nosuch", "small"])
    };
    let outcome = delete(&machine, &dry).expect("nothing can fail");
    assert_eq!(outcome.not_found, 1);
    assert!(!outcome.is_counted);
    assert_eq!(
        machine.list(),
        [
            "Would delete archive: rich (1/3)",
            "Would delete archive: small (3/3)"
        ]
    );
    assert_eq!(machine.log(), ["Archive nosuch not found (2/3)."]);
    assert_eq!(stored(&machine.session()), before);
    assert_eq!(machine.session().manifest.archives.len(), 2);
}

#[test]
fn an_archive_with_a_missing_chunk_goes_only_by_force() {
    let machine = Machine::with_sample("mode-repokey");
    let mut session = machine.exclusive();
    let lost = {
        let references = ChunkReferences::load(&session).expect("all archives read");
        let archive = session.load_archive(b"small").expect("it is there");
        assert_eq!(references.table().refs(&archive.metadata.items[0]), 1);
        archive.metadata.items[0]
    };
    session.repository.delete(&lost).expect("it is there");
    session.repository.commit().expect("it commits");
    drop(session);
    let error = delete(&machine, &options(&["small"])).expect_err("a chunk is missing");
    assert_eq!(error.kind(), ErrorKind::RepositoryObjectNotFound);
    assert_eq!(
        machine.session().manifest.archives.len(),
        2,
        "nothing was committed"
    );
    let forced = DeleteOptions {
        force: Force::Once,
        ..options(&["small"])
    };
    delete(&machine, &forced).expect("force puts up with it");
    assert_eq!(
        machine.log(),
        [
            "forced deletion succeeded, but the deleted archive was corrupted.",
            "borg check --repair is required to free all space."
        ]
    );
    assert_exactly_what_is_referenced(&machine, "forced");
}

#[test]
fn force_reads_what_is_left_of_an_archive_never_seen_before() {
    let machine = Machine::with_sample("mode-repokey");
    let mut session = machine.exclusive();
    let archive = session.load_archive(b"rich").expect("it is there");
    session
        .repository
        .delete(&archive.metadata.items[0])
        .expect("it is there");
    session.repository.commit().expect("it commits");
    drop(session);
    // Nothing is remembered of it, so the other archive cannot be deleted either.
    let error = delete(&machine, &options(&["small"])).expect_err("references are unknown");
    assert_eq!(error.kind(), ErrorKind::RepositoryObjectNotFound);
    let forced = DeleteOptions {
        force: Force::Once,
        ..options(&["rich"])
    };
    delete(&machine, &forced).expect("force puts up with it");
    let session = machine.session();
    assert_eq!(session.manifest.archives.len(), 1);
    all_archives(&session, PartFiles::Skip).expect("what is left is whole");
}

#[test]
fn force_twice_only_takes_the_archive_off_the_list() {
    let machine = Machine::with_sample("mode-repokey");
    let before = stored(&machine.session());
    let forced = DeleteOptions {
        force: Force::Twice,
        ..options(&["nosuch", "rich"])
    };
    let outcome = delete(&machine, &forced).expect("it is taken off");
    assert_eq!(outcome.not_found, 1);
    assert_eq!(machine.list(), ["Deleted archive: rich (2/2)"]);
    assert_eq!(
        machine.log(),
        [
            "Archive nosuch not found (1/2).",
            "Done. Run \"borg check --repair\" to clean up the mess."
        ]
    );
    let session = machine.session();
    assert_eq!(stored(&session), before);
    assert_eq!(session.manifest.archives.len(), 1);
}

#[test]
fn a_deleted_repository_leaves_nothing_here() {
    let machine = Machine::with_sample("mode-repokey");
    all_archives(&machine.session(), PartFiles::Skip).expect("all archives read");
    let id = machine.session().repository.id().to_string();
    let places = [
        machine.home.cache().join("ironborg").join(&id),
        machine.home.config().join("security").join(&id),
        machine.repository.clone(),
    ];
    assert!(places.iter().all(|place| place.exists()));
    let deletion = RepositoryDeletion {
        cache_only: true,
        keep_security_info: false,
        force: Force::No,
        dry_run: false,
        list: false,
        format_archive: &name_only,
    };
    let run = |options: &RepositoryDeletion<'_>| {
        let repository = Box::new(machine.open_repository(LockMode::Exclusive));
        delete_repository(&machine.client(), repository, options).expect("it goes");
    };
    run(&deletion);
    assert!(!places[0].exists() && places[1].exists() && places[2].exists());
    run(&RepositoryDeletion {
        cache_only: false,
        dry_run: true,
        ..deletion
    });
    assert!(places[2].exists());
    run(&RepositoryDeletion {
        cache_only: false,
        dry_run: false,
        ..deletion
    });
    assert!(!places[1].exists() && !places[2].exists());
}

#[test]
fn a_stop_commits_what_was_deleted_by_then() {
    let machine = Machine::with_sample("uncompacted").stopping_at("Deleting archive: a3 (1/2)");
    let error = delete(&machine, &options(&["a3", "a4"])).expect_err("it was stopped");
    assert_eq!(error.to_string(), "Error: Got Ctrl-C / SIGINT.");
    let machine = machine.going_on();
    let session = machine.session();
    let left: Vec<&[u8]> = session
        .manifest
        .archives
        .keys()
        .map(Vec::as_slice)
        .collect();
    assert_eq!(left, [&b"a4"[..], b"renamed"]);
    assert_exactly_what_is_referenced(&machine, "stopped");
}
