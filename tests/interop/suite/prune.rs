//! `prune`: the same archives are kept for the same reasons, and what goes leaves a whole repository behind.

use ironborg_archive::prune::{Period, Retention, apply, newest_first};
use ironborg_archive::selection::ListedArchive;
use ironborg_testkit::{Home, Program, Random, Run, Scratch};
use ironborg_types::{ArchiveId, Timestamp};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::same_output::assert_same_run;
use crate::scene::Scene;

const SCRIPT: &str = include_str!("prune.py");

/// Time zones that need no data base: both sides of UTC, half hours, and daylight saving on either hemisphere.
const ZONES: [&str; 4] = [
    "UTC0",
    "EST5EDT,M3.2.0,M11.1.0",
    "IST-5:30",
    "NZST-12NZDT,M9.5.0,M4.1.0/3",
];

/// Cases asked in each zone.
const CASES: usize = 1_500;

/// Archives and rules made up by chance: clusters at every scale, ties, and counts that run out.
struct Case {
    times: Vec<i64>,
    now: i64,
    retention: Retention,
}

impl Case {
    fn random(random: &mut Random) -> Self {
        let seconds = |n: usize| i64::try_from(n).expect("small");
        let end = 1_000_000_000 + seconds(random.below(1_000_000_000));
        let mut at = end;
        let mut times = Vec::new();
        for _ in 0..random.below(40) {
            times.push(at * 1_000_000 + seconds(random.below(1_000_000)));
            let scale = [1, 61, 3_600, 20_000, 86_400, 604_800, 2_600_000, 20_000_000];
            let scale = scale[random.below(scale.len())];
            at -= seconds(random.below(2 * scale));
        }
        // The manifest is sorted by name, which is any order.
        for index in (1..times.len()).rev() {
            times.swap(index, random.below(index + 1));
        }
        let mut counts = [0; Period::ALL.len()];
        for count in &mut counts {
            if random.below(3) == 0 {
                *count = [-1, 1, 2, 3, 5, 8, 13, 40][random.below(8)];
            }
        }
        let within = (random.below(4) == 0).then(|| seconds(1 + random.below(20_000)));
        Self {
            times,
            now: (end + seconds(random.below(1_000_000))) * 1_000_000,
            retention: Retention {
                within_hours: within,
                counts,
            },
        }
    }

    fn json(&self) -> Value {
        let rules = Period::ALL.iter().zip(self.retention.counts);
        let rules: serde_json::Map<String, Value> = rules
            .map(|(period, count)| (period.rule().to_owned(), count.into()))
            .collect();
        json!({"times": self.times, "now": self.now, "within": self.retention.within_hours, "rules": rules})
    }

    /// Our answer, in the order of the times.
    fn reasons(&self, zone: &TimeZone) -> Vec<Option<String>> {
        let local = |time: Timestamp| {
            let at = jiff::Timestamp::from_second(time.seconds()).expect("a time of ours");
            time.seconds() + i64::from(zone.to_offset(at).seconds())
        };
        let archive = |(index, time): (usize, &i64)| ListedArchive {
            name: index.to_string().as_str().into(),
            id: ArchiveId([u8::try_from(index).expect("few archives"); 32]),
            time: Timestamp(*time),
        };
        let mut archives: Vec<_> = self.times.iter().enumerate().map(archive).collect();
        newest_first(&mut archives);
        let reasons = apply(&archives, &self.retention, Timestamp(self.now), &local);
        let mut ordered = vec![None; archives.len()];
        for (archive, reason) in archives.iter().zip(reasons) {
            ordered[usize::from(archive.id.0[0])] = reason.map(|reason| reason.to_string());
        }
        ordered
    }
}

#[test]
fn the_same_archives_are_kept_by_the_same_rules() {
    let scratch = Scratch::new();
    for (seed, zone) in ZONES.into_iter().enumerate() {
        let mut random = Random::new(seed as u64);
        let cases: Vec<Case> = (0..CASES).map(|_| Case::random(&mut random)).collect();
        let questions: Vec<Value> = cases.iter().map(Case::json).collect();
        let home = Home::new(&scratch, "home").with("TZ", zone);
        let stock = home
            .stock_library(SCRIPT, [""])
            .input(serde_json::to_vec(&questions).expect("JSON"))
            .run()
            .ok()
            .json();
        let answers = stock.as_array().expect("a list");
        assert_eq!(answers.len(), cases.len());
        let rules = TimeZone::posix(zone).expect("a zone");
        for (case, answer) in cases.iter().zip(answers) {
            let ours = json!(case.reasons(&rules));
            assert_eq!(ours, *answer, "seed {seed}, TZ {zone}: {}", case.json());
        }
    }
}

/// A repository with archives of both programs over three years, checkpoints and names that a glob tells apart.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Ours, "repokey-blake2");
    let tree = scene.scratch.dir("tree");
    let archives = [
        ("host-a", "2022-12-31T23:59:59"),
        ("host-b", "2023-01-01T00:00:01"),
        ("host-c", "2023-06-30T12:00:00"),
        ("other-a", "2023-07-01T00:00:00"),
        ("host-d.checkpoint", "2023-07-01T12:00:00"),
        ("host-d", "2023-07-02T00:30:00"),
        ("host-e", "2023-07-02T01:30:00"),
        ("other-b.checkpoint.12", "2023-07-03T01:30:00"),
        ("host-f", "2023-07-03T02:30:00"),
        ("host-g.checkpoint.1", "2023-07-04T02:30:00"),
    ];
    for (index, (name, timestamp)) in archives.into_iter().enumerate() {
        std::fs::write(tree.join("same"), b"in every archive").expect("room on the disk");
        std::fs::write(tree.join(name), format!("only from {index} on")).expect("room on the disk");
        std::fs::write(tree.join("changing"), format!("as of {index}")).expect("room on the disk");
        let program = Program::BOTH[index % 2];
        scene.create(program, name, &["--timestamp", timestamp], "tree");
    }
    // Both know all archives from here on, and have nothing to say about reading them.
    for program in Program::BOTH {
        scene.run(program, &["info", scene.repo()]).ok();
    }
    scene
}

/// Names of all archives, oldest first.
fn names(scene: &Scene) -> String {
    let args = ["list", "--short", "--consider-checkpoints", scene.repo()];
    scene.run(Program::Ours, &args).ok().out()
}

fn prune(scene: &Scene, program: Program, zone: &str, options: &[&str]) -> Run {
    let home = scene.home.with("TZ", zone);
    scene.run_on(
        &home,
        program,
        &[&["prune"], options, &[scene.repo()]].concat(),
    )
}

#[test]
fn a_dry_run_says_the_same() {
    let scene = scene();
    let before = names(&scene);
    let options: &[&[&str]] = &[
        &[],
        &["--keep-daily", "0"],
        &["--keep-last", "2"],
        &["--keep-secondly", "-1", "--log-json"],
        &["-d", "2", "-w", "1", "-m", "2", "-y", "2"],
        &["--keep-within", "1d", "--keep-hourly=1", "--stats"],
        &["--keep-within", "90y", "-P", "other"],
        &[
            "--keep-13weekly",
            "3",
            "--keep-3monthly",
            "0",
            "-a",
            "host-*",
        ],
        &["--keep-3monthly", "9", "-a", "*.checkpoint*"],
        &["--keep-y", "1", "-a", "host-[a-d]", "--progress", "--iec"],
        &["--keep-minutely", "3", "-a", "nothing", "--quick-stats"],
    ];
    for (index, options) in options.iter().enumerate() {
        let options = [&["--dry-run", "--list", "-v"], *options].concat();
        let zone = ZONES[index % ZONES.len()];
        let [ours, stock] = Program::BOTH.map(|program| prune(&scene, program, zone, &options));
        assert_same_run(&ours, &stock);
    }
    assert_eq!(names(&scene), before);
}

#[test]
fn command_lines_are_refused_alike() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let options: &[&[&str]] = &[
        &["--keep", "1"],
        &["--keep-last", "x"],
        &["--keep-13weekly", "1", "--keep-3monthly", "1"],
        &["--keep-within", "7D"],
        &["--stats", "--quick-stats", "--keep-last", "1"],
    ];
    for options in options {
        scene.assert_same_output(&[&["prune"], *options, &[scene.repo()]].concat());
    }
    scene.assert_same_output(&["prune", "--keep-last", "1", &scene.archive("x")]);
    let home = scene.home.with("BORG_EXIT_CODES", "modern");
    scene.assert_same_output_on(&home, &["prune", scene.repo()]);
}

#[test]
fn what_goes_leaves_a_whole_repository() {
    let scene = scene();
    let options: &[&[&str]] = &[
        &[
            "-v",
            "--list",
            "--stats",
            "--keep-daily",
            "2",
            "-a",
            "host-*",
        ],
        &[
            "--list",
            "--quick-stats",
            "--keep-yearly",
            "9",
            "--log-json",
        ],
        &[
            "-s",
            "--progress",
            "--keep-last",
            "3",
            "--checkpoint-interval",
            "0",
        ],
        // Nothing is left to do.
        &["--stats", "--list", "--keep-last", "90"],
    ];
    for options in options {
        let [ours, stock] = scene.each_from_same_state(|program| {
            let run = prune(&scene, program, "EST5EDT,M3.2.0,M11.1.0", options).ok();
            if program == Program::Ours && options.contains(&"--keep-daily") {
                scene.assert_checks();
                let rest = ["list", "--consider-checkpoints", "--short", scene.repo()];
                scene.assert_same_output(&rest);
                scene.run(Program::Stock, &["compact", scene.repo()]).ok();
                scene.assert_checks();
            }
            (run, names(&scene))
        });
        assert_same_run(&ours.0, &stock.0);
        assert_eq!(ours.1, stock.1, "archives left after {options:?}");
    }
}
