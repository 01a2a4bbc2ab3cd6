//! `recreate`: rewrite archives: leave files out, compress or cut them anew.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::recreate::{
    Outcome, Recompress, RecreateOptions as Options, Recreated, Recreater, TagOptions, is_temporary,
};
use ironborg_archive::selection::{ArchiveSelection, SortKey, select};
use ironborg_archive::{ArchiveError, Session};
use ironborg_chunker::ChunkerParams;
use ironborg_format::Operation;
use ironborg_object::Compression;
use ironborg_source::PatternSet;
use ironborg_types::{BytePath, Level, Timestamp, text};

use super::create::{chunker_params, compression, facts, figures};
use super::extract::{matcher, selected_paths};
use super::{Run, Traits};
use crate::args::patterns::PatternArgs;
use crate::args::{ParseError, values};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::size::SizeUnits;
use crate::output::stats::{self, DASHES};
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::levels::OutputLoggers;
use crate::signals::{self, PolledOperation};
use crate::timestamp;

/// The logger of the figures.
const LOGGER: &str = "borg.archive";

/// What may be typed.
///
/// Without an archive all archives of the repository are rewritten, the oldest first. An archive is
/// replaced only when its new form is complete.
#[derive(Debug, clap::Args)]
pub(crate) struct RecreateArgs {
    /// Archive, or repository with archives, to rewrite [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY_OR_ARCHIVE",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Paths or patterns to keep [default: all]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    paths: Vec<OsString>,
    /// List the files
    #[arg(long)]
    list: bool,
    /// List only those with one of these status letters
    #[arg(long, value_name = "STATUSCHARS")]
    filter: Option<String>,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Show statistics of the new archives (with -v)
    #[arg(short = 's', long)]
    stats: bool,
    #[command(flatten)]
    patterns: PatternArgs,
    /// Leave out directories with a CACHEDIR.TAG
    #[arg(long, help_heading = "Include/Exclude options")]
    exclude_caches: bool,
    /// Leave out directories that contain something called NAME
    #[arg(long, value_name = "NAME", help_heading = "Include/Exclude options")]
    exclude_if_present: Vec<OsString>,
    /// Keep the tags (and the directories themselves) that such directories are left out for
    #[arg(long, help_heading = "Include/Exclude options")]
    keep_exclude_tags: bool,
    /// Make a new archive TARGET and keep the original
    #[arg(long, value_name = "TARGET", help_heading = "Archive options")]
    target: Option<OsString>,
    /// Save what is done every SECONDS [default: 1800]
    #[arg(short = 'c', long, value_name = "SECONDS", value_parser = values::int,
          default_value = "1800", hide_default_value = true, help_heading = "Archive options")]
    checkpoint_interval: i64,
    /// Another comment
    #[arg(long, value_name = "COMMENT", help_heading = "Archive options")]
    comment: Option<OsString>,
    /// Another time (UTC), or a file whose time is used
    #[arg(long, value_name = "TIMESTAMP", help_heading = "Archive options")]
    timestamp: Option<OsString>,
    /// How new chunks are compressed [default: lz4]
    #[arg(short = 'C', long, value_name = "COMPRESSION", value_parser = compression,
          default_value = "lz4", hide_default_value = true, help_heading = "Archive options")]
    compression: Compression,
    /// Compress stored chunks again: if-different (from the algorithm used), always or never [default: never]
    #[arg(long, value_name = "MODE", default_value = "never", hide_default_value = true, help_heading = "Archive options",
          value_parser = OsStringValueParser::new().try_map(|v| values::choice(&v, &["never", "if-different", "always"])))]
    recompress: String,
    /// Cut files anew [default: leave them as they are]
    // Stock Borg tells by its default whether this one was given, which "create" does not.
    #[arg(id = "rechunk", long = "chunker-params", value_name = "PARAMS", value_parser = chunker_params,
          help_heading = "Archive options")]
    chunker_params: Option<ChunkerParams>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct RecreateOptions {
    location: Location,
    paths: Vec<BytePath>,
    patterns: PatternSet,
    list: bool,
    filter: Option<String>,
    dry_run: bool,
    stats: bool,
    tags: TagOptions,
    target: Option<Vec<u8>>,
    checkpoint_interval: Option<std::time::Duration>,
    comment: Option<Vec<u8>>,
    timestamp: Option<Timestamp>,
    compression: Compression,
    recompress: Recompress,
    chunker: Option<ChunkerParams>,
}

impl RecreateArgs {
    /// Resolves location, placeholders, patterns and the timestamp.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<RecreateOptions, ParseError> {
        let timestamp = self
            .timestamp
            .as_deref()
            .map(timestamp::parse_option)
            .transpose()?;
        let argument = "REPOSITORY_OR_ARCHIVE";
        let location =
            parse.location(argument, &self.location, ArchivePart::Optional, timestamp)?;
        let target = self
            .target
            .as_deref()
            .map(|target| parse.archive_name("--target", target))
            .transpose()?;
        let comment = self
            .comment
            .as_deref()
            .map(|comment| parse.expand("--comment", comment.as_bytes()))
            .transpose()?;
        let patterns = self.patterns.resolve()?;
        let names = self.exclude_if_present.iter();
        Ok(RecreateOptions {
            location,
            paths: selected_paths(&self.paths, &patterns),
            patterns,
            list: self.list,
            filter: self.filter,
            dry_run: self.dry_run,
            stats: self.stats,
            tags: TagOptions {
                caches: self.exclude_caches,
                if_present: names.map(|name| BytePath::new(name.as_bytes())).collect(),
                keep_tags: self.keep_exclude_tags,
            },
            target,
            checkpoint_interval: values::seconds(self.checkpoint_interval),
            comment,
            timestamp,
            compression: self.compression,
            recompress: match self.recompress.as_str() {
                "always" => Recompress::Always,
                "if-different" => Recompress::IfDifferent,
                _ => Recompress::Never,
            },
            chunker: self.chunker_params,
        })
    }
}

impl Run for RecreateOptions {
    fn traits(&self) -> Traits {
        Traits {
            output: OutputLoggers {
                list: self.list,
                stats: self.stats,
                ..OutputLoggers::default()
            },
            status_filter: self.filter.clone(),
            ignored: if self.dry_run && self.stats {
                vec!["--stats"]
            } else {
                Vec::new()
            },
            // Stock Borg forgets to tell the archive about --log-json and --iec.
            plain_archive_progress: true,
            takes_long: true,
            ..Traits::default()
        }
    }

    fn run(mut self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut session =
            context.open_session(&self.location, Access::Write, &[Operation::Check])?;
        // The figures are an ordinary message of little importance.
        let shows_figures =
            self.stats && !self.dry_run && context.reporter.shows(Level::Info, LOGGER);
        let options = Options {
            matcher: matcher(std::mem::take(&mut self.patterns), &self.paths)?,
            tags: std::mem::take(&mut self.tags),
            chunker: self.chunker,
            compression: self.compression.clone(),
            recompress: self.recompress,
            comment: self.comment.take(),
            timestamp: self.timestamp,
            dry_run: self.dry_run,
            checkpoint_interval: self.checkpoint_interval,
            statistics: shows_figures.then(|| context.part_files()),
        };
        let mut recreater = Recreater::new(&options);
        let _polled = PolledOperation::begin();
        match &self.location.archive {
            Some(name) => self.one(context, &mut session, &mut recreater, name)?,
            None => self.all(context, &mut session, &mut recreater)?,
        }
        Ok(recreater.finish(&mut session)?)
    }
}

impl RecreateOptions {
    fn one(
        &self,
        context: &Context,
        session: &mut Session,
        recreater: &mut Recreater<'_>,
        name: &[u8],
    ) -> Result<(), CliError> {
        if is_temporary(name) {
            let name = text::display(name);
            return Err(CliError::command(format!(
                "Refusing to work on temporary archive of prior recreate: {name}"
            )));
        }
        match recreater.recreate(session, name, self.target.as_deref())? {
            Outcome::NothingToDo => Err(CliError::command(
                "Nothing to do. Archive was not processed.\n\
                 Specify at least one pattern, PATH, --comment, re-compression or re-chunking option.",
            )),
            Outcome::Listed => Ok(()),
            Outcome::Recreated(recreated) => {
                report(context, session, &recreated);
                Ok(())
            }
        }
    }

    fn all(
        &self,
        context: &Context,
        session: &mut Session,
        recreater: &mut Recreater<'_>,
    ) -> Result<(), CliError> {
        if self.target.is_some() {
            return Err(CliError::command(
                "--target: Need to specify single archive",
            ));
        }
        let oldest_first = ArchiveSelection {
            sort_by: vec![SortKey::Timestamp],
            ..ArchiveSelection::default()
        };
        let mut stdout = Stdout::new();
        for archive in select(&session.manifest, &oldest_first)? {
            signals::check()?;
            if session.client.interrupt.stop_requested() {
                return Err(ArchiveError::Interrupted.into());
            }
            if is_temporary(&archive.name) {
                continue;
            }
            stdout.text(&format!("Processing {}\n", archive.name))?;
            stdout.flush()?;
            match recreater.recreate(session, &archive.name, None)? {
                Outcome::NothingToDo => context.log(
                    Level::Info,
                    format!(
                        "Skipped archive {}: Nothing to do. Archive was not processed.",
                        archive.name
                    ),
                ),
                Outcome::Listed => {}
                Outcome::Recreated(recreated) => report(context, session, &recreated),
            }
        }
        stdout.finish()
    }
}

/// Shows the figures of a new archive, if they were asked for.
fn report(context: &Context, session: &Session, recreated: &Recreated) {
    let Some(all) = &recreated.all else { return };
    let archive = &recreated.archive;
    // As stock Borg: no heading, and --iec is about the second line only.
    let block = format!(
        "{DASHES}\n{}{DASHES}\n{}\n{}\n{DASHES}",
        facts(session, archive),
        figures(archive, SizeUnits::Decimal),
        stats::cache_block(all, context.units()),
    );
    for line in block.lines() {
        context.reporter.record(Level::Info, LOGGER, line, None);
    }
}
