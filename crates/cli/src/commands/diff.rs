//! `diff`: shows what differs between two archives.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::diff::{self, Difference, Finding};
use ironborg_archive::{Archive, Session};
use ironborg_format::Operation;
use ironborg_source::PatternSet;
use ironborg_types::{BytePath, ErrorKind, Event, Level, Reporter, text};

use super::extract::{matcher, selected_paths};
use super::{Run, Traits};
use crate::args::patterns::PatternArgs;
use crate::args::{ParseError, values};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::difference_order::{DifferenceOrder, Sorted};
use crate::output::differences;
use crate::parse::{ArchivePart, ParseContext};
use crate::signals::PolledOperation;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The older archive
    #[arg(value_name = "REPO::ARCHIVE1", required = true)]
    location: OsString,
    /// Name of the newer archive, in the same repository
    #[arg(value_name = "ARCHIVE2", required = true)]
    archive2: OsString,
    /// Paths or patterns to compare [default: all]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    paths: Vec<OsString>,
    /// Accepted, without effect: owners are always compared by name
    #[arg(long, alias = "numeric-owner")]
    numeric_ids: bool,
    /// Trust that both archives were cut into chunks with the same parameters
    #[arg(long)]
    same_chunker_params: bool,
    /// Old form of --sort-by=path
    #[arg(long, hide = true)]
    sort: bool,
    /// Sort by these fields, separated by commas; with > in front downwards
    ///
    /// Fields: path, size, size_added, size_removed, size_diff, user, group, uid, gid, ctime, mtime, ctime_diff,
    /// mtime_diff.
    #[arg(id = "sort_fields", long = "sort-by", value_name = "FIELDS")]
    sort_fields: Option<DifferenceOrder>,
    /// Leave changes of owners, modes and times out
    #[arg(long)]
    content_only: bool,
    /// One JSON object per line
    #[arg(long)]
    json_lines: bool,
    #[command(flatten)]
    patterns: PatternArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DiffOptions {
    location: Location,
    archive2: Vec<u8>,
    paths: Vec<BytePath>,
    patterns: PatternSet,
    same_chunker_params: bool,
    order: Option<DifferenceOrder>,
    content_only: bool,
    json_lines: bool,
}

impl DiffArgs {
    /// Resolves location, placeholders and patterns.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<DiffOptions, ParseError> {
        let name = "REPO::ARCHIVE1";
        let location = parse.location(name, &self.location, ArchivePart::Required, None)?;
        let archive2 = parse.archive_name("ARCHIVE2", &self.archive2)?;
        let patterns = self.patterns.resolve()?;
        let by_path = self.sort.then(DifferenceOrder::by_path);
        Ok(DiffOptions {
            location,
            archive2,
            paths: selected_paths(&self.paths, &patterns),
            patterns,
            same_chunker_params: self.same_chunker_params,
            order: self.sort_fields.or(by_path),
            content_only: self.content_only,
            json_lines: self.json_lines,
        })
    }
}

/// Chunks of different cutting tell nothing.
const DIFFERENT_PARAMS: &str =
    "--chunker-params are different between archives, diff will be slow.";
/// Nor do those of unknown cutting.
const UNKNOWN_PARAMS: &str = "--chunker-params might be different between archives, diff will be slow.\n\
     If you know for certain that they are the same, pass --same-chunker-params to override this check.";

impl Run for DiffOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[Operation::Read])?;
        let name = self.location.archive.as_deref().unwrap_or_default();
        let old = session.load_archive(name)?;
        let new = session.load_archive(&self.archive2)?;
        let same_chunker_params = self.same_chunker_params || compare_params(context, &old, &new);
        let matcher = matcher(self.patterns, &self.paths)?;
        let options = diff::DiffOptions {
            matcher: &matcher,
            parts: context.part_files(),
            same_chunker_params,
            content_only: self.content_only,
        };
        let report = DiffReport {
            context,
            push: if self.json_lines {
                |difference, out| differences::push_json(difference.path, difference.changes, out)
            } else {
                |difference, out| differences::push_line(difference.path, difference.changes, out)
            },
            sorted: self.order.map(Sorted::new),
            stdout: Stdout::new(),
        };
        report.make(&session, &old, &new, options)?;
        for pattern in matcher.never_matched() {
            let kind = ErrorKind::IncludePatternNeverMatchedWarning;
            let message = kind.message(&[&pattern.to_string()]).into();
            context.reporter.report(Event::Warning { kind, message });
        }
        Ok(())
    }
}

/// Whether both archives were cut with the same parameters. Says so if they were not, or might not have been.
fn compare_params(context: &Context, old: &Archive, new: &Archive) -> bool {
    let same = diff::same_chunker_params(old, new);
    match same {
        Some(true) => {}
        Some(false) => context.log(Level::Warning, DIFFERENT_PARAMS),
        None => context.log(Level::Warning, UNKNOWN_PARAMS),
    }
    same == Some(true)
}

/// The differences on their way out.
struct DiffReport<'c> {
    context: &'c Context,
    push: fn(&Difference<'_>, &mut String),
    sorted: Option<Sorted>,
    stdout: Stdout,
}

impl DiffReport<'_> {
    fn make(
        mut self,
        session: &Session,
        old: &Archive,
        new: &Archive,
        options: diff::DiffOptions<'_>,
    ) -> Result<(), CliError> {
        let polled = PolledOperation::begin();
        diff::diff(session, old, new, options, |finding| self.take(&finding))?;
        drop(polled);
        for line in self
            .sorted
            .take()
            .map(Sorted::into_lines)
            .into_iter()
            .flatten()
        {
            self.stdout.text(&line)?;
        }
        self.stdout.finish()
    }

    fn take(&mut self, finding: &Finding<'_>) -> Result<(), CliError> {
        match finding {
            Finding::Difference(difference) => {
                if let Some(sorted) = &mut self.sorted {
                    let mut line = String::new();
                    (self.push)(difference, &mut line);
                    sorted.push(difference, line);
                } else {
                    (self.push)(difference, self.stdout.buffer());
                    self.stdout.flush_if_full()?;
                }
            }
            Finding::NoLinkSource { path, source } => {
                let message = format!(
                    "cannot find hardlink source for {} ({}), skipping compare.",
                    text::display(path),
                    text::display(source)
                );
                self.context.log(Level::Warning, message);
                self.context.reporter.exit.set_warning();
            }
        }
        Ok(())
    }
}
