//! What has to hold after a crash or a failure, whatever it was.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ironborg_archive::{ArchiveError, Session};
use ironborg_repository::{CheckMode, CheckOptions};
use ironborg_storage::{MemoryStorage, Operation, RecordingStorage, Storage, Unsynced};
use ironborg_types::ErrorKind;

use crate::harness::{
    Archives, EVERYTHING, HomeFiles, Machine, Milestone, Recorded, Scenario, Stage, archives_of,
    is_checkpoint, orphans_of,
};
use crate::nonces::UsedNonces;

/// What is left, and what was promised.
pub(crate) struct Aftermath<'a> {
    pub(crate) recorded: &'a Recorded,
    pub(crate) memory: &'a MemoryStorage,
    pub(crate) home: &'a HomeFiles,
    pub(crate) acknowledged: &'a Milestone,
    pub(crate) in_flight: Option<&'a Milestone>,
    pub(crate) scratch: &'a Path,
    /// For messages.
    pub(crate) context: String,
}

impl Aftermath<'_> {
    fn machine(&self) -> (tempfile::TempDir, Machine) {
        let dir = tempfile::tempdir_in(self.scratch).expect("the scratch directory is writable");
        self.home.write_to(dir.path());
        let machine = self.recorded.machine.after_crash(dir.path().to_owned());
        (dir, machine)
    }

    /// Opens the repository with the passphrase that may be the one by now.
    fn open(
        &self,
        machine: &Machine,
        storage: &Arc<dyn Storage>,
    ) -> Result<(Session, Machine), ArchiveError> {
        let acknowledged = &self.acknowledged.passphrase;
        let in_flight = self.in_flight.map(|next| &next.passphrase);
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

    /// Opens what was left, as whoever comes next, and compares; `None` if there is no repository.
    #[track_caller]
    pub(crate) fn verify(&self, scenario: &Scenario) -> Option<Archives> {
        let context = &self.context;
        let (_dir, machine) = self.machine();
        let storage: Arc<dyn Storage> = Arc::new(self.memory.snapshot());
        let before = self.acknowledged.archives.as_ref();
        let after = self.in_flight.map(|next| next.archives.as_ref());
        let may_be_missing = before.is_none() || after == Some(None);
        let opened = self.open(&machine, &storage);
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
        found.retain(|name, _| !is_checkpoint(name));
        let orphans = orphans_of(&session).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(orphans, [], "{context}");
        let nothing = Archives::new();
        let before = before.unwrap_or(&nothing);
        let after = after.map_or(before, |after| after.unwrap_or(&nothing));
        assert_one_or_the_other(&found, before, after, scenario.atomic, context);
        assert_eq!(machine.notes.questions(), [""; 0], "{context}");
        let sound = session.repository.check(&READ_ONLY);
        let sound = sound.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(sound, "{context}: {:?}", machine.notes.log());
        Some(found)
    }

    /// Life goes on: another archive, a compaction, and everything is still there. No counter is used that was
    /// used in what there was before the scenario or in `written`, its operations so far.
    #[track_caller]
    pub(crate) fn go_on(&self, scenario: &Scenario, written: &[Operation]) {
        let context = &self.context;
        let failed = |error: ArchiveError| -> ! { panic!("{context}: {error}") };
        let (_dir, machine) = self.machine();
        let recording = RecordingStorage::new(Arc::new(self.memory.snapshot()));
        let storage: Arc<dyn Storage> = Arc::new(recording.clone());
        let opened = self.open(&machine, &storage);
        let (session, machine) = opened.unwrap_or_else(|error| failed(error));
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
        if !scenario.mode.is_encrypted() {
            return;
        }
        let mut used = UsedNonces::default();
        let before = self.recorded.before.after_power_failure(Unsynced::Kept);
        for (name, content) in before.files() {
            if name.starts_with("data/") {
                used.note_segment(&content);
            }
        }
        used.note(written);
        let in_all = used.len();
        used.note(&recording.operations());
        assert!(used.len() > in_all, "{context}: nothing was encrypted");
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
    mode: CheckMode::Look,
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
