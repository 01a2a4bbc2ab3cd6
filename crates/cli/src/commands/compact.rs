//! `compact`: frees the space of what was deleted.

use std::ffi::OsString;

use ironborg_repository::{CompactOptions as Compaction, RepositoryError};
use ironborg_types::ChunkId;

use super::{Run, Traits};
use crate::args::{ParseError, values};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::{Location, Protocol};
use crate::parse::{ArchivePart, ParseContext};
use crate::signals::{self, PolledOperation};

/// Percent of a segment that must be freed by rewriting it.
const THRESHOLD: i64 = 10;
/// The same where the rest of it has to come and to be sent again: no more than what is saved.
const THRESHOLD_FAR_AWAY: i64 = 50;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CompactArgs {
    /// Repository to compact [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Also remove the tiny segments that very old versions left behind (once is enough)
    #[arg(long)]
    cleanup_commits: bool,
    /// Rewrite segments of which more than PERCENT can be freed [default: 10; on an object store 50]
    #[arg(long, value_name = "PERCENT", value_parser = values::int)]
    threshold: Option<i64>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CompactOptions {
    location: Location,
    dry_run: bool,
    cleanup_commits: bool,
    /// Share of a segment, 1.0 being all of it.
    threshold: f64,
}

impl CompactArgs {
    /// Resolves the location.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<CompactOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        let threshold = self.threshold.unwrap_or(default_threshold(&location));
        Ok(CompactOptions {
            location,
            dry_run: self.dry_run,
            cleanup_commits: self.cleanup_commits,
            threshold: threshold as f64 / 100.0,
        })
    }
}

fn default_threshold(location: &Location) -> i64 {
    match location.protocol {
        Protocol::Bucket(_) => THRESHOLD_FAR_AWAY,
        Protocol::File | Protocol::Ssh { .. } => THRESHOLD,
    }
}

impl Run for CompactOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut repository = context.open_repository(&self.location, Access::Write)?;
        if self.dry_run {
            return Ok(());
        }
        // As stock Borg does it, so that the same segments come out: the manifest, stored again as it is,
        // begins the transaction. No key is needed for that.
        let mut manifest = Vec::new();
        repository.get(&ChunkId::MANIFEST, &mut manifest)?;
        match repository.put(&ChunkId::MANIFEST, &manifest) {
            // Freeing space is what one does about that; stock Borg gives up here.
            Err(RepositoryError::StorageQuotaExceeded { .. }) => repository.rollback()?,
            other => other?,
        }
        let _polled = PolledOperation::begin();
        repository.commit_compact(Compaction {
            threshold: self.threshold,
            cleanup_commits: self.cleanup_commits,
            interrupt: Some(&signals::INTERRUPT),
        })?;
        context.note(|figures| figures.freed_size = repository.freed());
        if signals::INTERRUPT.stop_requested() {
            return Err(CliError::generic("Got Ctrl-C / SIGINT."));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::IdentityVariables;
    use crate::identity::HostIdentity;
    use crate::placeholders::Placeholders;

    #[test]
    fn what_has_to_be_sent_again_is_weighed() {
        let identity = HostIdentity::new(IdentityVariables::default());
        let placeholders = Placeholders::new(&identity);
        for (location, percent) in [
            ("/repo", 10),
            ("ssh://host/repo", 10),
            ("s3://bucket/repo", 50),
        ] {
            let parsed = Location::from_argument(location.as_bytes(), None, &placeholders);
            assert_eq!(default_threshold(&parsed.unwrap()), percent, "{location}");
        }
    }
}
