//! What an operation knows about the machine and person it runs for. The command line fills it in;
//! nothing below reads the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironborg_cache::{SecurityDirectory, StockCache, directory_name};
use ironborg_crypto::Passphrase;
use ironborg_repository::LockOptions;
use ironborg_storage::{LocalStorage, Storage};
use ironborg_types::{
    ErrorKind, Event, Interrupt, Level, MemoryLimit, Questioner, Reporter, RepositoryId,
};

use crate::unlocked::UnlockedKey;

/// Why there is no passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassphraseError {
    /// Borg's kind: `NoPassphraseFailure`, `PasscommandFailure`, `PasswordRetriesExceeded`.
    pub kind: ErrorKind,
    /// The whole message.
    pub message: String,
}

/// Where passphrases come from; the order of sources is the implementer's business.
pub trait PassphraseSource: Send + Sync {
    /// The passphrase given by environment variables, a command or a file descriptor, if any.
    fn given(&self) -> Result<Option<Passphrase>, PassphraseError>;

    /// What [`Self::given`] would return, if that is known without running or reading anything.
    fn at_hand(&self) -> Option<Passphrase> {
        None
    }

    /// Asks for the passphrase of an existing key.
    fn ask(&self, prompt: &str) -> Result<Passphrase, PassphraseError>;

    /// The passphrase for a new key: given, or asked for twice.
    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError>;
}

/// Directories on the client; docs/compat.md tells how they are found.
#[derive(Debug, Clone)]
pub struct ClientDirectories {
    /// Key files: `CONFIG/keys`.
    pub keys: PathBuf,
    /// Security records: `CONFIG/security`; each repository has a directory below it.
    pub security: PathBuf,
    /// `CACHE`: stock Borg's caches lie directly below, ours below `ironborg/`.
    pub cache: PathBuf,
    /// `BORG_KEY_FILE`, made absolute.
    pub key_file: Option<PathBuf>,
}

/// Switches for reading repositories that would otherwise be refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Workarounds {
    /// Read authenticated-mode repositories without their key: nothing is verified.
    pub authenticated_no_key: bool,
    /// An archive whose authentication fails counts as not authenticated.
    pub ignore_invalid_archive_tam: bool,
}

/// Who is recorded as the maker of an archive.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Host name as stored.
    pub hostname: Vec<u8>,
    /// User name as stored.
    pub username: Vec<u8>,
    /// The command line as stored, program name first.
    pub command_line: Vec<Vec<u8>>,
    /// Current directory as stored.
    pub cwd: Vec<u8>,
}

/// The machine, the person and the process an operation works for.
#[derive(Clone)]
pub struct Client {
    /// Where state is kept.
    pub directories: ClientDirectories,
    /// Receives every event.
    pub reporter: Arc<dyn Reporter>,
    /// Answers questions.
    pub questioner: Arc<dyn Questioner>,
    /// Gives passphrases.
    pub passphrases: Arc<dyn PassphraseSource>,
    /// What signals ask for.
    pub interrupt: &'static Interrupt,
    /// What was unlocked before, where one process opens the same repository several times.
    pub unlocked: Option<Arc<UnlockedKey>>,
    /// Reading what would be refused.
    pub workarounds: Workarounds,
    /// Recorded in archives.
    pub identity: Identity,
    /// Worker threads for hashing, compressing and decoding; at least 1.
    pub threads: usize,
    /// How much memory the operation may take.
    pub memory: MemoryLimit,
    /// Canonical form of the repository's location, for the security record and for messages.
    pub location: String,
    /// How the client's own locks (that of stock Borg's cache) are taken.
    pub lock: LockOptions,
    /// Changes to the environment of commands that are run: a value to set, or `None` to remove.
    pub subprocess_environment: Vec<(OsString, Option<OsString>)>,
    /// Stem for the name of a new key file: the location with every non-word character replaced.
    pub key_file_stem: String,
}

impl Client {
    /// The client's own caches of a repository: a directory stock Borg never looks into.
    pub fn own_cache(&self, repository: RepositoryId) -> Arc<dyn Storage> {
        Arc::new(LocalStorage::new(
            self.directories.cache.join(directory_name(&repository)),
        ))
    }

    /// The cache stock Borg has of a repository on this machine, if it ever worked on it.
    pub fn stock_cache(&self, repository: RepositoryId) -> StockCache {
        StockCache {
            storage: directory_of(&self.directories.cache, repository),
            lock: self.lock.clone(),
        }
    }

    /// The security record of a repository.
    pub fn security_directory(&self, repository: RepositoryId) -> SecurityDirectory {
        SecurityDirectory::new(
            directory_of(&self.directories.security, repository),
            Some(self.stock_cache(repository)),
            Arc::clone(&self.reporter),
        )
    }

    /// Reports a log message.
    pub fn log(&self, level: Level, logger: &'static str, message: impl Into<String>) {
        self.reporter
            .report(Event::log(level, logger, message.into()));
    }

    /// Reports a warning that counts for the exit code.
    pub fn warn(&self, kind: ErrorKind, message: impl Into<String>) {
        self.reporter.report(Event::Warning {
            kind,
            message: message.into().into(),
        });
    }
}

/// The directory of a repository below `base`, as stock Borg names it.
fn directory_of(base: &Path, repository: RepositoryId) -> Arc<dyn Storage> {
    Arc::new(LocalStorage::new(base.join(repository.to_string())))
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
