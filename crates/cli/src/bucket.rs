//! Repositories on object stores: where their settings come from, and how they are opened.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use ironborg_bucket::{BucketError, BucketStorage, BucketUrl, connect, profile};
use ironborg_repository::{
    CreateOptions, LocalRepository, LockMode, OpenOptions, Repository, RepositoryError,
    SnapshotRepository,
};
use ironborg_source::named_file;
use ironborg_storage::{Retention, Storage};
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
const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

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
        let storage = self.bucket_storage(url)?;
        if options.lock == LockMode::Exclusive {
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
        Ok(LocalRepository::open_in(
            self.bucket_storage(url)?,
            options,
        )?)
    }

    /// Makes one.
    pub(crate) fn create_bucket(
        &self,
        url: &BucketUrl,
        create: &CreateOptions,
        options: OpenOptions,
    ) -> Result<LocalRepository, CliError> {
        let storage = self.bucket_storage(url)?;
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
        Ok(Arc::new(storage))
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
