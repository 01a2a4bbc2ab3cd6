//! `jobs run`: runs jobs: by name, or all that are due.
//!
//! What a run is made of is in `ironborg_jobs::run`; here are the processes, signals, clocks and networks it needs.

mod child;
pub(super) mod clock;
mod environment;
mod machine;
mod shown;
pub(super) mod user_switch;
pub(super) mod voice;
mod worker;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ironborg_jobs::history::History;
use ironborg_jobs::job::{Job, Jobs};
use ironborg_jobs::run::{Clock, Finished, Voice, World, supervise, worst};
use ironborg_jobs::units;
use ironborg_source::named_file::{self, LockedFile};
use ironborg_types::Level;

use super::next::next_starts;
use super::place::no_such_job;
use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::exit;
use crate::parse::ParseContext;
use crate::sys;
use clock::RealClock;
use machine::RealMachine;
use voice::ConsoleVoice;
use worker::ProcessWorker;

/// The file that whoever runs a job has locked.
pub(super) const LOCK_NAME: &str = "lock";
/// How often it is looked whether a job that runs has ended.
const LOCK_INTERVAL: Duration = Duration::from_millis(500);
/// Who looks whether a job runs has its lock for an instant: that is looked at so many times.
const LOCK_LOOKS: u32 = 4;
/// The time between.
const LOCK_LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Jobs to run
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Run those that are due, of the named ones or of all
    #[arg(long)]
    due: bool,
    /// Run all jobs
    #[arg(long)]
    all: bool,
    /// As by a timer: what conditions, an absent device or a run in progress keep from beginning is no error
    #[arg(long)]
    scheduled: bool,
    /// Show the commands that would be run
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Wait neither for conditions nor for another run of the same job
    #[arg(long)]
    no_wait: bool,
    /// Print what became of each job, as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Which jobs.
#[derive(Debug)]
enum Wanted {
    Named,
    All,
    Due,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct RunOptions {
    place: Place,
    names: Vec<String>,
    wanted: Wanted,
    scheduled: bool,
    dry_run: bool,
    waits: bool,
    json: bool,
}

impl RunArgs {
    /// Finds the files.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<RunOptions, ParseError> {
        let wanted = match (self.due, self.all, self.names.is_empty()) {
            (false, false, true) => {
                let text = "one of NAME, --due and --all is required";
                return Err(ParseError::argument("NAME", text));
            }
            (false, true, false) => {
                let text = "not allowed with argument --all";
                return Err(ParseError::argument("NAME", text));
            }
            (true, true, _) => {
                let text = "not allowed with argument --due";
                return Err(ParseError::argument("--all", text));
            }
            (true, false, _) => Wanted::Due,
            (false, true, true) => Wanted::All,
            (false, false, false) => Wanted::Named,
        };
        Ok(RunOptions {
            place: self.place.resolve(parse),
            names: self.names,
            wanted,
            scheduled: self.scheduled || self.due,
            dry_run: self.dry_run,
            waits: !self.no_wait,
            json: self.json,
        })
    }
}

impl Run for RunOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let jobs = self.place.load(context)?;
        let wanted = self.wanted(context, &jobs)?;
        if self.dry_run {
            for job in wanted {
                shown::commands(context, job)?;
            }
            return Ok(());
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let clock = RealClock::new()?;
        let mut code = exit::SUCCESS;
        for job in wanted {
            code = worst([code, self.run_job(context, &jobs, job, &clock)?]);
            if clock.ending().is_some() {
                break;
            }
        }
        context.reporter.exit.set_code(code);
        Ok(())
    }
}

impl RunOptions {
    /// The jobs to run, in the order of the configuration.
    fn wanted<'a>(&self, context: &Context, jobs: &'a Jobs) -> Result<Vec<&'a Job>, CliError> {
        for name in &self.names {
            if !jobs.jobs.iter().any(|job| job.name == *name) {
                return Err(no_such_job(jobs, name));
            }
        }
        let all = jobs.jobs.iter();
        let named = |job: &&Job| self.names.is_empty() || self.names.contains(&job.name);
        let mut named: Vec<&Job> = all.filter(named).collect();
        if matches!(self.wanted, Wanted::Due) {
            let due = super::due::due_now(context, &self.place, jobs)?;
            named.retain(|job| due.iter().any(|due| due.job == job.name));
        }
        Ok(named)
    }

    /// Runs one, by whomever it is to be run. Gives the exit code.
    fn run_job(
        &self,
        context: &Context,
        jobs: &Jobs,
        job: &Job,
        clock: &RealClock,
    ) -> Result<u8, CliError> {
        let state = self.place.state_of(context, &job.name);
        if let Some(user) = user_switch::other_user(job)? {
            let words = self.words_for_another(context, job);
            let command = user_switch::command_as(&user, &state, words)?;
            return user_switch::wait(command, clock);
        }
        let voice = ConsoleVoice { context };
        if let Err(error) = make_state(&state) {
            voice.say(Level::Warning, &error.to_string());
        }
        let lock = match self.lock(&state.join(LOCK_NAME), job, clock, &voice) {
            Locked::Ours(lock) => lock,
            Locked::Running if self.scheduled => return Ok(exit::SUCCESS),
            Locked::Running => return Ok(exit::ERROR),
            Locked::Ended(code) => return Ok(code),
        };
        let finished = self.supervise(context, jobs, job, clock, &state);
        drop(lock);
        if self.json {
            shown::finished(job, &finished)?;
        }
        let kept = finished.was_kept_from_beginning() && !self.scheduled;
        let code = if kept { exit::ERROR } else { exit::SUCCESS };
        Ok(worst([finished.code, code]))
    }

    fn supervise(
        &self,
        context: &Context,
        jobs: &Jobs,
        job: &Job,
        clock: &RealClock,
        state: &Path,
    ) -> Finished {
        let voice = ConsoleVoice { context };
        let opened = History::open(state);
        if let Some(complaint) = opened.complaint {
            voice.say(Level::Warning, &complaint);
        }
        let mut history = opened.history;
        let machine = RealMachine {
            job,
            context,
            root: PathBuf::from("/"),
        };
        let world = World {
            id: uuid::Uuid::new_v4().to_string(),
            clock,
            machine: &machine,
            voice: &voice,
            notifiers: &jobs.notifiers,
            sender: &super::notify::sender(context),
            host: super::notify::host(context),
            log_command: log_command(context, job),
            waits: self.waits,
        };
        let mut worker = ProcessWorker {
            job,
            context,
            clock,
            place: place_words(&self.place, context),
        };
        let finished = supervise(job, &world, &mut worker, &mut history);
        if jobs.metrics.is_some() {
            let next = next_starts(context, &self.place, jobs, clock.timestamp());
            let next = next.get(&job.name).copied();
            super::metrics::write(jobs, job, &history, next, &voice);
        }
        finished
    }

    /// The words for the same job run by somebody else.
    fn words_for_another(&self, context: &Context, job: &Job) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["jobs".into(), "run".into()];
        words.extend(place_words(&self.place, context));
        let flags = [
            ("--scheduled", self.scheduled),
            ("--no-wait", !self.waits),
            ("--json", self.json),
            ("--log-json", context.common.log_json),
        ];
        let given = flags.into_iter().filter(|(_, given)| *given);
        words.extend(given.map(|(flag, _)| flag.into()));
        words.extend(worker::level(context).map(Into::into));
        words.extend(["--".into(), (&job.name).into()]);
        words
    }

    /// Locks a job, waiting for who runs it if that is wanted.
    fn lock(&self, path: &Path, job: &Job, clock: &RealClock, voice: &ConsoleVoice<'_>) -> Locked {
        let mut looks = 0;
        let mut said = false;
        loop {
            match named_file::try_lock(path) {
                Ok(Some(lock)) => return Locked::Ours(Some(lock)),
                Ok(None) if looks < LOCK_LOOKS => {
                    looks += 1;
                    clock.sleep(LOCK_LOOK_INTERVAL);
                }
                Ok(None) if self.scheduled || !self.waits => {
                    let line = format!("{}: it is running already", job.name);
                    voice.say(Level::Warning, &line);
                    return Locked::Running;
                }
                Ok(None) => {
                    if !said {
                        said = true;
                        let line = format!("{}: it is running already; waiting for it", job.name);
                        voice.say(Level::Info, &line);
                    }
                    clock.sleep(LOCK_INTERVAL);
                }
                Err(error) => {
                    // The repository's own lock keeps two runs apart.
                    voice.say(Level::Warning, &error.to_string());
                    return Locked::Ours(None);
                }
            }
            if let Some(code) = clock.ending() {
                return Locked::Ended(code);
            }
        }
    }
}

/// The words that lead another process to the same configuration and records.
pub(super) fn place_words(place: &Place, context: &Context) -> Vec<OsString> {
    let words = [
        "--config".into(),
        place.config_path(context).into_os_string(),
        "--state".into(),
        place.state_root(context).into_os_string(),
    ];
    words.to_vec()
}

/// The command that shows what a run has said, where that is kept.
pub(super) fn log_command(context: &Context, job: &Job) -> Option<String> {
    context.environment.journal_stream.as_ref()?;
    let is_users = job.user.is_none() && sys::effective_uid() != 0;
    let user = if is_users { "--user " } else { "" };
    let unit = units::name(&job.name, "service");
    Some(format!("journalctl {user}-u {unit}"))
}

/// What became of locking a job.
enum Locked {
    /// It is ours, as far as it could be locked.
    Ours(Option<LockedFile>),
    /// Somebody else runs it.
    Running,
    /// A signal came.
    Ended(u8),
}

/// Makes the directory of a job's records. Those above are for all, as they have the directories of all.
pub(super) fn make_state(state: &Path) -> Result<(), named_file::NamedFileError> {
    if let Some(root) = state.parent() {
        named_file::make_public_directories(root)?;
    }
    named_file::make_directories(state, 0o700)
}
