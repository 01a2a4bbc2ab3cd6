//! What stock Borg's parser finds wrong with a value at the moment it takes it.
//!
//! Nothing is kept: the same values are resolved again when the whole command line is understood. All this
//! is for is the order of errors.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};

use super::ParseError;
use super::argparse::Check;
use super::patterns::PatternCheck;
use crate::parse::{ArchivePart, ParseContext};
use crate::timestamp;

/// Names of places that hold a location.
const LOCATIONS: &[(&str, ArchivePart)] = &[
    ("REPOSITORY", ArchivePart::Forbidden),
    ("ARCHIVE", ArchivePart::Required),
    ("REPO::ARCHIVE1", ArchivePart::Required),
    ("REPOSITORY_OR_ARCHIVE", ArchivePart::Optional),
];

/// Names of arguments that are the name of an archive.
const ARCHIVE_NAMES: &[&str] = &["NEWNAME", "ARCHIVE2", "TARGET"];

/// Options whose values have placeholders.
const EXPANDED: &[&str] = &["prefix", "glob_archives", "comment"];

/// Checks values in the order of the command line.
pub(crate) struct ValueCheck<'a> {
    parse: &'a ParseContext<'a>,
    patterns: PatternCheck,
}

impl<'a> ValueCheck<'a> {
    /// Begins a command line.
    pub(crate) fn new(parse: &'a ParseContext<'a>) -> Self {
        Self {
            parse,
            patterns: PatternCheck::default(),
        }
    }

    fn in_context(&mut self, arg: &Arg, name: &str, value: &OsStr) -> Result<(), ParseError> {
        let place = arg.get_value_names().and_then(<[_]>::first);
        let place = place.map(clap::builder::Str::as_str).unwrap_or_default();
        let id = arg.get_id().as_str();
        let kind = LOCATIONS.iter().find(|(known, _)| *known == place);
        match kind {
            Some((_, part)) if is_location(arg) => {
                self.parse.location(name, value, *part, None)?;
            }
            _ if ARCHIVE_NAMES.contains(&place) => {
                self.parse.archive_name(name, value)?;
            }
            _ if id == "timestamp" => {
                timestamp::parse_option(value)?;
            }
            _ if EXPANDED.contains(&id) => {
                self.parse.expand(name, value.as_bytes())?;
            }
            _ => self.patterns.add(id, value)?,
        }
        Ok(())
    }
}

/// A place for one location, not for a list of names.
fn is_location(arg: &Arg) -> bool {
    arg.is_positional() && !matches!(arg.get_action(), ArgAction::Append)
}

impl Check for ValueCheck<'_> {
    fn check(&mut self, arg: &Arg, name: &str, values: &[OsString]) -> Result<(), ParseError> {
        let place = arg.get_value_names().and_then(<[_]>::first);
        let is_known = |name: &clap::builder::Str| LOCATIONS.iter().any(|(known, _)| name == known);
        if values.is_empty() && is_location(arg) && place.is_some_and(is_known) {
            // None given means the default repository.
            return self.in_context(arg, name, OsStr::new(""));
        }
        typed(arg, name, values)?;
        values
            .iter()
            .try_for_each(|value| self.in_context(arg, name, value))
    }
}

/// Asks the value parser of the description.
fn typed(arg: &Arg, name: &str, values: &[OsString]) -> Result<(), ParseError> {
    if values.is_empty() {
        return Ok(());
    }
    // As a place of its own, so that nothing else about the argument matters.
    let alone = Arg::new("value")
        .value_parser(arg.get_value_parser().clone())
        .action(ArgAction::Append)
        .allow_hyphen_values(true);
    let command = Command::new("check").no_binary_name(true).arg(alone);
    let words = std::iter::once(OsString::from("--")).chain(values.iter().cloned());
    let Err(error) = command.try_get_matches_from(words) else {
        return Ok(());
    };
    match error.kind() {
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            Err(ParseError::argument(name, source.unwrap_or_default()))
        }
        // What is not valid text is refused with the whole command line.
        _ => Ok(()),
    }
}
