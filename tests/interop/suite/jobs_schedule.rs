//! Calendar expressions elapse when the systemd of this machine says so, and the daemon runs what is due.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ironborg_jobs::schedule::Schedule;
use ironborg_testkit::{Program, Random, Tried, tally};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{Scene, text};

const ZONES: [&str; 4] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Chatham",
];
/// Some before clocks are set: none while they show times for the second time.
const BASES: [i64; 4] = [1_767_268_800, 1_774_730_000, 1_792_872_900, 1_709_160_000];
/// Times asked for of each expression.
const COUNT: usize = 3;
/// How long anything may take that takes a second.
const PATIENCE: Duration = Duration::from_mins(1);

/// An expression, made of what they may be made of; not always one that is accepted.
fn expression(random: &mut Random) -> String {
    let mut one = |choice: &[&str]| choice[random.below(choice.len())].to_owned();
    let days = [
        "",
        "",
        "",
        "Mon ",
        "Sat,Sun ",
        "Mon..Fri ",
        "tue,thursday..Sat ",
        "Fri..Mon ",
        "Wed-Fri ",
    ];
    let months = ["*", "*", "*", "1", "2", "3..10/3", "4,10", "2/5", "13", "0"];
    let monthdays = [
        "-*", "-*", "-*", "-1", "-29", "-31", "-1..7", "-13,14", "~1", "~3..5", "~7/1", "~5..20/4",
        "-25..31", "-2..30/9", "~29", "-32",
    ];
    let years = ["*", "*", "*", "2026", "26..28", "2024/4", "2027,2030", "99"];
    let hours = [
        "*", "0", "2", "02", "3", "1..4", "0/2", "2,14", "23", "5..20/5", "24", "22/1", "0/12",
    ];
    let minutes = [
        "*", "0", "30", "0/15", "5..50/9", "59", "1,31", "0/59", "60", "20..10",
    ];
    let seconds = [
        "", "", "", ":0", ":30", ":*", ":0/20", ":10..12", ":59", ":60", ":0,30",
    ];
    let zones = [
        "",
        "",
        "",
        "",
        " UTC",
        " Europe/Berlin",
        " America/New_York",
        " No/Where",
    ];
    let date = format!("{}-{}{}", one(&years), one(&months), one(&monthdays));
    let time = format!("{}:{}{}", one(&hours), one(&minutes), one(&seconds));
    let both = [format!("{date} {time}"), date, time.clone(), time];
    let days = one(&days);
    let zone = one(&zones);
    format!("{days}{}{zone}", both[random.below(both.len())])
}

/// What systemd says of several expressions: the next times of each, nothing if it refuses it.
fn asked(expressions: &[String], zone: &str, base: i64) -> Vec<Option<Vec<Timestamp>>> {
    let mut command = Command::new("systemd-analyze");
    command.args([
        "calendar",
        &format!("--iterations={COUNT}"),
        &format!("--base-time=@{base}"),
        "--",
    ]);
    let output = command
        .args(expressions)
        .env("TZ", zone)
        .env("LC_ALL", "C")
        .output();
    let output = output.expect("systemd-analyze is installed: cargo xtask setup does it");
    let [told, refused] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    // Every expression that it accepts begins with one or two of these lines.
    let mut blocks: Vec<Vec<Timestamp>> = Vec::new();
    let mut is_begun = false;
    for line in told.lines().map(str::trim) {
        if line.starts_with("Original form:") || (line.starts_with("Normalized form:") && !is_begun)
        {
            blocks.push(Vec::new());
        }
        is_begun = line.starts_with("Original form:");
        let is_utc_only = zone == "UTC";
        let time = match line.split_once(": ") {
            Some(("(in UTC)", time)) => time,
            Some((name, time))
                if is_utc_only && (name == "Next elapse" || name.starts_with("Iter. #")) =>
            {
                time
            }
            _ => continue,
        };
        if let Some((_, time)) = time.split_once(' ')
            && let Some(time) = time.strip_suffix(" UTC")
        {
            let time = format!("{}Z", time.replace(' ', "T"));
            let block = blocks.last_mut().expect("a block has begun");
            block.push(time.parse().expect("a time of systemd's"));
        }
    }
    let mut blocks = blocks.into_iter();
    let answers = expressions.iter().map(|expression| {
        let is_refused = refused.contains(&format!("'{expression}':"));
        (!is_refused).then(|| blocks.next().expect("an answer for each that is accepted"))
    });
    let answers: Vec<_> = answers.collect();
    assert_eq!(blocks.next(), None, "{told}\n{refused}");
    answers
}

#[test]
fn made_up_expressions_elapse_when_systemd_says() {
    let seed = std::env::var("IRONBORG_SEED").map_or(5, |seed| seed.parse().expect("a number"));
    let mut random = Random::new(seed);
    let count = if std::env::var_os("IRONBORG_INTEROP_FULL").is_some() {
        2000
    } else {
        120
    };
    let (mut accepted, mut times) = (0, 0);
    for (zone, base) in ZONES.into_iter().zip(BASES).cycle().take(8) {
        let expressions: Vec<String> = (0..count).map(|_| expression(&mut random)).collect();
        let here = TimeZone::get(zone).expect("a zone");
        for (expression, expected) in expressions.iter().zip(asked(&expressions, zone, base)) {
            let place = format!("{expression} in {zone} from {base}, IRONBORG_SEED={seed}");
            let schedule = Schedule::parse(std::slice::from_ref(expression));
            let Some(expected) = expected else {
                assert!(schedule.is_err(), "accepted: {place}");
                continue;
            };
            let schedule = schedule.unwrap_or_else(|error| panic!("{error}: {place}"));
            let mut now = Timestamp::from_second(base).expect("a time");
            let mut found = Vec::new();
            while found.len() < COUNT
                && let Some(next) = schedule.next_after(now, &here)
            {
                found.push(next);
                now = next;
            }
            assert_eq!(found, expected, "{place}");
            accepted += 1;
            times += found.len();
        }
    }
    assert!(
        accepted > count && times > 2 * accepted,
        "{times} times of {accepted}"
    );
    tally(Tried::RandomOperations, times as u64);
}

/// A daemon, and what it writes.
struct Daemon {
    child: Child,
    log: std::path::PathBuf,
}

impl Daemon {
    fn start(scene: &Scene, socket: &Path) -> Self {
        let log = scene.scratch.join("log");
        let (config, state) = (scene.scratch.join("jobs.toml"), scene.scratch.join("state"));
        let words = [
            "jobs",
            "daemon",
            "--parallel",
            "2",
            "--config",
            text(&config),
            "--state",
            text(&state),
        ];
        let home = scene.home.with("NOTIFY_SOCKET", socket);
        let file = fs::File::create(&log).expect("room on the disk");
        let child = home.tool(Program::Ours.path(), words).start_logging(&file);
        Self { child, log }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is running");
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("its log")
    }

    /// Waits until it has said something so often.
    fn wait_for(&self, what: &str, count: usize) {
        let begun = Instant::now();
        while self.log().matches(what).count() < count {
            assert!(begun.elapsed() < PATIENCE, "no {what:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Daemon {
    /// Waits for its end.
    fn end(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "no end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    /// It would go on for ever.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration with a job that is always due and one that never is.
fn configure(scene: &Scene, more: &str) {
    let (repo, tree) = (scene.repo(), scene.scratch.join("tree"));
    let text = format!(
        "[defaults]
         repo = \"{repo}\"
         paths = [\"{tree}\"]
         encryption.mode = \"none\"
         prune.keep = {{ last = 3 }}
         [jobs.often]
         start_at = \"*:*:*\"
         [jobs.by-hand]
         start_at = []
         {more}",
        tree = text(&tree)
    );
    fs::write(scene.scratch.join("jobs.toml"), text).expect("room on the disk");
}

/// Waits for something the service manager is told.
fn heard(socket: &UnixDatagram, what: &str) {
    let mut buffer = [0; 500];
    loop {
        let len = socket.recv(&mut buffer).expect("it is told in time");
        if String::from_utf8_lossy(&buffer[..len]).contains(what) {
            return;
        }
    }
}

#[test]
fn the_daemon_runs_what_is_due_reads_again_what_it_is_told_and_ends_well() {
    let scene = Scene::new();
    fs::create_dir_all(scene.scratch.join("tree")).expect("room on the disk");
    fs::write(scene.scratch.join("tree/file"), "content").expect("room on the disk");
    scene.init(Program::Stock, "none");
    configure(&scene, "");
    let path = scene.scratch.join("notify");
    let socket = UnixDatagram::bind(&path).expect("a short path");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut daemon = Daemon::start(&scene, &path);
    heard(&socket, "READY=1");
    heard(&socket, "running: often");
    daemon.wait_for("often: ended\n", 2);
    // With a configuration that is wrong nothing is backed up in some other way than was meant, and the daemon says why.
    fs::write(
        scene.scratch.join("jobs.toml"),
        "[jobs.often]\nstart_att = 1\n",
    )
    .expect("room");
    daemon.signal(Signal::HUP);
    daemon.wait_for("the configuration stays as it was: ", 1);
    daemon.wait_for("often: ended, exit status: 2\n", 1);
    let ended = daemon.log().matches("often: ended\n").count();
    // Another job of the same repository waits for its turn.
    configure(
        &scene,
        "[jobs.second]\nstart_at = \"* * * * *\"\npersistent_timer = true\n",
    );
    let seen = scene.scratch.join("state/.first-seen.json");
    fs::write(&seen, "{\"second\": \"2026-01-01T00:00:00Z\"}").expect("room on the disk");
    daemon.signal(Signal::HUP);
    daemon.wait_for("often: ended\n", ended + 1);
    daemon.wait_for("second: started, due since ", 1);
    daemon.wait_for("second: ended\n", 1);
    let (config, state) = (scene.scratch.join("jobs.toml"), scene.scratch.join("state"));
    let words = [
        "jobs",
        "list",
        "--json",
        "--config",
        text(&config),
        "--state",
        text(&state),
    ];
    let listed = scene.home.tool(Program::Ours.path(), words).run();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("it is JSON");
    let jobs = listed["jobs"].as_array().expect("a list");
    assert_eq!(jobs.len(), 3, "{listed}");
    assert_eq!(jobs[1]["next"], serde_json::Value::Null, "{listed}");
    assert_eq!(jobs[2]["last"]["outcome"], "success", "{listed}");
    daemon.signal(Signal::TERM);
    let status = daemon.end();
    let log = daemon.log();
    assert!(status.success(), "{status}:\n{log}");
    assert!(log.ends_with("all jobs have ended\n"), "{log}");
    assert!(!log.contains("by-hand"), "{log}");
    // One after the other: they have one repository.
    let mut running = 0;
    for line in log.lines() {
        running += i32::from(line.contains(": started, "));
        running -= i32::from(line.contains(": ended"));
        assert!((0..=1).contains(&running), "{line}:\n{log}");
    }
    scene.assert_checks();
    let archives = scene.run(Program::Stock, &["list", "--short", scene.repo()]);
    let archives = String::from_utf8_lossy(&archives.stdout).into_owned();
    assert!(archives.contains("second-"), "{archives}\n{log}");
    assert!(archives.contains("often-"), "{archives}\n{log}");
}
