//! Where a random run takes place: one repository, two machines, two programs, two ways to reach it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ironborg_testkit::{Blow, Home, Program, Random, Run, Scratch, Snapshot, StockHost};
use rustix::process::{Pid, Signal, kill_process};

use super::model::{Archived, Archives};
use crate::scene::text;

/// Operations told about when something goes wrong.
const TOLD: usize = 20;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By its path.
    Local,
    /// By a server, which is this program.
    Served(Program),
}

/// Who does something, and from where.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) program: Program,
    pub(super) machine: usize,
    pub(super) way: Way,
}

/// Everything a run has.
pub(super) struct World {
    pub(super) scratch: Scratch,
    /// Two machines.
    pub(super) homes: [Home; 2],
    pub(super) repo: PathBuf,
    /// How the repository was made: the argument of `--encryption`.
    pub(super) mode: &'static str,
    pub(super) passphrase: String,
    pub(super) archives: Archives,
    /// Everything that ever was an archive, for those that come back after a repair.
    pub(super) history: BTreeMap<String, Vec<Rc<Archived>>>,
    /// Whether objects have got other lengths under old archives.
    pub(super) recompressed: bool,
    /// Whether our program checks archives.
    pub(super) ours_checks: bool,
    /// One in so many runs is stock Borg's.
    pub(super) stock_share: usize,
    /// Operations so far; names are made of it.
    pub(super) number: u64,
    /// Programs killed, and pieces of the repository damaged.
    pub(super) kills: u64,
    pub(super) damages: u64,
    /// Whether somebody may just be dying: a lock is waited for.
    pub(super) patient: bool,
    /// Names of commands and who ran them, and how long they took the last time they came to an end.
    durations: Vec<((String, Program, bool), Duration)>,
    stock: StockHost,
    told: VecDeque<String>,
}

impl World {
    pub(super) fn new(mode: &'static str, stock_share: usize) -> Self {
        let scratch = Scratch::new();
        let keys = scratch.dir("keys");
        let shell = scratch.join("rsh");
        let script = format!(
            "shift\necho $$ > '{}'\nexec \"$@\"\n",
            text(&scratch.join("server"))
        );
        fs::write(&shell, script).expect("room on the disk");
        let homes = ["one", "two"].map(|name| {
            let mut home = Home::new(&scratch, name);
            home.set("BORG_KEYS_DIR", &keys);
            home.set("BORG_RSH", format!("sh {}", text(&shell)));
            home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
            home.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
            home.set("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
            home.set("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES");
            home
        });
        for top in ["world/tree", "world/other"] {
            scratch.dir(top);
        }
        Self {
            stock: StockHost::start(&homes[0]),
            repo: scratch.join("repo"),
            passphrase: "the first".to_owned(),
            mode,
            homes,
            scratch,
            archives: Archives::new(),
            history: BTreeMap::new(),
            recompressed: false,
            ours_checks: false,
            stock_share,
            number: 0,
            kills: 0,
            damages: 0,
            patient: false,
            durations: Vec::new(),
            told: VecDeque::new(),
        }
    }

    /// The archives are these from now on.
    pub(super) fn adopt(&mut self, archives: Archives) {
        for (name, archived) in &archives {
            let versions = self.history.entry(name.clone()).or_default();
            if !versions.contains(archived) {
                versions.push(Rc::clone(archived));
            }
        }
        self.archives = archives;
    }

    /// Removes a cache that stock Borg was making when it was killed: it does not find out of that itself.
    fn lose_begun_cache(&mut self, machine: usize) {
        let caches = self.homes[machine].cache();
        for entry in fs::read_dir(caches).into_iter().flatten() {
            let dir = entry.expect("an entry").path();
            let is_cache = dir.file_name().is_some_and(|name| name.len() == 64);
            if is_cache && !dir.join("config").exists() {
                self.tell(&format!("rm -rf {}", text(&dir)));
                fs::remove_dir_all(&dir).expect("a directory of this test");
            }
        }
    }

    /// The directory that backups are made of.
    pub(super) fn top(&self) -> PathBuf {
        self.scratch.join("world")
    }

    /// Somebody, by chance.
    pub(super) fn anyone(&self, random: &mut Random) -> Who {
        let program = self.any_program(random);
        let way = match random.below(6) {
            0 => Way::Served(Program::Ours),
            // It has to be started, which takes a second.
            1 if random.below(self.stock_share) == 0 => Way::Served(Program::Stock),
            _ => Way::Local,
        };
        Who {
            program,
            machine: random.below(2),
            way,
        }
    }

    pub(super) fn any_program(&self, random: &mut Random) -> Program {
        if random.below(self.stock_share) == 0 {
            Program::Stock
        } else {
            Program::Ours
        }
    }

    /// Where the repository is, as somebody says it.
    pub(super) fn location(&self, who: &Who) -> String {
        match who.way {
            Way::Local => text(&self.repo).to_owned(),
            Way::Served(_) => format!("ssh://far.example{}", text(&self.repo)),
        }
    }

    /// An archive of it.
    pub(super) fn archive(&self, who: &Who, name: &str) -> String {
        format!("{}::{name}", self.location(who))
    }

    /// The machine as somebody uses it.
    fn home(&self, who: &Who) -> Home {
        let mut home = self.homes[who.machine].with("BORG_PASSPHRASE", &self.passphrase);
        if let Way::Served(server) = who.way {
            home.set("BORG_REMOTE_PATH", server.path());
        }
        home
    }

    /// Runs a command to its end, in the directory that backups are made of.
    #[track_caller]
    pub(super) fn run(&mut self, who: &Who, args: &[&str]) -> Run {
        self.begin(who, args).run(self)
    }

    /// A command being prepared.
    pub(super) fn begin(&self, who: &Who, args: &[&str]) -> Order {
        let wait: &[&str] = if self.patient {
            &["--lock-wait", "60"]
        } else {
            &[]
        };
        let args = [&args[..1], wait, &args[1..]].concat();
        Order {
            who: who.clone(),
            home: self.home(who),
            args: args.into_iter().map(str::to_owned).collect(),
            dir: self.top(),
            input: Vec::new(),
            blow: None,
        }
    }

    /// What the tree to be backed up is now, and what would come back of it.
    pub(super) fn tree(&self) -> Snapshot {
        let mut tree = Snapshot::of(&self.top()).as_restored();
        tree.nodes.remove(b"".as_slice());
        tree
    }

    /// A new, empty directory.
    pub(super) fn empty_dir(&self, name: &str) -> PathBuf {
        let dir = self.scratch.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).expect("a directory of this test");
        }
        self.scratch.dir(name)
    }

    /// Notes what has happened.
    pub(super) fn tell(&mut self, words: &str) {
        let number = self.number;
        self.told.push_back(format!("{number:>4}  {words}"));
    }

    /// Forgets what happened long ago.
    pub(super) fn next_operation(&mut self) {
        self.number += 1;
        let oldest = self.number.saturating_sub(TOLD as u64);
        let is_old = |line: &String| {
            let number = line
                .split_whitespace()
                .next()
                .and_then(|word| word.parse().ok());
            number.is_some_and(|number: u64| number < oldest)
        };
        while self.told.front().is_some_and(is_old) {
            self.told.pop_front();
        }
    }

    /// The last operations, as they can be typed.
    pub(super) fn last_words(&self) -> String {
        let mut words = format!(
            "in {}, passphrase {:?}\n",
            self.scratch.path().display(),
            self.passphrase
        );
        for line in &self.told {
            writeln!(words, "{line}").expect("writing to a string cannot fail");
        }
        words
    }

    /// Names in the repository, checkpoints included, as somebody lists them.
    #[track_caller]
    pub(super) fn names(&mut self, who: &Who) -> BTreeSet<String> {
        let location = self.location(who);
        let args = [
            "list",
            "--consider-checkpoints",
            "--format",
            "{name}{NL}",
            &location,
        ];
        let run = self.run(who, &args).ok();
        run.out().lines().map(str::to_owned).collect()
    }

    /// A moment in the life of a command at which it is killed.
    fn moment(&self, random: &mut Random, key: &(String, Program, bool)) -> Duration {
        let known = self.durations.iter().find(|(known, _)| known == key);
        let usual = known.map_or(Duration::from_millis(60), |(_, duration)| *duration);
        let micros = u64::try_from(usual.as_micros()).expect("seconds");
        Duration::from_micros(random.next_u64() % (micros * 11 / 10 + 1))
    }

    fn note_duration(&mut self, key: (String, Program, bool), duration: Duration) {
        match self.durations.iter_mut().find(|(known, _)| *known == key) {
            Some((_, noted)) => *noted = (*noted + duration) / 2,
            None => self.durations.push((key, duration)),
        }
    }
}

/// A command being prepared.
pub(super) struct Order {
    who: Who,
    home: Home,
    args: Vec<String>,
    dir: PathBuf,
    input: Vec<u8>,
    blow: Option<Blow>,
}

impl Order {
    pub(super) fn dir(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.dir);
        self
    }

    pub(super) fn input(mut self, input: Vec<u8>) -> Self {
        self.input = input;
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.home.set(name, value);
        self
    }

    /// The command and who runs it, as far as that tells how long it takes.
    fn kind(&self) -> (String, Program, bool) {
        let is_served = self.who.way != Way::Local;
        (self.args[0].clone(), self.who.program, is_served)
    }

    /// Perhaps it will be killed.
    pub(super) fn perhaps_killed(mut self, world: &World, random: &mut Random) -> Self {
        if random.below(4) == 0 {
            let signal = match random.below(4) {
                0 => Signal::TERM,
                1 => Signal::INT,
                _ => Signal::KILL,
            };
            let after = world.moment(random, &self.kind());
            self.blow = Some(Blow { signal, after });
        }
        self
    }

    /// Whether it will be.
    pub(super) fn is_killed(&self) -> bool {
        self.blow.is_some()
    }

    /// Runs it.
    #[track_caller]
    pub(super) fn run(self, world: &mut World) -> Run {
        let started = Instant::now();
        let run = match self.who.program {
            Program::Ours => self.run_ours(world),
            Program::Stock => {
                let at = (&self.home, self.dir.as_path());
                world.stock.run(at, &self.args, &self.input, self.blow)
            }
        };
        world.patient = false;
        if run.code() == 0 {
            world.note_duration(self.kind(), started.elapsed());
        } else if self.is_killed() {
            world.kills += 1;
            world.patient = true;
            if self.who.program == Program::Stock {
                world.lose_begun_cache(self.who.machine);
            }
        }
        world.tell(&self.shown(&run));
        assert!(!run.err().contains("panicked at"), "a panic\n{run}");
        run
    }

    #[track_caller]
    fn run_ours(&self, world: &World) -> Run {
        let invocation = self
            .home
            .invocation(Program::Ours, &self.args)
            .dir(&self.dir);
        let Some(blow) = self.blow else {
            return invocation.input(self.input.clone()).run();
        };
        let input = world.scratch.join("our-in");
        fs::write(&input, &self.input).expect("room on the disk");
        let input = File::open(&input).expect("just written");
        let mut invocation = invocation;
        let child = invocation.start(Stdio::from(input));
        std::thread::sleep(blow.after);
        kill_process(Pid::from_child(&child), blow.signal).expect("our own child");
        Run::of(child)
    }

    fn shown(&self, run: &Run) -> String {
        let mut words = format!("{} on {}:", self.who.program.name(), self.who.machine + 1);
        if let Way::Served(server) = self.who.way {
            write!(words, " (server: {})", server.name()).expect("a string");
        }
        words.push_str(" borg");
        for arg in &self.args {
            let plain = arg
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_:/.=,".contains(&byte));
            let quoted = if plain {
                arg.clone()
            } else {
                format!("'{}'", arg.replace('\n', "\\n"))
            };
            write!(words, " {quoted}").expect("a string");
        }
        write!(words, "  -> {} in {:.0?}", run.code(), run.elapsed).expect("a string");
        if let Some(Blow { signal, after }) = self.blow {
            write!(words, ", {signal:?} after {after:?}").expect("a string");
        }
        words
    }
}
