//! Killed at every step, and in the middle of steps; then run again.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ironborg_jobs::plan::{DueChecks, WorkOrder};
use ironborg_jobs::report::Told;
use ironborg_testkit::{Program, Random, Tried, tally};
use rustix::process::Signal;

use super::order::{Done, Worker, do_it, ordered};
use crate::scene::{Scene, text};

/// Everything a run can consist of, a drill aside.
fn settings(scene: &Scene) -> String {
    let (repo, tree) = (scene.repo(), scene.scratch.join("tree"));
    let tree = text(&tree);
    format!(
        "[jobs.home]
         repo = \"{repo}\"
         paths = [\"{tree}\"]
         encryption = {{ mode = \"repokey-blake2\", passphrase = \"x\" }}
         compression = \"lz4\"
         extra_create_args = \"--timestamp\"
         prune.keep = {{ last = 3 }}
         post_create = 'test \"$exitStatus\" = 0 && echo stored $archiveName'
         checks.repository = \"1 day\"
         archive_base_name = \"home\"
        "
    )
}

const DUE: DueChecks = DueChecks {
    repository: true,
    data: false,
    drill: false,
};
/// What is told in a whole run of what exists: begin and end of init, create, rename, hook, prune, compact, check.
const LINES: usize = 14;

/// When a worker is ended.
#[derive(Debug, Clone, Copy)]
enum When {
    /// As soon as it has told so many lines.
    Told(usize),
    /// So much later.
    Later(usize, Duration),
}

struct Machine {
    scene: Scene,
    settings: String,
    /// Minutes, which name archives.
    minute: usize,
    /// What the moments come from, by chance.
    seed: Option<u64>,
}

impl Machine {
    fn new() -> Self {
        let scene = Scene::new();
        let top = scene.scratch.join("tree");
        super::small_tree(&top);
        let settings = settings(&scene);
        Self {
            scene,
            settings,
            minute: 0,
            seed: None,
        }
    }

    /// The order of the next run, which finds something new.
    fn next_order(&mut self) -> WorkOrder {
        self.minute += 1;
        let (hour, minute) = (self.minute / 60, self.minute % 60);
        let file = self
            .scene
            .scratch
            .join(format!("tree/new {}", self.minute % 3));
        let seed = self.minute as u64;
        fs::write(file, Random::new(seed).bytes(400_000)).expect("room on the disk");
        let time = format!("2024-02-29T{hour:02}:{minute:02}:00");
        // Of archives made in one second only one would be kept.
        let settings = self
            .settings
            .replace("--timestamp", &format!("--timestamp {time}"));
        ordered(&settings, DUE, &format!("{time}+00:00[UTC]"))
    }

    /// Does a run to its end.
    fn run(&mut self) -> Done {
        let order = self.next_order();
        do_it(&self.scene, &order)
    }

    /// Ends a worker in the middle; gives what it had told by then.
    fn cut(&mut self, order: &WorkOrder, when: When, signal: Signal) -> Done {
        let mut worker = Worker::start(&self.scene, order);
        let (lines, later) = match when {
            When::Told(lines) => (lines, Duration::ZERO),
            When::Later(lines, later) => (lines, later),
        };
        for _ in 0..lines {
            worker.next().expect("so many lines");
        }
        std::thread::sleep(later);
        if worker.is_running() {
            worker.signal(signal);
        }
        worker.finish()
    }

    /// Ends a worker in the middle and runs the job again: it must go well, and whatever archive was said to be made
    /// must be there.
    fn check(&mut self, when: When, signal: Signal) {
        let order = self.next_order();
        let cut = self.cut(&order, when, signal);
        let seed = self.seed.map(|seed| format!("IRONBORG_SEED={seed} "));
        let story = format!(
            "{}{signal:?} {when:?} {:?}",
            seed.unwrap_or_default(),
            cut.steps()
        );
        let stored = cut.steps().contains(&("create", 0));
        if signal == Signal::TERM {
            assert!(
                [0, 143].contains(&cut.code),
                "{story}: {}\n{}",
                cut.code,
                cut.log
            );
            assert!(!self.is_locked(), "{story}: a lock is left\n{}", cut.log);
        }
        let again = self.run();
        assert_eq!(
            again.code, 0,
            "{story}, then {:?}\n{}",
            again.told, again.log
        );
        if stored {
            let list = self
                .scene
                .run(Program::Ours, &["list", "--short", self.scene.repo()]);
            let names = list.ok().out();
            let was =
                |name: &str| name == order.archive || name == format!("{}.failed", order.archive);
            assert!(
                names.lines().any(was),
                "{story}: {} has gone\n{names}",
                order.archive
            );
        }
    }

    fn is_locked(&self) -> bool {
        let lock: PathBuf = self.scene.repo.join("lock.exclusive");
        lock.exists()
    }
}

/// How many rounds are made: some in CI.
fn rounds(some: usize, many: usize) -> usize {
    match std::env::var_os("IRONBORG_INTEROP_FULL") {
        None => some,
        Some(_) => many,
    }
}

#[test]
fn at_every_line_it_tells() {
    let mut machine = Machine::new();
    let first = machine.run().ok();
    let names: Vec<&str> = first.steps().into_iter().map(|(name, _)| name).collect();
    let all = [
        "init",
        "create",
        "rename",
        "post-create",
        "prune",
        "compact",
        "check",
    ];
    assert_eq!(names, all);
    assert_eq!(2 * all.len(), LINES);
    let mut count = 0;
    for lines in 1..=LINES {
        machine.check(When::Told(lines), Signal::KILL);
        count += 1;
        if lines % rounds(4, 1) == 0 {
            machine.check(When::Told(lines), Signal::TERM);
            count += 1;
        }
        if lines % 5 == 0 {
            machine.scene.assert_checks();
        }
    }
    end(&machine, count);
}

#[test]
fn in_the_middle_of_steps() {
    let mut machine = Machine::new();
    machine.run().ok();
    let seed = std::env::var("IRONBORG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(20_240_229);
    let mut random = Random::new(seed);
    let count = rounds(6, 200);
    for round in 0..count {
        let lines = random.below(LINES - 1);
        let later = Duration::from_micros(random.next_u64() % 90_000);
        let signal = if round % 3 == 2 {
            Signal::TERM
        } else {
            Signal::KILL
        };
        machine.seed = Some(seed);
        machine.check(When::Later(lines, later), signal);
    }
    end(&machine, count as u64);
}

/// Nothing is left of all that but the last archives, whole.
fn end(machine: &Machine, count: u64) {
    let scene = &machine.scene;
    scene.assert_checks();
    let list = scene.run(
        Program::Stock,
        &["list", "--short", "--consider-checkpoints", scene.repo()],
    );
    let list = list.ok().out();
    let names: Vec<&str> = list.lines().collect();
    assert_eq!(
        names.len(),
        3,
        "three are kept, and no checkpoint: {names:?}"
    );
    let last = names.last().expect("three");
    let out = scene.empty_dir("out");
    let args = ["extract", &scene.archive(last)];
    scene
        .home
        .invocation(Program::Stock, args)
        .dir(&out)
        .run()
        .ok();
    let top = scene.scratch.join("tree");
    let restored = out.join(top.strip_prefix("/").expect("it is absolute"));
    ironborg_testkit::assert_same_tree(&top, &restored, ironborg_testkit::Compare::Everything);
    tally(Tried::Kills, count);
}

/// The making of a repository, cut off between its files and its manifest.
#[test]
fn while_the_repository_is_made() {
    for (with_key, mode) in [
        (true, "repokey-blake2"),
        (false, "repokey-blake2"),
        (true, "keyfile"),
        (true, "none"),
    ] {
        let mut machine = Machine::new();
        machine.settings = machine.settings.replace("repokey-blake2", mode);
        let unencrypted = [("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")];
        for (name, value) in unencrypted {
            machine.scene = machine.scene.with(name, value);
        }
        machine.scene.init(Program::Ours, mode);
        let repo = &machine.scene.repo.clone();
        fs::remove_dir_all(machine.scene.home.config().join("security")).expect("it was made");
        for entry in fs::read_dir(repo).expect("it was made") {
            let path = entry.expect("it can be listed").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if ["index.", "hints.", "integrity."]
                .iter()
                .any(|start| name.starts_with(start))
            {
                fs::remove_file(&path).expect("our own file");
            }
        }
        fs::remove_dir_all(repo.join("data")).expect("our own directory");
        fs::create_dir(repo.join("data")).expect("our own directory");
        let config = fs::read_to_string(repo.join("config")).expect("text");
        if !with_key {
            let end = config.find("key = ").expect("it has a key");
            fs::write(repo.join("config"), &config[..end]).expect("our own file");
        }
        let done = machine.run().ok();
        assert_eq!(done.steps().first(), Some(&("init", 0)), "{}", done.log);
        let after = fs::read_to_string(repo.join("config")).expect("text");
        assert_eq!(
            after == config,
            with_key || mode == "none",
            "the key in\n{after}"
        );
        machine.scene.assert_checks();
    }
}

/// What a checkpoint holds is not stored again, and the checkpoint goes when there is something newer.
#[test]
fn after_a_checkpoint() {
    let mut machine = Machine::new();
    let (scene, file) = (&machine.scene, machine.scene.scratch.join("dump"));
    let content = Random::new(7).bytes(6_000_000);
    fs::write(&file, &content).expect("room on the disk");
    let done = machine.scene.scratch.join("done");
    let (repo, file, until) = (scene.repo(), text(&file), text(&done));
    machine.settings = format!(
        "[jobs.home]
         repo = \"{repo}\"
         dump_command = \"cat {file}; while ! test -e {until}; do sleep 0.1; done\"
         encryption = {{ mode = \"repokey\", passphrase = \"x\" }}
         extra_create_args = \"--timestamp -C none --chunker-params buzhash,10,15,12,4095 --volume-between-checkpoints 1M\"
         prune.keep = {{ last = 1 }}
        "
    );
    let commits =
        |scene: &Scene| fs::read_dir(scene.repo.join("data/0")).map_or(0, Iterator::count);
    let order = machine.next_order();
    let mut worker = Worker::start(&machine.scene, &order);
    loop {
        let told = worker.next().expect("create begins");
        if matches!(told, Told::Begun { step, .. } if step == "create") {
            break;
        }
    }
    // Segments come in pairs, changes and their commit; five megabytes are in checkpoints when there are ten.
    for _ in 0..400 {
        if commits(&machine.scene) > 10 {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    worker.signal(Signal::KILL);
    fs::write(&done, "").expect("room on the disk");
    assert_eq!(worker.finish().code, -9);
    let done = machine.run().ok();
    let figures = done.figures("create");
    assert_eq!(figures.original_size, Some(content.len() as u64));
    let added = figures.deduplicated_size.expect("it was made");
    assert!(
        added < 3_000_000,
        "{added} of 6000000 bytes were stored again"
    );
    let list = [
        "list",
        "--short",
        "--consider-checkpoints",
        machine.scene.repo(),
    ];
    let names = machine.scene.run(Program::Stock, &list).ok().out();
    assert_eq!(names.lines().count(), 1, "{names}");
    machine.scene.assert_checks();
    tally(Tried::Kills, 1);
}
