//! `create`: makes an archive.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::Session;
use ironborg_archive::create::{
    self, CheckpointPolicy, Created, FilesAhead, FilesChanged, Input, Metadata, PipedFile,
    Selection,
};
use ironborg_archive::info::ARCHIVE_CSIZE_MAX;
use ironborg_archive::items::PartFiles;
use ironborg_archive::statistics::{self, CacheStatistics};
use ironborg_cache::FilesCacheMode;
use ironborg_chunker::ChunkerParams;
use ironborg_format::Operation;
use ironborg_object::Compression;
use ironborg_source::{PatternMatcher, PatternSet};
use ironborg_types::{BytePath, Level, text};

use super::{Run, Traits};
use crate::args::patterns::PatternArgs;
use crate::args::{ParseError, escapes, values};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::{Location, Protocol};
use crate::output::float::percent;
use crate::output::json::Json;
use crate::output::pyformat::repr;
use crate::output::size::{SizeUnits, format_duration};
use crate::output::stats::{self, DASHES, HEADER};
use crate::output::time;
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::levels::OutputLoggers;
use crate::signals::PolledOperation;
use crate::timestamp;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// Archive to make, as REPOSITORY::NAME
    #[arg(value_name = "ARCHIVE", required = true)]
    location: OsString,
    /// What to archive
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    paths: Vec<OsString>,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
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
    /// Accepted for compatibility: there is no cache to synchronise
    #[arg(long)]
    no_cache_sync: bool,
    /// Path of piped data in the archive
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    stdin_name: OsString,
    /// Owner of piped data
    #[arg(long, value_name = "USER", default_value = "root")]
    stdin_user: OsString,
    /// Group of piped data
    #[arg(long, value_name = "GROUP", default_value = "root")]
    stdin_group: OsString,
    /// Permissions of piped data, octal
    #[arg(long, value_name = "M", default_value = "0660", value_parser = values::octal)]
    stdin_mode: u32,
    /// PATH is a command whose output becomes one file
    #[arg(long)]
    content_from_command: bool,
    /// Read the paths to archive from standard input
    #[arg(long)]
    paths_from_stdin: bool,
    /// PATH is a command that prints the paths to archive
    #[arg(long)]
    paths_from_command: bool,
    /// What ends a path in such a list, with backslash escapes [default: \n]
    #[arg(long, value_name = "DELIM")]
    paths_delimiter: Option<String>,
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
    /// Leave out what has the nodump flag
    #[arg(long, help_heading = "Include/Exclude options")]
    exclude_nodump: bool,
    /// Leave out files whose content is elsewhere (macOS)
    #[arg(long, help_heading = "Include/Exclude options")]
    exclude_dataless: bool,
    /// Stay in the file system of each PATH
    #[arg(short = 'x', long, help_heading = "Filesystem options")]
    one_file_system: bool,
    /// Store user and group numbers only
    #[arg(long, alias = "numeric-owner", help_heading = "Filesystem options")]
    numeric_ids: bool,
    /// Accepted: access times are not stored anyway
    #[arg(long, hide = true, help_heading = "Filesystem options")]
    noatime: bool,
    /// Store access times
    #[arg(long, help_heading = "Filesystem options")]
    atime: bool,
    /// Do not store change times
    #[arg(long, help_heading = "Filesystem options")]
    noctime: bool,
    /// Do not store creation times
    #[arg(long, help_heading = "Filesystem options")]
    nobirthtime: bool,
    /// Old name of --noflags
    #[arg(long, hide = true, help_heading = "Filesystem options")]
    nobsdflags: bool,
    /// Do not store flags such as immutable
    #[arg(long, help_heading = "Filesystem options")]
    noflags: bool,
    /// Do not store ACLs
    #[arg(long, help_heading = "Filesystem options")]
    noacls: bool,
    /// Do not store extended attributes
    #[arg(long, help_heading = "Filesystem options")]
    noxattrs: bool,
    /// Look for holes in files (with a fixed chunker)
    #[arg(long, help_heading = "Filesystem options")]
    sparse: bool,
    /// How unchanged files are recognised [default: ctime,size,inode]
    #[arg(long, value_name = "MODE", value_parser = files_cache_mode,
          default_value = "ctime,size,inode", hide_default_value = true, help_heading = "Filesystem options")]
    files_cache: FilesCacheMode,
    /// How files that change meanwhile are recognised: ctime, mtime or disabled [default: ctime]
    #[arg(long, value_name = "MODE", default_value = "ctime", hide_default_value = true, help_heading = "Filesystem options",
          value_parser = OsStringValueParser::new().try_map(|v| values::choice(&v, &["ctime", "mtime", "disabled"])))]
    files_changed: String,
    /// Read devices and fifos like files
    #[arg(long, help_heading = "Filesystem options")]
    read_special: bool,
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
    /// Save what is done after so much new data, such as 20G [default: do not]
    // Not "--checkpoint-volume": that would make "--checkpoint 600" ambiguous, which stock Borg takes.
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "0",
          hide_default_value = true, help_heading = "Archive options")]
    volume_between_checkpoints: u64,
    /// How files are cut into chunks
    #[arg(long, value_name = "PARAMS", value_parser = chunker_params, default_value = "default",
          hide_default_value = true, help_heading = "Archive options")]
    chunker_params: ChunkerParams,
    /// How chunks are compressed [default: lz4]
    #[arg(short = 'C', long, value_name = "COMPRESSION", value_parser = compression,
          default_value = "lz4", hide_default_value = true, help_heading = "Archive options")]
    compression: Compression,
}

fn files_cache_mode(text: &str) -> Result<FilesCacheMode, String> {
    text.parse()
        .map_err(|error: ironborg_cache::InvalidFilesCacheMode| error.to_string())
}

pub(crate) fn chunker_params(text: &str) -> Result<ChunkerParams, String> {
    text.parse()
        .map_err(|error: ironborg_chunker::InvalidChunkerParams| {
            let message = error.to_string();
            // Argparse has words of its own for what Python's `int` refuses.
            if message.starts_with("invalid literal") {
                return format!("invalid ChunkerParams value: {}", repr(text));
            }
            message
        })
}

pub(crate) fn compression(text: &str) -> Result<Compression, String> {
    text.parse()
        .map_err(|error: ironborg_object::InvalidCompression| error.to_string())
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CreateOptions {
    /// Where the archive goes.
    pub(crate) location: Location,
    /// Only say what would be done.
    pub(crate) dry_run: bool,
    /// What is shown when it is done.
    pub(crate) shown: ShownFigures,
    /// List the files.
    pub(crate) list: bool,
    /// Only those with one of these status letters.
    pub(crate) filter: Option<String>,
    /// What the archive is made of.
    pub(crate) archive: create::CreateOptions,
}

impl CreateArgs {
    /// Resolves location, placeholders, patterns and the timestamp.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<CreateOptions, ParseError> {
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
        let comment = parse.expand("--comment", self.comment.as_bytes())?;
        let patterns = self.patterns.resolve()?;
        let files_changed = match self.files_changed.as_str() {
            "mtime" => FilesChanged::Mtime,
            "disabled" => FilesChanged::Disabled,
            _ => FilesChanged::Ctime,
        };
        let archive = create::CreateOptions {
            name: BytePath::new(location.archive.clone().unwrap_or_default()),
            comment,
            timestamp,
            input: self.input(&patterns)?,
            piped: PipedFile {
                name: BytePath::new(self.stdin_name.as_bytes()),
                user: self.stdin_user.as_bytes().to_vec(),
                group: self.stdin_group.as_bytes().to_vec(),
                mode: self.stdin_mode,
            },
            metadata: self.metadata(),
            selection: self.selection(patterns),
            files_changed,
            files_cache: self.files_cache,
            files_cache_suffix: parse.environment.files_cache_suffix(),
            files_cache_ttl: parse.environment.files_cache_ttl,
            chunker: self.chunker_params,
            sparse: self.sparse,
            compression: self.compression,
            checkpoints: CheckpointPolicy {
                interval: values::seconds(self.checkpoint_interval).unwrap_or(Duration::ZERO),
                volume: self.volume_between_checkpoints,
            },
        };
        Ok(CreateOptions {
            location,
            dry_run: self.dry_run,
            shown: ShownFigures {
                stats: self.stats,
                quick_stats: self.quick_stats,
                json: self.json,
            },
            list: self.list,
            filter: self.filter,
            archive,
        })
    }

    /// Which files are archived.
    fn selection(&self, patterns: PatternSet) -> Selection {
        Selection {
            matcher: PatternMatcher::new(patterns.rules, true),
            exclude_caches: self.exclude_caches,
            exclude_if_present: self
                .exclude_if_present
                .iter()
                .map(|name| BytePath::new(name.as_bytes()))
                .collect(),
            keep_exclude_tags: self.keep_exclude_tags,
            exclude_nodump: self.exclude_nodump,
            one_file_system: self.one_file_system,
            read_special: self.read_special,
            never: Vec::new(),
        }
    }

    /// What is recorded of each.
    fn metadata(&self) -> Metadata {
        Metadata {
            numeric_ids: self.numeric_ids,
            atime: self.atime,
            noctime: self.noctime,
            nobirthtime: self.nobirthtime,
            noflags: self.noflags || self.nobsdflags,
            noacls: self.noacls,
            noxattrs: self.noxattrs,
        }
    }

    /// Where files come from; the checks are stock Borg's, in its words.
    fn input(&self, patterns: &PatternSet) -> Result<Input, ParseError> {
        let usage = |text: &str| Err(ParseError::ProgramUsage(text.to_owned()));
        let roots = patterns.roots.iter().cloned();
        let given = self.paths.iter().map(|path| BytePath::new(path.as_bytes()));
        let paths: Vec<BytePath> = roots.chain(given).collect();
        if !paths.is_empty() && self.paths_from_stdin {
            return usage("Must not pass PATH with ``--paths-from-stdin``.");
        }
        if paths.is_empty() && (self.content_from_command || self.paths_from_command) {
            return usage("No command given.");
        }
        if paths.is_empty() && !self.paths_from_stdin {
            return usage("Need at least one PATH argument.");
        }
        let delimiter = match &self.paths_delimiter {
            Some(text) => escapes::evaluate(text)
                .ok_or_else(|| ParseError::argument("--paths-delimiter", "bad backslash escape"))?,
            None => b"\n".to_vec(),
        };
        let command = || {
            paths
                .iter()
                .map(|word| OsString::from_vec(word.to_vec()))
                .collect()
        };
        Ok(if self.content_from_command {
            Input::ContentFromCommand { command: command() }
        } else if self.paths_from_command {
            Input::PathsFromCommand {
                command: command(),
                delimiter,
            }
        } else if self.paths_from_stdin {
            Input::PathsFromStdin { delimiter }
        } else if self.paths.is_empty() {
            // Stock Borg walks the roots of pattern files twice when no PATH is given. The second walk
            // finds everything done already, but its warnings and exclusions show.
            Input::Roots(paths.iter().chain(&paths).cloned().collect())
        } else {
            Input::Roots(paths)
        })
    }
}

impl Run for CreateOptions {
    fn traits(&self) -> Traits {
        let shown = self.shown;
        let statistics = [
            ("--stats", shown.stats),
            ("--quick-stats", shown.quick_stats),
        ];
        let ignored = statistics
            .into_iter()
            .filter(|(_, given)| self.dry_run && *given);
        Traits {
            output: OutputLoggers {
                list: self.list,
                stats: shown.stats || shown.quick_stats,
                ..OutputLoggers::default()
            },
            status_filter: self.filter.clone(),
            ignored: ignored.map(|(option, _)| option).collect(),
            takes_long: true,
            ..Traits::default()
        }
    }

    fn run(mut self: Box<Self>, context: &Context) -> Result<(), CliError> {
        self.archive.selection.never = never_archived(context, &self.location);
        let shown = text::display(&self.location.processed).into_owned();
        let announce = || context.log(Level::Info, format!("Creating archive at \"{shown}\""));
        if self.dry_run {
            announce();
            let client = context.client(&self.location);
            return Ok(create::dry_run(&client, &self.archive)?);
        }
        let (mut session, files) = context.open_session_and(
            &self.location,
            Access::Write,
            &[Operation::Write],
            |client, repository| FilesAhead::begin(client, repository, &self.archive),
        )?;
        announce();
        let _polled = PolledOperation::begin();
        let created = create::create_with(&mut session, &self.archive, files)?;
        context.note(|figures| {
            let stats = &created.stats;
            figures.archive = Some(text::display(&created.name).into_owned());
            figures.files = Some(stats.nfiles);
            figures.original_size = Some(stats.size);
            figures.compressed_size = Some(stats.csize);
            figures.deduplicated_size = Some(stats.unique_csize);
        });
        self.shown.show(context, &session, &created)
    }
}

/// Which figures of the new archive are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShownFigures {
    /// Those of the archive and the repository.
    pub(crate) stats: bool,
    /// Those of the archive.
    pub(crate) quick_stats: bool,
    /// All of it as JSON.
    pub(crate) json: bool,
}

impl ShownFigures {
    /// Shows them.
    pub(crate) fn show(
        self,
        context: &Context,
        session: &Session,
        created: &Created,
    ) -> Result<(), CliError> {
        if !(self.stats || self.quick_stats || self.json) {
            return Ok(());
        }
        let all = if self.quick_stats {
            None
        } else {
            Some(statistics::all_archives(session, PartFiles::Skip)?)
        };
        if self.json {
            return print_json(context, session, created, all.as_ref());
        }
        context
            .reporter
            .stats(&block(context, session, created, all.as_ref()));
        Ok(())
    }
}

/// What never belongs into an archive: the caches and the repository itself.
pub(crate) fn never_archived(context: &Context, location: &Location) -> Vec<BytePath> {
    let mut never = vec![BytePath::new(
        context.directories.cache.as_os_str().as_bytes(),
    )];
    if location.protocol == Protocol::File {
        never.push(BytePath::new(location.path.clone()));
    }
    never
}

/// The statistics of an archive that was made.
pub(crate) fn block(
    context: &Context,
    session: &Session,
    created: &Created,
    all: Option<&CacheStatistics>,
) -> String {
    let units = context.units();
    let mut block = format!(
        "{DASHES}\n{}{DASHES}\n{HEADER}\n{}\n",
        facts(session, created),
        figures(created, units)
    );
    if let Some(all) = all {
        block.push_str(&stats::cache_block(all, units));
        block.push('\n');
    }
    block.push_str(DASHES);
    block
}

/// Facts about an archive that was made.
pub(crate) fn facts(session: &Session, created: &Created) -> String {
    let time = |at| time::text(time::local_time(at));
    format!(
        "Repository: {}\nArchive name: {}\nArchive fingerprint: {}\nTime (start): {}\nTime (end):   {}\n\
         Duration: {}\nNumber of files: {}\nUtilization of max. archive size: {}\n",
        session.client.location,
        created.name,
        created.id,
        time(created.start),
        time(created.end),
        format_duration(created.end.0 - created.start.0),
        created.stats.nfiles,
        percent(share_of_limit(created)),
    )
}

/// The line of its sizes.
pub(crate) fn figures(created: &Created, units: SizeUnits) -> String {
    let figures = &created.stats;
    let sizes = [figures.size, figures.csize, figures.unique_csize]
        .map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    stats::size_line("This archive:", sizes, units)
}

/// How much of the largest possible archive it takes.
fn share_of_limit(created: &Created) -> f64 {
    f64::from(created.metadata_csize) / f64::from(ARCHIVE_CSIZE_MAX)
}

fn print_json(
    context: &Context,
    session: &Session,
    created: &Created,
    all: Option<&CacheStatistics>,
) -> Result<(), CliError> {
    let figures = &created.stats;
    let words = context
        .command_line
        .iter()
        .map(|word| Json::Bytes(word.as_bytes().to_vec()));
    let limits = vec![("max_archive_size", Json::Float(share_of_limit(created)))];
    let archive = Json::Object(vec![
        ("command_line", Json::List(words.collect())),
        (
            "duration",
            Json::Float((created.end.0 - created.start.0) as f64 / 1e6),
        ),
        ("end", stats::json_time(created.end)),
        ("id", created.id.to_string().into()),
        ("limits", Json::Object(limits)),
        ("name", Json::Bytes(created.name.to_vec())),
        ("start", stats::json_time(created.start)),
        (
            "stats",
            Json::Object(vec![
                ("compressed_size", figures.csize.into()),
                ("deduplicated_size", figures.unique_csize.into()),
                ("nfiles", figures.nfiles.into()),
                ("original_size", figures.size.into()),
            ]),
        ),
    ]);
    let mut document = stats::json_basics(session);
    document.push(("archive", archive));
    if let Some(all) = all {
        document.push(("cache", stats::json_cache(context, session, all)));
    }
    context.print_json(document)
}
