//! `debug refcount-obj`: show how often objects are referred to.

use std::ffi::OsString;

use ironborg_archive::references::ChunkReferences;

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
pub(crate) struct DebugRefcountObjArgs {
    /// Repository that has the objects
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// Ids of the objects, 64 hexadecimal digits each
    #[arg(value_name = "IDs", required = true)]
    ids: Vec<OsString>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugRefcountObjOptions {
    location: Location,
    ids: Vec<TypedId>,
}

impl DebugRefcountObjArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugRefcountObjOptions, ParseError> {
        Ok(DebugRefcountObjOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            ids: self.ids.iter().map(|id| TypedId::new(id)).collect(),
        })
    }
}

impl Run for DebugRefcountObjOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Write, &[])?;
        let references = ChunkReferences::load(&session)?;
        let mut stdout = Stdout::new();
        for TypedId { shown, id } in &self.ids {
            let count = id.as_ref().map(|id| references.table().refs(id));
            stdout.text(&match count {
                Err(_) => format!("object id {shown} is invalid.\n"),
                Ok(0) => format!("object {shown} not found [info from chunks cache].\n"),
                Ok(count) => {
                    format!("object {shown} has {count} referrers [info from chunks cache].\n")
                }
            })?;
        }
        stdout.finish()
    }
}
