//! The service that shows a directory, as a unit of the user's own service manager.
//!
//! There is no unit of type automount in it: the kernel's automounter is root's. The service is always there instead,
//! small, and opens a repository when somebody enters its directory.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ironborg_jobs::units::escape::{self, Dollar};
use ironborg_types::text;

use super::config::Config;

/// How names of units begin.
const PREFIX: &str = "ironborg-automount-";
/// What they are wanted by: the target of a session.
const WANTED_BY: &str = "default.target";

/// What a unit is made of.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    /// The program, by a path that survives its next version.
    pub(super) program: &'a Path,
    pub(super) config: &'a Config,
    /// Variables with their values.
    pub(super) environment: &'a [(String, OsString)],
}

/// The name of the unit for a directory.
pub(super) fn name(directory: &Path) -> String {
    format!("{PREFIX}{}.service", escape::file_name(directory))
}

/// The file of a unit.
pub(super) fn file(units: &Path, directory: &Path) -> PathBuf {
    units.join(name(directory))
}

/// The link that has it started with the session.
pub(super) fn link(units: &Path, directory: &Path) -> PathBuf {
    units
        .join(format!("{WANTED_BY}.wants"))
        .join(name(directory))
}

/// What that link says.
pub(super) fn link_target(directory: &Path) -> String {
    format!("../{}", name(directory))
}

/// The words that run the service in the foreground.
pub(super) fn words(program: &Path, verb: &str, directory: &Path) -> Vec<OsString> {
    vec![
        program.as_os_str().to_owned(),
        "automount".into(),
        verb.into(),
        "--".into(),
        directory.as_os_str().to_owned(),
    ]
}

impl Unit<'_> {
    fn command(&self, verb: &str) -> String {
        let words = words(self.program, verb, &self.config.directory);
        let words: Vec<String> = words
            .iter()
            .map(|word| quoted(word, Dollar::Doubled))
            .collect();
        words.join(" ")
    }

    /// The content of its file.
    ///
    /// `NoNewPrivileges=` is not there, nor anything that implies it for services of users (`SystemCallFilter=`,
    /// `PrivateTmp=` and the like): `fusermount3` gets its right to mount by being set-user-ID.
    pub(super) fn content(&self) -> String {
        let mut out = String::new();
        let directory = escape::line(self.config.directory.as_os_str().as_bytes());
        let _ = write!(
            out,
            "# Made by `ironborg automount enable`; `ironborg automount disable` removes it.\n\
             [Unit]\n\
             Description=Backups shown in {directory} (ironborg)\n\
             StartLimitIntervalSec=60\n\
             StartLimitBurst=5\n\
             \n\
             [Service]\n\
             Type=notify\n\
             NotifyAccess=main\n\
             ExecStart={}\n\
             ExecStopPost=-{}\n",
            self.command("serve"),
            self.command("clean"),
        );
        for (variable, value) in self.environment {
            let assignment = [variable.as_bytes(), b"=", value.as_bytes()].concat();
            let _ = writeln!(
                out,
                "Environment={}",
                escape::word(&assignment, Dollar::Plain)
            );
        }
        for credential in self
            .config
            .repositories
            .iter()
            .filter_map(|shown| shown.credential.as_ref())
        {
            let setting = if credential.encrypted {
                "LoadCredentialEncrypted"
            } else {
                "LoadCredential"
            };
            // The rest of what would need an escape was refused.
            let wanted = text::display(credential.wanted.as_bytes()).replace('%', "%%");
            let _ = writeln!(out, "{setting}={wanted}");
        }
        let _ = write!(
            out,
            "Restart=on-failure\n\
             RestartSec=5\n\
             TimeoutStopSec=30\n\
             UMask=0077\n\
             LimitCORE=0\n\
             \n\
             [Install]\n\
             WantedBy={WANTED_BY}\n"
        );
        out
    }
}

fn quoted(word: &OsStr, dollar: Dollar) -> String {
    escape::word(word.as_bytes(), dollar)
}
