//! A repository to be damaged, checked and looked into.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ironborg_archive::check::{CheckMode, CheckOptions, check};
use ironborg_archive::items::{ObjectSource, PartFiles, with_items};
use ironborg_archive::selection::ArchiveSelection;
use ironborg_archive::{ArchiveError, Session};
use ironborg_format::Item;
use ironborg_format::item::ChunkEntry;
use ironborg_repository::LockMode;
use ironborg_types::{
    ArchiveId, ChunkId, Event, Finding, FindingKind, Interrupt, Level, RepairAction, RepairChange,
    Reporter,
};

use crate::archive_writer::ArchiveWriter;
use crate::machine::Machine;

/// One machine, its repository, and a note of what the last check told.
pub(crate) struct Laboratory {
    pub(crate) machine: Machine,
    pub(crate) options: CheckOptions,
}

/// What a check has told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) findings: Vec<Finding>,
    pub(crate) changes: Vec<RepairChange>,
    pub(crate) log: Vec<(Level, String)>,
}

impl Told {
    /// Findings and log lines worth telling at level "info", in the order of each.
    pub(crate) fn messages(&self) -> Vec<(FindingKind, &str)> {
        let findings = self.findings.iter();
        findings
            .map(|found| (found.kind, &found.message[..]))
            .collect()
    }

    pub(crate) fn actions(&self) -> Vec<RepairAction> {
        self.changes.iter().map(|change| change.action).collect()
    }

    pub(crate) fn has_logged(&self, message: &str) -> bool {
        self.log.iter().any(|(_, line)| line == message)
    }
}

/// Keeps what is told; asks for an end when something of this kind is found.
#[derive(Default)]
struct Watcher {
    told: Mutex<Told>,
    stop_at: Option<(FindingKind, &'static Interrupt)>,
}

impl Reporter for Watcher {
    fn report(&self, event: Event<'_>) {
        let mut told = self.told.lock().unwrap();
        match event {
            Event::Finding(finding) => {
                if let Some((kind, interrupt)) = self.stop_at
                    && kind == finding.kind
                {
                    interrupt.request_stop();
                }
                told.findings.push(finding.clone());
            }
            Event::RepairChange(change) => told.changes.push(change.clone()),
            Event::Log { level, message, .. } => told.log.push((level, message.into_owned())),
            _ => {}
        }
    }
}

impl Laboratory {
    /// A repository without archives.
    pub(crate) fn new() -> Self {
        let laboratory = Self::with_sample("mode-repokey");
        let mut session = laboratory.machine.exclusive();
        session.manifest.archives.clear();
        let ids = session.repository.list(None, None).unwrap();
        for id in ids.iter().filter(|id| **id != ChunkId::MANIFEST) {
            session.repository.delete(id).unwrap();
        }
        commit(&mut session);
        laboratory
    }

    pub(crate) fn with_sample(name: &str) -> Self {
        let options = CheckOptions {
            repository: false,
            archives: true,
            verify_data: false,
            mode: CheckMode::Look,
            save_space: false,
            max_duration_s: 0,
            archive: None,
            selection: ArchiveSelection::default(),
            glob: None,
        };
        Self {
            machine: Machine::with_sample(name),
            options,
        }
    }

    /// Writes an archive.
    pub(crate) fn archive<T>(
        &self,
        name: &str,
        write: impl FnOnce(&mut ArchiveWriter<'_>) -> T,
    ) -> T {
        let mut session = self.machine.exclusive();
        let mut writer = ArchiveWriter::new(&mut session);
        let result = write(&mut writer);
        writer.finish(name);
        result
    }

    /// Checks; what is told, and whether all is well or the error.
    pub(crate) fn try_check(
        &self,
        mode: CheckMode,
        stop_at: Option<FindingKind>,
    ) -> (Told, Result<bool, ArchiveError>) {
        let interrupt: &'static Interrupt = Box::leak(Box::default());
        let watcher = Arc::new(Watcher {
            stop_at: stop_at.map(|kind| (kind, interrupt)),
            ..Watcher::default()
        });
        let mut client = self.machine.client();
        client.reporter = Arc::clone(&watcher) as Arc<dyn Reporter>;
        client.interrupt = interrupt;
        let repository = self.machine.open_repository(LockMode::Exclusive);
        let options = CheckOptions {
            mode,
            ..self.options.clone()
        };
        let result = check(client, Box::new(repository), &options);
        let told = std::mem::take(&mut *watcher.told.lock().unwrap());
        (told, result)
    }

    /// Looks and plans, which changes nothing and finds the same; then does `mode`.
    pub(crate) fn check(&self, mode: CheckMode) -> Told {
        let before = self.files();
        let (looked, sound) = self.try_check(CheckMode::Look, None);
        let sound = sound.unwrap();
        assert!(looked.changes.is_empty(), "{:?}", looked.changes);
        let (planned, result) = self.try_check(CheckMode::Plan, None);
        assert_eq!(result.unwrap(), sound);
        assert_eq!(planned.findings, looked.findings);
        assert!(before == self.files(), "something was changed");
        match mode {
            CheckMode::Look => looked,
            CheckMode::Plan => planned,
            CheckMode::Repair => {
                let (done, result) = self.try_check(mode, None);
                assert!(result.unwrap());
                let kinds = |told: &Told| -> Vec<_> {
                    let findings = told.findings.iter();
                    findings
                        .map(|found| (found.kind, found.level, found.place.clone()))
                        .collect()
                };
                assert_eq!(kinds(&done), kinds(&looked));
                assert_eq!(done.changes, planned.changes, "not what was planned");
                done
            }
        }
    }

    /// A check that finds nothing.
    pub(crate) fn assert_sound(&self) {
        let (told, sound) = self.try_check(CheckMode::Look, None);
        assert!(sound.unwrap(), "{:?}", told.messages());
    }

    /// Every file of the repository and of what the client keeps of it but caches.
    pub(crate) fn files(&self) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.machine.repository, &mut files);
        collect(&self.machine.home.config(), &mut files);
        files.retain(|path, _| {
            !path
                .components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with("lock"))
        });
        files
    }

    /// Takes objects away.
    pub(crate) fn lose(&self, ids: &[ChunkId]) {
        let mut session = self.machine.exclusive();
        for id in ids {
            session.repository.delete(id).unwrap();
        }
        session.repository.commit().unwrap();
    }

    /// Stores content.
    pub(crate) fn put(&self, content: &[u8]) -> ChunkEntry {
        let mut session = self.machine.exclusive();
        let entry = ArchiveWriter::new(&mut session).put(content);
        session.repository.commit().unwrap();
        entry
    }

    pub(crate) fn archive_id(&self, name: &str) -> Option<ArchiveId> {
        let session = self.machine.session();
        session
            .manifest
            .archives
            .get(name.as_bytes())
            .map(|entry| entry.id)
    }

    /// The chunks of an archive's item stream.
    pub(crate) fn stream(&self, name: &str) -> Vec<ChunkId> {
        let session = self.machine.session();
        session
            .load_archive(name.as_bytes())
            .unwrap()
            .metadata
            .items
    }

    pub(crate) fn items(&self, name: &str) -> Vec<Item> {
        let session = self.machine.session();
        let archive = session.load_archive(name.as_bytes()).unwrap();
        let mut items = Vec::new();
        with_items::<_, ArchiveError>(&session, &archive, PartFiles::Consider, |reader| {
            loop {
                let mut item = Item::default();
                if !reader.next_into(&mut item)? {
                    return Ok(());
                }
                items.push(item);
            }
        })
        .unwrap();
        items
    }

    pub(crate) fn paths(&self, name: &str) -> Vec<String> {
        let items = self.items(name).into_iter();
        items.map(|item| item.path.to_string()).collect()
    }

    /// The plaintext of an object; `None` if it is not there.
    pub(crate) fn plaintext(&self, id: &ChunkId) -> Option<Vec<u8>> {
        let session = self.machine.session();
        let mut plaintext = Vec::new();
        let read = ObjectSource::of(&session).reader().read(id, &mut plaintext);
        read.ok().map(|_| plaintext)
    }

    pub(crate) fn object_count(&self) -> usize {
        self.machine.session().repository.len().unwrap()
    }
}

/// Writes the manifest and commits.
pub(crate) fn commit(session: &mut Session) {
    let compression = ironborg_object::Compression::default();
    let mut sealer = ironborg_object::Sealer::new(compression);
    session.write_manifest(&mut sealer).unwrap();
    session.repository.commit().unwrap();
}

fn collect(dir: &Path, files: &mut BTreeMap<std::path::PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}
