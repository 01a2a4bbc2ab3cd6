//! `backup`: the main job with nothing configured; a layer over `init` and `create`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use ironborg_archive::create::{
    self, CheckpointPolicy, FilesChanged, Input, Metadata, PipedFile, Selection,
};
use ironborg_archive::items::PartFiles;
use ironborg_archive::{Session, statistics};
use ironborg_cache::FilesCacheMode;
use ironborg_chunker::ChunkerParams;
use ironborg_crypto::KeyMode;
use ironborg_format::Operation;
use ironborg_object::Compression;
use ironborg_repository::{CreateOptions, LocalRepository};
use ironborg_source::named_file;
use ironborg_source::{PatternMatcher, PatternSet};
use ironborg_types::{BytePath, Level, text};

use super::{Run, Traits};
use crate::args::ParseError;
use crate::args::patterns::PatternArgs;
use crate::context::{Access, Context};
use crate::default_repository::ChosenRepository;
use crate::error::{Cause, CliError};
use crate::location::{Location, Protocol, normalise_path};
use crate::parse::ParseContext;
use crate::placeholders::Placeholders;
use crate::reporter::levels::OutputLoggers;
use crate::signals::PolledOperation;
use crate::stored_passphrase;

/// How the first repository is protected.
const MODE: KeyMode = KeyMode::RepokeyBlake2;
/// Name of an archive.
const ARCHIVE_NAME: &[u8] = b"{hostname}-{now}";
/// Time between checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_mins(30);

/// What may be typed.
///
/// On first use this makes an encrypted repository (where --repo or BORG_REPO says, else in your data
/// directory) and, unless you give one, a passphrase that is kept in a file only you can read.
/// Every run then makes an archive HOSTNAME-TIME of the paths; caches are left out.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// What to back up
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
    /// Repository [default: BORG_REPO, else one in your data directory]
    #[arg(long, value_name = "REPOSITORY")]
    repo: Option<OsString>,
    /// List the files
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    patterns: PatternArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct BackupOptions {
    repository: ChosenRepository,
    paths: Vec<BytePath>,
    patterns: PatternSet,
    list: bool,
    name: Vec<u8>,
}

impl BackupArgs {
    /// Resolves the repository, the patterns and the paths, which become absolute.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<BackupOptions, ParseError> {
        let patterns = self.patterns.resolve()?;
        let given = self.paths.iter().map(|path| path.as_bytes());
        let roots = patterns.roots.iter().map(|root| &root[..]);
        Ok(BackupOptions {
            repository: ChosenRepository::resolve(self.repo.as_ref(), parse)?,
            paths: roots
                .chain(given)
                .map(|path| absolute(path, parse.cwd))
                .collect(),
            patterns,
            list: self.list,
            name: Placeholders::new(parse.identity)
                .expand(ARCHIVE_NAME)
                .expect("the name's placeholders exist"),
        })
    }
}

/// A path as it can be found again from any directory.
pub(crate) fn absolute(path: &[u8], cwd: &[u8]) -> BytePath {
    let joined = if path.starts_with(b"/") {
        path.to_vec()
    } else {
        [cwd, b"/", path].concat()
    };
    BytePath::new(normalise_path(&joined))
}

impl Run for BackupOptions {
    fn traits(&self) -> Traits {
        Traits {
            output: OutputLoggers {
                list: self.list,
                stats: true,
                ..OutputLoggers::default()
            },
            progress_on_terminal: true,
            takes_long: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let location = self.repository.location(context);
        let is_default = matches!(self.repository, ChosenRepository::Default);
        let is_there = if location.protocol == Protocol::File {
            let path = context.local_path(&location)?;
            LocalRepository::is_repository(&path)
                && (!is_default || named_file::exists(&path.join("config")))
        } else {
            is_there(context, &location)?
        };
        let mut session = if is_there {
            context.open_session(&location, Access::Write, &[Operation::Write])?
        } else {
            make_repository(context, &location)?
        };
        let mut name = self.name.clone();
        let mut number = 1;
        while session.manifest.archives.contains_key(&name[..]) {
            number += 1;
            name = [&self.name[..], format!("-{number}").as_bytes()].concat();
        }
        let options = self.create_options(context, &location, name);
        let _polled = PolledOperation::begin();
        let created = create::create(&mut session, &options)?;
        let all = statistics::all_archives(&session, PartFiles::Skip)?;
        context.reporter.stats(&super::create::block(
            context,
            &session,
            &created,
            Some(&all),
        ));
        Ok(())
    }
}

impl BackupOptions {
    fn create_options(
        self,
        context: &Context,
        location: &Location,
        name: Vec<u8>,
    ) -> create::CreateOptions {
        create::CreateOptions {
            name: BytePath::new(name),
            comment: Vec::new(),
            timestamp: None,
            input: Input::Roots(self.paths),
            piped: PipedFile {
                name: BytePath::from("stdin"),
                user: b"root".to_vec(),
                group: b"root".to_vec(),
                mode: 0o660,
            },
            selection: Selection {
                matcher: PatternMatcher::new(self.patterns.rules, true),
                exclude_caches: true,
                exclude_if_present: Vec::new(),
                keep_exclude_tags: false,
                exclude_nodump: false,
                one_file_system: false,
                read_special: false,
                never: super::create::never_archived(context, location),
            },
            metadata: Metadata::default(),
            files_changed: FilesChanged::Ctime,
            files_cache: FilesCacheMode::DEFAULT,
            files_cache_suffix: context.environment.files_cache_suffix(),
            files_cache_ttl: context.environment.files_cache_ttl,
            chunker: ChunkerParams::DEFAULT,
            sparse: false,
            compression: Compression::Zstd(3),
            checkpoints: CheckpointPolicy {
                interval: CHECKPOINT_INTERVAL,
                volume: 0,
            },
        }
    }
}

/// Makes the repository, with a passphrase made up where none is given, and says what was done.
fn make_repository(context: &Context, location: &Location) -> Result<Session, CliError> {
    let create = CreateOptions {
        append_only: false,
        storage_quota: None,
        make_parent_dirs: true,
    };
    let repository = context.create_repository(location, &create)?;
    let id = repository.id();
    let given = &context.environment.passphrases;
    let made_up = !given.is_given() && given.new_passphrase.is_none();
    let mut passphrases = given.clone();
    if made_up {
        // On disk before it protects anything: there is no moment at which nobody knows it.
        passphrases.passphrase = Some(stored_passphrase::create(&context.config(), id)?);
    }
    let client = context.client_with(location, passphrases);
    let session = context
        .initialise(repository, location, client, MODE, None)
        .inspect_err(|_| {
            if made_up && matches!(is_there(context, location), Ok(false)) {
                stored_passphrase::remove(&context.config(), id);
            }
        })?;
    let stored = made_up.then(|| stored_passphrase::path(&context.config(), id));
    context.log(
        Level::Warning,
        announcement(&context.canonical(location), stored.as_deref()),
    );
    Ok(session)
}

/// Whether there is a repository at a location.
fn is_there(context: &Context, location: &Location) -> Result<bool, CliError> {
    match context.open_repository(location, Access::Unlocked) {
        Ok(_) => Ok(true),
        Err(error)
            if error.cause == Cause::Kind(ironborg_types::ErrorKind::RepositoryDoesNotExist) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What the user has to know about a new repository.
fn announcement(location: &str, stored: Option<&Path>) -> String {
    let quoted = |text: &str| {
        let mut out = String::new();
        crate::output::shell::push_quoted(text, &mut out);
        out
    };
    let passphrase = match stored {
        Some(path) => format!(
            "A passphrase was made up; it is kept in\n  {}\n(readable by you only) and found there by itself.",
            path.display()
        ),
        None => "The passphrase is the one you gave.".to_owned(),
    };
    let copy = match stored {
        Some(path) => {
            let path = text::display(path.as_os_str().as_bytes()).into_owned();
            format!("\n  cp {} SOMEWHERE-ELSE", quoted(&path))
        }
        None => String::new(),
    };
    format!(
        "A new encrypted repository was made ({}):\n  {location}\n\
         Its key is stored inside of it, protected by a passphrase.\n{passphrase}\n\n\
         IMPORTANT: without key AND passphrase nobody can read the backups. Keep copies elsewhere:\n  \
         borg key export {} key-backup.txt{copy}\n",
        MODE.name(),
        quoted(location),
    )
}
