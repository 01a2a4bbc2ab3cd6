//! `automount clean`: takes away what a dead process left mounted.

use std::ffi::OsString;
use std::path::Path;

use super::mounts::{self, OnIt};
use super::shown;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
///
/// After a process that showed something was killed, its directory answers "Transport endpoint is not
/// connected" only. What is alive is left alone.
#[derive(Debug, clap::Args)]
pub(crate) struct CleanArgs {
    /// The directory
    #[arg(value_name = "DIR", required = true)]
    dir: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CleanOptions {
    args: CleanArgs,
    cwd: Vec<u8>,
}

impl CleanArgs {
    /// There is nothing to resolve.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<CleanOptions, ParseError> {
        Ok(CleanOptions {
            args: self,
            cwd: parse.cwd.to_vec(),
        })
    }
}

impl Run for CleanOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        clean(&super::directory(&self.args.dir, &self.cwd)?)
    }
}

/// Takes the dead away. More than one can lie on each other.
pub(super) fn clean(directory: &Path) -> Result<(), CliError> {
    const MOST: usize = 16;
    for _ in 0..MOST {
        if OnIt::look(directory) != OnIt::Dead {
            return Ok(());
        }
        mounts::take_away(directory);
    }
    Err(CliError::generic(format!(
        "{}: what is mounted there is dead and cannot be taken away",
        shown(directory.as_os_str())
    )))
}
