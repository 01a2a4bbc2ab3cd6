//! `key change-passphrase`: change the key's passphrase.

use std::ffi::OsString;

use ironborg_format::Operation;
use ironborg_types::Level;

use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::Context;
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::stored_passphrase;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyChangePassphraseArgs {
    /// Repository [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyChangePassphraseOptions {
    location: Location,
}

impl KeyChangePassphraseArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<KeyChangePassphraseOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        Ok(KeyChangePassphraseOptions { location })
    }
}

impl Run for KeyChangePassphraseOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let operations = [Operation::Check];
        let mut session =
            context.open_session(&self.location, self.location.access_to_key(), &operations)?;
        if session.key.mode().storage() == ironborg_crypto::KeyStorage::None {
            return Err(CliError::command(
                "This repository is not encrypted, cannot change the passphrase.",
            ));
        }
        // A passphrase stored by the program opened the key; it is not the one wanted from now on.
        let passphrases = if context.environment.passphrases.is_given() {
            session.client.passphrases.clone()
        } else {
            context.client(&self.location).passphrases
        };
        let passphrase = passphrases
            .new_passphrase()
            .map_err(ironborg_archive::ArchiveError::from)?;
        session.change_passphrase(passphrase.clone())?;
        let id = session.repository.id();
        let stored = stored_passphrase::replace(&context.config(), id, passphrase.expose())?;
        if let Some(file) = stored {
            let file = file.display();
            let text = format!("The passphrase stored in {file} was changed, too.");
            context.log(Level::Warning, text);
        }
        context.log(Level::Info, "Key updated");
        let place = session.key_location();
        context.log(Level::Info, format!("Key location: {place}"));
        Ok(())
    }
}
