//! The files of units, and the links that have them wanted.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ironborg_jobs::units::{MARK, PREFIX, PREFIX_OF_ALL, Unit};
use ironborg_source::named_file::{self, NamedFileError};
use ironborg_types::text;

use crate::error::CliError;
use crate::service_manager::ServiceManager;

/// How files of units end that are ours.
const ENDINGS: [&str; 2] = [".service", TIMER];
/// How those of timers end.
const TIMER: &str = ".timer";
/// What our timers are wanted by.
const WANTED_BY: &str = "timers.target";

/// A directory of units.
#[derive(Debug)]
pub(super) struct UnitFiles {
    directory: PathBuf,
}

#[allow(clippy::needless_pass_by_value)] // That is what `map_err` hands over.
fn fail(error: NamedFileError) -> CliError {
    CliError::generic(error.to_string())
}

impl UnitFiles {
    /// Those in a directory, which need not be there.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The path of a unit for people.
    pub(super) fn shown(&self, name: &str) -> String {
        let path = self.directory.join(name);
        text::display(path.as_os_str().as_bytes()).into_owned()
    }

    /// Complains of units of these names that somebody else made.
    pub(super) fn refuse_others(&self, units: &[Unit]) -> Result<(), CliError> {
        for unit in units {
            let path = self.directory.join(&unit.name);
            let is_others = named_file::exists(&path) && !is_ours(&path);
            if is_others {
                return Err(CliError::generic(format!(
                    "{} was not made by this command: move it away, or change the job's units by drop-ins",
                    self.shown(&unit.name)
                )));
            }
        }
        Ok(())
    }

    /// Writes those that are not there or differ, and names them.
    pub(super) fn write(&self, units: &[Unit]) -> Result<Vec<String>, CliError> {
        let mut changed = Vec::new();
        for unit in units {
            let path = self.directory.join(&unit.name);
            let is_same = named_file::read(path.as_os_str())
                .is_ok_and(|content| content == unit.content.as_bytes());
            if !is_same {
                named_file::replace_public(&path, unit.content.as_bytes()).map_err(fail)?;
                changed.push(unit.name.clone());
            }
        }
        Ok(changed)
    }

    /// Has them wanted by what they are to be wanted by.
    pub(super) fn link(&self, units: &[Unit]) -> Result<(), CliError> {
        for unit in units {
            let Some(target) = unit.wanted_by else {
                continue;
            };
            let link = self.link_path(target, &unit.name);
            if !named_file::exists(&link) {
                let directory = link.parent().expect("it is in a directory");
                named_file::make_public_directories(directory).map_err(fail)?;
                let target = format!("../{}", unit.name);
                named_file::replace_symlink(&link, target.as_ref()).map_err(fail)?;
            }
        }
        Ok(())
    }

    fn link_path(&self, target: &str, name: &str) -> PathBuf {
        self.directory.join(format!("{target}.wants")).join(name)
    }

    /// Our units here that are none of these.
    pub(super) fn stale(&self, units: &[Unit]) -> Result<Vec<String>, CliError> {
        let wanted: BTreeSet<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
        let ours = self.ours()?.into_iter();
        Ok(ours
            .filter(|name| !wanted.contains(name.as_str()))
            .collect())
    }

    /// Our units here, by name.
    pub(super) fn ours(&self) -> Result<Vec<String>, CliError> {
        let names = match named_file::names_in(&self.directory) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            other => other.map_err(fail)?,
        };
        let is_named_so = |name: &&str| {
            [PREFIX, PREFIX_OF_ALL]
                .iter()
                .any(|prefix| name.starts_with(prefix))
                && ENDINGS.iter().any(|ending| name.ends_with(ending))
        };
        let names = names
            .iter()
            .filter_map(|name| OsStr::to_str(name))
            .filter(is_named_so);
        let mut ours: Vec<String> = names
            .filter(|name| is_ours(&self.directory.join(name)))
            .map(str::to_owned)
            .collect();
        ours.sort_unstable();
        Ok(ours)
    }

    /// Stops the timers among them, and removes the files.
    pub(super) fn remove(
        &self,
        names: &[String],
        manager: Option<ServiceManager>,
    ) -> Result<(), CliError> {
        for name in names {
            if let Some(manager) = manager.filter(|_| name.ends_with(TIMER)) {
                // It may be that it is not known yet, or any more. A run that is under way goes on.
                let _ = manager.order(&["stop", "--", name]);
            }
            named_file::remove(&self.link_path(WANTED_BY, name)).map_err(fail)?;
            named_file::remove(&self.directory.join(name)).map_err(fail)?;
        }
        Ok(())
    }
}

/// Whether a unit begins as ours do.
fn is_ours(path: &Path) -> bool {
    named_file::read(path.as_os_str()).is_ok_and(|content| content.starts_with(MARK.as_bytes()))
}
