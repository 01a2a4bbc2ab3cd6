//! Keys kept elsewhere and brought back, passphrases changed, repositories related: what one program writes the other
//! takes, and both say the same.

use std::fs;
use std::path::PathBuf;

use ironborg_testkit::{Home, Program, Run, sample};

use crate::same_output::assert_same_run;
use crate::scene::{Scene, text};

/// One mode for each place of the key and each length of secrets.
const MODES: [&str; 3] = ["repokey", "keyfile-blake2", "authenticated"];

impl Scene {
    /// The files of the keys directory.
    fn key_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.config().join("keys"));
        let mut files: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("our own directory").path())
            .collect();
        files.sort();
        files
    }

    /// Where the key is, and the whole of it: the repository's config, the key files.
    fn keys(&self) -> Vec<(PathBuf, String)> {
        let mut files = vec![self.repo.join("config")];
        files.extend(self.key_files());
        let content = |path: PathBuf| {
            let content = fs::read_to_string(&path).expect("a file of this test");
            (path, content)
        };
        files.into_iter().map(content).collect()
    }

    /// Loses the key, wherever it is.
    fn lose_key(&self) {
        for file in self.key_files() {
            fs::remove_file(file).expect("our own file");
        }
        let config = self.repo.join("config");
        let text = fs::read_to_string(&config).expect("a config file");
        let rest = text
            .split_once("\nkey = ")
            .map_or(text.as_str(), |(rest, _)| rest);
        fs::write(&config, format!("{}\n\n", rest.trim_end())).expect("room on the disk");
    }

    /// Runs with text on standard input.
    fn type_in(&self, program: Program, args: &[&str], typed: &str) -> Run {
        let run = self.home.invocation(program, args);
        run.dir(self.scratch.path()).input(typed).run()
    }
}

/// The lines of a printed key as a person types them.
fn typed(paper: &str) -> Vec<&str> {
    let lines = paper.lines().skip_while(|line| !line.starts_with("id: "));
    lines
        .map(|line| line.split_once(": ").expect("a number").1)
        .collect()
}

#[test]
fn a_key_comes_back_in_every_form() {
    for mode in MODES {
        let scene = Scene::with_repository(Program::Stock, mode);
        scene.assert_same_output(&["key", "export", scene.repo()]);
        scene.assert_same_output(&["key", "export", "--paper", "--qr-html", scene.repo()]);
        for (writer, reader) in Program::DIRECTIONS {
            let saved = scene.save();
            let file = scene.scratch.join("exported");
            let _ = fs::remove_file(&file);
            scene
                .run(writer, &["key", "export", scene.repo(), text(&file)])
                .ok();
            let paper = scene
                .run(writer, &["key", "export", "--paper", scene.repo(), "-"])
                .ok();
            let lines = typed(&paper.out()).join("\n") + "\n";
            for paper in [false, true] {
                // Over the key that is there, then where there is none.
                for lost in [false, true] {
                    if lost {
                        scene.lose_key();
                        let _ = scene.run(Program::Ours, &["list", scene.repo()]).exits(2);
                    }
                    let run = if paper {
                        scene.type_in(reader, &["key", "import", "--paper", scene.repo()], &lines)
                    } else {
                        scene.run(reader, &["key", "import", scene.repo(), text(&file)])
                    };
                    assert!(run.ok().err().is_empty(), "an import has nothing to say");
                    scene.run(writer, &["list", scene.repo()]).ok();
                }
            }
            saved.restore();
        }
    }
}

/// The same file or config to the byte, the same name of a new key file, the same permissions.
#[test]
fn an_import_leaves_the_same_files() {
    for mode in ["repokey", "keyfile"] {
        let scene = Scene::with_repository(Program::Stock, mode);
        let exported = scene.scratch.join("exported");
        scene
            .run(
                Program::Stock,
                &["key", "export", scene.repo(), text(&exported)],
            )
            .ok();
        let paper = scene
            .run(Program::Stock, &["key", "export", "--paper", scene.repo()])
            .ok()
            .out();
        let lines = typed(&paper).join("\n") + "\n";
        // A relative location is a name of another kind.
        for place in [scene.repo(), "repo"] {
            let [ours, stock] = scene.each_from_same_state(|program| {
                scene.lose_key();
                scene
                    .run(program, &["key", "import", place, text(&exported)])
                    .ok();
                let imported = scene.keys();
                scene.lose_key();
                scene
                    .type_in(program, &["key", "import", "--paper", place], &lines)
                    .ok();
                (imported, scene.keys(), modes(&scene))
            });
            assert_eq!(ours, stock);
        }
        let named = scene.scratch.join("named key");
        let home = scene.home.with("BORG_KEY_FILE", &named);
        let [ours, stock] = scene.each_from_same_state(|program| {
            let _ = fs::remove_file(&named);
            scene
                .run_on(
                    &home,
                    program,
                    &["key", "import", scene.repo(), text(&exported)],
                )
                .ok();
            (fs::read_to_string(&named).ok(), scene.keys())
        });
        assert_eq!(ours, stock);
    }
}

/// Permissions of the key files and of what is exported.
fn modes(scene: &Scene) -> Vec<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mut files = scene.key_files();
    files.push(scene.scratch.join("exported"));
    let mode = |file: &PathBuf| fs::metadata(file).map(|status| status.permissions().mode());
    files
        .iter()
        .map(|file| mode(file).expect("a file of this test"))
        .collect()
}

#[test]
fn mistakes_while_typing_are_told_in_the_same_words() {
    let scene = Scene::with_repository(Program::Stock, "keyfile");
    let export = |format: &str| scene.run(Program::Stock, &["key", "export", format, scene.repo()]);
    let paper = export("--paper").ok().out();
    let lines = typed(&paper);
    let (id, first) = (lines[0], lines[1]);
    let bad_digit = format!("x{}", &first[1..]);
    let swapped = lines[2];
    let sessions: &[&[&str]] = &[
        &[],
        &[""],
        &["", "y"],
        &[
            "",
            "nonsense",
            "d",
            "no dash",
            "a-b",
            "a/b/c/d-00",
            "a/b/c-00",
            "1-2-3",
        ],
        &[id],
        &[id, "", "Yes"],
        &[
            id,
            "",
            "n",
            &bad_digit,
            swapped,
            "abc-00",
            "\u{e9}-00",
            "\u{e9}",
            first,
        ],
        &["20/000000000000000000/000000000000-ba", id],
    ];
    for session in sessions {
        for json in [false, true] {
            let input = session.join("\n") + if session.is_empty() { "" } else { "\n" };
            let mut args = vec!["key", "import", "--paper", scene.repo()];
            if json {
                args.insert(0, "--log-json");
            }
            let [ours, stock] = Program::BOTH.map(|program| scene.type_in(program, &args, &input));
            assert_same_run(&ours, &stock);
        }
    }
    // All lines of another print but the first: only the sum of all tells. Then all of the right one.
    let mut tampered: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let other = scene.beside("other");
    other.init(Program::Stock, "keyfile");
    let foreign = scene
        .run(Program::Stock, &["key", "export", "--paper", other.repo()])
        .ok()
        .out();
    tampered[9] = typed(&foreign)[9].to_owned();
    let input = tampered.join("\n") + "\n" + &lines.join("\n") + "\n";
    let [ours, stock] = scene.each_from_same_state(|program| {
        let run = scene.type_in(program, &["key", "import", "--paper", scene.repo()], &input);
        (run, scene.keys())
    });
    assert_same_run(&ours.0, &stock.0);
    assert!(ours.0.out().contains("overall checksum"), "{}", ours.0);
    assert_eq!(ours.1, stock.1);
}

#[test]
fn refusals_are_the_same() {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let plain = scene.beside("plain");
    plain.init(Program::Stock, "none");
    scene.scratch.dir("directory");
    fs::write(scene.scratch.join("no key"), "something else\n").expect("room on the disk");
    fs::write(scene.scratch.join("empty"), "").expect("room on the disk");
    let other = format!("BORG_KEY {}\nabc\n", "ab".repeat(32));
    fs::write(scene.scratch.join("other"), other).expect("room on the disk");
    let modern = scene.home.with("BORG_EXIT_CODES", "modern");
    let commands: &[&[&str]] = &[
        &["key", "export", "plain"],
        &["key", "import", "plain", "no such file"],
        &["key", "change-passphrase", "plain"],
        &["key", "export", "repo", "directory"],
        &["key", "export", "--qr-html", "repo", "directory"],
        &["key", "export", "repo", "missing/file"],
        &["key", "import", "repo"],
        &["key", "import", "repo", "no such file"],
        &["key", "import", "repo", "no key"],
        &["key", "import", "repo", "empty"],
        &["key", "import", "repo", "other"],
        &["key", "import", "--paper", "repo", "other"],
        &["key", "export-related-secrets", "plain", "file"],
        &["key", "export", "no such repository"],
    ];
    for args in commands {
        let runs = Program::BOTH.map(|program| scene.run_on(&modern, program, args));
        let by_itself = ["export-related-secrets", "missing/file"];
        if args.iter().any(|word| by_itself.contains(word)) {
            // Stock Borg dies of an exception there.
            assert_eq!(runs[0].code(), runs[1].code(), "{}\n{}", runs[0], runs[1]);
        } else {
            assert_same_run(&runs[0], &runs[1]);
        }
    }
}

/// A damaged file is refused by ours: stock Borg would put it in the place of the good key.
#[test]
fn a_damaged_backup_does_not_replace_a_good_key() {
    for mode in ["repokey", "keyfile"] {
        let scene = Scene::with_repository(Program::Stock, mode);
        let whole = scene
            .run(Program::Ours, &["key", "export", scene.repo()])
            .ok()
            .out();
        let before = scene.keys();
        for damaged in [&whole[..100], &whole[..whole.len() / 2], &whole[..74]] {
            let _ = scene
                .type_in(
                    Program::Ours,
                    &["key", "import", scene.repo(), "-"],
                    damaged,
                )
                .exits(2);
            assert_eq!(scene.keys(), before);
        }
        let windows = whole.replace('\n', "\r\n");
        let run = scene.type_in(
            Program::Ours,
            &["key", "import", scene.repo(), "-"],
            &windows,
        );
        run.ok();
        scene.run(Program::Stock, &["list", scene.repo()]).ok();
    }
}

#[test]
fn the_passphrase_changes_hands() {
    for mode in ["repokey", "keyfile-blake2"] {
        let scene = Scene::with_repository(Program::Stock, mode);
        let args = ["-v", "key", "change-passphrase", scene.repo()];
        let new = scene.home.with("BORG_NEW_PASSPHRASE", "new");
        let [ours, stock] =
            scene.each_from_same_state(|program| scene.run_on(&new, program, &args));
        assert_same_run(&ours, &stock);
        let mut home = scene.home.clone();
        for (changer, reader, word) in [
            (Program::Ours, Program::Stock, "second"),
            (Program::Stock, Program::Ours, ""),
            (Program::Ours, Program::Stock, "dritte \u{1f511}"),
        ] {
            let new = home.with("BORG_NEW_PASSPHRASE", word);
            scene.run_on(&new, changer, &args).ok();
            let run = scene.run_on(&home, reader, &["list", scene.repo()]);
            assert_eq!(run.code(), 2, "the old passphrase\n{run}");
            home.set("BORG_PASSPHRASE", word);
            scene.run_on(&home, reader, &["list", scene.repo()]).ok();
        }
    }
}

/// Related repositories cut and name chunks alike: the same tree gives the same ids.
#[test]
fn related_repositories_share_ids() {
    for (source, target) in [
        ("repokey", "keyfile"),
        ("keyfile-blake2", "authenticated-blake2"),
    ] {
        for (first, second) in Program::DIRECTIONS {
            let scene = Scene::with_repository(first, source);
            let related = scene.beside("related");
            let path = ["key", "export-related-secrets", scene.repo(), "secrets"];
            let [ours, stock] = scene.each_from_same_state(|program| {
                scene.run(program, &path).ok();
                fs::read_to_string(scene.scratch.join("secrets")).expect("what was exported")
            });
            assert_eq!(ours, stock);
            let import = "--import-related-secrets=secrets";
            scene
                .run(second, &["init", import, "-e", target, related.repo()])
                .ok();
            let other_hash = if source.ends_with("blake2") {
                "repokey"
            } else {
                "repokey-blake2"
            };
            for program in Program::BOTH {
                let name = format!("refused by {}", program.name());
                let run = scene
                    .run(program, &["init", import, "-e", other_hash, &name])
                    .exits(2);
                assert!(
                    run.err().contains("You must keep the same ID hash"),
                    "{run}"
                );
            }
            let tree = scene.scratch.dir("tree");
            let bytes = ironborg_testkit::Random::new(7).bytes(3_000_000);
            fs::write(tree.join("file"), bytes).expect("room on the disk");
            let params = ["--chunker-params", "10,16,14,4095"];
            let ids = [(&scene, first), (&related, second)].map(|(scene, program)| {
                scene.create(program, "a", &params, "tree");
                chunk_ids(scene)
            });
            assert!(ids[0].len() > 50, "{} chunks", ids[0].len());
            assert_eq!(ids[0], ids[1]);
        }
    }
}

/// The ids of the chunks of the file of archive `a`.
fn chunk_ids(scene: &Scene) -> Vec<String> {
    let archive = scene.archive("a");
    let run = scene.run(Program::Stock, &["debug", "dump-archive", &archive, "-"]);
    let dump = run.ok().json();
    let items = dump["_items"].as_array().expect("a list");
    let chunks = items.iter().filter_map(|item| item["chunks"].as_array());
    let ids = chunks.flatten().map(|chunk| &chunk[0]);
    ids.map(|id| id.as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn passphrase_mode_is_left_behind() {
    let scene = Scene::new();
    let unpacked = sample("passphrase-mode").unpack(&scene.scratch, &scene.home);
    let repo = text(&unpacked.repository).to_owned();
    let mut home = scene.home.clone();
    home.set("BORG_PASSPHRASE", ironborg_testkit::sample_passphrase());
    home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let migrate = ["-v", "key", "migrate-to-repokey", &repo];
    let migrated = scene.beside(&repo);
    let wrong = home.with("BORG_PASSPHRASE", "wrong");
    let _ = migrated.run_on(&wrong, Program::Ours, &migrate).exits(2);
    let new: Home = home.with("BORG_NEW_PASSPHRASE", "another");
    let [ours, stock] = migrated.each_from_same_state(|program| {
        let run = migrated.run_on(&new, program, &migrate);
        let home = home.with("BORG_PASSPHRASE", "another");
        let lists = Program::BOTH.map(|program| migrated.run_on(&home, program, &["list", &repo]));
        assert_same_run(&lists[0], &lists[1]);
        (run, lists)
    });
    assert_same_run(&ours.0, &stock.0);
    assert_same_run(&ours.1[0], &stock.1[0]);
    assert_eq!(ours.1[0].code(), 0, "{}", ours.1[0]);
    assert!(ours.1[0].out().contains("old"), "{}", ours.1[0]);
}
