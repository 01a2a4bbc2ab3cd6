//! `serve`: serves repositories to clients on other hosts.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironborg_bucket::BucketUrl;
use ironborg_repository::RepositoryError;
use ironborg_rpc::server::{Elsewhere, Host, Purpose, ServeError, ServerOptions, serve};
use ironborg_storage::{Storage, StorageError};
use ironborg_types::{ErrorKind, Level, Reporter};

use super::{Run, Traits};
use crate::args::{ParseError, values};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::reporter::LOGGER;
use crate::wire::WireEnd;
use crate::{directories, signals, sys, system_information};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Serve only repositories in PATH and below it; may be given again
    #[arg(long, value_name = "PATH")]
    restrict_to_path: Vec<OsString>,
    /// Serve only the repository at PATH; may be given again
    #[arg(long, value_name = "PATH")]
    restrict_to_repository: Vec<OsString>,
    /// Let clients add data, but remove nothing for good
    #[arg(long)]
    append_only: bool,
    /// Let a repository hold at most QUOTA bytes (suffixes such as 5G; 0 for no limit)
    #[arg(long, value_name = "QUOTA", value_parser = values::storage_quota)]
    storage_quota: Option<u64>,
    /// Keep repositories on the object store at URL (s3://BUCKET/PREFIX): paths of clients are below it
    #[arg(long, value_name = "URL", value_parser = backend)]
    backend: Option<BucketUrl>,
}

/// Reads the location of an object store.
fn backend(text: &str) -> Result<BucketUrl, String> {
    BucketUrl::parse(text)
        .ok_or_else(|| format!("{text:?} is no location on an object store: s3://BUCKET[/PREFIX]"))
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ServeOptions {
    restrict_to_paths: Vec<PathBuf>,
    restrict_to_repositories: Vec<PathBuf>,
    append_only: bool,
    storage_quota: Option<u64>,
    backend: Option<BucketUrl>,
}

impl ServeArgs {
    /// There is nothing to resolve: clients name the repositories.
    // The signature is that of all commands.
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<ServeOptions, ParseError> {
        let paths = |words: Vec<OsString>| words.into_iter().map(PathBuf::from).collect();
        Ok(ServeOptions {
            restrict_to_paths: paths(self.restrict_to_path),
            restrict_to_repositories: paths(self.restrict_to_repository),
            append_only: self.append_only,
            storage_quota: self.storage_quota,
            backend: self.backend,
        })
    }
}

impl Run for ServeOptions {
    fn traits(&self) -> Traits {
        Traits {
            serves: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let backend = self.backend.map(|url| Backend { context, url });
        let host = ServerHost(context, backend);
        host.log_set_up();
        let unusable = |error: std::io::Error| CliError::unexpected(error.to_string());
        let (input, output) = WireEnd::both().map_err(unusable)?;
        // A commit or a compaction is worth waiting for.
        let _polled = signals::PolledOperation::begin();
        let reporter: Arc<dyn Reporter> = context.reporter.clone();
        let options = ServerOptions {
            cwd: PathBuf::from(context.cwd_as_os_str()),
            restrict_to_paths: self.restrict_to_paths,
            restrict_to_repositories: self.restrict_to_repositories,
            append_only: self.append_only,
            storage_quota: self.storage_quota,
            owner: context.lock_owner(),
            threads: context.threads(),
            interrupt: Some(&signals::INTERRUPT),
            reporter,
        };
        serve(input, output, &options, &host).map_err(CliError::from)
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        if let Some(signal) = signals::ending() {
            return signal;
        }
        match error {
            ServeError::UnexpectedFormat => Self::with_message(
                ErrorKind::UnexpectedRPCDataFormatFromClient,
                error.to_string(),
            ),
            ServeError::Close(error) => RepositoryError::into(error),
            ServeError::Input(_) | ServeError::Output(_) => Self::unexpected(error.to_string()),
        }
    }
}

/// This process as the server sees it.
struct ServerHost<'a>(&'a Context, Option<Backend<'a>>);

/// An object store in the place of directories.
struct Backend<'a> {
    context: &'a Context,
    url: BucketUrl,
}

impl Elsewhere for Backend<'_> {
    fn storage(&self, path: &Path, purpose: Purpose) -> Result<Arc<dyn Storage>, RepositoryError> {
        let Some(below) = path.to_str() else {
            let path = path.to_owned();
            return Err(RepositoryError::DoesNotExist { path });
        };
        let url = self.url.below(below);
        let storage = match purpose {
            Purpose::Read => self.context.bucket_storage(&url),
            Purpose::Write => self.context.bucket_storage_to_write(&url),
        };
        storage.map_err(|error| {
            let reason = std::io::Error::other(error.message);
            StorageError::io("open", path, reason).into()
        })
    }
}

impl ServerHost<'_> {
    /// What stock Borg says whenever its logging was set up; some clients' logs are compared with it.
    fn log_set_up(&self) {
        let text = "using builtin fallback logging configuration";
        self.0.reporter.record(Level::Debug, LOGGER, text, None);
    }
}

impl Host for ServerHost<'_> {
    fn base_directory(&self) -> PathBuf {
        directories::base(
            &self.0.environment.directories,
            self.0.cwd_as_os_str().as_ref(),
        )
    }

    fn home(&self, user: Option<&OsStr>) -> Option<PathBuf> {
        if let Some(user) = user {
            return sys::user_by_name(user).map(|user| user.home);
        }
        let home = self.0.environment.directories.home.clone();
        home.or_else(|| sys::user_by_id(sys::real_uid()).map(|user| user.home))
    }

    fn system_information(&self) -> String {
        if self.0.environment.show_sysinfo {
            system_information::text()
        } else {
            String::new()
        }
    }

    fn elsewhere(&self) -> Option<&dyn Elsewhere> {
        self.1.as_ref().map(|backend| backend as _)
    }

    fn log_as_json(&self) {
        self.0.reporter.switch_to_json();
        self.log_set_up();
    }
}
