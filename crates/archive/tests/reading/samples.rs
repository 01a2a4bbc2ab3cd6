//! Every sample repository lists, counts and restores as recorded from stock Borg.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::ControlFlow;

use ironborg_archive::info::describe;
use ironborg_archive::items::{PartFiles, with_content, with_items};
use ironborg_archive::references::{ChunkReferences, ReferenceSums};
use ironborg_archive::statistics::{all_archives, all_archives_of};
use ironborg_archive::{Archive, ArchiveError, Session};
use ironborg_format::item::{Item, OwnerName};
use ironborg_testkit::{sample, sample_names};
use ironborg_types::text;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::machine::Machine;

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn owner(name: &OwnerName, id: Option<i64>) -> Value {
    match name.as_bytes() {
        Some(name) if !name.is_empty() => json!(text::display(name)),
        _ => json!(id),
    }
}

/// The recorded keys this crate decides about.
fn row(item: &Item, sha256: &str) -> Value {
    let kind = match item.mode & 0o170_000 {
        0o040_000 => "d",
        0o120_000 => "l",
        0o020_000 => "c",
        0o060_000 => "b",
        0o010_000 => "p",
        _ => "-",
    };
    json!({
        "type": kind,
        "user": owner(&item.user, item.uid),
        "group": owner(&item.group, item.gid),
        "uid": item.uid,
        "gid": item.gid,
        "path": text::display(&item.path),
        "healthy": item.chunks_healthy.is_none(),
        "source": text::display(item.source.as_deref().unwrap_or_default()),
        "flags": item.bsdflags.unwrap_or_default(),
        "num_chunks": item.chunks.as_ref().map_or(0, Vec::len),
        "sha256": sha256,
    })
}

fn listing(session: &Session, archive: &Archive) -> Vec<Value> {
    let mut rows = Vec::new();
    with_content(session, |content| {
        with_items(session, archive, PartFiles::Skip, |items| {
            let mut item = Item::default();
            while items.next_into(&mut item)? {
                let mut sha256 = String::new();
                if let Some(chunks) = &item.chunks {
                    let mut hash = Sha256::new();
                    content.read(chunks, |_, data| {
                        hash.update(data);
                        Ok::<_, ArchiveError>(())
                    })?;
                    sha256 = hex(&hash.finalize());
                }
                rows.push(row(&item, &sha256));
            }
            Ok::<_, ArchiveError>(())
        })
    })
    .expect("the archive reads");
    rows
}

/// The keys of `expected` that `found` has too.
fn restrict(expected: &Value, found: &Value) -> Value {
    let keys = found.as_object().expect("an object");
    let expected = expected.as_object().expect("an object");
    expected
        .iter()
        .filter(|(key, _)| keys.contains_key(*key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[test]
fn every_sample_lists_and_reads_to_its_recorded_hashes() {
    for name in sample_names() {
        if sample(name).archives.is_empty() {
            continue;
        }
        for threads in [1, 3] {
            let mut machine = Machine::with_sample(name);
            machine.threads = threads;
            let session = machine.session();
            for recorded in &machine.sample.archives {
                let archive = session
                    .load_archive(recorded.name.as_bytes())
                    .expect("it is there");
                let found = listing(&session, &archive);
                assert_eq!(
                    found.len(),
                    recorded.items.len(),
                    "{name}::{}",
                    recorded.name
                );
                for (found, expected) in found.iter().zip(&recorded.items) {
                    let expected = restrict(expected, found);
                    assert_eq!(found, &expected, "{name}::{}", recorded.name);
                }
            }
        }
    }
}

#[test]
fn every_sample_has_its_recorded_figures() {
    let mut checked = 0;
    for name in sample_names() {
        let machine = Machine::with_sample(name);
        let row = &machine.sample.row;
        if !row["cache_stats"].is_object() {
            continue;
        }
        let session = machine.session();
        // Read from the archives, then from what is remembered of them.
        for _ in 0..2 {
            let totals = all_archives(&session, PartFiles::Skip).expect("all archives read");
            let found = json!({
                "total_size": totals.total_size,
                "total_csize": totals.total_csize,
                "unique_size": totals.unique_size,
                "unique_csize": totals.unique_csize,
                "total_chunks": totals.total_chunks,
                "total_unique_chunks": totals.total_unique_chunks,
            });
            assert_eq!(found, restrict(&row["cache_stats"], &found), "{name}");
        }
        let entries = session.manifest.archives.values();
        let ids: Vec<_> = entries.map(|entry| entry.id).collect();
        let references = ReferenceSums::load(&session, &ids).expect("they are remembered");
        let counted = ChunkReferences::load(&session).expect("they are remembered");
        assert_eq!(*references.totals(), counted.totals(), "{name}");
        for expected in row["info_archives"].as_array().expect("a list") {
            let archive_name = expected["name"].as_str().expect("a text");
            let archive = session
                .load_archive(archive_name.as_bytes())
                .expect("it is there");
            let report = describe(&session, &archive, &references, PartFiles::Skip).expect("known");
            let figures = report.statistics;
            let found = json!({
                "original_size": figures.original_size,
                "compressed_size": figures.compressed_size,
                "deduplicated_size": figures.deduplicated_size,
                "nfiles": figures.nfiles,
            });
            assert_eq!(found, expected["stats"], "{name}::{archive_name}");
            let recorded = expected["limits"]["max_archive_size"]
                .as_f64()
                .expect("a number");
            let difference = (report.max_archive_size - recorded).abs();
            assert!(difference < 1e-18, "{name}::{archive_name}");
            assert_eq!(
                text::display(&report.comment),
                expected["comment"].as_str().expect("text")
            );
            let params: Vec<Value> = report
                .chunker_params
                .iter()
                .flatten()
                .map(|value| match value.as_raw() {
                    Some(raw) => json!(text::display(raw)),
                    None => json!(value.as_u64()),
                })
                .collect();
            let recorded = &expected["chunker_params"];
            assert!(
                recorded.as_array() == Some(&params) || (recorded == "" && params.is_empty()),
                "{name}::{archive_name}: {params:?}"
            );
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} archives were compared");
}

#[test]
fn part_files_count_only_if_asked_for() {
    let machine = Machine::with_sample("part-files");
    let session = machine.session();
    let archive = session.load_archive(b"parts").expect("it is there");
    let mut paths: BTreeMap<bool, Vec<String>> = BTreeMap::new();
    for parts in [PartFiles::Skip, PartFiles::Consider] {
        let list = paths.entry(parts == PartFiles::Consider).or_default();
        with_items(&session, &archive, parts, |items| {
            items.for_each(|item| {
                list.push(text::display(item.path).into_owned());
                Ok::<_, ArchiveError>(ControlFlow::Continue(()))
            })
        })
        .expect("the archive reads");
    }
    assert_eq!(paths[&false], ["big"]);
    assert_eq!(paths[&true], ["big.borg_part_1", "big.borg_part_2", "big"]);
    let references = ChunkReferences::load(&session).expect("all archives read");
    let totals = references.totals();
    let without = all_archives_of(&session, &totals, PartFiles::Skip).expect("known");
    let with = all_archives_of(&session, &totals, PartFiles::Consider).expect("known");
    // As `borg info --consider-part-files --json` has it: the parts repeat the whole file.
    assert_eq!((without.total_size, without.total_csize), (5500, 5518));
    assert_eq!((with.total_size, with.total_csize), (11000, 11036));
}

#[test]
fn unique_chunks_are_those_of_one_item_only() {
    let machine = Machine::with_sample("part-files");
    let session = machine.session();
    let references = ChunkReferences::load(&session).expect("all archives read");
    let archive = session.load_archive(b"parts").expect("it is there");
    with_items(&session, &archive, PartFiles::Skip, |items| {
        let mut item = Item::default();
        while items.next_into(&mut item)? {
            let chunks = item.chunks.clone().unwrap_or_default();
            // Every chunk of the whole file is in a part as well.
            assert_eq!(references.unique_chunks(&chunks).count, 0);
        }
        Ok::<_, ArchiveError>(())
    })
    .expect("the archive reads");
}
