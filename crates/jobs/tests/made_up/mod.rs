//! A machine, its time and its programs, all made up.
#![allow(dead_code)] // Each of the tests uses some of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ironborg_jobs::history::History;
use ironborg_jobs::job::{
    ArchiveNaming, Arguments, Checks, Conditions, Hooks, Job, Notifier, Notify, Prune, Retry,
    Schedule, Secret, Source, Target, Way,
};
use ironborg_jobs::notify::{Kind, Parcel, SendError, Sender, Sent};
use ironborg_jobs::plan::WorkOrder;
use ironborg_jobs::report::{Figures, Told};
use ironborg_jobs::run::{self, End, Finished, Reach, World, supervise};
use ironborg_types::Level;
use jiff::{SignedDuration, Timestamp, Zoned};

/// A job with everything a run may have: archives, old ones deleted, space freed.
pub(crate) fn job(targets: &[&str]) -> Job {
    let target = |label: &&str| Target {
        label: (*label).to_owned(),
        repository: format!("/repositories/{label}"),
        encryption: "none".to_owned(),
        passphrase: None,
        environment: BTreeMap::new(),
    };
    Job {
        name: "home".to_owned(),
        source: Source::Paths {
            paths: vec![PathBuf::from("/home")],
            exclude: Vec::new(),
            patterns: Vec::new(),
        },
        targets: targets.iter().map(target).collect(),
        archive: ArchiveNaming {
            base: "home".to_owned(),
            date_format: Some("%Y-%m-%dT%H:%M:%S".to_owned()),
            ..naming()
        },
        compression: None,
        arguments: Arguments::default(),
        environment: BTreeMap::new(),
        schedule: Schedule::default(),
        conditions: Conditions {
            reachable: false,
            online: false,
            metered: true,
            ac_power: false,
            paths: Vec::new(),
            wait: Duration::ZERO,
        },
        retry: Retry {
            attempts: 3,
            first: Duration::from_secs(10),
            longest: Duration::from_mins(1),
        },
        prune: Some(Prune {
            keep: vec![("daily".to_owned(), "7".to_owned())],
            prefix: None,
        }),
        compact: true,
        checks: Checks::default(),
        hooks: Hooks::default(),
        user: None,
        group: None,
        read_write_paths: Vec::new(),
        private_tmp: false,
        removable_device: false,
        inhibits_sleep: false,
        fail_on_warnings: false,
        init: false,
        nice: None,
        io: None,
        notify: Notify {
            by: vec!["check".to_owned()],
            failure: true,
            recovery: true,
            success: true,
            max_age: None,
        },
    }
}

fn naming() -> ArchiveNaming {
    ArchiveNaming {
        base: String::new(),
        date_format: None,
        failed_suffix: false,
        utc: false,
    }
}

/// The same with devices that are always there.
pub(crate) fn without_removable(mut job: Job) -> Job {
    job.removable_device = false;
    job
}

/// Time that passes only when somebody waits.
pub(crate) struct Clock {
    pub(crate) awake: Cell<Duration>,
    wall: Cell<Timestamp>,
    pub(crate) random: Cell<f64>,
    /// A signal comes when it was awake for so long.
    pub(crate) ends_at: Cell<Option<Duration>>,
    pub(crate) ended: Arc<Mutex<bool>>,
}

impl Clock {
    fn new() -> Self {
        Self {
            awake: Cell::new(Duration::ZERO),
            wall: Cell::new("2024-02-28T22:00:00Z".parse().unwrap()),
            random: Cell::new(0.5),
            ends_at: Cell::new(None),
            ended: Arc::default(),
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.awake.set(self.awake.get() + time);
        let time = SignedDuration::try_from(time).unwrap();
        self.wall.set(self.wall.get() + time);
    }

    pub(crate) fn set_back(&self, time: Duration) {
        let time = SignedDuration::try_from(time).unwrap();
        self.wall.set(self.wall.get() - time);
    }
}

impl run::Clock for Clock {
    fn now(&self) -> Zoned {
        self.wall.get().to_zoned(jiff::tz::TimeZone::UTC)
    }

    fn awake(&self) -> Duration {
        self.awake.get()
    }

    fn sleep(&self, time: Duration) {
        assert!(!time.is_zero(), "whoever waits for nothing never ends");
        let left = self
            .ends_at
            .get()
            .map(|end| end.saturating_sub(self.awake.get()));
        self.pass(left.map_or(time, |left| left.min(time)));
    }

    fn ending(&self) -> Option<u8> {
        let by_time = self
            .ends_at
            .get()
            .is_some_and(|end| self.awake.get() >= end);
        (by_time || *self.ended.lock().unwrap()).then_some(143)
    }

    fn random(&self) -> f64 {
        self.random.get()
    }
}

/// Makes something of it as it should be, or not.
pub(crate) type Setting = fn(&Machine, bool);

/// What it is like, and how often somebody looked.
pub(crate) struct Machine {
    pub(crate) online: Cell<bool>,
    pub(crate) metered: Cell<bool>,
    pub(crate) ac_power: Cell<bool>,
    pub(crate) paths: Cell<bool>,
    pub(crate) reachable: Cell<bool>,
    pub(crate) reach: RefCell<Vec<(String, Reach)>>,
    pub(crate) absent: RefCell<Vec<String>>,
    pub(crate) looks: Cell<u32>,
    /// At this look all is well.
    pub(crate) met_after: Cell<Option<(u32, Setting)>>,
}

impl Machine {
    fn new() -> Self {
        Self {
            online: Cell::new(true),
            metered: Cell::new(false),
            ac_power: Cell::new(true),
            paths: Cell::new(true),
            reachable: Cell::new(true),
            reach: RefCell::default(),
            absent: RefCell::default(),
            looks: Cell::new(0),
            met_after: Cell::new(None),
        }
    }

    fn look(&self) {
        self.looks.set(self.looks.get() + 1);
    }

    /// Paths are the first thing that is looked at: they begin a look.
    fn begin_look(&self) {
        if let Some((looks, set)) = self.met_after.get() {
            if looks <= 1 {
                set(self, true);
            }
            self.met_after.set(Some((looks.saturating_sub(1), set)));
        }
    }
}

impl run::Machine for Machine {
    fn online(&self) -> bool {
        self.look();
        self.online.get()
    }

    fn metered(&self) -> bool {
        self.look();
        self.metered.get()
    }

    fn ac_power(&self) -> bool {
        self.look();
        self.ac_power.get()
    }

    fn exists(&self, path: &Path) -> bool {
        assert_eq!(path, Path::new("/media/disk"));
        self.look();
        self.begin_look();
        self.paths.get()
    }

    fn reach(&self, target: &Target) -> Reach {
        self.look();
        let known = self.reach.borrow();
        let answer = known.iter().find(|(label, _)| *label == target.label);
        match answer {
            Some((_, reach)) => reach.clone(),
            None if self.reachable.get() => Reach::Yes,
            None => Reach::No(format!("{} does not answer", target.label)),
        }
    }

    fn is_present(&self, target: &Target) -> bool {
        !self.absent.borrow().contains(&target.label)
    }
}

/// What an attempt comes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempt {
    /// The end of a step that has not gone well.
    pub(crate) failing: Option<Told>,
    /// The step in which it is killed.
    killed: Option<String>,
    /// Whether a signal wants everything to end meanwhile.
    pub(crate) ends: bool,
}

impl Attempt {
    pub(crate) fn good() -> Self {
        Self::default()
    }

    pub(crate) fn fails_at(step: &str, code: u8, msgid: Option<&str>) -> Self {
        let failing = Some(step_failed(0, step, code, msgid, "what went wrong"));
        Self {
            failing,
            ..Self::default()
        }
    }

    pub(crate) fn killed_at(step: &str) -> Self {
        let killed = Some(step.to_owned());
        Self {
            killed,
            ..Self::default()
        }
    }
}

/// The end of a step; its place is that in the order.
pub(crate) fn step_failed(
    number: usize,
    step: &str,
    code: u8,
    msgid: Option<&str>,
    message: &str,
) -> Told {
    Told::Ended {
        number,
        step: step.to_owned(),
        code,
        msgid: msgid.map(str::to_owned),
        message: (code > 1).then(|| message.to_owned()),
        seconds: 1.0,
        figures: Box::default(),
    }
}

/// Does what attempts say, one after the other, then all well.
pub(crate) struct Worker {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) targets: Vec<String>,
    pub(crate) archives: Vec<String>,
    /// The names of the steps of each order.
    pub(crate) orders: Vec<Vec<String>>,
    pub(crate) hooks: Vec<(String, Vec<(String, String)>)>,
    pub(crate) hook_ends: Vec<(&'static str, End)>,
    ended: Arc<Mutex<bool>>,
}

impl run::Worker for Worker {
    fn work(
        &mut self,
        target: &Target,
        order: &WorkOrder,
        told: &mut dyn FnMut(Told),
        log: &mut dyn FnMut(&str),
    ) -> End {
        self.targets.push(target.label.clone());
        self.archives.push(order.archive.clone());
        let names = order.steps.iter().map(|step| step.name().to_owned());
        self.orders.push(names.collect());
        log("working\n");
        let attempt = if self.attempts.is_empty() {
            Attempt::good()
        } else {
            self.attempts.remove(0)
        };
        for (number, step) in order.steps.iter().enumerate() {
            let step = step.name().to_owned();
            told(Told::Begun {
                number,
                step: step.clone(),
            });
            if attempt.killed.as_ref() == Some(&step) {
                return End::Signal(9);
            }
            if let Some(Told::Ended { step: failing, .. }) = &attempt.failing
                && *failing == step
            {
                let mut end = attempt.failing.clone().unwrap();
                let Told::Ended {
                    number: place,
                    code,
                    ..
                } = &mut end
                else {
                    unreachable!("it is the end of a step");
                };
                *place = number;
                let code = *code;
                *self.ended.lock().unwrap() |= attempt.ends;
                told(end);
                if code != 1 || order.fail_on_warnings {
                    return End::Code(code);
                }
                continue;
            }
            let figures = Figures {
                files: (step == "create").then_some(3),
                ..Figures::default()
            };
            told(Told::Ended {
                number,
                step,
                code: 0,
                msgid: None,
                message: None,
                seconds: 0.5,
                figures: Box::new(figures),
            });
        }
        End::Code(0)
    }

    fn hook(
        &mut self,
        script: &str,
        variables: &[(&str, String)],
        log: &mut dyn FnMut(&str),
    ) -> End {
        log("a hook\n");
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), value.clone()));
        self.hooks.push((script.to_owned(), variables.collect()));
        let end = self.hook_ends.iter().find(|(name, _)| *name == script);
        end.map_or(End::Code(0), |(_, end)| end.clone())
    }
}

/// Keeps what is said.
#[derive(Default)]
pub(crate) struct Voice {
    pub(crate) lines: RefCell<Vec<String>>,
}

impl run::Voice for Voice {
    fn say(&self, _level: Level, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
}

/// Keeps what is told.
#[derive(Default)]
struct Ears(Mutex<Vec<Kind>>);

impl Sender for Ears {
    fn send(&self, parcel: &Parcel) -> Result<Sent, SendError> {
        self.0.lock().unwrap().push(parcel.message.notice.kind);
        Ok(Sent::default())
    }
}

/// All of it, with a job to run.
pub(crate) struct Scene {
    pub(crate) job: Job,
    pub(crate) clock: Clock,
    pub(crate) machine: Machine,
    pub(crate) worker: Worker,
    pub(crate) voice: Voice,
    pub(crate) history: History,
    ears: Arc<Ears>,
}

impl Scene {
    pub(crate) fn new(job: Job) -> Self {
        let clock = Clock::new();
        Self {
            job,
            machine: Machine::new(),
            worker: Worker {
                attempts: Vec::new(),
                targets: Vec::new(),
                archives: Vec::new(),
                orders: Vec::new(),
                hooks: Vec::new(),
                hook_ends: Vec::new(),
                ended: Arc::clone(&clock.ended),
            },
            clock,
            voice: Voice::default(),
            history: History::in_memory(),
            ears: Arc::default(),
        }
    }

    pub(crate) fn run(&mut self) -> Finished {
        let check = Notifier {
            way: Way::Healthchecks {
                url: Secret::Text("http://checks/{target}".to_owned()),
            },
            subject: None,
            body: None,
            at_most_every: Duration::ZERO,
            ca_file: None,
        };
        let notifiers = BTreeMap::from([("check".to_owned(), check)]);
        let sender: Arc<dyn Sender> = self.ears.clone();
        let world = World {
            id: "run".to_owned(),
            clock: &self.clock,
            machine: &self.machine,
            voice: &self.voice,
            notifiers: &notifiers,
            sender: &sender,
            host: "host".to_owned(),
            log_command: None,
            waits: true,
        };
        supervise(&self.job, &world, &mut self.worker, &mut self.history)
    }

    /// What was told since the last time.
    pub(crate) fn told(&self) -> Vec<Kind> {
        std::mem::take(&mut *self.ears.0.lock().unwrap())
    }
}
