//! Waiting for a lock: how long, how often it is tried, and who is told whom it is waited for.

use std::thread;
use std::time::{Duration, Instant};

use ironborg_types::{Event, LockHolder, Reporter};

/// The pause after the first attempt; it doubles with every attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause between attempts; shorter if the whole wait is.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A wait of this length is worth no words.
const SILENCE: Duration = Duration::from_secs(1);
/// How often others are told whom it is waited for, if that changes.
const TELL_INTERVAL: Duration = Duration::from_secs(10);
/// How long a reader lets those go first who wait to write, at most: they may be on a machine that is no more.
const COURTESY_MAX: Duration = Duration::from_secs(10);

/// When to give up, and how long to pause between attempts.
pub(super) struct Deadline {
    started: Instant,
    wait: Option<Duration>,
    end: Option<Instant>,
    pause: Duration,
    pause_max: Duration,
}

impl Deadline {
    /// Pauses grow up to a tenth of the whole wait, and not beyond `pause_max` if there is one.
    pub(super) fn new(wait: Option<Duration>, pause_max: Option<Duration>) -> Self {
        let started = Instant::now();
        let pause_max = pause_max
            .or(wait.map(|wait| wait / 10))
            .unwrap_or(PAUSE_MAX)
            .min(PAUSE_MAX);
        Self {
            started,
            wait,
            // A wait too long for the clock is one without end.
            end: wait.and_then(|wait| started.checked_add(wait)),
            pause: FIRST_PAUSE.min(pause_max),
            pause_max,
        }
    }

    /// Whether it is time to give up.
    pub(super) fn has_passed(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Whether those who wait to write may be let go first: for half of the wait, so that nobody fails for being polite.
    pub(super) fn allows_courtesy(&self) -> bool {
        let courtesy = self.wait.map_or(COURTESY_MAX, |wait| wait / 2);
        self.started.elapsed() < courtesy.min(COURTESY_MAX)
    }

    /// Pauses before the next attempt.
    pub(super) fn sleep(&mut self) {
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(self.pause_max);
    }
}

/// Tells others whom it is waited for: not at once, and not too often.
pub(super) struct Watch<'a> {
    reporter: &'a dyn Reporter,
    lock: String,
    started: Instant,
    told: Option<(Instant, Vec<LockHolder>)>,
}

impl<'a> Watch<'a> {
    /// Begins when the first attempt is made; `lock` says where the lock is.
    pub(super) fn new(reporter: &'a dyn Reporter, lock: String) -> Self {
        Self {
            reporter,
            lock,
            started: Instant::now(),
            told: None,
        }
    }

    /// Another attempt has failed.
    pub(super) fn goes_on(&mut self, holders: impl FnOnce() -> Vec<LockHolder>) {
        let due = match &self.told {
            None => self.started + SILENCE,
            Some((at, _)) => *at + TELL_INTERVAL,
        };
        let now = Instant::now();
        if now < due {
            return;
        }
        let holders = holders();
        let is_news = match &self.told {
            Some((_, told)) => !is_same(told, &holders),
            // Whoever had it has just left.
            None => !holders.is_empty(),
        };
        if is_news {
            self.tell(&holders, false);
        }
        if is_news || self.told.is_some() {
            self.told = Some((now, holders));
        }
    }

    /// There will be no other attempt.
    pub(super) fn gives_up(&self, holders: &[LockHolder]) {
        self.tell(holders, true);
    }

    fn tell(&self, holders: &[LockHolder], given_up: bool) {
        self.reporter.report(Event::LockHeld {
            lock: self.lock.as_str().into(),
            holders,
            given_up,
        });
    }
}

/// Whether the same processes have it in the same way.
fn is_same(one: &[LockHolder], other: &[LockHolder]) -> bool {
    let key = |holder: &LockHolder| (holder.host.clone(), holder.pid, holder.exclusive);
    one.iter().map(key).eq(other.iter().map(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_below_a_tenth_of_the_wait() {
        let mut deadline = Deadline::new(Some(Duration::from_millis(300)), None);
        assert_eq!(deadline.pause, FIRST_PAUSE);
        for _ in 0..4 {
            deadline.sleep();
        }
        assert_eq!(deadline.pause, Duration::from_millis(30));
        assert_eq!(Deadline::new(None, None).pause_max, PAUSE_MAX);
        let long = Deadline::new(Some(Duration::from_hours(1)), None);
        assert_eq!(long.pause_max, PAUSE_MAX);
        let none = Deadline::new(Some(Duration::ZERO), None);
        assert!(none.has_passed() && none.pause.is_zero());
    }

    #[test]
    fn courtesy_takes_half_of_a_wait_at_most() {
        assert!(!Deadline::new(Some(Duration::ZERO), None).allows_courtesy());
        let mut deadline = Deadline::new(Some(Duration::from_mins(1)), None);
        assert!(deadline.allows_courtesy());
        let begun = Instant::now().checked_sub(COURTESY_MAX);
        deadline.started = begun.expect("the machine has been up for longer");
        assert!(!deadline.allows_courtesy() && !deadline.has_passed());
    }
}
