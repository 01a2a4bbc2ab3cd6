//! The variables of the programs of a job: the same by hand and from a unit.
//!
//! What the shell of who starts it has set for other repositories must not decide what a job does: it would work by hand
//! and fail at night. So what says which repository it is, and how it is reached, comes from the configuration only.
//! Passphrases are taken from elsewhere where the configuration names none.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use ironborg_jobs::job::{Job, Passphrase, Target};

use crate::credential::PassphraseOrigin;
use crate::environment::PASSPHRASE_FILE;
use crate::error::CliError;

/// Variables that only the configuration decides.
const CONFIGURED: &[&str] = &[
    "BORG_REPO",
    "BORG_RSH",
    "BORG_REMOTE_PATH",
    "BORG_EXIT_CODES",
    "BORG_JSON_INDENT",
    "BORG_NEW_PASSPHRASE",
    "NOTIFY_SOCKET",
    "SSH_ORIGINAL_COMMAND",
];
/// Where passphrases come from.
const PASSPHRASES: &[&str] = &[
    "BORG_PASSPHRASE",
    "BORG_PASSCOMMAND",
    "BORG_PASSPHRASE_FD",
    PASSPHRASE_FILE,
];

/// Changes to the variables of this process: a value to set, or `None` to remove.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables(BTreeMap<OsString, Option<OsString>>);

impl Variables {
    /// Those of a job, whatever its repository.
    pub(super) fn of_job(job: &Job) -> Self {
        let mut variables = Self::default();
        for name in CONFIGURED {
            variables.0.insert((*name).into(), None);
        }
        variables.set("BORG_EXIT_CODES", "legacy");
        for (name, value) in &job.environment {
            variables.set(name, value);
        }
        variables
    }

    /// Those of a job for one of its repositories. `credentials` is where the service manager has put this service's.
    ///
    /// # Errors
    /// There is no such credential.
    pub(super) fn of_target(
        job: &Job,
        target: &Target,
        credentials: Option<&Path>,
    ) -> Result<Self, CliError> {
        let mut variables = Self::of_job(job);
        variables.set("BORG_REPO", &target.repository);
        for (name, value) in &target.environment {
            variables.set(name, value);
        }
        if let Some(passphrase) = &target.passphrase {
            for name in PASSPHRASES {
                variables.0.insert((*name).into(), None);
            }
            variables.set_passphrase(passphrase, credentials)?;
        }
        Ok(variables)
    }

    /// Does so for a program that is going to be started.
    pub(super) fn apply(&self, command: &mut Command) {
        for (name, value) in &self.0 {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }

    /// What a program of the job sees under a name, if this process sees `inherited`.
    pub(super) fn value(&self, name: &str, inherited: Option<&OsStr>) -> Option<OsString> {
        match self.0.get(OsStr::new(name)) {
            Some(value) => value.clone(),
            None => inherited.map(OsStr::to_owned),
        }
    }

    fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        let value = Some(value.as_ref().to_owned());
        self.0.insert(name.as_ref().to_owned(), value);
    }

    fn set_passphrase(
        &mut self,
        passphrase: &Passphrase,
        credentials: Option<&Path>,
    ) -> Result<(), CliError> {
        let origin = match passphrase {
            Passphrase::Text(text) => {
                self.set("BORG_PASSPHRASE", text);
                return Ok(());
            }
            Passphrase::Command(command) => PassphraseOrigin::Command(command.into()),
            Passphrase::File(file) => PassphraseOrigin::File(file.clone()),
            Passphrase::Credential(name) => PassphraseOrigin::Credential(name.into()),
        };
        let found = origin.variables(credentials);
        let found = found.map_err(|error| CliError::generic(error.to_string()))?;
        if let Some(command) = found.command {
            self.set("BORG_PASSCOMMAND", command);
        }
        if let Some(file) = found.file {
            self.set(PASSPHRASE_FILE, file);
        }
        if let Some(passphrase) = found.passphrase {
            self.set("BORG_PASSPHRASE", OsStr::from_bytes(&passphrase));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_jobs::config;

    fn job(keys: &str) -> Job {
        let text = format!("[jobs.home]\npaths = \"/home\"\nrepo = \"/repo\"\n{keys}\n");
        let jobs = config::load(&[("jobs.toml".into(), text)]).unwrap_or_else(|e| panic!("{e}"));
        jobs.jobs.into_iter().next().unwrap()
    }

    /// What a program of the job sees where the shell has set everything.
    fn seen(job: &Job, name: &str) -> Option<OsString> {
        let variables = Variables::of_target(job, &job.targets[0], None).unwrap();
        variables.value(name, Some("inherited".as_ref()))
    }

    #[test]
    fn what_the_shell_has_set_for_others_is_not_for_the_job() {
        let job = job("environment = { BORG_RSH = \"ssh -i key\", EXTRA = \"yes\" }");
        assert_eq!(seen(&job, "BORG_REPO"), Some("/repo".into()));
        assert_eq!(seen(&job, "BORG_RSH"), Some("ssh -i key".into()));
        assert_eq!(seen(&job, "EXTRA"), Some("yes".into()));
        assert_eq!(seen(&job, "BORG_REMOTE_PATH"), None);
        assert_eq!(seen(&job, "BORG_EXIT_CODES"), Some("legacy".into()));
        // Directories, and a passphrase where the job has none, are those of who starts it.
        assert_eq!(seen(&job, "BORG_BASE_DIR"), Some("inherited".into()));
        assert_eq!(seen(&job, "BORG_PASSPHRASE"), Some("inherited".into()));
    }

    #[test]
    fn a_passphrase_is_the_only_one() {
        for (key, variable, value) in [
            ("passphrase = \"secret\"", "BORG_PASSPHRASE", "secret"),
            (
                "pass_command = \"pass borg\"",
                "BORG_PASSCOMMAND",
                "pass borg",
            ),
            ("passphrase_file = \"/key\"", PASSPHRASE_FILE, "/key"),
        ] {
            let job = job(&format!("encryption = {{ mode = \"repokey\", {key} }}"));
            for name in PASSPHRASES {
                let expected = (*name == variable).then(|| value.into());
                assert_eq!(seen(&job, name), expected, "{key}: {name}");
            }
        }
    }
}
