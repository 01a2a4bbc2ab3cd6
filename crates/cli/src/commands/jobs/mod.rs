//! `jobs`: backups that run themselves.

pub(crate) mod check_config;
pub(crate) mod daemon;
pub(crate) mod disable;
pub(crate) mod drill;
pub(crate) mod due;
pub(crate) mod enable;
mod facts;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod list;
mod metrics;
mod next;
mod notify;
pub(crate) mod notify_desktop;
pub(crate) mod notify_test;
mod place;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod status;
mod unit_files;
pub(crate) mod work;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ironborg_jobs::job::Jobs;

use self::place::{Files, Whose};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// Where configuration and records are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Configuration: a file, or a directory with jobs.toml and jobs.d [default: /etc/ironborg or ~/.config/ironborg]
    #[arg(long, value_name = "PATH")]
    config: Option<OsString>,
    /// Directory of the records [default: /var/lib/ironborg, or ~/.local/state/ironborg]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<OsString>,
}

/// Where configuration and records are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file or directory that was named; nothing: the usual one.
    pub(crate) config: Option<PathBuf>,
    /// The directory of the records, if it was named.
    pub(crate) state: Option<PathBuf>,
}

impl PlaceArgs {
    /// Makes the paths absolute.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Place {
        let cwd = Path::new(std::ffi::OsStr::from_bytes(parse.cwd));
        let absolute = |path: OsString| cwd.join(path);
        Place {
            config: self.config.map(absolute),
            state: self.state.map(absolute),
        }
    }
}

impl Place {
    /// Reads the configuration.
    ///
    /// # Errors
    /// There is none, it cannot be read, or something is wrong with it: all of that is said then.
    pub(crate) fn load(&self, context: &Context) -> Result<Jobs, CliError> {
        let files = self.read(context)?;
        files.load(&self.whose(context))
    }

    /// Reads the configuration's files as they are.
    pub(crate) fn read(&self, context: &Context) -> Result<Files, CliError> {
        Files::read(&self.config_path(context))
    }

    /// The file or directory with the configuration.
    pub(crate) fn config_path(&self, context: &Context) -> PathBuf {
        let usual = || self.whose(context).config();
        self.config.clone().unwrap_or_else(usual)
    }

    /// The directory with the records of all jobs.
    pub(crate) fn state_root(&self, context: &Context) -> PathBuf {
        let usual = || self.whose(context).state();
        self.state.clone().unwrap_or_else(usual)
    }

    /// The directory with the records of a job.
    pub(crate) fn state_of(&self, context: &Context, job: &str) -> PathBuf {
        self.state_root(context).join(job)
    }

    /// Whose jobs they are: the system's or a user's.
    #[allow(clippy::unused_self)] // One day there may be a word for it on the command line.
    pub(crate) fn whose(&self, context: &Context) -> Whose {
        Whose::of(context)
    }
}

commands! {
    /// The commands of `jobs`.
    JobsCommand
    /// Run a job now, or all that are due
    Run(run::RunArgs),
    /// List the jobs
    List(list::ListArgs),
    /// Show how the jobs are doing
    Status(status::StatusArgs),
    /// Check the configuration
    CheckConfig(check_config::CheckConfigArgs),
    /// Have the system run jobs by itself
    Enable(enable::EnableArgs),
    /// End that
    Disable(disable::DisableArgs),
    /// Run jobs when they are due, in the foreground
    Daemon(daemon::DaemonArgs),
    /// Write a configuration, asking five questions
    Init(init::InitArgs),
    /// Make a configuration of one of borgmatic's
    Import(import::ImportArgs),
    /// Tell everybody who would be told, as a test
    NotifyTest(notify_test::NotifyTestArgs),
    /// Show a notice in somebody's session (`jobs run` starts it)
    NotifyDesktop(notify_desktop::NotifyDesktopArgs),
    /// Print the JSON schema of configurations
    Schema(schema::SchemaArgs),
    /// Do the steps of one run (`jobs run` starts it)
    Work(work::WorkArgs),
}
