//! `break-lock`: removes locks that a dead process left.

use std::ffi::OsString;

use ironborg_cache::StockCacheConfig;
use ironborg_repository::{LocalRepository, LockMode, OpenOptions, Repository};

use super::{Run, Traits};
use crate::args::ParseError;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct BreakLockArgs {
    /// Repository to unlock; nobody may be using it [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct BreakLockOptions {
    location: Location,
}

impl BreakLockArgs {
    /// Resolves the location.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<BreakLockOptions, ParseError> {
        Ok(BreakLockOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
        })
    }
}

impl Run for BreakLockOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let path = context.local_path(&self.location)?;
        let options = OpenOptions {
            lock: LockMode::None,
            ..context.open_options(Access::Read)
        };
        // Only a repository's locks are removed, and its id tells where the cache is.
        let id = LocalRepository::open(&path, options)?.id();
        LocalRepository::break_lock(&path)?;
        let cache = context.client(&self.location).stock_cache(id);
        StockCacheConfig::break_lock(&*cache.storage)?;
        Ok(())
    }
}
