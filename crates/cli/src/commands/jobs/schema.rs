//! `jobs schema`: what a configuration may contain, as JSON schema.

use ironborg_jobs::config;

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {}

/// What will be done.
#[derive(Debug)]
pub(crate) struct SchemaOptions;

impl SchemaArgs {
    /// There is nothing to resolve.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // As the other commands have it.
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<SchemaOptions, ParseError> {
        Ok(SchemaOptions)
    }
}

impl Run for SchemaOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        let mut stdout = Stdout::new();
        stdout.text(&format!("{:#}\n", config::schema()))?;
        stdout.finish()
    }
}
