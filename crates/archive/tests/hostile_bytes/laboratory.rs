//! The repository that is damaged, the machine that knows it, and what it answers while it is whole.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ironborg_archive::create::{
    CheckpointPolicy, CreateOptions, FilesChanged, Input, Metadata, PipedFile, Selection, create,
};
use ironborg_archive::{
    ArchiveError, Client, ClientDirectories, Identity, PassphraseError, PassphraseSource, Session,
    Workarounds,
};
use ironborg_cache::FilesCacheMode;
use ironborg_chunker::ChunkerParams;
use ironborg_crypto::{KeyMode, KeyStorage, Passphrase};
use ironborg_object::Compression;
use ironborg_repository::{
    CreateOptions as RepositoryOptions, LocalRepository, LockMode, LockOptions, OpenOptions,
    process_identity,
};
use ironborg_source::PatternMatcher;
use ironborg_storage::MemoryStorage;
use ironborg_testkit::{Random, weak_key};
use ironborg_types::{
    Answer, BytePath, Event, Interrupt, Level, Question, Questioner, Reporter, Timestamp,
};
use tempfile::TempDir;

use crate::reading::{Reading, Thorough};

static NEVER: Interrupt = Interrupt::new();
const PASSPHRASE: &[u8] = b"test";
/// The archives a repository has, with what they are packed by.
const ARCHIVES: [(&str, i64, Compression); 2] = [
    ("first", 1_700_000_000, Compression::Lz4),
    ("second", 1_700_100_000, Compression::Zstd(3)),
];

struct Fixed;

/// Answers every question in one way.
struct Says(Answer);

impl Questioner for Says {
    fn ask(&self, _: &Question<'_>) -> Answer {
        self.0
    }
}

impl PassphraseSource for Fixed {
    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        Ok(Some(Passphrase::new(PASSPHRASE)))
    }

    fn ask(&self, _: &str) -> Result<Passphrase, PassphraseError> {
        unreachable!("one is given")
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new(PASSPHRASE))
    }
}

/// Keeps warnings and errors.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Vec<String>>);

impl Reporter for Lines {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::Log { level, message, .. } if level >= Level::Warning => {
                self.0.lock().unwrap().push(message.into_owned());
            }
            Event::Warning { message, .. } => self.0.lock().unwrap().push(message.into_owned()),
            _ => {}
        }
    }
}

/// A machine and a healthy repository.
pub(crate) struct Laboratory {
    dir: TempDir,
    pub(crate) mode: KeyMode,
    /// The repository as it is when nothing is wrong with it.
    pub(crate) healthy: MemoryStorage,
    /// What the client keeps of it: security directory and key files, as they were then.
    pub(crate) records: BTreeMap<PathBuf, Vec<u8>>,
    /// The caches it had then.
    pub(crate) caches: BTreeMap<PathBuf, Vec<u8>>,
    /// What it answers.
    pub(crate) answers: Reading,
    pub(crate) lines: Arc<Lines>,
    /// Whether the user says yes to every question.
    carefree: Cell<bool>,
}

impl Laboratory {
    /// A repository of the mode with two archives, small enough to damage every bit of it.
    pub(crate) fn new(mode: KeyMode) -> Self {
        // In memory where there is such a place: every trial writes a few records, durably.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let mut laboratory = Self {
            dir: dir.unwrap(),
            mode,
            healthy: MemoryStorage::new(),
            records: BTreeMap::new(),
            caches: BTreeMap::new(),
            answers: Reading::default(),
            lines: Arc::default(),
            carefree: Cell::new(false),
        };
        laboratory.make_tree();
        laboratory.init();
        let tree = laboratory.tree();
        for (name, time, compression) in ARCHIVES {
            if name == "second" {
                fs::write(tree.join("later"), Random::new(9).bytes(700)).unwrap();
            }
            let mut session = laboratory
                .open(&laboratory.healthy, LockMode::Exclusive)
                .unwrap();
            let options = create_options(name, time, compression, &tree);
            create(&mut session, &options).unwrap();
        }
        laboratory.answers = Reading::of(&laboratory, &laboratory.healthy, Thorough::All);
        laboratory.records = laboratory.found_records();
        laboratory.caches = laboratory.found_caches();
        laboratory.start_anew();
        laboratory.answers = Reading::of(&laboratory, &laboratory.healthy, Thorough::All);
        assert!(laboratory.answers.is_whole(), "{:?}", laboratory.answers);
        laboratory.start_anew();
        laboratory
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What archives are made of.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path("tree")
    }

    fn make_tree(&self) {
        let tree = self.tree();
        fs::create_dir_all(tree.join("dir")).unwrap();
        fs::write(tree.join("dir/noise"), Random::new(7).bytes(900)).unwrap();
        fs::write(tree.join("text"), "to be or not to be\n".repeat(60)).unwrap();
        fs::write(tree.join("empty"), []).unwrap();
        std::os::unix::fs::symlink("text", tree.join("link")).unwrap();
        fs::hard_link(tree.join("text"), tree.join("twin")).unwrap();
    }

    fn init(&mut self) {
        let create = RepositoryOptions {
            append_only: false,
            storage_quota: None,
            make_parent_dirs: false,
        };
        let options = self.open_options(LockMode::Exclusive);
        let storage = Arc::new(self.healthy.clone());
        let repository = LocalRepository::create_in(storage, &create, options).unwrap();
        let mut session =
            Session::init(self.client(), Box::new(repository), self.mode, None).unwrap();
        match self.mode.storage() {
            KeyStorage::Repository => {
                let text = session.repository.load_key().unwrap();
                let text = weak_key(&String::from_utf8(text).unwrap(), PASSPHRASE);
                session.repository.save_key(text.as_bytes()).unwrap();
            }
            KeyStorage::Keyfile => {
                let path = fs::read_dir(self.path("keys")).unwrap().next();
                let path = path.expect("a key file").unwrap().path();
                let content = fs::read_to_string(&path).unwrap();
                let (first, text) = content.split_once('\n').unwrap();
                fs::write(path, format!("{first}\n{}\n", weak_key(text, PASSPHRASE))).unwrap();
            }
            KeyStorage::None => {}
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client {
            directories: ClientDirectories {
                keys: self.path("keys"),
                security: self.path("security"),
                cache: self.path("cache"),
                key_file: None,
            },
            reporter: Arc::clone(&self.lines) as Arc<dyn Reporter>,
            questioner: Arc::new(Says(if self.carefree.get() {
                Answer::Yes
            } else {
                Answer::No
            })),
            passphrases: Arc::new(Fixed),
            interrupt: &NEVER,
            unlocked: None,
            workarounds: Workarounds::default(),
            identity: Identity {
                cwd: b"/".to_vec(),
                ..Identity::default()
            },
            threads: 1,
            location: "/memory".into(),
            lock: LockOptions {
                exclusive: true,
                wait: Some(Duration::ZERO),
                owner: process_identity("test@1"),
            },
            subprocess_environment: Vec::new(),
            memory: ironborg_types::MemoryLimit::NONE,
            key_file_stem: "memory".into(),
        }
    }

    pub(crate) fn open_options(&self, lock: LockMode) -> OpenOptions {
        OpenOptions {
            lock,
            lock_wait: Some(Duration::ZERO),
            owner: process_identity("test@1"),
            append_only: false,
            storage_quota: None,
            reporter: Arc::clone(&self.lines) as Arc<dyn Reporter>,
        }
    }

    pub(crate) fn repository(
        &self,
        storage: &MemoryStorage,
        lock: LockMode,
    ) -> Result<LocalRepository, ArchiveError> {
        let storage = Arc::new(storage.clone());
        Ok(LocalRepository::open_in(storage, self.open_options(lock))?)
    }

    pub(crate) fn open(
        &self,
        storage: &MemoryStorage,
        lock: LockMode,
    ) -> Result<Session, ArchiveError> {
        let repository = self.repository(storage, lock)?;
        Session::open(self.client(), Box::new(repository), &[])
    }

    /// The client's records as they were while all was well, and no caches.
    pub(crate) fn start_anew(&self) {
        self.carefree.set(false);
        self.forget();
        for (path, content) in &self.records {
            fs::create_dir_all(path.parent().expect("files of a directory")).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    /// As [`Self::start_anew`], with the caches.
    pub(crate) fn start_with_caches(&self) {
        self.start_anew();
        for (path, content) in &self.caches {
            fs::create_dir_all(path.parent().expect("files of a directory")).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    /// Neither caches nor security records: a machine that has the key and nothing else, and a user who says yes.
    pub(crate) fn be_a_stranger(&self) {
        self.start_anew();
        self.carefree.set(true);
        remove_dir(&self.path("security"));
    }

    fn forget(&self) {
        for name in ["security", "cache", "keys"] {
            remove_dir(&self.path(name));
        }
    }

    /// Files of the client's that are no caches.
    fn found_records(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect_files(&self.path("security"), &mut found);
        collect_files(&self.path("keys"), &mut found);
        found
    }

    /// Files of the client's that are caches.
    fn found_caches(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect_files(&self.path("cache"), &mut found);
        found
    }
}

fn remove_dir(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

fn collect_files(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(names) = fs::read_dir(dir) else { return };
    for name in names {
        let path = name.unwrap().path();
        if path.is_dir() {
            collect_files(&path, found);
        } else {
            let content = fs::read(&path).unwrap();
            found.insert(path, content);
        }
    }
}

/// Options that make an archive of a tree.
pub(crate) fn create_options(
    name: &str,
    time_s: i64,
    compression: Compression,
    tree: &Path,
) -> CreateOptions {
    CreateOptions {
        name: name.into(),
        comment: Vec::new(),
        timestamp: Some(Timestamp(time_s * 1_000_000)),
        input: Input::Roots(vec![BytePath::new(tree.as_os_str().as_encoded_bytes())]),
        piped: PipedFile {
            name: "stdin".into(),
            user: b"root".to_vec(),
            group: b"root".to_vec(),
            mode: 0o660,
        },
        selection: Selection {
            matcher: PatternMatcher::new([], true),
            exclude_caches: false,
            exclude_if_present: Vec::new(),
            keep_exclude_tags: false,
            exclude_nodump: false,
            one_file_system: false,
            read_special: false,
            never: Vec::new(),
        },
        metadata: Metadata::default(),
        files_changed: FilesChanged::Ctime,
        files_cache: FilesCacheMode::DEFAULT,
        files_cache_suffix: String::new(),
        files_cache_ttl: 20,
        chunker: ChunkerParams::Buzhash {
            min_exp: 10,
            max_exp: 16,
            mask_bits: 12,
            window: 4095,
        },
        sparse: false,
        compression,
        checkpoints: CheckpointPolicy {
            interval: Duration::ZERO,
            volume: 0,
        },
    }
}
