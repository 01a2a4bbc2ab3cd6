//! A call of the storage fails in the middle of an operation on archives: once, or from then on.

use std::path::Path;
use std::sync::Arc;

use ironborg_archive::ArchiveError;
use ironborg_crypto::KeyMode;
use ironborg_storage::{
    Fault, FaultyStorage, MemoryStorage, Operation, Partial, RecordingStorage, Storage, Unsynced,
};
use ironborg_testkit::{Tried, tally};

use crate::aftermath::Aftermath;
use crate::harness::{
    Base, Machine, Recorded, SCENARIOS, Scenario, Stage, is_full_run, quick_directory,
};

/// A way in which calls fail.
#[derive(Debug, Clone, Copy)]
struct Failure {
    forever: bool,
    errno: i32,
    partial: Option<Partial>,
}

const fn failure(forever: bool, errno: i32, partial: Option<Partial>) -> Failure {
    Failure {
        forever,
        errno,
        partial,
    }
}

const FAILURES: [Failure; 7] = [
    failure(false, libc::EIO, None),
    failure(true, libc::ENOSPC, None),
    failure(false, libc::ENOSPC, Some(Partial::OneByte)),
    failure(true, libc::EROFS, Some(Partial::Nothing)),
    failure(false, libc::EDQUOT, Some(Partial::AllButOne)),
    failure(true, libc::EIO, Some(Partial::Everything)),
    failure(false, libc::EIO, Some(Partial::Everything)),
];

/// What came of one run.
struct Run {
    /// How many steps were acknowledged.
    acknowledged: usize,
    result: Result<(), ArchiveError>,
    /// What reached the storage.
    written: Vec<Operation>,
    faulty: FaultyStorage,
}

struct Faults<'a> {
    scenario: &'a Scenario,
    recorded: &'a Recorded,
    scratch: &'a Path,
}

impl Faults<'_> {
    /// Runs the scenario with a call failing; returns how many there were and whether one failed.
    fn run(&self, at: u64, failure: Failure) -> (u64, bool) {
        let memory = if self.scenario.base == Base::Nothing {
            MemoryStorage::new()
        } else {
            self.recorded.before.after_power_failure(Unsynced::Kept)
        };
        let home = tempfile::tempdir_in(self.scratch).expect("the scratch directory is writable");
        self.recorded.home_before().write_to(home.path());
        let machine = self.recorded.machine.in_home(home.path().to_owned());
        let passphrase = &self.recorded.milestones[0].passphrase;
        let machine = machine.with_passphrase(passphrase);
        let run = self.steps(
            &memory,
            &machine,
            Fault {
                at,
                forever: failure.forever,
                errno: failure.errno,
            },
            failure.partial,
        );
        let failed = run.faulty.failures() > 0;
        let calls = run.faulty.calls();
        if !failed {
            run.result.expect("nothing went wrong");
            return (calls, false);
        }
        let context = format!("{}: call {at}, {failure:?}", self.scenario.name);
        assert_is_told(&run, failure, &context);
        let after_run = machine.remembered();
        let aftermath = Aftermath {
            recorded: self.recorded,
            memory: &memory,
            home: &after_run,
            acknowledged: &self.recorded.milestones[run.acknowledged],
            in_flight: self.recorded.milestones.get(run.acknowledged + 1),
            scratch: self.scratch,
            context,
        };
        let found = aftermath.verify(self.scenario);
        if !failure.forever {
            assert_no_lock(&memory, &run, &aftermath.context);
        }
        if found.is_some() && at.is_multiple_of(if is_full_run() { 11 } else { 31 }) {
            aftermath.go_on(self.scenario, &run.written);
        }
        (calls, true)
    }

    fn steps(
        &self,
        memory: &MemoryStorage,
        machine: &Machine,
        fault: Fault,
        partial: Option<Partial>,
    ) -> Run {
        let recording = RecordingStorage::new(Arc::new(memory.clone()));
        let inner: Arc<dyn Storage> = Arc::new(recording.clone());
        let faulty = match partial {
            Some(partial) => FaultyStorage::doing(partial, inner, fault),
            None => FaultyStorage::new(inner, fault),
        };
        let source = self.recorded.source.clone();
        let stage = Stage::new(machine.clone(), Arc::new(faulty.clone()), source);
        stage.kept.borrow_mut().clone_from(&self.recorded.kept);
        let mut acknowledged = 0;
        let result = self.scenario.steps.iter().try_for_each(|step| {
            step(&stage)?;
            acknowledged += 1;
            Ok(())
        });
        Run {
            acknowledged,
            result,
            written: recording.operations(),
            faulty,
        }
    }
}

/// A storage that works again has no lock of a process that is through.
#[track_caller]
fn assert_no_lock(memory: &MemoryStorage, run: &Run, context: &str) {
    let failed = run.faulty.first_failed().expect("one failed");
    let about_lock = failed.to_string_lossy().contains("/lock.");
    let files = memory.files();
    let locks: Vec<&str> = files
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("lock."))
        .collect();
    assert!(about_lock || locks.is_empty(), "{context}: {locks:?}");
}

/// An error says what the system said, and about which file. What is only a hint, or is done again, may go unsaid.
#[track_caller]
fn assert_is_told(run: &Run, failure: Failure, context: &str) {
    let Err(error) = &run.result else { return };
    let error = error.to_string();
    let text = std::io::Error::from_raw_os_error(failure.errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let path = run.faulty.first_failed().expect("one failed");
    let path = path.to_string_lossy();
    // A transaction that met an error says which; a later error may be the one that ends it all.
    let names_file = error.contains(&*path) || failure.forever && error.contains("/memory");
    assert!(
        error.contains(text) && names_file,
        "{context}: {path}: {error}"
    );
}

fn try_faults(name: &str) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.expect("tests name scenarios there are");
    let scratch = quick_directory();
    let recorded = Recorded::play(scenario, scratch.path(), "/memory");
    let faults = Faults {
        scenario,
        recorded: &recorded,
        scratch: scratch.path(),
    };
    let never = failure(false, libc::EIO, None);
    let (calls, _) = faults.run(u64::MAX, never);
    let mut tried = 0;
    let ways = FAILURES.len() as u64;
    // Each time another failure: over the calls all of them meet.
    let stride = match scenario.mode {
        _ if is_full_run() => 1,
        KeyMode::None => 4,
        // Deriving the key takes longer than all the rest.
        _ => 9,
    };
    for round in 0..if is_full_run() { ways } else { 1 } {
        for at in (0..calls).step_by(stride) {
            let way = usize::try_from((at + round) % ways).expect("few ways");
            let (_, failed) = faults.run(at, FAILURES[way]);
            tried += u64::from(failed);
        }
    }
    assert!(
        tried * 2 > calls / stride as u64,
        "{name}: {tried} of {calls}"
    );
    tally(Tried::Faults, tried);
}

macro_rules! faults {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { try_faults($name); })*
    };
}

faults! {
    init: "init with a key in the repository",
    create: "create",
    create_encrypted: "create, encrypted",
    delete: "delete several archives",
    delete_the_repository: "delete the repository",
    prune: "prune",
    compact: "compact",
    recreate: "recreate --recompress",
    rename: "rename",
    repair: "check --repair without index",
    repair_of_archives: "check --repair of archives too",
    change_passphrase: "key change-passphrase",
    import_a_key: "key import",
    require_authentication: "upgrade --tam",
}
