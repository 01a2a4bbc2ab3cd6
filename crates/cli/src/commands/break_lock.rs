//! `break-lock`: removes locks that a dead process left.

use std::ffi::OsString;

use ironborg_cache::StockCacheConfig;

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
        // Only a repository's locks are removed, and its id tells where the cache is.
        let mut repository = context.open_repository(&self.location, Access::Unlocked)?;
        let id = repository.id();
        repository.break_lock()?;
        let cache = context.client(&self.location).stock_cache(id);
        StockCacheConfig::break_lock(&*cache.storage)?;
        Ok(())
    }
}
