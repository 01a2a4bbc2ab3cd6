//! `key import`: bring a key back from where it was kept.

use std::ffi::OsString;
use std::io::{self, BufRead};

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::key_backup::KeyBackup;
use ironborg_format::paper_key::{PaperKey, PaperLineError, Typed};
use ironborg_source::named_file;
use zeroize::Zeroizing;

use crate::args::{ParseError, values};
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::dash;
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::questions::ConsoleQuestioner;
use crate::signals::Prompt;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyImportArgs {
    /// Repository [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// File `key export` wrote, or - for standard input
    #[arg(value_name = "PATH",
          value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    path: Option<OsString>,
    /// Type in what `key export --paper` printed
    #[arg(long)]
    paper: bool,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct KeyImportOptions {
    location: Location,
    path: Option<OsString>,
    paper: bool,
}

impl KeyImportArgs {
    /// Resolves the location.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<KeyImportOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        Ok(KeyImportOptions {
            location,
            path: self.path,
            paper: self.paper,
        })
    }
}

impl Run for KeyImportOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let mut repository = context.open_repository(&self.location, Access::Unlocked)?;
        let client = context.client(&self.location);
        let mut backup = KeyBackup::new(&client, &mut *repository)?;
        if self.paper {
            if self.path.is_some() {
                return Err(CliError::command(
                    "with --paper import from file is not supported",
                ));
            }
            let questioner = ConsoleQuestioner {
                json: context.reporter.json(),
            };
            return type_in(&mut backup, questioner);
        }
        let Some(path) = &self.path else {
            return Err(CliError::command("expected input file to import key from"));
        };
        let shown = path.to_string_lossy();
        if path != "-" && named_file::modified(path).is_none() {
            return Err(CliError::command(format!(
                "input file does not exist: {shown}"
            )));
        }
        Ok(backup.import(&dash::read(path)?, &shown)?)
    }
}

/// Asks for the lines of a paper key until they make a key. Giving up is no error.
fn type_in(backup: &mut KeyBackup<'_>, questioner: ConsoleQuestioner) -> Result<(), CliError> {
    loop {
        let Some(mut paper) = ask_for_id(questioner)? else {
            return say("\n - aborted\n");
        };
        if !paper.is_for(&backup.repository_id()) {
            return Err(ironborg_archive::ArchiveError::KeyOfOther.into());
        }
        loop {
            let Some(line) = ask(&format!("{:2}: ", paper.next_line()), questioner)? else {
                return say("\n - aborted\n");
            };
            match paper.line(&line) {
                Ok(Typed::More) => {}
                Ok(Typed::Key(blob)) => return Ok(backup.import_blob(&blob)?),
                Err(error) => {
                    say(&format!("{error}\n"))?;
                    if error == PaperLineError::Whole {
                        break;
                    }
                }
            }
        }
    }
}

/// Asks for the id line until it is right; `None` to give up.
fn ask_for_id(questioner: ConsoleQuestioner) -> Result<Option<PaperKey>, CliError> {
    loop {
        let Some(line) = ask("id: ", questioner)? else {
            return Ok(None);
        };
        match PaperKey::begin(&line) {
            Ok(paper) => return Ok(Some(paper)),
            Err(error) => say(&format!("{error}\n"))?,
        }
    }
}

/// Asks for one line; `None` at the end of the input, or if a blank line was meant to give up.
fn ask(prompt: &str, questioner: ConsoleQuestioner) -> Result<Option<Zeroizing<String>>, CliError> {
    say(prompt)?;
    let line = {
        let _prompt = Prompt::begin();
        read_line()?
    };
    match line {
        Some(line) if line.replace(' ', "").is_empty() => {
            let give_up = questioner.confirm("Abort import? [yN]:");
            Ok((!give_up).then_some(line))
        }
        other => Ok(other),
    }
}

/// A line of standard input without its end; what is no text in it is no digit either.
fn read_line() -> Result<Option<Zeroizing<String>>, CliError> {
    let mut line = Zeroizing::new(Vec::new());
    let read = io::stdin().lock().read_until(b'\n', &mut line);
    match read {
        Ok(0) => Ok(None),
        Ok(_) => {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let text = String::from_utf8_lossy(text).into_owned();
            Ok(Some(Zeroizing::new(text)))
        }
        Err(error) => Err(CliError::unexpected(format!(
            "cannot read standard input: {error}"
        ))),
    }
}

fn say(text: &str) -> Result<(), CliError> {
    let mut stdout = Stdout::new();
    stdout.text(text)?;
    stdout.finish()
}
