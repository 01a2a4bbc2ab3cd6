//! `repos`: what a server's administrator configures is what its clients can do, and nothing that is somebody else's is
//! touched on the way.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ironborg_testkit::{Home, Program, Run, Scratch, Sshd, Tried, tally};

use super::scene::text;
use super::walkthrough_tutorial::user_name;

/// A server.
struct Server {
    scratch: Scratch,
    home: Home,
    user: String,
}

impl Server {
    fn new() -> Self {
        let scratch = Scratch::new();
        let home = Home::new(&scratch, "home");
        let user = user_name(&home);
        Self {
            scratch,
            home,
            user,
        }
    }

    fn configure(&self, content: &str) {
        fs::write(self.scratch.join("repos.toml"), content).expect("room on the disk");
    }

    fn words(&self, command: &str, more: &[&str]) -> Vec<String> {
        let config = self.scratch.join("repos.toml");
        let mut words = vec!["repos".to_owned(), command.to_owned()];
        words.extend(["--config".to_owned(), text(&config).to_owned()]);
        words.extend(more.iter().map(|&word| word.to_owned()));
        words
    }

    fn apply_words(&self) -> Vec<String> {
        let (state, keys) = (self.scratch.join("state"), self.scratch.join("keys"));
        let more = [
            "--state",
            text(&state),
            "--authorized-keys-dir",
            text(&keys),
        ];
        self.words("apply", &more)
    }

    #[track_caller]
    fn apply(&self) -> Run {
        self.home
            .tool(Program::Ours.path(), self.apply_words())
            .run()
    }

    #[track_caller]
    fn keys(&self) -> String {
        fs::read_to_string(self.scratch.join("keys").join(&self.user)).expect("a file of keys")
    }

    fn entry(&self, name: &str, path: &Path, rest: &str) -> String {
        let path = serde_json::to_string(text(path)).expect("text");
        format!(
            "[repos.{name}]\npath = {path}\nuser = \"{}\"\n{rest}\n",
            self.user
        )
    }
}

/// A key nobody has: each number another one.
fn public_key(number: u32) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    bytes.extend_from_slice(&[7; 28]);
    bytes.extend_from_slice(&number.to_be_bytes());
    let mut out = String::from("ssh-ed25519 ");
    for three in bytes.chunks(3) {
        let value = three
            .iter()
            .fold(0_u32, |value, &byte| value << 8 | u32::from(byte));
        for shift in [18, 12, 6, 0] {
            out.push(char::from(DIGITS[(value >> shift) as usize & 63]));
        }
    }
    out
}

#[test]
fn a_thousand_clients_come_and_go_among_lines_of_others() {
    let server = Server::new();
    let entry = |number: u32| {
        let path = server.scratch.join(format!("srv/client-{number}"));
        let keys = format!(
            "authorized_keys = [\"{} root@client-{number}\"]",
            public_key(number)
        );
        server.entry(&format!("client-{number}"), &path, &keys)
    };
    let others = "# mine\nssh-ed25519 AAAA me\n\n  odd  line \n";
    fs::create_dir(server.scratch.join("keys")).expect("room on the disk");
    fs::write(server.scratch.join("keys").join(&server.user), others).expect("room");
    server.configure(&(0..1000).map(entry).collect::<String>());
    server.apply().ok();
    let keys = server.keys();
    assert!(keys.starts_with(others), "{}", &keys[..200]);
    assert_eq!(keys.matches("restrict ssh-ed25519 ").count(), 1000);
    for number in [0, 999] {
        let directory = server.scratch.join(format!("srv/client-{number}"));
        let mode = fs::metadata(&directory).expect("made").permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
    // Nothing to do is nothing done.
    let file = server.scratch.join("keys").join(&server.user);
    let before = fs::metadata(&file).expect("there").ino();
    assert_eq!(server.apply().ok().out(), "");
    assert_eq!(fs::metadata(&file).expect("there").ino(), before);
    let status = server
        .home
        .tool(Program::Ours.path(), server.words("status", &[]))
        .run()
        .ok();
    assert_eq!(status.out().matches(": no repository yet\n").count(), 1000);
    // One stays, and somebody else has added a line meanwhile.
    fs::write(&file, server.keys() + "last line").expect("room");
    server.configure(&entry(5));
    let run = server.apply().ok();
    assert_eq!(run.out().matches("\n- command=").count(), 999, "{run}");
    let keys = server.keys();
    assert!(
        keys.starts_with(others) && keys.ends_with("\nlast line"),
        "{keys}"
    );
    assert_eq!(keys.matches("restrict ssh-ed25519 ").count(), 1);
    assert!(
        server.scratch.join("srv/client-6").is_dir(),
        "no directory is removed"
    );
}

#[test]
fn several_at_once_do_as_one() {
    let server = Server::new();
    let entries: String = (0..20)
        .map(|number| {
            let path = server.scratch.join(format!("srv/{number}"));
            let keys = format!("authorized_keys = [\"{}\"]", public_key(number));
            server.entry(&format!("c{number}"), &path, &keys)
        })
        .collect();
    server.configure(&entries);
    let start = || {
        let mut invocation = server.home.tool(Program::Ours.path(), server.apply_words());
        invocation.start(Stdio::null())
    };
    let children: Vec<_> = (0..4).map(|_| start()).collect();
    for child in children {
        Run::of(child).ok();
    }
    assert_eq!(server.keys().matches("restrict ssh-ed25519 ").count(), 20);
    assert_eq!(server.keys().matches("BEGIN ironborg repos").count(), 1);
}

/// What a line lets do is done over a real ssh: an odd path, append-only, a quota.
#[test]
fn keys_can_do_what_is_configured() {
    let server = Server::new();
    let dir = server.scratch.join("sshd");
    let sshd = Sshd::start(&dir, &[]);
    let key = |name: &str| {
        let rsh = sshd.key(name, "");
        let public = fs::read_to_string(dir.join(format!("key-{name}.pub"))).expect("just made");
        (rsh, public.trim().to_owned())
    };
    let (all, all_key) = key("all");
    let (adds, adds_key) = key("adds");
    let (small, small_key) = key("small");
    let odd = server.scratch.join("it's \"odd\" \\ $HOME");
    let keys =
        format!("authorized_keys = ['{all_key}']\nauthorized_keys_append_only = ['{adds_key}']");
    let lab = server.scratch.join("lab");
    let small_keys =
        format!("authorized_keys = ['{small_key}']\nquota = '10M'\nallow_sub_repos = true");
    server.configure(&(server.entry("odd", &odd, &keys) + &server.entry("lab", &lab, &small_keys)));
    server.apply().ok();
    fs::remove_file(dir.join("authorized_keys")).expect("made at the start");
    symlink(
        server.scratch.join("keys").join(&server.user),
        dir.join("authorized_keys"),
    )
    .expect("room");
    let ours = |rsh: &str, words: &[&str]| {
        let words = [&words[..1], &["--rsh", rsh], &words[1..]].concat();
        server.home.invocation(Program::Ours, words).dir(&dir).run()
    };
    ours(&all, &["init", "-e", "none", "127.0.0.1:."]).ok();
    ours(&adds, &["create", "127.0.0.1:.::a", "config"]).ok();
    assert_eq!(
        ours(&adds, &["list", "--short", "127.0.0.1:."]).ok().out(),
        "a\n"
    );
    let refused = ours(&adds, &["delete", "--force", "127.0.0.1:."]);
    assert_eq!(refused.code(), 2, "{refused}");
    ours(&small, &["init", "-e", "none", "127.0.0.1:below"]).ok();
    fs::write(
        dir.join("large"),
        ironborg_testkit::generated("large", 12 << 20),
    )
    .expect("room");
    let refused = ours(
        &small,
        &["create", "-C", "none", "127.0.0.1:below::a", "large"],
    );
    assert!(refused.err().contains("quota"), "{refused}");
    let status = server
        .home
        .tool(Program::Ours.path(), server.words("status", &["--json"]))
        .run();
    let found = status.ok().json();
    let names = |index: usize| {
        (
            found["repositories"][index]["name"].clone(),
            found["repositories"][index]["append_only"].clone(),
        )
    };
    assert_eq!(names(0), ("odd".into(), false.into()));
    assert_eq!(names(1), ("lab/below".into(), false.into()));
    assert_eq!(found["repositories"][1]["storage_quota"], 10_000_000);
    let stock = server
        .home
        .with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes")
        .run(Program::Stock, ["list", "--short", text(&odd)])
        .ok();
    assert_eq!(stock.out(), "a\n");
}

/// A list of users of our own, seen by what runs below only.
fn as_root_of(server: &Server, users: &str, words: &[String]) -> Run {
    let passwd = server.scratch.join("passwd");
    fs::write(&passwd, users).expect("room on the disk");
    let script = format!(
        "mount --bind '{}' /etc/passwd && exec \"$0\" \"$@\"",
        text(&passwd)
    );
    let mut all = vec![
        "--mount".to_owned(),
        "sh".to_owned(),
        "-c".to_owned(),
        script,
    ];
    all.push(text(Program::Ours.path()).to_owned());
    all.extend(words.iter().cloned());
    server.home.tool(Path::new("unshare"), all).run()
}

/// Who has a home decides what is in it: root writes keys there and is led nowhere else.
#[test]
fn homes_are_not_trusted() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root works in homes of others.
    }
    const ID: u32 = 61_234;
    let server = Server::new();
    fs::set_permissions(server.scratch.path(), Permissions::from_mode(0o755)).expect("our own");
    let home = server.scratch.dir("home of client");
    let users = format!(
        "root:x:0:0:root:/root:/bin/sh\nclient:x:{ID}:{ID}::{}:/bin/sh\n",
        text(&home)
    );
    let give = |path: &Path| chown(path, Some(ID), Some(ID)).expect("something of our own");
    give(&home);
    let entry = |repository: &Path| {
        format!(
            "[repos.a]\npath = \"{}\"\nuser = \"client\"\nauthorized_keys = [\"{}\"]\n",
            text(repository),
            public_key(1)
        )
    };
    let state = server.scratch.join("state");
    let words = server.words("apply", &["--state", text(&state)]);
    let apply = || as_root_of(&server, &users, &words);
    let secret = server.scratch.dir("secret");
    fs::write(secret.join("authorized_keys"), "secret\n").expect("room on the disk");
    let ssh = home.join(".ssh");
    let keys = ssh.join("authorized_keys");
    let repository = server.scratch.join("srv/a");
    server.configure(&entry(&repository));
    let mut attacks = 0;
    let mut refused = |what: &str| {
        let run = apply();
        assert_eq!(run.code(), 2, "{what}: {run}");
        let content = fs::read_to_string(secret.join("authorized_keys")).expect("there");
        assert_eq!(content, "secret\n", "{what}");
        assert_eq!(fs::metadata(&secret).expect("there").uid(), 0, "{what}");
        attacks += 1;
    };
    symlink(&secret, &ssh).expect("room");
    refused("a directory that leads elsewhere");
    fs::remove_file(&ssh).expect("our own");
    fs::create_dir(&ssh).expect("room");
    fs::set_permissions(&ssh, Permissions::from_mode(0o777)).expect("our own");
    refused("a directory others may write to");
    fs::set_permissions(&ssh, Permissions::from_mode(0o700)).expect("our own");
    give(&ssh);
    symlink(secret.join("authorized_keys"), &keys).expect("room");
    refused("a file that leads elsewhere");
    fs::remove_file(&keys).expect("our own");
    fs::hard_link(secret.join("authorized_keys"), &keys).expect("room");
    refused("a second name of somebody else's file");
    fs::remove_file(&keys).expect("our own");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &keys,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    refused("a pipe");
    fs::remove_file(&keys).expect("our own");
    symlink(
        secret.join("authorized_keys"),
        ssh.join(".authorized_keys.ironborg"),
    )
    .expect("room");
    fs::remove_dir_all(&repository).ok();
    let run = apply().ok();
    assert!(run.out().contains("keys "), "{run}");
    assert_eq!(
        fs::read_to_string(secret.join("authorized_keys")).expect("there"),
        "secret\n"
    );
    let made = fs::metadata(&keys).expect("written");
    assert_eq!(
        (made.uid(), made.gid(), made.mode() & 0o7777),
        (ID, ID, 0o600)
    );
    assert_eq!(fs::metadata(&repository).expect("made").uid(), ID);
    // A repository in a place of the user's is made with his rights: the link leads where he may not write.
    let bent = home.join("bent");
    symlink("/etc", &bent).expect("room");
    server.configure(&entry(&bent.join("ironborg-test")));
    let run = apply();
    assert_eq!(run.code(), 2, "{run}");
    assert!(!Path::new("/etc/ironborg-test").exists());
    let own = home.join("repositories/a");
    server.configure(&entry(&own));
    apply().ok();
    assert_eq!(fs::metadata(&own).expect("made").uid(), ID);
    // With the last repository go the lines.
    server.configure("");
    apply().ok();
    assert_eq!(fs::read_to_string(&keys).expect("it stays"), "");
    // A home without the directory gets one of the user's.
    fs::remove_dir_all(&ssh).expect("our own");
    server.configure(&entry(&own));
    apply().ok();
    assert_eq!(fs::metadata(&ssh).expect("made").uid(), ID);
    tally(Tried::Attacks, attacks + 2);
}

#[test]
fn what_is_somebody_elses_is_named_and_left() {
    let server = Server::new();
    let path = server.scratch.join("srv");
    fs::create_dir(&path).expect("room");
    fs::write(path.join("file"), "").expect("room");
    let key = format!("authorized_keys = [\"{}\"]", public_key(1));
    let unknown = server
        .entry("a", &path, &key)
        .replace(&server.user, "no-such-user-here");
    server.configure(&unknown);
    let run = server.apply();
    assert_eq!(run.code(), 2);
    assert!(
        run.err()
            .contains("there is no user or group no-such-user-here"),
        "{run}"
    );
    let mut words = server.apply_words();
    words.extend(["--create-users".to_owned(), "--dry-run".to_owned()]);
    let run = server.home.tool(Program::Ours.path(), words).run().ok();
    assert!(
        run.out()
            .starts_with("useradd --system --password '*' --shell /bin/sh "),
        "{run}"
    );
    assert!(!server.scratch.join("keys").exists(), "nothing is done");
    if rustix::process::geteuid().is_root() {
        let others: PathBuf = server.scratch.join("srv");
        chown(&others, Some(65_534), Some(65_534)).expect("our own");
        server.configure(&server.entry("a", &others, &key));
        let run = server.apply();
        assert_eq!(run.code(), 2);
        assert!(run.err().contains("and not empty"), "{run}");
    }
    // The same key has a line of its own: it would be let in without restrictions.
    fs::create_dir_all(server.scratch.join("keys")).expect("room");
    fs::write(
        server.scratch.join("keys").join(&server.user),
        public_key(1),
    )
    .expect("room");
    server.configure(&server.entry("a", &server.scratch.join("new"), &key));
    let run = server.apply();
    assert_eq!(run.code(), 2);
    assert!(
        run.err()
            .contains("line 1: the key of a has a line of its own already"),
        "{run}"
    );
    assert!(
        !server.scratch.join("new").exists(),
        "everything is looked at before anything is changed"
    );
}
