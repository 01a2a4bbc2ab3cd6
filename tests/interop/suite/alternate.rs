//! Both programs writing in turn to one repository, from one machine and from two.

use std::fs;

use ironborg_testkit::{Compare, Home, Program, assert_same_tree, tree};
use serde_json::Value;

use crate::scene::{ALL_ITEM_KEYS, KEY_MODES, Scene, text};

/// Deduplicated size and file count of `create --json`.
#[track_caller]
fn create_json(scene: &Scene, home: &Home, program: Program, name: &str) -> Value {
    let archive = scene.archive(name);
    scene
        .run_on(home, program, &["create", "--json", &archive, "tree"])
        .ok()
        .json()
}

#[track_caller]
fn deduplicated_size(document: &Value) -> u64 {
    document["archive"]["stats"]["deduplicated_size"]
        .as_u64()
        .expect("a number")
}

/// Ours, stock, ours, stock on one machine: no question, nothing stored twice, all archives good.
#[test]
fn on_one_machine_the_second_writer_stores_nothing() {
    for mode in KEY_MODES {
        for (first, second) in Program::DIRECTIONS {
            let scene = Scene::with_repository(first, mode);
            tree::rich(&scene.scratch.join("tree"));
            let documents = [(first, "a"), (second, "b"), (first, "c"), (second, "d")]
                .map(|(program, name)| create_json(&scene, &scene.home, program, name));
            let sizes = documents.each_ref().map(deduplicated_size);
            assert!(sizes[0] > 1_000_000, "{mode}: {sizes:?}");
            assert_eq!(
                sizes[1..],
                [0, 0, 0],
                "{mode}, {} first: stored twice",
                first.name()
            );
            let stats = documents.each_ref().map(|document| {
                let stats = &document["archive"]["stats"];
                (stats["nfiles"].clone(), stats["original_size"].clone())
            });
            assert!(
                stats.iter().all(|each| *each == stats[0]),
                "{mode}: {stats:?}"
            );
            scene.assert_checks();
            for (program, name) in [(first, "b"), (second, "c")] {
                scene.assert_restores(program, name, "tree");
            }
        }
    }
}

/// Two machines, each with one program, in turn.
#[test]
fn on_two_machines_the_second_writer_stores_nothing() {
    for mode in KEY_MODES {
        for (first, second) in Program::DIRECTIONS {
            let scene = Scene::with_repository(first, mode);
            tree::rich(&scene.scratch.join("tree"));
            let mut away = Home::new(&scene.scratch, "away");
            away.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
            copy_keys(&scene.home, &away);
            let runs = [
                (&scene.home, first, "a"),
                (&away, second, "b"),
                (&scene.home, first, "c"),
                (&away, second, "d"),
            ];
            let sizes = runs
                .map(|(home, program, name)| create_json(&scene, home, program, name))
                .map(|document| deduplicated_size(&document));
            assert_eq!(
                sizes[1..],
                [0, 0, 0],
                "{mode}, {} first: stored twice",
                first.name()
            );
            scene.assert_checks();
            let dir = scene.empty_dir("out");
            let run = away
                .invocation(second, ["extract", &scene.archive("c")])
                .dir(&dir)
                .run();
            run.ok();
            assert_same_tree(
                &scene.scratch.join("tree"),
                &dir.join("tree"),
                Compare::Everything,
            );
        }
    }
}

/// A tree that changes between backups: each program finds what the other left and adds only what is new.
#[test]
fn changes_between_backups_are_all_that_is_added() {
    let scene = Scene::with_repository(Program::Stock, "repokey-blake2");
    let top = scene.scratch.join("tree");
    tree::mixed(&top, 8, 1);
    let mut program = Program::Stock;
    create_json(&scene, &scene.home, program, "start");
    for step in 0..6_u8 {
        program = program.other();
        let content = ironborg_testkit::generated(&format!("step {step}"), 50_000);
        fs::write(top.join(format!("new {step}")), &content).expect("room on the disk");
        let document = create_json(&scene, &scene.home, program, &format!("step{step}"));
        let added = deduplicated_size(&document);
        assert!(
            (50_000..51_000).contains(&added),
            "step {step}: {added} bytes added"
        );
    }
    scene.assert_checks();
    for program in Program::BOTH {
        scene.assert_restores(program, "step5", "tree");
    }
    scene.assert_same_output(&["info", scene.repo()]);
    scene.assert_same_output(&["info", &scene.archive("step3")]);
}

/// Deleting with one and going on with the other, compacting in between.
#[test]
fn deleting_and_compacting_in_between() {
    for (first, second) in Program::DIRECTIONS {
        let scene = Scene::with_repository(first, "repokey");
        tree::mixed(&scene.scratch.join("one"), 6, 1);
        tree::mixed(&scene.scratch.join("two"), 6, 2);
        scene.create(first, "one", &[], "one");
        scene.create(second, "two", &[], "two");
        scene.run(first, &["delete", &scene.archive("two")]).ok();
        scene.run(Program::Stock, &["compact", scene.repo()]).ok();
        scene.assert_checks();
        scene.create(second, "two again", &[], "two");
        scene.run(second, &["delete", &scene.archive("one")]).ok();
        scene.run(Program::Stock, &["compact", scene.repo()]).ok();
        scene.create(first, "one again", &[], "one");
        scene.assert_checks();
        scene.assert_restores(first, "two again", "two");
        scene.assert_restores(second, "one again", "one");
        scene.assert_same_output(&["list", scene.repo()]);
        scene.assert_same_output(&["info", scene.repo()]);
    }
}

/// Renaming with one, reading with the other.
#[test]
fn renamed_archives_are_authentic_to_both() {
    for (first, second) in Program::DIRECTIONS {
        let scene = Scene::with_repository(first, "repokey-blake2");
        tree::rich(&scene.scratch.join("tree"));
        scene.create(first, "old", &["--comment", "kept"], "tree");
        scene
            .run(second, &["rename", &scene.archive("old"), "new"])
            .ok();
        scene.assert_checks();
        scene.assert_same_listing("new", ALL_ITEM_KEYS);
        scene.assert_same_output(&["info", &scene.archive("new")]);
        let run = scene.run(
            first,
            &["list", "--format", "{tam} {comment}{NL}", scene.repo()],
        );
        assert_eq!(run.out(), "verified kept\n");
    }
}

fn copy_keys(from: &Home, to: &Home) {
    let keys = from.config().join("keys");
    let target = to.config().join("keys");
    fs::create_dir_all(&target).expect("room on the disk");
    let Ok(entries) = fs::read_dir(&keys) else {
        return;
    };
    for entry in entries.flatten() {
        let copy = target.join(entry.file_name());
        fs::copy(entry.path(), &copy).unwrap_or_else(|error| panic!("{}: {error}", text(&copy)));
    }
}

/// The item stream of an archive, as its chunks' ids, does not depend on how many threads made it, nor on the program.
#[test]
fn the_number_of_threads_does_not_matter() {
    let scene = Scene::with_repository(Program::Stock, "repokey-blake2");
    let top = scene.scratch.dir("tree");
    tree::rich(&top.join("rich"));
    tree::mixed(&top.join("mixed"), 10, 3);
    tree::many_small(&top.join("small"), 500);
    // (stock Borg cannot dump items whose attributes have undecodable names.)
    scene.create(
        Program::Stock,
        "stock",
        &["-C", "none", "-e", "*/xattrs"],
        "tree",
    );
    let mut streams = vec![item_stream(&scene, "stock")];
    for threads in ["1", "2", "7"] {
        let name = format!("threads{threads}");
        // Every file is read and chunked again.
        let options = [
            "-C",
            "none",
            "-e",
            "*/xattrs",
            "--threads",
            threads,
            "--files-cache",
            "disabled",
        ];
        scene.create(Program::Ours, &name, &options, "tree");
        streams.push(item_stream(&scene, &name));
    }
    assert!(
        streams[0].as_array().is_some_and(|ids| !ids.is_empty()),
        "{:?}",
        streams[0]
    );
    for stream in &streams {
        assert_eq!(
            *stream, streams[0],
            "stock, then 1, 2 and 7 threads: {streams:#?}"
        );
    }
}

/// The ids of the chunks that hold an archive's items.
fn item_stream(scene: &Scene, name: &str) -> Value {
    let file = scene.empty_dir("dump").join("archive");
    let archive = scene.archive(name);
    let args = ["debug", "dump-archive", &archive, text(&file)];
    scene.run(Program::Stock, &args).ok();
    let bytes = fs::read(&file).expect("just written");
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    document["_meta"]["items"].clone()
}
