//! `debug id-hash`: show the id a file would have as a chunk.

use std::ffi::OsString;

use ironborg_source::named_file;

use super::object::file_error;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugIdHashArgs {
    /// Repository whose key makes the id
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// File whose whole content is taken for one chunk
    #[arg(value_name = "PATH", required = true)]
    path: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugIdHashOptions {
    location: Location,
    path: OsString,
}

impl DebugIdHashArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugIdHashOptions, ParseError> {
        Ok(DebugIdHashOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            path: self.path,
        })
    }
}

impl Run for DebugIdHashOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[])?;
        let content = named_file::read(&self.path).map_err(file_error)?;
        let mut stdout = Stdout::new();
        stdout.text(&format!("{}\n", session.key.id_hash(&content)))?;
        stdout.finish()
    }
}
