//! `with-lock`: runs a command while the repository is locked.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;

use ironborg_source::named_file;
use ironborg_types::text;

use super::{Run, Traits};
use crate::args::ParseError;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::pyformat::repr;
use crate::parse::{ArchivePart, ParseContext};
use crate::signals::PolledOperation;
use crate::subprocess;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct WithLockArgs {
    /// Repository to lock
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// Program to run
    #[arg(value_name = "COMMAND", required = true)]
    command: OsString,
    /// Its arguments: all that follows, options too
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    args: Vec<OsString>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct WithLockOptions {
    location: Location,
    command: OsString,
    args: Vec<OsString>,
}

impl WithLockArgs {
    /// Resolves the location.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<WithLockOptions, ParseError> {
        Ok(WithLockOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            command: self.command,
            args: self.args,
        })
    }
}

impl Run for WithLockOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        // Nothing is written, so that a command that copies the repository copies a whole one.
        let repository = context.open_repository(&self.location, Access::Write)?;
        let _polled = PolledOperation::begin();
        let status = subprocess::command(&self.command)
            .args(&self.args)
            .spawn()
            .and_then(|mut child| subprocess::wait_or_end(&mut child))
            .map_err(|error| self.failed(&self.words_of(&error)))?;
        repository.close()?;
        let code = subprocess::exit_code(status).map_err(|reason| self.failed(&reason))?;
        context.reporter.exit.set_code(code);
        Ok(())
    }
}

impl WithLockOptions {
    fn failed(&self, reason: &str) -> CliError {
        let command = text::display(self.command.as_bytes());
        CliError::command(format!("Error while trying to run '{command}': {reason}"))
    }

    fn words_of(&self, error: &io::Error) -> String {
        let number = error.raw_os_error().unwrap_or(0);
        let command = repr(&text::display(self.command.as_bytes()));
        format!("{}: {command}", named_file::error_text(number))
    }
}
