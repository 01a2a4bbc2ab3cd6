//! `extract`: brings the files of an archive back.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::extract::{self, Destination};
use ironborg_format::Operation;
use ironborg_source::{PatternMatcher, PatternSet, RestoreOptions};
use ironborg_types::BytePath;

use super::{Run, Traits};
use crate::args::patterns::PatternArgs;
use crate::args::{ParseError, values};
use crate::console::RawStdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::levels::OutputLoggers;
use crate::signals::PolledOperation;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ExtractArgs {
    /// Archive to extract
    #[arg(value_name = "ARCHIVE", required = true)]
    location: OsString,
    /// Paths or patterns to extract [default: all]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    paths: Vec<OsString>,
    /// List the files
    #[arg(long)]
    list: bool,
    /// Only read and check, write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Use user and group numbers only
    #[arg(long, alias = "numeric-owner")]
    numeric_ids: bool,
    /// Old name of --noflags
    #[arg(long, hide = true)]
    nobsdflags: bool,
    /// Do not set flags such as immutable
    #[arg(long)]
    noflags: bool,
    /// Do not set ACLs
    #[arg(long)]
    noacls: bool,
    /// Do not set extended attributes
    #[arg(long)]
    noxattrs: bool,
    /// Write the content of files to standard output
    #[arg(long)]
    stdout: bool,
    /// Make holes where there are only zeros
    #[arg(long)]
    sparse: bool,
    #[command(flatten)]
    patterns: PatternArgs,
    /// Leave NUMBER leading components of each path out
    #[arg(long, value_name = "NUMBER", value_parser = values::int, default_value = "0",
          hide_default_value = true, help_heading = "Include/Exclude options")]
    strip_components: i64,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ExtractOptions {
    location: Location,
    paths: Vec<BytePath>,
    patterns: PatternSet,
    list: bool,
    dry_run: bool,
    stdout: bool,
    sparse: bool,
    attributes: RestoreOptions,
    strip_components: usize,
}

impl ExtractArgs {
    /// Resolves location and patterns.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ExtractOptions, ParseError> {
        let location = parse.location("ARCHIVE", &self.location, ArchivePart::Required, None)?;
        let patterns = self.patterns.resolve()?;
        Ok(ExtractOptions {
            location,
            paths: selected_paths(&self.paths, &patterns),
            patterns,
            list: self.list,
            dry_run: self.dry_run,
            stdout: self.stdout,
            sparse: self.sparse,
            attributes: RestoreOptions {
                numeric_ids: self.numeric_ids,
                acls: !self.noacls,
                xattrs: !self.noxattrs,
                flags: !(self.noflags || self.nobsdflags),
            },
            // Negative numbers count from the end in Python, where they make no sense either.
            strip_components: usize::try_from(self.strip_components).unwrap_or(0),
        })
    }
}

impl Run for ExtractOptions {
    fn traits(&self) -> Traits {
        Traits {
            output: OutputLoggers {
                list: self.list,
                ..OutputLoggers::default()
            },
            may_bypass_lock: true,
            takes_long: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[Operation::Read])?;
        let name = self.location.archive.as_deref().unwrap_or_default();
        let archive = session.load_archive(name)?;
        let options = extract::ExtractOptions {
            matcher: matcher(self.patterns, &self.paths)?,
            strip_components: self.strip_components,
            parts: context.part_files(),
            list: self.list,
        };
        let mut stdout = RawStdout;
        let destination = if self.dry_run {
            Destination::Nowhere
        } else if self.stdout {
            Destination::Stream(&mut stdout)
        } else {
            let (attributes, sparse) = (self.attributes, self.sparse);
            Destination::Directory {
                path: b".",
                attributes,
                sparse,
            }
        };
        let _polled = PolledOperation::begin();
        let outcome = extract::extract(&session, &archive, destination, options)?;
        if outcome.attributes_missing {
            context.reporter.exit.set_warning();
        }
        Ok(())
    }
}

/// The PATH arguments; without any, the roots that pattern files name.
pub(crate) fn selected_paths(given: &[OsString], patterns: &PatternSet) -> Vec<BytePath> {
    if given.is_empty() {
        return patterns.roots.clone();
    }
    given
        .iter()
        .map(|path| BytePath::new(path.as_bytes()))
        .collect()
}

/// The matcher of patterns and PATH arguments.
pub(crate) fn matcher(
    patterns: PatternSet,
    paths: &[BytePath],
) -> Result<PatternMatcher, CliError> {
    PatternMatcher::with_include_paths(patterns.rules, paths)
        .map_err(|error| CliError::unexpected(error.to_string()))
}
