//! Borg's locks: a directory that only one can have, and a roster of those who read.
//!
//! The same files, staleness rules and words as stock Borg, so that either program waits for the
//! other. Serves repositories and caches. Layout: docs/format.md, "Locks".

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ironborg_format::roster::{LockOwner, Roster};
use ironborg_storage::{Storage, StorageError};
use ironborg_types::{Event, Level, LockHolder, NullReporter, Reporter};

use super::waiting::{Deadline, Watch};
use super::{LockOptions, may_be_alive};
use crate::RepositoryError;

const LOGGER: &str = "borg.locking";
/// How often somebody who wants to write looks whether all readers are gone.
const READERS_POLL: Duration = Duration::from_millis(200);
/// How long a reader that leaves waits for the directory, at least: while it is in the roster nobody can
/// have it for longer than a moment, and staying in the roster would shut writers out for good.
const RELEASE_WAIT: Duration = Duration::from_secs(30);
/// How often it tries.
const RELEASE_POLL: Duration = Duration::from_millis(5);
/// The same for a process that is told to end at once.
const RELEASE_WAIT_AT_END: Duration = Duration::from_secs(2);
/// How long who cannot wait any longer tries to take back what it has announced.
const WITHDRAW_WAIT: Duration = Duration::from_millis(100);

/// A held lock in a directory; released when dropped.
pub(super) struct DirectoryLock {
    files: LockFiles,
    exclusive: bool,
    held: bool,
}

impl DirectoryLock {
    /// Takes the lock called `name` (such as `lock`): files `NAME.exclusive` and `NAME.roster`.
    ///
    /// # Errors
    /// [`RepositoryError::LockTimeout`] if others keep it for too long, [`RepositoryError::LockFailed`]
    /// if its files cannot be written at all.
    pub(super) fn acquire(
        storage: Arc<dyn Storage>,
        name: &str,
        options: LockOptions,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, RepositoryError> {
        let files = LockFiles {
            storage,
            name: name.to_owned(),
            directory: format!("{name}.exclusive"),
            roster: format!("{name}.roster"),
            owner: options.owner,
            wait: options.wait,
            reporter,
        };
        if options.exclusive {
            files.acquire_alone(false)?;
        } else {
            files.acquire_shared()?;
        }
        Ok(Self {
            files,
            exclusive: options.exclusive,
            held: true,
        })
    }

    /// Whether nobody else may have this lock meanwhile.
    pub(super) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// Turns a shared lock into an exclusive one, waiting until all other readers are gone.
    ///
    /// On failure the lock stays what it was.
    pub(super) fn upgrade(&mut self) -> Result<(), RepositoryError> {
        if !self.exclusive {
            self.files.acquire_alone(true)?;
            self.exclusive = true;
        }
        Ok(())
    }

    /// Makes sure that an exclusive lock still is ours: somebody may have broken it.
    ///
    /// # Errors
    /// [`RepositoryError::LockFailed`] if it is not.
    pub(super) fn check_held(&self) -> Result<(), RepositoryError> {
        if !self.exclusive || self.files.is_mine()? {
            return Ok(());
        }
        Err(RepositoryError::LockFailed {
            path: self.files.storage.path(&self.files.directory),
            reason: "somebody has broken it".to_owned(),
        })
    }

    /// Gives the lock back, saying what went wrong if something did.
    pub(super) fn release(mut self) -> Result<(), RepositoryError> {
        self.held = false;
        self.files.release(self.exclusive)
    }

    /// Gives back whatever `owner` has of a lock, and without waiting for long: for a process that has to end while
    /// another of its threads has the lock, which must not change anything any more.
    ///
    /// # Errors
    /// The files of the lock cannot be read or changed.
    pub(super) fn release_held(
        storage: Arc<dyn Storage>,
        name: &str,
        owner: &LockOwner,
    ) -> Result<(), RepositoryError> {
        let files = LockFiles {
            storage,
            name: name.to_owned(),
            directory: format!("{name}.exclusive"),
            roster: format!("{name}.roster"),
            owner: owner.clone(),
            wait: Some(RELEASE_WAIT_AT_END),
            reporter: Arc::new(NullReporter),
        };
        let leave = |roster: &mut Roster, owner: &LockOwner| {
            for owners in [
                &mut roster.shared,
                &mut roster.exclusive,
                &mut roster.waiting,
            ] {
                owners.retain(|one| one != owner);
            }
        };
        if files.is_mine()? {
            files.modify(leave)?;
            return files.release_directory();
        }
        let roster = files.read()?;
        let is_there = [&roster.shared, &roster.exclusive, &roster.waiting]
            .iter()
            .any(|owners| owners.contains(owner));
        if is_there {
            let mut deadline = Deadline::new(files.wait, Some(RELEASE_POLL));
            files.with_directory(&mut deadline, || files.modify(leave))?;
        }
        Ok(())
    }

    /// Removes the lock whoever holds it.
    pub(super) fn break_lock(storage: &dyn Storage, name: &str) -> Result<(), RepositoryError> {
        match storage.remove(&format!("{name}.roster")) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        Ok(storage.remove_tree(&format!("{name}.exclusive"))?)
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        if let Err(error) = self.files.release(self.exclusive) {
            // Whoever listens ends with an error for this: others may have written at the same time.
            self.files.reporter.report(Event::Log {
                level: Level::Error,
                logger: LOGGER,
                message: error.to_string().into(),
                msgid: Some(error.kind().class()),
            });
        }
    }
}

/// The files of one lock and who handles them.
struct LockFiles {
    storage: Arc<dyn Storage>,
    name: String,
    directory: String,
    roster: String,
    owner: LockOwner,
    wait: Option<Duration>,
    reporter: Arc<dyn Reporter>,
}

impl LockFiles {
    /// Gets into the roster as one who reads. Those who have been waiting to write go first for a while.
    fn acquire_shared(&self) -> Result<(), RepositoryError> {
        let mut deadline = Deadline::new(self.wait, None);
        let mut watch = self.watch();
        loop {
            self.acquire_directory(&mut deadline, &mut watch)?;
            let entered = self.enter_shared(deadline.allows_courtesy());
            let released = self.release_directory();
            if entered? {
                return released;
            }
            released?;
            watch.goes_on(|| self.holders());
            deadline.sleep();
        }
    }

    /// Puts ourselves into the roster, unless others are to go first.
    fn enter_shared(&self, courteous: bool) -> Result<bool, RepositoryError> {
        let mut roster = self.load()?;
        if !roster.waiting.is_empty() {
            if courteous {
                return Ok(false);
            }
            // Whoever still waits will say so again.
            roster.waiting.clear();
        }
        add(&mut roster.shared, &self.owner);
        self.storage.write(&self.roster, &roster.encode())?;
        Ok(true)
    }

    /// Gets the directory and keeps it, with no reader left but ourselves.
    fn acquire_alone(&self, upgrading: bool) -> Result<(), RepositoryError> {
        let mut deadline = Deadline::new(self.wait, Some(READERS_POLL));
        let mut watch = self.watch();
        let mut announced = false;
        let result = loop {
            let acquired = self.acquire_directory(&mut Deadline::new(self.wait, None), &mut watch);
            if let Err(error) = acquired {
                break Err(error);
            }
            match self.enter_alone(upgrading, &mut announced) {
                Ok(true) => return Ok(()),
                Ok(false) => self.release_directory()?,
                Err(error) => {
                    // The failure to report is the first one.
                    let _ = self.release_directory();
                    break Err(error);
                }
            }
            if deadline.has_passed() {
                watch.gives_up(&self.holders());
                break Err(RepositoryError::LockTimeout {
                    path: self.storage.path(&self.name),
                });
            }
            watch.goes_on(|| self.holders());
            deadline.sleep();
        };
        if announced {
            // A hint that stays is not looked at for long, and goes with the last reader.
            let mut deadline = Deadline::new(Some(WITHDRAW_WAIT), Some(RELEASE_POLL));
            let _ = self.with_directory(&mut deadline, || {
                self.modify(|roster, owner| roster.waiting.retain(|one| one != owner))
            });
        }
        result
    }

    /// Puts ourselves into the roster as the one who writes; as one who waits for that while others read.
    fn enter_alone(&self, upgrading: bool, announced: &mut bool) -> Result<bool, RepositoryError> {
        let mut roster = self.load()?;
        let is_other = |owner: &LockOwner| !upgrading || *owner != self.owner;
        if roster.shared.iter().any(is_other) {
            // Who does not wait has nothing to announce.
            let waits = self.wait.is_none_or(|wait| !wait.is_zero());
            if waits && !roster.waiting.contains(&self.owner) {
                *announced = true;
                roster.waiting.push(self.owner.clone());
                self.storage.write(&self.roster, &roster.encode())?;
            }
            return Ok(false);
        }
        roster.shared.clear();
        roster.waiting.retain(|owner| *owner != self.owner);
        add(&mut roster.exclusive, &self.owner);
        self.storage.write(&self.roster, &roster.encode())?;
        Ok(true)
    }

    fn watch(&self) -> Watch<'_> {
        let lock = self.storage.path(&self.name).display().to_string();
        Watch::new(&*self.reporter, lock)
    }

    /// The others who have the lock, as far as its files tell.
    fn holders(&self) -> Vec<LockHolder> {
        let holder = |owner: &LockOwner, exclusive, since: Option<SystemTime>| LockHolder {
            host: owner.host.clone(),
            pid: owner.pid,
            is_local: owner.host == self.owner.host,
            exclusive,
            // A clock that was set back tells nothing.
            age: since.and_then(|since| since.elapsed().ok()),
        };
        let roster = self.read().unwrap_or_default();
        let mut holders = Vec::new();
        for entry in self.storage.list(&self.directory).unwrap_or_default() {
            let since = self
                .storage
                .modified(&format!("{}/{}", self.directory, entry.name));
            let owner = LockOwner::from_file_name(&entry.name);
            // Readers have the directory too, for as long as it takes to enter the roster.
            let owner = owner.filter(|owner| !roster.shared.contains(owner));
            holders.extend(owner.map(|owner| holder(&owner, true, since)));
        }
        let readers = roster.shared.iter().filter(|owner| **owner != self.owner);
        holders.extend(readers.map(|owner| holder(owner, false, None)));
        holders
    }

    fn release(&self, exclusive: bool) -> Result<(), RepositoryError> {
        if exclusive {
            self.modify(|roster, owner| roster.exclusive.retain(|one| one != owner))?;
            self.release_directory()
        } else {
            let wait = self.wait.map(|wait| wait.max(RELEASE_WAIT));
            let mut deadline = Deadline::new(wait, Some(RELEASE_POLL));
            self.with_directory(&mut deadline, || {
                self.modify(|roster, owner| roster.shared.retain(|one| one != owner))
            })
        }
    }

    /// Does something while nobody else can touch the roster.
    fn with_directory(
        &self,
        deadline: &mut Deadline,
        action: impl FnOnce() -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        self.acquire_directory(deadline, &mut self.watch())?;
        let done = action();
        let released = self.release_directory();
        done.and(released)
    }

    fn acquire_directory(
        &self,
        deadline: &mut Deadline,
        watch: &mut Watch<'_>,
    ) -> Result<(), RepositoryError> {
        let file = self.owner.file_name();
        loop {
            let claimed = self.storage.claim_dir(&self.directory, &file);
            let claimed = claimed.map_err(|error| RepositoryError::LockFailed {
                path: self.storage.path(&self.directory),
                reason: error.to_string(),
            })?;
            if claimed || self.is_mine()? {
                return Ok(());
            }
            if self.remove_stale_directory()? {
                continue;
            }
            if deadline.has_passed() {
                watch.gives_up(&self.holders());
                return Err(RepositoryError::LockTimeout {
                    path: self.storage.path(&self.directory),
                });
            }
            watch.goes_on(|| self.holders());
            deadline.sleep();
        }
    }

    fn release_directory(&self) -> Result<(), RepositoryError> {
        if self.storage.status(&self.directory)?.is_none() {
            return Err(RepositoryError::NotLocked {
                path: self.storage.path(&self.directory),
            });
        }
        if !self.is_mine()? {
            return Err(RepositoryError::NotMyLock {
                path: self.storage.path(&self.directory),
            });
        }
        self.storage.remove(&self.my_file())?;
        // Not empty or gone: somebody was quick to take it. That is fine.
        self.storage.remove_dir(&self.directory)?;
        Ok(())
    }

    fn my_file(&self) -> String {
        format!("{}/{}", self.directory, self.owner.file_name())
    }

    fn is_mine(&self) -> Result<bool, RepositoryError> {
        Ok(self.storage.status(&self.my_file())?.is_some())
    }

    /// Removes the directory if all its owners are dead; says whether it is worth trying again at once.
    fn remove_stale_directory(&self) -> Result<bool, RepositoryError> {
        let entries = match self.storage.list(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.is_not_found() => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let Some(owner) = LockOwner::from_file_name(&entry.name) else {
                let path = self.storage.path(&self.directory);
                self.log(
                    Level::Error,
                    format!(
                        "Found malformed lock {} in {}. Please check/fix manually.",
                        entry.name,
                        path.display()
                    ),
                );
                return Ok(false);
            };
            if self.may_be_alive(&owner) {
                return Ok(false);
            }
            match self
                .storage
                .remove(&format!("{}/{}", self.directory, entry.name))
            {
                Ok(()) => self.log(Level::Warning, format!("Killed stale lock {}.", entry.name)),
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    self.log(
                        Level::Error,
                        format!(
                            "Found stale lock {}, but cannot delete due to {error}",
                            entry.name
                        ),
                    );
                    return Ok(false);
                }
            }
        }
        match self.storage.remove_dir(&self.directory) {
            Ok(removed) => Ok(removed),
            Err(error) => {
                self.log(Level::Error, format!("Failed to remove lock dir: {error}"));
                Ok(false)
            }
        }
    }

    /// Changes the roster; removes it when nobody is left in it. The directory must be ours.
    fn modify(&self, change: impl FnOnce(&mut Roster, &LockOwner)) -> Result<(), RepositoryError> {
        let mut roster = self.load()?;
        change(&mut roster, &self.owner);
        if !roster.is_empty() || !roster.waiting.is_empty() {
            return Ok(self.storage.write(&self.roster, &roster.encode())?);
        }
        match self.storage.remove(&self.roster) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn read(&self) -> Result<Roster, StorageError> {
        match self.storage.read(&self.roster) {
            Ok(bytes) => Ok(Roster::decode(&bytes)),
            Err(error) if error.is_not_found() => Ok(Roster::default()),
            Err(error) => Err(error),
        }
    }

    /// Reads the roster and leaves out those who are dead.
    fn load(&self) -> Result<Roster, StorageError> {
        let mut roster = self.read()?;
        roster.waiting.retain(|owner| self.may_be_alive(owner));
        for (key, owners) in [
            ("shared", &mut roster.shared),
            ("exclusive", &mut roster.exclusive),
        ] {
            owners.retain(|owner| {
                let alive = self.may_be_alive(owner);
                if !alive {
                    self.log(
                        Level::Warning,
                        format!(
                            "Removed stale {key} roster lock for host {} pid {} thread {}.",
                            owner.host, owner.pid, owner.thread
                        ),
                    );
                }
                alive
            });
        }
        Ok(roster)
    }

    fn may_be_alive(&self, owner: &LockOwner) -> bool {
        may_be_alive(owner, &self.owner)
    }

    fn log(&self, level: Level, message: String) {
        self.reporter.report(Event::log(level, LOGGER, message));
    }
}

fn add(owners: &mut Vec<LockOwner>, owner: &LockOwner) {
    if !owners.contains(owner) {
        owners.push(owner.clone());
    }
}
