//! `delete`: deletes archives, or a whole repository.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use ironborg_archive::delete::{self, Force, RepositoryDeletion, delete_repository};
use ironborg_archive::{Session, statistics};
use ironborg_format::Operation;
use ironborg_types::BytePath;

use super::{Run, Traits};
use crate::args::filters::{ArchiveFilter, ArchiveFilterArgs};
use crate::args::{ParseError, values};
use crate::context::{Access, Checkpoints, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::archive_format;
use crate::output::stats;
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::levels::OutputLoggers;
use crate::signals::PolledOperation;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// Repository or archive [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY_OR_ARCHIVE",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// More archives of the repository
    #[arg(value_name = "ARCHIVE")]
    archives: Vec<OsString>,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// List the archives
    #[arg(long)]
    list: bool,
    /// Show statistics of what was deleted and of the repository
    #[arg(short = 's', long)]
    stats: bool,
    /// Show statistics of what was deleted
    #[arg(long)]
    quick_stats: bool,
    /// Delete only the local cache of the repository
    #[arg(long)]
    cache_only: bool,
    /// Do not ask, and go on where an archive is damaged; twice: do not even read archives
    #[arg(long, action = clap::ArgAction::Count)]
    force: u8,
    /// Keep what this client knows about the repository
    #[arg(long)]
    keep_security_info: bool,
    /// Accepted: takes no space while it works anyway
    #[arg(long)]
    save_space: bool,
    /// Save what is done every SECONDS [default: 1800]
    #[arg(short = 'c', long, value_name = "SECONDS", value_parser = values::int,
          default_value = "1800", hide_default_value = true)]
    checkpoint_interval: i64,
    #[command(flatten)]
    filters: ArchiveFilterArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DeleteOptions {
    location: Location,
    archives: Vec<BytePath>,
    dry_run: bool,
    list: bool,
    stats: bool,
    quick_stats: bool,
    cache_only: bool,
    force: Force,
    keep_security_info: bool,
    checkpoint_interval: Option<Duration>,
    filter: ArchiveFilter,
}

impl DeleteArgs {
    /// Resolves location and placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<DeleteOptions, ParseError> {
        let name = "REPOSITORY_OR_ARCHIVE";
        if self.stats && self.quick_stats {
            return Err(ParseError::stats_twice());
        }
        Ok(DeleteOptions {
            location: parse.location(name, &self.location, ArchivePart::Optional, None)?,
            archives: self
                .archives
                .iter()
                .map(|name| BytePath::new(name.as_bytes()))
                .collect(),
            dry_run: self.dry_run,
            list: self.list,
            stats: self.stats,
            quick_stats: self.quick_stats,
            cache_only: self.cache_only,
            force: match self.force {
                0 => Force::No,
                1 => Force::Once,
                _ => Force::Twice,
            },
            keep_security_info: self.keep_security_info,
            checkpoint_interval: values::seconds(self.checkpoint_interval),
            filter: self.filters.resolve(parse)?,
        })
    }
}

impl Run for DeleteOptions {
    fn traits(&self) -> Traits {
        Traits {
            output: OutputLoggers {
                list: self.list,
                stats: self.stats || self.quick_stats,
                ..OutputLoggers::default()
            },
            ignored: super::without_effect(self.dry_run, self.stats, self.quick_stats),
            takes_long: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let repository = context.open_repository(&self.location, Access::Write)?;
        let client = context.client_of(&self.location, repository.id());
        let named = self.location.archive.is_some() || !self.archives.is_empty();
        if named && self.filter.is_narrowing() {
            return Err(CliError::command(
                "Mixing archive filters and explicitly named archives is not supported.",
            ));
        }
        if !named && !self.filter.is_narrowing() {
            let deletion = RepositoryDeletion {
                cache_only: self.cache_only,
                keep_security_info: self.keep_security_info,
                force: self.force,
                dry_run: self.dry_run,
                list: self.list,
                format_archive: &archive_format::line,
            };
            return Ok(delete_repository(&client, repository, &deletion)?);
        }
        let mut session = Session::open(client, repository, &[Operation::Delete])?;
        let names = if named {
            let first = self
                .location
                .archive
                .iter()
                .map(|name| BytePath::new(name.as_slice()));
            first.chain(self.archives.iter().cloned()).collect()
        } else {
            let listed = Context::select(&session, &self.filter, Checkpoints::Consider)?;
            listed
                .into_iter()
                .map(|archive| archive.name)
                .collect::<Vec<_>>()
        };
        if names.is_empty() {
            return Ok(());
        }
        self.delete_archives(context, &mut session, names)
    }
}

impl DeleteOptions {
    fn delete_archives(
        &self,
        context: &Context,
        session: &mut Session,
        names: Vec<BytePath>,
    ) -> Result<(), CliError> {
        let options = delete::DeleteOptions {
            names,
            force: self.force,
            dry_run: self.dry_run,
            parts: context.part_files(),
            checkpoint_interval: self.checkpoint_interval,
            list: self.list,
            format_archive: &archive_format::line,
        };
        let _polled = PolledOperation::begin();
        let outcome = delete::delete_archives(session, &options)?;
        if outcome.not_found > 0 {
            context.reporter.exit.add_generic_warning();
        }
        let wanted = !self.dry_run && (self.stats || self.quick_stats);
        if !wanted || !outcome.is_counted {
            return Ok(());
        }
        let left = if self.quick_stats {
            None
        } else {
            Some(statistics::all_archives(session, context.part_files())?)
        };
        context.reporter.stats(&stats::deletion_block(
            &outcome.deleted,
            left.as_ref(),
            context.units(),
        ));
        Ok(())
    }
}
