//! `debug dump-archive`: write all of an archive as JSON.

use std::ffi::OsString;

use ironborg_archive::debug::ArchiveDocuments;

use super::object::TextTarget;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::{dump, json};
use crate::parse::{ArchivePart, ParseContext};
use crate::signals;

/// Stock Borg puts documents into its own frame, each line behind this.
const MARGIN: &str = "    ";
/// Collected before it is written, in bytes.
const BUFFER_LEN: usize = 64 << 10;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpArchiveArgs {
    /// Archive to dump
    #[arg(value_name = "ARCHIVE", required = true)]
    location: OsString,
    /// File to write, or "-" for standard output
    #[arg(value_name = "PATH", required = true)]
    path: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpArchiveOptions {
    location: Location,
    path: OsString,
}

impl DebugDumpArchiveArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugDumpArchiveOptions, ParseError> {
        Ok(DebugDumpArchiveOptions {
            location: parse.location("ARCHIVE", &self.location, ArchivePart::Required, None)?,
            path: self.path,
        })
    }
}

impl Run for DebugDumpArchiveOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[])?;
        let name = self.location.archive.as_deref().unwrap_or_default();
        let archive = ArchiveDocuments::load(&session, name)?;
        let mut target = TextTarget::open(&self.path)?;
        let mut out = String::from("{\n    \"_name\": ");
        json::push_bytes(name, &mut out);
        out.push_str(",\n    \"_manifest_entry\":\n    ");
        dump::push(&archive.entry, MARGIN, &mut out);
        out.push_str(",\n    \"_meta\":\n    ");
        dump::push(&archive.metadata, MARGIN, &mut out);
        out.push_str(",\n    \"_items\": [\n");
        let mut first = true;
        archive.for_each_item(&session, name, |item| {
            if !std::mem::take(&mut first) {
                out.push_str(",\n");
            }
            out.push_str(MARGIN);
            dump::push(item, MARGIN, &mut out);
            if out.len() >= BUFFER_LEN {
                target.text(&out)?;
                out.clear();
            }
            signals::check()
        })?;
        out.push_str("\n    ]\n}\n");
        target.text(&out)?;
        target.finish()
    }
}
