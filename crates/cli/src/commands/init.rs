//! `init`: makes a repository.

use std::ffi::{OsStr, OsString};

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_crypto::{KeyMode, RelatedSecrets};
use ironborg_repository::{CreateOptions, LocalRepository};
use ironborg_source::named_file;
use ironborg_types::{Level, text};
use zeroize::Zeroizing;

use super::{Run, Traits};
use crate::args::{ParseError, values};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};

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
        })
    }
}

impl Run for InitOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let path = context.local_path(&self.location)?;
        let related = self
            .related_secrets
            .as_deref()
            .map(read_related_secrets)
            .transpose()?;
        let create = CreateOptions {
            append_only: self.append_only,
            storage_quota: self.storage_quota.filter(|&quota| quota > 0),
            make_parent_dirs: self.make_parent_dirs,
        };
        let repository =
            LocalRepository::create(&path, &create, context.open_options(Access::Write))?;
        let shown = text::display(&self.location.canonical()).into_owned();
        context.log(
            Level::Info,
            format!("Initializing repository at \"{shown}\""),
        );
        let client = context.client(&self.location);
        context.initialise(repository, &path, client, self.mode, related.as_ref())?;
        if self.mode != KeyMode::None {
            context.log(Level::Warning, KEY_ADVICE);
        }
        Ok(())
    }
}

/// Reads what `key export-related-secrets` wrote.
fn read_related_secrets(path: &OsStr) -> Result<RelatedSecrets, CliError> {
    let shown = path.to_string_lossy();
    let content = if path == "-" {
        named_file::read_descriptor(rustix::stdio::stdin())
            .map_err(|errno| CliError::unexpected(named_file::error_text(errno.raw_os_error())))?
    } else {
        named_file::read(path).map_err(|error| CliError::unexpected(error.to_string()))?
    };
    let content = Zeroizing::new(content);
    let json: serde_json::Value = serde_json::from_slice(&content)
        .map_err(|_| CliError::command(format!("Invalid JSON in related secrets file: {shown}")))?;
    let version = &json["version"];
    if version.as_u64() != Some(1) {
        let shown = if version.is_null() {
            "None".to_owned()
        } else {
            version.to_string()
        };
        return Err(CliError::command(format!(
            "Unsupported related secrets version: {shown}"
        )));
    }
    let invalid = || CliError::command(format!("Invalid id_key in related secrets file: {shown}"));
    let id_key = json["id_key"]
        .as_str()
        .and_then(from_hex)
        .ok_or_else(invalid)?;
    let mode = json["key_name"].as_str().and_then(KeyMode::from_name);
    let seed = json["chunk_seed"]
        .as_i64()
        .and_then(|seed| i32::try_from(seed).ok());
    let (Some(mode), Some(chunk_seed)) = (mode, seed) else {
        return Err(CliError::command(format!(
            "Incomplete related secrets file: {shown}"
        )));
    };
    Ok(RelatedSecrets {
        mode,
        id_key,
        chunk_seed,
    })
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = digits
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    pairs.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}
