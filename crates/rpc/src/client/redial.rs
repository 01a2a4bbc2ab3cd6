//! When to try again after a connection was lost, and when to give up.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironborg_types::{Event, Interrupt, Level, Reporter};

use super::patience::Patience;

/// Logger of what is said here.
const LOGGER: &str = "borg.remote";
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is done when a connection is lost.
#[derive(Debug, Clone)]
pub struct ReconnectOptions {
    /// How long a new one is tried for; zero: not at all.
    pub limit: Duration,
    /// The pause after the first attempt, which is made at once; it doubles with every attempt.
    pub first_pause: Duration,
    /// Ends it early.
    pub interrupt: Option<&'static Interrupt>,
}

impl ReconnectOptions {
    /// A lost connection stays lost.
    pub fn never() -> Self {
        Self::for_time(Duration::ZERO)
    }

    /// A new one is tried for so long.
    pub fn for_time(limit: Duration) -> Self {
        Self {
            limit,
            first_pause: Duration::from_secs(1),
            interrupt: None,
        }
    }
}

/// The time since a connection was lost.
///
/// A connection that breaks again before anything new was achieved does not count as one: a server that dies of the same
/// request every time is not asked for ever.
pub(super) struct Outage {
    options: ReconnectOptions,
    reporter: Arc<dyn Reporter>,
    location: String,
    since: Option<Instant>,
    attempts: u32,
    /// How many bytes of the journal got through at most.
    furthest: u64,
}

impl Outage {
    pub(super) fn new(
        options: ReconnectOptions,
        reporter: Arc<dyn Reporter>,
        location: String,
    ) -> Self {
        Self {
            options,
            reporter,
            location,
            since: None,
            attempts: 0,
            furthest: 0,
        }
    }

    /// Whether new connections are tried at all.
    pub(super) fn is_bearable(&self) -> bool {
        !self.options.limit.is_zero()
    }

    /// The connection broke; `is_new` if it had been of use.
    pub(super) fn begins(&mut self, is_new: bool) {
        if is_new {
            self.restart();
            self.furthest = 0;
        }
        self.since.get_or_insert_with(Instant::now);
        self.say(format!(
            "The connection to {} was lost, reconnecting.",
            self.location
        ));
    }

    fn restart(&mut self) {
        self.since = None;
        self.attempts = 0;
    }

    /// So many bytes got through before the connection broke again.
    pub(super) fn got(&mut self, bytes: u64) {
        if bytes > self.furthest {
            self.furthest = bytes;
            self.restart();
            self.since = Some(Instant::now());
        }
    }

    /// The connection is back.
    pub(super) fn ends(&mut self) {
        self.say(format!(
            "The connection to {} is back, going on.",
            self.location
        ));
    }

    /// Until when there is hope.
    pub(super) fn patience(&self) -> Patience {
        let since = self.since.unwrap_or_else(Instant::now);
        // A limit beyond what clocks can hold is none.
        let until = since
            .checked_add(self.options.limit)
            .unwrap_or_else(|| since + Duration::from_secs(u64::from(u32::MAX)));
        Patience::until(until, self.options.interrupt)
    }

    /// Waits before the next attempt; false if there is none.
    pub(super) fn pause(&mut self) -> bool {
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts == 1 {
            return !self.patience().is_over();
        }
        let doubled = 1_u32.checked_shl(self.attempts - 2).unwrap_or(u32::MAX);
        let pause = self.options.first_pause.saturating_mul(doubled);
        let pause = jittered(pause.min(PAUSE_MAX));
        let patience = self.patience();
        if !patience.lasts(pause) {
            return false;
        }
        self.say(format!(
            "No connection to {}, trying again in {:.0} s.",
            self.location,
            pause.as_secs_f64().ceil()
        ));
        patience.sleep(pause)
    }

    fn say(&self, message: String) {
        self.reporter
            .report(Event::log(Level::Warning, LOGGER, message));
    }
}

/// Between three quarters of it and all of it, so that clients a server has lost do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 256;
    let share = u32::try_from(random).unwrap_or(0);
    pause.saturating_sub(pause / 1024 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl Reporter for Silent {
        fn report(&self, _: Event<'_>) {}
    }

    fn outage(limit: Duration, first_pause: Duration) -> Outage {
        let options = ReconnectOptions {
            limit,
            first_pause,
            interrupt: None,
        };
        Outage::new(options, Arc::new(Silent), "host:repo".to_owned())
    }

    #[test]
    fn the_first_attempt_is_at_once_and_what_does_not_fit_is_not_waited_for() {
        let mut outage = outage(Duration::from_secs(1000), Duration::from_secs(2000));
        outage.begins(true);
        assert!(outage.pause());
        // Half a minute fits.
        assert!(outage.patience().lasts(PAUSE_MAX));
        outage.options.limit = Duration::from_secs(10);
        assert!(!outage.pause());
    }

    #[test]
    fn only_progress_begins_the_time_anew() {
        let mut outage = outage(Duration::from_secs(1000), Duration::ZERO);
        outage.begins(true);
        let since = outage.since;
        assert!(outage.pause() && outage.pause());
        outage.begins(false);
        assert_eq!((outage.since, outage.attempts), (since, 2));
        outage.got(10);
        assert_ne!(outage.since, since);
        assert_eq!(outage.attempts, 0);
        let since = outage.since;
        outage.got(10);
        assert_eq!(outage.since, since);
        outage.begins(true);
        assert_ne!(outage.since, since);
    }

    #[test]
    fn pauses_differ_and_stay_in_bounds() {
        for _ in 0..100 {
            let pause = jittered(PAUSE_MAX);
            assert!(pause <= PAUSE_MAX && pause + Duration::from_millis(1) >= PAUSE_MAX / 4 * 3);
        }
    }

    #[test]
    fn a_wish_to_stop_ends_the_waiting() {
        static STOP: Interrupt = Interrupt::new();
        let mut outage = outage(Duration::from_secs(1000), Duration::from_secs(20));
        outage.options.interrupt = Some(&STOP);
        outage.begins(true);
        assert!(outage.pause());
        STOP.request_stop();
        assert!(!outage.pause());
    }
}
