//! `check --repository-only`: both programs find the same on the same damage, say it in the same words, and a
//! repair by either leaves the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ironborg_testkit::{Program, Run, Server, Wire, generated};

use crate::same_output::{Files, assert_same_run, copy_all, files};
use crate::scene::{Scene, text};

/// A repository of small segments: archives came and went, so there are superseded and deleted objects.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.home.set("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    scene.init(Program::Stock, "repokey");
    let tree = scene.scratch.dir("tree");
    let config = scene.repo.join("config");
    let words = fs::read_to_string(&config).expect("a repository has a config");
    let words = words.replace("= 524288000", "= 60000");
    fs::write(
        &config,
        words.replace("segments_per_dir = 1000", "segments_per_dir = 5"),
    )
    .expect("room");
    for round in ["a", "b", "c"] {
        for file in 0..6 {
            let bytes = generated(&format!("{round}{}", file / 2 * 3), 9_000 + file * 3_000);
            fs::write(tree.join(file.to_string()), bytes).expect("room");
        }
        scene.create(Program::Ours, round, &["-C", "none"], "tree");
    }
    scene
        .run(Program::Ours, &["delete", scene.repo(), "b"])
        .ok();
    scene
}

/// The segments of a repository, ascending.
fn segments(repo: &Path) -> Vec<(u32, std::path::PathBuf)> {
    let mut found = Vec::new();
    for dir in fs::read_dir(repo.join("data")).expect("a repository") {
        for file in fs::read_dir(dir.expect("an entry").path()).expect("a directory") {
            let path = file.expect("an entry").path();
            let number = text(&path)
                .rsplit('/')
                .next()
                .and_then(|name| name.parse().ok());
            found.push((number.expect("a segment"), path));
        }
    }
    found.sort();
    found
}

/// The first segment that holds much.
fn large(segments: &[(u32, std::path::PathBuf)]) -> &Path {
    let is_large = |path: &Path| fs::metadata(path).expect("a segment").len() > 45_000;
    let found = segments.iter().find(|(_, path)| is_large(path));
    &found.expect("archives of that size").1
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a file of this test");
    change(&mut bytes);
    fs::write(path, bytes).expect("room");
}

/// Spoils the COMMIT a segment ends with.
fn spoil_commit(path: &Path) {
    edit(path, |bytes| *bytes.last_mut().expect("not empty") ^= 0xff);
}

/// The file of this kind that belongs to the committed transaction.
fn state_file(repo: &Path, kind: &str) -> std::path::PathBuf {
    let files = fs::read_dir(repo).expect("a repository").flatten();
    let mut paths = files.map(|entry| entry.path());
    let found = paths.find(|path| text(path).contains(&format!("/{kind}.")));
    found.expect("one of each kind")
}

/// Ways to damage a repository; `segments` are its segments.
type Damage = fn(&Path, &[(u32, std::path::PathBuf)]);

const DAMAGES: [(&str, Damage); 15] = [
    ("none", |_, _| {}),
    ("object", |_, segments| {
        edit(large(segments), |bytes| bytes[5000] ^= 1);
    }),
    ("size", |_, segments| {
        edit(large(segments), |bytes| bytes[12] ^= 0x41);
    }),
    ("tag", |_, segments| {
        edit(large(segments), |bytes| bytes[16] ^= 0x40);
    }),
    ("magic", |_, segments| {
        edit(large(segments), |bytes| bytes[1] = b'x');
    }),
    ("noise", |_, segments| {
        edit(large(segments), |bytes| {
            let noise = generated("noise", 20_000);
            bytes[10_000..30_000].copy_from_slice(&noise);
        });
    }),
    ("zeros", |_, segments| {
        edit(large(segments), |bytes| bytes[3000..40_000].fill(0));
    }),
    ("shorter", |_, segments| {
        edit(large(segments), |bytes| bytes.truncate(20_000));
    }),
    ("longer", |_, segments| {
        edit(large(segments), |bytes| {
            bytes.extend_from_slice(&generated("tail", 3000));
        });
        edit(&segments[2].1, |bytes| bytes.extend_from_slice(b"short"));
    }),
    ("emptied", |_, segments| edit(large(segments), Vec::clear)),
    ("removed", |_, segments| {
        fs::remove_file(large(segments)).expect("a segment");
    }),
    ("several", |_, segments| {
        for (_, path) in &segments[..segments.len() - 1] {
            edit(path, |bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 4;
            });
        }
    }),
    ("all-commits", |_, segments| {
        for (_, path) in segments {
            if fs::metadata(path).expect("a segment").len() == 17 {
                spoil_commit(path);
            }
        }
    }),
    ("wrong-index", |repo, _| falsify_index(repo)),
    ("no-state", |repo, _| {
        for kind in ["index", "hints"] {
            fs::remove_file(state_file(repo, kind)).expect("a file");
        }
    }),
];

/// An index that says two things wrong, without the digest that would tell.
fn falsify_index(repo: &Path) {
    fs::remove_file(state_file(repo, "integrity")).expect("a file");
    edit(&state_file(repo, "index"), |bytes| {
        bytes[8] -= 1;
        let buckets = bytes[18..].chunks_exact_mut(40);
        let mut used = buckets.filter(|bucket| bucket[35] != 0xff);
        used.next().expect("an entry")[36] ^= 1;
        used.next().expect("another")[32..36].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff]);
    });
}

/// What an index says, wherever in it.
fn index_of(bytes: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let buckets = bytes[18..]
        .chunks_exact(40)
        .map(|bucket| bucket.split_at(32));
    buckets.filter(|(_, value)| value[3] != 0xff).collect()
}

/// Both left the same: index files say the same, all but hints and their integrity is the same to the byte.
/// (The hints are shown by a command.)
#[track_caller]
fn assert_same_files([ours, stock]: &[Files; 2]) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(stock));
    for (name, bytes) in ours {
        let file = name.rsplit('/').next().expect("there is always one");
        let is = |kind: &str| file.starts_with(kind);
        if is("index.") {
            assert_eq!(index_of(bytes), index_of(&stock[name]), "{name}");
        } else if !is("hints.") && !is("integrity.") {
            assert!(*bytes == stock[name], "{name} differs");
        }
    }
}

/// A directory of repositories, each damaged in its own way, as the scene's "repository".
fn damaged(scene: &Scene) -> Scene {
    let top = scene.beside("damaged");
    scene.scratch.dir("damaged");
    for (name, damage) in DAMAGES {
        let repo = top.repo.join(name);
        copy_all(&scene.repo, &repo);
        damage(&repo, &segments(&repo));
    }
    top
}

#[test]
fn the_same_damage_is_found_and_repaired_alike() {
    let scene = scene();
    let top = damaged(&scene);
    let mut lists: Vec<Vec<&str>> = Vec::new();
    let repos = DAMAGES.map(|(name, _)| format!("{}/{name}", top.repo()));
    for (name, repo) in repos.iter().enumerate() {
        let check = ["check", "--repository-only"];
        let progress: &[&str] = &["--progress", "--log-json", "--info"];
        let more: &[&str] = if name % 3 == 0 { progress } else { &["-v"] };
        lists.push([&check[..], more, &[repo]].concat());
        lists.push([&check[..], &["--repair", repo]].concat());
        lists.push([&check[..], &["-v", "--show-rc", repo]].concat());
        lists.push(vec!["debug", "dump-hints", repo, "-"]);
    }
    let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
    let [(ours, our_files), (stock, stock_files)] = top.run_lists(&lists);
    for (ours, stock) in ours.iter().zip(&stock) {
        if ours.out().is_empty() {
            assert_same_run(ours, stock);
        } else {
            // Hints, in an order of their own.
            assert_eq!(ours.json(), stock.json(), "{ours}");
        }
    }
    let found = ours.chunks(4).filter(|runs| runs[0].code() == 1).count();
    assert_eq!(found, DAMAGES.len() - 2, "damage of segments is found");
    for runs in ours.chunks(4) {
        assert_eq!(runs[1].code(), 0, "{}", runs[1]);
        assert_eq!(runs[2].code(), 0, "{}", runs[2]);
    }
    assert_same_files(&[our_files, stock_files]);
}

/// Where stock Borg silently goes back to the transaction before, ours says what is wrong and brings the last one back.
#[test]
fn a_transaction_that_has_lost_its_commit_is_brought_back() {
    let scene = scene();
    let repo = scene.repo();
    let healthy = fs::read(state_file(&scene.repo, "index")).expect("an index");
    spoil_commit(&segments(&scene.repo).last().expect("segments").1);
    let look = ["check", "--repository-only", repo];
    let run = scene.run(Program::Ours, &look);
    assert_eq!(run.code(), 1, "{run}");
    let said = run.err();
    let finding = "was committed, but segment";
    assert!(said.contains(finding), "{run}");
    let run = scene.run(Program::Ours, &["create", &scene.archive("d"), "tree"]);
    assert_eq!(run.code(), 2, "{run}");
    assert!(run.err().contains("--repair"), "{run}");
    let repair = ["check", "--repository-only", "--repair", repo];
    scene.run(Program::Ours, &repair).ok();
    for program in Program::BOTH {
        scene.run(program, &["check", "--verify-data", repo]).ok();
    }
    let index = fs::read(state_file(&scene.repo, "index")).expect("an index");
    let ids = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let index = index_of(bytes);
        index.keys().map(|id| id.to_vec()).collect()
    };
    assert_eq!(ids(&index), ids(&healthy));
}

#[test]
fn what_one_has_repaired_the_other_finds_sound() {
    let scene = scene();
    let top = damaged(&scene);
    let repos = DAMAGES.map(|(name, _)| format!("{}/{name}", top.repo()));
    let repair = |repo: &String| {
        let words = ["check", "--repository-only", "--repair", repo];
        words.map(str::to_owned).to_vec()
    };
    let look = |repo: &String| {
        let words = ["check", "--repository-only", "-v", repo];
        words.map(str::to_owned).to_vec()
    };
    let (ours, stocks) = repos.split_at(repos.len() / 2);
    for words in ours.iter().map(repair) {
        scene.home.run(Program::Ours, words).ok();
    }
    let lists: Vec<_> = stocks
        .iter()
        .map(repair)
        .chain(ours.iter().map(look))
        .collect();
    let runs = scene.home.stock_runs(scene.scratch.path(), &lists);
    let sound = "Finished full repository check, no problems found.\n";
    for run in &runs[stocks.len()..] {
        assert!(run.code() == 0 && run.err().ends_with(sound), "{run}");
    }
    for words in stocks.iter().map(look) {
        let run = scene.home.run(Program::Ours, words).ok();
        assert!(run.err().ends_with(sound), "{run}");
    }
}

#[test]
fn a_limited_check_stops_and_goes_on_alike() {
    let scene = scene();
    let repo = scene.repo();
    let segments = segments(&scene.repo);
    edit(&segments[2].1, |bytes| bytes[11] ^= 0x10);
    let check =
        |options: &[&'static str]| [&["check", "--repository-only"], options, &[repo]].concat();
    let lists = [
        check(&["-v", "--max-duration=-1"]),
        check(&["--max-duration=-1", "--progress", "--log-json", "-v"]),
        check(&["--max-duration", "-1", "-v"]),
        check(&["--info", "--max-duration=1000", "--show-rc"]),
        check(&["-v", "--max-duration=1000", "--max-duration=-5"]),
        vec!["config", repo, "last_segment_checked"],
        check(&["--max-duration=1000"]),
        check(&["--max-duration=-1"]),
        check(&["-v"]),
        vec!["config", repo, "last_segment_checked"],
        vec!["config", repo, "last_segment_checked", "12"],
        check(&["-v", "--max-duration=1000"]),
        check(&["--repair", "--max-duration=5"]),
        vec!["check", "--max-duration=5", repo],
        check(&["--verify-data"]),
        check(&["--first=1"]),
        check(&["--last=1"]),
        check(&["--prefix="]),
        check(&["-a", "x*"]),
        check(&["--glob-archives="]),
        check(&["--archives-only", "-v"]),
        check(&["--save-space", "--bypass-lock", "-v"]),
        check(&["--max-duration=x"]),
    ];
    let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
    let (ours, files) = scene.assert_same_outputs(&lists);
    let codes: Vec<i32> = ours.iter().map(Run::code).collect();
    assert_eq!(codes[..4], [0, 0, 1, 0]);
    assert_same_files(&files);
    let archive = scene.archive("a");
    scene.assert_same_output(&["check", "--repository-only", &archive]);
}

#[test]
fn a_repair_is_asked_about_alike() {
    let scene = scene();
    let repo = scene.repo();
    for answer in ["NO", "yes", "no", "", "perhaps"] {
        let home = scene.home.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", answer);
        let json: &[&str] = if answer == "yes" {
            &["--log-json"]
        } else {
            &[]
        };
        let args = [&["check", "--repair", "--repository-only"], json, &[repo]].concat();
        scene.assert_same_output_on(&home, &args);
    }
    let before = files(&scene.repo);
    scene
        .run(Program::Ours, &["config", repo, "append_only", "1"])
        .ok();
    let refused = scene.run(
        Program::Ours,
        &["check", "--repair", "--repository-only", repo],
    );
    assert_eq!(refused.code(), 2, "{refused}");
    let why = format!("{repo} is in append-only mode");
    assert!(refused.err().contains(&why), "{refused}");
    scene
        .run(Program::Ours, &["config", repo, "append_only", "0"])
        .ok();
    assert!(files(&scene.repo) == before);
}

#[test]
fn across_the_wire_stock_borg_checks() {
    check_across_the_wire(Program::Stock);
}

#[test]
fn across_the_wire_ours_checks() {
    check_across_the_wire(Program::Ours);
}

/// Either client hears the same of this server, and gets the same done.
#[track_caller]
fn check_across_the_wire(server: Program) {
    let mut scene = scene();
    let wire = Wire::new(Server::Current(server));
    wire.lead(&mut scene.home);
    let url = wire.url(&scene.repo);
    let segments = segments(&scene.repo);
    edit(large(&segments), |bytes| bytes[11_000] ^= 2);
    let check =
        |options: &[&'static str]| [&["check", "--repository-only"], options, &[&url]].concat();
    let lists = [
        check(&["-v"]),
        check(&["-v", "--max-duration=-1"]),
        check(&["--max-duration=1000"]),
        check(&["--log-json", "--progress"]),
        check(&["-v", "--repair", "--save-space"]),
        check(&["-v"]),
        check(&["--repair", "--max-duration=5"]),
    ];
    let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
    let [(ours, our_files), (stock, stock_files)] = scene.run_lists(&lists);
    let codes = |runs: &[Run]| runs.iter().map(Run::code).collect::<Vec<_>>();
    assert_eq!(codes(&ours), [1, 0, 1, 1, 0, 0, 2]);
    assert_eq!(codes(&stock), codes(&ours));
    for (ours, stock) in ours.iter().zip(&stock) {
        // Stock Borg's client does not wait for the last words of a server that has answered.
        let (told, heard) = (lines(ours), lines(stock));
        assert!(told.starts_with(&heard), "{ours}\n{stock}");
    }
    for ours in &ours[..6] {
        assert!(ours.err().contains(" repository check, "), "{ours}");
    }
    assert_same_files(&[our_files, stock_files]);
}

/// What was said on standard error, the time of day left out.
fn lines(run: &Run) -> Vec<String> {
    let untimed = |line: &str| match line.split_once("\"time\": ") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            format!("{before}{after}")
        }
        None => line.to_owned(),
    };
    run.err().lines().map(untimed).collect()
}
