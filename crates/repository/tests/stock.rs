//! Ours and stock Borg's repository code, side by side and in turn on one repository.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ironborg_format::hashindex::HashIndex;
use ironborg_format::hints::HintsFile;
use ironborg_repository::{CompactOptions, LocalRepository, Repository};
use ironborg_testkit::{Home, Program, Scratch};
use ironborg_types::ChunkId;
use serde_json::{Value, json};
use support::{create_options, id, reading, writing};

/// Carries out steps read from standard input with stock Borg's own repository class.
const SCRIPT: &str = "
import json, sys
from hashlib import sha256
from borg.repository import Repository
from borg.logger import setup_logging
setup_logging()
def key(n):
    return bytes(32) if n == 0 else sha256(str(n).encode()).digest()
with Repository(sys.argv[1], exclusive=True) as r:
    for step in json.load(sys.stdin):
        op = step[0]
        if op == 'put':
            r.put(key(step[1]), step[2].encode())
        elif op == 'delete':
            r.delete(key(step[1]))
        elif op == 'commit':
            r.commit(compact=False)
        elif op == 'compact':
            r.commit(compact=True, threshold=step[1])
        elif op == 'check':
            for k in r.list():
                r.get(k)
            assert len(r) == step[1], (len(r), step[1])
";

/// Small and repeatable: quality does not matter here.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

type Content = BTreeMap<u64, String>;

/// Steps that are valid after each other and end with a commit or a compaction.
fn steps(random: &mut Random, content: &mut Content) -> Vec<Value> {
    let mut steps = Vec::new();
    let mut committed = true;
    for _ in 0..random.below(25) + 5 {
        let number = random.below(10);
        match random.below(10) {
            0..=4 => {
                let len = usize::try_from(random.below(90)).unwrap();
                let object = char::from(b'a' + number.to_le_bytes()[0])
                    .to_string()
                    .repeat(len);
                steps.push(json!(["put", number, object]));
                content.insert(number, object);
                committed = false;
            }
            5..=7 => {
                let Some(_) = content.remove(&number) else {
                    continue;
                };
                steps.push(json!(["delete", number]));
                committed = false;
            }
            8 if !committed => {
                steps.push(json!(["commit"]));
                committed = true;
            }
            9 if !committed => {
                let threshold = [0.0, 0.1, 0.5][usize::try_from(random.below(3)).unwrap()];
                steps.push(json!(["compact", threshold]));
                committed = true;
            }
            _ => {}
        }
    }
    if !committed {
        steps.push(json!(["commit"]));
    }
    steps
}

fn key(number: u64) -> ChunkId {
    if number == 0 {
        ChunkId::MANIFEST
    } else {
        id(&number.to_string())
    }
}

fn ours(path: &Path, steps: &[Value]) {
    let mut repository = LocalRepository::open(path, writing()).unwrap();
    for step in steps {
        let number = || key(step[1].as_u64().unwrap());
        match step[0].as_str().unwrap() {
            "put" => repository
                .put(&number(), step[2].as_str().unwrap().as_bytes())
                .unwrap(),
            "delete" => repository.delete(&number()).unwrap(),
            "commit" => repository.commit().unwrap(),
            "compact" => {
                let options = CompactOptions {
                    threshold: step[1].as_f64().unwrap(),
                    cleanup_commits: false,
                    interrupt: None,
                };
                repository.commit_compact(options).unwrap();
            }
            other => panic!("no step is called {other}"),
        }
    }
    repository.close().unwrap();
}

fn stocks(home: &Home, path: &Path, steps: &[Value]) {
    let input = serde_json::to_vec(steps).unwrap();
    home.stock_library(SCRIPT, [path]).input(input).run().ok();
}

/// A new repository with tiny segments.
fn new_repository(scratch: &Scratch, name: &str) -> PathBuf {
    let path = scratch.join(name);
    let mut repository = LocalRepository::create(&path, &create_options(), writing()).unwrap();
    let mut config = repository.config().clone();
    config.set("repository", "max_segment_size", "200");
    config.set("repository", "segments_per_dir", "5");
    repository.save_config(config).unwrap();
    path
}

#[derive(Debug, PartialEq)]
struct State {
    segments: BTreeMap<String, Vec<u8>>,
    hints: Option<HintsFile>,
    index: BTreeMap<Vec<u8>, Vec<u8>>,
    names: Vec<String>,
}

fn state(path: &Path) -> State {
    let mut segments = BTreeMap::new();
    for dir in fs::read_dir(path.join("data")).unwrap() {
        for file in fs::read_dir(dir.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let name = file.strip_prefix(path).unwrap().display().to_string();
            segments.insert(name, fs::read(&file).unwrap());
        }
    }
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let load = |prefix: &str| {
        let name = names.iter().find(|name| name.starts_with(prefix))?;
        Some(fs::read(path.join(name)).unwrap())
    };
    let index = load("index.").map(|bytes| HashIndex::<8>::from_bytes(bytes).unwrap());
    State {
        segments,
        hints: load("hints.").map(|bytes| HintsFile::decode(&bytes).unwrap()),
        index: index
            .iter()
            .flat_map(HashIndex::iter)
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect(),
        names,
    }
}

#[track_caller]
fn check_content(path: &Path, content: &Content, context: &str) {
    let repository = LocalRepository::open(path, reading()).unwrap();
    assert_eq!(repository.len().unwrap(), content.len(), "{context}");
    let mut object = Vec::new();
    for (number, expected) in content {
        repository.get(&key(*number), &mut object).unwrap();
        assert_eq!(object, expected.as_bytes(), "{context}");
    }
}

#[test]
fn the_same_operations_leave_the_same_segments_and_bookkeeping() {
    let scratch = Scratch::new();
    let home = Home::new(&scratch, "home");
    for seed in 0..12 {
        let mut random = Random(seed);
        let mut content = Content::new();
        let (a, b) = (
            new_repository(&scratch, &format!("ours{seed}")),
            new_repository(&scratch, &format!("stock{seed}")),
        );
        for session in 0..3 {
            let steps = steps(&mut random, &mut content);
            ours(&a, &steps);
            stocks(&home, &b, &steps);
            assert_eq!(
                state(&a),
                state(&b),
                "seed {seed}, session {session}: {steps:?}"
            );
        }
        check_content(&a, &content, &format!("seed {seed}"));
    }
}

#[test]
fn both_write_to_one_repository_in_turn() {
    let scratch = Scratch::new();
    let home = Home::new(&scratch, "home");
    for seed in 100..106 {
        let mut random = Random(seed);
        let mut content = Content::new();
        let path = new_repository(&scratch, &format!("shared{seed}"));
        for session in 0..6 {
            let steps = steps(&mut random, &mut content);
            if session % 2 == 0 {
                ours(&path, &steps);
            } else {
                stocks(&home, &path, &steps);
            }
            check_content(&path, &content, &format!("seed {seed}, session {session}"));
            let count = json!(["check", content.len()]);
            stocks(&home, &path, &[count]);
        }
        let check = ["check", "--repository-only"].map(PathBuf::from);
        home.run(Program::Stock, check.iter().chain([&path])).ok();
    }
}

#[test]
fn either_rebuilds_what_the_other_lost() {
    let scratch = Scratch::new();
    let home = Home::new(&scratch, "home");
    for seed in 200..204 {
        let mut random = Random(seed);
        let mut content = Content::new();
        let path = new_repository(&scratch, &format!("lost{seed}"));
        for _ in 0..2 {
            ours(&path, &steps(&mut random, &mut content));
            stocks(&home, &path, &steps(&mut random, &mut content));
        }
        let lose = |path: &Path| {
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                if ["index.", "hints.", "integrity."]
                    .iter()
                    .any(|p| name.starts_with(p))
                {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
        };
        lose(&path);
        check_content(&path, &content, "rebuilt by ours");
        let by_ours = state(&path);
        lose(&path);
        stocks(&home, &path, &[json!(["check", content.len()])]);
        let by_stock = state(&path);
        assert_eq!(by_ours, by_stock, "seed {seed}");
    }
}

/// Adds to a counter under stock Borg's lock, as often as it is told.
const COUNT: &str = "
import sys
from borg.locking import Lock
path, rounds, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for i in range(rounds):
    with Lock(path + '/lock', exclusive=kind == 'exclusive', timeout=60, sleep=0.01):
        with open(path + '/counter') as f:
            count = int(f.read())
        if kind == 'exclusive':
            with open(path + '/counter', 'w') as f:
                f.write(str(count + 1))
";

#[test]
fn both_wait_for_each_other_s_locks() {
    use ironborg_repository::{Lock, LockOptions, process_identity};
    use ironborg_storage::{LocalStorage, Storage};
    use std::sync::Arc;
    use std::time::Duration;

    let scratch = Scratch::new();
    let home = Home::new(&scratch, "home").with("BORG_HOST_ID", support::HOST);
    let path = scratch.dir("locked");
    fs::write(path.join("counter"), "0").unwrap();
    let rounds = 20;
    std::thread::scope(|scope| {
        for kind in ["exclusive", "shared"] {
            let (home, path) = (&home, path.display().to_string());
            scope.spawn(move || {
                let rounds = rounds.to_string();
                home.stock_library(COUNT, [path.as_str(), &rounds, kind])
                    .run()
                    .ok();
            });
        }
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new(&path));
        for _ in 0..rounds {
            let lock = loop {
                let options = LockOptions {
                    exclusive: true,
                    wait: Some(Duration::from_millis(20)),
                    owner: process_identity(support::HOST),
                };
                let reporter = support::Messages::new();
                match Lock::acquire(Arc::clone(&storage), "lock", options, reporter) {
                    Ok(lock) => break lock,
                    Err(error) => assert!(error.to_string().contains("(timeout)"), "{error}"),
                }
            };
            let count: u32 = fs::read_to_string(path.join("counter"))
                .unwrap()
                .parse()
                .unwrap();
            fs::write(path.join("counter"), (count + 1).to_string()).unwrap();
            lock.release().unwrap();
        }
    });
    let count = fs::read_to_string(path.join("counter")).unwrap();
    assert_eq!(count, (2 * rounds).to_string());
    let left = fs::read_dir(&path).unwrap().count();
    assert_eq!(left, 1, "only the counter is left");
}
