//! What surrounds the scheduler: the machine's clock, signals, processes that run jobs, the configuration's files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use ironborg_jobs::job::Jobs;
use ironborg_jobs::run::Voice;
use ironborg_jobs::schedule::scheduler::{Happened, Planned, Start, World};
use ironborg_types::Level;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::super::due::{self, Seeing};
use super::super::run::voice::ConsoleVoice;
use super::Place;
use crate::context::Context;
use crate::error::CliError;
use crate::service_manager;
use crate::service_notifier::Notifier;
use crate::signals::{self, Arrived};

/// What is heard of.
enum Heard {
    Signal(Arrived),
    /// The process of a job has ended.
    Ended {
        job: String,
        status: std::io::Result<ExitStatus>,
    },
    /// That of the search for silent jobs has.
    SilenceChecked,
}

/// A process that may be told something, though another thread waits for its end.
struct Process {
    pid: Pid,
    /// Names it even if the number is another's by now; kernels before 5.3 do not have that.
    descriptor: Option<OwnedFd>,
}

impl Process {
    fn end(&self) {
        // One that has just ended cannot be told: it is not forgotten before that is heard of.
        let _ = match &self.descriptor {
            Some(descriptor) => pidfd_send_signal(descriptor, Signal::TERM),
            None => kill_process(self.pid, Signal::TERM),
        };
    }
}

/// The real ones.
pub(super) struct Surroundings<'a> {
    context: &'a Context,
    place: &'a Place,
    notifier: Notifier,
    heard: Receiver<Heard>,
    tell: Sender<Heard>,
    /// The configuration as it was understood the last time.
    jobs: Option<Jobs>,
    /// What was wrong with it since.
    complaint: Option<String>,
    /// The processes of jobs.
    running: BTreeMap<String, Process>,
    is_checking_silence: bool,
}

impl<'a> Surroundings<'a> {
    /// Reads the configuration and listens to signals from now on.
    ///
    /// # Errors
    /// There is something wrong with the configuration, or a signal came already.
    pub(super) fn new(context: &'a Context, place: &'a Place) -> Result<Self, CliError> {
        // Said at once, to who starts it.
        place.load(context)?;
        let (tell, heard) = channel();
        let (arrived, signals) = channel();
        signals::divert(arrived)?;
        let forward = tell.clone();
        spawn("daemon-signals", move || {
            for signal in signals {
                // Nobody listens any more when it ends.
                let _ = forward.send(Heard::Signal(signal));
            }
        })?;
        Ok(Self {
            context,
            place,
            notifier: Notifier::new(context.environment.notify_socket.as_deref()),
            heard,
            tell,
            jobs: None,
            complaint: None,
            running: BTreeMap::new(),
            is_checking_silence: false,
        })
    }

    /// Says that it is over.
    pub(super) fn ended(&self) {
        self.say(Level::Info, "all jobs have ended");
    }

    fn say(&self, level: Level, line: &str) {
        let voice = ConsoleVoice {
            context: self.context,
        };
        voice.say(level, line);
    }

    fn tell_status(&self) {
        let running: Vec<&str> = self.running.keys().map(String::as_str).collect();
        let count = self.jobs.as_ref().map_or(0, |jobs| jobs.jobs.len());
        self.notifier.status(&match running[..] {
            [] => format!("{count} jobs, none is running"),
            _ => format!("{count} jobs, running: {}", running.join(", ")),
        });
    }

    /// The program itself with other words, and with the files this one has.
    fn program(&self, words: &[&str]) -> Result<Command, CliError> {
        let mut command = Command::new(service_manager::program(self.context)?);
        command.args(words);
        let config = self.place.config_path(self.context);
        let state = self.place.state_root(self.context);
        let places: [OsString; 4] = [
            "--config".into(),
            config.into(),
            "--state".into(),
            state.into(),
        ];
        // Whoever started this one is not to be told how that one is.
        command.args(places).env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// Starts a process and has somebody wait for it.
    fn spawn(
        &self,
        mut command: Command,
        ended: impl FnOnce(std::io::Result<ExitStatus>) -> Heard + Send + 'static,
    ) -> Result<Process, CliError> {
        let failed = |error| CliError::generic(format!("cannot start a process: {error}"));
        let mut child: Child = command.spawn().map_err(failed)?;
        let pid = Pid::from_child(&child);
        let process = Process {
            descriptor: pidfd_open(pid, PidfdFlags::empty()).ok(),
            pid,
        };
        let tell = self.tell.clone();
        let wait = move || {
            let status = child.wait();
            let _ = tell.send(ended(status));
        };
        // Without a thread nobody would ever know that it has ended.
        if let Err(error) = spawn("daemon-child", wait) {
            process.end();
            return Err(error);
        }
        Ok(process)
    }

    fn start_job(&mut self, start: &Start) -> Result<(), CliError> {
        let mut command = self.program(&["jobs", "run", "--scheduled", "--no-wait"])?;
        command.args(["--", &start.job]);
        let job = start.job.clone();
        let process = self.spawn(command, move |status| Heard::Ended { job, status })?;
        self.running.insert(start.job.clone(), process);
        Ok(())
    }

    fn happened(&mut self, heard: Heard) -> Option<Happened> {
        match heard {
            Heard::Signal(Arrived::End | Arrived::Interrupt) => Some(Happened::Stop),
            Heard::Signal(Arrived::HangUp) => Some(Happened::Reload),
            Heard::Signal(Arrived::Report) => None,
            Heard::SilenceChecked => {
                self.is_checking_silence = false;
                None
            }
            Heard::Ended { job, status } => {
                self.running.remove(&job);
                self.tell_status();
                match status {
                    Ok(status) if status.success() => {
                        self.say(Level::Info, &format!("{job}: ended"));
                    }
                    Ok(status) => self.say(Level::Info, &format!("{job}: ended, {status}")),
                    Err(error) => self.say(Level::Warning, &format!("{job}: {error}")),
                }
                Some(Happened::Ended { job })
            }
        }
    }
}

impl World for Surroundings<'_> {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn zone(&self) -> TimeZone {
        // Looked up again every few minutes: it may have been set.
        TimeZone::system()
    }

    fn wait(&mut self, at_most: Duration) -> Vec<Happened> {
        let first = match self.heard.recv_timeout(at_most) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => return Vec::new(),
            Err(RecvTimeoutError::Disconnected) => unreachable!("this one could tell as well"),
        };
        let mut happened: Vec<_> = self.happened(first).into_iter().collect();
        while let Ok(heard) = self.heard.try_recv() {
            happened.extend(self.happened(heard));
        }
        happened
    }

    fn start(&mut self, start: &Start) -> bool {
        let line = format!(
            "{}: started, due since {}",
            start.job,
            due::local(start.planned)
        );
        match self.start_job(start) {
            Ok(()) => self.say(Level::Info, &line),
            Err(error) => {
                self.say(Level::Warning, &format!("{}: {}", start.job, error.message));
                return false;
            }
        }
        self.tell_status();
        true
    }

    fn last(&mut self, job: &str) -> Option<Timestamp> {
        due::last_ended(self.context, &self.place.state_of(self.context, job))
    }

    fn changes(&mut self, is_told: bool) -> Option<Vec<Planned>> {
        let jobs = match self.place.load(self.context) {
            Ok(jobs) => jobs,
            Err(error) => {
                if is_told || self.complaint.as_ref() != Some(&error.message) {
                    let line = format!("the configuration stays as it was: {}", error.message);
                    self.say(Level::Warning, &line);
                    self.complaint = Some(error.message);
                }
                return None;
            }
        };
        self.complaint = None;
        if self.jobs.as_ref() == Some(&jobs) && !is_told {
            return None;
        }
        let (context, place) = (self.context, self.place);
        let planned = due::planned(context, place, &jobs, self.now(), Seeing::Remembered);
        let is_first = self.jobs.is_none();
        let scheduled = planned
            .iter()
            .filter(|job| !job.timing.schedule().is_empty());
        let line = format!(
            "{} jobs, {} of them scheduled",
            jobs.jobs.len(),
            scheduled.count()
        );
        self.say(Level::Info, &line);
        self.jobs = Some(jobs);
        if is_first {
            self.notifier.ready(&line);
        }
        self.tell_status();
        Some(planned)
    }

    fn check_silence(&mut self) {
        let jobs = self.jobs.iter().flat_map(|jobs| &jobs.jobs);
        let mut ages = jobs.filter_map(|job| job.notify.max_age);
        if ages.next().is_none() || self.is_checking_silence {
            return;
        }
        let command = self.program(&["jobs", "status", "--notify"]);
        let started = command.and_then(|mut command| {
            // What it prints is for whoever asks.
            command.stdout(Stdio::null());
            self.spawn(command, |_| Heard::SilenceChecked)
        });
        match started {
            Ok(_) => self.is_checking_silence = true,
            Err(error) => self.say(Level::Warning, &error.message),
        }
    }

    fn stop(&mut self) {
        self.notifier.stopping();
        for (job, process) in &self.running {
            self.say(Level::Info, &format!("{job}: told to end"));
            process.end();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned
        .map(|_| ())
        .map_err(|error| CliError::generic(format!("cannot start a thread: {error}")))
}
