//! `with-lock`: runs a command while the repository is locked.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use ironborg_source::named_file;
use ironborg_types::text;
use rustix::process::{Pid, Signal, kill_process};

use super::{Run, Traits};
use crate::args::ParseError;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::pyformat::repr;
use crate::parse::{ArchivePart, ParseContext};
use crate::signals::{self, PolledOperation};
use crate::subprocess;

/// Longest pause between two looks at the command.
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(50);
/// How long the command may take to end by itself when the program is told to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

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
            .and_then(|mut child| wait(&mut child))
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

/// Waits for the command; ends it when the program is told to end.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    let mut told: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match told {
            None if signals::ending().is_some() => {
                told = Some(Instant::now());
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                // A child that is gone already needs no signal.
                let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
            Some(since) if since.elapsed() > STOP_LIMIT => child.kill()?,
            _ => {}
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LOOK_INTERVAL_MAX);
    }
}
