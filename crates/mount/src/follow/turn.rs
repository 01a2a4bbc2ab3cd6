//! How long one session is used.
//!
//! A session that keeps others from writing is given back before anybody who waits for the lock gives up (stock Borg
//! does after a second if nothing else is said), and a while passes before the next one, in which the lock can be had.
//! One that keeps nobody from anything is only given back when it was not used for long, if it takes a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ironborg_archive::Session;

/// How long a session with a lock is used at most.
const LOCKED_MAX: Duration = Duration::from_millis(700);
/// How long it may be without use.
const LOCKED_IDLE_MAX: Duration = Duration::from_millis(250);
/// How long nobody has the lock between two such sessions: those who wait for it for a second look ten times as often.
pub(super) const LOCK_PAUSE: Duration = Duration::from_millis(250);
/// How long a connection without a lock may be without use.
const IDLE_MAX: Duration = Duration::from_mins(5);
/// How often that is looked at.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Who reads when a session's time is over may finish what it is at, but not for longer than this.
const FINISH_MAX: Duration = Duration::from_millis(150);

/// A session, and how it has been used.
pub(super) struct Turn {
    pub(super) session: Arc<Session>,
    began: Instant,
    /// Milliseconds after that.
    used: AtomicU64,
    /// How many threads are using it.
    users: AtomicUsize,
    is_over: AtomicBool,
}

/// Keeps a session from being closed for a moment.
pub(super) struct Use<'a>(&'a Turn);

impl Turn {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session: Arc::new(session),
            began: Instant::now(),
            used: AtomicU64::new(0),
            users: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Begins to use the session; `None` if its time is over.
    pub(super) fn enter(&self) -> Option<Use<'_>> {
        self.users.fetch_add(1, Ordering::SeqCst);
        let entered = Use(self);
        self.touch();
        (!self.is_over()).then_some(entered)
    }

    fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.store(now, Ordering::Relaxed);
    }

    /// Whether its connection was given back.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Whether it takes something that is to be given back in time: a lock or a connection.
    pub(super) fn is_limited(&self) -> bool {
        self.holds_lock() || !self.session.repository.is_local()
    }

    /// Whether it keeps others from writing.
    pub(super) fn holds_lock(&self) -> bool {
        self.session.repository.holds_lock()
    }

    /// How long it may still go on if nobody uses it; `None` if its time is over.
    pub(super) fn left(&self) -> Option<Duration> {
        let age = self.began.elapsed();
        let used = Duration::from_millis(self.used.load(Ordering::Relaxed));
        let is_used = self.users.load(Ordering::SeqCst) > 0;
        let idle = if is_used {
            Duration::ZERO
        } else {
            age.saturating_sub(used)
        };
        let left = if self.holds_lock() {
            let left = LOCKED_MAX.checked_sub(age)?;
            left.min(LOCKED_IDLE_MAX.checked_sub(idle)?)
        } else {
            IDLE_MAX.checked_sub(idle)?
        };
        // Not too often, and not much too late.
        Some(left.clamp(Duration::from_millis(10), LOOK_MAX))
    }

    /// Gives lock, connection and memory back. Those who still read then are cut off, and read again.
    pub(super) fn end(&self) {
        if self.is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        let deadline = Instant::now() + FINISH_MAX;
        while self.users.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.session.repository.rest();
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.0.touch();
        self.0.users.fetch_sub(1, Ordering::SeqCst);
    }
}
