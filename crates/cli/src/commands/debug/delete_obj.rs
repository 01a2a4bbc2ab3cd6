//! `debug delete-obj`: delete objects.

use std::ffi::OsString;

use ironborg_repository::RepositoryError;

use super::object::TypedId;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDeleteObjArgs {
    /// Repository that has the objects
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// Ids of the objects, 64 hexadecimal digits each
    #[arg(value_name = "IDs", required = true)]
    ids: Vec<OsString>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDeleteObjOptions {
    location: Location,
    ids: Vec<TypedId>,
}

impl DebugDeleteObjArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugDeleteObjOptions, ParseError> {
        Ok(DebugDeleteObjOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            ids: self.ids.iter().map(|id| TypedId::new(id)).collect(),
        })
    }
}

impl Run for DebugDeleteObjOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut repository = context.open_repository(&self.location, Access::Write)?;
        let mut stdout = Stdout::new();
        let mut modified = false;
        for typed in &self.ids {
            let fate = match &typed.id {
                Err(_) => "is invalid",
                Ok(id) => match repository.delete(id) {
                    Err(RepositoryError::ObjectNotFound { .. }) => "not found",
                    other => {
                        other?;
                        modified = true;
                        "deleted"
                    }
                },
            };
            let space = if typed.id.is_err() { "id " } else { "" };
            stdout.text(&format!("object {space}{} {fate}.\n", typed.shown))?;
        }
        if modified {
            repository.commit()?;
        }
        stdout.text("Done.\n")?;
        stdout.finish()
    }
}
