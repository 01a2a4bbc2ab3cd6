//! `debug search-repo-objs`: search a repository's objects for bytes.

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugSearchRepoObjsArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugSearchRepoObjsOptions {}

impl DebugSearchRepoObjsArgs {
    /// Resolves the words.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<DebugSearchRepoObjsOptions, ParseError> {
        Ok(DebugSearchRepoObjsOptions {})
    }
}

impl Run for DebugSearchRepoObjsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        Err(CliError::command(
            "debug search-repo-objs is not there yet.",
        ))
    }
}
