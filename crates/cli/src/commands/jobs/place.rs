//! Where configuration and records are by default, and how the files are read.

use std::path::{Path, PathBuf};

use ironborg_jobs::config::{self, ConfigErrors};
use ironborg_jobs::job::Jobs;
use ironborg_source::named_file;

use crate::context::Context;
use crate::directories;
use crate::error::CliError;
use crate::sys;

/// Configuration of the system.
const SYSTEM_CONFIG: &str = "/etc/ironborg";
/// Records of the system's jobs.
const SYSTEM_STATE: &str = "/var/lib/ironborg";
/// The file in the directory of the configuration.
pub(super) const MAIN_FILE: &str = "jobs.toml";
/// The directory of further files there.
const MORE_FILES: &str = "jobs.d";
/// How their names end.
const SUFFIX: &str = ".toml";

/// Whose jobs they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The system's: root starts them.
    System,
    /// A user's.
    User {
        /// His home directory.
        home: PathBuf,
        /// Where configurations are.
        config: PathBuf,
        /// Where programs keep what they remember.
        state: PathBuf,
    },
}

impl Whose {
    /// Those of who runs this.
    pub(super) fn of(context: &Context) -> Self {
        if sys::effective_uid() == 0 {
            return Self::System;
        }
        let variables = &context.environment.directories;
        let home = directories::base(variables, Path::new(context.cwd_as_os_str()));
        let home = context.absolute(&home);
        let xdg = |own: &Option<PathBuf>, usual: &str| {
            let own = own.clone().filter(|_| variables.base.is_none());
            own.filter(|path| path.is_absolute())
                .unwrap_or_else(|| home.join(usual))
                .join("ironborg")
        };
        Self::User {
            config: xdg(&variables.xdg_config, ".config"),
            state: xdg(&variables.xdg_state, ".local/state"),
            home,
        }
    }

    /// The directory of the configuration.
    pub(crate) fn config(&self) -> PathBuf {
        match self {
            Self::System => PathBuf::from(SYSTEM_CONFIG),
            Self::User { config, .. } => config.clone(),
        }
    }

    /// The directory of the records.
    pub(crate) fn state(&self) -> PathBuf {
        match self {
            Self::System => PathBuf::from(SYSTEM_STATE),
            Self::User { state, .. } => state.clone(),
        }
    }

    /// What a leading `~/` stands for. The jobs of the system may be run by several users: there it is nothing.
    pub(crate) fn home(&self) -> Option<&Path> {
        match self {
            Self::System => None,
            Self::User { home, .. } => Some(home),
        }
    }
}

/// The files of a configuration: paths and contents.
#[derive(Debug)]
pub(crate) struct Files(pub(crate) Vec<(PathBuf, String)>);

impl Files {
    /// Reads a file, or those of a directory: `jobs.toml`, and what is in `jobs.d` in the order of the names.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        if !path.is_dir() {
            let file = read_file(path)?;
            return file
                .map(|file| Self(vec![file]))
                .ok_or_else(|| missing(path));
        }
        let mut files = Vec::new();
        files.extend(read_file(&path.join(MAIN_FILE))?);
        let more = path.join(MORE_FILES);
        let mut names = match named_file::names_in(&more) {
            Ok(names) => names,
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(CliError::generic(error.to_string())),
        };
        names.sort();
        for name in names {
            let text = name.to_string_lossy();
            if text.ends_with(SUFFIX) && !text.starts_with('.') {
                files.extend(read_file(&more.join(&name))?);
            }
        }
        if files.is_empty() {
            return Err(missing(&path.join(MAIN_FILE)));
        }
        Ok(Self(files))
    }

    /// Makes jobs of them, or says everything that is wrong.
    pub(super) fn load(&self, whose: &Whose) -> Result<Jobs, CliError> {
        self.parse(whose).map_err(|errors| refused(&errors))
    }

    /// Makes jobs of them.
    pub(super) fn parse(&self, whose: &Whose) -> Result<Jobs, ConfigErrors> {
        config::load_for(&self.0, whose.home())
    }
}

/// All that is wrong with a configuration.
pub(super) fn refused(errors: &ConfigErrors) -> CliError {
    let many = if errors.0.len() == 1 {
        "a mistake"
    } else {
        "mistakes"
    };
    CliError::generic(format!("the configuration has {many}:\n{errors}"))
}

/// Nothing if it is not there.
fn read_file(path: &Path) -> Result<Option<(PathBuf, String)>, CliError> {
    let content = match named_file::read(path.as_os_str()) {
        Ok(content) => content,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(CliError::generic(error.to_string())),
    };
    let text = String::from_utf8(content).map_err(|error| {
        let before = error.utf8_error().valid_up_to();
        let lines = error.as_bytes().iter().take(before);
        let line = lines.filter(|&&byte| byte == b'\n').count() + 1;
        CliError::generic(format!("{}:{line}: this is not UTF-8", path.display()))
    })?;
    Ok(Some((path.to_owned(), text)))
}

fn missing(path: &Path) -> CliError {
    CliError::generic(format!(
        "there is no configuration: {} (`ironborg jobs init` writes one)",
        path.display()
    ))
}

/// Nobody has configured it.
pub(super) fn no_such_job(jobs: &Jobs, name: &str) -> CliError {
    let names: Vec<&str> = jobs.jobs.iter().map(|job| job.name.as_str()).collect();
    let names = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    CliError::generic(format!("there is no job \"{name}\"; configured: {names}"))
}
