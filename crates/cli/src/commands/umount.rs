//! `umount`: takes a mounted archive away.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::ExitStatus;

use super::{Run, Traits};
use crate::args::ParseError;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::subprocess;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct UmountArgs {
    /// Directory it is mounted on
    #[arg(value_name = "MOUNTPOINT", required = true)]
    mountpoint: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct UmountOptions {
    mountpoint: OsString,
}

impl UmountArgs {
    /// There is nothing to resolve.
    // The signature is that of all commands.
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<UmountOptions, ParseError> {
        Ok(UmountOptions {
            mountpoint: self.mountpoint,
        })
    }
}

impl Run for UmountOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let run = |program: &str, arguments: &[&str]| -> io::Result<ExitStatus> {
            let mut command = subprocess::command(OsStr::new(program));
            command.args(arguments).arg(&self.mountpoint).status()
        };
        // The first two are for what an ordinary user has mounted (newer systems have it under the second name only);
        // where they are missing root may do without.
        let attempts: [(&str, &[&str]); 2] = [("fusermount3", &["-u"]), ("umount", &[])];
        let mut status = run("fusermount", &["-u"]);
        for (program, arguments) in attempts {
            match &status {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    status = run(program, arguments);
                }
                _ => break,
            }
        }
        let status = status.map_err(|error| CliError::unexpected(error.to_string()))?;
        let code = subprocess::exit_code(status).map_err(CliError::unexpected)?;
        context.reporter.exit.set_code(code);
        Ok(())
    }
}
