//! What starts when: a state machine that has no clock of its own, and the loop that drives it.
//!
//! It never concludes anything from how long it has waited: it looks at the clock at least once a minute, and decides anew by what it
//! shows and what is recorded. So a machine that slept, or a clock that was set, is nothing special.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::due::{Record, Timing};

/// How often the clock is looked at, at least.
pub const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How often jobs are looked for that have had no success for too long.
const SILENCE_CHECK_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// When a job that could not begin, as its conditions were not met, is tried again; then it doubles.
const FIRST_RETRY: SignedDuration = SignedDuration::from_mins(15);
const LONGEST_RETRY: SignedDuration = SignedDuration::from_hours(2);

/// A job, as far as the scheduler is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// When it runs.
    pub timing: Timing,
    /// What it writes to: two jobs with one in common do not run at the same time.
    pub repositories: Vec<String>,
    /// When it was seen for the first time, and ran for the last.
    pub record: Record,
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The job.
    pub job: String,
    /// When it should have been started.
    pub planned: Timestamp,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// These begin.
    pub start: Vec<Start>,
    /// When there is something to decide again, if nothing happens before.
    pub next: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Idle,
    /// It is due, but others come first.
    Waiting {
        planned: Timestamp,
    },
    Running {
        /// The record of before.
        before: Option<Timestamp>,
    },
}

#[derive(Debug)]
struct Entry {
    job: Planned,
    state: State,
    /// What was recorded when it was last asked for.
    heard: Option<Timestamp>,
    /// After it could not begin: how long it is left alone, and until when.
    retry: Option<(SignedDuration, Timestamp)>,
    /// From when until when it is known that it is not due, unless something changes; no end: ever.
    quiet: Option<(Timestamp, Option<Timestamp>)>,
    /// Whether it is still configured.
    is_wanted: bool,
}

/// Jobs, and what they are doing.
#[derive(Debug)]
pub struct Scheduler {
    entries: Vec<Entry>,
    parallel: usize,
    /// Where the clock was looked at for the last time.
    zone: Option<TimeZone>,
}

impl Scheduler {
    /// At most `parallel` jobs run at the same time, at least one.
    pub fn new(parallel: usize) -> Self {
        Self {
            entries: Vec::new(),
            parallel: parallel.max(1),
            zone: None,
        }
    }

    /// These are the jobs from now on. What is known of those that stay is kept, what runs goes on, and what could not
    /// begin is tried at once.
    pub fn replace(&mut self, jobs: Vec<Planned>) {
        let mut old = std::mem::take(&mut self.entries);
        for job in jobs {
            let known = old.iter().position(|entry| entry.job.name == job.name);
            let entry = match known.map(|at| old.remove(at)) {
                Some(entry) => Entry {
                    job: Planned {
                        record: entry.job.record,
                        ..job
                    },
                    is_wanted: true,
                    quiet: None,
                    // Somebody has done something about it.
                    retry: None,
                    ..entry
                },
                None => Entry {
                    heard: job.record.last,
                    job,
                    state: State::Idle,
                    retry: None,
                    quiet: None,
                    is_wanted: true,
                },
            };
            self.entries.push(entry);
        }
        old.retain(|entry| matches!(entry.state, State::Running { .. }));
        for entry in &mut old {
            entry.is_wanted = false;
        }
        self.entries.append(&mut old);
    }

    /// Whether anything runs.
    pub fn is_busy(&self) -> bool {
        self.running().next().is_some()
    }

    /// The jobs that run.
    pub fn running(&self) -> impl Iterator<Item = &str> {
        let running = |entry: &&Entry| matches!(entry.state, State::Running { .. });
        self.entries
            .iter()
            .filter(running)
            .map(|entry| entry.job.name.as_str())
    }

    /// Decides what starts now; that counts as running until [`Scheduler::ended`]. `last` says what is recorded of a job: when
    /// its last run ended, or began if it has not ended.
    pub fn decide(
        &mut self,
        now: Timestamp,
        zone: &TimeZone,
        last: &mut dyn FnMut(&str) -> Option<Timestamp>,
    ) -> Decision {
        if self.zone.as_ref() != Some(zone) {
            self.zone = Some(zone.clone());
            for entry in &mut self.entries {
                entry.quiet = None;
            }
        }
        for entry in &mut self.entries {
            entry.look(now, zone, last);
        }
        let mut start = Vec::new();
        while let Some(at) = self.first_that_may_start() {
            let entry = &mut self.entries[at];
            let State::Waiting { planned } = entry.state else {
                unreachable!("only those that wait may start");
            };
            entry.state = State::Running {
                before: entry.job.record.last,
            };
            entry.job.record.last = Some(now);
            start.push(Start {
                job: entry.job.name.clone(),
                planned,
            });
        }
        let next = self
            .entries
            .iter_mut()
            .filter_map(|entry| entry.next(now, zone));
        let next = next.min();
        Decision { start, next }
    }

    /// A job that was started has ended, or could not even be started; `recorded` is what is recorded of it now.
    pub fn ended(&mut self, job: &str, now: Timestamp, recorded: Option<Timestamp>) {
        let Some(at) = self.entries.iter().position(|entry| entry.job.name == job) else {
            return;
        };
        let entry = &mut self.entries[at];
        if !entry.is_wanted {
            self.entries.remove(at);
            return;
        }
        let State::Running { before } = entry.state else {
            return;
        };
        entry.state = State::Idle;
        entry.quiet = None;
        let was_begun = recorded != entry.heard;
        entry.heard = recorded;
        // What fell due while it ran is done with it; what it was started for is, even if the clock was set back meanwhile.
        entry.job.record.last = entry.job.record.last.max(Some(now));
        let waited = entry.retry.take();
        if !was_begun && entry.job.timing.is_persistent() {
            // There was no disk or no network. It is still to be done.
            entry.job.record.last = before;
            let wait = waited.map_or(FIRST_RETRY, |(wait, _)| (wait + wait).min(LONGEST_RETRY));
            entry.retry = now.checked_add(wait).ok().map(|until| (wait, until));
        }
    }

    /// Of those that wait, the one that has been due for longest, if there is room and nobody uses its repositories.
    fn first_that_may_start(&self) -> Option<usize> {
        if self.running().count() >= self.parallel {
            return None;
        }
        let running = |entry: &&Entry| matches!(entry.state, State::Running { .. });
        let in_use: Vec<&String> = self
            .entries
            .iter()
            .filter(running)
            .flat_map(|entry| &entry.job.repositories)
            .collect();
        let waiting = self.entries.iter().enumerate().filter_map(|(at, entry)| {
            let State::Waiting { planned } = entry.state else {
                return None;
            };
            let repositories = &entry.job.repositories;
            let is_free = !repositories.iter().any(|one| in_use.contains(&one));
            is_free.then_some((planned, at))
        });
        waiting.min().map(|(_, at)| at)
    }
}

impl Entry {
    /// Sees whether it is due, and whether it still is if it waits.
    fn look(
        &mut self,
        now: Timestamp,
        zone: &TimeZone,
        last: &mut dyn FnMut(&str) -> Option<Timestamp>,
    ) {
        match self.state {
            State::Running { .. } => {}
            State::Waiting { planned } => {
                self.hear(last);
                let is_done = |last: Timestamp| last >= planned && last <= now;
                if self.job.record.last.is_some_and(is_done) {
                    self.state = State::Idle;
                }
            }
            State::Idle => {
                if self.is_quiet(now) || self.due(now, zone).is_none() {
                    return;
                }
                // Somebody may have run it by hand.
                self.hear(last);
                if let Some(planned) = self.due(now, zone) {
                    self.state = State::Waiting { planned };
                }
            }
        }
    }

    fn due(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.job.timing.due(&self.job.record, now, zone)
    }

    /// Takes over what is recorded, if that is news. (If it could not be recorded, what is remembered here is better.)
    fn hear(&mut self, last: &mut dyn FnMut(&str) -> Option<Timestamp>) {
        let recorded = last(&self.job.name);
        if recorded != self.heard {
            self.heard = recorded;
            self.quiet = None;
            self.job.record.last = recorded.or(self.job.record.last);
        }
    }

    fn is_left_alone(&self, now: Timestamp) -> bool {
        self.retry.is_some_and(|(wait, until)| {
            let left = until.duration_since(now);
            // More than all of it is left where the clock was set back.
            left.is_positive() && left <= wait
        })
    }

    fn is_quiet(&self, now: Timestamp) -> bool {
        let is_known = |(from, until): (Timestamp, Option<Timestamp>)| {
            from <= now && until.is_none_or(|until| now < until)
        };
        self.quiet.is_some_and(is_known) || self.is_left_alone(now)
    }

    /// When there is something to decide about it.
    fn next(&mut self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.state != State::Idle {
            // Whoever is in its way ends before.
            return None;
        }
        if let Some((_, until)) = self.retry
            && self.is_left_alone(now)
        {
            return Some(until);
        }
        match self.quiet {
            Some((_, until)) if self.is_quiet(now) => until,
            _ => {
                let next = self.job.timing.next_start(&self.job.record, now, zone);
                self.quiet = Some((now, next));
                next
            }
        }
    }
}

/// What happened while it was waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A job has ended.
    Ended {
        /// Which one.
        job: String,
    },
    /// The configuration is to be read again.
    Reload,
    /// Everything is to end.
    Stop,
}

/// What surrounds the scheduler: a clock, children, records, configuration.
pub trait World {
    /// What the clock shows.
    fn now(&self) -> Timestamp;
    /// In which zone.
    fn zone(&self) -> TimeZone;
    /// Waits until something happens, or for so long at most; it may as well be less.
    fn wait(&mut self, at_most: Duration) -> Vec<Happened>;
    /// Starts a job; it ends with [`Happened::Ended`] unless this is false.
    fn start(&mut self, start: &Start) -> bool;
    /// What is recorded of a job: when its last run ended, or began if it has not ended.
    fn last(&mut self, job: &str) -> Option<Timestamp>;
    /// The jobs, if they are not what they were; `is_told`: somebody says so.
    fn changes(&mut self, is_told: bool) -> Option<Vec<Planned>>;
    /// Starts to look for jobs that have had no success for too long.
    fn check_silence(&mut self);
    /// Tells those that run to end.
    fn stop(&mut self);
}

/// Runs jobs whenever they are due, until it is told to stop and those that run have ended.
pub fn serve(parallel: usize, world: &mut dyn World) {
    let mut scheduler = Scheduler::new(parallel);
    let mut silence_checked: Option<Timestamp> = None;
    let (mut is_told, mut is_stopping) = (true, false);
    while !is_stopping || scheduler.is_busy() {
        if !is_stopping && let Some(jobs) = world.changes(std::mem::take(&mut is_told)) {
            scheduler.replace(jobs);
        }
        let (now, zone) = (world.now(), world.zone());
        let mut wait = LOOK_EVERY;
        if !is_stopping {
            let decision = scheduler.decide(now, &zone, &mut |job| world.last(job));
            wait = decision.next.map_or(LOOK_EVERY, |next| {
                let wait = Duration::try_from(next.duration_since(now));
                wait.unwrap_or_default().min(LOOK_EVERY)
            });
            for start in &decision.start {
                if !world.start(start) {
                    let recorded = world.last(&start.job);
                    scheduler.ended(&start.job, now, recorded);
                    wait = Duration::ZERO;
                }
            }
            let since = silence_checked.map(|at| now.duration_since(at));
            if since.is_none_or(|since| since >= SILENCE_CHECK_EVERY || since.is_negative()) {
                silence_checked = Some(now);
                world.check_silence();
            }
        }
        for happened in world.wait(wait) {
            match happened {
                Happened::Ended { job } => {
                    let recorded = world.last(&job);
                    scheduler.ended(&job, world.now(), recorded);
                }
                Happened::Reload => is_told = true,
                Happened::Stop => {
                    is_stopping = true;
                    world.stop();
                }
            }
        }
    }
}
