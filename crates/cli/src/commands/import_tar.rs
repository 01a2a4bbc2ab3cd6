//! `import-tar`: makes an archive of a tarball.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use ironborg_archive::create::{CheckpointPolicy, CreateOptions};
use ironborg_archive::tar;
use ironborg_chunker::ChunkerParams;
use ironborg_format::Operation;
use ironborg_object::Compression;
use ironborg_source::{named_file, stream};
use ironborg_types::BytePath;

use super::create::{ShownFigures, chunker_params, compression};
use super::{Run, Traits};
use crate::args::{ParseError, values};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::levels::OutputLoggers;
use crate::signals::PolledOperation;
use crate::tar_filter::TarFilter;
use crate::timestamp;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportTarArgs {
    /// Archive to make, as REPOSITORY::NAME
    #[arg(value_name = "ARCHIVE", required = true)]
    location: OsString,
    /// Tarball to read; "-" is standard input
    #[arg(value_name = "TARFILE", required = true)]
    tarfile: OsString,
    /// Decompress through this program [default: by the ending of TARFILE, without a program]
    #[arg(
        long = "tar-filter",
        value_name = "TAR_FILTER",
        default_value = "auto",
        hide_default_value = true
    )]
    import_filter: String,
    /// Show statistics of the archive and the repository
    #[arg(short = 's', long)]
    stats: bool,
    /// Show statistics of the archive
    #[arg(long)]
    quick_stats: bool,
    /// List the files as they are done
    #[arg(long)]
    list: bool,
    /// List only those with one of these status letters
    #[arg(long, value_name = "STATUSCHARS")]
    filter: Option<String>,
    /// Report the archive as JSON
    #[arg(long)]
    json: bool,
    /// Go on behind blocks of zeros: for tarballs that were joined together
    #[arg(long)]
    ignore_zeros: bool,
    /// Comment to store
    #[arg(
        long,
        value_name = "COMMENT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Archive options"
    )]
    comment: OsString,
    /// Time of the archive (UTC), or a file whose time is used
    #[arg(long, value_name = "TIMESTAMP", help_heading = "Archive options")]
    timestamp: Option<OsString>,
    /// Save what is done every SECONDS [default: 1800]
    #[arg(short = 'c', long, value_name = "SECONDS", value_parser = values::int,
          default_value = "1800", hide_default_value = true, help_heading = "Archive options")]
    checkpoint_interval: i64,
    /// How files are cut into chunks
    #[arg(long, value_name = "PARAMS", value_parser = chunker_params, default_value = "default",
          hide_default_value = true, help_heading = "Archive options")]
    chunker_params: ChunkerParams,
    /// How chunks are compressed [default: lz4]
    #[arg(short = 'C', long, value_name = "COMPRESSION", value_parser = compression,
          default_value = "lz4", hide_default_value = true, help_heading = "Archive options")]
    compression: Compression,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ImportTarOptions {
    location: Location,
    tarfile: OsString,
    filter: TarFilter,
    ignore_zeros: bool,
    list: bool,
    shown: ShownFigures,
    status_filter: Option<String>,
    archive: CreateOptions,
}

impl ImportTarArgs {
    /// Resolves the location, placeholders and the timestamp.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ImportTarOptions, ParseError> {
        let timestamp = self
            .timestamp
            .as_deref()
            .map(timestamp::parse_option)
            .transpose()?;
        let location =
            parse.location("ARCHIVE", &self.location, ArchivePart::Required, timestamp)?;
        if self.stats && self.quick_stats {
            return Err(ParseError::stats_twice());
        }
        let checkpoints = CheckpointPolicy {
            interval: values::seconds(self.checkpoint_interval).unwrap_or(Duration::ZERO),
            volume: 0,
        };
        let name = BytePath::new(location.archive.clone().unwrap_or_default());
        let mut archive =
            CreateOptions::without_files(name, self.chunker_params, self.compression, checkpoints);
        archive.timestamp = timestamp;
        // No placeholders here: only other commands replace them.
        archive.comment = self.comment.as_bytes().to_vec();
        Ok(ImportTarOptions {
            location,
            filter: TarFilter::choose(&self.import_filter, &self.tarfile),
            tarfile: self.tarfile,
            ignore_zeros: self.ignore_zeros,
            list: self.list,
            shown: ShownFigures {
                stats: self.stats,
                quick_stats: self.quick_stats,
                json: self.json,
            },
            status_filter: self.filter,
            archive,
        })
    }
}

impl Run for ImportTarOptions {
    fn traits(&self) -> Traits {
        Traits {
            output: OutputLoggers {
                list: self.list,
                stats: self.shown.stats || self.shown.quick_stats,
                ..OutputLoggers::default()
            },
            status_filter: self.status_filter.clone(),
            takes_long: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut session =
            context.open_session(&self.location, Access::Write, &[Operation::Write])?;
        let file = if self.tarfile == "-" {
            stream::stdin().map_err(|error| CliError::unexpected(error.to_string()))
        } else {
            named_file::open(&self.tarfile).map_err(|error| CliError::unexpected(error.to_string()))
        }?;
        let _polled = PolledOperation::begin();
        let through = self.filter.read_through(context, file)?;
        let created = through.with(self.ignore_zeros, |options| {
            tar::import(&mut session, &self.archive, options)
        })?;
        self.shown.show(context, &session, &created)
    }
}
