//! `jobs enable`: has the system run jobs by itself.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ironborg_jobs::job::{Job, Jobs};
use ironborg_jobs::units::{self, Manager, Setting, Unit, crontab};
use ironborg_types::Level;

use super::facts::{self, Lookup};
use super::place::no_such_job;
use super::unit_files::UnitFiles;
use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::service_manager::{self, ServiceManager};

/// What may be typed.
///
/// Services and timers of systemd are written and started: for root those of the system, for others their own. Where
/// there is no systemd, lines for a crontab are printed. Doing it again changes what the configuration changed.
#[derive(Debug, clap::Args)]
pub(crate) struct EnableArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The jobs
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All jobs; units of jobs that are no more are removed
    #[arg(long)]
    all: bool,
    /// Print the units; with --unit-dir, write them there and do nothing else
    #[arg(long)]
    print: bool,
    /// Print lines for a crontab instead
    #[arg(long)]
    crontab: bool,
    /// Units of the system, whoever makes them
    #[arg(long)]
    system: bool,
    /// Where units go [default: /etc/systemd/system, or ~/.config/systemd/user]
    #[arg(long, value_name = "DIRECTORY")]
    unit_dir: Option<OsString>,
    /// Write units, start nothing
    #[arg(long)]
    no_start: bool,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct EnableOptions {
    place: Place,
    which: Which,
    how: How,
    manager: Manager,
    unit_dir: Option<PathBuf>,
}

/// Which jobs are meant.
#[derive(Debug)]
pub(super) enum Which {
    /// All.
    All,
    /// These.
    Named(Vec<String>),
}

/// What becomes of the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Print,
    Crontab,
    Write,
    Start,
}

impl Which {
    /// Takes them as typed.
    pub(super) fn resolve(names: Vec<String>, all: bool) -> Result<Self, ParseError> {
        match (names.is_empty(), all) {
            (true, true) => Ok(Self::All),
            (false, false) => Ok(Self::Named(names)),
            _ => Err(ParseError::Usage(
                "either names of jobs or --all is needed".to_owned(),
            )),
        }
    }

    /// The jobs.
    fn of<'a>(&self, jobs: &'a Jobs) -> Result<Vec<&'a Job>, CliError> {
        let Self::Named(names) = self else {
            return Ok(jobs.jobs.iter().collect());
        };
        let find = |name: &String| {
            let found = jobs.jobs.iter().find(|job| job.name == *name);
            found.ok_or_else(|| no_such_job(jobs, name))
        };
        names.iter().map(find).collect()
    }
}

/// Whose units are meant.
pub(super) fn manager(system: bool) -> Manager {
    if system || crate::sys::effective_uid() == 0 {
        Manager::System
    } else {
        Manager::User
    }
}

/// The service manager itself.
pub(super) fn service_manager(manager: Manager) -> ServiceManager {
    match manager {
        Manager::System => ServiceManager::System,
        Manager::User => ServiceManager::User,
    }
}

/// Where units are, unless told otherwise.
pub(super) fn unit_directory(named: Option<&Path>, manager: Manager, context: &Context) -> PathBuf {
    match (named, manager) {
        (Some(directory), _) => directory.to_path_buf(),
        (None, Manager::System) => PathBuf::from(SYSTEM_UNITS),
        (None, Manager::User) => service_manager::user_units(context),
    }
}

/// Where the administrator's units of the system are.
const SYSTEM_UNITS: &str = "/etc/systemd/system";

impl EnableArgs {
    /// Finds the files.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<EnableOptions, ParseError> {
        let cwd = Path::new(std::ffi::OsStr::from_bytes(parse.cwd));
        let how = match (self.crontab, self.print, self.no_start) {
            (true, ..) => How::Crontab,
            (false, true, _) => How::Print,
            (false, false, true) => How::Write,
            (false, false, false) => How::Start,
        };
        Ok(EnableOptions {
            place: self.place.resolve(parse),
            which: Which::resolve(self.names, self.all)?,
            how,
            manager: manager(self.system),
            unit_dir: self.unit_dir.map(|directory| cwd.join(directory)),
        })
    }
}

impl Run for EnableOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let jobs = self.place.load(context)?;
        let chosen = self.which.of(&jobs)?;
        let program = service_manager::program(context)?;
        let config = self.place.config_path(context);
        let state = self.state(context);
        let environment = match self.manager {
            Manager::System => Vec::new(),
            Manager::User => service_manager::lasting_environment(),
        };
        let setting = Setting {
            manager: self.manager,
            program: &program,
            config: Some(&config),
            state: Some(&state),
            environment: &environment,
        };
        let manager = service_manager(self.manager);
        let has_manager =
            || self.how != How::Start || self.unit_dir.is_some() || manager.is_running();
        if self.how == How::Crontab || !has_manager() {
            return self.print_crontab(context, &setting, &chosen);
        }
        let units = self.units(&setting, &jobs, &chosen)?;
        match (self.how, &self.unit_dir) {
            (How::Print, None) => {
                let directory = unit_directory(None, self.manager, context);
                print(&directory, &units)
            }
            (How::Print, Some(directory)) => {
                UnitFiles::new(directory.clone()).write(&units)?;
                Ok(())
            }
            _ => self.enable(context, &jobs, &chosen, &units),
        }
    }
}

impl EnableOptions {
    /// What is found out where nothing may be known of the machine the units are for.
    fn lookup(&self) -> Lookup {
        if self.how == How::Print {
            Lookup::WhatThereIs
        } else {
            Lookup::All
        }
    }

    /// Where records are: units of the system that somebody else makes are for root all the same.
    fn state(&self, context: &Context) -> PathBuf {
        match (&self.place.state, self.manager) {
            (None, Manager::System) => PathBuf::from(units::STATE),
            (Some(_), _) | (None, Manager::User) => self.place.state_root(context),
        }
    }

    fn units(
        &self,
        setting: &Setting<'_>,
        jobs: &Jobs,
        chosen: &[&Job],
    ) -> Result<Vec<Unit>, CliError> {
        let mut found = Vec::new();
        for job in chosen {
            let facts = facts::of(jobs, job, self.manager, self.lookup())?;
            found.extend(units::of_job(setting, &facts));
        }
        if chosen.iter().any(|job| units::needs_watch(job)) {
            // Any of the jobs may be told of by it, not only those that are enabled now.
            found.extend(units::watch(setting, &facts::credentials_of_all(jobs)));
        }
        Ok(found)
    }

    /// Writes the units and has them wanted; starts the timers where a service manager is running.
    fn enable(
        &self,
        context: &Context,
        jobs: &Jobs,
        chosen: &[&Job],
        units: &[Unit],
    ) -> Result<(), CliError> {
        let files = UnitFiles::new(unit_directory(
            self.unit_dir.as_deref(),
            self.manager,
            context,
        ));
        files.refuse_others(units)?;
        if self.manager == Manager::System {
            for job in chosen {
                for complaint in facts::prepare(jobs, job, &self.state(context))? {
                    context.log(Level::Warning, format!("{}: {complaint}", job.name));
                }
            }
        }
        let stale = match self.which {
            Which::All => files.stale(units)?,
            Which::Named(_) => Vec::new(),
        };
        let manager = service_manager(self.manager);
        let starts = self.how == How::Start && manager.is_running();
        files.remove(&stale, starts.then_some(manager))?;
        let changed = files.write(units)?;
        files.link(units)?;
        let mut stdout = Stdout::new();
        for name in &stale {
            stdout.text(&format!("removed {name}\n"))?;
        }
        for name in &changed {
            stdout.text(&format!("wrote {}\n", files.shown(name)))?;
        }
        stdout.finish()?;
        if starts {
            return start(manager, units, &changed, !stale.is_empty());
        }
        if self.how == How::Start {
            context.log(
                Level::Warning,
                "Everything is written, but no service manager is running that would start it.",
            );
        }
        Ok(())
    }

    fn print_crontab(
        &self,
        context: &Context,
        setting: &Setting<'_>,
        chosen: &[&Job],
    ) -> Result<(), CliError> {
        let lines: Result<Vec<crontab::Line>, CliError> =
            chosen.iter().map(|job| facts::crontab_line(job)).collect();
        let watches = chosen.iter().any(|job| units::needs_watch(job));
        let mut stdout = Stdout::new();
        stdout.text(&crontab::lines(setting, &lines?, watches))?;
        stdout.finish()?;
        if self.how != How::Crontab {
            context.log(
                Level::Warning,
                "No systemd is running here, and nothing was written. The lines above have cron run the jobs: put them \
                 into a crontab (crontab -e). Or have `ironborg jobs daemon` run by whatever starts services here.",
            );
        }
        Ok(())
    }
}

/// Prints units as `systemctl cat` does.
fn print(directory: &Path, units: &[Unit]) -> Result<(), CliError> {
    let mut stdout = Stdout::new();
    for (index, unit) in units.iter().enumerate() {
        let separator = if index == 0 { "" } else { "\n" };
        let path = directory.join(&unit.name);
        let path = ironborg_types::text::display(path.as_os_str().as_bytes()).into_owned();
        stdout.text(&format!("{separator}# {path}\n{}", unit.content))?;
    }
    stdout.finish()
}

/// Has the service manager read what changed, and waits for times from now on.
fn start(
    manager: ServiceManager,
    units: &[Unit],
    changed: &[String],
    removed: bool,
) -> Result<(), CliError> {
    if removed || !changed.is_empty() {
        manager.order(&["daemon-reload"])?;
    }
    for unit in units.iter().filter(|unit| unit.wanted_by.is_some()) {
        // What did not change goes on; a run that is under way does in any case.
        let verb = if changed.contains(&unit.name) {
            "restart"
        } else {
            "start"
        };
        manager.order(&[verb, "--", &unit.name])?;
    }
    Ok(())
}
