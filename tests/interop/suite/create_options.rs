//! `create` with each of its options: both programs, from the same state, say the same and store the same items.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ironborg_testkit::{Program, tree};

use crate::same_output::assert_same_run;
use crate::scene::{ALL_ITEM_KEYS, Scene};

/// Keys of items that do not depend on when a directory was last read or on the archive's random id.
const STABLE_KEYS: &str = "{type} {mode} {uid} {gid} {user} {group} {path} {source} {linktarget} {flags} {size} \
    {num_chunks} {mtime} {ctime} {sha256} {extra}{NL}";

fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    tree::rich(&scene.scratch.join("tree"));
    scene
}

/// The same for items that are as old as the run that made them.
const TIMELESS_KEYS: &str = "{type} {mode} {uid} {gid} {user} {group} {path} {source} {linktarget} {size} \
    {num_chunks} {sha256} {extra}{NL}";

/// Creates with each program from the same state and compares words, exit codes and the items stock Borg then lists.
#[track_caller]
fn check_with(scene: &Scene, options: &[&str], paths: &[&str], input: &[u8]) {
    let archive = scene.archive("new");
    let args = [
        &["create", "--compression", "none"],
        options,
        &[archive.as_str()],
        paths,
    ]
    .concat();
    // Standard input is as old as the run, and so is a directory that the runs themselves work in.
    let is_new = paths.iter().any(|path| ["-", ".", "--"].contains(path));
    let keys = if is_new { TIMELESS_KEYS } else { STABLE_KEYS };
    let listing = ["list", "--consider-part-files", "--format", keys, &archive];
    let [ours, stock] = scene.each_from_same_state(|program| {
        let invocation = scene
            .home
            .invocation(program, &args)
            .dir(scene.scratch.path());
        let run = invocation.input(input).run();
        (run, scene.run(Program::Stock, &listing))
    });
    assert_same_run(&ours.0, &stock.0);
    assert_same_run(&ours.1, &stock.1);
}

#[track_caller]
fn check(scene: &Scene, options: &[&str], paths: &[&str]) {
    check_with(scene, options, paths, b"");
}

#[test]
fn output_options() {
    let scene = scene();
    for options in [
        &[] as &[&str],
        &["--list"],
        &["--list", "--filter", "AME"],
        &["--list", "--filter", "sdfbch"],
        &["--stats"],
        &["--stats", "--iec"],
        &["--quick-stats"],
        &["-v"],
        &["-v", "--list", "--stats", "--show-rc"],
        &["--dry-run", "--list"],
        &["--dry-run", "--list", "--stats"],
        &["--log-json", "--list"],
        &[
            "--comment",
            "words ☃",
            "--timestamp",
            "2020-02-02T02:02:02",
            "--stats",
        ],
        &["--timestamp", "tree/text"],
    ] {
        check(&scene, options, &["tree"]);
    }
}

#[test]
fn json_figures() {
    let scene = scene();
    let archive = scene.archive("new");
    for options in [
        &["--json"] as &[&str],
        &["--json", "--quick-stats"],
        &["--json", "--list"],
    ] {
        let args = [
            &["create", "-C", "none"],
            options,
            &[archive.as_str(), "tree"],
        ]
        .concat();
        let [mut ours, mut stock] =
            scene.each_from_same_state(|program| scene.run(program, &args).ok().json());
        for document in [&mut ours, &mut stock] {
            for key in ["id", "start", "end", "duration"] {
                assert!(
                    document["archive"][key].take() != serde_json::Value::Null,
                    "no {key}"
                );
            }
            document["repository"]["last_modified"].take();
        }
        assert_eq!(ours, stock, "{options:?}, ours first");
    }
}

#[test]
fn exclusions() {
    let scene = scene();
    fs::write(
        scene.scratch.join("excludes"),
        "# a comment\n\n*/names/*\nsh:**/level*\n",
    )
    .expect("room");
    let patterns =
        "R tree/links\nR tree/many\nP sh\n- **/z*\n+ tree/many/1*\n! tree/many/2\n- tree/many\n";
    fs::write(scene.scratch.join("patterns"), patterns).expect("room on the disk");
    for options in [
        &["--exclude", "tree/names"] as &[&str],
        &["--exclude", "*/m*"],
        &["--exclude", "re:[0-9]$", "--exclude", "pp:tree/links"],
        &["--exclude", "pf:tree/text"],
        &["--exclude-from", "excludes"],
        &["--pattern", "+ tree/names/**", "--pattern", "- tree/**"],
        &["--pattern", "! tree/names", "--pattern", "- re:e$"],
        &["--exclude-caches"],
        &["--exclude-if-present", ".nobackup"],
        &[
            "--exclude-if-present",
            ".nobackup",
            "--exclude-caches",
            "--keep-exclude-tags",
        ],
        &["--exclude-nodump"],
        &["--one-file-system"],
    ] {
        let listed = [options, &["--list"]].concat();
        check(&scene, &listed, &["tree"]);
    }
    check(&scene, &["--list", "--patterns-from", "patterns"], &[]);
    check(
        &scene,
        &["--list", "--patterns-from", "patterns"],
        &["tree/special"],
    );
}

#[test]
fn metadata_options() {
    let scene = scene();
    for options in [
        &["--numeric-ids"] as &[&str],
        &["--numeric-owner"],
        &["--noctime"],
        &["--nobirthtime"],
        &["--noflags"],
        &["--nobsdflags"],
        &["--noacls"],
        &["--noxattrs"],
        &["--atime"],
        &["--noatime"],
        &[
            "--noacls",
            "--noxattrs",
            "--noflags",
            "--noctime",
            "--nobirthtime",
            "--numeric-ids",
        ],
    ] {
        check(&scene, options, &["tree"]);
    }
}

#[test]
fn chunkers_and_sparse_files() {
    let scene = scene();
    let top = scene.scratch.join("tree");
    tree::mixed(&top.join("mixed"), 3, 5);
    for options in [
        &["--chunker-params", "10,23,16,4095"] as &[&str],
        &["--chunker-params", "buzhash,12,16,14,511"],
        &["--chunker-params", "fixed,4096"],
        &["--chunker-params", "fixed,65536,1000"],
        &["--chunker-params", "default"],
        &["--sparse"],
        &["--sparse", "--chunker-params", "fixed,4096"],
        &["--sparse", "--chunker-params", "fixed,65536,512"],
        &["--sparse", "--chunker-params", "14,18,16,4095"],
    ] {
        check(&scene, options, &["tree"]);
    }
}

#[test]
fn several_roots_and_odd_paths() {
    let scene = scene();
    let absolute = scene.scratch.join("tree/links");
    let slashdot = scene.scratch.join("tree/./names");
    let [absolute, slashdot] = [&absolute, &slashdot].map(|path| path.to_str().expect("plain"));
    for paths in [
        &["tree/links", "tree/many"] as &[&str],
        &["tree/links", "tree/links/m"],
        &["tree/links/", "./tree//text"],
        &["tree/../tree/text"],
        &[absolute],
        &[slashdot],
        &["tree/text", "no such file"],
        &["tree/links/relative", "tree/links/dangling"],
        &["tree/special"],
        &["."],
    ] {
        let options: &[&str] = if paths == ["."] {
            // What is excluded here is made anew for each program, and so has other inodes: their order
            // is that of the list.
            &[
                "--list",
                "--filter",
                "AMUCEdbcfhs",
                "-e",
                "repo",
                "-e",
                "home",
                "-e",
                "saved*",
            ]
        } else {
            &["--list"]
        };
        check(&scene, options, paths);
    }
}

#[test]
fn standard_input_and_commands() {
    let scene = scene();
    let data = ironborg_testkit::generated("standard input", 3_000_000);
    check_with(&scene, &["--list"], &["-"], &data);
    check_with(&scene, &["--list"], &["-"], b"");
    let named = [
        "--stdin-name",
        "dump.sql",
        "--stdin-user",
        "daemon",
        "--stdin-group",
        "bin",
        "--stdin-mode",
        "0644",
    ];
    check_with(&scene, &named, &["-"], b"some lines\n");
    check_with(&scene, &["--list"], &["tree/text", "-"], b"both");
    check(
        &scene,
        &["--content-from-command", "--stdin-name", "out"],
        &["--", "printf", "%s", "hello"],
    );
    check(
        &scene,
        &["--content-from-command"],
        &["--", "sh", "-c", "echo partly; exit 3"],
    );
    check(
        &scene,
        &["--content-from-command"],
        &["--", "no-such-command"],
    );
    check_with(
        &scene,
        &["--paths-from-stdin", "--list"],
        &[],
        b"tree/text\ntree/links\ntree/special/fifo\n",
    );
    check_with(
        &scene,
        &["--paths-from-stdin", "--paths-delimiter", "\\0", "--list"],
        &[],
        b"tree/text\0tree/empty\0",
    );
    check_with(
        &scene,
        &["--paths-from-stdin", "--list"],
        &[],
        b"tree/text\nno such file\n",
    );
    check(
        &scene,
        &["--paths-from-command", "--list"],
        &["--", "printf", "tree/text\\ntree/empty\\n"],
    );
    check(&scene, &["--paths-from-command"], &["--", "false"]);
}

/// `--read-special` reads what symbolic links and pipes lead to.
#[test]
fn special_files_read_as_content() {
    let scene = Scene::with_repository(Program::Stock, "none");
    let top = scene.scratch.dir("tree");
    fs::write(top.join("content"), b"behind a link").expect("room on the disk");
    std::os::unix::fs::symlink("content", top.join("link")).expect("a new symlink");
    std::os::unix::fs::symlink("missing", top.join("dangling")).expect("a new symlink");
    std::os::unix::fs::symlink("/dev/null", top.join("null")).expect("a new symlink");
    check(&scene, &["--read-special", "--list"], &["tree"]);
}

/// A second and third backup: what is unchanged is not read again, what changed is, in every files-cache mode.
#[test]
fn unchanged_and_changed_files() {
    for mode in [
        "ctime,size,inode",
        "mtime,size",
        "size",
        "ctime,size",
        "rechunk,ctime",
        "mtime,size,inode",
        "disabled",
    ] {
        let scene = Scene::with_repository(Program::Stock, "repokey");
        let [ours, stock] = scene.each_from_same_state(|program| {
            let top = scene.scratch.join("tree");
            let _ = fs::remove_dir_all(&top);
            tree::many_small(&top, 30);
            std::thread::sleep(Duration::from_millis(30));
            touch(&top.join("newer"), b"newer than the others");
            let mut said = Vec::new();
            let mut create = |name: &str| {
                let args = [
                    "create",
                    "--list",
                    "-C",
                    "none",
                    "--files-cache",
                    mode,
                    &scene.archive(name),
                    "tree",
                ];
                // The newest files of a run are never trusted; let the clock move on.
                std::thread::sleep(Duration::from_millis(30));
                said.push(sorted(&scene.run(program, &args).ok().err()));
            };
            create("first");
            touch(
                &top.join("zz newest"),
                b"makes the others older than the newest",
            );
            create("second");
            create("third");
            touch(&top.join("d0000/f000003"), b"changed");
            fs::rename(top.join("d0000/f000004"), top.join("d0000/f000004b"))
                .expect("our own file");
            create("fourth");
            said
        });
        assert_eq!(ours, stock, "files cache mode {mode}, ours first");
        if mode != "disabled" && !mode.contains("rechunk") {
            assert!(
                ours[2].iter().any(|line| line.starts_with("U ")),
                "{mode}: {:?}",
                ours[2]
            );
        }
    }
}

fn touch(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("room on the disk");
}

/// Directory order differs between two makings of a tree; the set of lines must not.
fn sorted(lines: &str) -> Vec<String> {
    let mut lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn placeholders_in_archive_names() {
    let scene = scene();
    let home = scene.home.with("BORG_HOSTNAME", "somewhere");
    for name in [
        "{hostname}-x",
        "{user}-{now:%Y}",
        "{borgversion}-{borgmajor}.{borgminor}",
        "{{literal}}",
        "{unknown}",
    ] {
        let [ours, stock] = scene.each_from_same_state(|program| {
            let run = scene.run_on(
                &home,
                program,
                &["create", &scene.archive(name), "tree/text"],
            );
            (
                run,
                scene
                    .run(Program::Stock, &["list", "--short", scene.repo()])
                    .ok()
                    .out(),
            )
        });
        assert_eq!(ours.0.code(), stock.0.code(), "{}\n{}", ours.0, stock.0);
        assert_eq!(ours.1, stock.1, "{name}");
    }
}

#[test]
fn refusals_are_the_same() {
    let scene = scene();
    scene.create(Program::Stock, "taken", &[], "tree/text");
    let repo = scene.repo().to_owned();
    for args in [
        &["create", &scene.archive("taken"), "tree/text"] as &[&str],
        &["create", &repo, "tree/text"],
        &["create", &scene.archive("a/b"), "tree/text"],
        &["create", &scene.archive(""), "tree/text"],
        &["create", "nowhere::a", "tree/text"],
        &["create", &scene.archive("only missing"), "no such file"],
    ] {
        for scheme in ["legacy", "modern"] {
            let home = scene.home.with("BORG_EXIT_CODES", scheme);
            let [ours, stock] =
                scene.each_from_same_state(|program| scene.run_on(&home, program, args));
            assert_same_run(&ours, &stock);
        }
    }
    for args in [
        &[
            "create",
            "--chunker-params",
            "nonsense",
            &scene.archive("x"),
            "tree",
        ] as &[&str],
        &[
            "create",
            "--chunker-params",
            "9,5,7,4095",
            &scene.archive("x"),
            "tree",
        ],
        &[
            "create",
            "--compression",
            "zstd,99",
            &scene.archive("x"),
            "tree",
        ],
        &[
            "create",
            "--files-cache",
            "nonsense",
            &scene.archive("x"),
            "tree",
        ],
        &[
            "create",
            "--timestamp",
            "yesterday",
            &scene.archive("x"),
            "tree",
        ],
        &[
            "create",
            "--stats",
            "--quick-stats",
            &scene.archive("x"),
            "tree",
        ],
        &["create", "--no such option", &scene.archive("x"), "tree"],
        &["create", &scene.archive("x")],
        &["create"],
        &["nonsense"],
        &[],
    ] {
        let runs = scene.each_from_same_state(|program| scene.run(program, args));
        assert_eq!(
            runs[0].code(),
            runs[1].code(),
            "usage error\n{}\n{}",
            runs[0],
            runs[1]
        );
    }
}

/// The archive's recorded figures are those of stock Borg, down to the csize of every chunk without compression.
#[test]
fn stored_figures_agree() {
    let scene = scene();
    let [ours, stock] = scene.each_from_same_state(|program| {
        scene.create(
            program,
            "a",
            &["-C", "none", "--timestamp", "2024-01-01T00:00:00"],
            "tree",
        );
        let archive = scene.archive("a");
        let items = scene
            .run(
                Program::Stock,
                &["list", "--format", ALL_ITEM_KEYS, &archive],
            )
            .ok();
        let facts = scene.run(Program::Stock, &["info", &archive]).ok();
        let without_id = items
            .out()
            .lines()
            .map(|line| {
                line.split(' ')
                    .filter(|word| word.len() != 64)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect::<Vec<_>>();
        (without_id, crate::same_output::normal(&facts.stdout))
    });
    assert_eq!(ours.0, stock.0, "items, ours first");
    assert_eq!(ours.1, stock.1, "info, ours first");
}
