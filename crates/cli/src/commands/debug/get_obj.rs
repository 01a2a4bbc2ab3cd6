//! `debug get-obj`: write one object to a file.

use std::ffi::OsString;

use ironborg_repository::RepositoryError;
use ironborg_types::ErrorKind;

use super::object::{TypedId, write};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugGetObjArgs {
    /// Repository that has the object
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// Id of the object, 64 hexadecimal digits
    #[arg(value_name = "ID", required = true)]
    id: OsString,
    /// File to write: the object as it is stored, encrypted
    #[arg(value_name = "PATH", required = true)]
    path: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugGetObjOptions {
    location: Location,
    id: TypedId,
    path: OsString,
}

impl DebugGetObjArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugGetObjOptions, ParseError> {
        Ok(DebugGetObjOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            id: TypedId::new(&self.id),
            path: self.path,
        })
    }
}

impl Run for DebugGetObjOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let repository = context.open_repository(&self.location, Access::Read)?;
        let id = self.id.required()?;
        let mut object = Vec::new();
        match repository.get(&id, &mut object) {
            Err(RepositoryError::ObjectNotFound { .. }) => {
                let text = format!("object {} not found.", self.id.shown);
                return Err(CliError::new(ErrorKind::RTError, &[&text]));
            }
            other => other?,
        }
        write(&self.path, &object)?;
        let mut stdout = Stdout::new();
        stdout.text(&format!("object {} fetched.\n", self.id.shown))?;
        stdout.finish()
    }
}
