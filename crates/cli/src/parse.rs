//! What turning words into options may ask about the world: placeholders, `BORG_REPO`, the clock.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use ironborg_types::Timestamp;

use crate::args::ParseError;
use crate::environment::Environment;
use crate::identity::HostIdentity;
use crate::location::Location;
use crate::placeholders::{ExpandError, Placeholders};

/// Whether a location must, may or must not name an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArchivePart {
    /// `REPOSITORY::ARCHIVE`
    Required,
    /// Either.
    Optional,
    /// `REPOSITORY`
    Forbidden,
}

/// What the words of a command line are resolved with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParseContext<'a> {
    /// The variables.
    pub(crate) environment: &'a Environment,
    /// Names for placeholders.
    pub(crate) identity: &'a HostIdentity,
    /// The current directory.
    pub(crate) cwd: &'a [u8],
}

impl ParseContext<'_> {
    /// Expands the placeholders in the value of an argument.
    pub(crate) fn expand(&self, argument: &str, value: &[u8]) -> Result<Vec<u8>, ParseError> {
        let placeholders = Placeholders::new(self.identity);
        placeholders.expand(value).map_err(|error| match error {
            ExpandError::Error(error) => ParseError::Early(error),
            ExpandError::Value(_) => {
                let shown = ironborg_types::text::display(value);
                let value = crate::output::pyformat::repr(&shown);
                ParseError::argument(
                    argument,
                    format!("invalid replace_placeholders value: {value}"),
                )
            }
        })
    }

    /// Resolves the location an argument gives; `now` replaces the clock in its placeholders.
    pub(crate) fn location(
        &self,
        argument: &str,
        value: &OsStr,
        archive: ArchivePart,
        now: Option<Timestamp>,
    ) -> Result<Location, ParseError> {
        let placeholders = Placeholders {
            identity: self.identity,
            now,
        };
        let repository = self.environment.repo.as_deref().map(OsStr::as_bytes);
        let location = Location::from_argument(value.as_bytes(), repository, &placeholders)
            .map_err(|error| match error {
                ExpandError::Error(error) => ParseError::Early(error),
                ExpandError::Value(message) => ParseError::argument(argument, message),
            })?;
        let shown = ironborg_types::text::display(value.as_bytes());
        match archive {
            ArchivePart::Required if location.archive.is_none() => Err(ParseError::argument(
                argument,
                format!("\"{shown}\": No archive specified"),
            )),
            ArchivePart::Forbidden if location.archive.is_some() => Err(ParseError::argument(
                argument,
                format!("\"{shown}\": No archive can be specified"),
            )),
            _ => Ok(location),
        }
    }

    /// A valid name for an archive.
    pub(crate) fn archive_name(
        &self,
        argument: &str,
        value: &OsStr,
    ) -> Result<Vec<u8>, ParseError> {
        let name = self.expand(argument, value.as_bytes())?;
        let invalid =
            name.is_empty() || name.contains(&b'/') || name.windows(2).any(|p| p == b"::");
        if invalid {
            let shown = ironborg_types::text::display(&name);
            return Err(ParseError::argument(
                argument,
                format!("Invalid archive name: \"{shown}\""),
            ));
        }
        Ok(name)
    }
}
