//! Every moment of every scenario: power fails, the machine comes back, and what was acknowledged is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ironborg_archive::{ArchiveError, Session};
use ironborg_crypto::KeyMode;
use ironborg_repository::CheckOptions;
use ironborg_storage::{MemoryStorage, RecordingStorage, Storage, Unsynced};
use ironborg_testkit::{Tried, tally};
use ironborg_types::ErrorKind;

use crate::harness::{
    Archives, CrashPoint, EVERYTHING, HomeFiles, Machine, Recorded, SCENARIOS, Scenario, Stage,
    archives_of, is_checkpoint, orphans_of, quick_directory,
};
use crate::nonces::UsedNonces;

/// What is looked at, and how closely.
struct Replay<'a> {
    scenario: &'a Scenario,
    recorded: &'a Recorded,
    scratch: &'a Path,
    /// Moments and states looked at so far.
    points: u64,
    tried: u64,
    /// Whether there is time for everything.
    full: bool,
    /// What was found, to see that both outcomes occur.
    found: BTreeSet<Option<Vec<String>>>,
    /// The work goes on after every so many states.
    every: u64,
    /// In how many ways by chance what was not synced is lost at each point.
    orders: u64,
}

/// One state a crash may leave.
struct State<'a> {
    memory: MemoryStorage,
    home: &'a HomeFiles,
    context: String,
}

impl Replay<'_> {
    fn at(&mut self, point: &CrashPoint<'_>) {
        let operation = &self.recorded.operations[point.operation];
        let is_lock = format!("{operation:?}").contains("\"lock");
        self.points += 1;
        for unsynced in self.policies(is_lock) {
            self.state(point, unsynced, point.homes[0], "before");
        }
        let [before, after] = point.homes;
        if before != after {
            self.state(point, Unsynced::Dropped, after, "after");
            for seed in self.tried..self.tried + 2 {
                let between = before.between(after, seed);
                self.state(point, Unsynced::Kept, &between, "between");
            }
        }
        if self.is_slow() && !is_lock && self.points.is_multiple_of(4) {
            // A machine that never saw it: what is in the repository has to do.
            let keys_only = before.keys_only();
            self.state(point, Unsynced::Dropped, &keys_only, "lost");
        }
    }

    /// Deriving the key takes longer than all the rest.
    fn is_slow(&self) -> bool {
        self.scenario.mode != KeyMode::None
    }

    /// What becomes of what was not synced: some of the four in turn, fewer where only a lock is taken or left.
    fn policies(&self, is_lock: bool) -> Vec<Unsynced> {
        let four = [
            Unsynced::Kept,
            Unsynced::Dropped,
            Unsynced::Torn,
            Unsynced::Zeroed,
        ];
        let seed = self.points * 100;
        let by_chance = (seed..seed + self.orders).map(Unsynced::Reordered);
        let turn = usize::try_from(self.points % 4).expect("less than 4");
        if is_lock {
            return vec![four[turn]];
        }
        if self.is_slow() && !self.full {
            let all: Vec<Unsynced> = four.into_iter().chain(by_chance).collect();
            let turn = usize::try_from(self.points).expect("few enough") % all.len();
            return vec![all[turn]];
        }
        let two = [four[turn], four[(turn + 2) % 4]];
        two.into_iter().chain(by_chance).collect()
    }

    fn state(
        &mut self,
        point: &CrashPoint<'_>,
        unsynced: Unsynced,
        home: &HomeFiles,
        which_home: &str,
    ) {
        let operation = &self.recorded.operations[point.operation];
        let state = State {
            memory: point.disk.after_power_failure(unsynced),
            home,
            context: format!(
                "{}: power failed at operation {} ({}), unsynced {unsynced:?}, home {which_home}",
                self.scenario.name,
                point.operation,
                shortened(&format!("{operation:?}")),
            ),
        };
        self.tried += 1;
        let found = self.verify(point, &state);
        let names = found.map(|archives| archives.into_keys().collect());
        let is_new = self.found.insert(names.clone());
        if names.is_some() && (is_new || self.tried.is_multiple_of(self.every)) {
            self.go_on(point, &state);
        }
    }

    fn machine(&self, home: &HomeFiles) -> (tempfile::TempDir, Machine) {
        let dir = tempfile::tempdir_in(self.scratch).expect("the scratch directory is writable");
        home.write_to(dir.path());
        let machine = self.recorded.machine.after_crash(dir.path().to_owned());
        (dir, machine)
    }

    /// Opens the repository with the passphrase that may be the one by now.
    fn open(
        point: &CrashPoint<'_>,
        machine: &Machine,
        storage: &Arc<dyn Storage>,
    ) -> Result<(Session, Machine), ArchiveError> {
        let acknowledged = &point.acknowledged.passphrase;
        let in_flight = point.in_flight.map(|next| &next.passphrase);
        let machine = machine.with_passphrase(acknowledged);
        match (machine.session(Arc::clone(storage)), in_flight) {
            (Err(error), Some(other))
                if error.kind() == ErrorKind::PassphraseWrong && other != acknowledged =>
            {
                let machine = machine.with_passphrase(other);
                Ok((machine.session(Arc::clone(storage))?, machine))
            }
            (session, _) => Ok((session?, machine)),
        }
    }

    /// Opens what the crash left, as whoever comes next, and compares; `None` if there is no repository.
    #[track_caller]
    fn verify(&self, point: &CrashPoint<'_>, state: &State<'_>) -> Option<Archives> {
        let context = &state.context;
        let (_dir, machine) = self.machine(state.home);
        let storage: Arc<dyn Storage> = Arc::new(state.memory.clone());
        let before = point.acknowledged.archives.as_ref();
        let after = point.in_flight.map(|next| next.archives.as_ref());
        let may_be_missing = before.is_none() || after == Some(None);
        let opened = Self::open(point, &machine, &storage);
        let (mut session, machine) = match opened {
            Err(error) if may_be_missing => {
                // It says what it is: not a repository, or one without its manifest or key yet.
                let kind = error.kind();
                assert!(IS_NONE.contains(&kind), "{context}: {kind:?} {error}");
                return None;
            }
            opened => opened.unwrap_or_else(|error| panic!("{context}: {error}")),
        };
        let mut found = archives_of(&session).unwrap_or_else(|error| panic!("{context}: {error}"));
        let whole = found.len();
        found.retain(|name, _| !is_checkpoint(name));
        // Chunks of files that were read ahead are committed with a checkpoint that does not list them yet.
        if found.len() == whole {
            let orphans = orphans_of(&session).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(orphans, [], "{context}");
        }
        let nothing = Archives::new();
        let before = before.unwrap_or(&nothing);
        let after = after.map_or(before, |after| after.unwrap_or(&nothing));
        assert_one_or_the_other(&found, before, after, self.scenario.atomic, context);
        assert_eq!(machine.notes.questions(), [""; 0], "{context}");
        let sound = session.repository.check(&READ_ONLY);
        let sound = sound.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(sound, "{context}: {:?}", machine.notes.log());
        Some(found)
    }

    /// Life goes on: another archive, a compaction, and everything is still there.
    fn go_on(&self, point: &CrashPoint<'_>, state: &State<'_>) {
        let context = &state.context;
        let failed = |error: ArchiveError| -> ! { panic!("{context}: {error}") };
        let (_dir, machine) = self.machine(state.home);
        let recording = RecordingStorage::new(Arc::new(state.memory.snapshot()));
        let storage: Arc<dyn Storage> = Arc::new(recording.clone());
        let (session, machine) =
            Self::open(point, &machine, &storage).unwrap_or_else(|error| failed(error));
        let before = archives_of(&session).unwrap_or_else(|error| failed(error));
        drop(session);
        let stage = Stage::new(machine, storage, self.recorded.source.clone());
        let went_on = stage
            .create("after")
            .and_then(|()| stage.compact(EVERYTHING))
            .and_then(|()| archives_of(&stage.session()?));
        let mut after = went_on.unwrap_or_else(|error| failed(error));
        let new = after.remove("after").expect("it was made");
        assert!(new.len() > 8, "{context}: {} items", new.len());
        assert_eq!(after, before, "{context}");
        if self.scenario.mode.is_encrypted() {
            let mut used = UsedNonces::default();
            for (name, content) in self
                .recorded
                .before
                .after_power_failure(Unsynced::Kept)
                .files()
            {
                if name.starts_with("data/") {
                    used.note_segment(&content);
                }
            }
            // Whether it was lost or not: somebody may have a copy of the disk.
            used.note(&self.recorded.operations[..=point.operation]);
            let in_all = used.len();
            used.note(&recording.operations());
            assert!(used.len() > in_all, "{context}");
        }
    }
}

/// How something that is no whole repository yet, or any more, is refused.
const IS_NONE: &[ErrorKind] = &[
    ErrorKind::RepositoryDoesNotExist,
    ErrorKind::RepositoryInvalidRepository,
    ErrorKind::NoManifestError,
    ErrorKind::RepoKeyNotFoundError,
    ErrorKind::KeyfileNotFoundError,
    ErrorKind::CacheCacheInitAbortedError,
];

const READ_ONLY: CheckOptions = CheckOptions {
    mode: ironborg_repository::CheckMode::Look,
    save_space: false,
    max_duration_s: 0,
    threads: 1,
    interrupt: None,
};

#[track_caller]
fn assert_one_or_the_other(
    found: &Archives,
    before: &Archives,
    after: &Archives,
    atomic: bool,
    context: &str,
) {
    if atomic {
        assert!(
            found == before || found == after,
            "{context}: {:?}, neither {:?} nor {:?}",
            found.keys(),
            before.keys(),
            after.keys()
        );
        return;
    }
    let names: BTreeSet<_> = found
        .keys()
        .chain(before.keys())
        .chain(after.keys())
        .collect();
    for name in names {
        let archive = found.get(name);
        assert!(
            archive == before.get(name) || archive == after.get(name),
            "{context}: {name} is {}",
            archive.map_or("missing", |_| "neither old nor new")
        );
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

fn replay(name: &str) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.expect("tests name scenarios there are");
    let scratch = quick_directory();
    let recorded = Recorded::play(scenario, scratch.path(), "/memory");
    let full = std::env::var_os("IRONBORG_INTEROP_FULL").is_some();
    let mut replay = Replay {
        scenario,
        recorded: &recorded,
        scratch: scratch.path(),
        points: 0,
        tried: 0,
        full,
        found: BTreeSet::new(),
        every: if full { 5 } else { 40 },
        orders: if full { 20 } else { 1 },
    };
    recorded.for_each_point(|point| replay.at(point));
    let (tried, outcomes) = (replay.tried, replay.found.len());
    assert!(tried > 10, "only {tried} states");
    let content_stays = matches!(scenario.mode, KeyMode::Repokey | KeyMode::Keyfile)
        && (name.starts_with("key") || name.starts_with("upgrade"));
    assert!(
        outcomes > 1 || content_stays || SAME_NAMES.contains(&name),
        "{name}: nothing happened in {tried} states"
    );
    tally(Tried::CrashPoints, tried);
}

/// Scenarios after which archives have the names they had before.
const SAME_NAMES: [&str; 6] = [
    "compact",
    "compact --cleanup-commits",
    "recreate without some files",
    "recreate --recompress",
    "recreate --chunker-params, encrypted",
    "check --repair without index",
];

macro_rules! replays {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { replay($name); })*

        #[test]
        fn every_scenario_is_replayed() {
            let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

replays! {
    init_without_a_key: "init without a key",
    init_with_a_key_in_the_repository: "init with a key in the repository",
    init_with_a_key_file: "init with a key file",
    create: "create",
    create_encrypted: "create, encrypted",
    delete_one_archive: "delete one archive",
    delete_several_archives: "delete several archives",
    delete_the_repository: "delete the repository",
    prune: "prune",
    compact: "compact",
    compact_cleanup_commits: "compact --cleanup-commits",
    recreate_without_some_files: "recreate without some files",
    recreate_recompress: "recreate --recompress",
    recreate_with_other_chunks: "recreate --chunker-params, encrypted",
    rename: "rename",
    repair: "check --repair without index",
    change_passphrase: "key change-passphrase",
    change_passphrase_of_a_key_file: "key change-passphrase of a key file",
    import_a_key: "key import",
    require_authentication: "upgrade --tam",
    give_authentication_up: "upgrade --disable-tam",
}
