//! Jobs as they are run: against repositories stock Borg reads, locks, and makes fail; through ssh; by other users; killed.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ironborg_testkit::{Invocation, OtherUser, Program, Run, Sshd, Tried, tally};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::scene::{Scene, text};

/// A job in a scene: its configuration, its records, and who hears of it.
struct Place {
    scene: Scene,
    config: PathBuf,
    state: PathBuf,
    heard: PathBuf,
}

/// What every job of these tests has: no schedule, quick attempts, and a notifier that writes down what it hears.
const DEFAULTS: &str = r#"
[notify.file]
type = "command"
command = "echo $IRONBORG_NOTICE_KIND $IRONBORG_NOTICE_TARGET >> 'HEARD'"
at_most_every = "0"

[defaults]
start_at = []
do_init = false
compact = false
conditions.wait = "0"
retry = { attempts = 4, first = "1s", longest = "1s" }
notify = { by = ["file"], success = true }
environment = { BORG_HOSTNAME = "host" }
"#;

impl Place {
    /// A repository made by stock Borg and a job `home` for it with these keys besides; `DIR` in them is the scratch
    /// directory.
    fn new(keys: &str) -> Self {
        let place = Self::without_repository(keys);
        place.scene.init(Program::Stock, "repokey-blake2");
        place
    }

    fn without_repository(keys: &str) -> Self {
        let scene = Scene::new();
        let dir = text(scene.scratch.path()).to_owned();
        fs::create_dir(scene.scratch.join("src")).expect("room");
        fs::write(scene.scratch.join("src/file"), "content").expect("room");
        let place = Self {
            config: scene.scratch.join("jobs.toml"),
            state: scene.scratch.join("state"),
            heard: scene.scratch.join("heard"),
            scene,
        };
        let head = DEFAULTS.replace("HEARD", text(&place.heard));
        let keys = keys.replace("DIR", &dir);
        let paths = if keys.contains("dump_command") {
            String::new()
        } else {
            format!("paths = \"{dir}/src\"\n")
        };
        let repo = if keys.contains("repo = ") {
            String::new()
        } else {
            format!("repo = \"{}\"\n", place.scene.repo())
        };
        let content = format!("{head}\n[jobs.home]\n{paths}{repo}{keys}\n");
        fs::write(&place.config, content).expect("room");
        place
    }

    fn command(&self, words: &[&str]) -> Invocation {
        let place = ["--config", text(&self.config), "--state", text(&self.state)];
        let words = ["jobs"].iter().chain(words).chain(&place).copied();
        let words: Vec<&str> = words.collect();
        self.scene.home.tool(Program::Ours.path(), words)
    }

    /// Runs the job; what became of it is the second value.
    #[track_caller]
    fn job(&self, words: &[&str]) -> (Run, Value) {
        let words: Vec<&str> = ["run", "home", "--json"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        let run = self.command(&words).run();
        let value = run.json_lines().pop().unwrap_or(Value::Null);
        (run, value["repositories"][0].clone())
    }

    fn start(&self, words: &[&str]) -> Child {
        let words: Vec<&str> = ["run", "home"].iter().chain(words).copied().collect();
        self.command(&words).start(Stdio::null())
    }

    fn status(&self) -> Value {
        let mut status = self.command(&["status", "--json"]).run().ok().json();
        status["jobs"][0].take()
    }

    fn heard(&self) -> Vec<String> {
        let heard = fs::read_to_string(&self.heard).unwrap_or_default();
        fs::remove_file(&self.heard).ok();
        heard.lines().map(str::to_owned).collect()
    }

    /// The archives, as stock Borg has them.
    #[track_caller]
    fn archives(&self) -> Vec<String> {
        // The job may have come to it another way.
        let stock = self.scene.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        let run = stock.run(Program::Stock, &["list", "--short", stock.repo()]);
        run.ok().out().lines().map(str::to_owned).collect()
    }
}

/// Waits for something that is going to be.
#[track_caller]
fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what} never was");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_job_makes_its_repository_and_what_it_did_is_known() {
    let place = Place::without_repository(
        "do_init = true\ncompact = true\nprune.keep = { daily = 1 }\n\
         encryption = { mode = \"repokey\", passphrase = \"a secret\" }",
    );
    let metrics = place.scene.scratch.dir("metrics");
    let content = fs::read_to_string(&place.config).expect("just made");
    let content = format!("metrics = \"{}\"\n{content}", text(&metrics));
    fs::write(&place.config, content).expect("room");

    let shown = place
        .command(&["run", "home", "--dry-run"])
        .run()
        .ok()
        .out();
    assert!(
        shown.contains("ironborg init --encryption=repokey\n"),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
    assert!(!place.scene.repo.exists());
    let never = place
        .command(&["status", "--max-age", "26h"])
        .run()
        .exits(2);
    assert_eq!(never.out(), "CRITICAL - home/repo: no backup yet\n");

    let mut names = Vec::new();
    for _ in 0..2 {
        let (run, done) = place.job(&[]);
        assert_eq!(run.code(), 0, "{run}");
        assert_eq!(done["outcome"], "success");
        assert_eq!(done["figures"]["files"], 1);
        names.push(
            done["figures"]["archive"]
                .as_str()
                .expect("a name")
                .to_owned(),
        );
    }
    assert_eq!(place.heard(), ["success repo", "success repo"]);
    let stock = place.scene.with("BORG_PASSPHRASE", "a secret");
    let listed = stock
        .run(Program::Stock, &["list", "--short", stock.repo()])
        .ok();
    // The earlier one of the same day was not kept.
    assert_eq!(listed.out().lines().count(), 1, "{listed}");
    let kept = listed.out().trim().to_owned();
    assert!(
        names[1].starts_with(&kept) && !kept.ends_with(".failed"),
        "{kept}, {names:?}"
    );

    let status = place.status();
    assert_eq!(status["running"], false);
    let target = &status["repositories"][0];
    assert_eq!(target["label"], "repo");
    assert_eq!(target["last_run"]["outcome"], "success");
    assert_eq!(target["trend"]["backups"], 2);
    assert!(target["age_seconds"].as_u64().expect("a number") < 600);
    let good = place.command(&["status", "--max-age", "26h"]).run().ok();
    let line = good.out();
    assert!(
        line.starts_with("OK - 1 of 1 backups are younger than 26 h | 'home/repo'="),
        "{line}"
    );
    assert!(line.ends_with("s;;93600;0\n"), "{line}");
    thread::sleep(Duration::from_millis(1100));
    let old = place.command(&["status", "--max-age", "1s"]).run().exits(2);
    assert!(
        old.out().starts_with("CRITICAL - home/repo: last backup "),
        "{old}"
    );
    let people = place.command(&["status"]).run().ok().out();
    assert!(people.contains("last backup"), "{people}");

    let figures = fs::read_to_string(metrics.join("ironborg-home.prom")).expect("written");
    let sample = "ironborg_job_last_run_success{job=\"home\",repository=\"repo\"} 1\n";
    assert!(figures.contains(sample), "{figures}");
}

/// Nothing is started that is not needed: where no program is to be found, all goes well.
#[test]
fn a_run_needs_no_program_but_itself() {
    let place = Place::new("prune.keep = { last = 3 }\ncompact = true");
    let mut command = place.command(&["run", "home"]);
    command = command.env("PATH", "/nonexistent").without("BORG_RSH");
    let content = fs::read_to_string(&place.config).expect("just made");
    // The notifier is a shell.
    let content = content.replace("by = [\"file\"], success = true", "by = []");
    fs::write(&place.config, content).expect("room");
    command.run().ok();
    assert_eq!(place.archives().len(), 1);
}

#[test]
fn a_lock_of_stock_borgs_is_waited_for() {
    let place = Place::new("");
    let marker = place.scene.scratch.join("locked");
    let script = format!("touch '{}'; sleep 4", text(&marker));
    let words = ["with-lock", place.scene.repo(), "sh", "-c", &script];
    let mut holder = place.scene.home.invocation(Program::Stock, words);
    let mut holder = holder.start(Stdio::null());
    wait_until("the lock", || marker.exists());
    let (run, done) = place.job(&[]);
    assert!(holder.wait().expect("ours").success());
    assert_eq!(run.code(), 0, "{run}");
    assert!(done["attempts"].as_u64().expect("a number") > 1, "{done}");
    assert!(run.err().contains("attempt 2 of 4 follows in"), "{run}");
    assert_eq!(place.archives().len(), 1);
    assert_eq!(place.heard(), ["success repo"]);
}

/// Neither a wrong passphrase nor damage passes by itself; and what fails twice is one failure, that ends.
#[test]
fn what_does_not_pass_is_not_tried_again() {
    let place = Place::new("encryption.pass_command = \"cat 'DIR/passphrase'\"");
    let passphrase = place.scene.scratch.join("passphrase");
    fs::write(&passphrase, "wrong").expect("room");
    let (run, done) = place.job(&[]);
    assert_eq!(
        (run.code(), &done["attempts"]),
        (2, &Value::from(1)),
        "{run}"
    );
    assert_eq!(done["msgid"], "PassphraseWrong");
    assert_eq!(place.heard(), ["failure repo"]);

    let environment = place.scene.home.environment();
    let right = environment
        .iter()
        .find(|(name, _)| *name == "BORG_PASSPHRASE");
    fs::write(&passphrase, right.expect("set").1.as_encoded_bytes()).expect("room");
    let config = place.scene.repo.join("config");
    let good = fs::read(&config).expect("there");
    fs::write(&config, "[repository]\nversion = 99\n").expect("room");
    let (run, done) = place.job(&[]);
    assert_eq!(
        (run.code(), &done["attempts"]),
        (2, &Value::from(1)),
        "{run}"
    );
    assert_eq!(place.heard(), ["failure repo"]);
    let status = place.command(&["status", "home"]).run().ok().out();
    assert!(status.contains("failure (2)"), "{status}");

    fs::write(&config, good).expect("room");
    let (run, _) = place.job(&[]);
    assert_eq!(run.code(), 0, "{run}");
    assert_eq!(place.heard(), ["recovery repo"]);
}

/// Connects whoever comes with another port, as if a host had come up.
fn forward(listener: TcpListener, port: u16) {
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("on loopback");
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                return;
            };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let mut from = from.try_clone().expect("descriptors");
                let mut to = to.try_clone().expect("descriptors");
                thread::spawn(move || {
                    // Who has gone has gone.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
}

#[test]
fn a_host_that_appears_later_is_waited_for() {
    let reserved = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = reserved.local_addr().expect("bound").port();
    let place = Place::new(&format!(
        "repo = \"ssh://127.0.0.1:{port}DIR/repo\"\nconditions.wait = \"60s\""
    ));
    let sshd = Sshd::start(&place.scene.scratch.join("sshd"), &[]);
    let rsh = sshd.key("job", "");
    let rsh = rsh.replace(&format!("Port={}", sshd.port()), &format!("Port={port}"));
    let content = fs::read_to_string(&place.config).expect("just made");
    let stock = text(Program::Stock.path());
    let environment = format!(
        "environment = {{ BORG_RSH = \"{rsh}\", BORG_REMOTE_PATH = \"{stock}\", BORG_RELOCATED_REPO_ACCESS_IS_OK = \"yes\" }}\n"
    );
    fs::write(&place.config, content + &environment).expect("room");
    drop(reserved);

    // By hand and without patience it is an error, by a timer it is none.
    let (run, done) = place.job(&["--no-wait"]);
    assert_eq!(run.code(), 2, "{run}");
    assert_eq!(done["outcome"], "unmet");
    assert!(
        done["message"]
            .as_str()
            .is_some_and(|it| it.contains("does not answer")),
        "{done}"
    );
    place.job(&["--no-wait", "--scheduled"]).0.ok();
    assert_eq!(place.heard(), [""; 0]);

    let child = place.start(&[]);
    thread::sleep(Duration::from_millis(1500));
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("reserved before");
    forward(listener, sshd.port());
    let run = Run::of(child).ok();
    assert!(
        run.err().contains("waiting for up to 60 s: 127.0.0.1 port"),
        "{run}"
    );
    assert_eq!(place.heard(), ["success repo"]);
    assert_eq!(place.archives().len(), 1);
}

/// The worker is killed once: in the middle of an archive, and after it.
#[test]
fn a_worker_that_is_killed_is_replaced() {
    let once = "test -e 'DIR/MARK' || { touch 'DIR/MARK'; kill -9 $PPID; }";
    let before = once.replace("MARK", "first");
    let after = once.replace("MARK", "second");
    let place = Place::new(&format!(
        "dump_command = \"head -c 3000000 /dev/zero; {before}\"\npost_create = \"{after}\""
    ));
    let (run, done) = place.job(&[]);
    assert_eq!(run.code(), 0, "{run}");
    assert_eq!(done["attempts"], 3, "{done}");
    let killed = "the process that works was killed by signal 9";
    assert_eq!(run.err().matches(killed).count(), 2, "{run}");
    let archives = place.archives();
    let whole: Vec<_> = archives
        .iter()
        .filter(|name| !name.contains(".checkpoint"))
        .collect();
    assert_eq!(whole.len(), 1, "{archives:?}");
    place
        .scene
        .run(Program::Stock, &["check", place.scene.repo()])
        .ok();
    tally(Tried::CrashPoints, 2);
}

/// The supervisor is killed: its worker ends too, the next one says so, and who wants to know is told.
#[test]
fn a_supervisor_that_is_killed_is_noticed() {
    let parent = "$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$PPID/status)";
    let place = Place::new(&format!(
        "post_create = '''test -e 'DIR/mark' || {{ touch 'DIR/mark'; kill -9 {parent}; sleep 60; }}'''"
    ));
    let begun = Instant::now();
    let status = place.start(&[]).wait().expect("ours");
    assert!(!status.success());
    // What it started does not outlive it for long, and leaves no lock behind.
    wait_until("the end of the worker", || {
        let (lock, roster) = ("lock.exclusive", "lock.roster");
        let repo = &place.scene.repo;
        !repo.join(lock).exists() && !repo.join(roster).exists()
    });
    assert!(
        begun.elapsed() < Duration::from_secs(50),
        "{:?}",
        begun.elapsed()
    );
    let status = place.status();
    assert_eq!(status["running"], false);
    assert_eq!(status["repositories"][0]["last_run"]["outcome"], "killed");
    place.command(&["status", "--notify"]).run().ok();
    assert_eq!(place.heard(), ["failure repo"]);
    place.command(&["status", "--notify"]).run().ok();
    assert_eq!(place.heard(), [""; 0]);
    let (run, _) = place.job(&[]);
    assert_eq!(run.code(), 0, "{run}");
    assert_eq!(place.heard(), ["recovery repo"]);
    assert_eq!(
        place.status()["repositories"][0]["failures_since_success"],
        0
    );
    tally(Tried::CrashPoints, 1);
}

#[test]
fn a_signal_ends_a_run_and_is_no_failure() {
    let place = Place::new("dump_command = \"touch 'DIR/begun'; sleep 60\"");
    let begun = place.scene.scratch.join("begun");
    let child = place.start(&[]);
    wait_until("the backup", || begun.exists());
    assert_eq!(
        place.status()["repositories"][0]["last_run"]["outcome"],
        "running"
    );
    // Another one does not begin meanwhile.
    let second = place.command(&["run", "home", "--no-wait"]).run().exits(2);
    assert!(
        second.err().contains("home: it is running already"),
        "{second}"
    );
    place.command(&["run", "home", "--scheduled"]).run().ok();

    let pid = i32::try_from(child.id()).expect("a number of a process");
    kill_process(Pid::from_raw(pid).expect("not 0"), Signal::TERM).expect("ours");
    let run = Run::of(child).exits(143);
    let last = &place.status()["repositories"][0]["last_run"];
    assert_eq!(
        (&last["outcome"], &last["code"]),
        (&"interrupted".into(), &143.into()),
        "{run}"
    );
    assert_eq!(place.heard(), [""; 0]);
    let left = fs::read_dir(&place.scene.repo).expect("there");
    let names: Vec<_> = left
        .map(|entry| entry.expect("there").file_name())
        .collect();
    assert!(
        !names.iter().any(|name| name == "lock.exclusive"),
        "{names:?}"
    );
}

#[test]
fn what_is_not_there_is_nothing_to_do() {
    let place = Place::without_repository("removable_device = true");
    let (run, done) = place.job(&["--scheduled"]);
    assert_eq!(
        (run.code(), &done["outcome"]),
        (0, &"absent".into()),
        "{run}"
    );
    // The directory where it would be mounted is not it.
    fs::create_dir(&place.scene.repo).expect("room");
    let (run, done) = place.job(&[]);
    assert_eq!(
        (run.code(), &done["outcome"]),
        (2, &"absent".into()),
        "{run}"
    );
    assert_eq!(place.heard(), [""; 0]);
    fs::remove_dir(&place.scene.repo).expect("empty");
    place.scene.init(Program::Stock, "repokey-blake2");
    let (run, _) = place.job(&["--scheduled"]);
    assert_eq!(run.code(), 0, "{run}");
    assert_eq!(place.archives().len(), 1);
}

/// No backup for longer than there should be is told once, and that it is over.
#[test]
fn silence_is_told() {
    let place = Place::new(
        "notify = { by = [\"file\"], max_age = \"1s\" }\npre_hook = \"test -e 'DIR/go'\"",
    );
    let notify = || place.command(&["status", "--notify"]).run().ok();
    notify();
    assert_eq!(place.heard(), [""; 0]);
    thread::sleep(Duration::from_millis(1200));
    notify();
    assert_eq!(place.heard(), ["silence repo"]);
    fs::write(place.scene.scratch.join("go"), "").expect("room");
    place.job(&[]).0.ok();
    assert_eq!(place.heard(), ["recovery repo"]);
}

/// Root runs the jobs of others as those: their records, archives and caches are theirs.
#[test]
fn a_job_of_somebody_else_is_run_by_him() {
    if !rustix::process::geteuid().is_root() {
        return; // Nobody else can.
    }
    let place = Place::without_repository("do_init = true\nuser = \"nobody\"");
    let other = OtherUser::new(&place.scene.scratch, &place.scene.home);
    let theirs = other.dir("theirs");
    // Under the name of stock Borg there are no jobs.
    let program = theirs.join("ironborg");
    fs::hard_link(other.borg(), &program).expect("beside it");
    let content = fs::read_to_string(&place.config).expect("just made");
    let content = content
        .replace(place.scene.repo(), text(&theirs.join("repo")))
        .replace(
            "{ BORG_HOSTNAME",
            &format!("{{ BORG_BASE_DIR = \"{}\", BORG_HOSTNAME", text(&theirs)),
        )
        .replace(text(&place.heard), text(&theirs.join("heard")))
        .replace(
            "repo = ",
            "encryption = { mode = \"repokey\", passphrase = \"a secret\" }\nrepo = ",
        );
    fs::write(&place.config, content).expect("room");
    open_to_all(&place.config);
    open_to_all(&place.scene.scratch.join("src/file"));
    open_to_all(&place.scene.scratch.join("src"));
    let run = |words: &[&str]| {
        let place = [
            "--config",
            text(&place.config),
            "--state",
            text(&place.state),
        ];
        let words: Vec<&str> = ["jobs"]
            .iter()
            .chain(words)
            .chain(&place)
            .copied()
            .collect();
        // Of root's own variables nothing reaches them.
        let command = other.home().tool(&program, words);
        command.env("BORG_PASSPHRASE", "wrong").run()
    };
    let ran = run(&["run", "home", "--json"]).ok();
    let done = ran.json_lines().pop().expect("a line");
    assert_eq!(done["repositories"][0]["outcome"], "success", "{ran}");
    for path in [
        theirs.join("repo/config"),
        theirs.join("heard"),
        place.state.join("home"),
        place.state.join("home/history.sqlite"),
    ] {
        assert_eq!(owner(&path), 65_534, "{}", path.display());
    }
    let status = run(&["status", "--json"]).ok().json();
    let last = &status["jobs"][0]["repositories"][0]["last_run"];
    assert_eq!(last["outcome"], "success", "{status}");
    run(&["status", "--notify"]).ok();
    assert_eq!(owner(&place.state.join("home/history.sqlite")), 65_534);
    // Who is not root cannot.
    let refused = place
        .command(&["run", "home"])
        .as_user(65_533, 65_533)
        .run();
    let refused = refused.exits(2);
    assert!(
        refused
            .err()
            .contains("only root can start it for somebody else"),
        "{refused}"
    );
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
}

fn owner(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path);
    found
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .uid()
}
