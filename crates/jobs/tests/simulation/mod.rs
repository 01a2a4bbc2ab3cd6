//! A machine whose clock, sleep and power are scripted, and what should be started on it.

#![allow(dead_code)] // Not every test needs all of it.
#![allow(clippy::unwrap_used)] // It is a test.

use std::collections::BTreeMap;
use std::time::Duration;

use ironborg_jobs::job;
use ironborg_jobs::schedule::scheduler::{Planned, Scheduler};
use ironborg_jobs::schedule::{ON_TIME, Record, Timing, due};
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The machine's id.
pub(crate) const MACHINE: &[u8] = b"0123456789abcdef";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// A job, with its schedule in words and as a rule.
#[derive(Clone)]
pub(crate) struct Naive {
    pub(crate) name: String,
    pub(crate) start_at: String,
    pub(crate) matches: fn(&Naive, DateTime) -> bool,
    pub(crate) time: (i8, i8),
    pub(crate) is_persistent: bool,
    pub(crate) delay_at_most: SignedDuration,
    /// How long a run takes.
    pub(crate) takes: SignedDuration,
    pub(crate) repository: String,
}

impl Naive {
    pub(crate) fn new(name: &str, start_at: &str, matches: fn(&Self, DateTime) -> bool) -> Self {
        Self {
            name: name.to_owned(),
            start_at: start_at.to_owned(),
            matches,
            time: (0, 0),
            is_persistent: true,
            delay_at_most: SignedDuration::ZERO,
            takes: minutes(7),
            repository: name.to_owned(),
        }
    }

    pub(crate) fn daily(name: &str, hour: i8, minute: i8) -> Self {
        let matches = |job: &Self, time: DateTime| (time.hour(), time.minute()) == job.time;
        Self {
            time: (hour, minute),
            ..Self::new(name, &format!("{hour:02}:{minute:02}"), matches)
        }
    }

    pub(crate) fn all() -> Vec<Self> {
        let hourly: fn(&Self, DateTime) -> bool = |_, time| time.minute() == 0;
        let weekly: fn(&Self, DateTime) -> bool =
            |_, time| time.weekday() == Weekday::Sunday && (time.hour(), time.minute()) == (2, 45);
        let monthly: fn(&Self, DateTime) -> bool =
            |_, time| (time.day(), time.hour(), time.minute()) == (1, 0, 0);
        let last_of_month: fn(&Self, DateTime) -> bool = |_, time| {
            time.day() == time.days_in_month() && (time.hour(), time.minute()) == (23, 59)
        };
        let leap: fn(&Self, DateTime) -> bool =
            |_, time| (time.month(), time.day(), time.hour(), time.minute()) == (2, 29, 12, 0);
        let mut all = vec![
            Self::new("hourly", "hourly", hourly),
            Self::daily("daily at 2:30", 2, 30),
            Self::daily("daily at 0:00", 0, 0),
            Self::new("weekly", "Sun 2:45", weekly),
            Self::new("monthly", "0 0 1 * *", monthly),
            Self::new("last of the month", "*-*~1 23:59", last_of_month),
        ];
        for job in all.clone() {
            all.push(Self {
                name: format!("{}, not persistent", job.name),
                is_persistent: false,
                repository: format!("another for {}", job.name),
                ..job
            });
        }
        all.push(Self::new("leap day", "*-02-29 12:00", leap));
        all
    }

    /// The times behind `from`, up to `to`, found by looking at every minute.
    pub(crate) fn slots(&self, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        self.slots_of(&minutes_of(zone, from, to))
    }

    pub(crate) fn slots_of(&self, minutes: &[(Timestamp, DateTime)]) -> Vec<Timestamp> {
        let matching = minutes
            .iter()
            .filter(|(_, time)| (self.matches)(self, *time));
        matching.map(|(at, _)| *at).collect()
    }

    fn schedule(&self) -> job::Schedule {
        job::Schedule {
            start_at: vec![self.start_at.clone()],
            persistent: self.is_persistent,
            random_delay: Duration::try_from(self.delay_at_most).unwrap(),
        }
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing::new(&self.name, &self.schedule(), MACHINE).unwrap()
    }
}

/// Every whole minute behind `from`, up to `to`, and what clocks show; without those whose time of day has been before.
pub(crate) fn minutes_of(
    zone: &TimeZone,
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, DateTime)> {
    let second = from.as_second();
    let first = second - second.rem_euclid(60) + 60;
    let shown = |second: i64| {
        let at = Timestamp::from_second(second).unwrap();
        (at, zone.to_offset(at).to_datetime(at))
    };
    // It may begin where clocks have just been set back.
    let mut latest = shown(first - 60 * 60 * 3).1;
    for second in (first - 60 * 60 * 3..first).step_by(60) {
        latest = latest.max(shown(second).1);
    }
    let mut found = Vec::new();
    for second in (first..=to.as_second()).step_by(60) {
        let (at, time) = shown(second);
        if time > latest {
            latest = time;
            found.push((at, time));
        }
    }
    found
}

/// A run: when it should have begun, did, and ended.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) planned: Timestamp,
    pub(crate) begun: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) killed: Option<Timestamp>,
}

/// A machine with a scheduler.
pub(crate) struct Simulation {
    begin: Timestamp,
    now: Timestamp,
    zone: TimeZone,
    parallel: usize,
    scheduler: Scheduler,
    jobs: Vec<Naive>,
    /// When the last run of each ended, or began, as a history would have it.
    recorded: BTreeMap<String, Timestamp>,
    /// What runs, and for how long still.
    running: Vec<(String, SignedDuration)>,
    runs: BTreeMap<String, Vec<Ran>>,
    awake: Vec<(Timestamp, Timestamp)>,
}

impl Simulation {
    pub(crate) fn new(begin: Timestamp, zone: &TimeZone, jobs: &[Naive], parallel: usize) -> Self {
        let mut simulation = Self {
            begin,
            now: begin,
            zone: zone.clone(),
            parallel,
            scheduler: Scheduler::new(parallel),
            jobs: jobs.to_vec(),
            recorded: BTreeMap::new(),
            running: Vec::new(),
            runs: BTreeMap::new(),
            awake: Vec::new(),
        };
        simulation.turn_on();
        simulation
    }

    pub(crate) fn begin(&self) -> Timestamp {
        self.begin
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Time passes while the machine is awake.
    pub(crate) fn elapse(&mut self, duration: SignedDuration) {
        let mut left = duration;
        loop {
            self.end_what_is_over();
            let recorded = &self.recorded;
            let decision = self
                .scheduler
                .decide(self.now, &self.zone, &mut |job| recorded.get(job).copied());
            for start in &decision.start {
                self.begin_run(&start.job, start.planned);
            }
            let now = self.now;
            assert!(
                decision.next.is_none_or(|next| next > now),
                "it does not wait at {now}"
            );
            if left.is_zero() {
                break;
            }
            let next = decision.next.map(|next| next.duration_since(now));
            let ends = self.running.iter().map(|(_, left)| *left);
            let step = ends.chain(next).min().map_or(left, |step| step.min(left));
            self.pass(step);
            left -= step;
        }
        self.awake.last_mut().unwrap().1 = self.now;
    }

    /// Time passes without anybody looking at the clock.
    fn pass(&mut self, duration: SignedDuration) {
        self.now += duration;
        for (_, left) in &mut self.running {
            *left -= duration;
        }
    }

    fn begin_run(&mut self, name: &str, planned: Timestamp) {
        let job = self.jobs.iter().find(|job| job.name == name).unwrap();
        let busy = |(other, _): &(String, SignedDuration)| {
            let other = self.jobs.iter().find(|job| job.name == *other).unwrap();
            other.repository == job.repository
        };
        assert!(
            !self.running.iter().any(busy),
            "{name} at the same time as another"
        );
        self.running.push((name.to_owned(), job.takes));
        assert!(self.running.len() <= self.parallel);
        self.recorded.insert(name.to_owned(), self.now);
        self.runs.entry(name.to_owned()).or_default().push(Ran {
            planned,
            begun: self.now,
            ended: None,
            killed: None,
        });
    }

    fn end_what_is_over(&mut self) {
        let is_over = |(_, left): &(String, SignedDuration)| *left <= SignedDuration::ZERO;
        let over: Vec<_> = self.running.extract_if(.., |run| is_over(run)).collect();
        for (name, _) in over {
            let last = self.recorded.get_mut(&name).unwrap();
            *last = self.now.max(*last);
            let recorded = Some(*last);
            self.runs.get_mut(&name).unwrap().last_mut().unwrap().ended = Some(self.now);
            self.scheduler.ended(&name, self.now, recorded);
        }
    }

    /// The machine sleeps, and what runs with it.
    pub(crate) fn sleep(&mut self, duration: SignedDuration) {
        self.now += duration;
        self.awake.push((self.now, self.now));
    }

    /// The machine is off for so long; what runs is killed.
    pub(crate) fn turn_off(&mut self, duration: SignedDuration) {
        for (name, _) in self.running.drain(..) {
            self.runs.get_mut(&name).unwrap().last_mut().unwrap().killed = Some(self.now);
        }
        self.now += duration;
        self.turn_on();
    }

    fn turn_on(&mut self) {
        self.awake.push((self.now, self.now));
        self.scheduler = Scheduler::new(self.parallel);
        let planned = self.jobs.iter().map(|job| Planned {
            name: job.name.clone(),
            timing: job.timing(),
            repositories: vec![job.repository.clone()],
            record: Record {
                last: self.recorded.get(&job.name).copied(),
                since: self.begin,
            },
        });
        self.scheduler.replace(planned.collect());
    }

    /// The clock is set, which is noticed some seconds later.
    pub(crate) fn set_clock(&mut self, there: SignedDuration, unnoticed: i64) {
        self.now += there;
        self.pass(SignedDuration::from_secs(unnoticed));
    }

    /// The machine is in another zone now.
    pub(crate) fn travel(&mut self, zone: &TimeZone) {
        self.zone = zone.clone();
    }

    /// How many runs there were.
    pub(crate) fn run_count(&self) -> u64 {
        let count: usize = self.runs.values().map(Vec::len).sum();
        count as u64
    }

    pub(crate) fn runs(&self, job: &str) -> &[Ran] {
        self.runs.get(job).map_or(&[], Vec::as_slice)
    }

    /// When a job should have begun and did.
    pub(crate) fn started(&self, job: &str) -> Vec<(Timestamp, Timestamp)> {
        let runs = self.runs(job).iter();
        runs.map(|run| (run.planned, run.begun)).collect()
    }

    pub(crate) fn started_from(&self, job: &str, first: usize) -> Vec<(Timestamp, Timestamp)> {
        self.started(job).split_off(first)
    }

    pub(crate) fn count_all(&self) -> BTreeMap<String, usize> {
        let names = self.jobs.iter().map(|job| job.name.clone());
        names
            .map(|name| (name.clone(), self.runs(&name).len()))
            .collect()
    }

    pub(crate) fn delay(&self, job: &str) -> SignedDuration {
        let job = self.jobs.iter().find(|found| found.name == job).unwrap();
        due::delay(
            &job.name,
            MACHINE,
            Duration::try_from(job.delay_at_most).unwrap(),
        )
    }

    /// When it was awake again, at that time or later.
    pub(crate) fn awake_from(&self, at: Timestamp) -> Timestamp {
        let again = self.awake[self.awake.partition_point(|(_, to)| *to < at)];
        again.0.max(at)
    }

    fn on_after(&self, off: Timestamp) -> Timestamp {
        self.awake[self.awake.partition_point(|(from, _)| *from <= off)].0
    }

    /// Whether what was due then was done then, or by what ran then.
    pub(crate) fn is_served(&self, job: &str, slot: Timestamp, on_again: Timestamp) -> bool {
        let runs = self.runs(job);
        let behind = runs.partition_point(|run| run.begun <= on_again);
        // Those before the last two were over before.
        runs[behind.saturating_sub(2)..behind].iter().any(|run| {
            let ran_then = run.begun <= slot && run.ended.is_some_and(|ended| ended >= slot);
            // What was killed is begun anew when the machine is on again: the slot has not been served then.
            let killed = run
                .killed
                .filter(|killed| run.begun <= slot && *killed >= slot);
            let is_begun_anew =
                || killed.is_some_and(|at| self.is_served(job, slot, self.on_after(at)));
            ran_then || run.begun == on_again || is_begun_anew()
        })
    }

    /// What should have been started, by rules of their own: for a machine that sleeps, but is not turned off, and whose
    /// clock is right.
    pub(crate) fn expected(
        &self,
        job: &Naive,
        minutes: &[(Timestamp, DateTime)],
    ) -> Vec<(Timestamp, Timestamp)> {
        let slots = job.slots_of(minutes);
        let on_time = SignedDuration::try_from(ON_TIME).unwrap();
        let mut found = Vec::new();
        let mut done = self.begin;
        for (from, to) in &self.awake {
            // At waking up, unless it is still running.
            let (slept, later) = slots.split_at(slots.partition_point(|slot| slot <= from));
            let missed = slept.last().filter(|slot| **slot > done);
            if let Some(slot) = missed
                && (job.is_persistent || from.duration_since(*slot) <= on_time)
            {
                found.push((*slot, *from));
                done = self.end_of_run(*from, job.takes);
            }
            for slot in later.iter().take_while(|slot| **slot <= *to) {
                if *slot > done {
                    found.push((*slot, *slot));
                    done = self.end_of_run(*slot, job.takes);
                }
            }
        }
        found
    }

    /// When something ends that takes so long while the machine is awake.
    fn end_of_run(&self, begun: Timestamp, takes: SignedDuration) -> Timestamp {
        let mut left = takes;
        let first = self.awake.partition_point(|(_, to)| *to < begun);
        for (from, to) in &self.awake[first..] {
            let from = (*from).max(begun);
            let awake = to.duration_since(from);
            if awake >= left {
                return from + left;
            }
            left -= awake;
        }
        Timestamp::MAX
    }
}
