//! What does the work of a run: this program again, once for each attempt, and a shell for hooks.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ironborg_jobs::job::{Job, Target};
use ironborg_jobs::plan::WorkOrder;
use ironborg_jobs::report::Told;
use ironborg_jobs::run::{Clock, End, Worker};
use ironborg_types::Level;

use super::child;
use super::environment::Variables;
use crate::context::Context;
use crate::sys::Priority;

/// The program as it is now, whatever has become of its file meanwhile.
const OWN_IMAGE: &str = "/proc/self/exe";
/// Its name, by which it has the commands it needs.
const OWN_NAME: &str = "ironborg";

/// Starts processes.
pub(super) struct ProcessWorker<'a> {
    pub(super) job: &'a Job,
    pub(super) context: &'a Context,
    pub(super) clock: &'a dyn Clock,
    /// The words that say where configuration and records are.
    pub(super) place: Vec<OsString>,
}

/// A command line of this program.
pub(super) fn itself<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Command {
    let named = std::env::current_exe().ok().filter(|path| path.exists());
    let mut command = Command::new(named.unwrap_or_else(|| PathBuf::from(OWN_IMAGE)));
    command.arg0(OWN_NAME).args(words);
    command
}

impl ProcessWorker<'_> {
    fn priority(&self) -> Priority {
        Priority {
            nice: self.job.nice,
            io: self.job.io,
        }
    }

    fn credentials(&self) -> Option<&Path> {
        self.context.environment.credentials.as_deref()
    }
}

/// The option about what is said, for another process as for this.
pub(super) fn level(context: &Context) -> Option<&'static str> {
    match context.common.level() {
        Level::Debug => Some("--debug"),
        Level::Info => Some("--info"),
        Level::Warning => None,
        Level::Error => Some("--error"),
        Level::Critical => Some("--critical"),
    }
}

impl Worker for ProcessWorker<'_> {
    fn work(
        &mut self,
        target: &Target,
        order: &WorkOrder,
        told: &mut dyn FnMut(Told),
        log: &mut dyn FnMut(&str),
    ) -> End {
        let variables = match Variables::of_target(self.job, target, self.credentials()) {
            Ok(variables) => variables,
            Err(error) => return End::NotStarted(error.message),
        };
        let order = serde_json::to_vec(order).expect("texts and numbers can be written as JSON");
        let mut words: Vec<OsString> = vec!["jobs".into(), "work".into()];
        words.extend(self.place.iter().cloned());
        words.extend(level(self.context).map(OsString::from));
        if self.context.common.log_json {
            words.push("--log-json".into());
        }
        let mut command = itself(words);
        variables.apply(&mut command);
        command.current_dir("/");
        let awake = self.job.inhibits_sleep.then(|| Awake::keep(&self.job.name));
        let end = child::follow(
            command,
            Some(&order),
            self.priority(),
            self.clock,
            told,
            log,
        );
        if let Some(Err(reason)) = awake.map(Awake::end) {
            let text = format!("the machine was not kept from going to sleep: {reason}");
            self.context.log(Level::Warning, &text);
            log(&format!("{text}\n"));
        }
        end
    }

    fn hook(
        &mut self,
        script: &str,
        variables: &[(&str, String)],
        log: &mut dyn FnMut(&str),
    ) -> End {
        let job = self.job;
        // Where there is one repository, hooks may want to use it.
        let own = match job.targets.as_slice() {
            [target] => Variables::of_target(job, target, self.credentials()),
            _ => Ok(Variables::of_job(job)),
        };
        let own = match own {
            Ok(own) => own,
            Err(error) => return End::NotStarted(error.message),
        };
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir("/");
        own.apply(&mut command);
        command.env("IRONBORG_JOB", &job.name);
        for (name, value) in variables {
            // What an error says may contain anything; a variable cannot.
            command.env(name, value.replace('\0', ""));
        }
        let mut told = |_| {};
        child::follow(command, None, self.priority(), self.clock, &mut told, log)
    }
}

/// Keeps the machine from going to sleep: a lock that another program holds for as long as it can read.
///
/// It is no parent of what works, so that neither's end depends on the other's.
struct Awake(std::io::Result<Child>);

impl Awake {
    fn keep(job: &str) -> Self {
        let mut command = Command::new("systemd-inhibit");
        command
            .args(["--what=sleep", "--who=ironborg", "--mode=block"])
            .arg(format!("--why=backup {job}"))
            .args(["--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn())
    }

    /// Lets it sleep again. Says why it might have before.
    fn end(self) -> Result<(), String> {
        let mut child = self
            .0
            .map_err(|error| format!("systemd-inhibit: {error}"))?;
        drop(child.stdin.take());
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() {
            return Ok(());
        }
        Err(format!("systemd-inhibit: {status}"))
    }
}
