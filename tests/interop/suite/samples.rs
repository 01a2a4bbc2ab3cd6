//! Every sample repository opens, lists and restores to what was recorded when it was made.

use std::collections::BTreeMap;
use std::time::SystemTime;

use ironborg_testkit::{
    Compare, Home, NodeKind, Program, Run, Sample, SampleArchive, Scratch, Snapshot, sample,
    sample_names, sample_passphrase,
};
use serde_json::Value;

use crate::same_output::assert_same_run;
use crate::scene::text;

/// A sample unpacked on a machine that agrees to everything asked about it.
struct Opened {
    scratch: Scratch,
    home: Home,
    repo: String,
}

fn open(sample: &Sample) -> Opened {
    let scratch = Scratch::new();
    let mut home = Home::new(&scratch, "home");
    home.set("BORG_PASSPHRASE", sample_passphrase());
    home.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    // The machine that left the stale locks of one of the samples.
    home.set("BORG_HOST_ID", "host.example.org@1");
    let repo = text(&sample.unpack(&scratch, &home).repository).to_owned();
    Opened {
        scratch,
        home,
        repo,
    }
}

impl Opened {
    #[track_caller]
    fn run(&self, program: Program, args: &[&str]) -> Run {
        self.home
            .invocation(program, args)
            .dir(self.scratch.path())
            .run()
    }
}

/// The samples that list as recorded; the others have tests of their own below.
fn ordinary() -> impl Iterator<Item = Sample> {
    sample_names()
        .into_iter()
        .map(sample)
        .filter(|sample| sample.row["list_json"].is_object())
}

#[test]
fn the_archives_are_those_recorded() {
    let mut count = 0;
    for sample in ordinary() {
        let opened = open(&sample);
        let keys = "{name}{archive}{barchive}{comment}{id}{tam}{start}{time}{end}{command_line}{hostname}{username}";
        let found = opened
            .run(
                Program::Ours,
                &[
                    "list",
                    "--consider-checkpoints",
                    "--json",
                    "--format",
                    keys,
                    &opened.repo,
                ],
            )
            .ok()
            .json();
        let recorded = &sample.row["list_json"];
        assert_eq!(found["archives"], recorded["archives"], "{}", sample.name);
        assert_eq!(
            found["encryption"]["mode"], recorded["encryption"]["mode"],
            "{}",
            sample.name
        );
        assert_eq!(
            found["repository"]["id"], recorded["repository"]["id"],
            "{}",
            sample.name
        );
        count += 1;
    }
    assert!(count > 20, "{count} samples with a recorded listing");
}

#[test]
fn the_items_are_those_recorded() {
    for sample in ordinary() {
        let opened = open(&sample);
        for archive in &sample.archives {
            let location = format!("{}::{}", opened.repo, archive.name);
            let args = [
                "list",
                "--json-lines",
                "--format",
                SampleArchive::FORMAT,
                &location,
            ];
            let found = opened.run(Program::Ours, &args).ok().json_lines();
            for (found, recorded) in found.iter().zip(&archive.items) {
                assert_eq!(found, recorded, "{} {}", sample.name, archive.name);
            }
            assert_eq!(
                found.len(),
                archive.items.len(),
                "{} {}",
                sample.name,
                archive.name
            );
        }
    }
}

#[test]
fn the_figures_are_those_recorded() {
    for sample in ordinary() {
        let opened = open(&sample);
        let document = opened
            .run(Program::Ours, &["info", "--json", &opened.repo])
            .ok()
            .json();
        if sample.row["cache_stats"].is_object() {
            assert_eq!(
                document["cache"]["stats"], sample.row["cache_stats"],
                "{}",
                sample.name
            );
        }
        for recorded in sample.row["info_archives"].as_array().into_iter().flatten() {
            let name = recorded["name"].as_str().expect("a name");
            let location = format!("{}::{name}", opened.repo);
            let document = opened
                .run(Program::Ours, &["info", "--json", &location])
                .ok()
                .json();
            let found = &document["archives"][0];
            for (key, value) in recorded.as_object().expect("an object") {
                assert_eq!(found[key], *value, "{} {name}: {key}", sample.name);
            }
        }
    }
}

#[test]
fn the_files_are_those_recorded() {
    for sample in ordinary() {
        let opened = open(&sample);
        // Questions are asked once; have them out of the way.
        opened.run(Program::Stock, &["list", &opened.repo]).ok();
        let started = SystemTime::now();
        for archive in &sample.archives {
            let location = format!("{}::{}", opened.repo, archive.name);
            let trees = Program::BOTH.map(|program| {
                let dir = opened
                    .scratch
                    .dir(format!("{}-{}", program.name(), archive.name));
                let run = opened
                    .home
                    .invocation(program, ["extract", &location])
                    .dir(&dir)
                    .run();
                (run, Snapshot::of(&dir).without_times_since(started))
            });
            let [(ours, our_tree), (stock, stock_tree)] = trees;
            assert_same_run(&ours, &stock);
            let mut our_tree = our_tree;
            // The directory extracted into is the test's own.
            let top = stock_tree.nodes[b"".as_slice()].clone();
            our_tree.nodes.insert(Vec::new(), top);
            let differences = stock_tree.differences(&our_tree, Compare::Everything);
            assert!(
                differences.is_empty(),
                "{} {}: {differences:#?}",
                sample.name,
                archive.name
            );
            assert_eq!(
                hashes_of(&our_tree),
                recorded_hashes(archive),
                "{} {}",
                sample.name,
                archive.name
            );
        }
    }
}

/// How often each content hash occurs, counting the names of one inode once.
fn hashes_of(tree: &Snapshot) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (path, node) in &tree.nodes {
        let NodeKind::File { sha256, .. } = &node.kind else {
            continue;
        };
        if node.link_of.as_ref().is_none_or(|first| first == path) {
            *counts.entry(sha256.clone()).or_default() += 1;
        }
    }
    counts
}

fn recorded_hashes(archive: &SampleArchive) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for item in &archive.items {
        let is_first_name = item["type"] == "-" && item["linktarget"] == "";
        if let Some(hash) = item["sha256"]
            .as_str()
            .filter(|hash| is_first_name && !hash.is_empty())
        {
            *counts.entry(hash.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// After ours has written to an old repository, stock Borg still takes it for its own.
#[test]
fn ours_adds_an_archive_to_every_sample() {
    for sample in ordinary().filter(|sample| sample.name != "feature-flags") {
        let opened = open(&sample);
        let tree = opened.scratch.dir("added");
        std::fs::write(tree.join("file"), b"added by another program").expect("room on the disk");
        let location = format!("{}::added", opened.repo);
        opened
            .run(Program::Ours, &["create", &location, "added"])
            .ok();
        // A sample with archives that never had a TAM, or with damage on purpose, has its known findings.
        let check = opened.run(Program::Stock, &["check", "--verify-data", &opened.repo]);
        let recorded = sample.row["check_verify_data"]["rc"].as_i64();
        assert_eq!(
            Some(i64::from(check.code())),
            recorded,
            "{}\n{check}",
            sample.name
        );
        let text = opened
            .run(Program::Stock, &["extract", "--stdout", &location])
            .ok();
        assert_eq!(text.out(), "added by another program", "{}", sample.name);
    }
}

#[test]
fn an_unknown_mandatory_feature_forbids_writing() {
    let sample = sample("feature-flags");
    let opened = open(&sample);
    let location = format!("{}::b", opened.repo);
    opened.scratch.dir("small");
    let [ours, stock] =
        Program::BOTH.map(|program| opened.run(program, &["create", &location, "small"]));
    assert_same_run(&ours, &stock);
    let recorded = &sample.row["create_result"];
    assert_eq!(Some(i64::from(ours.code())), recorded["rc"].as_i64());
    assert!(
        ours.err()
            .contains(recorded["stderr"][0].as_str().expect("a text")),
        "{ours}"
    );
    opened.run(Program::Ours, &["info", &opened.repo]).ok();
}

#[test]
fn passphrase_mode_asks_for_a_migration_and_reads_after_it() {
    let sample = sample("passphrase-mode");
    let opened = open(&sample);
    let [ours, stock] = Program::BOTH.map(|program| opened.run(program, &["list", &opened.repo]));
    assert_same_run(&ours, &stock);
    assert_eq!(
        Some(i64::from(ours.code())),
        sample.row["list_before_migration"]["rc"].as_i64()
    );
    opened
        .run(Program::Stock, &["key", "migrate-to-repokey", &opened.repo])
        .ok();
    let location = format!("{}::old", opened.repo);
    let args = [
        "list",
        "--json-lines",
        "--format",
        "{sha256}{size}",
        &location,
    ];
    let found = opened.run(Program::Ours, &args).ok().json_lines();
    assert_eq!(
        Value::from(found),
        sample.row["list_json_lines_after_migration"]
    );
}

#[test]
fn an_archive_that_is_not_authentic_is_refused() {
    let sample = sample("made-by-1.1.18-invalid-archive-tam");
    let opened = open(&sample);
    let renamed = format!("{}::renamed", opened.repo);
    let untouched = format!("{}::untouched", opened.repo);
    let around = opened
        .home
        .with("BORG_WORKAROUNDS", "ignore_invalid_archive_tam");
    let commands: [(&Home, &[&str]); 6] = [
        (&opened.home, &["list", &opened.repo]),
        (&opened.home, &["list", &untouched]),
        (&opened.home, &["list", &renamed]),
        (&opened.home, &["info", &renamed]),
        (&opened.home, &["extract", "--dry-run", &renamed]),
        (&around, &["list", &renamed]),
    ];
    for (home, args) in commands {
        let [ours, stock] = Program::BOTH.map(|program| home.run(program, args));
        assert_same_run(&ours, &stock);
    }
}

#[test]
fn part_files_show_only_when_asked_for() {
    let sample = sample("part-files");
    let opened = open(&sample);
    let location = format!("{}::parts", opened.repo);
    let args = [
        "list",
        "--consider-part-files",
        "--json-lines",
        "--format",
        "{size}",
        &location,
    ];
    let found = opened.run(Program::Ours, &args).ok().json_lines();
    assert_eq!(Value::from(found), sample.row["with_consider_part_files"]);
    for args in [
        &["list", "--consider-checkpoints", &opened.repo] as &[&str],
        &["list", "--consider-part-files", &location],
        &["list", &location],
    ] {
        let [ours, stock] = Program::BOTH.map(|program| opened.run(program, args));
        assert_same_run(&ours, &stock);
    }
}
