//! A repository that is mounted: opened as often as that takes, after the first time without asking anybody.

use std::path::PathBuf;
use std::sync::Arc;

use ironborg_archive::{ArchiveError, Client, Reopening, Session};
use ironborg_format::Operation;
use ironborg_mount::MountError;
use ironborg_mount::follow::{Follower, Opens, is_overtaken};
use ironborg_repository::{OpenOptions, Repository, RepositoryError, SnapshotRepository};
use ironborg_rpc::{RemoteOptions, RemoteRepository};
use ironborg_storage::Storage;

use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::{Location, Protocol};
use crate::unattended::unattended;

/// What is going to be done with it.
const OPERATIONS: &[Operation] = &[Operation::Read];

/// Seconds one attempt waits for the lock, where a server cannot do without one; the follower makes as many as it takes.
const LOCK_WAIT: f64 = 1.0;

/// Where it is, and how it is opened.
enum Source {
    Local {
        path: PathBuf,
        options: OpenOptions,
    },
    Remote(Box<RemoteOptions>),
    Bucket {
        storage: Arc<dyn Storage>,
        options: OpenOptions,
    },
}

impl Source {
    fn open(&self) -> Result<Box<dyn Repository>, RepositoryError> {
        Ok(match self {
            Self::Local { path, options } => Box::new(SnapshotRepository::open(path, options)?),
            Self::Remote(options) => Box::new(RemoteRepository::open_snapshot(
                RemoteOptions::clone(options),
            )?),
            Self::Bucket { storage, options } => {
                Box::new(SnapshotRepository::open_in(storage, options)?)
            }
        })
    }
}

/// Opens it again.
struct Again<K> {
    source: Source,
    reopening: Reopening,
    /// Dropped when it is followed no longer.
    _kept: K,
}

impl<K: Send + Sync> Opens for Again<K> {
    fn open(&self) -> Result<Session, ArchiveError> {
        self.reopening.open(self.source.open()?, OPERATIONS)
    }
}

impl From<MountError> for CliError {
    fn from(error: MountError) -> Self {
        match error {
            MountError::Archive(error) => error.into(),
            MountError::Repository(error) => error.into(),
            error => Self::unexpected(error.to_string()),
        }
    }
}

impl Context {
    /// Opens the repository of a location to be read for a long time while others write to it.
    pub(crate) fn follow(&self, location: &Location) -> Result<Follower, CliError> {
        self.follow_as(location, |client| client, ())
    }

    /// The same without asking anybody, not even the first time. `kept` is dropped when it is followed no longer.
    pub(crate) fn follow_unattended(
        &self,
        location: &Location,
        kept: impl Send + Sync + 'static,
    ) -> Result<Follower, CliError> {
        self.follow_as(location, unattended, kept)
    }

    fn follow_as(
        &self,
        location: &Location,
        attended: fn(Client) -> Client,
        kept: impl Send + Sync + 'static,
    ) -> Result<Follower, CliError> {
        let mut source = match &location.protocol {
            Protocol::Ssh { .. } => Source::Remote(Box::new(self.followed_options(location)?)),
            Protocol::Bucket(url) => Source::Bucket {
                storage: self.bucket_storage(url)?,
                options: self.open_options(Access::Unlocked),
            },
            Protocol::File => Source::Local {
                path: self.local_path(location)?,
                options: self.open_options(Access::Unlocked),
            },
        };
        let repository = source.open()?;
        self.refuse_nameless_directories()?;
        let open = |repository: Box<dyn Repository>| {
            let client = attended(self.client_of(location, repository.id()));
            Session::open(client, repository, OPERATIONS)
        };
        let session = match open(repository) {
            // Somebody has committed between two looks: what was found is older than what that has left here.
            Err(error) if is_overtaken(&error) => open(source.open()?),
            opened => opened,
        }?;
        if let Source::Remote(options) = &mut source {
            options.open.lock_wait = Some(LOCK_WAIT);
        }
        let reopening = session.reopening();
        let again = Again {
            source,
            reopening,
            _kept: kept,
        };
        Ok(Follower::new(session, Box::new(again)))
    }
}
