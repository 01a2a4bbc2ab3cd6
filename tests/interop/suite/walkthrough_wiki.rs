//! The NixOS wiki's page about Borg, walked through by somebody who has this program: the same three jobs over ssh, with
//! the page's options, in one file; and what the page assembles of units, scripts and loops around them.
//!
//! `danbst` is an ordinary user of this machine, `example.com` an ssh server on loopback. Two of the jobs find our
//! program behind it, the third one stock Borg, which in the end reads all three.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironborg_testkit::{Home, Invocation, Mount, OtherUser, Program, Run, Scratch, Sshd};
use regex::Regex;
use rusqlite::Connection;

use crate::scene::text;

/// Longest time anything here may take.
const TIME_LIMIT: Duration = Duration::from_mins(1);
/// Files below `/home/danbst`, as on the page: some are rubbish, some another job's.
const FILES: [&str; 14] = [
    ".cache/thumbnails/1",
    ".config/Code/CachedData/1",
    ".config/Code/settings",
    ".config/Slack/logs/today",
    ".mozilla/profile/cache2/1",
    ".mozilla/profile/prefs",
    ".npm/_cacache/1",
    "Downloads/.cache/1",
    "Downloads/film",
    "dev/company1/secret",
    "dev/company2/secret",
    "dev/own/.venv/lib",
    "dev/own/node_modules/m",
    "dev/own/program",
];
/// Of these, what the first job keeps.
const KEPT: [&str; 3] = [
    ".config/Code/settings",
    ".mozilla/profile/prefs",
    "dev/own/program",
];

/// Machine, user, server and configuration.
struct Walk {
    user: OtherUser,
    /// The program under its own name, where the user may start it.
    program: PathBuf,
    /// `/home/danbst`
    danbst: PathBuf,
    /// `/media/backup` of the server.
    media: PathBuf,
    /// What the user's ssh is called with.
    rsh: String,
    home: Home,
    sshd: Sshd,
    scratch: Scratch,
}

impl Walk {
    fn new() -> Self {
        let scratch = Scratch::new();
        let home = Home::new(&scratch, "machine");
        let user = OtherUser::new(&scratch, &home);
        let program = user.borg().with_file_name("ironborg");
        fs::hard_link(user.borg(), &program).expect("room for a link");
        // The server is not there yet.
        let sshd = Sshd::closed(&scratch.join("sshd"), &[("BORG_SELFTEST", "disabled")]);
        let danbst = scratch.dir("home").join("danbst");
        let media = scratch.dir("example.com").join("media/backup");
        fs::create_dir_all(media.join("backups/station")).expect("room on the disk");
        let mut walk = Self {
            rsh: String::new(),
            user,
            program,
            danbst,
            media,
            home,
            sshd,
            scratch,
        };
        walk.make_files();
        walk.rsh = walk.make_key();
        walk.write_jobs();
        walk
    }

    fn make_files(&self) {
        for name in FILES {
            self.write(&self.danbst.join(name), name);
        }
        self.write(&self.important().join("photo"), "a photo");
    }

    /// Writes a file of the user's.
    fn write(&self, path: &Path, content: &str) {
        let above = path.parent().expect("a file");
        fs::create_dir_all(above).expect("room on the disk");
        fs::write(path, content).expect("room on the disk");
        let own =
            |path: &&Path| path.starts_with(&self.danbst) || path.starts_with(self.important());
        for path in path.ancestors().take_while(own) {
            self.user.give(path);
        }
    }

    /// `/media/extra-drive/important`
    fn important(&self) -> PathBuf {
        self.scratch.join("media/extra-drive/important")
    }

    /// The page's words for ssh, with the user's own key. (The port is not the usual one; and nothing is asked of, or left
    /// in, the directory that is this user's home elsewhere on this machine.)
    fn make_key(&self) -> String {
        let words = self.sshd.key("danbst", "");
        let mut words = words.split(' ').skip_while(|word| *word != "-i");
        let made = PathBuf::from(words.nth(1).expect("the key's file"));
        let key = self.danbst.join(".ssh/id_ed25519");
        let content = fs::read_to_string(&made).expect("just made");
        self.write(&key, &content);
        fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("our own file");
        let port = self.sshd.port();
        format!(
            "ssh -o 'StrictHostKeyChecking=no' -i {} -p {port} -F none \
             -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes",
            key.display()
        )
    }

    /// The page's three jobs, with what they have in common said once. (Its jobs have two slashes behind the host, its
    /// command lines one: to Borg these are two places. Who says by hand that the repository may have moved has the next
    /// job asked the same, at night. Here there is one slash.)
    fn write_jobs(&self) {
        let user = if is_root() { "user = \"nobody\"" } else { "" };
        let jobs = format!(
            r#"
[defaults]
{user}
repo = "ssh://root@127.0.0.1{media}/backups/station/{{job}}"
encryption.mode = "none"
compression = "zstd,1"
start_at = "daily"
persistent_timer = true
extra_create_args = "--verbose --stats --checkpoint-interval 600"
exclude = [
    # Largest cache dirs
    "{{path}}/.cache",
    "{{path}}/*/cache2", # firefox
    "{{path}}/*/Cache",
    "{{path}}/.config/Slack/logs",
    "{{path}}/.config/Code/CachedData",
    "{{path}}/.container-diff",
    "{{path}}/.npm/_cacache",
    # Work related dirs
    "{{path}}/*/node_modules",
    "{{path}}/*/bower_components",
    "{{path}}/*/_build",
    "{{path}}/*/.tox",
    "{{path}}/*/venv",
    "{{path}}/*/.venv",
]
notify = ["desk"]

[defaults.environment]
BORG_RSH = "{rsh}"
BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK = "yes"
BORG_REMOTE_PATH = "{ours}"
BORG_BASE_DIR = "{base}"

[jobs.home-danbst]
paths = "{danbst}"
exclude = ["{danbst}/dev/company1", "{danbst}/dev/company2", "{{path}}/Downloads", "{{path}}/.ssh"]

[jobs.home-danbst-downloads]
paths = "{danbst}/Downloads"

[jobs.extra-drive-important]
paths = "{important}"
environment = {{ BORG_REMOTE_PATH = "{stock}" }}

[notify.desk]
type = "command"
command = "echo \"$IRONBORG_NOTICE_KIND: $IRONBORG_NOTICE_JOB\" >> '{notices}'"
"#,
            media = text(&self.media),
            rsh = self.rsh,
            ours = text(Program::Ours.path()),
            stock = text(Program::Stock.path()),
            base = text(self.user.home().base()),
            danbst = text(&self.danbst),
            important = text(&self.important()),
            notices = text(&self.notices()),
        );
        fs::write(self.scratch.join("jobs.toml"), jobs).expect("room on the disk");
    }

    /// What the user was told of.
    fn notices(&self) -> PathBuf {
        self.user.home().base().join("notices")
    }

    fn told(&self) -> String {
        fs::read_to_string(self.notices()).unwrap_or_default()
    }

    /// A command of `jobs`, as the system starts it.
    fn jobs(&self, command: &str, words: &[&str]) -> Invocation {
        let (config, state) = (self.scratch.join("jobs.toml"), self.scratch.join("state"));
        let mut args = vec!["jobs", command, "--config", text(&config)];
        if command != "check-config" {
            args.extend(["--state", text(&state)]);
        }
        args.extend(words);
        let mut home = self.home.clone();
        // The configuration says it all.
        home.unset("BORG_PASSPHRASE").unset("BORG_BASE_DIR");
        home.tool(&self.program, args).dir(self.scratch.path())
    }

    /// Where a job's repository is on the server's disk.
    fn repository(&self, job: &str) -> PathBuf {
        self.media.join("backups/station").join(job)
    }

    /// The same as the page names it on a command line.
    fn location(&self, job: &str) -> String {
        format!("root@127.0.0.1:{}", text(&self.repository(job)))
    }

    /// Some program of the user's, with the page's variables for reading.
    fn by_hand<S: AsRef<std::ffi::OsStr>>(&self, program: &Path, words: &[S]) -> Invocation {
        self.user
            .tool(program, words)
            .env("BORG_RSH", &self.rsh)
            .env("BORG_REMOTE_PATH", Program::Ours.path())
            .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
            .env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes")
    }

    /// The names of a job's archives.
    fn archives(&self, job: &str) -> Vec<String> {
        let location = self.location(job);
        let run = self
            .by_hand(self.user.borg(), &["list", "--short", &location])
            .run()
            .ok();
        run.out().lines().map(str::to_owned).collect()
    }

    /// Stock Borg on the server: what it says of a job's repository.
    fn audit(&self, job: &str, command: &[&str], archive: Option<&str>) -> Run {
        let mut location = OsString::from(self.repository(job));
        if let Some(archive) = archive {
            location.push(format!("::{archive}"));
        }
        let mut words: Vec<OsString> = command.iter().map(Into::into).collect();
        words.push(location);
        let base = self.scratch.join("auditor");
        self.home
            .with("BORG_BASE_DIR", base)
            .with("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
            .invocation(Program::Stock, words)
            .dir(self.scratch.path())
            .run()
            .ok()
    }

    /// Regular files that stock Borg lists in an archive, below a directory.
    fn files(&self, job: &str, archive: &str, below: &Path) -> Vec<String> {
        let listed = self.audit(
            job,
            &["list", "--format", "{type} {path}{NL}"],
            Some(archive),
        );
        let below = text(below).trim_start_matches('/');
        let mut files: Vec<String> = listed
            .out()
            .lines()
            .filter_map(|line| line.strip_prefix("- "))
            .map(|path| {
                let rest = path
                    .strip_prefix(below)
                    .and_then(|rest| rest.strip_prefix('/'));
                rest.unwrap_or_else(|| panic!("{path} is not in {below}"))
                    .to_owned()
            })
            .collect();
        files.sort();
        files
    }

    /// As if the last run of a job had been so many days ago.
    fn set_back(&self, job: &str, days: i64) {
        let path = self.scratch.join("state").join(job).join("history.sqlite");
        let connection = Connection::open(path).expect("the records of the job");
        let change = "UPDATE runs SET begun = begun - ?1, ended = ended - ?1";
        let changed = connection.execute(change, [days * 86_400_000]);
        assert!(changed.expect("the table of runs") > 0, "it has run");
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Waits until a file says something.
#[track_caller]
fn wait_for(path: &Path, wanted: &str) {
    let deadline = Instant::now() + TIME_LIMIT;
    loop {
        let content = fs::read_to_string(path).unwrap_or_default();
        if content.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "no {wanted:?} in {content}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The first night: the host is not there, then it is. No loop pings it, and nothing fails.
fn first_night(walk: &mut Walk) {
    walk.jobs("check-config", &[]).run().ok();
    let log_path = walk.scratch.join("first night");
    let log = File::create(&log_path).expect("room on the disk");
    let mut running = walk.jobs("run", &["--all"]).start_logging(&log);
    wait_for(&log_path, "waiting for up to");
    assert_eq!(
        walk.sshd.log(),
        "",
        "nobody knocks at a door that is not there"
    );
    walk.sshd.open();
    let status = running.wait().expect("our own child");
    let said = fs::read_to_string(&log_path).expect("it was made");
    assert_eq!(status.code(), Some(0), "{said}");
    // What `--verbose --stats` asks for is in the journal.
    assert_eq!(said.matches("Archive name: ").count(), 3, "{said}");
    assert!(said.contains("This archive:"), "{said}");
    assert_eq!(walk.told(), "", "nobody is told that all is well");
}

/// Archives are called as on the page, and have what the page wants.
fn names_and_content(walk: &Walk) {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let host = host.split('.').next().unwrap_or_default().to_owned();
    let downloads = walk.danbst.join("Downloads");
    let jobs = [
        ("home-danbst", walk.danbst.clone(), &KEPT[..]),
        ("home-danbst-downloads", downloads, &["film"]),
        ("extra-drive-important", walk.important(), &["photo"]),
    ];
    for (job, below, expected) in jobs {
        let archives = walk.archives(job);
        let pattern = format!(
            r"^{}-{job}-\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d$",
            regex::escape(&host)
        );
        let pattern = Regex::new(&pattern).expect("a pattern");
        assert_eq!(archives.len(), 1, "{archives:?}");
        assert!(
            pattern.is_match(&archives[0]),
            "{archives:?}, not {pattern}"
        );
        let files = walk.files(job, &archives[0], &below);
        assert_eq!(files, expected, "{job}");
        let info = walk.audit(job, &["info"], Some(&archives[0])).out();
        assert!(info.contains("--checkpoint-interval 600"), "{info}");
        assert!(info.contains("zstd,1"), "{info}");
    }
}

/// A backup that fails is told of once, a missed one is caught up with, and that it works again is told too.
fn failure_and_recovery(walk: &Walk) {
    let job = "home-danbst";
    let config = walk.repository(job).join("config");
    let content = fs::read(&config).expect("the repository's");
    fs::write(&config, "nothing that makes sense").expect("room on the disk");
    for _ in 0..2 {
        let failed = walk.jobs("run", &[job]).run().exits(2);
        assert!(!failed.err().is_empty(), "{failed}");
        assert_eq!(walk.told(), format!("failure: {job}\n"));
    }
    fs::write(&config, content).expect("room on the disk");
    // The machine was off for two days.
    walk.set_back(job, 2);
    walk.write(&walk.danbst.join("dev/own/news"), "new");
    walk.jobs("run", &["--due"]).run().ok();
    assert_eq!(walk.told(), format!("failure: {job}\nrecovery: {job}\n"));
    let archives = walk.archives(job);
    assert_eq!(archives.len(), 2, "{archives:?}");
    assert!(
        walk.files(job, &archives[1], &walk.danbst)
            .contains(&"dev/own/news".to_owned())
    );
    // Nothing is due any more.
    let runs = walk.archives("extra-drive-important").len();
    walk.jobs("run", &["--due"]).run().ok();
    assert_eq!(walk.archives(job).len(), 2);
    assert_eq!(walk.archives("extra-drive-important").len(), runs);
}

/// A point in time, as the page mounts it; and all of them at once, which the page has no solution for.
fn mounts(walk: &Walk) {
    let archives = walk.archives("home-danbst");
    let below = text(&walk.danbst).trim_start_matches('/').to_owned();
    let dir = walk.user.dir("borg-home-danbst2");
    let borgfs = walk.user.borg().with_file_name("borgfs");
    fs::hard_link(walk.user.borg(), &borgfs).expect("room for a link");
    let uid = fs::metadata(&dir).map(|found| std::os::unix::fs::MetadataExt::uid(&found));
    let uid = format!("uid={}", uid.expect("it is there"));
    let archive = format!("{}::{}", walk.location("home-danbst"), archives[0]);
    let words = ["-f", "-o", &uid, &archive, text(&dir), &below];
    let mount = Mount::start(walk.by_hand(&borgfs, &words), &dir);
    let seen = |path: &Path| walk.user.tool(Path::new("cat"), [text(path)]).run();
    let restored = dir.join(&below).join("dev/own/program");
    assert_eq!(seen(&restored).ok().out(), "dev/own/program");
    assert_ne!(
        seen(&dir.join(&below).join("dev/own/news")).code(),
        0,
        "it came later"
    );
    let (status, log) = mount.unmount();
    assert_eq!(status.code(), Some(0), "{log}");

    let dir = walk.user.home().base().join("Backups");
    let location = format!(
        "ssh://root@127.0.0.1{}",
        text(&walk.repository("home-danbst"))
    );
    let enable = [
        "automount",
        "enable",
        "--no-start",
        "--repo",
        &location,
        text(&dir),
    ];
    walk.by_hand(&walk.program, &enable).run().ok();
    let serve = walk.by_hand(&walk.program, &["automount", "serve", "--", text(&dir)]);
    let mount = Mount::start(serve, &dir);
    let restored = dir.join("home-danbst").join(&archives[1]).join(&below);
    assert_eq!(seen(&restored.join("dev/own/news")).ok().out(), "new");
    let (status, log) = mount.unmount();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn the_page_is_walked_through() {
    let mut walk = Walk::new();
    first_night(&mut walk);
    names_and_content(&walk);
    failure_and_recovery(&walk);
    mounts(&walk);
    for job in [
        "home-danbst",
        "home-danbst-downloads",
        "extra-drive-important",
    ] {
        let check = walk.audit(job, &["check", "--verify-data"], None);
        assert_eq!(check.err(), "", "{check}");
    }
    let archives = walk.archives("home-danbst");
    let out = walk.scratch.dir("out");
    let location = format!("{}::{}", text(&walk.repository("home-danbst")), archives[1]);
    walk.home
        .with("BORG_BASE_DIR", walk.scratch.join("auditor"))
        .with("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
        .invocation(Program::Stock, ["extract", &location])
        .dir(&out)
        .run()
        .ok();
    let restored = out.join(text(&walk.danbst).trim_start_matches('/'));
    for name in KEPT {
        let content = fs::read_to_string(restored.join(name)).expect("it was restored");
        assert_eq!(content, name);
    }
}

/// Where `services.borgbackup` stays what it is, and only the program is another one: the words its scripts call `borg` with,
/// each with what the variables of its units hold.
#[test]
fn the_scripts_of_services_borgbackup_find_a_borg() {
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    fs::write(tree.join("file"), "content").expect("room on the disk");
    fs::create_dir(tree.join(".cache")).expect("room on the disk");
    fs::write(tree.join(".cache/rubbish"), "rubbish").expect("room on the disk");
    let exclude = scratch.join("excludefile");
    fs::write(&exclude, format!("{}/.cache", text(&tree))).expect("room on the disk");
    fs::write(scratch.join("secret"), "the passphrase\n").expect("room on the disk");
    let outcomes = Program::BOTH.map(|program| {
        let mut home = Home::new(&scratch, program.name());
        let repo = scratch.join(format!("repo of {}", program.name()));
        let secret = scratch.join("secret");
        home.unset("BORG_PASSPHRASE")
            .set("BORG_PASSCOMMAND", format!("cat {}", text(&secret)))
            .set("BORG_REPO", &repo);
        let borg = |words: &[&str]| home.invocation(program, words).dir(scratch.path()).run();
        let mut codes = vec![borg(&["list"]).code(), borg(&["info"]).code()];
        codes.push(borg(&["init", "--encryption", "repokey-blake2"]).code());
        codes.push(borg(&["list"]).code());
        for day in ["2020-06-09T00:00:01", "2020-06-10T00:00:46"] {
            let archive = format!("station-home-{day}");
            let failed = format!("::{archive}.failed");
            let create = [
                "create",
                "--compression",
                "zstd,1",
                "--exclude-from",
                text(&exclude),
                "--verbose",
                "--stats",
                "--checkpoint-interval",
                "600",
                &failed,
                text(&tree),
            ];
            codes.push(borg(&create).code());
            codes.push(borg(&["rename", &failed, &archive]).code());
        }
        let dumped = [
            "create",
            "--compression",
            "lz4",
            "::station-db-2020-06-10",
            "-",
        ];
        let dumped = home
            .invocation(program, dumped)
            .dir(scratch.path())
            .input("a dump");
        codes.push(dumped.run().code());
        let keep = "--keep-daily=1";
        let older = ["prune", keep, "--prefix", "station-db-"];
        let newer = ["prune", keep, "--glob-archives", "station-home-*"];
        codes.push(borg(&older).code());
        codes.push(borg(&newer).code());
        codes.push(borg(&["compact"]).code());
        let listed = home
            .invocation(Program::Stock, ["list", "--short"])
            .run()
            .ok()
            .out();
        let check = home
            .invocation(Program::Stock, ["check", "--verify-data"])
            .run()
            .ok();
        assert_eq!(check.err(), "", "{check}");
        let files = ["list", "--short", "::station-home-2020-06-10T00:00:46"];
        let files = home.invocation(Program::Stock, files).run().ok().out();
        (codes, listed, files)
    });
    let [ours, stock] = &outcomes;
    assert_eq!(ours, stock);
    assert_eq!(
        ours.1,
        "station-home-2020-06-10T00:00:46\nstation-db-2020-06-10\n"
    );
    assert!(
        !ours.2.contains("rubbish") && ours.2.contains("/file\n"),
        "{}",
        ours.2
    );
}
