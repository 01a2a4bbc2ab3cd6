//! `debug dump-repo-objs`: write a repository's objects to files.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpRepoObjsArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpRepoObjsOptions {}

impl DebugDumpRepoObjsArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugDumpRepoObjsOptions, ParseError> {
        Ok(DebugDumpRepoObjsOptions {})
    }
}

impl Run for DebugDumpRepoObjsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command("debug dump-repo-objs is not there yet."))
    }
}
