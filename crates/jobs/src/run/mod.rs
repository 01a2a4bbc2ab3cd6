//! One run of a job: conditions, hooks, attempts for each repository, what is recorded, and who is told.
//!
//! ```text
//! world        what is needed of the machine: time, conditions, programs
//! conditions   what has to be the case before, and waiting for it
//! attempts     one repository: again and again, where that may help
//! backoff      how long until the next attempt
//! log          the end of what was said
//! ```
//!
//! What cannot be recorded or told is complained of and no reason to make no backup. Repositories come one after the other,
//! and one that fails keeps none of the others from its turn.

mod attempts;
mod backoff;
mod conditions;
mod log;
mod notices;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ironborg_types::Level;
use jiff::Timestamp;

use crate::history::{History, HistoryError, Outcome, RunEnd, RunId};
use crate::job::{Job, Notifier, Target};
use crate::notify::Sender;
use crate::plan::DueChecks;
use crate::report::{Figures, HOOK_FAILED};
use attempts::Attempts;
pub use backoff::wait_before;
use conditions::Waited;
use log::Log;
pub use notices::{KILLED, Remembering, complain_of};
pub use world::{Clock, End, Machine, Reach, Voice, Worker};

/// Borg's code for an error.
const ERROR: u8 = 2;

/// What a run works with.
pub struct World<'a> {
    /// Names this run: a UUID.
    pub id: String,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The machine.
    pub machine: &'a dyn Machine,
    /// Where its own words go.
    pub voice: &'a dyn Voice,
    /// All notifiers there are.
    pub notifiers: &'a BTreeMap<String, Notifier>,
    /// What tells somebody.
    pub sender: &'a Arc<dyn Sender>,
    /// The name of this machine.
    pub host: String,
    /// The command that shows the log.
    pub log_command: Option<String>,
    /// Whether conditions are waited for.
    pub waits: bool,
}

/// What became of a repository's turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// The repository's label.
    pub target: String,
    /// When its turn began.
    pub begun: Timestamp,
    /// How it ended.
    pub end: RunEnd,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Borg's exit code of the worst of all that was done; 0 if nothing was begun.
    pub code: u8,
    /// Each repository.
    pub targets: Vec<Done>,
}

impl Finished {
    /// Whether something was not begun, because of its conditions.
    pub fn was_kept_from_beginning(&self) -> bool {
        let mut ends = self.targets.iter();
        ends.any(|done| !done.end.outcome.was_begun())
    }
}

/// Runs a job. The caller holds its lock.
pub fn supervise(
    job: &Job,
    world: &World<'_>,
    worker: &mut dyn Worker,
    history: &mut History,
) -> Finished {
    let mut run = Running {
        job,
        world,
        history,
        begun: world.clock.timestamp(),
        until: if world.waits {
            world.clock.awake().saturating_add(job.conditions.wait)
        } else {
            Duration::ZERO
        },
        turns: Vec::new(),
    };
    run.bury_the_dead();
    run.run(worker);
    Finished {
        code: worst(run.turns.iter().map(|turn| turn.done.end.code)),
        targets: run.turns.into_iter().map(|turn| turn.done).collect(),
    }
}

/// The worst of some of Borg's exit codes.
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let severity = |code: u8| match code {
        0 => 0,
        1 | 100..=127 => 1,
        _ => 2,
    };
    let worst = codes.into_iter().max_by_key(|&code| (severity(code), code));
    worst.unwrap_or(0)
}

/// What is known of a repository's turn that is over.
struct Recorded<'a> {
    target: &'a Target,
    done: Done,
    /// Its record, if that could be made.
    id: Option<RunId>,
}

/// That a repository's turn has begun.
#[derive(Clone, Copy)]
struct Begun {
    at: Timestamp,
    id: Option<RunId>,
}

/// A run in progress.
struct Running<'a> {
    job: &'a Job,
    world: &'a World<'a>,
    history: &'a mut History,
    begun: Timestamp,
    /// Conditions are waited for until the machine was awake for so long.
    until: Duration,
    turns: Vec<Recorded<'a>>,
}

impl<'a> Running<'a> {
    fn run(&mut self, worker: &mut dyn Worker) {
        let targets = self.present_targets();
        if targets.is_empty() {
            return;
        }
        match self.wait_for(&targets) {
            Waited::Met => {}
            Waited::Unmet(reason) => {
                for target in targets {
                    self.not_begun(target, Outcome::Unmet, &reason);
                }
                return;
            }
            Waited::Ended(code) => return self.cut_off(&targets, code),
        }
        self.tell_of_beginning(&targets);
        let first = self.turns.len();
        self.work(&targets, worker);
        self.hooks_after(first, worker);
        self.tell_of_end(first);
    }

    fn wait_for(&self, targets: &[&Target]) -> Waited {
        let world = self.world;
        conditions::wait_for_any(
            self.job,
            targets,
            self.until,
            world.clock,
            world.machine,
            world.voice,
        )
    }

    /// Those whose devices are there. That others are not is recorded.
    fn present_targets(&mut self) -> Vec<&'a Target> {
        let mut present = Vec::new();
        for target in &self.job.targets {
            if self.job.removable_device && !self.world.machine.is_present(target) {
                let reason = format!("{} is not there", target.repository);
                self.not_begun(target, Outcome::Absent, &reason);
            } else {
                present.push(target);
            }
        }
        present
    }

    /// The pre hook, and each repository in turn.
    fn work(&mut self, targets: &[&'a Target], worker: &mut dyn Worker) {
        if let Some(script) = &self.job.hooks.pre {
            let mut log = Log::new(&self.job.name);
            let end = worker.hook(script, &[], &mut |piece| log.pass(piece));
            if end != End::Code(0) {
                for target in targets {
                    let end = self.hook_failed("pre", &end, log.text());
                    let begun = self.begin(target);
                    self.end(target, begun, end);
                }
                return;
            }
        }
        for (place, target) in targets.iter().enumerate() {
            if let Some(code) = self.world.clock.ending() {
                return self.cut_off(&targets[place..], code);
            }
            if targets.len() > 1 {
                match self.wait_for(&[target]) {
                    Waited::Met => {}
                    Waited::Unmet(reason) => {
                        self.not_begun(target, Outcome::Unmet, &reason);
                        continue;
                    }
                    Waited::Ended(code) => return self.cut_off(&targets[place..], code),
                }
            }
            self.wait_for_the_next_second(target);
            let begun = self.begin(target);
            let end = self.attempts(target, worker);
            self.end(target, begun, end);
        }
    }

    fn attempts(&self, target: &'a Target, worker: &mut dyn Worker) -> RunEnd {
        let attempts = Attempts {
            job: self.job,
            target,
            due: self.due_checks(target),
            is_known: matches!(self.history.recall(&known_key(target)), Ok(Some(_))),
            clock: self.world.clock,
            voice: self.world.voice,
        };
        attempts.run(worker, &mut Log::new(&self.job.name))
    }

    /// Which checks have not been done for long enough. One of all data is one of the repository, too.
    fn due_checks(&self, target: &Target) -> DueChecks {
        let last = |step: &str| {
            let known = self.history.last_done(&target.label, step);
            known.unwrap_or_else(|error| {
                self.complain(&error);
                None
            })
        };
        let is_due = |every: Option<Duration>, last: Option<Timestamp>| {
            let Some(every) = every else { return false };
            // One that was done in the future was not: a clock was wrong, and it would never be due.
            let last = last.filter(|last| *last <= self.begun);
            last.is_none_or(|last| self.begun.duration_since(last).unsigned_abs() >= every)
        };
        let checks = &self.job.checks;
        let data = last("check-data");
        let repository = last("check").max(data);
        DueChecks {
            repository: is_due(checks.repository, repository),
            data: is_due(checks.data, data),
            drill: is_due(
                checks.drill.as_ref().map(|drill| drill.every),
                last("drill"),
            ),
        }
    }

    /// The hooks that come last, whatever happened. What they say about failing counts for the whole run.
    fn hooks_after(&mut self, first: usize, worker: &mut dyn Worker) {
        let code = worst(self.turns[first..].iter().map(|turn| turn.done.end.code));
        let status = [("exitStatus", code.to_string())];
        if let Some(script) = &self.job.hooks.post {
            let mut log = Log::new(&self.job.name);
            let end = worker.hook(script, &status, &mut |piece| log.pass(piece));
            if end != End::Code(0) {
                let failed = self.hook_failed("post", &end, log.text());
                self.fail_all(first, &failed);
            }
        }
        let failed = |turn: &Recorded<'_>| turn.done.end.outcome == Outcome::Failure;
        let Some(failure) = self.turns[first..].iter().find(|turn| failed(turn)) else {
            return;
        };
        let Some(script) = &self.job.hooks.on_failure else {
            return;
        };
        let code = worst(self.turns[first..].iter().map(|turn| turn.done.end.code));
        let message = failure.done.end.message.clone().unwrap_or_default();
        let variables = [("exitStatus", code.to_string()), ("message", message)];
        let mut log = Log::new(&self.job.name);
        let end = worker.hook(script, &variables, &mut |piece| log.pass(piece));
        if end != End::Code(0) {
            let text = hook_message("on_failure", &end);
            log.say(self.world.voice, Level::Warning, &text);
        }
    }

    /// Makes failures of repositories' turns that went well.
    fn fail_all(&mut self, first: usize, failed: &RunEnd) {
        for turn in &mut self.turns[first..] {
            let end = &mut turn.done.end;
            if !end.outcome.is_success() {
                continue;
            }
            end.outcome = failed.outcome;
            end.code = worst([end.code, failed.code]);
            end.msgid.clone_from(&failed.msgid);
            end.message.clone_from(&failed.message);
            end.log.push_str(&failed.log);
            let Some(id) = turn.id else { continue };
            if let Err(error) = self.history.end(id, end) {
                self.world.voice.say(Level::Warning, &error.to_string());
            }
        }
    }

    /// The end of a turn because a hook failed.
    fn hook_failed(&self, name: &str, end: &End, log: String) -> RunEnd {
        let code = match *end {
            End::Code(code) => code,
            End::Signal(_) | End::NotStarted(_) => ERROR,
        };
        let message = hook_message(name, end);
        let ending = self.world.clock.ending();
        self.world
            .voice
            .say(Level::Error, &format!("{}: {message}", self.job.name));
        RunEnd {
            outcome: if ending.is_some() {
                Outcome::Interrupted
            } else {
                Outcome::Failure
            },
            code: ending.unwrap_or(worst([code, ERROR])),
            msgid: Some(HOOK_FAILED.to_owned()),
            message: Some(message),
            log,
            ..self.nothing_done()
        }
    }

    fn nothing_done(&self) -> RunEnd {
        RunEnd {
            at: self.world.clock.timestamp(),
            outcome: Outcome::Success,
            code: 0,
            msgid: None,
            message: None,
            attempts: 0,
            figures: Figures::default(),
            log: String::new(),
            steps: Vec::new(),
        }
    }

    /// A signal came before these had their turn.
    fn cut_off(&mut self, targets: &[&'a Target], code: u8) {
        for target in targets {
            let end = RunEnd {
                outcome: Outcome::Interrupted,
                code,
                ..self.nothing_done()
            };
            self.push(target, self.unrecorded(), end);
        }
    }

    fn not_begun(&mut self, target: &'a Target, outcome: Outcome, reason: &str) {
        let end = RunEnd {
            outcome,
            message: Some(reason.to_owned()),
            ..self.nothing_done()
        };
        let line = format!("{}: {}: not begun: {reason}", self.job.name, target.label);
        self.world.voice.say(Level::Info, &line);
        if let Err(error) = self.history.not_begun(&target.label, &end) {
            self.complain(&error);
        }
        self.push(target, self.unrecorded(), end);
    }

    /// Two archives of one second would have one name. Where people try things out, that is soon.
    fn wait_for_the_next_second(&self, target: &Target) {
        let last = self.history.runs(Some(&target.label), 1);
        let last = last.ok().and_then(|mut runs| runs.pop());
        let now = self.world.clock.timestamp();
        if last.is_some_and(|run| run.begun.as_second() == now.as_second()) {
            let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
            let left = Duration::from_secs(1).saturating_sub(Duration::from_nanos(nanos.into()));
            self.world.clock.sleep(left);
        }
    }

    fn begin(&mut self, target: &Target) -> Begun {
        let at = self.world.clock.timestamp();
        let id = self.history.begin(&target.label, at);
        let id = id.map_err(|error| self.complain(&error)).ok();
        Begun { at, id }
    }

    fn end(&mut self, target: &'a Target, begun: Begun, end: RunEnd) {
        if let Some(id) = begun.id
            && let Err(error) = self.history.end(id, &end)
        {
            self.complain(&error);
        }
        if matches!(end.outcome, Outcome::Success | Outcome::Warning)
            && let Err(error) = self.history.remember(&known_key(target), "yes")
        {
            self.complain(&error);
        }
        self.push(target, begun, end);
    }

    fn push(&mut self, target: &'a Target, begun: Begun, end: RunEnd) {
        let done = Done {
            target: target.label.clone(),
            begun: begun.at,
            end,
        };
        let id = begun.id;
        self.turns.push(Recorded { target, done, id });
    }

    fn unrecorded(&self) -> Begun {
        Begun {
            at: self.world.clock.timestamp(),
            id: None,
        }
    }

    fn complain(&self, error: &HistoryError) {
        self.world.voice.say(Level::Warning, &error.to_string());
    }
}

/// Under which name it is remembered that a repository has been written to.
fn known_key(target: &Target) -> String {
    format!("known/{}", target.repository)
}

fn hook_message(name: &str, end: &End) -> String {
    match end {
        End::Code(code) => format!("the {name} hook ended with exit code {code}"),
        End::Signal(signal) => format!("the {name} hook was killed by signal {signal}"),
        End::NotStarted(reason) => format!("the {name} hook could not be started: {reason}"),
    }
}
