//! Repositories on object stores: where their settings come from, and how they are opened.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use ironborg_bucket::{
    BucketError, BucketStorage, BucketUrl, Conditions, Connection, connect, profile,
};
use ironborg_repository::{
    CreateOptions, LocalRepository, LockMode, OpenOptions, Repository, RepositoryError,
    SnapshotRepository,
};
use ironborg_source::named_file;
use ironborg_storage::{Retention, Storage};
use ironborg_types::Level;
use sha2::{Digest, Sha256};

use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::{Location, Protocol};
use crate::output::size::format_count;

/// Where in the cache directory copies of what is in stores are kept. Stock Borg never looks there.
const COPIES: &str = "ironborg/stores";
/// Letters of a name there.
const NAME_LEN: usize = 32;
/// What names of variables begin with that say how stores are reached.
const PREFIXES: [&str; 4] = ["AWS_", "GOOGLE_", "AZURE_", "IRONBORG_STORE_"];
/// Where in the cache directory the stores are listed that keep conditions, a line each.
const PROVEN: &str = "ironborg/stores-proven";
/// Longest list: it is made anew if something is not in it.
const PROVEN_MAX: usize = 100;

impl From<BucketError> for CliError {
    fn from(error: BucketError) -> Self {
        Self::generic(error.to_string())
    }
}

impl Context {
    /// Opens a repository on an object store. Readers need no lock: they read what was committed last, whoever writes.
    pub(crate) fn open_bucket(
        &self,
        url: &BucketUrl,
        access: Access,
    ) -> Result<Box<dyn Repository>, CliError> {
        let options = self.open_options(access);
        if options.lock == LockMode::Exclusive {
            let storage = self.bucket_storage_to_write(url)?;
            return Ok(Box::new(LocalRepository::open_in(storage, options)?));
        }
        let storage = self.bucket_storage(url)?;
        if access == Access::Unlocked {
            // Locks are broken and keys replaced so, which are the objects of nobody's transaction.
            return Ok(Box::new(LocalRepository::open_in(storage, options)?));
        }
        Ok(Box::new(SnapshotRepository::open_in(&storage, &options)?))
    }

    /// Opens one whose files are needed themselves.
    pub(crate) fn open_bucket_files(
        &self,
        url: &BucketUrl,
        options: OpenOptions,
    ) -> Result<LocalRepository, CliError> {
        let storage = match options.lock {
            LockMode::Exclusive => self.bucket_storage_to_write(url)?,
            _ => self.bucket_storage(url)?,
        };
        Ok(LocalRepository::open_in(storage, options)?)
    }

    /// Makes one.
    pub(crate) fn create_bucket(
        &self,
        url: &BucketUrl,
        create: &CreateOptions,
        options: OpenOptions,
    ) -> Result<LocalRepository, CliError> {
        let storage = self.bucket_storage_to_write(url)?;
        // A repository within a repository is never meant: the outer one would take it along when it is deleted.
        for above in url.above() {
            if LocalRepository::is_repository_in(&*self.bucket_storage(&above)?) {
                let path = PathBuf::from(above.to_string());
                return Err(RepositoryError::AlreadyExists { path }.into());
            }
        }
        Ok(LocalRepository::create_in(storage, create, options)?)
    }

    /// Makes one whose segments cannot be removed for some time.
    ///
    /// # Errors
    /// It is not on S3, or Object Lock is not enabled for the bucket; then nothing is made.
    pub(crate) fn create_retained(
        &self,
        location: &Location,
        create: &CreateOptions,
        retention: Retention,
    ) -> Result<Box<dyn Repository>, CliError> {
        let Protocol::Bucket(url) = &location.protocol else {
            return Err(CliError::generic("--retain is for repositories on S3."));
        };
        let storage = self.bucket_storage(url)?;
        if let Some(conditional) = storage.conditional() {
            let able = conditional.can_retain();
            able.map_err(|error| CliError::generic(format!("--retain: {error}")))?;
            conditional
                .retain("data", retention)
                .map_err(RepositoryError::from)?;
        }
        let options = self.open_options(Access::Write);
        let mut repository = LocalRepository::create_in(storage, create, options)?;
        let mut config = repository.config().clone();
        config.set("repository", "retain", retention.to_string());
        repository.save_config(config)?;
        Ok(Box::new(repository))
    }

    /// What the command has asked of object stores, for those who wanted `--stats`.
    pub(crate) fn tell_traffic(&self) {
        let traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        for one in &*traffic {
            let figures = one.figures();
            let [received, sent] = [figures.bytes_in, figures.bytes_out]
                .map(|bytes| format_count(bytes, self.units()));
            self.reporter.stats(&format!(
                "Object store: {} requests ({} to read, {} to list, {} to write, {} to remove; {} failed), {received} received, \
                 {sent} sent",
                figures.requests(),
                figures.reads,
                figures.lists,
                figures.writes,
                figures.removals,
                figures.failed
            ));
        }
    }

    /// The files of a repository on an object store.
    pub(crate) fn bucket_storage(&self, url: &BucketUrl) -> Result<Arc<dyn Storage>, CliError> {
        Ok(self.bucket(url)?.1)
    }

    /// The same for who is going to write: the store must keep the conditions that keep two writers apart, or it must
    /// have been said that nobody minds. It is tried once from each machine.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn bucket_storage_to_write(
        &self,
        url: &BucketUrl,
    ) -> Result<Arc<dyn Storage>, CliError> {
        let (connection, storage) = self.bucket(url)?;
        let place = connection.place();
        let list = self.absolute(&self.directories.cache).join(PROVEN);
        let proven = named_file::read(list.as_os_str()).unwrap_or_default();
        let proven = String::from_utf8_lossy(&proven);
        if proven.lines().any(|line| line == place) {
            return Ok(storage);
        }
        let proof = storage.prove_conditions();
        match proof.map_err(RepositoryError::from)? {
            Conditions::Kept => {
                let others = proven.lines().take(PROVEN_MAX);
                let lines = [place].into_iter().chain(others);
                let lines = lines.collect::<Vec<_>>().join("\n") + "\n";
                // Who cannot note it tries it again.
                let directory = list.parent().unwrap_or(&list);
                let _ = named_file::make_directories(directory, 0o700);
                let _ = named_file::replace_private(&list, lines.as_bytes());
            }
            Conditions::Ignored(how) if connection.may_be_unprotected() => {
                storage.do_without_conditions();
                self.log(
                    Level::Warning,
                    format!(
                        "{url}: the store knows no conditional writes ({how}): nothing keeps two writers apart. Never \
                         let two commands write to it at a time."
                    ),
                );
            }
            Conditions::Ignored(how) => {
                return Err(CliError::generic(format!(
                    "{url}: the store knows no conditional writes ({how}), so two writers could not be kept apart. If \
                     there will never be two at a time: IRONBORG_STORE_UNPROTECTED=yes"
                )));
            }
        }
        Ok(storage)
    }

    fn bucket(&self, url: &BucketUrl) -> Result<(Connection, Arc<BucketStorage>), CliError> {
        let mut variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| PREFIXES.iter().any(|prefix| key.starts_with(prefix)))
            .collect();
        let credentials = aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = aws_file("AWS_CONFIG_FILE", "config");
        let found = profile(&variables, credentials.as_deref(), config.as_deref());
        variables.extend(found);
        let connection = connect(url, &variables)?;
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.push(connection.traffic.clone());
        let cache = self.absolute(&self.directories.cache);
        let copies = cache.join(COPIES).join(directory_of(url));
        let storage = BucketStorage::new(&connection, &cache).with_copies(&copies);
        Ok((connection, Arc::new(storage)))
    }
}

/// The name of the directory for what is kept of a repository here.
fn directory_of(url: &BucketUrl) -> String {
    let digest = Sha256::digest(url.to_string());
    let mut name = String::with_capacity(NAME_LEN);
    for byte in &digest[..NAME_LEN / 2] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// One of the files of Amazon's tools, if it is there.
fn aws_file(variable: &str, name: &str) -> Option<String> {
    let named = std::env::var_os(variable).filter(|path| !path.is_empty());
    let path = named.map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        Some(Path::new(&home).join(".aws").join(name))
    })?;
    String::from_utf8(named_file::read(path.as_os_str()).ok()?).ok()
}
