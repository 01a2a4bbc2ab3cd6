//! One run of a scenario, written down: what reached the repository's storage, what the machine remembered at each
//! moment, and what was acknowledged by when.

use std::path::Path;
use std::sync::{Arc, Mutex};

use ironborg_storage::{DiskModel, MemoryStorage, Operation, RecordingStorage, Storage};

use super::content::{Archives, archives_of};
use super::machine::{HomeFiles, Machine};
use super::scenarios::{Base, Scenario};
use super::stage::Stage;

/// What had been acknowledged once so many operations were done.
#[derive(Clone)]
pub(crate) struct Milestone {
    pub(crate) operations: usize,
    /// `None`: there is no repository.
    pub(crate) archives: Option<Archives>,
    pub(crate) passphrase: String,
}

/// A scenario that was played.
pub(crate) struct Recorded {
    pub(crate) machine: Machine,
    pub(crate) source: std::path::PathBuf,
    /// See [`Stage::kept`].
    pub(crate) kept: String,
    pub(crate) before: DiskModel,
    pub(crate) operations: Vec<Operation>,
    /// What the machine remembered right before each operation that changes something, and in the end.
    homes: Vec<Arc<HomeFiles>>,
    pub(crate) milestones: Vec<Milestone>,
}

/// A moment in which power may fail.
pub(crate) struct CrashPoint<'a> {
    /// Index of the operation it is in or behind.
    pub(crate) operation: usize,
    pub(crate) disk: &'a DiskModel,
    /// What the machine remembered before and, if it may have gone on, after.
    pub(crate) homes: [&'a HomeFiles; 2],
    pub(crate) acknowledged: &'a Milestone,
    pub(crate) in_flight: Option<&'a Milestone>,
}

/// What the archives of a storage are; the storage and the machine are left as they are.
fn look(memory: &MemoryStorage, machine: &Machine, scratch: &Path) -> Option<Archives> {
    memory.read("config").ok()?;
    let home = tempfile::tempdir_in(scratch).expect("the scratch directory is writable");
    machine.remembered().write_to(home.path());
    let machine = machine.after_crash(home.path().to_owned());
    let session = machine
        .session(Arc::new(memory.snapshot()))
        .expect("without a crash it opens");
    Some(archives_of(&session).expect("without a crash it reads"))
}

impl Recorded {
    /// Plays a scenario in a scratch directory.
    pub(crate) fn play(scenario: &Scenario, scratch: &Path, location: &str) -> Self {
        let memory = MemoryStorage::new();
        let stage = set(scenario, scratch, location, &memory);
        let before = match memory.status("") {
            Ok(Some(_)) => DiskModel::holding(&memory).expect("memory lists what it has"),
            _ => DiskModel::new(),
        };
        let homes: Arc<Mutex<Vec<Arc<HomeFiles>>>> = Arc::default();
        let recording = RecordingStorage::watched(Arc::new(memory.clone()), {
            let homes = Arc::clone(&homes);
            let machine = stage.machine.borrow().clone();
            move || {
                let mut homes = homes.lock().expect("not poisoned");
                let now = machine.remembered();
                // Most operations leave the machine as it was.
                let same = homes.last().filter(|last| ***last == now).cloned();
                homes.push(same.unwrap_or_else(|| Arc::new(now)));
            }
        });
        let stage = stage.on(Arc::new(recording.clone()));
        let milestone = |stage: &Stage| Milestone {
            operations: recording.operations().len(),
            archives: look(&memory, &stage.machine.borrow(), scratch),
            passphrase: stage.machine.borrow().passphrase.clone(),
        };
        let mut milestones = vec![milestone(&stage)];
        for step in scenario.steps {
            step(&stage).unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
            milestones.push(milestone(&stage));
        }
        let machine = stage.machine.borrow().clone();
        let mut homes = std::mem::take(&mut *homes.lock().expect("not poisoned"));
        homes.push(Arc::new(machine.remembered()));
        Self {
            machine,
            source: stage.source.clone(),
            kept: stage.kept.borrow().clone(),
            before,
            operations: recording.operations(),
            homes,
            milestones,
        }
    }

    /// What the machine remembered in the beginning.
    pub(crate) fn home_before(&self) -> &HomeFiles {
        &self.homes[0]
    }

    /// Visits every moment in which power may fail: within each operation, and behind it.
    pub(crate) fn for_each_point(&self, mut visit: impl FnMut(&CrashPoint<'_>)) {
        let mut disk = self.before.clone();
        let mut changes = 0;
        for (index, operation) in self.operations.iter().enumerate() {
            if !operation.is_change() {
                continue;
            }
            let acknowledged = self.milestones.iter().rev();
            let acknowledged = acknowledged.clone().find(|m| m.operations <= index);
            let in_flight = self.milestones.iter().find(|m| m.operations > index);
            let mut visit = |disk: &DiskModel, home: usize| {
                visit(&CrashPoint {
                    operation: index,
                    disk,
                    homes: [&self.homes[changes], &self.homes[home]],
                    acknowledged: acknowledged.expect("the first one is at the beginning"),
                    in_flight,
                });
            };
            disk.apply_stepwise(operation, |disk| visit(disk, changes));
            visit(&disk, changes + 1);
            changes += 1;
        }
    }
}

/// Makes what is there before the recording begins.
pub(crate) fn set(
    scenario: &Scenario,
    scratch: &Path,
    location: &str,
    memory: &MemoryStorage,
) -> Stage {
    let home = scratch.join("home");
    let machine = Machine::doomed(home, location);
    let source = scratch.join("source");
    let stage = Stage::new(machine, Arc::new(memory.clone()), source);
    stage.write_source();
    let made = || {
        if scenario.base == Base::Archives {
            stage.init(scenario.mode)?;
            for (round, name) in ["a", "b", "c"].into_iter().enumerate() {
                stage.change_source(round);
                stage.create(name)?;
            }
        }
        scenario.prepare.iter().try_for_each(|step| step(&stage))
    };
    made().unwrap_or_else(|error: ironborg_archive::ArchiveError| {
        panic!("{}: {error}", scenario.name)
    });
    stage
}
