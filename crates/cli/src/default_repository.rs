//! The repository of `backup` and `restore`: the one named, else one in the user's data directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::args::ParseError;
use crate::context::Context;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

/// Which repository is meant.
#[derive(Debug)]
pub(crate) enum ChosenRepository {
    /// By an option or by `BORG_REPO`.
    Named(Location),
    /// The default one.
    Default,
}

impl ChosenRepository {
    /// From the value of `--repo`.
    pub(crate) fn resolve(
        repo: Option<&OsString>,
        parse: &ParseContext<'_>,
    ) -> Result<Self, ParseError> {
        let value = match repo {
            Some(repo) => repo.as_os_str(),
            None if parse.environment.repo.is_some() => OsStr::new(""),
            None => return Ok(Self::Default),
        };
        parse
            .location("--repo", value, ArchivePart::Forbidden, None)
            .map(Self::Named)
    }

    /// Its location.
    pub(crate) fn location(&self, context: &Context) -> Location {
        match self {
            Self::Named(location) => location.clone(),
            Self::Default => {
                let path = context.directories.data.join("repository");
                // An absolute path always parses; one with "::" in it is taken as it is.
                let bytes = path.as_os_str().as_bytes();
                Location::parse(bytes)
                    .filter(|location| location.archive.is_none())
                    .unwrap_or_else(|| Location {
                        protocol: crate::location::Protocol::File,
                        path: bytes.to_vec(),
                        archive: None,
                        processed: bytes.to_vec(),
                    })
            }
        }
    }
}
