//! The commands for looking into a repository: the same answers and the same files from both programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ironborg_testkit::{Program, Run, generated};

use crate::same_output::{assert_same_run, normal};
use crate::scene::{Scene, text};

/// What a command said, and the files it left in its own directory.
fn dumped(scene: &Scene, program: Program, args: &[&str]) -> (Run, BTreeMap<String, Vec<u8>>) {
    let dir = scene.empty_dir(program.name());
    let run = scene.home.invocation(program, args).dir(&dir).run();
    let files = fs::read_dir(&dir).expect("a directory of this test");
    let files = files.map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("plain names");
        (name, fs::read(entry.path()).expect("a file"))
    });
    (run, files.collect())
}

#[track_caller]
fn assert_same_dump(scene: &Scene, args: &[&str]) -> Run {
    let [(ours, our_files), (stock, stock_files)] =
        Program::BOTH.map(|program| dumped(scene, program, args));
    assert_same_run(&ours, &stock);
    assert!(
        our_files.keys().eq(stock_files.keys()),
        "{args:?}: {:?} instead of {:?}",
        our_files.keys(),
        stock_files.keys()
    );
    for (name, content) in &our_files {
        assert!(*content == stock_files[name], "{args:?}: {name} differs");
    }
    ours
}

#[track_caller]
fn assert_same_error(scene: &Scene, args: &[&str]) {
    let run = assert_same_dump(scene, args);
    assert_eq!(run.code(), 2, "{run}");
}

/// A repository with superseded and deleted objects, odd names and a file of several chunks.
fn scene_with_history(mode: &str) -> Scene {
    let scene = Scene::with_repository(Program::Stock, mode);
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("large"), generated("debug", 3 << 20)).expect("a file");
    fs::write(tree.join("text"), "needle in a haystack\n".repeat(50)).expect("a file");
    fs::write(tree.join("caf\u{e9} \"quoted\""), "").expect("a file");
    std::os::unix::fs::symlink("text", tree.join("link")).expect("a link");
    let options = [
        "--comment",
        "\u{fc}ber\nzwei",
        "--chunker-params",
        "15,18,16,4095",
    ];
    scene.create(Program::Stock, "one", &options, "tree");
    fs::write(tree.join("more"), "a needle more").expect("a file");
    scene.create(Program::Ours, "two", &options, "tree");
    let run = scene.run(Program::Stock, &["delete", &scene.archive("one")]);
    run.ok();
    scene
}

#[test]
fn documents_and_objects_are_dumped_alike() {
    let scene = scene_with_history("repokey");
    let (repo, archive, nothing) = (scene.repo(), scene.archive("two"), scene.archive("nothing"));
    let archive = archive.as_str();
    assert_same_dump(&scene, &["debug", "dump-manifest", repo, "-"]).ok();
    assert_same_dump(&scene, &["debug", "dump-archive", archive, "dump.json"]).ok();
    assert_same_dump(&scene, &["debug", "dump-archive-items", archive]).ok();
    assert_same_error(&scene, &["debug", "dump-archive", &nothing, "-"]);
    assert_same_dump(&scene, &["debug", "dump-hints", repo, "-"]).ok();
    assert_same_dump(&scene, &["debug", "dump-repo-objs", repo]).ok();
    assert_same_dump(&scene, &["debug", "dump-repo-objs", "--ghost", repo]).ok();
    let place = ["--ghost", "--segment", "3", "--offset", "9"];
    let args = [&["debug", "dump-repo-objs"], &place[..], &[repo]].concat();
    let run = assert_same_dump(&scene, &args).ok();
    assert!(run.err().contains("short read"), "{run}");
}

#[test]
fn damaged_segments_are_dumped_as_far_as_they_go() {
    let scene = scene_with_history("none");
    let repo = scene.repo();
    let data = scene.repo.join("data/0");
    let mut segments: Vec<_> = fs::read_dir(&data)
        .expect("segments")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    segments.sort_by_key(|path| fs::metadata(path).expect("a segment").len());
    let largest = segments.last().expect("there are segments");
    let mut bytes = fs::read(largest).expect("a segment");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(largest, bytes).expect("a segment");
    // What an interrupted writer leaves: a segment of no length, and one that was never committed.
    fs::write(data.join("900"), "").expect("a segment");
    fs::copy(&segments[segments.len() / 2], data.join("901")).expect("a segment");
    let run = assert_same_dump(&scene, &["debug", "dump-repo-objs", "--ghost", repo]).ok();
    assert!(run.err().contains("Invalid segment magic"), "{run}");
    let run = assert_same_dump(&scene, &["debug", "search-repo-objs", repo, "str:needle"]);
    assert_eq!(run.code(), 2, "{run}");
}

#[test]
fn searches_ids_and_counts_agree() {
    let scene = scene_with_history("keyfile-blake2");
    let repo = scene.repo();
    for wanted in ["str:needle", "hex:0a", "str:haystack\nnee", "str:", "text"] {
        assert_same_dump(&scene, &["debug", "search-repo-objs", repo, wanted]);
    }
    let tree = scene.scratch.join("tree/more");
    let run = assert_same_dump(&scene, &["debug", "id-hash", repo, text(&tree)]).ok();
    let id = run.out().trim().to_owned();
    let (unknown, short) = ("7".repeat(64), "abc");
    let args = ["debug", "refcount-obj", repo, &id, &unknown, short, "zz"];
    let run = assert_same_dump(&scene, &args).ok();
    assert!(run.out().contains("has 1 referrers"), "{run}");
    assert_same_error(&scene, &["debug", "id-hash", repo, "missing"]);
    assert_same_dump(&scene, &["debug", "get-obj", repo, &id, "object"]).ok();
    for bad in [unknown.as_str(), short, "zz", "\u{e9}", "00"] {
        assert_same_error(&scene, &["debug", "get-obj", repo, bad, "object"]);
    }
}

#[test]
fn objects_one_program_puts_the_other_gets_and_deletes() {
    let scene = Scene::with_repository(Program::Stock, "none");
    let repo = scene.repo();
    let id = "5a".repeat(32);
    fs::write(scene.scratch.join("object"), generated("put", 70_000)).expect("a file");
    for (writer, reader) in Program::DIRECTIONS {
        let put = scene.run(writer, &["debug", "put-obj", repo, &id, "object"]);
        assert_eq!(put.ok().out(), format!("object {id} put.\n"));
        let name = format!("got-{}", reader.name());
        let got = scene.run(reader, &["debug", "get-obj", repo, &id, &name]);
        assert_eq!(got.ok().out(), format!("object {id} fetched.\n"));
        assert_same_content(&scene.scratch.join("object"), &scene.scratch.join(&name));
        let delete = ["debug", "delete-obj", repo, &id, "abc", &id];
        let deleted = scene.run(reader, &delete).ok();
        let expected = format!(
            "object {id} deleted.\nobject id abc is invalid.\nobject {id} not found.\nDone.\n"
        );
        assert_eq!(deleted.out(), expected);
    }
    assert_same_error(&scene, &["debug", "put-obj", repo, "abc", "missing"]);
    scene.assert_checks();
}

#[track_caller]
fn assert_same_content(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|path| fs::read(path).expect("a file of this test"));
    assert!(one == other, "the object has changed on its way");
}

#[test]
fn profiles_of_stock_borg_are_converted_for_python() {
    let scene = Scene::new();
    scene
        .run(
            Program::Stock,
            &["--debug-profile", "profile", "debug", "info"],
        )
        .ok();
    for program in Program::BOTH {
        let run = scene.run(
            program,
            &["debug", "convert-profile", "profile", program.name()],
        );
        assert_eq!(normal(&run.ok().stdout), "");
    }
    let script = "import marshal, pstats, sys\n\
        ours, stock = (marshal.load(open(name, 'rb')) for name in sys.argv[1:])\n\
        assert len(ours) > 10 and ours == stock\n\
        pstats.Stats(sys.argv[1])\n";
    let files = ["ours", "stock"].map(|name| scene.scratch.join(name));
    scene.home.stock_library(script, files).run().ok();
}

#[test]
fn what_a_bug_report_needs_is_shown() {
    let scene = Scene::new();
    for program in Program::BOTH {
        let out = scene.run(program, &["debug", "info"]).ok().out();
        for line in [
            "Platform: Linux ",
            "PID: ",
            "\n\nCRC implementation: ",
            "\nProcess ID: ('",
        ] {
            assert!(out.contains(line), "{line:?} is missing:\n{out}");
        }
        let home = scene.home.with("BORG_SHOW_SYSINFO", "no");
        let out = scene.run_on(&home, program, &["debug", "info"]).ok().out();
        assert!(out.starts_with("\nCRC implementation: "), "{out}");
    }
}
