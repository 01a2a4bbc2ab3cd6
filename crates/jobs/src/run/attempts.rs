//! One repository of a run: attempt after attempt, until it is done or there is no use in another.

use std::time::Duration;

use ironborg_types::Level;

use super::backoff;
use super::log::Log;
use super::world::{Clock, End, Voice, Worker};
use crate::history::{Outcome, RunEnd, StepEnd};
use crate::job::{Job, Target};
use crate::plan::{self, DueChecks, WorkOrder};
use crate::report::{self, FailureKind, Figures, Told};

/// Borg's code for an error.
const ERROR: u8 = 2;
/// Its codes of signals begin here.
const SIGNALS: u8 = 128;

/// What was wrong with an attempt.
#[derive(Debug, Clone, PartialEq)]
struct Failure {
    kind: FailureKind,
    code: u8,
    msgid: Option<String>,
    message: String,
    /// Whether the process ended without saying why.
    is_crash: bool,
}

impl Failure {
    fn is_worth_another_attempt(&self) -> bool {
        self.is_crash || self.kind.is_worth_another_attempt()
    }
}

/// The attempts for one repository.
pub(super) struct Attempts<'a> {
    pub(super) job: &'a Job,
    pub(super) target: &'a Target,
    pub(super) due: DueChecks,
    /// Whether there has been a backup in this repository.
    pub(super) is_known: bool,
    pub(super) clock: &'a dyn Clock,
    pub(super) voice: &'a dyn Voice,
}

/// What an attempt has left.
struct Attempt {
    steps: Vec<StepEnd>,
    /// The first step that has not ended well: where another attempt goes on.
    next: usize,
    failure: Option<Failure>,
    /// Whether there were warnings.
    warned: bool,
}

impl Attempts<'_> {
    /// Tries. The log goes to `log` and is passed on.
    pub(super) fn run(&self, worker: &mut dyn Worker, log: &mut Log<'_>) -> RunEnd {
        let mut steps = Vec::new();
        let mut warned = false;
        let mut order: Option<WorkOrder> = None;
        let mut number = 1;
        let failure = loop {
            let work = match order.take() {
                Some(order) => order,
                None => match self.order() {
                    Ok(order) => order,
                    Err(failure) => break Some(failure),
                },
            };
            let attempt = self.attempt(number, &work, worker, log);
            warned |= attempt.warned;
            steps.extend(attempt.steps);
            let Some(failure) = attempt.failure else {
                break None;
            };
            let is_last = number >= self.job.retry.attempts.max(1);
            if self.clock.ending().is_some() || is_last || !failure.is_worth_another_attempt() {
                break Some(failure);
            }
            number += 1;
            self.wait(number, &failure, log);
            if self.clock.ending().is_some() {
                break Some(failure);
            }
            order = rest(&work, attempt.next);
        };
        self.end(failure, warned, number, steps, log)
    }

    fn order(&self) -> Result<WorkOrder, Failure> {
        let name = plan::archive_name(&self.job.archive, &self.clock.now());
        let name = name.map_err(|error| Failure {
            kind: FailureKind::Configuration,
            code: ERROR,
            msgid: None,
            message: error.to_string(),
            is_crash: false,
        })?;
        let order = plan::order(self.job, self.target, self.due, &name);
        Ok(if self.is_known {
            order.without_init()
        } else {
            order
        })
    }

    fn attempt(
        &self,
        number: u32,
        order: &WorkOrder,
        worker: &mut dyn Worker,
        log: &mut Log<'_>,
    ) -> Attempt {
        let mut attempt = Attempt {
            steps: Vec::new(),
            next: 0,
            failure: None,
            warned: false,
        };
        let mut told = |told: Told| self.hear(&mut attempt, number, order, told);
        let end = worker.work(self.target, order, &mut told, &mut |text| log.pass(text));
        if attempt.failure.is_none() {
            attempt.failure = end_of_process(&end);
        }
        attempt
    }

    fn hear(&self, attempt: &mut Attempt, number: u32, order: &WorkOrder, told: Told) {
        let (place, step, code, msgid, message, seconds, figures) = match told {
            Told::Begun { number, .. } => {
                attempt.next = number;
                return;
            }
            Told::Ended {
                number,
                step,
                code,
                msgid,
                message,
                seconds,
                figures,
            } => (number, step, code, msgid, message, seconds, *figures),
        };
        let kind = report::failure(
            code,
            msgid.as_deref(),
            message.as_deref(),
            order.fail_on_warnings,
        );
        match kind {
            None => {
                attempt.next = place.saturating_add(1);
                attempt.warned |= code != 0;
            }
            Some(kind) if attempt.failure.is_none() => {
                let text = || format!("{step} ended with exit code {code}");
                attempt.failure = Some(Failure {
                    kind,
                    code,
                    msgid: msgid.clone(),
                    message: message.clone().unwrap_or_else(text),
                    is_crash: false,
                });
            }
            Some(_) => {}
        }
        attempt.steps.push(StepEnd {
            attempt: number,
            name: step,
            at: self.clock.timestamp(),
            seconds,
            code,
            msgid,
            message,
            figures,
        });
    }

    fn wait(&self, next: u32, failure: &Failure, log: &mut Log<'_>) {
        let wait = backoff::wait_before(&self.job.retry, next, self.clock.random());
        let attempts = self.job.retry.attempts;
        let text = format!(
            "{}: {}; attempt {next} of {attempts} follows in {:.0} s",
            self.target.label,
            failure.message,
            wait.as_secs_f64()
        );
        log.say(self.voice, Level::Warning, &text);
        let until = self.clock.awake().saturating_add(wait);
        loop {
            let left = until.saturating_sub(self.clock.awake());
            if left == Duration::ZERO || self.clock.ending().is_some() {
                return;
            }
            self.clock.sleep(left);
        }
    }

    fn end(
        &self,
        failure: Option<Failure>,
        warned: bool,
        attempts: u32,
        steps: Vec<StepEnd>,
        log: &Log<'_>,
    ) -> RunEnd {
        let outcome = match &failure {
            None if warned => Outcome::Warning,
            None => Outcome::Success,
            Some(failure) if failure.kind == FailureKind::Interrupted => Outcome::Interrupted,
            // What a worker that was cut off says of it is not what ended it.
            Some(_) if self.clock.ending().is_some() => Outcome::Interrupted,
            Some(_) => Outcome::Failure,
        };
        let ending = self.clock.ending();
        let code = match &failure {
            None => u8::from(warned),
            Some(failure) if outcome == Outcome::Interrupted => ending.unwrap_or(failure.code),
            Some(failure) => failure.code,
        };
        RunEnd {
            at: self.clock.timestamp(),
            outcome,
            code,
            msgid: failure.as_ref().and_then(|failure| failure.msgid.clone()),
            message: failure.map(|failure| failure.message),
            attempts,
            figures: figures_of(&steps),
            log: log.text(),
            steps,
        }
    }
}

/// What another attempt has to do. An archive that was not finished is begun anew, with the time it will then be.
fn rest(order: &WorkOrder, next: usize) -> Option<WorkOrder> {
    let begins = order.steps.iter().position(|step| step.name() == "create");
    match begins {
        Some(create) if next <= create => None,
        _ => Some(order.remaining(next)),
    }
}

/// What is wrong with the end of a process whose steps, as far as it has told, went well.
fn end_of_process(end: &End) -> Option<Failure> {
    let failure = |kind, code, message, is_crash| {
        Some(Failure {
            kind,
            code,
            msgid: None,
            message,
            is_crash,
        })
    };
    match end {
        // Warnings are told by steps.
        End::Code(0 | 1 | 100..=127) => None,
        End::Code(code) if *code >= SIGNALS => {
            let text = "it was told to end".to_owned();
            failure(FailureKind::Interrupted, *code, text, false)
        }
        End::Code(code) => {
            let text = format!("the process that works ended with exit code {code}");
            failure(FailureKind::Other, *code, text, false)
        }
        End::Signal(signal) => {
            let text = format!("the process that works was killed by signal {signal}");
            failure(FailureKind::Other, ERROR, text, true)
        }
        End::NotStarted(reason) => {
            let text = format!("the process that works could not be started: {reason}");
            failure(FailureKind::Other, ERROR, text, false)
        }
    }
}

/// What all steps together did: of what several tell, the last one's counts.
fn figures_of(steps: &[StepEnd]) -> Figures {
    let mut all = Figures::default();
    for step in steps {
        all.update(&step.figures);
    }
    all
}
