//! `debug put-obj`: store a file as an object.

use std::ffi::OsString;

use ironborg_source::named_file;

use super::object::{TypedId, file_error};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugPutObjArgs {
    /// Repository to store it in
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// Id of the object, 64 hexadecimal digits
    #[arg(value_name = "ID", required = true)]
    id: OsString,
    /// File with the object as it is to be stored
    #[arg(value_name = "PATH", required = true)]
    path: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugPutObjOptions {
    location: Location,
    id: TypedId,
    path: OsString,
}

impl DebugPutObjArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugPutObjOptions, ParseError> {
        Ok(DebugPutObjOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            id: TypedId::new(&self.id),
            path: self.path,
        })
    }
}

impl Run for DebugPutObjOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut repository = context.open_repository(&self.location, Access::Write)?;
        let object = named_file::read(&self.path).map_err(file_error)?;
        let id = self.id.required()?;
        repository.put(&id, &object)?;
        let mut stdout = Stdout::new();
        stdout.text(&format!("object {} put.\n", self.id.shown))?;
        repository.commit()?;
        stdout.finish()
    }
}
