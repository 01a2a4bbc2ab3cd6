//! The steps of a run, one after the other.

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ironborg_archive::Session;
use ironborg_jobs::plan::{Step, WorkOrder};
use ironborg_jobs::report::{CHECK_FAILED, Told, failure};
use ironborg_types::text;

use super::hook::{self, Variables};
use super::outcome::Outcome;
use super::ready::{AllReady, Ready};
use super::told::Listener;
use crate::args::ParseError;
use crate::command_line::Ordered;
use crate::commands::Run;
use crate::commands::jobs::Place;
use crate::commands::jobs::drill::DrillOptions;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::exit::{self, ExitCodes, Severity, severity};
use crate::kept::Kept;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::run::Ended;
use crate::{run, signals, sys};

/// The step that is done only if there is no repository.
const INIT: &str = "init";
/// The hook that is run only if that was done.
const POST_INIT: &str = "post-init";
/// The command whose warning says that something is damaged.
const CHECK: &str = "check";

/// Does what an order says.
pub(super) struct Worker<'c> {
    pub(super) context: &'c Context,
    pub(super) place: &'c Place,
    pub(super) order: &'c WorkOrder,
    pub(super) listener: Listener,
    pub(super) kept: Arc<Kept>,
    /// The longest any of the commands waits for a lock, in seconds.
    pub(super) lock_wait: i64,
    /// Whether the repository was made just now.
    pub(super) has_made: bool,
    /// The gravest exit code so far.
    pub(super) code: u8,
}

/// Does the steps of an order; gives the gravest exit code.
pub(super) fn work(context: &Context, place: &Place, order: &WorkOrder, listener: Listener) -> u8 {
    let ready = super::ready::understand(context, order);
    let mut worker = Worker {
        context,
        place,
        order,
        listener,
        kept: Arc::new(Kept::new(
            context.common.level(),
            Arc::clone(&context.reporter),
        )),
        lock_wait: context.common.lock_wait,
        has_made: false,
        code: exit::SUCCESS,
    };
    let AllReady {
        steps,
        lock_wait,
        level,
    } = match ready {
        Ok(ready) => ready,
        Err(refused) => {
            let (number, outcome) = *refused;
            let begun = Instant::now();
            worker.tell_begun(number);
            worker.tell_ended(number, &outcome, begun);
            return worker.code;
        }
    };
    worker.lock_wait = lock_wait;
    worker.kept = Arc::new(Kept::new(level, Arc::clone(&context.reporter)));
    worker.do_all(steps);
    // What goes wrong with giving back the lock is the run's concern.
    worker.kept.close(&context.reporter);
    worker.code
}

/// The signal the run is ending for, if any. The first SIGINT only asks for a checkpoint; that ends a run too.
fn ending() -> Option<CliError> {
    let interrupted = || {
        signals::INTERRUPT
            .stop_requested()
            .then(|| CliError::signal(2))
    };
    signals::ending().or_else(interrupted)
}

impl Worker<'_> {
    fn do_all(&mut self, steps: Vec<Ready<'_>>) {
        for (number, ready) in steps.into_iter().enumerate() {
            if let Some(signal) = ending() {
                // It has come between two steps.
                self.count(signal.exit_code(ExitCodes::Legacy));
                return;
            }
            let name = self.order.steps.get(number).map(Step::name);
            if name == Some(POST_INIT) && !self.has_made {
                continue;
            }
            let begun = Instant::now();
            self.tell_begun(number);
            let mut outcome = match ready {
                Ready::Command(ordered, words) => {
                    self.do_command(name == Some(INIT), *ordered, words)
                }
                Ready::Hook(script) => self.do_hook(script),
                Ready::Drill(step) => self.do_drill(step),
            };
            if let Some(signal) = ending()
                && severity(outcome.code) >= Severity::Error
            {
                outcome = Outcome {
                    figures: outcome.figures,
                    ..Outcome::failed(&signal, ExitCodes::Legacy)
                };
            }
            if self.tell_ended(number, &outcome, begun) {
                return;
            }
        }
    }

    /// Counts an exit code. Of several that are equally grave the first is the cause of the others.
    fn count(&mut self, code: u8) {
        if severity(code) > severity(self.code) {
            self.code = code;
        }
    }

    fn name_of(&self, number: usize) -> String {
        let step = self.order.steps.get(number);
        step.map(Step::name).unwrap_or_default().to_owned()
    }

    fn tell_begun(&self, number: usize) {
        let step = self.name_of(number);
        self.listener.tell(&Told::Begun { number, step });
    }

    /// Tells how a step has ended; says whether that ends the run.
    fn tell_ended(&mut self, number: usize, outcome: &Outcome, begun: Instant) -> bool {
        let Outcome {
            code,
            msgid,
            message,
            figures,
        } = outcome;
        self.count(*code);
        self.listener.tell(&Told::Ended {
            number,
            step: self.name_of(number),
            code: *code,
            msgid: msgid.clone(),
            message: message.clone(),
            seconds: begun.elapsed().as_secs_f64(),
            figures: Box::new(figures.clone()),
        });
        let (msgid, message) = (msgid.as_deref(), message.as_deref());
        let has_failed = failure(*code, msgid, message, self.order.fail_on_warnings).is_some();
        if has_failed {
            // In what state an error has left it is not worth knowing.
            self.kept.close(&self.context.reporter);
        }
        has_failed
    }

    fn do_command(
        &mut self,
        only_if_missing: bool,
        ordered: Ordered,
        words: Vec<OsString>,
    ) -> Outcome {
        let Ordered {
            mut common,
            command,
            ..
        } = ordered;
        let is_check = words.first().is_some_and(|word| word == CHECK);
        let traits = command.traits();
        common.lock_wait = self.lock_wait;
        sys::set_umask(common.umask);
        let reporter = Arc::new(run::reporter(&common, &traits, &self.context.environment));
        let context = self
            .context
            .for_step(common, words, reporter, Arc::clone(&self.kept));
        if only_if_missing {
            match self.is_missing(&context) {
                Ok(false) => return Outcome::default(),
                Ok(true) => self.has_made = true,
                Err(error) => {
                    run::show_error(&context, &error);
                    return Outcome::failed(&error, context.environment.exit_codes);
                }
            }
        }
        let ended = run::perform(&context, command, &traits);
        let has_found_damage = is_check && severity(ended.code) == Severity::Warning;
        let mut outcome = outcome_of(context, &ended);
        if has_found_damage && ended.error.is_none() {
            outcome.msgid = Some(CHECK_FAILED.to_owned());
            outcome.message = Some("the check has found damage".to_owned());
        }
        outcome
    }

    /// Whether there is no repository, or none that is of use. One that is there is kept for the next step.
    fn is_missing(&self, context: &Context) -> Result<bool, CliError> {
        let location = self.location()?;
        let repository = match context.open_repository(&location, Access::Write) {
            Ok(repository) => repository,
            Err(error) if error.is_no_repository() => return Ok(true),
            Err(error) => return Err(error),
        };
        let client = context.client(&location);
        Ok(Session::is_unfinished(&client, repository.as_ref())?)
    }

    fn parse(&self) -> ParseContext<'_> {
        ParseContext {
            environment: &self.context.environment,
            identity: &self.context.identity,
            cwd: &self.context.cwd,
        }
    }

    /// The repository of the run: `BORG_REPO`.
    fn location(&self) -> Result<Location, CliError> {
        let location =
            self.parse()
                .location("REPOSITORY", OsStr::new(""), ArchivePart::Forbidden, None);
        location.map_err(not_understood)
    }

    fn do_hook(&self, script: &str) -> Outcome {
        let template = self.order.archive.as_bytes();
        let archive = match self.parse().expand("archive", template) {
            Ok(archive) => text::display(&archive).into_owned(),
            Err(error) => return self.show(&not_understood(error)),
        };
        self.kept.close(&self.context.reporter);
        let variables = Variables {
            archive: &archive,
            code: self.code,
        };
        hook::run(script, &variables)
    }

    fn do_drill(&self, step: &Step) -> Outcome {
        let Step::Drill {
            budget,
            archives,
            paths,
        } = step
        else {
            unreachable!("only a drill is ready as one")
        };
        let location = match self.location() {
            Ok(location) => location,
            Err(error) => return self.show(&error),
        };
        let mut common = self.context.common.clone();
        common.lock_wait = self.lock_wait;
        let drill = Box::new(DrillOptions {
            location,
            budget: Duration::from_secs(*budget),
            archives: archives.clone(),
            paths: paths.clone(),
            state: self.place.state_of(self.context, &self.order.job),
            target: self.order.target.clone(),
        });
        let traits = drill.traits();
        let reporter = Arc::new(run::reporter(&common, &traits, &self.context.environment));
        let kept = Arc::clone(&self.kept);
        let words = vec![OsString::from("drill")];
        let context = self.context.for_step(common, words, reporter, kept);
        let ended = run::perform(&context, drill, &traits);
        outcome_of(context, &ended)
    }

    fn show(&self, error: &CliError) -> Outcome {
        run::show_error(self.context, error);
        Outcome::failed(error, self.context.environment.exit_codes)
    }
}

/// What is told of a step that was performed.
fn outcome_of(context: Context, ended: &Ended) -> Outcome {
    let mut outcome = match &ended.error {
        Some(error) => Outcome::failed(error, context.environment.exit_codes),
        None => Outcome::default(),
    };
    outcome.code = ended.code;
    let figures = context.figures.into_inner();
    outcome.figures = figures.unwrap_or_else(PoisonError::into_inner);
    outcome
}

/// The error for a text of the order that cannot be used.
fn not_understood(error: ParseError) -> CliError {
    match error {
        ParseError::Early(error) => error,
        ParseError::Usage(message) | ParseError::ProgramUsage(message) => {
            CliError::command(message)
        }
        ParseError::UnknownTopic(topic) => CliError::command(topic),
    }
}
