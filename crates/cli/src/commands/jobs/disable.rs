//! `jobs disable`: has the system run jobs by itself no longer.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ironborg_jobs::units::{self, Manager, PREFIX_OF_ALL};

use super::enable::{Which, manager, service_manager, unit_directory};
use super::unit_files::UnitFiles;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
///
/// Units are stopped and removed. A run that is under way goes on; records, archives and configuration stay.
#[derive(Debug, clap::Args)]
pub(crate) struct DisableArgs {
    /// The jobs, be they configured or not
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All that have units
    #[arg(long)]
    all: bool,
    /// Units of the system, whoever removes them
    #[arg(long)]
    system: bool,
    /// Where units are [default: /etc/systemd/system, or ~/.config/systemd/user]
    #[arg(long, value_name = "DIRECTORY")]
    unit_dir: Option<OsString>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DisableOptions {
    which: Which,
    manager: Manager,
    unit_dir: Option<PathBuf>,
}

impl DisableArgs {
    /// Finds the files.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<DisableOptions, ParseError> {
        let cwd = Path::new(std::ffi::OsStr::from_bytes(parse.cwd));
        Ok(DisableOptions {
            which: Which::resolve(self.names, self.all)?,
            manager: manager(self.system),
            unit_dir: self.unit_dir.map(|directory| cwd.join(directory)),
        })
    }
}

impl Run for DisableOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let files = UnitFiles::new(unit_directory(
            self.unit_dir.as_deref(),
            self.manager,
            context,
        ));
        let ours = files.ours()?;
        let removed = match &self.which {
            Which::All => ours,
            Which::Named(names) => of_jobs(&ours, names)?,
        };
        let manager = service_manager(self.manager);
        let manager = Some(manager).filter(|manager| manager.is_running());
        files.remove(&removed, manager)?;
        if let Some(manager) = manager.filter(|_| !removed.is_empty()) {
            manager.order(&["daemon-reload"])?;
        }
        let mut stdout = Stdout::new();
        for name in &removed {
            stdout.text(&format!("removed {name}\n"))?;
        }
        stdout.finish()
    }
}

/// The units of these jobs; with those of the last job go the ones that concern all.
fn of_jobs(ours: &[String], jobs: &[String]) -> Result<Vec<String>, CliError> {
    let mut removed = Vec::new();
    for job in jobs {
        let names = ["timer", "service"].map(|ending| units::name(job, ending));
        let found: Vec<String> = names
            .into_iter()
            .filter(|name| ours.contains(name))
            .collect();
        if found.is_empty() {
            return Err(CliError::generic(format!("nothing is enabled for `{job}`")));
        }
        removed.extend(found);
    }
    let is_job = |name: &&String| !name.starts_with(PREFIX_OF_ALL) && !name.contains('@');
    let stays = ours
        .iter()
        .filter(is_job)
        .any(|name| !removed.contains(name));
    if !stays {
        let rest = ours.iter().filter(|name| !is_job(name));
        removed.extend(rest.cloned());
    }
    Ok(removed)
}
