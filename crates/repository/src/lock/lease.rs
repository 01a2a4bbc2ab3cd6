//! The lock of a repository on an object store: an object that says who has it, replaced only by who knows its last
//! version, and lost by who does not renew it.
//!
//! A lock in a directory is given back by the dead only if somebody is told that they are dead. A lease runs out by
//! itself; so its holder may lose it without knowing, while it sleeps or while its requests are on their way. What such a
//! holder can still do must not matter:
//!
//! - **Its COMMIT.** Before it is written the holder says in the lease where it is going to be; whoever takes the lease
//!   over makes that very segment, empty, under the condition that there is none. Of the two one wins: either the
//!   transaction is committed, and the other one sees it, or it never can be.
//! - **Its other segments.** They may appear at any time. The successor leaves the numbers alone that they may have
//!   (*voids*); what is found there belongs to nothing and is removed.
//! - **What it removes.** Only what its own commit has made superfluous, which the successor, building on that commit,
//!   does not need either.
//!
//! Readers take no lease: they read the last commit, and look for the next one if that is gone.

mod record;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ironborg_format::segment::MAGIC;
use ironborg_storage::{Conditional, Storage, StorageError, Version};
use ironborg_types::{Event, Level, LockHolder, Reporter};
use rustix::time::{ClockId, clock_gettime};

pub(crate) use record::Void;
use record::{Holder, Record};

use super::waiting::{Deadline, Watch};
use super::{LockOptions, LockOwner, may_be_alive};
use crate::RepositoryError;

const LOGGER: &str = "borg.locking";
/// A holder that was not heard of for so long has lost the lease.
const TERM: Duration = Duration::from_mins(1);
/// How often a term is renewed: two attempts may fail.
const RENEWALS: u32 = 4;
/// Longest pause between two looks at a lease somebody else has: each is a request.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Numbers that are left out behind the last segment of a lost holder: more than it writes at a time.
pub(crate) const VOID_LEN: u32 = 256;

/// A lease this process has.
pub(super) struct Lease {
    shared: Arc<Shared>,
    renewing: Option<JoinHandle<()>>,
}

/// What the thread that renews it works with, too.
struct Shared {
    storage: Arc<dyn Storage>,
    name: String,
    term: Duration,
    held: Mutex<Held>,
    /// Woken when it is given back.
    ended: Condvar,
}

struct Held {
    record: Record,
    version: Version,
    /// When the last renewal that succeeded was begun, by a clock that goes on while the machine sleeps.
    renewed: Duration,
    /// Somebody else has it, as far as is known; why.
    lost: Option<String>,
    has_ended: bool,
}

impl Lease {
    /// Takes the lease called `name`, waiting for others as long as `options` say.
    ///
    /// # Errors
    /// [`RepositoryError::LockTimeout`] if others keep it, [`RepositoryError::LockFailed`] if the place has no way to
    /// replace an object under a condition, or its object is none of a lease.
    pub(super) fn acquire(
        storage: Arc<dyn Storage>,
        name: &str,
        options: &LockOptions,
        reporter: &dyn Reporter,
    ) -> Result<Self, RepositoryError> {
        let term = storage.conditional().and_then(Conditional::term);
        let term = term.unwrap_or(TERM);
        let mut waiting = Waiting {
            storage: &*storage,
            name,
            owner: &options.owner,
            term,
            reporter,
            seen: None,
        };
        let mut deadline = Deadline::new(options.wait, Some(PAUSE_MAX));
        let mut watch = Watch::new(reporter, storage.path(name).display().to_string());
        let (record, version, renewed) = loop {
            match waiting.attempt()? {
                Attempt::Done(taken) => break *taken,
                Attempt::Again => {}
                Attempt::Held(holders) => {
                    if deadline.has_passed() {
                        watch.gives_up(&holders);
                        return Err(RepositoryError::LockTimeout {
                            path: storage.path(name),
                        });
                    }
                    watch.goes_on(|| holders);
                    deadline.sleep();
                }
            }
        };
        let shared = Arc::new(Shared {
            storage,
            name: name.to_owned(),
            term,
            held: Mutex::new(Held {
                record,
                version,
                renewed,
                lost: None,
                has_ended: false,
            }),
            ended: Condvar::new(),
        });
        let mut lease = Self {
            shared: Arc::clone(&shared),
            renewing: None,
        };
        // Dropped from here on, it is given back.
        lease.shared.make_fences()?;
        let renew = move || shared.renew_until_ended();
        let thread = thread::Builder::new().name("lease".to_owned()).spawn(renew);
        lease.renewing = Some(thread.map_err(|error| RepositoryError::LockFailed {
            path: lease.shared.path(),
            reason: error.to_string(),
        })?);
        Ok(lease)
    }

    /// What the log of segments has to ask of it.
    pub(super) fn guard(&self) -> LeaseGuard {
        LeaseGuard(Arc::clone(&self.shared))
    }

    /// Makes sure that it still is ours, as far as that can be known without asking.
    pub(super) fn check_held(&self) -> Result<(), RepositoryError> {
        self.shared.check_held(&self.shared.held())
    }

    /// Gives it back.
    pub(super) fn release(mut self) -> Result<(), RepositoryError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), RepositoryError> {
        let already = std::mem::replace(&mut self.shared.held().has_ended, true);
        self.shared.ended.notify_all();
        if let Some(thread) = self.renewing.take() {
            // It does not panic, and if it did there would be nothing to add.
            let _ = thread.join();
        }
        if already {
            Ok(())
        } else {
            self.shared.give_back()
        }
    }

    /// Takes the lease away from whoever has it, and gives it back at once.
    pub(super) fn break_it(storage: &dyn Storage, name: &str) -> Result<(), RepositoryError> {
        let conditional = conditional(storage, name)?;
        loop {
            let Some((bytes, version)) = conditional.read_versioned(name)? else {
                return Ok(());
            };
            let record = Record::decode(&bytes).unwrap_or_default();
            let Some(holder) = record.holder.clone() else {
                return Ok(());
            };
            let free = Record {
                holder: None,
                ..inherit(record, Some(holder))
            };
            make_fences(storage, &free.fences)?;
            if conditional
                .replace_if(name, Some(&version), &free.encode())?
                .is_some()
            {
                // What was announced in between is fenced by the next holder, who reads it here.
                return Ok(());
            }
        }
    }

    /// Numbers nobody may use any more, and names of segments that have to stay where they are.
    pub(super) fn left_out(
        conditional: &dyn Conditional,
        name: &str,
    ) -> Result<(Vec<Void>, Vec<String>), RepositoryError> {
        let found = conditional.read_versioned(name)?;
        let record = found.and_then(|(bytes, _)| Record::decode(&bytes));
        let record = record.unwrap_or_default();
        Ok((record.voids, record.fences))
    }

    /// Gives the lease back if `owner` has it: for a process that has to end while another of its threads holds it.
    pub(super) fn release_held(
        storage: &dyn Storage,
        name: &str,
        owner: &LockOwner,
    ) -> Result<(), RepositoryError> {
        let conditional = conditional(storage, name)?;
        let Some((bytes, version)) = conditional.read_versioned(name)? else {
            return Ok(());
        };
        let record = Record::decode(&bytes).unwrap_or_default();
        let holder = record.holder.clone();
        if holder.as_ref().is_none_or(|holder| holder.owner != *owner) {
            return Ok(());
        }
        // Its last request may still be on its way: the next one treats it as lost.
        let free = Record {
            holder: None,
            ..inherit(record, holder)
        };
        conditional.replace_if(name, Some(&version), &free.encode())?;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Whoever cannot give it back leaves it to its term.
        let _ = self.end();
    }
}

/// What the log of segments asks of a lease.
#[derive(Clone)]
pub(crate) struct LeaseGuard(Arc<Shared>);

impl LeaseGuard {
    /// Says where the next COMMIT will be. It may be written if this succeeds, and nowhere else.
    pub(crate) fn announce(&self, segment: &str) -> Result<(), RepositoryError> {
        let mut held = self.0.held();
        self.0.check_held(&held)?;
        let mut next = held.record.clone();
        if let Some(holder) = &mut next.holder {
            holder.committing = Some(segment.to_owned());
        }
        self.0.replace(&mut held, next)
    }

    /// The announced COMMIT is there, or never will be.
    pub(crate) fn settle(&self) {
        let mut held = self.0.held();
        if let Some(holder) = &mut held.record.holder {
            holder.committing = None;
        }
        // Told with the next renewal.
    }

    /// Makes sure that the lease still is ours, by renewing it.
    pub(crate) fn confirm(&self) -> Result<(), RepositoryError> {
        let mut held = self.0.held();
        self.0.check_held(&held)?;
        let next = held.record.clone();
        self.0.replace(&mut held, next)
    }

    /// Makes sure that the lease still is ours, as far as that can be known without asking.
    pub(crate) fn check_held(&self) -> Result<(), RepositoryError> {
        self.0.check_held(&self.0.held())
    }

    /// Whether a lost holder may have left segments whose numbers are not known yet.
    pub(crate) fn is_inherited(&self) -> bool {
        self.0.held().record.is_inherited
    }

    /// Notes numbers nobody may use any more. To be called before the first segment is written.
    pub(crate) fn add_void(&self, void: Void) -> Result<(), RepositoryError> {
        let mut held = self.0.held();
        self.0.check_held(&held)?;
        let mut next = held.record.clone();
        next.voids.push(void);
        next.is_inherited = false;
        self.0.replace(&mut held, next)
    }

    /// Numbers nobody may use.
    pub(crate) fn voids(&self) -> Vec<Void> {
        self.0.held().record.voids.clone()
    }

    /// Names of segments that have to stay where they are.
    pub(crate) fn fences(&self) -> Vec<String> {
        self.0.held().record.fences.clone()
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> std::path::PathBuf {
        self.storage.path(&self.name)
    }

    fn check_held(&self, held: &Held) -> Result<(), RepositoryError> {
        let lost = |reason: String| RepositoryError::LockFailed {
            path: self.path(),
            reason,
        };
        if let Some(reason) = &held.lost {
            return Err(lost(reason.clone()));
        }
        // A request of ours may take a while; a successor looks for a whole term.
        if now().saturating_sub(held.renewed) > self.term * 3 / 4 {
            return Err(lost("it could not be renewed in time".to_owned()));
        }
        Ok(())
    }

    /// Makes what has been left by a lost holder harmless.
    fn make_fences(&self) -> Result<(), RepositoryError> {
        let fences = self.held().record.fences.clone();
        make_fences(&*self.storage, &fences)
    }

    /// Replaces the object as long as it is ours. A failed request may have succeeded all the same.
    fn replace(&self, held: &mut Held, mut next: Record) -> Result<(), RepositoryError> {
        let conditional = conditional(&*self.storage, &self.name)?;
        next.sequence += 1;
        let bytes = next.encode();
        let begun = now();
        let version = match conditional.replace_if(&self.name, Some(&held.version), &bytes) {
            Ok(Some(version)) => version,
            Ok(None) => match conditional.read_versioned(&self.name)? {
                // An answer was lost, and the request made again.
                Some((there, version)) if there == bytes => version,
                there => {
                    let holder = there.and_then(|(bytes, _)| Record::decode(&bytes)?.holder);
                    let reason = holder.map_or_else(
                        || "somebody has broken it".to_owned(),
                        |Holder { owner, .. }| {
                            format!("{} (process {}) has taken it over", owner.host, owner.pid)
                        },
                    );
                    held.lost = Some(reason);
                    self.check_held(held)?;
                    return Ok(());
                }
            },
            Err(error) => match conditional.read_versioned(&self.name)? {
                Some((there, version)) if there == bytes => version,
                _ => return Err(error.into()),
            },
        };
        *held = Held {
            record: next,
            version,
            renewed: begun,
            lost: held.lost.take(),
            has_ended: held.has_ended,
        };
        Ok(())
    }

    fn renew_until_ended(&self) {
        let mut held = self.held();
        // It may have ended before this thread has begun.
        while !held.has_ended && held.lost.is_none() {
            let pause = self.term / RENEWALS;
            let waited = self.ended.wait_timeout(held, pause);
            (held, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if held.has_ended || held.lost.is_some() {
                return;
            }
            if now().saturating_sub(held.renewed) < pause / 2 {
                continue;
            }
            let next = held.record.clone();
            // Tried again until the term is over; then `check_held` says so.
            let _ = self.replace(&mut held, next);
        }
    }

    fn give_back(&self) -> Result<(), RepositoryError> {
        let mut held = self.held();
        if held.lost.is_some() {
            return Ok(());
        }
        let holder = held.record.holder.clone();
        let is_settled = holder.as_ref().is_none_or(|h| h.committing.is_none());
        let record = std::mem::take(&mut held.record);
        let mut free = if is_settled {
            record
        } else {
            inherit(record, holder)
        };
        free.holder = None;
        self.replace(&mut held, free)
    }
}

/// What is left of a record when its holder has lost the lease: its COMMIT, if it has announced one, must not come any
/// more.
fn inherit(mut record: Record, lost: Option<Holder>) -> Record {
    if let Some(name) = lost.and_then(|holder| holder.committing)
        && !record.fences.contains(&name)
    {
        record.fences.push(name);
    }
    record.is_inherited = true;
    record.sequence += 1;
    record
}

/// Makes segments without content where there are none.
fn make_fences(storage: &dyn Storage, names: &[String]) -> Result<(), RepositoryError> {
    for name in names {
        conditional(storage, name)?.replace_if(name, None, &MAGIC)?;
    }
    Ok(())
}

enum Attempt {
    Done(Box<(Record, Version, Duration)>),
    Again,
    Held(Vec<LockHolder>),
}

/// Somebody who wants the lease.
struct Waiting<'a> {
    storage: &'a dyn Storage,
    name: &'a str,
    owner: &'a LockOwner,
    term: Duration,
    reporter: &'a dyn Reporter,
    /// The version seen last, and when it was seen first.
    seen: Option<(Version, Duration)>,
}

impl Waiting<'_> {
    fn attempt(&mut self) -> Result<Attempt, RepositoryError> {
        let conditional = conditional(self.storage, self.name)?;
        let found = conditional.read_versioned(self.name)?;
        let (old, version) = match found {
            None => (Record::default(), None),
            Some((bytes, version)) => {
                let record = Record::decode(&bytes);
                let record = record.ok_or_else(|| RepositoryError::LockFailed {
                    path: self.storage.path(self.name),
                    reason: "its object is damaged; remove it if nobody works with the repository"
                        .to_owned(),
                })?;
                (record, Some(version))
            }
        };
        let record = match (old.holder.clone(), &version) {
            (Some(holder), Some(version)) => {
                let waited = self.watched(version);
                let is_dead = !may_be_alive(&holder.owner, self.owner);
                if !is_dead && waited < holder.term.max(self.term) {
                    return Ok(Attempt::Held(self.holders(&holder)));
                }
                self.tell(&holder);
                inherit(old, Some(holder))
            }
            _ => old,
        };
        let mine = Record {
            sequence: record.sequence + 1,
            holder: Some(self.holder()?),
            ..record
        };
        let bytes = mine.encode();
        let begun = now();
        let taken = match conditional.replace_if(self.name, version.as_ref(), &bytes) {
            Ok(Some(version)) => Some(version),
            Ok(None) => self.read_mine(conditional, &bytes)?,
            Err(error) => match self.read_mine(conditional, &bytes) {
                Ok(Some(version)) => Some(version),
                _ => return Err(error.into()),
            },
        };
        Ok(match taken {
            Some(version) => Attempt::Done(Box::new((mine, version, begun))),
            None => Attempt::Again,
        })
    }

    /// The version of what we have written, if that is there.
    fn read_mine(
        &self,
        conditional: &dyn Conditional,
        bytes: &[u8],
    ) -> Result<Option<Version>, StorageError> {
        let there = conditional.read_versioned(self.name)?;
        Ok(there
            .filter(|(there, _)| there == bytes)
            .map(|(_, version)| version))
    }

    /// For how long this version has been there, as far as we have seen.
    fn watched(&mut self, version: &Version) -> Duration {
        let now = now();
        match &self.seen {
            Some((seen, since)) if seen == version => now.saturating_sub(*since),
            _ => {
                self.seen = Some((version.clone(), now));
                Duration::ZERO
            }
        }
    }

    fn holder(&self) -> Result<Holder, RepositoryError> {
        let mut token = [0; 16];
        getrandom::fill(&mut token)
            .map_err(|e| StorageError::io("read", "/dev/urandom", std::io::Error::other(e)))?;
        Ok(Holder {
            owner: self.owner.clone(),
            token: format!("{:032x}", u128::from_be_bytes(token)),
            since: seconds_since_1970(),
            term: self.term,
            committing: None,
        })
    }

    fn holders(&self, holder: &Holder) -> Vec<LockHolder> {
        let age = seconds_since_1970().checked_sub(holder.since);
        vec![LockHolder {
            host: holder.owner.host.clone(),
            pid: holder.owner.pid,
            is_local: holder.owner.host == self.owner.host,
            exclusive: true,
            age: age.map(Duration::from_secs),
        }]
    }

    fn tell(&self, holder: &Holder) {
        let LockOwner { host, pid, .. } = &holder.owner;
        let message = format!("Took over the lease of process {pid} on {host}, which has run out.");
        self.reporter
            .report(Event::log(Level::Warning, LOGGER, message));
    }
}

fn conditional<'a>(
    storage: &'a dyn Storage,
    name: &str,
) -> Result<&'a dyn Conditional, RepositoryError> {
    let conditional = storage.conditional();
    conditional.ok_or_else(|| RepositoryError::LockFailed {
        path: storage.path(name),
        reason: "the store cannot replace an object under a condition".to_owned(),
    })
}

/// Time since some moment, the time the machine has slept included.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn seconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
