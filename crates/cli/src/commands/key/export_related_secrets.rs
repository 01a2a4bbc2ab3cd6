//! `key export-related-secrets`: write the secrets that make repositories related.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_format::Operation;

use crate::args::{ParseError, values};
use crate::commands::{Run, Traits};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::{dash, related_secrets};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyExportRelatedSecretsArgs {
    /// Repository [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// File to write, for `init --import-related-secrets` [default: standard output]
    #[arg(value_name = "PATH",
          value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    path: Option<OsString>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyExportRelatedSecretsOptions {
    location: Location,
    path: Option<OsString>,
}

impl KeyExportRelatedSecretsArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<KeyExportRelatedSecretsOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        Ok(KeyExportRelatedSecretsOptions {
            location,
            path: self.path,
        })
    }
}

impl Run for KeyExportRelatedSecretsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[Operation::Read])?;
        let secrets = session.key.related_secrets().ok_or_else(|| {
            CliError::generic("This repository is not encrypted, it has no secrets to share.")
        })?;
        dash::write(self.path.as_deref(), &related_secrets::write(&secrets))
    }
}
