//! Archives made anew: from the same repository both programs make the same ones, item by item and chunk by chunk, say
//! the same while they do it, and go on where the other was interrupted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ironborg_testkit::{Program, Random, Run, sample, sample_passphrase, tree};
use serde_json::Value;

use crate::same_output::assert_same_run;
use crate::scene::Scene;

const SCRIPT: &str = include_str!("archives.py");

/// Hard links, tags of both kinds, an empty file, content that compresses and content that does not.
fn make_tree(top: &Path) {
    let write = |path: &str, content: &[u8]| {
        let path = top.join(path);
        fs::create_dir_all(path.parent().expect("below the top")).expect("a scratch directory");
        fs::write(path, content).expect("room on the disk");
    };
    let mut random = Random::new(7);
    write("links/first", &tree::text(&mut random, 30_000));
    for later in ["links/second", "links/third", "other/fourth"] {
        fs::create_dir_all(top.join("other")).expect("a scratch directory");
        fs::hard_link(top.join("links/first"), top.join(later)).expect("one file system");
    }
    write("noise", &random.bytes(400_000));
    write("text", &tree::text(&mut random, 500_000));
    write("zeros", &vec![0; 200_000]);
    write("empty", b"");
    symlink("text", top.join("link")).expect("a scratch directory");
    let signature = b"Signature: 8a477f597d28d172789f06886806bc55\nand more";
    write("cache/CACHEDIR.TAG", signature);
    write("cache/below/file", b"to be left out");
    write("false cache/CACHEDIR.TAG", b"Signature: none");
    write("false cache/file", b"stays");
    write("linked cache/file", b"left out as well");
    let (tag, again) = ("cache/CACHEDIR.TAG", "linked cache/CACHEDIR.TAG");
    fs::hard_link(top.join(tag), top.join(again)).expect("one file system");
    write("tagged/.nobackup", b"a tag");
    write("tagged/file", b"left out");
    write("tagged by a directory/.nobackup/file", b"a tag");
    write("tagged by a directory/file", b"left out");
}

/// A repository of stock Borg's with two archives of such a tree, and a leftover of a recreation.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey-blake2");
    make_tree(&scene.scratch.join("tree"));
    let (repo, [a, b]) = (scene.repo(), ["a", "b"].map(|name| scene.archive(name)));
    let leftover = scene.archive("left.recreate");
    let time = "--timestamp=2024-05-06T07:08:09";
    let creates: [&[&str]; 3] = [
        &[
            "create",
            "--chunker-params=10,16,13,4095",
            "--comment=first",
            time,
            &a,
            "tree",
        ],
        &["create", "-C", "zstd,1", &b, "tree/text", "tree/links"],
        &["create", &leftover, "tree/empty"],
    ];
    for run in stock(&scene, &creates) {
        run.ok();
    }
    assert!(Path::new(repo).exists());
    scene
}

/// Runs of stock Borg, one after the other.
fn stock(scene: &Scene, lists: &[&[&str]]) -> Vec<Run> {
    let owned = |args: &&[&str]| args.iter().map(|&arg| arg.to_owned()).collect();
    let words: Vec<Vec<String>> = lists.iter().map(owned).collect();
    scene.home.stock_runs(scene.scratch.path(), &words)
}

/// Everything the repository's archives hold.
fn archives(scene: &Scene) -> Value {
    let script = scene.home.stock_library(SCRIPT, [scene.repo()]);
    let mut found = script.dir(scene.scratch.path()).run().ok().json();
    for (_, archive) in found.as_object_mut().expect("archives by name") {
        let Some(metadata) = archive.get_mut("metadata") else {
            continue;
        };
        // How long it took, for archives that were given a time.
        if metadata["recreate_cmdline"]
            .to_string()
            .contains(&hex("--timestamp"))
        {
            metadata["time_end"] = Value::Null;
        }
    }
    found
}

fn hex(text: &str) -> String {
    text.bytes()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Both programs, given these arguments one after the other from the same state, say the same and leave the same
/// archives; what ours leaves is checked by stock Borg. Gives back our runs.
#[track_caller]
fn assert_same_archives(scene: &Scene, lists: &[&[&str]]) -> Vec<Run> {
    let [(ours, our_archives), (theirs, their_archives)] = scene.each_from_same_state(|program| {
        let runs: Vec<Run> = match program {
            Program::Ours => lists.iter().map(|args| scene.run(program, args)).collect(),
            Program::Stock => stock(scene, lists),
        };
        let found = archives(scene);
        if program == Program::Ours {
            scene.assert_checks();
        }
        (runs, found)
    });
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_same_run(ours, theirs);
    }
    let names = |found: &Value| -> Vec<String> {
        found
            .as_object()
            .expect("archives by name")
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(names(&our_archives), names(&their_archives));
    for name in names(&our_archives) {
        let (ours, theirs) = (&our_archives[&name], &their_archives[&name]);
        assert_eq!(
            ours["metadata"], theirs["metadata"],
            "metadata of {name}, ours first"
        );
        assert_eq!(
            ours["items"], theirs["items"],
            "items of {name}, ours first"
        );
        assert_eq!(ours, theirs, "{name}, ours first");
    }
    ours
}

#[test]
fn what_is_left_out() {
    let scene = scene();
    let repo = scene.repo();
    let [a, b] = ["a", "b"].map(|name| scene.archive(name));
    assert_same_archives(
        &scene,
        &[
            &[
                "recreate", "--list", "--filter", "Axs", "--target", "t1", "-e", "*/first", &a,
            ],
            &[
                "recreate",
                "--list",
                "--target",
                "t2",
                "--exclude-caches",
                &a,
            ],
            &[
                "recreate",
                "--list",
                "--target",
                "t3",
                "--exclude-if-present",
                ".nobackup",
                &a,
            ],
            &[
                "recreate",
                "--list",
                "--log-json",
                "--target=t4",
                "--exclude-caches",
                "--exclude-if-present=.nobackup",
                "--keep-exclude-tags",
                &a,
            ],
            // A path that is asked for is there, tags or not.
            &[
                "recreate",
                "--target",
                "t5",
                "--exclude-caches",
                &a,
                "tree/cache",
                "tree/links/third",
            ],
            &[
                "recreate",
                "--dry-run",
                "--stats",
                "--list",
                "-e",
                "*/text",
                repo,
            ],
            &["recreate", "-v", "--pattern", "- **/links/[fs]*", repo],
            &["recreate", "--list", "-e", "tree/links", &b],
            &[
                "recreate",
                "-v",
                "--pattern",
                "+ **",
                "--pattern",
                "- **/x",
                &b,
            ],
        ],
    );
}

#[test]
fn content_made_anew() {
    let scene = scene();
    let repo = scene.repo();
    let [a, b] = ["a", "b"].map(|name| scene.archive(name));
    assert_same_archives(
        &scene,
        &[
            &[
                "recreate",
                "--target",
                "t1",
                "--chunker-params",
                "10,14,12,4095",
                "-C",
                "zstd",
                &a,
            ],
            &[
                "recreate",
                "--target",
                "t2",
                "--chunker-params",
                "fixed,65536,1000",
                &a,
            ],
            // The parameters it has: nothing is cut anew.
            &["recreate", "--chunker-params", "10,16,13,4095", &a],
            &[
                "recreate",
                "--chunker-params",
                "default",
                "--recompress",
                "if-different",
                "-C",
                "auto,zstd",
                &a,
            ],
            &[
                "recreate",
                "-v",
                "--stats",
                "--recompress",
                "always",
                "-C",
                "none",
                &a,
            ],
            &[
                "recreate",
                "-v",
                "--stats",
                "--iec",
                "--recompress",
                "if-different",
                "-C",
                "none",
                repo,
            ],
            &[
                "recreate",
                "-C",
                "lz4",
                "--recompress",
                "--target",
                "t3",
                &b,
                "tree/text",
            ],
            &[
                "recreate",
                "--recompress",
                "never",
                "-C",
                "zstd",
                "--comment",
                "",
                &b,
            ],
        ],
    );
}

#[test]
fn metadata_and_refusals() {
    let scene = scene();
    let repo = scene.repo();
    let [a, b, left] = ["a", "b", "left.recreate"].map(|name| scene.archive(name));
    let runs = assert_same_archives(
        &scene,
        &[
            &["recreate", &a],
            &["recreate", "-v", repo],
            &["recreate", "--target", "x", "--comment", "x", repo],
            &["recreate", "--comment", "x", &left],
            &["recreate", "--target", "b", &a],
            &["recreate", "--target", "b", "--dry-run", &a],
            &["recreate", "--target", "b/c", &a],
            &["recreate", "--target", "", &a],
            &["recreate", "--comment", "x", &scene.archive("missing")],
            &["recreate", "--recompress", &a],
            &["recreate", "--recompress", "sometimes", &a],
            &[
                "recreate",
                "--chunker-params",
                "default",
                "--chunker-params",
                "10,16,13,4095",
                &a,
            ],
            &["recreate", "--filter", "A", "--filter", "d", &a],
            &[
                "recreate",
                "--comment",
                "the {hostname} of {now:%Y}",
                "--target",
                "c",
                &a,
            ],
            &["recreate", "--timestamp", "2020-02-03T04:05:06", &a, "tree"],
            &[
                "recreate",
                "--comment",
                "second",
                "--checkpoint-interval",
                "0",
                &b,
            ],
            &["rename", &b, "a.recreate"],
            &["recreate", "--comment", "third", &a],
            &["recreate", "--comment", "fourth", repo],
        ],
    );
    let codes: Vec<i32> = runs.iter().map(Run::code).collect();
    assert_eq!(
        codes.iter().filter(|code| **code == 0).count(),
        5,
        "{codes:?}"
    );
}

/// What progress shows, as text and as JSON. How often archive figures are shown depends on the clock.
#[test]
fn progress() {
    let scene = scene();
    let [a, b] = ["a", "b"].map(|name| scene.archive(name));
    let saved = scene.save();
    let lists: [&[&str]; 3] = [
        &["recreate", "--progress", "--chunker-params", "default", &a],
        &[
            "recreate",
            "--progress",
            "--log-json",
            "--recompress",
            "always",
            &b,
        ],
        &[
            "recreate",
            "--progress",
            "--log-json",
            "--dry-run",
            "-e",
            "x",
            &a,
        ],
    ];
    // Both know the archives already: nothing is to be read for the first time.
    scene.run(Program::Ours, &["info", &a]).ok();
    let ours: Vec<Run> = lists
        .iter()
        .map(|args| scene.run(Program::Ours, args).ok())
        .collect();
    saved.restore();
    for (mut ours, mut theirs) in ours.into_iter().zip(stock(&scene, &lists)) {
        for run in [&mut ours, &mut theirs] {
            let text = String::from_utf8_lossy(&run.stderr);
            let figures = |line: &&str| line.contains(" O ") && line.contains(" N tree/");
            let lines: Vec<&str> = text
                .split_inclusive('\n')
                .filter(|line| !figures(line))
                .collect();
            run.stderr = lines.concat().into_bytes();
        }
        assert_same_run(&ours, &theirs);
    }
}

/// Archives of old versions, with part files, and with files that a repair had to mend.
#[test]
fn archives_of_all_ages() {
    for (name, archive) in [
        ("made-by-1.0.13-repokey", "rich"),
        ("part-files", "parts"),
        ("repaired", "dam"),
    ] {
        let mut scene = Scene::new();
        scene.home.set("BORG_PASSPHRASE", sample_passphrase());
        scene
            .home
            .set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        scene.home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        scene.moved_to(sample(name).unpack(&scene.scratch, &scene.home).repository);
        let archive = scene.archive(archive);
        assert_same_archives(
            &scene,
            &[
                &[
                    "recreate",
                    "--list",
                    "--comment",
                    "same",
                    "--target",
                    "t1",
                    &archive,
                ],
                &[
                    "recreate",
                    "--recompress=always",
                    "-C",
                    "zstd",
                    "--target",
                    "t2",
                    &archive,
                ],
                &[
                    "recreate",
                    "--list",
                    // Both have the same library for this one.
                    "--compression",
                    "zstd",
                    "--chunker-params",
                    "10,14,12,63",
                    &archive,
                ],
            ],
        );
    }
}

/// Killed at some moment, the archive is the old or the new one; the other program finishes the work.
#[test]
fn what_one_left_the_other_finishes() {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let top = scene.scratch.join("tree");
    tree::mixed(&top, 6, 3);
    scene.create(Program::Ours, "a", &["-C", "lz4"], "tree");
    let list = |program| {
        scene
            .run(program, &["list", "--short", scene.repo()])
            .ok()
            .out()
    };
    let archive = scene.archive("a");
    let mut killed = 0;
    for (program, params, wait) in [
        (Program::Ours, "11,15,13,4095", 20),
        (Program::Stock, "12,16,14,4095", 700),
        (Program::Ours, "11,14,12,4095", 90),
        (Program::Ours, "11,15,12,4095", 250),
    ] {
        let args = [
            "recreate",
            "-c",
            "1",
            "-C",
            "zlib",
            "--recompress=always",
            "--chunker-params",
            params,
            &archive,
        ];
        let mut invocation = scene
            .home
            .invocation(program, args)
            .dir(scene.scratch.path());
        let mut child = invocation.start_silent(Stdio::null());
        std::thread::sleep(Duration::from_millis(wait));
        killed += u32::from(child.try_wait().expect("our own child").is_none());
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        let other = program.other();
        let left = list(other);
        assert!(left.lines().any(|line| line == "a"), "{left}");
        for leftover in left.lines().filter(|line| *line != "a") {
            assert!(leftover.starts_with("a.recreate"), "{leftover}");
            scene.run(other, &["delete", &scene.archive(leftover)]).ok();
        }
        scene
            .run(
                other,
                &[
                    "recreate",
                    "--comment",
                    params,
                    "--chunker-params",
                    params,
                    &archive,
                ],
            )
            .ok();
        scene.assert_checks();
    }
    assert!(killed > 0, "none was still running");
    scene.assert_restores(Program::Ours, "a", "tree");
    scene.assert_restores(Program::Stock, "a", "tree");
}
