//! Keeping a copy of a repository in step, segment by segment, so that the copy is a whole repository at every moment.
//!
//! What counts in a repository is the highest segment that ends with a COMMIT, and everything at or before it. So the copy
//! gets the new segments first, none of them with its COMMIT, which no reader misses; then the segment with the last COMMIT;
//! then what was left out, index and hints; and only then is removed what the repository does not have any more. Until the last
//! COMMIT is there the copy is what it was, from then on it is what the repository is. A copy that is no repository
//! yet becomes one with its config, which comes last. Layout and order: docs/format.md, "Mirrors".

mod carrying_out;
mod plan;
mod reading;
mod record;
mod sending;
mod side;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use ironborg_storage::{Retention, Storage, StorageError};
use ironborg_types::{Interrupt, PercentProgress, SegmentId};

use crate::RepositoryError;
use crate::local::{LOCK, LockMode, OpenOptions, README};
use crate::lock::{Lock, LockOptions};
use crate::settings::{self, CONFIG, Settings};
use record::RECORD;
use sending::lock;
use side::{Side, refused};

const LOGGER: &str = "borg.repository";
/// Names the progress.
const PROGRESS: &str = "repository.mirror";
/// Percent between two steps of it that are shown.
const PROGRESS_STEP: f64 = 1.0;
/// How often it is begun again because the repository went on meanwhile.
const STARTS_MAX: usize = 16;

/// How a repository is mirrored.
#[derive(Clone)]
pub struct MirrorOptions {
    /// Who works, how long is waited for locks, and who is told. The repository is locked as `lock` says:
    /// [`LockMode::None`], or for reading.
    pub open: OpenOptions,
    /// When this asks to stop, the work ends; the next time it goes on there.
    pub interrupt: Option<&'static Interrupt>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Read what is there already, and send again what differs.
    pub verify: bool,
    /// For how long the target's segments cannot be removed; `None`: as the target's config says.
    pub retain: Option<Retention>,
}

/// What was done, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MirrorFigures {
    /// The transaction the mirror has; `None` if nothing was found out.
    pub commit: Option<SegmentId>,
    /// Segments sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_size: u64,
    /// How many of them were there, but were not what they should be.
    pub replaced: u64,
    /// Segments that were there.
    pub kept: u64,
    /// Their bytes.
    pub kept_size: u64,
    /// Segments removed.
    pub removed: u64,
    /// Their bytes.
    pub removed_size: u64,
    /// Segments that the repository does not have any more and that stay, as nothing may be removed.
    pub left: u64,
    /// Bytes of index, hints and the other files that were sent.
    pub files_size: u64,
}

/// Makes `target` what the repository in `source` was when it was committed last.
///
/// Memory: four segments' pieces and what the target has in flight, whatever the size of the repository.
///
/// # Errors
/// [`RepositoryError::MirrorRefused`] if `target` is something else than an earlier state of `source`;
/// [`RepositoryError::BadEntry`] if a segment of `source` is damaged; [`RepositoryError::Interrupted`]. What had
/// arrived stays, and the target is whole.
pub fn mirror(
    source: &Arc<dyn Storage>,
    target: &Arc<dyn Storage>,
    options: &MirrorOptions,
) -> Result<MirrorFigures, RepositoryError> {
    let (from, to) = (source.path(""), target.path(""));
    if from.starts_with(&to) || to.starts_with(&from) {
        return Err(refused(format!(
            "{} and {} are the same place, or one is in the other",
            from.display(),
            to.display()
        )));
    }
    settings::check_directory(&**source)?;
    refuse_strangers(&**target)?;
    let from_lock = match options.open.lock {
        LockMode::None => None,
        _ => Some(acquire(source, options, false)?),
    };
    let settings = Settings::from_config(&settings::load_config(&**source)?, &**source)?;
    let to_lock = if options.dry_run {
        None
    } else {
        target.create_dir("").map_err(|error| {
            if error.is_not_found() {
                RepositoryError::ParentPathDoesNotExist { path: to.clone() }
            } else {
                error.into()
            }
        })?;
        Some(acquire(target, options, true)?)
    };
    let side =
        |storage: &Arc<dyn Storage>| Side::new(Arc::clone(storage), settings.segments_per_dir);
    let reporter = &*options.open.reporter;
    let mirroring = Mirroring {
        source: side(source),
        target: side(target),
        is_still: from_lock.is_some() && source.conditional().is_none(),
        settings: &settings,
        lock: to_lock.as_ref(),
        options,
        progress: Mutex::new(PercentProgress::start(reporter, PROGRESS, 0, PROGRESS_STEP)),
        figures: Mutex::default(),
    };
    let done = mirroring.run();
    lock(&mirroring.progress).finish(reporter);
    let figures = *mirroring.figures();
    drop(mirroring);
    let released = [to_lock, from_lock]
        .into_iter()
        .flatten()
        .try_for_each(Lock::release);
    done?;
    released?;
    Ok(figures)
}

fn acquire(
    storage: &Arc<dyn Storage>,
    options: &MirrorOptions,
    exclusive: bool,
) -> Result<Lock, RepositoryError> {
    let open = &options.open;
    let lock = LockOptions {
        exclusive,
        wait: open.lock_wait,
        owner: open.owner.clone(),
    };
    Lock::acquire(Arc::clone(storage), LOCK, lock, Arc::clone(&open.reporter))
}

/// A mirror is made where nothing is, or goes on where one was begun.
fn refuse_strangers(target: &dyn Storage) -> Result<(), RepositoryError> {
    if target.status("")?.is_none() {
        return Ok(());
    }
    for name in [CONFIG, RECORD] {
        if target.status(name)?.is_some() {
            return Ok(());
        }
    }
    let entries = target.list("")?;
    let is_lock = |name: &str| name == LOCK || name.starts_with(&format!("{LOCK}."));
    if entries.iter().all(|entry| is_lock(&entry.name)) {
        return Ok(());
    }
    Err(RepositoryError::PathAlreadyExists {
        path: target.path(""),
    })
}

/// Why the work has ended.
enum Trouble {
    /// Something is wrong with the source, or it has changed.
    Source(RepositoryError),
    /// Anything else.
    Other(RepositoryError),
}

impl From<RepositoryError> for Trouble {
    fn from(error: RepositoryError) -> Self {
        Self::Other(error)
    }
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        Self::Other(error.into())
    }
}

/// The work in progress.
struct Mirroring<'a> {
    source: Side,
    target: Side,
    /// Nobody changes the source meanwhile.
    is_still: bool,
    settings: &'a Settings,
    /// That of the target.
    lock: Option<&'a Lock>,
    options: &'a MirrorOptions,
    progress: Mutex<PercentProgress>,
    figures: Mutex<MirrorFigures>,
}

impl Mirroring<'_> {
    fn run(&self) -> Result<(), RepositoryError> {
        if self.source.log.is_attic()? {
            return Err(RepositoryError::AtticRepository {
                path: self.source.storage.path(""),
            });
        }
        let mut left = STARTS_MAX;
        loop {
            *self.figures() = MirrorFigures::default();
            match self.plan().and_then(|plan| self.carry_out(&plan)) {
                Ok(()) => return Ok(()),
                // What a commit needs goes when a later one is there.
                Err(Trouble::Source(RepositoryError::Storage(error)))
                    if error.is_not_found() && !self.is_still && left > 0 =>
                {
                    left -= 1;
                }
                Err(Trouble::Source(error) | Trouble::Other(error)) => return Err(error),
            }
        }
    }

    fn figures(&self) -> MutexGuard<'_, MirrorFigures> {
        lock(&self.figures)
    }

    /// Whether anything may be done any more.
    fn may_go_on(&self) -> Result<(), RepositoryError> {
        if self
            .options
            .interrupt
            .is_some_and(Interrupt::stop_requested)
        {
            return Err(RepositoryError::Interrupted);
        }
        self.lock.map_or(Ok(()), Lock::check_held)
    }

    fn advance(&self, len: usize) {
        let reporter = &*self.options.open.reporter;
        lock(&self.progress).advance(reporter, len as u64, None, |percent| {
            format!("Mirroring segments {percent:3.0}%")
        });
    }

    fn source_path(&self, name: &str) -> String {
        shown(&self.source.storage.path(name))
    }

    fn target_path(&self, name: &str) -> String {
        shown(&self.target.storage.path(name))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
