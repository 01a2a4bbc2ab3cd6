//! `jobs`: backups that run themselves.

pub(crate) mod check_config;
pub(crate) mod daemon;
pub(crate) mod disable;
pub(crate) mod enable;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod notify_test;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod work;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::parse::ParseContext;

/// Where configuration and records are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Configuration [default: /etc/ironborg/jobs.toml and jobs.d, or those in ~/.config/ironborg]
    #[arg(long, value_name = "FILE")]
    config: Option<OsString>,
    /// Directory of the records [default: /var/lib/ironborg, or ~/.local/state/ironborg]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<OsString>,
}

/// Where configuration and records are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file that was named; nothing: the usual ones.
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
    /// Print the JSON schema of configurations
    Schema(schema::SchemaArgs),
    /// Do the steps of one run (`jobs run` starts it)
    Work(work::WorkArgs),
}
