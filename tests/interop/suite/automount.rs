//! `automount`: the units it writes mean what they should, and what they run shows repositories to an ordinary user.
//!
//! No service manager runs here. What one would do is done by the tests: the unit's own command line in the unit's own
//! environment, with a socket that listens to what it tells.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironborg_testkit::{Home, Mount, OtherUser, Program, Run, Scratch};
use rustix::process::Signal;

use super::scene::text;

/// Longest time anything may take.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// The only file of a directory that ends so.
fn only(dir: &Path, ending: &str) -> PathBuf {
    let files = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut found = files.map(|file| file.expect("it can be read").path());
    let is_wanted = |path: &PathBuf| path.as_os_str().as_bytes().ends_with(ending.as_bytes());
    found
        .find(is_wanted)
        .unwrap_or_else(|| panic!("nothing ends with {ending} in {}", dir.display()))
}

fn passphrase(home: &Home) -> String {
    let variables = home.environment();
    let value = &variables[OsStr::new("BORG_PASSPHRASE")];
    value.to_str().expect("text").to_owned()
}

fn units(home: &Home) -> PathBuf {
    home.base().join(".config/systemd/user")
}

/// A unit as it is read by systemd.
struct Unit {
    file: PathBuf,
    settings: Vec<(String, Vec<u8>)>,
}

impl Unit {
    /// The only one of a home.
    fn of(home: &Home) -> Self {
        let file = only(&units(home), ".service");
        let content = fs::read(&file).expect("a unit just found");
        let lines = content.split(|&byte| byte == b'\n');
        let pair = |line: &[u8]| {
            let equals = line.iter().position(|&byte| byte == b'=')?;
            let name = String::from_utf8(line[..equals].to_vec()).ok()?;
            Some((name, line[equals + 1..].to_vec()))
        };
        Self {
            file,
            settings: lines.filter_map(pair).collect(),
        }
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.settings.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_slice())
    }

    /// The words of a command line.
    fn command(&self, name: &str) -> Vec<OsString> {
        let line = self.all(name).next().expect("there is such a setting");
        words(line.strip_prefix(b"-").unwrap_or(line))
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let assignments = self.all("Environment").flat_map(words);
        let pair = |assignment: OsString| {
            let bytes = assignment.as_bytes();
            let equals = bytes
                .iter()
                .position(|&byte| byte == b'=')
                .expect("an assignment");
            let value = OsStr::from_bytes(&bytes[equals + 1..]).to_owned();
            (OsStr::from_bytes(&bytes[..equals]).to_owned(), value)
        };
        assignments.map(pair).collect()
    }
}

/// The words of a setting by the rules of systemd.syntax(7), as far as our units need them.
pub(crate) fn words(line: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut rest = line.iter().copied().peekable();
    while rest.next_if_eq(&b' ').is_some() || rest.peek().is_some() {
        assert_eq!(
            rest.next(),
            Some(b'"'),
            "every word is quoted: {}",
            line.escape_ascii()
        );
        let mut word = Vec::new();
        loop {
            let byte = rest.next().expect("the quotation ends");
            match byte {
                b'"' => break,
                b'%' | b'$' if rest.next_if_eq(&byte).is_some() => word.push(byte),
                b'%' => panic!("a specifier: {}", line.escape_ascii()),
                b'\\' => match rest.next().expect("an escaped character") {
                    b'x' => {
                        let digits = [rest.next(), rest.next()]
                            .map(|digit| char::from(digit.expect("a digit")));
                        let digits: String = digits.iter().collect();
                        word.push(u8::from_str_radix(&digits, 16).expect("two digits"));
                    }
                    other => word.push(other),
                },
                _ => word.push(byte),
            }
        }
        words.push(OsString::from_vec(word));
    }
    words
}

fn ironborg(home: &Home, args: &[OsString]) -> Run {
    home.tool(Program::Ours.path(), args).dir(home.base()).run()
}

/// Words for the program, the last of which need not be text.
fn with_dir(words: &[&str], dir: &Path) -> Vec<OsString> {
    let words = words.iter().map(OsString::from);
    words.chain([dir.as_os_str().to_owned()]).collect()
}

#[test]
fn units_mean_what_they_should() {
    let scratch = Scratch::new();
    let names: [&[u8]; 8] = [
        b"plain",
        b"My \"Back%ups\\",
        b"it's 100% $HOME ${HOME}",
        b"b\xff\xfe",
        "ä ö;|&".as_bytes(),
        b" around ",
        b"-dash",
        b"a-rather-long-name-that-becomes-even-longer-when-each-dash-is-escaped-as-it-has-to-be--------------------\
          ------------------------------------------------------------------------------------------------",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let mut home = Home::new(&scratch, &format!("home {number}"));
        let base = home.base().to_path_buf();
        home.set("BORG_RSH", "ssh -p 23")
            .set("XDG_RUNTIME_DIR", base);
        home.set("BORG_KEYS_DIR", "/keys/100% \"$x\" \\");
        let dir = home.base().join("mnt").join(OsStr::from_bytes(name));
        fs::create_dir(home.base().join("mnt")).expect("room");
        let repo = "/srv/back up's/100%/\"repo\\";
        let enable = ["automount", "enable", "--no-start", "--repo"];
        let local = [&enable[..], &[repo, "--"]].concat();
        ironborg(&home, &with_dir(&local, &dir)).ok();
        let credential = ["--credential", "borg:/etc/a b%", "--"];
        let remote = [&enable[..], &["ssh://me@host/~/repo"], &credential].concat();
        ironborg(&home, &with_dir(&remote, &dir)).ok();

        let unit = Unit::of(&home);
        let program = Program::Ours.path();
        for (setting, verb) in [("ExecStart", "serve"), ("ExecStopPost", "clean")] {
            let expected = with_dir(&[text(program), "automount", verb, "--"], &dir);
            assert_eq!(unit.command(setting), expected, "{name:?}");
        }
        let environment: BTreeMap<_, _> = unit.environment().into_iter().collect();
        assert_eq!(
            environment[OsStr::new("BORG_KEYS_DIR")],
            "/keys/100% \"$x\" \\"
        );
        assert_eq!(environment[OsStr::new("BORG_BASE_DIR")], *home.base());
        assert!(environment.contains_key(OsStr::new("PATH")));
        assert!(!environment.contains_key(OsStr::new("BORG_PASSPHRASE")));
        let credentials: Vec<_> = unit.all("LoadCredential").collect();
        assert_eq!(credentials, [b"borg:/etc/a b%%"]);
        assert_verified(&home, &unit);

        let link = units(&home)
            .join("default.target.wants")
            .join(unit.file.file_name().unwrap());
        assert_eq!(
            link.canonicalize().expect("it leads to the unit"),
            unit.file
        );
        let list = home
            .tool(program, ["automount", "list", "--json"])
            .run()
            .ok()
            .json();
        let shown: Vec<_> = list["directories"][0]["repositories"]
            .as_array()
            .unwrap()
            .iter()
            .collect();
        assert_eq!(shown[0]["name"], "\"repo\\");
        assert_eq!(shown[0]["location"], repo);
        assert_eq!(shown[1]["location"], "ssh://me@host/~/repo");
        let args = with_dir(&["automount", "disable", "--"], &dir);
        ironborg(&home, &args).ok();
        assert!(!unit.file.exists() && fs::symlink_metadata(&link).is_err());
        assert_eq!(ironborg(&home, &args).code(), 2);
    }
}

/// systemd has nothing to complain about, and reads the same command line as we do.
#[track_caller]
fn assert_verified(home: &Home, unit: &Unit) {
    let args = ["verify", "--user", "--man=no", text(&unit.file)];
    let tool = Path::new("systemd-analyze");
    let run = home
        .tool(tool, args)
        .env("SYSTEMD_LOG_LEVEL", "debug")
        .run()
        .ok();
    let seen = run.out();
    let line = seen
        .lines()
        .find_map(|line| line.trim().strip_prefix("Command Line: "));
    let line = line.unwrap_or_else(|| panic!("no command line\n{run}"));
    // It is shown quoted again, `$$` still doubled, bytes that are no text in octal.
    let dir = unit.command("ExecStart").pop().expect("the directory");
    let mut expected = String::new();
    for chunk in dir.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '$' => expected.push_str("\\$\\$"),
                '"' | '\\' => expected.extend(['\\', c]),
                c => expected.push(c),
            }
        }
        expected.extend(chunk.invalid().iter().map(|byte| format!("\\{byte:03o}")));
    }
    let shown = line.trim_end_matches('"');
    assert!(shown.ends_with(&expected), "{shown}\n{expected}\n{run}");
    let quiet = home.tool(tool, args).run().ok();
    assert_eq!(quiet.err(), "", "{quiet}");
}

/// What the service manager would be to a service.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Vec<String>,
}

impl Manager {
    fn new(dir: &Path) -> Self {
        let path = dir.join("notify socket");
        let socket = UnixDatagram::bind(&path).expect("room for a socket");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("our own socket");
        socket
            .set_read_timeout(Some(TIME_LIMIT))
            .expect("a socket just made");
        Self {
            socket,
            path,
            heard: Vec::new(),
        }
    }

    /// Listens until a line is heard.
    #[track_caller]
    fn hears(&mut self, line: &str) {
        let deadline = Instant::now() + TIME_LIMIT;
        loop {
            let mut buffer = [0; 4096];
            let len = self.socket.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("{error}, waiting for {line:?}; heard {:?}", self.heard)
            });
            let message = String::from_utf8_lossy(&buffer[..len]).into_owned();
            let is_it = message.lines().any(|heard| heard == line);
            self.heard.push(message);
            if is_it {
                return;
            }
            assert!(Instant::now() < deadline, "{line:?} in {:?}", self.heard);
        }
    }
}

/// An ordinary user with two repositories.
struct Person {
    user: OtherUser,
    program: PathBuf,
    dir: PathBuf,
    manager: Manager,
}

impl Person {
    fn new(scratch: &Scratch) -> Self {
        let user = OtherUser::new(scratch, &Home::new(scratch, "roots"));
        let base = user.home().base().to_path_buf();
        let program = base.join("ironborg");
        fs::hard_link(user.borg(), &program).expect("room for a link");
        let secret = base.join("secret");
        fs::write(&secret, passphrase(user.home()) + "\n").expect("room");
        user.give(&secret);
        let person = Self {
            dir: base.join("My Backups 100%"),
            manager: Manager::new(scratch.path()),
            program,
            user,
        };
        for above in ["one", "two"] {
            let dir = person.user.dir(above);
            let repo = dir.join("repo");
            person.ok(&["init", "-e", "repokey", text(&repo)]);
            person.archive(above, "first");
        }
        person
    }

    fn ok(&self, args: &[&str]) -> Run {
        self.user.tool(&self.program, args).run().ok()
    }

    fn repo(&self, above: &str) -> PathBuf {
        self.user.home().base().join(above).join("repo")
    }

    fn archive(&self, above: &str, name: &str) {
        let archive = format!("{}::{name}", text(&self.repo(above)));
        self.ok(&["create", &archive, "secret"]);
    }

    fn enable(&self, above: &str) -> Run {
        let repo = self.repo(above);
        let dir = text(&self.dir);
        let words = [
            "automount",
            "enable",
            "--repo",
            text(&repo),
            "--passphrase-file",
            "secret",
            "--idle",
            "1s",
            dir,
        ];
        self.ok(&words)
    }

    /// What the unit runs, without any variable that is not the unit's or the session's.
    fn start(&mut self) -> Mount {
        let unit = Unit::of(self.user.home());
        let words = unit.command("ExecStart");
        let (program, args) = words.split_first().expect("a program");
        let mut invocation = self.user.tool(Path::new(program), args);
        for variable in self.user.home().environment().keys() {
            if variable.as_bytes().starts_with(b"BORG_") {
                invocation = invocation.without(variable);
            }
        }
        for (name, value) in unit.environment() {
            invocation = invocation.env(name, value);
        }
        let mount = Mount::start(
            invocation.env("NOTIFY_SOCKET", &self.manager.path),
            &self.dir,
        );
        self.manager.hears("READY=1");
        mount
    }

    /// What this user sees in a directory below.
    fn list(&self, below: &str) -> Vec<String> {
        let dir = self.dir.join(below);
        let run = self
            .user
            .tool(Path::new("ls"), ["-A", text(&dir)])
            .run()
            .ok();
        run.out().lines().map(str::to_owned).collect()
    }

    /// Waits until that is what is seen.
    #[track_caller]
    fn sees(&self, below: &str, expected: &[&str]) {
        let deadline = Instant::now() + TIME_LIMIT;
        loop {
            let seen = self.list(below);
            if seen == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{seen:?}, not {expected:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_directory_opens_when_it_is_entered() {
    let scratch = Scratch::new();
    let mut person = Person::new(&scratch);
    let run = person.enable("one");
    assert!(run.err().contains("no service manager"), "{run}");
    assert!(run.err().contains("automount serve -- "), "{run}");
    person.enable("two");
    person.enable("two"); // Once more is not one more.

    let mut mount = person.start();
    assert_eq!(person.list(""), ["repo", "repo-2"]);
    assert!(mount.path() == person.dir && mount.is_mounted());
    let list = person.ok(&["automount", "list"]);
    assert!(
        list.out()
            .contains(": mounted (service ironborg-automount-"),
        "{list}"
    );
    assert_eq!(person.list("repo"), ["first"]);
    person
        .manager
        .hears("STATUS=1 of 2 repositories open: repo");
    let content = person
        .user
        .tool(
            Path::new("cat"),
            [text(&person.dir.join("repo/first/secret"))],
        )
        .run()
        .ok();
    assert_eq!(content.out().trim(), passphrase(person.user.home()));

    // Nobody is kept from writing, and what was written appears.
    person.archive("one", "second");
    person.sees("repo", &["first", "second"]);
    person.manager.hears("STATUS=0 of 2 repositories open");
    assert_eq!(person.list("repo-2"), ["first"]);
    person
        .manager
        .hears("STATUS=1 of 2 repositories open: repo-2");

    let status = mount.end_by(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{}", mount.log());
    person.manager.hears("STOPPING=1");
    assert!(!mount.is_mounted(), "{}", mount.log());
}

#[test]
fn what_a_killed_process_leaves_is_taken_away() {
    let scratch = Scratch::new();
    let mut person = Person::new(&scratch);
    person.enable("one");
    let mut killed = person.start();
    assert_eq!(person.list("repo"), ["first"]);
    killed.end_by(Signal::KILL);
    assert!(killed.is_mounted());
    let list = person.ok(&["automount", "list"]);
    assert!(list.out().contains(": dead (service"), "{list}");

    // The next one takes it away before it begins.
    let mut next = person.start();
    assert_eq!(person.list("repo"), ["first"]);
    let dir = text(&person.dir);
    let second = person
        .user
        .tool(&person.program, ["automount", "serve", dir])
        .run();
    assert_eq!(second.code(), 2, "{second}");
    assert_eq!(
        person.list("repo"),
        ["first"],
        "the first one is not disturbed"
    );

    // And so does the command that the unit runs when its process has ended.
    next.end_by(Signal::KILL);
    let clean = Unit::of(person.user.home()).command("ExecStopPost");
    person
        .user
        .tool(Path::new(&clean[0]), &clean[1..])
        .run()
        .ok();
    assert!(!next.is_mounted());
    person.ok(&["automount", "disable", dir]);
    assert_eq!(person.ok(&["automount", "list"]).out(), "");
}
