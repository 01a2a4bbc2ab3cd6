//! A machine for tests: its directories, a passphrase, and a note of everything reported.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ironborg_archive::{
    ArchiveError, Client, ClientDirectories, Identity, PassphraseError, PassphraseSource, Session,
    Workarounds,
};
use ironborg_crypto::Passphrase;
use ironborg_repository::{LocalRepository, LockMode, LockOptions, OpenOptions, process_identity};
use ironborg_testkit::{Home, Sample, Scratch, sample, sample_passphrase};
use ironborg_types::{
    Answer, ErrorKind, Event, Interrupt, Level, Question, Questioner, Reporter, text,
};

/// What was reported, kept.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Kind and message of every warning.
    pub(crate) warnings: Mutex<Vec<(ErrorKind, String)>>,
    /// Every line of lists.
    pub(crate) list: Mutex<Vec<String>>,
    /// Every log record of warning level and above.
    pub(crate) log: Mutex<Vec<String>>,
    /// Progress steps: message id, current, total, message.
    pub(crate) progress: Mutex<Vec<(String, u64, u64, String)>>,
    pub(crate) wants_progress: bool,
    /// Asks for an end when this path is listed.
    pub(crate) stop_at: Option<(&'static str, &'static Interrupt)>,
}

impl Reporter for Notes {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::Warning { kind, message } => {
                self.warnings
                    .lock()
                    .expect("not poisoned")
                    .push((kind, message.into_owned()));
            }
            Event::FileStatus { path, .. } => self.look_at(&text::display(path)),
            Event::List(line) => {
                self.look_at(&line);
                self.list
                    .lock()
                    .expect("not poisoned")
                    .push(line.into_owned());
            }
            Event::Log { level, message, .. } if level >= Level::Warning => {
                self.log
                    .lock()
                    .expect("not poisoned")
                    .push(message.into_owned());
            }
            Event::ProgressPercent {
                msgid,
                current,
                total,
                message,
                ..
            } => {
                let step = (msgid.to_owned(), current, total, message.into_owned());
                self.progress.lock().expect("not poisoned").push(step);
            }
            _ => {}
        }
    }

    fn wants_progress(&self) -> bool {
        self.wants_progress
    }

    fn wants_list(&self) -> bool {
        self.stop_at.is_some()
    }
}

impl Notes {
    /// Asks for an end if this is the line to do that at.
    fn look_at(&self, line: &str) {
        if let Some((path, interrupt)) = self.stop_at
            && line == path
        {
            interrupt.request_stop();
        }
    }
}

struct SamplePassphrase;

impl PassphraseSource for SamplePassphrase {
    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        Ok(Some(Passphrase::new(sample_passphrase())))
    }

    fn ask(&self, _: &str) -> Result<Passphrase, PassphraseError> {
        panic!("the passphrase was given")
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new(sample_passphrase()))
    }
}

struct Yes;

impl Questioner for Yes {
    fn ask(&self, _: &Question<'_>) -> Answer {
        Answer::Yes
    }
}

/// A machine with one unpacked sample repository.
pub(crate) struct Machine {
    pub(crate) scratch: Scratch,
    pub(crate) home: Home,
    pub(crate) sample: Sample,
    pub(crate) repository: PathBuf,
    pub(crate) notes: Arc<Notes>,
    pub(crate) threads: usize,
    interrupt: &'static Interrupt,
}

impl Machine {
    /// Unpacks a sample.
    pub(crate) fn with_sample(name: &str) -> Self {
        let scratch = Scratch::new();
        let home = Home::new(&scratch, "home");
        let sample = sample(name);
        let repository = sample.unpack(&scratch, &home).repository;
        // The machine that made the interrupted sample is gone, and its lock with it.
        LocalRepository::break_lock(&repository).expect("a lock can be broken");
        Self {
            scratch,
            home,
            sample,
            repository,
            notes: Arc::default(),
            threads: 2,
            interrupt: Box::leak(Box::default()),
        }
    }

    /// Has progress reported from now on, in a new note.
    pub(crate) fn with_progress(mut self) -> Self {
        self.notes = Arc::new(Notes {
            wants_progress: true,
            ..Notes::default()
        });
        self
    }

    /// Has the user ask for an end when this path is listed.
    pub(crate) fn stopping_at(mut self, path: &'static str) -> Self {
        let stop_at = Some((path, self.interrupt));
        self.notes = Arc::new(Notes {
            stop_at,
            ..Notes::default()
        });
        self
    }

    /// Forgets what the user asked for.
    pub(crate) fn going_on(mut self) -> Self {
        self.interrupt = Box::leak(Box::default());
        self
    }

    pub(crate) fn client(&self) -> Client {
        Client {
            directories: ClientDirectories {
                keys: self.home.config().join("keys"),
                security: self.home.config().join("security"),
                cache: self.home.cache(),
                key_file: None,
            },
            reporter: Arc::clone(&self.notes) as Arc<dyn Reporter>,
            questioner: Arc::new(Yes),
            passphrases: Arc::new(SamplePassphrase),
            interrupt: self.interrupt,
            unlocked: None,
            workarounds: Workarounds::default(),
            identity: Identity::default(),
            threads: self.threads,
            location: self.repository.display().to_string(),
            lock: LockOptions {
                exclusive: true,
                wait: None,
                owner: process_identity("test@1"),
            },
            subprocess_environment: Vec::new(),
            memory: ironborg_types::MemoryLimit::NONE,
            key_file_stem: "test".to_owned(),
        }
    }

    pub(crate) fn open_repository(&self, lock: LockMode) -> LocalRepository {
        let options = OpenOptions {
            lock,
            lock_wait: Some(Duration::from_secs(1)),
            owner: process_identity("test@1"),
            append_only: false,
            storage_quota: None,
            reporter: Arc::clone(&self.notes) as Arc<dyn Reporter>,
        };
        LocalRepository::open(&self.repository, options).expect("the repository opens")
    }

    /// Opens the repository for reading.
    pub(crate) fn session(&self) -> Session {
        self.try_session(LockMode::Shared)
            .expect("the session opens")
    }

    /// Opens the repository for changing it.
    pub(crate) fn exclusive(&self) -> Session {
        self.try_session(LockMode::Exclusive)
            .expect("the session opens")
    }

    fn try_session(&self, lock: LockMode) -> Result<Session, ArchiveError> {
        Session::open(self.client(), Box::new(self.open_repository(lock)), &[])
    }

    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.scratch.dir(name)
    }

    pub(crate) fn warnings(&self) -> Vec<(ErrorKind, String)> {
        self.notes.warnings.lock().expect("not poisoned").clone()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.notes.log.lock().expect("not poisoned").clone()
    }

    pub(crate) fn list(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.list.lock().expect("not poisoned"))
    }
}

/// A path as the bytes the crate takes.
pub(crate) fn bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes()
}
