//! Which archives a command is about.

use ironborg_archive::selection::{ArchiveSelection, SortKey, compare_names, select};
use ironborg_format::manifest::{ArchiveEntry, Manifest};
use ironborg_source::pattern::NameGlob;
use ironborg_testkit::sample_names;
use ironborg_types::{ArchiveId, Timestamp};

use crate::machine::Machine;

fn manifest(archives: &[(&str, u8, i64)]) -> Manifest {
    let mut manifest = Manifest::new();
    for (name, id, time) in archives {
        let entry = ArchiveEntry::new(ArchiveId([*id; 32]), Timestamp(*time));
        manifest.archives.insert(name.as_bytes().to_vec(), entry);
    }
    manifest
}

#[track_caller]
fn check(selection: &ArchiveSelection, expected: &[&str]) {
    let manifest = manifest(&[
        ("b", 1, 30),
        ("a", 2, 10),
        ("c.checkpoint", 3, 20),
        ("c", 4, 10),
        ("d.checkpoint.1", 5, 5),
    ]);
    let found = select(&manifest, selection).expect("times are times");
    let names: Vec<String> = found
        .iter()
        .map(|archive| archive.name.to_string())
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn everything_comes_in_the_manifests_order() {
    check(
        &ArchiveSelection::default(),
        &["a", "b", "c", "c.checkpoint", "d.checkpoint.1"],
    );
}

#[test]
fn ties_keep_the_order_before() {
    let by = |keys: &[SortKey]| ArchiveSelection {
        sort_by: keys.to_vec(),
        ..Default::default()
    };
    check(
        &by(&[SortKey::Timestamp]),
        &["d.checkpoint.1", "a", "c", "c.checkpoint", "b"],
    );
    check(
        &by(&[SortKey::Id]),
        &["b", "a", "c.checkpoint", "c", "d.checkpoint.1"],
    );
    check(
        &by(&[SortKey::Timestamp, SortKey::Id]),
        &["d.checkpoint.1", "a", "c", "c.checkpoint", "b"],
    );
    check(
        &by(&[SortKey::Name]),
        &["a", "b", "c", "c.checkpoint", "d.checkpoint.1"],
    );
}

#[test]
fn checkpoints_can_be_left_out() {
    let selection = ArchiveSelection {
        without_checkpoints: true,
        ..Default::default()
    };
    check(&selection, &["a", "b", "c"]);
}

#[test]
fn first_counts_before_last_and_zero_is_no_limit() {
    let limits = |first, last| ArchiveSelection {
        first,
        last,
        ..Default::default()
    };
    check(&limits(2, 0), &["a", "b"]);
    check(&limits(0, 2), &["c.checkpoint", "d.checkpoint.1"]);
    check(&limits(1, 1), &["a"]);
    check(
        &limits(0, 9),
        &["a", "b", "c", "c.checkpoint", "d.checkpoint.1"],
    );
}

#[test]
fn a_glob_matches_the_whole_name() {
    let glob = |text: &str| ArchiveSelection {
        glob: Some(NameGlob::new(text).expect("a good pattern")),
        ..Default::default()
    };
    check(&glob("c*"), &["c", "c.checkpoint"]);
    check(&glob("?"), &["a", "b", "c"]);
    check(&glob("checkpoint"), &[]);
}

#[test]
fn names_are_ordered_by_code_point_as_python_does() {
    // An undecodable byte is U+DCxx to Python: behind most characters, before U+E000 and beyond.
    let mut names: Vec<&[u8]> = vec![
        "\u{e000}".as_bytes(),
        b"\xff",
        "\u{d7ff}".as_bytes(),
        b"z",
        "\u{1f600}".as_bytes(),
    ];
    names.sort_by(|a, b| compare_names(a, b));
    let expected: Vec<&[u8]> = vec![
        b"z",
        "\u{d7ff}".as_bytes(),
        b"\xff",
        "\u{e000}".as_bytes(),
        "\u{1f600}".as_bytes(),
    ];
    assert_eq!(names, expected);
}

#[test]
fn every_sample_has_its_recorded_archives_in_order() {
    for name in sample_names() {
        let machine = Machine::with_sample(name);
        let Some(recorded) = machine.sample.row["list_json"]["archives"].as_array() else {
            continue;
        };
        let selection = ArchiveSelection {
            sort_by: vec![SortKey::Timestamp],
            without_checkpoints: true,
            ..Default::default()
        };
        let session = machine.session();
        let found = select(&session.manifest, &selection).expect("times are times");
        let recorded: Vec<(&str, &str)> = recorded
            .iter()
            .map(|row| {
                (
                    row["name"].as_str().expect("text"),
                    row["id"].as_str().expect("text"),
                )
            })
            .filter(|(archive, _)| !archive.contains(".checkpoint"))
            .collect();
        assert_eq!(found.len(), recorded.len(), "{name}");
        for (found, (archive, id)) in found.iter().zip(recorded) {
            assert_eq!(
                (
                    found.name.to_string().as_str(),
                    found.id.to_string().as_str()
                ),
                (archive, id)
            );
        }
    }
}
