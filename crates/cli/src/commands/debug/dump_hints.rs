//! `debug dump-hints`: write the repository's hints as JSON.

use std::ffi::OsString;

use ironborg_format::hints::HintsListing;
use ironborg_format::msgpack::Value;

use super::object::TextTarget;
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::dump;
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugDumpHintsArgs {
    /// Repository whose hints are dumped
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// File to write, or "-" for standard output
    #[arg(value_name = "PATH", required = true)]
    path: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugDumpHintsOptions {
    location: Location,
    path: OsString,
}

impl DebugDumpHintsArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugDumpHintsOptions, ParseError> {
        Ok(DebugDumpHintsOptions {
            location: parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?,
            path: self.path,
        })
    }
}

impl Run for DebugDumpHintsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut repository = context.open_local(&self.location, Access::Write)?;
        let hints = repository.hints()?;
        let mut target = TextTarget::open(&self.path)?;
        let mut out = String::new();
        dump::push(&document(hints), "", &mut out);
        target.text(&out)?;
        target.finish()
    }
}

fn document(hints: HintsListing) -> Value<'static> {
    let key = |name: &str| Value::raw(name.as_bytes());
    let counts = |counts: Vec<(u32, i64)>| {
        let pairs = counts.into_iter();
        Value::Map(
            pairs
                .map(|(segment, count)| (Value::Int(segment.into()), Value::Int(count)))
                .collect(),
        )
    };
    let shadowed = hints.shadow_index.into_iter().map(|(id, segments)| {
        let segments = segments.into_iter().map(|number| Value::Int(number.into()));
        (key(&id.to_string()), Value::Array(segments.collect()))
    });
    Value::Map(vec![
        (key("segments"), counts(hints.segments)),
        (key("compact"), counts(hints.compact)),
        (
            key("storage_quota_use"),
            Value::Int(hints.storage_quota_use),
        ),
        (key("shadow_index"), Value::Map(shadowed.collect())),
    ])
}
