//! `automount serve`: shows the repositories of a directory, each opened when it is entered.
//!
//! It is what the service runs. It is told to end by a signal, unmounts then, and has done well.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ironborg_archive::selection::{ArchiveSelection, SortKey};
use ironborg_mount::content::Budget;
use ironborg_mount::kernel;
use ironborg_mount::tree::{NamedRepository, OpenRepository, Reading, Root, Tree};
use ironborg_mount::{MountError, MountOwner, MountWords, ViewOptions};
use ironborg_source::named_file;
use ironborg_source::pattern::NameGlob;
use ironborg_types::{BytePath, ErrorKind, Reporter, text};

use super::config::{Config, Shown};
use super::mounts::OnIt;

use super::{clean, enabled, shown};
use crate::args::ParseError;
use crate::commands::mount::live::Live;
use crate::commands::mount::within_memory;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::environment::PassphraseVariables;
use crate::error::{Cause, CliError};
use crate::parse::ParseContext;
use crate::service_notifier::Notifier;
use crate::signals;

/// What the kernel is told is mounted.
const KERNEL_WORDS: [&str; 2] = ["fsname=ironborg", "subtype=ironborg"];
/// Words of `-o` that let others in, or wish for modes to be enforced.
const ENFORCING: [&str; 4] = [
    "allow_other",
    "allow_root",
    "default_permissions",
    "ignore_permissions",
];

/// What may be typed.
///
/// This is what the service runs that `enable` makes. Where no service manager runs, it does the
/// same for as long as it runs.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// What was enabled
    #[arg(value_name = "DIR", required = true)]
    dir: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ServeOptions {
    args: ServeArgs,
    cwd: Vec<u8>,
}

impl ServeArgs {
    /// There is nothing to resolve.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ServeOptions, ParseError> {
        Ok(ServeOptions {
            args: self,
            cwd: parse.cwd.to_vec(),
        })
    }
}

impl Run for ServeOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let directory = super::directory(&self.args.dir, &self.cwd)?;
        let config = enabled(context, &directory)?;
        prepare(&directory)?;
        let status = Arc::new(Status::new(context, &config));
        let words = words(&config)?;
        let mut named = Vec::new();
        for repository in &config.repositories {
            named.push(NamedRepository {
                name: BytePath::new(repository.name.as_bytes()),
                view: view(context, repository, &words)?,
                open: opener(context, repository.clone(), Arc::clone(&status)),
            });
        }
        let reading = Reading {
            threads: context.threads(),
            budget: Budget::DEFAULT,
        };
        // What repositories will take is not known before somebody enters them.
        let reading = within_memory(context, reading, 0)?;
        let reporter: Arc<dyn Reporter> = context.reporter.clone();
        let whole = view_of(context, ArchiveSelection::default(), &words);
        let tree = Tree::new(Root::Repositories(named), &whole, reading, reporter)?;
        let mounted =
            kernel::mount(tree, &directory, &words.kernel, config.idle).map_err(|error| {
                CliError::new(
                    ErrorKind::RTError,
                    &[&format!("FUSE mount failed: {error}")],
                )
            })?;
        let live = Live::new(mounted)?;
        status.ready();
        let ended = live.until_told_to_end(|| status.notifier.stopping());
        signals::has_ended();
        ended
    }
}

/// Sees that there is a directory with nothing on it, least of all what a dead process has left.
fn prepare(directory: &Path) -> Result<(), CliError> {
    clean::clean(directory)?;
    if OnIt::look(directory) != OnIt::Nothing {
        let message = format!(
            "{}: something is mounted there",
            shown(directory.as_os_str())
        );
        return Err(CliError::generic(message));
    }
    named_file::make_directories(directory, 0o700)
        .map_err(|error| CliError::generic(error.to_string()))
}

/// What `-o` says. Unless it is for others as well, modes are shown but keep nobody out: who has the key may read.
fn words(config: &Config) -> Result<MountWords, CliError> {
    let given = config.options.as_deref().unwrap_or_default();
    let is_enforcing = |word: &str| {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        ENFORCING.contains(&name)
    };
    let mut all: Vec<&str> = KERNEL_WORDS.to_vec();
    if !given.split(',').any(is_enforcing) {
        all.push("ignore_permissions");
    }
    all.extend(given.split(',').filter(|word| !word.is_empty()));
    MountWords::parse(Some(&all.join(","))).map_err(|error| CliError::generic(error.to_string()))
}

fn view(
    context: &Context,
    repository: &Shown,
    words: &MountWords,
) -> Result<ViewOptions, CliError> {
    let glob = repository.glob_archives.as_deref();
    let glob = glob
        .map(|glob| NameGlob::new(&text::display(glob.as_bytes())))
        .transpose();
    let selection = ArchiveSelection {
        glob: glob.map_err(|error| CliError::generic(error.to_string()))?,
        without_checkpoints: true,
        sort_by: vec![SortKey::Timestamp],
        ..ArchiveSelection::default()
    };
    Ok(view_of(context, selection, words))
}

fn view_of(context: &Context, selection: ArchiveSelection, words: &MountWords) -> ViewOptions {
    ViewOptions {
        rules: Vec::new(),
        paths: Vec::new(),
        strip_components: 0,
        parts: context.part_files(),
        selection,
        numeric_ids: false,
        default_owner: MountOwner {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        },
        words: words.clone(),
    }
}

/// Opens a repository when its directory is entered.
fn opener(context: &Context, repository: Shown, status: Arc<Status>) -> OpenRepository {
    // Those of the environment are for whoever runs it by hand.
    let of_environment = context.environment.passphrases.clone();
    let context = context.for_another_repository(None, None, PassphraseVariables::default());
    Box::new(move || {
        let own = context.environment.credentials.as_deref();
        let passphrases = match &repository.passphrase {
            Some(origin) => origin.variables(own).map_err(|error| MountError::Refused {
                message: error.to_string(),
            })?,
            None => of_environment.clone(),
        };
        let opening = status.opening(&repository.name);
        let context = context.for_another_repository(
            repository.rsh.clone(),
            repository.remote_path.clone(),
            passphrases,
        );
        let follower = context.follow_unattended(&repository.location(), opening);
        follower
            .map(Arc::new)
            .map_err(|error| refused(&repository, &error))
    })
}

/// Why it is not opened: it is about the key and who asks, or about something else that may be over soon.
fn refused(repository: &Shown, error: &CliError) -> MountError {
    let message = format!("{}: {}", shown(&repository.location), error.message);
    let is_refusal = matches!(
        error.cause,
        Cause::Kind(
            ErrorKind::PassphraseWrong
                | ErrorKind::NoPassphraseFailure
                | ErrorKind::PasscommandFailure
                | ErrorKind::PasswordRetriesExceeded
                | ErrorKind::RepoKeyNotFoundError
                | ErrorKind::KeyfileNotFoundError
                | ErrorKind::CacheRepositoryAccessAborted
        )
    );
    if is_refusal {
        MountError::Refused { message }
    } else {
        MountError::Unreachable { message }
    }
}

/// Which repositories are open, for the service manager and the log.
struct Status {
    notifier: Notifier,
    count: usize,
    /// How often each is: while one is being closed it may be open again.
    open: Mutex<BTreeMap<String, usize>>,
}

impl Status {
    fn new(context: &Context, config: &Config) -> Self {
        Self {
            notifier: Notifier::new(context.environment.notify_socket.as_deref()),
            count: config.repositories.len(),
            open: Mutex::default(),
        }
    }

    fn ready(&self) {
        self.notifier.ready(&self.text(&BTreeMap::new()));
    }

    /// Counts a repository as open until what is returned is dropped.
    fn opening(self: &Arc<Self>, name: &OsStr) -> Opening {
        let name = shown(name);
        self.change(|open| *open.entry(name.clone()).or_default() += 1);
        Opening {
            status: Arc::clone(self),
            name,
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, usize>)) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut open);
        // Told while it is true: the last thing that is told is how it is.
        self.notifier.status(&self.text(&open));
    }

    fn text(&self, open: &BTreeMap<String, usize>) -> String {
        let names: Vec<&str> = open.keys().map(String::as_str).collect();
        let mut text = format!("{} of {} repositories open", names.len(), self.count);
        if !names.is_empty() {
            text.push_str(": ");
            text.push_str(&names.join(", "));
        }
        text
    }
}

/// A repository that is open.
pub(crate) struct Opening {
    status: Arc<Status>,
    name: String,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.status.change(|open| {
            if let Some(count) = open.get_mut(&self.name) {
                *count -= 1;
                if *count == 0 {
                    open.remove(&self.name);
                }
            }
        });
    }
}
