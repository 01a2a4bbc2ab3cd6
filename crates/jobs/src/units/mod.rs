//! Services and timers of systemd that run jobs, or lines of a crontab where there is none.
//!
//! Everything here is text made of facts: who writes the files and talks to the service manager is elsewhere.

pub mod crontab;
pub mod escape;
mod sandbox;
mod service;
mod timer;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::job::{Job, MailTransport, Notifier, Passphrase, Secret, Source, Way};

pub use service::service;
pub use timer::timer;
pub use watch::{needs_watch, watch};

/// How units of jobs begin.
pub const PREFIX: &str = "ironborg-job-";
/// How units that concern all jobs begin.
pub const PREFIX_OF_ALL: &str = "ironborg-jobs-";
/// The first line of each unit: what begins with something else was made by somebody else.
pub const MARK: &str = "# Made by `ironborg jobs enable`; `ironborg jobs disable` removes it.";
/// Longest name of a job that has units; systemd takes names of units of up to 255 bytes.
pub const NAME_LEN_MAX: usize = 200;
/// Where the system's jobs keep their records, unless told otherwise.
pub const STATE: &str = "/var/lib/ironborg";

/// A service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The one of the system.
    System,
    /// The one of a user, who is not root. It has no right to give a service another view of the file system.
    User,
}

/// What is the same for all units.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// Whose units they are.
    pub manager: Manager,
    /// The program, by a path that survives its next version.
    pub program: &'a Path,
    /// What `--config` says, if anything.
    pub config: Option<&'a Path>,
    /// What `--state` says, if anything.
    pub state: Option<&'a Path>,
    /// Variables that services would not have by themselves.
    pub environment: &'a [(String, OsString)],
}

/// A job and what its units depend on beside it.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The job.
    pub job: &'a Job,
    /// Those who are told of it.
    pub notifiers: Vec<&'a Notifier>,
    /// When it runs by itself, as systemd writes it; empty: it does not.
    pub on_calendar: Vec<String>,
    /// Directories and files it writes to, absolute.
    pub writes: Vec<PathBuf>,
    /// Whether one of its repositories is on another host.
    pub is_remote: bool,
    /// Credentials the service manager has to hand over.
    pub credentials: Vec<Credential>,
}

/// A credential the service manager hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// Whether the service manager has to decrypt it.
    pub encrypted: bool,
}

impl Credential {
    fn line(&self) -> String {
        let setting = if self.encrypted {
            "LoadCredentialEncrypted"
        } else {
            "LoadCredential"
        };
        format!("{setting}={}\n", escape::line(self.name.as_bytes()))
    }
}

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The name of its file.
    pub name: String,
    /// What is in it.
    pub content: String,
    /// What wants it when it is enabled.
    pub wanted_by: Option<&'static str>,
}

impl Facts<'_> {
    /// Whether it works with root's rights, given who manages it.
    fn is_root(&self, manager: Manager) -> bool {
        let user = self.job.user.as_deref();
        manager == Manager::System && user.is_none_or(|user| matches!(user, "root" | "0"))
    }

    /// Whether it hands mail to a program of the machine's.
    fn sends_mail(&self) -> bool {
        let by_program = |notifier: &&Notifier| {
            matches!(
                notifier.way,
                Way::Mail {
                    transport: MailTransport::Sendmail { .. },
                    ..
                }
            )
        };
        self.notifiers.iter().any(by_program)
    }

    /// Whether it runs commands of the user's, of which nobody knows what they need.
    fn runs_commands(&self) -> bool {
        let hooks = &self.job.hooks;
        let hooks = [
            &hooks.pre,
            &hooks.post_init,
            &hooks.post_create,
            &hooks.post_prune,
            &hooks.post,
            &hooks.on_failure,
        ];
        let is_command = |notifier: &&Notifier| matches!(notifier.way, Way::Command { .. });
        matches!(self.job.source, Source::Command(_))
            || hooks.into_iter().any(Option::is_some)
            || self.notifiers.iter().any(is_command)
    }
}

impl Setting<'_> {
    /// The words of a command of `jobs`, quoted.
    fn command(&self, verb: &str, words: &[&str]) -> String {
        let mut all: Vec<OsString> = vec![self.program.into(), "jobs".into(), verb.into()];
        for (option, path) in [("--config", self.config), ("--state", self.state)] {
            if let Some(path) = path {
                all.extend([option.into(), path.into()]);
            }
        }
        all.extend(words.iter().map(OsString::from));
        let quoted = all
            .iter()
            .map(|word| escape::word(word.as_encoded_bytes(), escape::Dollar::Doubled));
        quoted.collect::<Vec<_>>().join(" ")
    }

    /// Where the records are, if it is not where the service manager makes a directory for them.
    fn own_state(&self) -> Option<&Path> {
        self.state.filter(|state| *state != Path::new(STATE))
    }

    fn environment_lines(&self) -> String {
        let line = |(name, value): &(String, OsString)| {
            let assignment = [name.as_bytes(), b"=", value.as_encoded_bytes()].concat();
            format!(
                "Environment={}\n",
                escape::word(&assignment, escape::Dollar::Plain)
            )
        };
        self.environment.iter().map(line).collect()
    }
}

/// The names of the credentials a job takes its secrets from.
pub fn credential_names(job: &Job, notifiers: &[&Notifier]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut push = |name: &String| {
        if !names.contains(name) {
            names.push(name.clone());
        }
    };
    for target in &job.targets {
        if let Some(Passphrase::Credential(name)) = &target.passphrase {
            push(name);
        }
    }
    for notifier in notifiers {
        let secrets = match &notifier.way {
            Way::Ntfy { url, token, .. } | Way::Webhook { url, token, .. } => {
                [Some(url), token.as_ref()]
            }
            Way::Healthchecks { url } => [Some(url), None],
            Way::Mail {
                transport: MailTransport::Smtp { login, .. },
                ..
            } => [login.as_ref().map(|(_, secret)| secret), None],
            Way::Mail { .. } | Way::Desktop { .. } | Way::Command { .. } => [None, None],
        };
        for secret in secrets.into_iter().flatten() {
            if let Secret::Credential(name) = secret {
                push(name);
            }
        }
    }
    names
}

/// All units of a job.
pub fn of_job(setting: &Setting<'_>, facts: &Facts<'_>) -> Vec<Unit> {
    let service = service(setting, facts);
    std::iter::once(service).chain(timer(facts)).collect()
}

/// The name of a job's unit.
pub fn name(job: &str, ending: &str) -> String {
    format!("{PREFIX}{job}.{ending}")
}

#[cfg(test)]
mod tests;
