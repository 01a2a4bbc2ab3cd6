//! `prune`: deletes archives that no rule keeps.

use std::ffi::OsString;
use std::time::Duration;

use ironborg_archive::delete::RemovalOptions;
use ironborg_archive::prune::{self, PruneOutcome, Retention};
use ironborg_archive::selection::ArchiveAges;
use ironborg_archive::{Session, statistics};
use ironborg_format::Operation;
use ironborg_types::Timestamp;

use super::{Run, Traits};
use crate::args::filters::{ArchiveAgeArgs, ArchiveNameArgs, ArchiveNames};
use crate::args::{ParseError, values};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::{archive_format, stats, time};
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::levels::OutputLoggers;
use crate::signals::PolledOperation;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneArgs {
    /// Repository [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Go on where an archive to delete is damaged
    #[arg(long)]
    force: bool,
    /// Show statistics of what was deleted and of the repository
    #[arg(short = 's', long)]
    stats: bool,
    /// Show statistics of what was deleted
    #[arg(long)]
    quick_stats: bool,
    /// List the archives, and the rules that keep them
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    names: ArchiveNameArgs,
    #[command(flatten)]
    ages: ArchiveAgeArgs,
    /// Accepted: takes no space while it works anyway
    #[arg(long, help_heading = None::<&str>)]
    save_space: bool,
    /// Save what is done every SECONDS [default: 1800]
    #[arg(short = 'c', long, value_name = "SECONDS", value_parser = values::int,
          default_value = "1800", hide_default_value = true, help_heading = None::<&str>)]
    checkpoint_interval: i64,
}

/// The rules. Each keeps the newest archive of each of so many periods that have any.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_field_names)] // The fields are called what the options are called.
#[command(next_help_heading = "Rules (-1 for a number: as many as there are)")]
struct RuleArgs {
    /// Keep all archives made within INTERVAL, such as 48H, 7d, 4w, 6m, 1y
    #[arg(long, value_name = "INTERVAL", value_parser = values::interval)]
    keep_within: Option<i64>,
    /// Keep the last N archives
    #[arg(long, visible_alias = "keep-last", value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_secondly: i64,
    /// Keep the newest of a minute, for N minutes
    #[arg(long, value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_minutely: i64,
    /// Keep the newest of an hour, for N hours
    #[arg(short = 'H', long, value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_hourly: i64,
    /// Keep the newest of a day, for N days
    #[arg(short = 'd', long, value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_daily: i64,
    /// Keep the newest of a week, for N weeks
    #[arg(short = 'w', long, value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_weekly: i64,
    /// Keep the newest of a month, for N months
    #[arg(short = 'm', long, value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_monthly: i64,
    /// Keep the newest of a quarter of 13 weeks, for N quarters
    #[arg(id = "keep_13weekly", long = "keep-13weekly", value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_quarters_of_weeks: i64,
    /// Keep the newest of a quarter of 3 months, for N quarters
    #[arg(id = "keep_3monthly", long = "keep-3monthly", value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_quarters_of_months: i64,
    /// Keep the newest of a year, for N years
    #[arg(short = 'y', long, value_name = "N", value_parser = values::int,
          default_value = "0", hide_default_value = true)]
    keep_yearly: i64,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct PruneOptions {
    location: Location,
    dry_run: bool,
    despite_damage: bool,
    stats: bool,
    quick_stats: bool,
    list: bool,
    retention: Retention,
    names: ArchiveNames,
    ages: ArchiveAges,
    checkpoint_interval: Option<Duration>,
}

impl RuleArgs {
    fn resolve(&self) -> Retention {
        Retention {
            within_hours: self.keep_within,
            // In the order of `Period::ALL`.
            counts: [
                self.keep_secondly,
                self.keep_minutely,
                self.keep_hourly,
                self.keep_daily,
                self.keep_weekly,
                self.keep_monthly,
                self.keep_quarters_of_weeks,
                self.keep_quarters_of_months,
                self.keep_yearly,
            ],
        }
    }
}

impl PruneArgs {
    /// Resolves location and placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<PruneOptions, ParseError> {
        if self.stats && self.quick_stats {
            return Err(ParseError::stats_twice());
        }
        Ok(PruneOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            dry_run: self.dry_run,
            despite_damage: self.force,
            stats: self.stats,
            quick_stats: self.quick_stats,
            list: self.list,
            retention: self.rules.resolve(),
            names: self.names.resolve(parse)?,
            ages: self.ages.resolve(),
            checkpoint_interval: values::seconds(self.checkpoint_interval),
        })
    }
}

impl Run for PruneOptions {
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
        let mut session =
            context.open_session(&self.location, Access::Write, &[Operation::Delete])?;
        if !self.retention.has_rules() {
            return Err(CliError::command(
                "At least one of the \"keep-within\", \"keep-last\", \"keep-secondly\", \"keep-minutely\", \
                 \"keep-hourly\", \"keep-daily\", \"keep-weekly\", \"keep-monthly\", \"keep-13weekly\", \
                 \"keep-3monthly\", or \"keep-yearly\" settings must be specified.",
            ));
        }
        let options = prune::PruneOptions {
            glob: self.names.glob()?,
            ages: self.ages,
            retention: self.retention.clone(),
            local_seconds: &|at: Timestamp| at.seconds() + time::local_offset(at.seconds()),
            dry_run: self.dry_run,
            removal: RemovalOptions {
                despite_damage: self.despite_damage,
                parts: context.part_files(),
                checkpoint_interval: self.checkpoint_interval,
                progress: false,
            },
            list: self.list,
            format_archive: &archive_format::line,
        };
        let _polled = PolledOperation::begin();
        let outcome = prune::prune_archives(&mut session, &options)?;
        context.note(|figures| {
            let bytes = outcome.deleted.deduplicated_size.unsigned_abs();
            figures.deleted_archives = Some(outcome.count as u64);
            figures.freed_size = Some(bytes);
        });
        self.show_statistics(context, &session, &outcome)
    }
}

impl PruneOptions {
    fn show_statistics(
        &self,
        context: &Context,
        session: &Session,
        outcome: &PruneOutcome,
    ) -> Result<(), CliError> {
        if self.dry_run || !(self.stats || self.quick_stats) {
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
