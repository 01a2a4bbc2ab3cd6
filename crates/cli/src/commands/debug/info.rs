//! `debug info`: show what to put into a bug report.

use ironborg_types::text;

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::output::pyformat::repr;
use crate::parse::ParseContext;
use crate::system_information;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugInfoArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugInfoOptions {}

impl DebugInfoArgs {
    /// There is nothing to resolve.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // As the other commands have it.
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<DebugInfoOptions, ParseError> {
        Ok(DebugInfoOptions {})
    }
}

impl Run for DebugInfoOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut stdout = Stdout::new();
        if context.environment.show_sysinfo {
            stdout.text(&system_information::text())?;
        }
        let host = repr(&text::display(context.identity.host_id()));
        let process = std::process::id();
        stdout.text(&format!(
            "\nCRC implementation: crc32fast\nProcess ID: ({host}, {process}, 0)\n"
        ))?;
        stdout.finish()
    }
}
