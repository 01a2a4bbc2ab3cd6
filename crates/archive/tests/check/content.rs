//! Content that is lost, replaced, lost again, and back.

use ironborg_archive::check::CheckMode;
use ironborg_format::Item;
use ironborg_types::{ChunkId, FindingKind, Level, RepairAction};

use crate::archive_writer::file;
use crate::laboratory::Laboratory;

const PIECES: [&[u8]; 3] = [b"first", b"second piece", b"third"];

/// A repository with the archive `a`, which has the file `f` of three chunks, and another file.
fn with_file() -> (Laboratory, Vec<ChunkId>) {
    let laboratory = Laboratory::new();
    let item = laboratory.archive("a", |writer| {
        writer.file("other", &[b"something else"]);
        writer.file("f", &PIECES)
    });
    let ids = item.chunks.unwrap().iter().map(|chunk| chunk.id).collect();
    (laboratory, ids)
}

fn file_f(laboratory: &Laboratory) -> Item {
    let items = laboratory.items("a");
    items
        .into_iter()
        .find(|item| &item.path[..] == b"f")
        .unwrap()
}

#[test]
fn a_sound_archive_stays_what_it_is() {
    let (laboratory, _) = with_file();
    // The test's writer cuts streams as no Borg does.
    laboratory.check(CheckMode::Repair);
    let id = laboratory.archive_id("a");
    let files = laboratory.object_count();
    let told = laboratory.check(CheckMode::Repair);
    assert_eq!(told.messages(), []);
    assert_eq!(told.actions(), [RepairAction::WriteManifest]);
    assert_eq!(laboratory.archive_id("a"), id);
    assert_eq!(laboratory.object_count(), files);
}

#[test]
fn a_lost_chunk_is_replaced_and_healed() {
    let (laboratory, ids) = with_file();
    laboratory.check(CheckMode::Repair);
    let (sound, original) = (laboratory.archive_id("a"), file_f(&laboratory));
    laboratory.lose(&ids[1..2]);

    let told = laboratory.check(CheckMode::Plan);
    let message = format!(
        "a: f: New missing file chunk detected (Byte 5-17, Chunk {}). Would replace it with all-zero chunk with --repair.",
        ids[1]
    );
    assert_eq!(told.messages(), [(FindingKind::ChunkMissing, &message[..])]);
    let place = &told.findings[0].place;
    assert_eq!(place.archive.as_deref(), Some(&b"a"[..]));
    assert_eq!(place.path.as_deref(), Some(&b"f"[..]));
    assert_eq!((&place.bytes, place.chunk), (&Some(5..17), Some(ids[1])));

    let told = laboratory.check(CheckMode::Repair);
    let expected = [
        RepairAction::ReplaceChunk,
        RepairAction::StoreObject, // Zeros.
        RepairAction::StoreObject, // Items.
        RepairAction::StoreObject, // The archive.
        RepairAction::ReplaceArchive,
        RepairAction::DeleteObject,
        RepairAction::DeleteObject,
        RepairAction::WriteManifest,
    ];
    assert_eq!(told.actions(), expected);
    assert!(told.has_logged("Deleting 0 orphaned and 2 superseded objects..."));
    let repaired = file_f(&laboratory);
    let chunks = repaired.chunks.clone().unwrap();
    assert_eq!(repaired.chunks_healthy, original.chunks);
    assert_eq!(chunks[1].size, 12);
    assert_eq!(laboratory.plaintext(&chunks[1].id), Some(vec![0; 12]));
    // Compressed by LZ4, as stock Borg stores it.
    assert_eq!(usize::try_from(chunks[1].csize).unwrap(), 41 + 2 + 12);

    // Nothing new the next time.
    let (told, sound_now) = laboratory.try_check(CheckMode::Look, None);
    assert!(sound_now.unwrap());
    let message = format!(
        "a: f: Previously missing file chunk is still missing (Byte 5-17, Chunk {}). It has an all-zero replacement chunk already.",
        ids[1]
    );
    assert_eq!(
        told.messages(),
        [(FindingKind::ChunkStillMissing, &message[..])]
    );
    assert_eq!(told.findings[0].level, Level::Info);

    laboratory.put(PIECES[1]);
    let told = laboratory.check(CheckMode::Repair);
    let healed = format!(
        "a: f: Healed previously missing file chunk! (Byte 5-17, Chunk {})",
        ids[1]
    );
    let expected = [
        (FindingKind::ChunkBack, &healed[..]),
        (
            FindingKind::FileBack,
            "a: f: Completely healed previously damaged file!",
        ),
    ];
    assert_eq!(told.messages(), expected);
    assert_eq!(told.actions()[0], RepairAction::HealChunk);
    assert_eq!(file_f(&laboratory), original);
    assert_eq!(
        laboratory.archive_id("a"),
        sound,
        "as if nothing had happened"
    );
    assert_eq!(
        laboratory.plaintext(&chunks[1].id),
        None,
        "zeros are not needed any more"
    );
    laboratory.assert_sound();
}

#[test]
fn a_file_is_healed_piece_by_piece() {
    let (laboratory, ids) = with_file();
    laboratory.lose(&ids[..2]);
    let told = laboratory.check(CheckMode::Repair);
    assert_eq!(told.findings.len(), 2);
    laboratory.put(PIECES[0]);
    let told = laboratory.check(CheckMode::Repair);
    let kinds: Vec<_> = told.findings.iter().map(|found| found.kind).collect();
    assert_eq!(
        kinds,
        [FindingKind::ChunkBack, FindingKind::ChunkStillMissing]
    );
    let item = file_f(&laboratory);
    assert_eq!(item.chunks.unwrap()[0].id, ids[0]);
    assert!(item.chunks_healthy.is_some());
    laboratory.put(PIECES[1]);
    laboratory.check(CheckMode::Repair);
    assert_eq!(file_f(&laboratory).chunks_healthy, None);
}

#[test]
fn zeros_that_are_lost_are_made_again() {
    let (laboratory, ids) = with_file();
    laboratory.lose(&ids[1..2]);
    laboratory.check(CheckMode::Repair);
    let (id, item) = (laboratory.archive_id("a"), file_f(&laboratory));
    let zeros = item.chunks.as_ref().unwrap()[1].id;
    laboratory.lose(&[zeros]);
    let told = laboratory.check(CheckMode::Repair);
    let still = format!(
        "a: f: Previously missing file chunk is still missing (Byte 5-17, Chunk {}). It has an all-zero replacement chunk already.",
        ids[1]
    );
    let again = format!(
        "a: f: Missing all-zero replacement chunk detected (Byte 5-17, Chunk {zeros}). Generating new replacement chunk."
    );
    let expected = [
        (FindingKind::ChunkStillMissing, &still[..]),
        (FindingKind::ReplacementMissing, &again[..]),
    ];
    assert_eq!(told.messages(), expected);
    assert_eq!(told.findings[1].level, Level::Warning);
    assert_eq!(
        (laboratory.archive_id("a"), file_f(&laboratory)),
        (id, item)
    );
    assert_eq!(laboratory.plaintext(&zeros), Some(vec![0; 12]));
}

#[test]
fn the_same_zeros_serve_many_files() {
    let laboratory = Laboratory::new();
    let ids = laboratory.archive("a", |writer| {
        let mut lost = Vec::new();
        for n in 0..10_u8 {
            let item = writer.file(&format!("f{n}"), &[&[n; 1000]]);
            lost.push(item.chunks.unwrap()[0].id);
        }
        lost
    });
    laboratory.lose(&ids);
    let told = laboratory.check(CheckMode::Repair);
    assert_eq!(told.findings.len(), 10);
    let zeros = told.changes.iter().filter(|change| {
        change.action == RepairAction::StoreObject && change.detail.contains("zeros")
    });
    assert_eq!(zeros.count(), 1);
    let chunks: Vec<_> = laboratory
        .items("a")
        .into_iter()
        .map(|item| item.chunks.unwrap()[0].id)
        .collect();
    assert!(chunks.iter().all(|id| *id == chunks[0]));
}

#[test]
fn a_healthy_list_of_another_length_is_removed() {
    let laboratory = Laboratory::new();
    laboratory.archive("a", |writer| {
        let chunks = vec![writer.put(b"one"), writer.put(b"two")];
        let mut item = file("f", chunks.clone());
        item.chunks_healthy = Some(chunks[..1].to_vec());
        writer.add(&item);
    });
    let (told, sound) = laboratory.try_check(CheckMode::Look, None);
    assert!(sound.unwrap(), "stock Borg only warns");
    let expected = "a: f: Invalid chunks_healthy metadata would be removed with --repair!";
    assert_eq!(
        told.messages(),
        [(FindingKind::HealthyListInvalid, expected)]
    );
    let told = laboratory.check(CheckMode::Repair);
    let expected = "a: f: Invalid chunks_healthy metadata removed!";
    assert_eq!(
        told.messages(),
        [(FindingKind::HealthyListInvalid, expected)]
    );
    assert_eq!(file_f(&laboratory).chunks_healthy, None);
    laboratory.assert_sound();
}

#[test]
fn a_size_that_is_not_that_of_the_chunks_is_told_and_kept() {
    let laboratory = Laboratory::new();
    let item = laboratory.archive("a", |writer| {
        let mut item = file("f", vec![writer.put(b"12345")]);
        item.size = Some(7);
        writer.add(&item);
        // A target is measured in characters.
        let mut link = file("l", vec![writer.put(b"12345")]);
        (link.mode, link.source, link.size) = (0o120_777, Some("äöü".into()), Some(3));
        writer.add(&link);
        item
    });
    let told = laboratory.check(CheckMode::Repair);
    let expected = "a: f: size inconsistency detected: size 7, chunks size 5";
    assert_eq!(told.messages(), [(FindingKind::SizeMismatch, expected)]);
    assert_eq!(told.findings[0].level, Level::Warning);
    assert_eq!(file_f(&laboratory), item);
}

/// The same chunk is missing from several archives, and in one of them twice.
#[test]
fn every_place_of_a_lost_chunk_is_told() {
    let laboratory = Laboratory::new();
    let pieces: [&[u8]; 3] = [b"lost", b"kept", b"lost"];
    for name in ["a", "b"] {
        laboratory.archive(name, |writer| writer.file("f", &pieces));
    }
    let lost = file_f(&laboratory).chunks.unwrap()[0].id;
    laboratory.lose(&[lost]);
    let told = laboratory.check(CheckMode::Repair);
    let places: Vec<_> = told
        .findings
        .iter()
        .map(|found| {
            (
                found.place.archive.clone().unwrap().0,
                found.place.bytes.clone(),
            )
        })
        .collect();
    let expected = [("a", 0..4), ("a", 8..12), ("b", 0..4), ("b", 8..12)]
        .map(|(name, bytes)| (name.as_bytes().to_vec(), Some(bytes)));
    assert_eq!(places, expected);
    laboratory.assert_sound();
}
