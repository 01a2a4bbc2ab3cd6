//! `init` in every mode with every option: the same files, the same words, and stock Borg takes it for its own.

use std::fs;
use std::path::Path;

use ironborg_testkit::{Program, Snapshot};

use crate::scene::{KEY_MODES, Scene, text};

/// Names, kinds, permissions and owners of everything below a directory; sizes and contents where they must agree.
fn shape(dir: &Path) -> Vec<String> {
    let snapshot = Snapshot::of(dir);
    let line = |(path, node): (&Vec<u8>, &ironborg_testkit::Node)| {
        let kind = match &node.kind {
            ironborg_testkit::NodeKind::File { .. } => "file",
            ironborg_testkit::NodeKind::Directory => "directory",
            _ => "other",
        };
        // The repository's random id names its security records.
        let words = path.split(|byte| *byte == b'/');
        let words = words.map(|word| {
            if word.len() == 64 {
                b"ID".as_slice()
            } else {
                word
            }
        });
        let path = words.collect::<Vec<_>>().join(&b'/');
        format!(
            "{} {kind} {:o} {} {}",
            path.escape_ascii(),
            node.mode,
            node.uid,
            node.gid
        )
    };
    snapshot.nodes.iter().map(line).collect()
}

/// The repository's config with its id and key blanked.
fn config(repo: &Path) -> String {
    let text = fs::read_to_string(repo.join("config")).expect("a config file");
    let mut in_key = false;
    let lines = text.lines().map(|line| {
        in_key = line.starts_with("key =") || (in_key && line.starts_with('\t'));
        if in_key || line.starts_with("id =") {
            "(random)"
        } else {
            line
        }
    });
    let mut lines: Vec<&str> = lines.collect();
    lines.dedup();
    lines.join("\n")
}

#[test]
fn every_mode_leaves_the_same_files_and_words() {
    for mode in KEY_MODES {
        let options: &[&[&str]] = &[
            &[],
            &["--append-only"],
            &["--storage-quota", "5G"],
            &["-v", "--append-only", "--storage-quota", "10M"],
        ];
        for options in options {
            let scene = Scene::new();
            let args = [&["init", "--encryption", mode], *options, &[scene.repo()]].concat();
            let facts = scene.each_from_same_state(|program| {
                let run = scene.run(program, &args);
                let keys = scene.home.config();
                // Caches are each program's own affair; keys and security records are shared.
                (run, shape(&scene.repo), config(&scene.repo), shape(&keys))
            });
            let [ours, stock] = &facts;
            crate::same_output::assert_same_run(&ours.0, &stock.0);
            assert_eq!(ours.1, stock.1, "{args:?}: files of the repository");
            assert_eq!(ours.2, stock.2, "{args:?}: config");
            assert_eq!(ours.3, stock.3, "{args:?}: keys and security records");
        }
    }
}

#[test]
fn stock_accepts_what_ours_made() {
    for mode in KEY_MODES {
        let scene = Scene::with_repository(Program::Ours, mode);
        scene.assert_checks();
        scene.assert_same_output(&["list", "--json", scene.repo()]);
        scene.assert_same_output(&["info", "--json", scene.repo()]);
        let list = scene
            .run(Program::Stock, &["config", "--list", scene.repo()])
            .ok();
        assert!(list.out().contains("append_only = 0"), "{list}");
        if mode.contains("key") {
            scene
                .run(Program::Stock, &["key", "export", scene.repo()])
                .ok();
            let new = scene.home.with("BORG_NEW_PASSPHRASE", "another one");
            scene
                .run_on(
                    &new,
                    Program::Stock,
                    &["key", "change-passphrase", scene.repo()],
                )
                .ok();
            let changed = scene.home.with("BORG_PASSPHRASE", "another one");
            scene
                .run_on(&changed, Program::Ours, &["list", scene.repo()])
                .ok();
        }
    }
}

#[test]
fn an_empty_passphrase_and_a_long_one_work() {
    for passphrase in ["", "pässwörd \u{1f511} with blanks ", &"long ".repeat(500)] {
        for (maker, user) in Program::DIRECTIONS {
            let scene = Scene::new();
            let home = scene.home.with("BORG_PASSPHRASE", passphrase);
            scene
                .run_on(&home, maker, &["init", "-e", "repokey", scene.repo()])
                .ok();
            scene.run_on(&home, user, &["list", scene.repo()]).ok();
            let wrong = scene.home.with("BORG_PASSPHRASE", "wrong");
            scene.assert_same_output_on(&wrong, &["list", scene.repo()]);
        }
    }
}

#[test]
fn refusals_are_the_same() {
    let scene = Scene::with_repository(Program::Stock, "none");
    let occupied = scene.scratch.dir("occupied");
    fs::write(occupied.join("file"), b"in the way").expect("room on the disk");
    fs::write(scene.scratch.join("a file"), b"no directory").expect("room on the disk");
    let deep = scene.scratch.join("a/b/c");
    let commands: &[&[&str]] = &[
        &["init", "-e", "none", scene.repo()],
        &["init", "-e", "none", text(&occupied)],
        &["init", "-e", "none", text(&deep)],
        &["init", "-e", "none", "a file"],
        &["init", "-e", "none", "a file/below"],
        &["init", "-e", "none", "repo::archive"],
        &["init", "-e", "none", ""],
        &["init", "-e", "none", "--storage-quota", "5M", "small quota"],
        &["init", "-e", "none", "--storage-quota", "x", "bad quota"],
        &["init", "-e", "nonsense", "new"],
        &["init", "new"],
    ];
    for args in commands {
        for scheme in ["legacy", "modern"] {
            let home = scene.home.with("BORG_EXIT_CODES", scheme);
            let runs = scene.each_from_same_state(|program| {
                let run = scene.run_on(&home, program, args);
                let _ = fs::remove_dir_all(scene.scratch.join("small quota"));
                run
            });
            if args.contains(&"nonsense") || args.contains(&"x") || args == &["init", "new"] {
                // Usage errors: the exit code must agree; the words of the usage summary are our own.
                assert_eq!(runs[0].code(), runs[1].code(), "{}\n{}", runs[0], runs[1]);
            } else {
                crate::same_output::assert_same_run(&runs[0], &runs[1]);
            }
        }
    }
}

#[test]
fn parent_directories_are_made_on_request() {
    for program in Program::BOTH {
        let scene = Scene::new();
        let deep = scene.scratch.join("a/b/c");
        scene
            .run(
                program,
                &["init", "-e", "none", "--make-parent-dirs", text(&deep)],
            )
            .ok();
        let shapes = shape(&scene.scratch.join("a"));
        assert!(
            shapes
                .iter()
                .take(3)
                .all(|line| line.contains("directory 700")),
            "{shapes:?}"
        );
    }
}

/// A quota is kept: what does not fit is refused, by either program, with the same words.
#[test]
fn a_quota_is_enforced() {
    let scene = Scene::new();
    let args = ["init", "-e", "none", "--storage-quota", "10M", scene.repo()];
    scene.run(Program::Ours, &args).ok();
    let tree = scene.scratch.dir("tree");
    let bytes = ironborg_testkit::Random::new(3).bytes(16_000_000);
    fs::write(tree.join("too large"), bytes).expect("room on the disk");
    let runs = scene.each_from_same_state(|program| {
        scene.run(
            program,
            &["create", "-C", "none", &scene.archive("a"), "tree"],
        )
    });
    for run in &runs {
        assert_eq!(run.code(), 2, "{run}");
        assert!(run.err().contains("quota"), "{run}");
    }
    scene.assert_same_output(&["list", scene.repo()]);
}
