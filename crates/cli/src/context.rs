//! What a running command has at hand, and how it opens a repository.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ironborg_archive::items::PartFiles;
use ironborg_archive::selection::{ArchiveSelection, ListedArchive, select};
use ironborg_archive::{ArchiveError, Client, ClientDirectories, Identity, Session, Workarounds};
use ironborg_bucket::{BucketUrl, Traffic};
use ironborg_cache::CacheError;
use ironborg_crypto::{KeyMode, RelatedSecrets};
use ironborg_format::Operation;
use ironborg_jobs::report::Figures;
use ironborg_repository::{
    CreateOptions, LocalRepository, LockMode, LockOptions, LockOwner, OpenOptions, Repository,
    RepositoryError, process_identity,
};
use ironborg_types::{ErrorKind, Level, MemoryLimit, Reporter, RepositoryId, text};

use crate::args::filters::ArchiveFilter;
use crate::args::global::CommonArgs;
use crate::console::Stdout;
use crate::daemon::Background;
use crate::directories::Directories;
use crate::environment::{Environment, PassphraseVariables};
use crate::error::{Cause, CliError};
use crate::identity::HostIdentity;
use crate::kept::Kept;
use crate::location::{Location, Protocol};
use crate::output::json::{self, Json};
use crate::output::size::SizeUnits;
use crate::passphrase::ConsolePassphrases;
use crate::program::Program;
use crate::questions::ConsoleQuestioner;
use crate::reporter::ConsoleReporter;
use crate::signals::{self, last_will};
use crate::{stored_passphrase, subprocess};

/// What a running command has at hand.
pub(crate) struct Context {
    /// The program as called.
    pub(crate) program: Program,
    /// All words of the command line, the program's name first.
    pub(crate) command_line: Vec<OsString>,
    /// The variables.
    pub(crate) environment: Environment,
    /// The directories.
    pub(crate) directories: Directories,
    /// Names of host and user.
    pub(crate) identity: Arc<HostIdentity>,
    /// The current directory.
    pub(crate) cwd: Vec<u8>,
    /// Options every command has.
    pub(crate) common: CommonArgs,
    /// Whether the command takes so long that a lost connection is worth restoring.
    pub(crate) takes_long: bool,
    /// Where events go.
    pub(crate) reporter: Arc<ConsoleReporter>,
    /// The way to the background, if that is where the command is going.
    pub(crate) background: Background,
    /// What the command has done, for the records of a run.
    pub(crate) figures: Mutex<Figures>,
    /// What has been asked of object stores.
    pub(crate) traffic: Arc<Mutex<Vec<Traffic>>>,
    /// The repository that the commands of a run have in common.
    pub(crate) kept: Option<Arc<Kept>>,
}

/// What a command does with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads: others may read meanwhile.
    Read,
    /// Writes: nobody else may have it open.
    Write,
    /// Looks at what is replaced whole only, whoever works with the repository meanwhile.
    Unlocked,
}

impl Context {
    /// Logs a message of the command itself.
    pub(crate) fn log(&self, level: Level, message: impl AsRef<str>) {
        self.reporter.log(level, message.as_ref());
    }

    /// Notes what the command has done.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Figures)) {
        note(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The current directory.
    pub(crate) fn cwd_as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.cwd)
    }

    /// Units of sizes.
    pub(crate) fn units(&self) -> SizeUnits {
        self.reporter.units()
    }

    /// The canonical form of a location: local paths are absolute.
    pub(crate) fn canonical(&self, location: &Location) -> String {
        let absolute = location.clone().absolute(&self.cwd);
        text::display(&absolute.canonical()).into_owned()
    }

    /// The path of a local repository.
    ///
    /// # Errors
    /// For one on another host.
    pub(crate) fn local_path(&self, location: &Location) -> Result<PathBuf, CliError> {
        if location.protocol != Protocol::File {
            let shown = self.canonical(location);
            return Err(CliError::generic(format!(
                "This works on the files of a repository, it has to be local: {shown}"
            )));
        }
        let absolute = location.clone().absolute(&self.cwd);
        Ok(PathBuf::from(OsString::from_vec(absolute.path)))
    }

    /// Who works, on which repository, with the passphrases of the environment.
    pub(crate) fn client(&self, location: &Location) -> Client {
        self.client_with(location, self.environment.passphrases.clone())
    }

    /// As [`Context::client`], with the passphrase stored for the repository where none is given.
    pub(crate) fn client_of(&self, location: &Location, id: RepositoryId) -> Client {
        let mut passphrases = self.environment.passphrases.clone();
        if !passphrases.is_given() {
            passphrases.passphrase = stored_passphrase::load(&self.config(), id);
        }
        self.client_with(location, passphrases)
    }

    /// The configuration directory, absolute.
    pub(crate) fn config(&self) -> PathBuf {
        self.absolute(&self.directories.config)
    }

    /// Who works, on which repository, with other passphrases.
    pub(crate) fn client_with(
        &self,
        location: &Location,
        passphrases: PassphraseVariables,
    ) -> Client {
        let questioner = ConsoleQuestioner {
            json: self.reporter.json(),
        };
        let reporter: Arc<dyn Reporter> = self.reporter.clone();
        Client {
            directories: ClientDirectories {
                keys: self.directories.keys_in(&self.cwd),
                security: self.absolute(&self.directories.security),
                cache: self.absolute(&self.directories.cache),
                key_file: self.directories.key_file.clone(),
            },
            reporter: reporter.clone(),
            questioner: Arc::new(questioner),
            passphrases: Arc::new(ConsolePassphrases::new(passphrases, questioner, reporter)),
            interrupt: &signals::INTERRUPT,
            unlocked: self.kept.as_ref().map(|kept| Arc::clone(&kept.unlocked)),
            workarounds: Workarounds {
                authenticated_no_key: self.environment.workaround("authenticated_no_key"),
                ignore_invalid_archive_tam: self
                    .environment
                    .workaround("ignore_invalid_archive_tam"),
            },
            identity: Identity {
                hostname: self.identity.hostname(),
                username: self.identity.archive_user(),
                command_line: self
                    .command_line
                    .iter()
                    .map(|word| word.as_bytes().to_vec())
                    .collect(),
                cwd: self.cwd.clone(),
            },
            lock: LockOptions {
                exclusive: false,
                wait: Some(self.lock_wait()),
                owner: self.lock_owner(),
            },
            subprocess_environment: subprocess::environment(),
            threads: self.threads(),
            location: self.canonical(location),
            memory: self.memory(),
            key_file_stem: location.key_file_stem(),
        }
    }

    /// The same for a repository with settings of its own. What is not set is not there, whatever the command line and
    /// the environment of this process say.
    pub(crate) fn for_another_repository(
        &self,
        rsh: Option<OsString>,
        remote_path: Option<OsString>,
        passphrases: PassphraseVariables,
    ) -> Self {
        let environment = Environment {
            rsh: None,
            remote_path: None,
            passphrases,
            ..self.environment.clone()
        };
        let mut common = self.common.clone();
        common.rsh = rsh;
        common.remote_path = remote_path;
        Self {
            program: self.program.clone(),
            command_line: self.command_line.clone(),
            environment,
            directories: self.directories.clone(),
            identity: Arc::clone(&self.identity),
            cwd: self.cwd.clone(),
            common,
            takes_long: self.takes_long,
            background: Background::default(),
            reporter: Arc::clone(&self.reporter),
            figures: Mutex::default(),
            traffic: Arc::clone(&self.traffic),
            kept: None,
        }
    }

    /// The same for one of the commands of a run: with its options and words, telling its own reporter what happens, and
    /// the repository in common with the others.
    pub(crate) fn for_step(
        &self,
        common: CommonArgs,
        words: Vec<OsString>,
        reporter: Arc<ConsoleReporter>,
        kept: Arc<Kept>,
    ) -> Self {
        let program = self.command_line.first().cloned();
        Self {
            program: self.program.clone(),
            command_line: program.into_iter().chain(words).collect(),
            environment: self.environment.clone(),
            directories: self.directories.clone(),
            identity: Arc::clone(&self.identity),
            cwd: self.cwd.clone(),
            common,
            // The connection serves them all.
            takes_long: true,
            background: Background::default(),
            reporter,
            figures: Mutex::default(),
            traffic: Arc::clone(&self.traffic),
            kept: Some(kept),
        }
    }

    /// A path of the user's, absolute.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.cwd.clone())).join(path)
    }

    /// Refuses variables that are set but name no directory, rather than working in the current one. (Key files
    /// are looked for by those who need them.)
    pub(crate) fn refuse_nameless_directories(&self) -> Result<(), CliError> {
        let is_empty = |path: &Path| path.as_os_str().is_empty();
        let has_own_security = self.environment.directories.security.is_some();
        let no_config = is_empty(&self.directories.config) && !has_own_security;
        if no_config || is_empty(&self.directories.cache) {
            return Err(CliError::generic("[Errno 2] No such file or directory: ''"));
        }
        Ok(())
    }

    /// How many threads do the work.
    pub(crate) fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.common.threads.unwrap_or_else(cores)
    }

    /// How much memory may be taken.
    pub(crate) fn memory(&self) -> MemoryLimit {
        self.common.memory()
    }

    pub(crate) fn lock_wait(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.common.lock_wait).unwrap_or(0))
    }

    /// Who holds the locks of this process.
    pub(crate) fn lock_owner(&self) -> LockOwner {
        process_identity(text::display(self.identity.host_id()).into_owned())
    }

    /// How a repository is opened.
    pub(crate) fn open_options(&self, access: Access) -> OpenOptions {
        let reporter = self.repository_reporter();
        OpenOptions {
            lock: match access {
                _ if self.common.bypass_lock => LockMode::None,
                Access::Read => LockMode::Shared,
                Access::Write => LockMode::Exclusive,
                Access::Unlocked => LockMode::None,
            },
            lock_wait: Some(self.lock_wait()),
            owner: self.lock_owner(),
            append_only: false,
            storage_quota: None,
            reporter,
        }
    }

    /// Who is told what happens in a repository.
    pub(crate) fn repository_reporter(&self) -> Arc<dyn Reporter> {
        match &self.kept {
            Some(kept) => kept.reporter(),
            None => self.reporter.clone(),
        }
    }

    /// Opens the repository of a location.
    pub(crate) fn open_repository(
        &self,
        location: &Location,
        access: Access,
    ) -> Result<Box<dyn Repository>, CliError> {
        match &self.kept {
            Some(kept) if access != Access::Unlocked && !self.common.bypass_lock => {
                kept.lend(self, location)
            }
            _ => self.open_anew(location, access),
        }
    }

    /// The same, though it may be at hand.
    pub(crate) fn open_anew(
        &self,
        location: &Location,
        access: Access,
    ) -> Result<Box<dyn Repository>, CliError> {
        match &location.protocol {
            Protocol::Ssh { .. } => Ok(Box::new(self.open_remote(location, access)?)),
            Protocol::Bucket(url) => self.open_bucket(url, access),
            Protocol::File => Ok(Box::new(self.open_local(location, access)?)),
        }
    }

    /// Opens a repository whose files are needed themselves.
    pub(crate) fn open_local(
        &self,
        location: &Location,
        access: Access,
    ) -> Result<LocalRepository, CliError> {
        let options = self.open_options(access);
        if let Protocol::Bucket(url) = &location.protocol {
            return self.open_bucket_files(url, options);
        }
        let path = self.local_path(location)?;
        let fence = last_will::fence(&path, &options.owner);
        Ok(LocalRepository::open_fenced(&path, options, fence)?)
    }

    /// A repository that was made by a run that was killed before it was of any use. Who types a command is told that
    /// there is a repository, and sees for himself.
    pub(crate) fn unfinished_repository(
        &self,
        location: &Location,
    ) -> Result<Option<Box<dyn Repository>>, CliError> {
        if self.kept.is_none() {
            return Ok(None);
        }
        let repository = match self.open_repository(location, Access::Write) {
            Ok(repository) => repository,
            Err(error) if error.is_no_repository() => return Ok(None),
            Err(error) => return Err(error),
        };
        let client = self.client(location);
        Ok(Session::is_unfinished(&client, repository.as_ref())?.then_some(repository))
    }

    /// Makes a repository, without key and manifest.
    pub(crate) fn create_repository(
        &self,
        location: &Location,
        create: &CreateOptions,
    ) -> Result<Box<dyn Repository>, CliError> {
        if location.is_remote() {
            return Ok(Box::new(self.create_remote(location, create)?));
        }
        let options = self.open_options(Access::Write);
        if let Protocol::Bucket(url) = &location.protocol {
            return Ok(Box::new(self.create_bucket(url, create, options)?));
        }
        let path = self.local_path(location)?;
        Ok(Box::new(LocalRepository::create(&path, create, options)?))
    }

    /// Opens the repository of a location with its key and manifest.
    pub(crate) fn open_session(
        &self,
        location: &Location,
        access: Access,
        operations: &[Operation],
    ) -> Result<Session, CliError> {
        let opened = self.open_session_and(location, access, operations, |_, _| ());
        opened.map(|(session, ())| session)
    }

    /// The same, and what `begin` begins when the repository is open, before key and manifest are.
    pub(crate) fn open_session_and<T>(
        &self,
        location: &Location,
        access: Access,
        operations: &[Operation],
        begin: impl FnOnce(&Client, RepositoryId) -> T,
    ) -> Result<(Session, T), CliError> {
        let repository = self.open_repository(location, access)?;
        self.refuse_nameless_directories()?;
        let client = self.client_of(location, repository.id());
        let begun = begin(&client, repository.id());
        Ok((Session::open(client, repository, operations)?, begun))
    }
}

impl From<RepositoryError> for CliError {
    fn from(error: RepositoryError) -> Self {
        match &error {
            RepositoryError::Foreign(error) => Self::foreign(error),
            _ => from_kind(error.kind(), &error),
        }
    }
}

/// Whether a message ends with the name of an object on a store: stock Borg has no words for what can happen there.
fn is_about_object(message: &str) -> bool {
    let quoted = message.rsplit_once(": '").map(|(_, quoted)| quoted);
    let path = quoted.and_then(|quoted| quoted.strip_suffix('\''));
    path.is_some_and(|path| BucketUrl::parse(path).is_some())
}

impl From<ArchiveError> for CliError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Repository(error)
            | ArchiveError::Cache(CacheError::Repository(error)) => error.into(),
            error => from_kind(error.kind(), &error),
        }
    }
}

/// An error of a lower crate, with the errors that caused it as its detail.
fn from_kind(kind: ErrorKind, error: &dyn std::error::Error) -> CliError {
    let mut detail = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        if !detail.ends_with(&line) {
            if !detail.is_empty() {
                detail.push('\n');
            }
            detail.push_str(&line);
        }
        cause = error.source();
    }
    let message = error.to_string();
    if kind == ErrorKind::Exception && is_about_object(&message) {
        return CliError::generic(message);
    }
    if kind == ErrorKind::Exception {
        // Stock Borg has no class for it and says no more than this; the story is the detail.
        let detail = if detail.is_empty() {
            message
        } else {
            format!("{message}\n{detail}")
        };
        return CliError::unexpected(detail);
    }
    CliError {
        cause: Cause::Kind(kind),
        message,
        detail,
    }
}

impl Context {
    /// Whether parts of files count as files.
    pub(crate) fn part_files(&self) -> PartFiles {
        if self.common.consider_part_files {
            PartFiles::Consider
        } else {
            PartFiles::Skip
        }
    }

    /// Gives a repository that was just created its key and its manifest.
    ///
    /// # Errors
    /// Where that fails the repository is removed again: it would only be in the way of the next attempt.
    pub(crate) fn initialise(
        &self,
        repository: Box<dyn Repository>,
        location: &Location,
        client: Client,
        mode: KeyMode,
        related: Option<&RelatedSecrets>,
    ) -> Result<Session, CliError> {
        Session::init(client, repository, mode, related).map_err(|error| {
            let repository = self.open_repository(location, Access::Write);
            let destroyed = repository.and_then(|mut repository| Ok(repository.destroy()?));
            if let Err(second) = destroyed {
                let text = format!("The unfinished repository stays behind: {}", second.message);
                self.log(Level::Warning, text);
            }
            error.into()
        })
    }

    /// The archives of an open repository that a filter lets through.
    pub(crate) fn select(
        session: &Session,
        filter: &ArchiveFilter,
        checkpoints: Checkpoints,
    ) -> Result<Vec<ListedArchive>, CliError> {
        let selection = ArchiveSelection {
            glob: filter.names.glob()?,
            without_checkpoints: checkpoints == Checkpoints::Skip,
            ages: filter.ages,
            sort_by: filter.sort_by.0.clone(),
            first: filter.first.unwrap_or(0),
            last: filter.last.unwrap_or(0),
        };
        Ok(select(&session.manifest, &selection)?)
    }

    /// Prints a JSON document.
    pub(crate) fn print_json(&self, members: Vec<(&'static str, Json)>) -> Result<(), CliError> {
        let mut stdout = Stdout::new();
        stdout.text(&json::document(
            &Json::Object(members),
            &self.environment.json_indent(),
        ))?;
        stdout.text("\n")?;
        stdout.finish()
    }
}

/// Whether checkpoint archives count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checkpoints {
    /// They are archives like others.
    Consider,
    /// They are left out.
    Skip,
}
