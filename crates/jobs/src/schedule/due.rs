//! Whether a job is due: what was missed, delays, and clocks that were wrong.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use xxhash_rust::xxh64::Xxh64;

use super::{Schedule, ScheduleError};
use crate::job::{self, Job};

/// A job that does not catch up with what was missed is started no later than this. Whoever looks only every so often whether
/// something is due has to look more often.
pub const ON_TIME: Duration = Duration::from_mins(10);

/// A run that much in the future is from a clock that was wrong, and nothing is concluded from it. One less far in the
/// future is from a clock that was set back a little, or that has not been told yet in which zone it is.
const WRONG_CLOCK: SignedDuration = SignedDuration::from_hours(24);

/// When a job runs by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    schedule: Schedule,
    is_persistent: bool,
    delay: SignedDuration,
}

/// What is known of a job's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// When its last run ended, or began if it has not ended: it did all that was due until then.
    pub last: Option<Timestamp>,
    /// When it was seen for the first time: nothing was missed before.
    pub since: Timestamp,
}

impl Timing {
    /// That of a job, on the machine of this id.
    ///
    /// # Errors
    /// For expressions nobody has checked.
    pub fn of(job: &Job, machine: &[u8]) -> Result<Self, ScheduleError> {
        Self::new(&job.name, &job.schedule, machine)
    }

    /// That of what has a name and a schedule.
    ///
    /// # Errors
    /// For expressions nobody has checked.
    pub fn new(
        name: &str,
        schedule: &job::Schedule,
        machine: &[u8],
    ) -> Result<Self, ScheduleError> {
        Ok(Self {
            schedule: Schedule::parse(&schedule.start_at)?,
            is_persistent: schedule.persistent,
            delay: delay(name, machine, schedule.random_delay),
        })
    }

    /// The expressions.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Whether what was missed is caught up with.
    pub fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// The time it should have started at, if it is to start now.
    ///
    /// However much was missed, it is one run, and as if the last of it were missed.
    pub fn due(&self, record: &Record, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let planned = self.last_until(now, zone)?;
        let is_late = now.duration_since(planned) > as_signed(ON_TIME);
        let done = record.last.unwrap_or(record.since);
        let ahead = done.duration_since(now);
        let is_due = if ahead > WRONG_CLOCK {
            self.is_persistent || !is_late
        } else if ahead.is_positive() {
            // The clock was set back: what comes now comes again, but not what is done of it.
            !is_late && self.last_until(done, zone) != Some(planned)
        } else {
            planned > done && (self.is_persistent || !is_late)
        };
        is_due.then_some(planned)
    }

    /// When it starts by itself the next time: at once if it is due; nothing: never again.
    pub fn next_start(
        &self,
        record: &Record,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Option<Timestamp> {
        if self.due(record, now, zone).is_some() {
            return Some(now);
        }
        // What is delayed may be of a time that is past.
        let from = now.checked_sub(self.delay).ok()?;
        let slot = self.schedule.next_after(from, zone)?;
        slot.checked_add(self.delay).ok()
    }

    /// The last time it should have started, until `now`.
    fn last_until(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let until = now.checked_sub(self.delay).ok()?;
        // Now is not before now.
        let until = until.checked_add(SignedDuration::from_nanos(1)).ok()?;
        let slot = self.schedule.last_before(until, zone)?;
        slot.checked_add(self.delay).ok()
    }
}

/// How much later than planned a job starts: always the same for a job on a machine, less than `at_most`.
pub fn delay(job: &str, machine: &[u8], at_most: Duration) -> SignedDuration {
    let mut hash = Xxh64::new(0);
    hash.update(machine);
    // So that no other pair makes the same bytes: names do not contain it.
    hash.update(&[0]);
    hash.update(job.as_bytes());
    let millis = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
    let chosen = hash.digest().checked_rem(millis).unwrap_or(0);
    SignedDuration::from_millis(i64::try_from(chosen).unwrap_or(0))
}

fn as_signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
