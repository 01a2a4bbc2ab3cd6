//! What units of a job depend on beside the job: its user's directories, where repositories are, which credentials are
//! encrypted.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use ironborg_jobs::job::{Job, Jobs, Notifier, Target};
use ironborg_jobs::schedule::Schedule;
use ironborg_jobs::units::{self, Credential, Facts, Manager, NAME_LEN_MAX, crontab};
use ironborg_source::named_file;
use ironborg_source::others_directory::{self, Owner};

use crate::as_user;
use crate::directories::Directories;
use crate::environment::DirectoryVariables;
use crate::error::CliError;
use crate::location::Location;
use crate::sys::{self, UserEntry};

/// Where encrypted credentials are kept for services.
const ENCRYPTED_STORES: [&str; 3] = [
    "/etc/credstore.encrypted",
    "/run/credstore.encrypted",
    "/usr/lib/credstore.encrypted",
];

/// What may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Nothing: the units are for this machine.
    All,
    /// Users: the units are for some machine.
    WhatThereIs,
}

/// What units of a job depend on.
pub(super) fn of<'a>(
    jobs: &'a Jobs,
    job: &'a Job,
    manager: Manager,
    lookup: Lookup,
) -> Result<Facts<'a>, CliError> {
    if job.name.len() > NAME_LEN_MAX {
        let message = format!("{}: the name is too long for a unit", job.name);
        return Err(CliError::generic(message));
    }
    let writes = match manager {
        Manager::User => {
            refuse_others(job)?;
            Vec::new()
        }
        Manager::System => writes(jobs, job, lookup)?,
    };
    let notifiers = notifiers(jobs, job);
    let names = units::credential_names(job, &notifiers);
    Ok(Facts {
        job,
        on_calendar: schedule(job)?.as_on_calendar(),
        writes,
        is_remote: locations(job).any(|location| !location.is_local()),
        credentials: credentials(names),
        notifiers,
    })
}

fn schedule(job: &Job) -> Result<Schedule, CliError> {
    let parsed = Schedule::parse(&job.schedule.start_at);
    parsed.map_err(|error| CliError::generic(format!("{}: {error}", job.name)))
}

/// A user's service manager runs what is his.
fn refuse_others(job: &Job) -> Result<(), CliError> {
    let Some(user) = &job.user else {
        return Ok(());
    };
    let entry = sys::user_by_name(OsStr::new(user));
    if entry.is_some_and(|entry| entry.uid == sys::effective_uid()) {
        return Ok(());
    }
    Err(CliError::generic(format!(
        "{}: only root can have jobs run as another user ({user})",
        job.name
    )))
}

fn notifiers<'a>(jobs: &'a Jobs, job: &Job) -> Vec<&'a Notifier> {
    let by = job.notify.by.iter();
    by.filter_map(|name| jobs.notifiers.get(name)).collect()
}

fn credentials(names: Vec<String>) -> Vec<Credential> {
    let is_encrypted = |name: &str| {
        let mut stores = ENCRYPTED_STORES.iter().map(Path::new);
        stores.any(|store| named_file::exists(&store.join(name)))
    };
    let known = names.into_iter().map(|name| Credential {
        encrypted: is_encrypted(&name),
        name,
    });
    known.collect()
}

/// What telling about any of the jobs needs.
pub(super) fn credentials_of_all(jobs: &Jobs) -> Vec<Credential> {
    let mut names: Vec<String> = Vec::new();
    for job in &jobs.jobs {
        // Passphrases are not needed for it.
        let nothing = Job {
            targets: Vec::new(),
            ..job.clone()
        };
        for name in units::credential_names(&nothing, &notifiers(jobs, job)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    credentials(names)
}

/// When a job runs, for cron. What is to be caught up with or delayed is left to ourselves.
pub(super) fn crontab_line(job: &Job) -> Result<crontab::Line, CliError> {
    let schedule = schedule(job)?;
    let is_plain = !job.schedule.persistent && job.schedule.random_delay.is_zero();
    let times = if job.schedule.start_at.is_empty() {
        Some(Vec::new())
    } else {
        schedule.as_cron().filter(|_| is_plain)
    };
    Ok(crontab::Line {
        job: job.name.clone(),
        times,
    })
}

/// The repositories, as far as they are known beforehand: one whose name has the time in it is not.
fn locations(job: &Job) -> impl Iterator<Item = Location> {
    let parse = |target: &Target| Location::parse(target.repository.as_bytes());
    job.targets.iter().filter_map(parse)
}

/// The paths of repositories that are here.
fn local_repositories(job: &Job) -> Vec<PathBuf> {
    let local = locations(job).filter(Location::is_local);
    let paths = local.map(|location| PathBuf::from(OsString::from_vec(location.path)));
    paths.filter(|path| path.is_absolute()).collect()
}

/// The user a job of the system runs as.
fn user(job: &Job, lookup: Lookup) -> Result<Option<UserEntry>, CliError> {
    let name = job.user.as_deref().unwrap_or("root");
    let found = sys::user_by_name(OsStr::new(name));
    if found.is_none() && lookup == Lookup::All {
        let message = format!("{}: there is no user {name}", job.name);
        return Err(CliError::generic(message));
    }
    Ok(found)
}

/// Where a job of the system writes.
fn writes(jobs: &Jobs, job: &Job, lookup: Lookup) -> Result<Vec<PathBuf>, CliError> {
    let mut paths = match user(job, lookup)? {
        Some(user) => own_directories(job, &user),
        None => Vec::new(),
    };
    for path in local_repositories(job) {
        let above = path.parent().filter(|above| *above != Path::new("/"));
        match above {
            // It is made when the device is there, and nobody knows when that is.
            Some(above) if job.removable_device && job.init => paths.push(above.to_path_buf()),
            _ => paths.push(path),
        }
    }
    paths.extend(jobs.metrics.clone());
    let mut seen = std::collections::BTreeSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    Ok(paths)
}

/// The directories of Borg's that a job uses.
fn own_directories(job: &Job, user: &UserEntry) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let none = BTreeMap::new();
    let own = job.targets.iter().map(|target| &target.environment);
    for environment in std::iter::once(&none)
        .chain(own)
        .skip(usize::from(!job.targets.is_empty()))
    {
        let get = |name: &str| {
            let value = environment.get(name).or_else(|| job.environment.get(name));
            value.filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        let variables = DirectoryVariables {
            base: get("BORG_BASE_DIR"),
            config: get("BORG_CONFIG_DIR"),
            cache: get("BORG_CACHE_DIR"),
            keys: get("BORG_KEYS_DIR"),
            security: get("BORG_SECURITY_DIR"),
            xdg_config: get("XDG_CONFIG_HOME"),
            xdg_cache: get("XDG_CACHE_HOME"),
            home: Some(get("HOME").unwrap_or_else(|| user.home.clone())),
            ..DirectoryVariables::default()
        };
        let found = Directories::resolve(&variables, &user.home);
        paths.extend([found.config, found.cache, found.keys, found.security]);
    }
    // What is below another one needs no mention.
    paths.retain(|path| path.is_absolute());
    let all = paths.clone();
    let is_below = |path: &PathBuf| {
        all.iter()
            .any(|above| path != above && path.starts_with(above))
    };
    paths.retain(|path| !is_below(path));
    paths
}

/// Makes the directories a service may write to, as who runs it: it sees those that are there when it starts.
pub(super) fn prepare(jobs: &Jobs, job: &Job, state: &Path) -> Result<Vec<String>, CliError> {
    let Some(user) = user(job, Lookup::All)? else {
        return Ok(Vec::new());
    };
    let mut complaints = Vec::new();
    let mut paths = own_directories(job, &user);
    if job.init && !job.removable_device {
        paths.extend(local_repositories(job));
    }
    paths.retain(|path| !named_file::exists(path));
    if !paths.is_empty()
        && let Err(error) = as_user::make_directories(
            &user,
            &paths
                .iter()
                .map(|path| path.as_os_str())
                .collect::<Vec<_>>(),
        )
    {
        complaints.push(error);
    }
    if state != Path::new(units::STATE) {
        let owner = Owner {
            uid: user.uid,
            gid: user.gid,
        };
        others_directory::make_for(&state.join(&job.name), 0o700, owner)
            .map_err(|error| CliError::generic(error.to_string()))?;
    }
    let may_read =
        |file: &&PathBuf| as_user::run(&user, "test", &["-r".as_ref(), file.as_os_str()]).is_ok();
    let unreadable = jobs.files.iter().filter(|file| !may_read(file));
    complaints.extend(unreadable.map(|file| {
        let user = ironborg_types::text::display(user.name.as_encoded_bytes()).into_owned();
        format!("{user} cannot read {}", file.display())
    }));
    Ok(complaints)
}
