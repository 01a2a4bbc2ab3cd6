//! Several clients, machines and programs on one repository at the same time: one writer at a time, and nothing of anybody is
//! lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use ironborg_testkit::{Home, Program, Random, Run, Tried, WireProxy, tally};

use crate::same_output::{compare_runs, normal};
use crate::scene::{Scene, text};

/// Decides who does what; another one by this variable.
const SEED_VARIABLE: &str = "IRONBORG_RACE_SEED";

fn seed() -> u64 {
    let given = std::env::var(SEED_VARIABLE).ok();
    given.map_or(0xace, |text| text.parse().expect("a number"))
}

fn is_full() -> bool {
    std::env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

/// Somebody who works on the repository, all the time.
struct Worker {
    name: String,
    program: Program,
    home: Home,
    /// How the repository is reached.
    location: String,
    operations: u64,
}

impl Worker {
    /// Creates, deletes and lists archives of its own; gives those that must be there in the end.
    fn work(&self, scene_dir: &std::path::Path, seed: u64) -> Result<BTreeSet<String>, String> {
        let mut random = Random::new(seed);
        let mut mine: BTreeSet<String> = BTreeSet::new();
        let tree = scene_dir.join(&self.name);
        fs::create_dir_all(&tree).expect("room");
        for number in 0..self.operations {
            let choice = random.below(6);
            let archive = format!("{}-{number}", self.name);
            let at = |name: &str| format!("{}::{name}", self.location);
            let first = mine.first().cloned();
            let args: Vec<String> = match (choice, &first) {
                (0 | 1, Some(_)) => vec!["list".into(), "--short".into(), self.location.clone()],
                (2, Some(first)) => vec!["delete".into(), at(first)],
                _ => {
                    let content = random.bytes(50_000);
                    fs::write(tree.join("file"), content).expect("room");
                    vec!["create".into(), at(&archive), text(&tree).to_owned()]
                }
            };
            let mut words = vec![args[0].clone(), "--lock-wait".into(), "300".into()];
            words.extend(args[1..].iter().cloned());
            let run = self.home.invocation(self.program, &words).run();
            let said = run.err();
            // A stale lock would mean that somebody died without a word.
            if run.code() != 0 || said.contains("stale") || said.contains("rror") {
                return Err(format!("{}: {run}", self.name));
            }
            match args[0].as_str() {
                "create" => drop(mine.insert(archive)),
                "delete" => drop(first.map(|first| mine.remove(&first))),
                _ => {
                    let listed = run.out();
                    let missing = mine
                        .iter()
                        .find(|name| !listed.lines().any(|line| line == **name));
                    if let Some(missing) = missing {
                        return Err(format!("{}: {missing} is lost\n{run}", self.name));
                    }
                }
            }
        }
        Ok(mine)
    }
}

/// Workers of both programs, on two machines, near the repository and behind servers of both programs.
fn workers(scene: &Scene) -> Vec<Worker> {
    let near = text(&scene.repo).to_owned();
    let far = WireProxy::url(&scene.repo);
    let (many, few) = if is_full() { (60, 20) } else { (7, 3) };
    let worker = |name: &str, program, operations, host: &str, server: Option<Program>| {
        let mut home = Home::new(&scene.scratch, &format!("home-{name}"));
        home.set("BORG_HOST_ID", host);
        if let Some(server) = server {
            home = WireProxy::new().before(&home, server);
        }
        Worker {
            name: name.to_owned(),
            program,
            home,
            location: if server.is_some() {
                far.clone()
            } else {
                near.clone()
            },
            operations,
        }
    };
    let (ours, stock) = (Program::Ours, Program::Stock);
    vec![
        worker("ours-near", ours, many, "one@1", None),
        worker("ours-elsewhere", ours, many, "two@2", None),
        worker("ours-to-ours", ours, many, "one@1", Some(ours)),
        worker("ours-to-stock", ours, few, "two@2", Some(stock)),
        worker("stock-near", stock, few, "one@1", None),
        worker("stock-to-ours", stock, few, "two@2", Some(ours)),
    ]
}

/// Never two writers: each would write over what the other has committed, or make segments of the same number, and a
/// repository of which every archive and chunk is sound would be a wonder.
#[test]
fn six_clients_race_and_nothing_is_lost() {
    let scene = Scene::new();
    let first = Home::new(&scene.scratch, "first");
    let init = ["init", "-e", "none", text(&scene.repo)];
    scene.run_on(&first, Program::Stock, &init).ok();
    let seed = seed();
    let workers: Vec<Worker> = workers(&scene)
        .into_iter()
        .map(|mut worker| {
            worker
                .home
                .set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
            worker
        })
        .collect();
    let dir = scene.scratch.path().to_path_buf();
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter()
            .zip(seed..)
            .map(|(worker, seed)| {
                let dir = &dir;
                scope.spawn(move || worker.work(dir, seed))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("workers do not panic"))
            .collect()
    });
    let mut expected = BTreeSet::new();
    for result in results {
        match result {
            Ok(archives) => expected.extend(archives),
            Err(finding) => panic!("{SEED_VARIABLE}={seed}: {finding}"),
        }
    }
    let near = text(&scene.repo);
    let auditor = first.with("BORG_HOST_ID", "auditor@9");
    for program in Program::BOTH {
        let list = scene.run_on(&auditor, program, &["list", "--short", near]);
        let found: BTreeSet<String> = list.ok().out().lines().map(str::to_owned).collect();
        assert_eq!(found, expected, "{SEED_VARIABLE}={seed}");
    }
    let check = scene.run_on(&auditor, Program::Stock, &["check", "--verify-data", near]);
    assert_eq!((check.code(), check.err().as_str()), (0, ""), "{check}");
    for lock in ["lock.exclusive", "lock.roster"] {
        assert!(!scene.repo.join(lock).exists(), "{lock} stayed behind");
    }
    let operations = workers.iter().map(|worker| worker.operations).sum();
    tally(Tried::RandomOperations, operations);
}

/// Somebody breaks the lock of a backup that is under way: it notices when it gives the lock back, with stock's words.
#[test]
fn a_lock_is_broken_while_somebody_works() {
    let scene = Scene::with_repository(Program::Stock, "none");
    for breaker in Program::BOTH {
        let [ours, stock] = scene.each_from_same_state(|program| {
            let archive = scene.archive("held");
            let mut invocation = scene.home.invocation(program, ["create", &archive, "-"]);
            let mut child = invocation.start(Stdio::piped());
            let input = child.stdin.as_mut().expect("piped");
            input
                .write_all(b"the beginning")
                .expect("the program reads");
            let lock = scene.repo.join("lock.exclusive");
            let deadline = Instant::now() + Duration::from_mins(1);
            while !lock.exists() {
                assert!(Instant::now() < deadline, "no lock");
                thread::sleep(Duration::from_millis(10));
            }
            let broken = scene.run(breaker, &["break-lock", scene.repo()]).ok();
            assert!(!lock.exists(), "{broken}");
            let run = Run::of(child);
            let list = scene.run(Program::Stock, &["list", "--short", scene.repo()]);
            (run, list.ok().out())
        });
        assert_eq!(ours.0.code(), stock.0.code(), "{}{}", ours.0, stock.0);
        // Stock Borg tells it twice: once when it tidies up, once as the error it ends with.
        let message = format!("Failed to release the lock {}", scene.repo.display());
        for run in [&ours.0, &stock.0] {
            assert!(run.err().contains(&message), "{run}");
        }
        assert_eq!(ours.1, stock.1);
    }
}

/// Each line once: stock Borg reads a roster several times, and says every time what it finds.
fn once(bytes: &[u8]) -> String {
    let mut said: Vec<String> = Vec::new();
    for line in normal(bytes).lines() {
        if !said.iter().any(|known| known == line) {
            said.push(line.to_owned());
        }
    }
    said.join("\n")
}

/// What a crash may leave of a lock's files, and what others leave: both programs see the same in it.
#[test]
fn odd_rosters_are_read_alike() {
    let scene = Scene::with_repository(Program::Stock, "none");
    scene.scratch.dir("tree");
    let host = "odd.example.org@7";
    let scene = scene.with("BORG_HOST_ID", host);
    let init = std::process::id();
    let alive = format!("[\"{host}\", {init}, 0]");
    let rosters = [
        String::new(),
        "{\"shared\": [[\"a".to_owned(),
        // Dead readers of this machine, of another one, a living one.
        format!("{{\"shared\": [[\"{host}\", 4194300, 0]], \"exclusive\": []}}"),
        "{\"shared\": [[\"far@1\", 4194300, 0]]}".to_owned(),
        format!("{{\"shared\": [{alive}]}}"),
        format!("{{\"shared\": [], \"exclusive\": [{alive}]}}"),
        // A writer of ours that waits.
        "{\"shared\": [], \"waiting\": [[\"far@1\", 5, 0]]}".to_owned(),
    ];
    let roster = scene.repo.join("lock.roster");
    let mut expected = Vec::new();
    for content in &rosters {
        let archive = scene.archive("x");
        let writing: &[&str] = &["create", "--lock-wait", "0", &archive, "tree"];
        let reading: &[&str] = &["list", "--lock-wait", "0", scene.repo()];
        for args in [reading, writing] {
            let [ours, stock] = scene.each_from_same_state(|program| {
                fs::write(&roster, content).expect("room");
                let run = scene.run(program, args);
                // Whoever was in it still is.
                let left = fs::read_to_string(&roster).unwrap_or_default();
                (run, left.contains("far@1"), left.contains(&alive))
            });
            compare_runs(&ours.0, &stock.0, once);
            let same = (ours.1, ours.2) == (stock.1, stock.2);
            // The file of stock Borg goes with the last entry it knows.
            assert!(same || content.contains("waiting"), "{content}\n{}", ours.0);
            expected.push(ours.0.code());
        }
    }
    let codes = [0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0];
    assert_eq!(expected, codes);
}

/// Stock Borg carries the list of those who wait along, and lets them in.
#[test]
fn a_waiting_writer_gets_in_behind_readers_of_stock_borg() {
    let scene = Scene::with_repository(Program::Stock, "none");
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), Random::new(1).bytes(3_000_000)).expect("room");
    scene.create(Program::Stock, "first", &["-C", "none"], "tree");
    // Standard output is not read, so it stays in the middle of its work.
    let archive = scene.archive("first");
    let args = ["extract", "--stdout", &archive];
    let reader = scene
        .home
        .invocation(Program::Stock, args)
        .start(Stdio::null());
    let roster = scene.repo.join("lock.roster");
    let await_word = |word: &str| {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !fs::read_to_string(&roster).is_ok_and(|text| text.contains(word)) {
            assert!(Instant::now() < deadline, "no {word}");
            thread::sleep(Duration::from_millis(5));
        }
    };
    await_word("shared\": [[");
    let archive = scene.archive("second");
    let args = ["create", "-v", "--lock-wait", "60", &archive, "tree"];
    let mut invocation = scene
        .home
        .invocation(Program::Ours, args)
        .dir(scene.scratch.path());
    let writer = invocation.start(Stdio::null());
    await_word("waiting");
    // A second reader of stock Borg comes and goes, and leaves the announcement in its place.
    scene.run(Program::Stock, &["list", scene.repo()]).ok();
    await_word("waiting");
    // Whom it is waited for is not told before a second is over.
    thread::sleep(Duration::from_millis(2500));
    // The first one is read to its end.
    let pid = reader.id();
    Run::of(reader).ok();
    let run = Run::of(writer).ok();
    let said = format!(
        "Waiting for the lock {}/lock: process {pid} on this machine (",
        scene.repo.display()
    );
    assert!(run.err().contains(&said), "{run}");
    assert!(!roster.exists());
    scene.assert_checks();
}
