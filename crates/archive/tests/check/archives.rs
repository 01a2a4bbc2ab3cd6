//! Archives that are missing, damaged, not authentic or not to be understood; which ones are looked at; and a check
//! that is ended.

use ironborg_archive::ArchiveError;
use ironborg_archive::check::CheckMode;
use ironborg_archive::selection::ArchiveSelection;
use ironborg_crypto::tam::{self, TamContext};
use ironborg_format::archive::ArchiveMetadata;
use ironborg_format::manifest::ArchiveEntry;
use ironborg_format::msgpack::{Value, push_map_len, push_raw};
use ironborg_source::pattern::NameGlob;
use ironborg_types::{ArchiveId, BytePath, ChunkId, FindingKind, Level, RepairAction, Timestamp};

use crate::archive_writer::ArchiveWriter;
use crate::laboratory::{Laboratory, commit};

fn with_archives(names: &[&str]) -> Laboratory {
    let laboratory = Laboratory::new();
    for name in names {
        laboratory.archive(name, |writer| {
            writer.file(&format!("file of {name}"), &[name.as_bytes()]);
        });
    }
    laboratory
}

/// Lists an object as an archive.
fn list(laboratory: &Laboratory, name: &str, metadata: &[u8]) -> ChunkId {
    let mut session = laboratory.machine.exclusive();
    let id = ArchiveWriter::new(&mut session).put(metadata).id;
    let entry = ArchiveEntry::new(ArchiveId(id.0), Timestamp(1_600_000_000_000_000));
    session
        .manifest
        .archives
        .insert(name.as_bytes().to_vec(), entry);
    commit(&mut session);
    id
}

#[test]
fn a_missing_archive_is_taken_off_the_list() {
    let laboratory = with_archives(&["a", "b", "c"]);
    let id = laboratory.archive_id("b").unwrap();
    laboratory.lose(&[ChunkId::from(id)]);
    let told = laboratory.check(CheckMode::Repair);
    let expected = format!("Archive metadata block {id} is missing!");
    assert_eq!(
        told.messages()[0],
        (FindingKind::ArchiveMissing, &expected[..])
    );
    assert_eq!(told.messages()[1].1, "2 orphaned objects found!");
    assert_eq!(told.findings[0].place.archive.as_deref(), Some(&b"b"[..]));
    assert!(told.actions().contains(&RepairAction::RemoveArchive));
    assert_eq!(laboratory.archive_id("b"), None);
    assert_eq!(laboratory.paths("c"), ["file of c"]);
    laboratory.assert_sound();
}

#[test]
fn an_archive_that_is_not_authentic_is_removed() {
    let laboratory = with_archives(&["a"]);
    let metadata = ArchiveMetadata {
        name: b"forged".to_vec(),
        items: laboratory.stream("a"),
        time: Timestamp(0).to_string(),
        ..ArchiveMetadata::default()
    };
    list(&laboratory, "forged", &metadata.encode(None));
    let told = laboratory.check(CheckMode::Repair);
    let expected = "Archive TAM authentication issue for archive forged: \
                    Archive 'forged' is unauthenticated, but it is required for this repository.";
    assert_eq!(
        told.messages()[0],
        (FindingKind::ArchiveNotAuthentic, expected)
    );
    assert!(
        told.has_logged("This archive will be *removed* from the manifest! It will be deleted.")
    );
    assert_eq!(laboratory.archive_id("forged"), None);
    laboratory.assert_sound();
}

/// Metadata that is authentic and not to be understood: stock Borg ends over it. It stays, with all it may refer to.
#[test]
fn an_archive_that_cannot_be_understood_stays() {
    let laboratory = with_archives(&["a"]);
    let sign = |pack: &dyn Fn(&mut Vec<u8>) -> usize| {
        let session = laboratory.machine.session();
        let salt = [7; 64];
        tam::sign(&session.key, TamContext::Archive, &salt, |tam| {
            let mut entries = Vec::new();
            let count = pack(&mut entries);
            let mut map = Vec::new();
            push_map_len(&mut map, count + 1);
            map.extend_from_slice(&entries);
            push_raw(&mut map, b"tam");
            let fields = Value::Map(vec![
                (Value::raw("hmac"), Value::raw(tam.hmac)),
                (Value::raw("salt"), Value::raw(tam.salt)),
                (Value::raw("type"), Value::raw(tam.kind)),
            ]);
            fields.encode(&mut map);
            map
        })
        .unwrap()
    };
    let future = sign(&|out| {
        push_raw(out, b"version");
        out.push(2);
        1
    });
    let id = list(&laboratory, "future", &future);
    laboratory.put(b"an orphan, perhaps");
    let told = laboratory.check(CheckMode::Repair);
    assert_eq!(told.findings[0].kind, FindingKind::ArchiveDamaged);
    assert!(
        told.messages()[0]
            .1
            .contains("archive future is left as it is")
    );
    assert!(told.has_logged("Orphaned objects check skipped (needs all archives checked)."));
    assert_eq!(laboratory.archive_id("future"), Some(ArchiveId(id.0)));
    assert!(laboratory.plaintext(&id).is_some());
}

/// What Borg 1.1 wrote there, and what a later one may, is kept; and so is the authentication.
#[test]
fn whatever_else_metadata_says_is_kept() {
    let laboratory = with_archives(&["a"]);
    let packed = {
        let session = laboratory.machine.session();
        let mut metadata = session.load_archive(b"a").unwrap().metadata;
        metadata.name = b"b".to_vec();
        let unknown = Value::Array(vec![Value::Nil, Value::Int(-5)]);
        metadata.unknown.insert(b"new".to_vec(), unknown);
        tam::sign(&session.key, TamContext::Archive, &[3; 64], |tam| {
            metadata.encode(Some(tam))
        })
        .unwrap()
    };
    list(&laboratory, "b", &packed);
    laboratory.check(CheckMode::Repair);
    let id = laboratory.archive_id("b").unwrap();
    let repaired = laboratory.plaintext(&ChunkId::from(id)).unwrap();
    let session = laboratory.machine.session();
    let authentication = tam::verify_archive(&session.key, &repaired, tam::TamDemand::Required);
    assert_eq!(
        authentication.unwrap(),
        tam::Authentication::Verified { salt: vec![3; 64] }
    );
    let metadata = session.load_archive(b"b").unwrap().metadata;
    assert_eq!(
        metadata.unknown[&b"new"[..]],
        Value::Array(vec![Value::Nil, Value::Int(-5)])
    );
}

#[test]
fn orphans_are_looked_for_only_if_all_archives_are() {
    let mut laboratory = with_archives(&["a", "b"]);
    laboratory.check(CheckMode::Repair);
    for n in 0..3_u8 {
        laboratory.put(&[n]);
    }
    let skipped = "Orphaned objects check skipped (needs all archives checked).";
    laboratory.options.archive = Some(BytePath::from("a"));
    let told = laboratory.check(CheckMode::Repair);
    assert!(told.findings.is_empty() && told.has_logged(skipped));
    assert!(told.has_logged("Analyzing archive a (1/1)"));

    laboratory.options.archive = Some(BytePath::from("x"));
    let (told, sound) = laboratory.try_check(CheckMode::Look, None);
    assert!(!sound.unwrap());
    assert_eq!(
        told.messages(),
        [(FindingKind::ArchiveNotFound, "Archive 'x' not found.")]
    );

    laboratory.options.archive = None;
    laboratory.options.glob = Some(BytePath::from("x*"));
    laboratory.options.selection.glob = Some(NameGlob::new("x*").unwrap());
    let (told, sound) = laboratory.try_check(CheckMode::Look, None);
    assert!(sound.unwrap());
    assert_eq!(
        told.messages()[0].1,
        "--glob-archives x* does not match any archives"
    );
    assert_eq!(told.findings[0].level, Level::Warning);

    laboratory.options.glob = None;
    laboratory.options.selection = ArchiveSelection {
        last: 5,
        ..ArchiveSelection::default()
    };
    let (told, _) = laboratory.try_check(CheckMode::Look, None);
    assert_eq!(
        told.messages()[0].1,
        "--last 5 archives: only found 2 archives"
    );

    laboratory.options.selection = ArchiveSelection::default();
    let told = laboratory.check(CheckMode::Repair);
    assert_eq!(
        told.messages(),
        [(FindingKind::ObjectsOrphaned, "3 orphaned objects found!")]
    );
    // Two archives that might have been replaced, and were not.
    assert!(told.has_logged("Deleting 3 orphaned and 2 superseded objects..."));
    assert!(told.has_logged("Finished deleting orphaned/superseded objects."));
    laboratory.assert_sound();
}

/// Wherever a repair is ended, the repository is as it was.
#[test]
fn an_ended_repair_has_changed_nothing() {
    let laboratory = with_archives(&["a", "b"]);
    let lost = laboratory.items("a")[0].chunks.as_ref().unwrap()[0].id;
    let stream = laboratory.stream("b");
    laboratory.lose(&[lost, stream[0]]);
    laboratory.put(b"orphan");
    let ids = || {
        (
            laboratory.archive_id("a"),
            laboratory.archive_id("b"),
            laboratory.object_count(),
        )
    };
    let before = ids();
    for kind in [
        FindingKind::ChunkMissing,
        FindingKind::ItemsMissing,
        FindingKind::ObjectsOrphaned,
    ] {
        let (told, result) = laboratory.try_check(CheckMode::Repair, Some(kind));
        assert!(matches!(result, Err(ArchiveError::Interrupted)), "{kind:?}");
        assert_eq!(told.findings.last().unwrap().kind, kind);
        assert_eq!(ids(), before, "{kind:?}");
    }
    laboratory.check(CheckMode::Repair);
    laboratory.assert_sound();
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let mut results = Vec::new();
    for threads in [1, 2, 7] {
        let mut laboratory = Laboratory::with_sample("mode-repokey");
        laboratory.machine.threads = threads;
        let names: Vec<Vec<u8>> = laboratory
            .machine
            .session()
            .manifest
            .archives
            .keys()
            .cloned()
            .collect();
        let name = String::from_utf8(names[0].clone()).unwrap();
        let items = laboratory.items(&name);
        let file = items
            .iter()
            .find(|item| item.chunks.as_ref().is_some_and(|list| !list.is_empty()));
        laboratory.lose(&[file.unwrap().chunks.as_ref().unwrap()[0].id]);
        let told = laboratory.check(CheckMode::Repair);
        let ids: Vec<_> = names
            .iter()
            .map(|name| laboratory.archive_id(std::str::from_utf8(name).unwrap()))
            .collect();
        let told: Vec<_> = told
            .findings
            .iter()
            .map(|found| found.message.clone())
            .collect();
        results.push((ids, told));
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}
