//! `export-tar`: writes an archive as a tarball.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::tar::{self, TarFormat};
use ironborg_format::Operation;
use ironborg_source::{PatternSet, named_file};
use ironborg_types::BytePath;

use super::extract::{matcher, selected_paths};
use super::{Run, Traits};
use crate::args::patterns::PatternArgs;
use crate::args::{ParseError, values};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::levels::OutputLoggers;
use crate::signals::PolledOperation;
use crate::tar_filter::TarFilter;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportTarArgs {
    /// Archive to export
    #[arg(value_name = "ARCHIVE", required = true)]
    location: OsString,
    /// Tarball to write; "-" is standard output
    #[arg(value_name = "FILE", required = true)]
    tarfile: OsString,
    /// Paths or patterns to export [default: all]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    paths: Vec<OsString>,
    /// Compress through this program [default: by the ending of FILE, without a program]
    #[arg(
        long,
        value_name = "TAR_FILTER",
        default_value = "auto",
        hide_default_value = true
    )]
    tar_filter: String,
    /// List the files
    #[arg(long)]
    list: bool,
    /// GNU, or PAX to keep fractions of seconds, ACLs, extended attributes and flags [default: GNU]
    #[arg(long, value_name = "FORMAT", default_value = "GNU", hide_default_value = true,
          value_parser = OsStringValueParser::new().try_map(|v| values::choice(&v, &["GNU", "PAX"])))]
    tar_format: String,
    #[command(flatten)]
    patterns: PatternArgs,
    /// Leave NUMBER leading components of each path out
    #[arg(long, value_name = "NUMBER", value_parser = values::int, default_value = "0",
          hide_default_value = true, help_heading = "Include/Exclude options")]
    strip_components: i64,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ExportTarOptions {
    location: Location,
    tarfile: OsString,
    paths: Vec<BytePath>,
    patterns: PatternSet,
    filter: TarFilter,
    list: bool,
    format: TarFormat,
    strip_components: usize,
}

impl ExportTarArgs {
    /// Resolves location and patterns.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ExportTarOptions, ParseError> {
        let location = parse.location("ARCHIVE", &self.location, ArchivePart::Required, None)?;
        let patterns = self.patterns.resolve()?;
        Ok(ExportTarOptions {
            location,
            paths: selected_paths(&self.paths, &patterns),
            patterns,
            filter: TarFilter::choose(&self.tar_filter, &self.tarfile),
            tarfile: self.tarfile,
            list: self.list,
            format: match self.tar_format.as_str() {
                "PAX" => TarFormat::Pax,
                _ => TarFormat::Gnu,
            },
            // Negative numbers count from the end in Python, where they make no sense either.
            strip_components: usize::try_from(self.strip_components).unwrap_or(0),
        })
    }
}

impl Run for ExportTarOptions {
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
        let options = tar::ExportOptions {
            matcher: matcher(self.patterns, &self.paths)?,
            strip_components: self.strip_components,
            parts: context.part_files(),
            list: self.list,
            format: self.format,
        };
        let file = if self.tarfile == "-" {
            named_file::stdout()
        } else {
            named_file::create(&self.tarfile)
        };
        let file = file.map_err(|error| CliError::unexpected(error.to_string()))?;
        let _polled = PolledOperation::begin();
        self.filter.write_through(context, file, |out| {
            Ok(tar::export(&session, &archive, out, options)?)
        })
    }
}
