//! A tutorial step by step: a server's repository from its configuration, a key that can do nothing else, two backups, the
//! files lost and brought back. With either program on either side, and the same to be read each time.

use std::fs;
use std::path::{Path, PathBuf};

use ironborg_testkit::{Home, Program, Run, Scratch, Sshd};
use regex::Regex;

use super::same_output::normal;
use super::scene::text;

/// A server and a client of it.
struct Walk {
    scratch: Scratch,
    home: Home,
    _sshd: Sshd,
    client: Program,
    rsh: String,
    repository: PathBuf,
}

/// What was shown, made equal where it has to differ.
type Transcript = Vec<(String, String)>;

/// The name of who runs this.
pub(crate) fn user_name(home: &Home) -> String {
    let run = home.tool(Path::new("id"), ["-un"]).run().ok();
    run.out().trim().to_owned()
}

impl Walk {
    /// "Now we tell the server about this key and what should be done with it."
    fn new(client: Program, server: Program) -> Self {
        let scratch = Scratch::new();
        let mut home = Home::new(&scratch, "home");
        home.set("BORG_PASSPHRASE", "test");
        scratch.dir("client");
        let sshd_dir = scratch.join("sshd");
        let sshd = Sshd::start(&sshd_dir, &[("BORG_SELFTEST", "disabled")]);
        let rsh = sshd.key("backups", "");
        let public = fs::read_to_string(sshd_dir.join("key-backups.pub")).expect("just made");
        let user = user_name(&home);
        let repository = scratch.join("var/my_borg_repo");
        let config = scratch.join("repos.toml");
        let content = format!(
            "[repos.my_borg_repo]\n\
             # Here goes the public key we just created\n\
             authorized_keys = [\"{}\"]\n\
             # where the backup will be placed\n\
             path = \"{}\"\n\
             user = \"{user}\"\n",
            public.trim(),
            text(&repository)
        );
        fs::write(&config, content).expect("room on the disk");
        let keys = scratch.join("authorized_keys.d");
        let state = scratch.join("state");
        let mut words = vec!["repos", "apply", "--config", text(&config)];
        words.extend([
            "--state",
            text(&state),
            "--authorized-keys-dir",
            text(&keys),
        ]);
        if server == Program::Stock {
            words.extend(["--program", text(server.path())]);
        }
        home.tool(Program::Ours.path(), words).run().ok();
        let line = fs::read_to_string(keys.join(&user)).expect("apply has made it");
        let expected = format!(
            "command=\"cd '{}' && {} serve --restrict-to-repository .\",restrict {public}",
            text(&repository),
            text(server.path())
        );
        assert!(line.contains(&expected), "{line}\n{expected}");
        // The server takes its keys from what was written, and no others.
        let allowed = sshd_dir.join("authorized_keys");
        fs::remove_file(&allowed).expect("made at the start");
        std::os::unix::fs::symlink(keys.join(&user), &allowed).expect("room on the disk");
        Self {
            scratch,
            home,
            _sshd: sshd,
            client,
            rsh,
            repository,
        }
    }

    fn dir(&self) -> PathBuf {
        self.scratch.join("client")
    }

    fn write(&self, name: &str, content: &str) {
        let dir = self.dir().join("files_to_back_up");
        fs::create_dir_all(&dir).expect("room on the disk");
        fs::write(dir.join(name), content).expect("room on the disk");
    }

    /// A command of the tutorial. The repository is where the key leads: `.`
    #[track_caller]
    fn borg(&self, words: &[&str]) -> Run {
        let (command, rest) = words.split_at(if words[0] == "key" { 2 } else { 1 });
        let all = [command, &["--rsh", &self.rsh], rest].concat();
        self.home.invocation(self.client, all).dir(self.dir()).run()
    }

    #[track_caller]
    fn step(&self, transcript: &mut Transcript, words: &[&str]) -> Run {
        let run = self.borg(words).ok();
        let mut shown = masked(&run);
        if words[0] == "list" {
            // Files come in the order in which the file system gives them out.
            let mut lines: Vec<&str> = shown.lines().collect();
            lines.sort_unstable();
            shown = lines.join("\n");
        }
        transcript.push((words.join(" "), shown));
        run
    }
}

/// What a run shows, without times, ids and sizes of what is encrypted.
fn masked(run: &Run) -> String {
    let mut shown = normal(&run.stderr) + &normal(&run.stdout);
    let masks = [
        (r"[0-9a-f]{64}", "ID"),
        (
            r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
            "TIME",
        ),
        (r"[0-9.]+ (seconds|minutes)", "DURATION"),
        (r" +[0-9.]+ k?B", " SIZE"),
    ];
    for (pattern, mask) in masks {
        let pattern = Regex::new(pattern).expect("a valid pattern");
        shown = pattern.replace_all(&shown, mask).into_owned();
    }
    shown
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.expect("it can be read").file_name();
        name.into_string().expect("text")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz\n";
const FIRST: &str = "127.0.0.1:.::01_first_backup";
const SECOND: &str = "127.0.0.1:.::02_second_backup";

#[track_caller]
fn walk(client: Program, server: Program) -> Transcript {
    let walk = Walk::new(client, server);
    let mut seen = Transcript::new();
    walk.write("zahlen.txt", "1234567890\n");
    walk.write("buchstaben.txt", LETTERS);
    let init = walk.step(
        &mut seen,
        &["init", "--encryption=repokey-blake2", "127.0.0.1:."],
    );
    assert!(
        init.err()
            .contains("IMPORTANT: you will need both KEY AND PASSPHRASE"),
        "{init}"
    );
    assert_eq!(
        names(&walk.repository),
        [
            "README",
            "config",
            "data",
            "hints.1",
            "index.1",
            "integrity.1",
            "nonce"
        ]
    );
    walk.step(&mut seen, &["key", "export", "127.0.0.1:.", "test_export"]);
    let key = fs::read_to_string(walk.dir().join("test_export")).expect("just exported");
    let header = key.lines().next().unwrap_or_default();
    let id = header.strip_prefix("BORG_KEY ").unwrap_or_default();
    assert_eq!(id.len(), 64, "{key}");
    let config = fs::read_to_string(walk.repository.join("config")).expect("just made");
    assert!(config.contains(id), "{config}");

    let create = walk.step(&mut seen, &["create", "--stats", FIRST, "files_to_back_up"]);
    let said = create.err() + &create.out();
    for line in [
        "Archive name: 01_first_backup",
        "Number of files: 2",
        "Chunk index:                       4                    4",
    ] {
        assert!(said.contains(line), "{create}");
    }
    let list = walk.step(&mut seen, &["list", "127.0.0.1:."]);
    assert!(
        list.out()
            .starts_with("01_first_backup                      "),
        "{list}"
    );
    let sizes = |run: &Run| -> Vec<(String, String)> {
        let out = run.out();
        let lines = out.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[3].to_owned(), words[words.len() - 1].to_owned())
        });
        let mut sizes: Vec<_> = lines.collect();
        sizes.sort();
        sizes
    };
    let size = |size: &str, name: &str| (size.to_owned(), name.to_owned());
    let list = walk.step(&mut seen, &["list", FIRST]);
    assert_eq!(
        sizes(&list),
        [
            size("0", "files_to_back_up"),
            size("11", "files_to_back_up/zahlen.txt"),
            size("27", "files_to_back_up/buchstaben.txt"),
        ]
    );

    walk.write(
        "buchstaben.txt",
        &(LETTERS.to_owned() + &LETTERS.to_uppercase()),
    );
    walk.write("animals.txt", "gnu penguin chamaeleon\n");
    let create = walk.step(&mut seen, &["create", SECOND, "files_to_back_up"]);
    assert_eq!((create.out(), create.err()), (String::new(), String::new()));
    let list = walk.step(&mut seen, &["list", "127.0.0.1:."]);
    let out = list.out();
    let archives: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(archives, ["01_first_backup", "02_second_backup"]);
    let list = walk.step(&mut seen, &["list", SECOND]);
    assert_eq!(
        sizes(&list),
        [
            size("0", "files_to_back_up"),
            size("11", "files_to_back_up/zahlen.txt"),
            size("23", "files_to_back_up/animals.txt"),
            size("54", "files_to_back_up/buchstaben.txt"),
        ]
    );

    // "Next we loose our precious directory by accident…"
    let files = walk.dir().join("files_to_back_up");
    fs::remove_dir_all(&files).expect("our own");
    walk.step(&mut seen, &["extract", FIRST]);
    assert_eq!(names(&files), ["buchstaben.txt", "zahlen.txt"]);
    assert_eq!(
        fs::read_to_string(files.join("buchstaben.txt")).expect("restored"),
        LETTERS
    );
    assert_eq!(
        fs::read_to_string(files.join("zahlen.txt")).expect("restored"),
        "1234567890\n"
    );

    // The key can do nothing else: neither run a program nor reach another repository.
    let command = format!("{} 127.0.0.1 id </dev/null", walk.rsh);
    let run = walk.home.tool(Path::new("sh"), ["-c", &command]).run();
    assert!(!run.out().contains("uid="), "{run}");
    let elsewhere = format!("127.0.0.1:{}", text(&walk.scratch.join("elsewhere")));
    let refused = walk.borg(&["list", &elsewhere]);
    assert_eq!(refused.code(), 2);
    assert!(
        refused.err().contains("Repository path not allowed"),
        "{refused}"
    );
    seen
}

/// The same can be read whoever is on which side. (Stock Borg on both sides was there when the tutorial was written.)
#[test]
fn the_tutorial_goes_as_it_is_written() {
    let expected = walk(Program::Stock, Program::Ours);
    for server in [Program::Ours, Program::Stock] {
        let found = walk(Program::Ours, server);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "server: {}", server.name());
        }
        assert_eq!(found.len(), expected.len());
    }
}
