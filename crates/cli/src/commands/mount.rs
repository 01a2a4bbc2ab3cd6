//! `mount`: shows archives as directories.

mod checks;
pub(crate) mod live;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::selection::ArchiveSelection;
use ironborg_archive::{INDEX_BYTES_PER_OBJECT, INDEX_LEN_MAX, PROGRAM_LEN, too_little_memory};
use ironborg_mount::content::Budget;
use ironborg_mount::follow::Follower;
use ironborg_mount::kernel::{self, Mounted};
use ironborg_mount::tree::{Reading, Root, Tree};
use ironborg_mount::{MountError, MountOwner, MountWords, ViewOptions};
use ironborg_source::PatternSet;
use ironborg_types::{ErrorKind, Level, Reporter, text};

use super::extract::selected_paths;
use super::{Run, Traits};
use crate::args::filters::{ArchiveFilter, ArchiveFilterArgs};
use crate::args::patterns::PatternArgs;
use crate::args::{ParseError, values};
use crate::console;
use crate::context::Context;
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::reporter::ARCHIVER;

/// Logger of the mount.
const LOGGER: &str = "borg.fuse";

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct MountArgs {
    /// Repository or archive to mount
    #[arg(value_name = "REPOSITORY_OR_ARCHIVE", required = true)]
    location: OsString,
    /// Directory to mount it on
    #[arg(value_name = "MOUNTPOINT", required = true)]
    mountpoint: OsString,
    /// Paths or patterns to show [default: all]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    paths: Vec<OsString>,
    /// Show checkpoint archives too
    #[arg(long)]
    consider_checkpoints: bool,
    /// Stay in the foreground until it is unmounted
    #[arg(short = 'f', long)]
    foreground: bool,
    /// Mount options, separated by commas
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Option<OsString>,
    /// Use user and group numbers only
    #[arg(long, alias = "numeric-owner")]
    numeric_ids: bool,
    #[command(flatten)]
    filters: ArchiveFilterArgs,
    #[command(flatten)]
    patterns: PatternArgs,
    /// Leave NUMBER leading components of each path out
    #[arg(long, value_name = "NUMBER", value_parser = values::int, default_value = "0",
          hide_default_value = true, help_heading = "Include/Exclude options")]
    strip_components: i64,
}

/// How long the command waits for the index of an archive, which may show that it is damaged, before it leaves the
/// mount alone. It is there and answers meanwhile; later the log alone would tell.
const FIRST_LOOK_MAX: Duration = Duration::from_millis(250);

/// What will be done.
#[derive(Debug)]
pub(crate) struct MountOptions {
    location: Location,
    mountpoint: OsString,
    paths: Vec<OsString>,
    foreground: bool,
    words: Option<String>,
    numeric_ids: bool,
    checkpoints: bool,
    filter: ArchiveFilter,
    /// As they were typed: files with patterns may be such that only one process can read them.
    patterns: PatternArgs,
    strip_components: usize,
}

impl MountArgs {
    /// Resolves location and placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<MountOptions, ParseError> {
        let name = "REPOSITORY_OR_ARCHIVE";
        Ok(MountOptions {
            location: parse.location(name, &self.location, ArchivePart::Optional, None)?,
            mountpoint: self.mountpoint,
            paths: self.paths,
            foreground: self.foreground,
            words: self
                .options
                .map(|words| text::display(words.as_bytes()).into_owned()),
            numeric_ids: self.numeric_ids,
            checkpoints: self.consider_checkpoints,
            filter: self.filters.resolve(parse)?,
            patterns: self.patterns,
            // Negative numbers count from the end in Python, where they make no sense either.
            strip_components: usize::try_from(self.strip_components).unwrap_or(0),
        })
    }
}

impl Run for MountOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            detaches: !self.foreground,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        checks::mountpoint(&self.mountpoint)?;
        let patterns = self.patterns.resolve().map_err(ParseError::into_error)?;
        let follower = context.follow(&self.location)?;
        let budget = budget(context)?;
        let reporter: Arc<dyn Reporter> = context.reporter.clone();
        let record = |level, logger, message: &str| {
            context.reporter.record(level, logger, message, None);
        };
        record(Level::Info, ARCHIVER, "Mounting filesystem");
        let words = MountWords::parse(self.words.as_deref())
            .map_err(|error| CliError::unexpected(format!("ValueError: {error}")))?;
        let view = self.view(context, patterns, words)?;
        let objects = follower.session().repository.len()? as u64;
        let reading = Reading {
            threads: context.threads(),
            budget,
        };
        let reading = within_memory(context, reading, objects)?;
        let root = self.root(&view, follower)?;
        let tree = Tree::new(root, &view, reading, reporter)?;
        let words = &view.words.kernel;
        let mounted = kernel::mount(tree, self.mountpoint.as_ref(), words, kernel::IDLE);
        let mounted = mounted.map_err(|error| refused(&error))?;
        self.stay(context, mounted)
    }
}

/// What libfuse would say itself goes to standard error as it is.
fn refused(error: &MountError) -> CliError {
    let reason = error.to_string();
    if !reason.is_empty() {
        console::stderr_line(&reason);
    }
    CliError::new(ErrorKind::RTError, &["FUSE mount failed"])
}

/// The same within the memory there may be, next to repositories of so many objects.
pub(super) fn within_memory(
    context: &Context,
    reading: Reading,
    objects: u64,
) -> Result<Reading, CliError> {
    let index = objects.saturating_mul(INDEX_BYTES_PER_OBJECT);
    let taken = PROGRAM_LEN + index.min(INDEX_LEN_MAX);
    let within = reading.within(context.memory(), taken);
    within.map_err(|needed| too_little_memory(needed).into())
}

/// Memory for chunks.
fn budget(context: &Context) -> Result<Budget, CliError> {
    let Some(value) = &context.environment.mount_data_cache_entries else {
        return Ok(Budget::DEFAULT);
    };
    let entries = checks::data_cache_entries(value)?;
    let message = format!("mount data cache capacity: {entries} chunks");
    context
        .reporter
        .record(Level::Debug, LOGGER, &message, None);
    Ok(Budget::chunks(u64::try_from(entries).unwrap_or(0)))
}

impl MountOptions {
    fn view(
        &self,
        context: &Context,
        patterns: PatternSet,
        words: MountWords,
    ) -> Result<ViewOptions, CliError> {
        let default_owner = MountOwner {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        };
        checks::owner(&words, default_owner)?;
        let paths = selected_paths(&self.paths, &patterns);
        Ok(ViewOptions {
            rules: patterns.rules,
            paths,
            strip_components: self.strip_components,
            parts: context.part_files(),
            selection: ArchiveSelection {
                glob: self.filter.names.glob()?,
                without_checkpoints: !self.checkpoints,
                ages: self.filter.ages,
                sort_by: self.filter.sort_by.0.clone(),
                first: self.filter.first.unwrap_or(0),
                last: self.filter.last.unwrap_or(0),
            },
            numeric_ids: self.numeric_ids,
            default_owner,
            words,
        })
    }

    /// What is going to be shown; what is wrong with it is said now.
    fn root(&self, view: &ViewOptions, follower: Follower) -> Result<Root, CliError> {
        let session = follower.session();
        let follower = Arc::new(follower);
        let Some(name) = &self.location.archive else {
            ironborg_archive::selection::select(&session.manifest, &view.selection)?;
            return Ok(if view.words.versions {
                Root::Versions(follower)
            } else {
                Root::Repository(follower)
            });
        };
        if view.words.versions {
            return Err(CliError::generic(
                "for versions view, do not specify a single archive, but always give the repository as location.",
            ));
        }
        let archive = session.load_archive(name)?;
        Ok(Root::Archive(follower, Box::new(archive)))
    }

    /// Goes to the background if that is wanted, and answers until it is unmounted.
    fn stay(&self, context: &Context, mounted: Mounted) -> Result<(), CliError> {
        let first_look = mounted.tree().warm_up();
        let live = live::Live::new(mounted)?;
        if let Some(error) = first_look.error_within(FIRST_LOOK_MAX) {
            return Err(live.refuse(error));
        }
        if !self.foreground {
            live::detach(context, self.location.is_remote())?;
        }
        live.until_unmounted(context, self.foreground)
    }
}
