//! `init`: makes a repository.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::Session;
use ironborg_crypto::KeyMode;
use ironborg_repository::CreateOptions;
use ironborg_storage::Retention;
use ironborg_types::{Level, text};

use super::{Run, Traits};
use crate::args::{ParseError, values};
use crate::context::Context;
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::{dash, related_secrets};

/// Modes in the order stock Borg lists them.
const MODES: [&str; 7] = [
    "none",
    "keyfile",
    "repokey",
    "authenticated",
    "keyfile-blake2",
    "repokey-blake2",
    "authenticated-blake2",
];

/// Shown after an encrypted repository was made.
const KEY_ADVICE: &str = "
IMPORTANT: you will need both KEY AND PASSPHRASE to access this repo!

Key storage location depends on the mode:
- repokey modes: key is stored in the repository directory.
- keyfile modes: key is stored in the home directory of this user.

For any mode, you should:
1. Export the borg key and store the result at a safe place:
   borg key export           REPOSITORY encrypted-key-backup
   borg key export --paper   REPOSITORY encrypted-key-backup.txt
   borg key export --qr-html REPOSITORY encrypted-key-backup.html
2. Write down the borg key passphrase and store it at safe place.
";

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Repository to make [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// How data is protected: none, repokey, keyfile, authenticated, or one of these with -blake2
    #[arg(short = 'e', long, value_name = "MODE", required = true,
          value_parser = OsStringValueParser::new().try_map(|v| values::choice(&v, &MODES)))]
    encryption: String,
    /// Never remove anything for good
    #[arg(long)]
    append_only: bool,
    /// Most bytes the repository may take, such as 5G
    #[arg(long, value_name = "QUOTA", value_parser = values::storage_quota)]
    storage_quota: Option<u64>,
    /// Make missing directories above the repository
    #[arg(long)]
    make_parent_dirs: bool,
    /// Use the related secrets of another repository
    #[arg(long, value_name = "PATH",
          value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    import_related_secrets: Option<OsString>,
    /// Keep each segment from being removed for so long (S3 with Object Lock), such as 30d or 1y,compliance
    #[arg(long, value_name = "TIME", value_parser = values::retention)]
    retain: Option<Retention>,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct InitOptions {
    location: Location,
    mode: KeyMode,
    append_only: bool,
    storage_quota: Option<u64>,
    make_parent_dirs: bool,
    related_secrets: Option<OsString>,
    retain: Option<Retention>,
}

impl InitArgs {
    /// Resolves location and placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<InitOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        let mode =
            KeyMode::from_argument(&self.encryption).expect("it is one of the words accepted");
        Ok(InitOptions {
            location,
            mode,
            append_only: self.append_only,
            storage_quota: self.storage_quota,
            make_parent_dirs: self.make_parent_dirs,
            related_secrets: self.import_related_secrets,
            retain: self.retain,
        })
    }
}

impl Run for InitOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let related = match &self.related_secrets {
            Some(path) => {
                let content = dash::read(path)?;
                Some(related_secrets::read(&content, &path.to_string_lossy())?)
            }
            None => None,
        };
        let create = CreateOptions {
            append_only: self.append_only,
            storage_quota: self.storage_quota.filter(|&quota| quota > 0),
            make_parent_dirs: self.make_parent_dirs,
        };
        context.refuse_nameless_directories()?;
        if let Some(repository) = context.unfinished_repository(&self.location)? {
            let client = context.client(&self.location);
            Session::finish_init(client, repository, self.mode)?;
            self.advise(context);
            return Ok(());
        }
        let repository = match self.retain {
            Some(retention) => context.create_retained(&self.location, &create, retention)?,
            None => context.create_repository(&self.location, &create)?,
        };
        let shown = text::display(&self.location.canonical()).into_owned();
        context.log(
            Level::Info,
            format!("Initializing repository at \"{shown}\""),
        );
        let client = context.client(&self.location);
        context.initialise(
            repository,
            &self.location,
            client,
            self.mode,
            related.as_ref(),
        )?;
        self.advise(context);
        Ok(())
    }
}

impl InitOptions {
    /// Says what is to be done with a new key.
    fn advise(&self, context: &Context) {
        if self.mode != KeyMode::None {
            context.log(Level::Warning, KEY_ADVICE);
        }
    }
}
