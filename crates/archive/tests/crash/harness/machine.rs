//! A machine that works on a repository in memory, and what it remembers of it on its own disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ironborg_archive::{
    ArchiveError, Client, ClientDirectories, Identity, PassphraseError, PassphraseSource, Session,
    Workarounds,
};
use ironborg_crypto::Passphrase;
use ironborg_repository::{
    LocalRepository, LockMode, LockOptions, LockOwner, OpenOptions, RepositoryError,
};
use ironborg_storage::Storage;
use ironborg_testkit::Random;
use ironborg_types::{Answer, Event, Interrupt, Level, Question, Questioner, Reporter};

static NEVER: Interrupt = Interrupt::new();

/// No process has this number: Linux counts to 2²² at most.
const DEAD_PID: u64 = 0x3fff_ffff;

/// A directory for homes. In memory if there is such a place: thousands of machines sync their records.
pub(crate) fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("the temporary directory is writable")
}

/// Whether there is time for everything.
pub(crate) fn is_full_run() -> bool {
    std::env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

/// What was said and asked.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    questions: Mutex<Vec<String>>,
    log: Mutex<Vec<String>>,
}

impl Notes {
    pub(crate) fn questions(&self) -> Vec<String> {
        self.questions.lock().expect("not poisoned").clone()
    }

    /// Messages from warnings on.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("not poisoned").clone()
    }
}

impl Reporter for Notes {
    fn report(&self, event: Event<'_>) {
        let message = match event {
            Event::Log { level, message, .. } if level >= Level::Warning => message,
            Event::Warning { message, .. } => message,
            _ => return,
        };
        let mut log = self.log.lock().expect("not poisoned");
        log.push(message.into_owned());
    }
}

impl Questioner for Notes {
    fn ask(&self, question: &Question<'_>) -> Answer {
        let mut questions = self.questions.lock().expect("not poisoned");
        questions.push(question.message.to_owned());
        Answer::No
    }
}

struct Known(String);

impl PassphraseSource for Known {
    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        self.new_passphrase().map(Some)
    }

    fn ask(&self, _: &str) -> Result<Passphrase, PassphraseError> {
        unreachable!("one is given")
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new(self.0.clone().into_bytes()))
    }
}

/// Somebody at work.
#[derive(Clone)]
pub(crate) struct Machine {
    /// `config/keys`, `config/security` and `cache` are below.
    pub(crate) home: PathBuf,
    pub(crate) passphrase: String,
    /// What the security record says the repository's place is.
    pub(crate) location: String,
    pub(crate) notes: Arc<Notes>,
    pub(crate) threads: usize,
    pid: u64,
}

impl Machine {
    /// A machine whose process will not live to remove its locks.
    pub(crate) fn doomed(home: PathBuf, location: &str) -> Self {
        Self {
            home,
            passphrase: "old".to_owned(),
            location: location.to_owned(),
            notes: Arc::default(),
            threads: 2,
            pid: DEAD_PID,
        }
    }

    /// The same machine with other directories, after it was switched on again.
    pub(crate) fn after_crash(&self, home: PathBuf) -> Self {
        Self {
            home,
            notes: Arc::default(),
            pid: u64::from(std::process::id()),
            ..self.clone()
        }
    }

    /// The same with other directories.
    pub(crate) fn in_home(&self, home: PathBuf) -> Self {
        Self {
            home,
            notes: Arc::default(),
            ..self.clone()
        }
    }

    pub(crate) fn with_passphrase(&self, passphrase: &str) -> Self {
        Self {
            passphrase: passphrase.to_owned(),
            ..self.clone()
        }
    }

    fn owner(&self) -> LockOwner {
        LockOwner {
            host: "test@1".to_owned(),
            pid: self.pid,
            thread: 0,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client {
            directories: ClientDirectories {
                keys: self.home.join("config/keys"),
                security: self.home.join("config/security"),
                cache: self.home.join("cache"),
                key_file: None,
            },
            reporter: Arc::clone(&self.notes) as Arc<dyn Reporter>,
            questioner: Arc::clone(&self.notes) as Arc<dyn Questioner>,
            passphrases: Arc::new(Known(self.passphrase.clone())),
            interrupt: &NEVER,
            unlocked: None,
            workarounds: Workarounds::default(),
            identity: Identity {
                cwd: b"/".to_vec(),
                ..Identity::default()
            },
            threads: self.threads,
            location: self.location.clone(),
            lock: LockOptions {
                exclusive: true,
                wait: Some(Duration::ZERO),
                owner: self.owner(),
            },
            subprocess_environment: Vec::new(),
            memory: ironborg_types::MemoryLimit::NONE,
            key_file_stem: "memory".to_owned(),
        }
    }

    pub(crate) fn open_options(&self) -> OpenOptions {
        OpenOptions {
            lock: LockMode::Exclusive,
            lock_wait: Some(Duration::ZERO),
            owner: self.owner(),
            append_only: false,
            storage_quota: None,
            reporter: Arc::clone(&self.notes) as Arc<dyn Reporter>,
        }
    }

    pub(crate) fn repository(
        &self,
        storage: Arc<dyn Storage>,
    ) -> Result<LocalRepository, RepositoryError> {
        LocalRepository::open_in(storage, self.open_options())
    }

    pub(crate) fn session(&self, storage: Arc<dyn Storage>) -> Result<Session, ArchiveError> {
        let repository = self.repository(storage)?;
        Session::open(self.client(), Box::new(repository), &[])
    }

    /// What is on the machine's own disk.
    pub(crate) fn remembered(&self) -> HomeFiles {
        HomeFiles::of(&self.home)
    }
}

/// The files of a machine's home: keys, security records, caches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HomeFiles(BTreeMap<PathBuf, Vec<u8>>);

impl HomeFiles {
    fn of(home: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(home, Path::new(""), &mut files);
        Self(files)
    }

    /// Puts them into a new directory.
    pub(crate) fn write_to(&self, home: &Path) {
        for (name, content) in &self.0 {
            let path = home.join(name);
            let dir = path.parent().expect("files are in directories");
            fs::create_dir_all(dir).expect("the scratch directory is writable");
            fs::write(path, content).expect("the scratch directory is writable");
        }
    }

    /// A state between two: each file that changed is the old or the new one, and of the caches, which are not
    /// synced, some are cut off.
    pub(crate) fn between(&self, later: &Self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let names = self.0.keys().chain(later.0.keys());
        let names: std::collections::BTreeSet<_> = names.collect();
        let mut files = BTreeMap::new();
        for name in names {
            let (old, new) = (self.0.get(name), later.0.get(name));
            let chosen = if random.below(2) == 0 { old } else { new };
            let Some(content) = chosen else { continue };
            let mut content = content.clone();
            if old != new && name.starts_with("cache") && random.below(2) == 0 {
                content.truncate(random.below(content.len() + 1));
            }
            files.insert(name.clone(), content);
        }
        Self(files)
    }

    /// What a machine has that lost everything but its keys.
    pub(crate) fn keys_only(&self) -> Self {
        let keys = self.0.iter();
        let keys = keys.filter(|(name, _)| name.starts_with("config/keys"));
        Self(keys.map(|(n, c)| (n.clone(), c.clone())).collect())
    }
}

fn collect(home: &Path, below: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(home.join(below)) else {
        return;
    };
    for entry in entries {
        let entry = entry.expect("the scratch directory is readable");
        let name = below.join(entry.file_name());
        if entry.path().is_dir() {
            collect(home, &name, files);
        } else {
            let content = fs::read(entry.path()).expect("the scratch directory is readable");
            files.insert(name, content);
        }
    }
}
