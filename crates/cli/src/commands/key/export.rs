//! `key export`: write the key to a file for safe keeping.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::key_backup::KeyBackup;

use crate::args::{ParseError, values};
use crate::commands::{Run, Traits};
use crate::context::{Access, Context};
use crate::dash;
use crate::error::CliError;
use crate::location::Location;
use crate::output::key_page;
use crate::parse::{ArchivePart, ParseContext};

/// What stands above a key on paper.
const PAPER_ADVICE: &str = "To restore key use borg key import --paper /path/to/repo\n\n";

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyExportArgs {
    /// Repository [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// File to write [default: standard output]
    #[arg(value_name = "PATH",
          value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    path: Option<OsString>,
    /// Lines with checksums, to be printed and typed back in
    #[arg(long)]
    paper: bool,
    /// A page to be printed, with the key as a QR code and as lines to be typed
    #[arg(long)]
    qr_html: bool,
}

/// What the key is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    KeyFile,
    Paper,
    Page,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyExportOptions {
    location: Location,
    path: Option<OsString>,
    form: Form,
}

impl KeyExportArgs {
    /// Resolves the location.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<KeyExportOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        Ok(KeyExportOptions {
            location,
            path: self.path,
            form: match (self.paper, self.qr_html) {
                (true, _) => Form::Paper,
                (false, true) => Form::Page,
                (false, false) => Form::KeyFile,
            },
        })
    }
}

impl Run for KeyExportOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut repository = context.open_repository(&self.location, Access::Unlocked)?;
        let client = context.client(&self.location);
        let backup = KeyBackup::new(&client, &mut *repository)?;
        let content = match self.form {
            Form::KeyFile => backup.export()?,
            Form::Paper => format!("{PAPER_ADVICE}{}", backup.export_paper()?),
            Form::Page => {
                let page = key_page::page(&backup.export()?, &backup.export_paper()?);
                page.ok_or_else(|| CliError::generic("The key is too long for a QR code."))?
            }
        };
        match self.form {
            // Stock Borg has no words for this one.
            Form::Paper => dash::write(self.path.as_deref(), &content),
            Form::KeyFile | Form::Page => dash::write_no_directory(self.path.as_deref(), &content),
        }
    }
}
