//! Every moment of every scenario: power fails, the machine comes back, and what was acknowledged is there.

use std::collections::BTreeSet;
use std::path::Path;

use ironborg_crypto::KeyMode;
use ironborg_storage::Unsynced;
use ironborg_testkit::{Tried, tally};

use crate::aftermath::Aftermath;
use crate::harness::{
    CrashPoint, HomeFiles, Recorded, SCENARIOS, Scenario, is_full_run, quick_directory,
};

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
        let memory = point.disk.after_power_failure(unsynced);
        let aftermath = Aftermath {
            recorded: self.recorded,
            memory: &memory,
            home,
            acknowledged: point.acknowledged,
            in_flight: point.in_flight,
            scratch: self.scratch,
            context: format!(
                "{}: power failed at operation {} ({}), unsynced {unsynced:?}, home {which_home}",
                self.scenario.name,
                point.operation,
                shortened(&format!("{operation:?}")),
            ),
        };
        self.tried += 1;
        let found = aftermath.verify(self.scenario);
        let names = found.map(|archives| archives.into_keys().collect());
        let is_new = self.found.insert(names.clone());
        if names.is_some() && (is_new || self.tried.is_multiple_of(self.every)) {
            // Whether it was lost or not: somebody may have a copy of the disk.
            aftermath.go_on(self.scenario, &self.recorded.operations[..=point.operation]);
        }
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
    let full = is_full_run();
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
const SAME_NAMES: [&str; 7] = [
    "compact",
    "compact --cleanup-commits",
    "recreate without some files",
    "recreate --recompress",
    "recreate --chunker-params, encrypted",
    "check --repair without index",
    "check --repair of archives too",
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
    repair_of_archives: "check --repair of archives too",
    change_passphrase: "key change-passphrase",
    change_passphrase_of_a_key_file: "key change-passphrase of a key file",
    import_a_key: "key import",
    require_authentication: "upgrade --tam",
    give_authentication_up: "upgrade --disable-tam",
}
