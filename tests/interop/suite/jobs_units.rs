//! `jobs enable`: systemd reads the units as they are meant and finds them safe enough, and what they start makes a backup.
//!
//! No service manager runs here. What one would do is done by the tests: the unit's own command line.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ironborg_testkit::{Home, OtherUser, Program, Run, Scratch};

use super::automount::words;
use super::scene::text;
use super::walkthrough_tutorial::user_name;

/// The worst level that still counts as "OK" (systemd-analyze security).
const OK_BELOW: f64 = 5.0;
/// What is left to a service of a user's manager, which cannot be given another view of the file system ("MEDIUM"). The
/// capabilities it is said to keep it never had.
const USERS_BELOW: f64 = 7.0;

/// A machine with jobs.
struct Machine {
    scratch: Scratch,
    home: Home,
    config: PathBuf,
    units: PathBuf,
    state: PathBuf,
}

const JOBS: &str = r#"
[defaults]
encryption.mode = "none"
[jobs.home]
paths = ["/home"]
repo = "/srv/backup/home"
[jobs.whole-machine]
paths = ["/"]
repo = "ssh://backup@server/./machine"
start_at = ["Mon..Fri 04:00", "30 4 * * 6"]
random_delay = "1h"
nice = 10
io = "idle"
checks.drill = "1 month"
encryption = { mode = "repokey-blake2", credential = "borg" }
notify = ["admin"]
[jobs.database_1]
dump_command = "pg_dumpall"
repo = "/srv/backup/db 100%"
pre_hook = "true"
user = "USER"
read_write_paths = ["/var/dump \"x\""]
[jobs.snapshots]
paths = ["/mnt"]
repo = "/srv/backup/snapshots"
pre_hook = "mount /dev/vg/snapshot /mnt"
start_at = []
[jobs.of-user]
paths = ["/home/me"]
repo = "me@server:repo"
user = "USER"
notify = ["admin", "program"]
[notify.admin]
type = "mail"
from = "root@localhost"
to = ["me@localhost"]
[notify.program]
type = "command"
command = "true"
"#;

impl Machine {
    fn new() -> Self {
        let scratch = Scratch::new();
        let home = Home::new(&scratch, "home");
        let machine = Self {
            config: scratch.join("jobs.toml"),
            units: scratch.join("units"),
            state: scratch.join("state"),
            home,
            scratch,
        };
        machine.configure(&JOBS.replace("USER", "daemon"));
        machine
    }

    fn configure(&self, content: &str) {
        fs::write(&self.config, content).expect("room on the disk");
        fs::set_permissions(&self.config, fs::Permissions::from_mode(0o644)).expect("our own");
    }

    fn run(&self, words: &[&str]) -> Run {
        self.home.tool(Program::Ours.path(), words).run()
    }

    fn enable(&self, more: &[&str]) -> Run {
        let place = ["jobs", "enable", "--config", text(&self.config), "--system"];
        self.run(&[&place, more].concat())
    }

    /// The units, by name.
    fn written(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(&self.units).expect("units were written");
        let files = entries.map(|entry| entry.expect("it can be read").path());
        let named = files.filter(|path| path.is_file()).map(|path| {
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(&path).expect("a unit"))
        });
        named.collect()
    }
}

/// How exposed a service is, from 0 to 10.
#[track_caller]
fn exposure(home: &Home, unit: &Path, user: &[&str]) -> f64 {
    let args = [&["security", "--offline=true"], user, &[text(unit)]].concat();
    let run = home.tool(Path::new("systemd-analyze"), args).run().ok();
    let out = run.out();
    let line = out
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for "));
    let (_, rest) = line.unwrap_or_else(|| panic!("no level\n{run}"));
    let level = rest
        .split(": ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    level
        .and_then(|level| level.parse().ok())
        .unwrap_or_else(|| panic!("{rest}"))
}

#[track_caller]
fn verify(home: &Home, units: &[PathBuf], user: &[&str]) {
    let paths = units.iter().map(|path| text(path));
    let args: Vec<&str> = ["verify", "--man=no"]
        .into_iter()
        .chain(user.iter().copied())
        .chain(paths)
        .collect();
    let run = home.tool(Path::new("systemd-analyze"), args).run().ok();
    assert_eq!(run.err(), "", "{run}");
}

#[test]
fn systemd_understands_the_units_and_finds_them_safe() {
    let machine = Machine::new();
    machine
        .enable(&["--all", "--print", "--unit-dir", text(&machine.units)])
        .ok();
    let written = machine.written();
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ironborg-job-database_1.service",
            "ironborg-job-database_1.timer",
            "ironborg-job-failed@.service",
            "ironborg-job-home.service",
            "ironborg-job-home.timer",
            "ironborg-job-of-user.service",
            "ironborg-job-of-user.timer",
            "ironborg-job-snapshots.service",
            "ironborg-job-whole-machine.service",
            "ironborg-job-whole-machine.timer",
            "ironborg-jobs-silence.service",
            "ironborg-jobs-silence.timer",
        ]
    );
    let paths: Vec<PathBuf> = names.iter().map(|name| machine.units.join(name)).collect();
    let instantiated = |path: &PathBuf| PathBuf::from(text(path).replace("failed@", "failed@home"));
    fs::copy(&paths[2], instantiated(&paths[2])).expect("room");
    let whole: Vec<PathBuf> = paths.iter().map(instantiated).collect();
    verify(&machine.home, &whole, &[]);
    for unit in whole.iter().filter(|path| text(path).ends_with(".service")) {
        let exposure = exposure(&machine.home, unit, &[]);
        assert!(exposure < OK_BELOW, "{}: {exposure}", unit.display());
    }
    let machine_unit = &written["ironborg-job-whole-machine.service"];
    for line in [
        "PrivateTmp=false",
        "LoadCredential=borg",
        "After=network-online.target",
        "OnFailure=ironborg-job-failed@whole-machine.service",
        "Nice=10",
        "IOSchedulingClass=idle",
    ] {
        assert!(
            machine_unit.lines().any(|known| known == line),
            "{line}\n{machine_unit}"
        );
    }
    let timer = &written["ironborg-job-whole-machine.timer"];
    assert_eq!(timer.matches("OnCalendar=").count(), 2, "{timer}");
}

/// A user's own service manager: less can be taken away there, and nothing that would change what is backed up.
#[test]
fn units_of_a_user_are_for_his_manager() {
    let scratch = Scratch::new();
    let home = Home::new(&scratch, "home");
    let user = OtherUser::new(&scratch, &home);
    // Its copy of the program is called `borg`, and knows what that knows.
    let program = user.home().base().join("ironborg");
    fs::hard_link(user.borg(), &program).expect("room");
    let runtime = user.dir("runtime");
    let config = user.home().base().join("jobs.toml");
    let jobs =
        "[jobs.mine]\npaths = [\"/home\"]\nrepo = \"/srv/mine\"\nencryption.mode = \"none\"\n";
    fs::write(&config, jobs).expect("room");
    let words = [
        "jobs",
        "enable",
        "--all",
        "--no-start",
        "--config",
        text(&config),
    ];
    user.tool(&program, words).run().ok();
    let units = user.home().base().join(".config/systemd/user");
    let service = units.join("ironborg-job-mine.service");
    let timer = units.join("ironborg-job-mine.timer");
    assert!(
        units
            .join("timers.target.wants/ironborg-job-mine.timer")
            .is_file(),
        "the link leads to it"
    );
    let mut home = user.home().clone();
    home.set("XDG_RUNTIME_DIR", &runtime);
    verify(&home, &[service.clone(), timer], &["--user"]);
    let exposure = exposure(&home, &service, &["--user"]);
    assert!(exposure < USERS_BELOW, "{exposure}");
    // Jobs of others are for root.
    fs::write(&config, jobs.to_owned() + "user = \"root\"\n").expect("room");
    let run = user.tool(&program, words).run();
    if rustix::process::geteuid().is_root() {
        assert_eq!(run.code(), 2);
        assert!(
            run.err()
                .contains("mine: only root can have jobs run as another user (root)"),
            "{run}"
        );
    }
    let words = ["jobs", "disable", "--all"];
    user.tool(&program, words).run().ok();
    assert!(!service.exists());
}

/// The same again changes nothing; what is configured otherwise is changed, what is no more is removed.
#[test]
fn units_follow_the_configuration() {
    if !rustix::process::geteuid().is_root() {
        return; // Directories for jobs of the system are made by root.
    }
    let machine = Machine::new();
    let job = |name: &str, when: &str| {
        let repo = machine.scratch.join(format!("repo {name}"));
        format!(
            "[jobs.{name}]\npaths = [\"/home\"]\nrepo = \"{}\"\nencryption.mode = \"none\"\nstart_at = \"{when}\"\n\
             environment = {{ BORG_BASE_DIR = \"{}\" }}\n",
            text(&repo),
            text(machine.home.base())
        )
    };
    machine.configure(&(job("a", "daily") + &job("b", "daily")));
    let place = [
        "--all",
        "--no-start",
        "--state",
        text(&machine.state),
        "--unit-dir",
        text(&machine.units),
    ];
    let run = machine.enable(&place).ok();
    assert_eq!(run.out().matches("wrote ").count(), 4, "{run}");
    assert!(machine.scratch.join("repo a").is_dir() && machine.state.join("a").is_dir());
    let times = || -> Vec<SystemTime> {
        let names = machine.written();
        let time =
            |name: &String| fs::metadata(machine.units.join(name)).and_then(|file| file.modified());
        names
            .keys()
            .map(|name| time(name).expect("a unit"))
            .collect()
    };
    let before = times();
    assert_eq!(machine.enable(&place).ok().out(), "");
    assert_eq!(times(), before);
    machine.configure(&(job("a", "weekly") + &job("c", "daily")));
    let run = machine.enable(&place).ok();
    let dir = text(&machine.units);
    let expected = format!(
        "removed ironborg-job-b.service\nremoved ironborg-job-b.timer\nwrote {dir}/ironborg-job-a.timer\n\
         wrote {dir}/ironborg-job-c.service\nwrote {dir}/ironborg-job-c.timer\n"
    );
    assert_eq!(run.out(), expected);
    let wants = machine.units.join("timers.target.wants");
    let links = || {
        let entries = fs::read_dir(&wants).expect("made");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("a link").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(links(), ["ironborg-job-a.timer", "ironborg-job-c.timer"]);
    // One at a time.
    let disable = |name: &str| machine.run(&["jobs", "disable", "--unit-dir", dir, "--", name]);
    disable("c").ok();
    assert_eq!(disable("c").code(), 2);
    assert_eq!(machine.written().len(), 2);
    // Somebody else's unit of that name is not written over, nor removed.
    fs::write(machine.units.join("ironborg-job-c.service"), "[Service]\n").expect("room");
    let run = machine.enable(&place);
    assert_eq!(run.code(), 2);
    assert!(run.err().contains("was not made by this command"), "{run}");
    machine
        .run(&["jobs", "disable", "--all", "--unit-dir", dir])
        .ok();
    let left: Vec<String> = machine.written().into_keys().collect();
    assert_eq!(left, ["ironborg-job-c.service"]);
    assert_eq!(links().len(), 0);
    assert_eq!(machine.enable(&["x"]).code(), 2);
}

/// What a unit starts, as it stands there, makes a backup that stock Borg reads.
#[test]
fn the_command_of_a_unit_makes_a_backup() {
    let machine = Machine::new();
    let tree = machine.scratch.dir("tree with blanks");
    fs::write(tree.join("file"), "content").expect("room");
    let repo = machine.scratch.join("repo");
    machine.configure(&format!(
        "[jobs.j]\npaths = [\"{}\"]\nrepo = \"{}\"\nencryption.mode = \"none\"\narchive_base_name = \"j\"\n\
         date_format = \"%Y\"\nuser = \"{}\"\n",
        text(&tree),
        text(&repo),
        user_name(&machine.home)
    ));
    let words_of = [
        "--all",
        "--print",
        "--state",
        text(&machine.state),
        "--unit-dir",
        text(&machine.units),
    ];
    machine.enable(&words_of).ok();
    let unit = &machine.written()["ironborg-job-j.service"];
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .expect("a command");
    let command = words(line.as_bytes());
    fs::create_dir_all(machine.state.join("j")).expect("what StateDirectory= does");
    let (program, rest) = command.split_first().expect("a program");
    let home = machine
        .home
        .with("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    home.tool(Path::new(program), rest).run().ok();
    let list = home
        .run(Program::Stock, ["list", "--short", text(&repo)])
        .ok();
    assert!(list.out().starts_with("j-20"), "{list}");
}

#[test]
fn where_there_is_no_systemd_cron_runs_the_jobs() {
    let machine = Machine::new();
    machine.configure(
        "[defaults]\nencryption.mode = \"none\"\npaths = [\"/home\"]\nrepo = \"/srv/{job}\"\npersistent_timer = false\n\
         [jobs.a]\nstart_at = \"daily\"\n[jobs.b]\nstart_at = \"Mon *-*-* 04:30\"\nrandom_delay = \"1h\"\n",
    );
    let run = machine.enable(&["--all", "--crontab"]).ok();
    let program = text(Program::Ours.path());
    let place = format!(
        "--config {} --state /var/lib/ironborg",
        text(&machine.config)
    );
    assert_eq!(
        run.out(),
        format!(
            "# BEGIN ironborg jobs\n0 0 * * * {program} jobs run {place} --scheduled -- a\n\
             */10 * * * * {program} jobs run {place} --due -- b\n# END ironborg jobs\n"
        )
    );
}
