//! `automount disable`: shows a repository, or all of a directory, no longer.

use std::ffi::OsString;
use std::path::Path;

use ironborg_source::named_file;

use super::config::Config;
use super::mounts::{self, OnIt};
use super::{enabled, shown, unit};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::service_manager::{self, ServiceManager};

/// What may be typed.
///
/// The directory itself stays, empty. Nothing in any repository is changed.
#[derive(Debug, clap::Args)]
pub(crate) struct DisableArgs {
    /// Where it is shown
    #[arg(value_name = "DIR", required = true)]
    dir: OsString,
    /// Only this one of the repositories there
    #[arg(long, value_name = "NAME")]
    name: Option<OsString>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DisableOptions {
    args: DisableArgs,
    cwd: Vec<u8>,
}

impl DisableArgs {
    /// There is nothing to resolve.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<DisableOptions, ParseError> {
        Ok(DisableOptions {
            args: self,
            cwd: parse.cwd.to_vec(),
        })
    }
}

impl Run for DisableOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let directory = super::directory(&self.args.dir, &self.cwd)?;
        let mut config = enabled(context, &directory)?;
        let Some(name) = &self.args.name else {
            return disable(context, &directory);
        };
        let before = config.repositories.len();
        config.repositories.retain(|shown| shown.name != *name);
        if config.repositories.len() == before {
            let message = format!(
                "there is no {} in {}",
                shown(name),
                shown(directory.as_os_str())
            );
            return Err(CliError::generic(message));
        }
        if config.repositories.is_empty() {
            return disable(context, &directory);
        }
        config.save(&context.config())?;
        if ServiceManager::User.is_running() {
            ServiceManager::User.order(&["restart", "--", &unit::name(&directory)])?;
        }
        Ok(())
    }
}

/// Stops the service and removes everything that `enable` made but the directory.
fn disable(context: &Context, directory: &Path) -> Result<(), CliError> {
    let fail = |error: named_file::NamedFileError| CliError::generic(error.to_string());
    let has_manager = ServiceManager::User.is_running();
    if has_manager {
        // It may be that it is not known yet, or any more.
        let _ = ServiceManager::User.order(&["stop", "--", &unit::name(directory)]);
    }
    if OnIt::look(directory) == OnIt::Dead {
        mounts::take_away(directory);
    }
    let units = service_manager::user_units(context);
    named_file::remove(&unit::link(&units, directory)).map_err(fail)?;
    named_file::remove(&unit::file(&units, directory)).map_err(fail)?;
    Config::remove(&context.config(), directory)?;
    if has_manager {
        ServiceManager::User.order(&["daemon-reload"])?;
    }
    if OnIt::look(directory) == OnIt::Alive {
        let message = format!(
            "{}: still mounted, by a process that was started by hand",
            shown(directory.as_os_str())
        );
        context.log(ironborg_types::Level::Warning, message);
    }
    Ok(())
}
