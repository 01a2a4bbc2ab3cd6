//! `jobs init`: writes a configuration, asking five questions.

mod answers;
mod file;

use std::path::{Path, PathBuf};

use ironborg_jobs::config::{self, is_name};
use ironborg_source::named_file;

use self::answers::{Answers, Protection};
use super::place::{MAIN_FILE, Whose};
use super::{Place, PlaceArgs};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Name of the job [default: home, or system for root]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct InitOptions {
    name: Option<String>,
    place: Place,
}

impl InitArgs {
    /// Checks the name.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<InitOptions, ParseError> {
        if let Some(name) = self.name.as_deref().filter(|name| !is_name(name)) {
            return Err(ParseError::argument(
                "--name",
                format!("\"{name}\": {}", config::NAME_RULE),
            ));
        }
        Ok(InitOptions {
            name: self.name,
            place: self.place.resolve(parse),
        })
    }
}

impl Run for InitOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let whose = self.place.whose(context);
        let usual = match whose {
            Whose::System => "system",
            Whose::User { .. } => "home",
        };
        let name = self.name.clone().unwrap_or_else(|| usual.to_owned());
        let path = file_of(&self.place, context);
        let passphrase_file = path.with_file_name(format!("{name}.passphrase"));
        for path in [&path, &passphrase_file] {
            if named_file::exists(path) {
                return Err(there_already(path));
            }
        }
        console::stderr_line(&format!(
            "Five questions; what is in brackets is meant if nothing is typed. The answers go to {}.",
            path.display()
        ));
        let answers = Answers::ask(context, &whose)?;
        let text = file::text(&name, &answers, &passphrase_file);
        let files = [(path.clone(), text)];
        config::load_for(&files, whose.home()).map_err(|errors| {
            CliError::generic(format!(
                "with these answers there would be mistakes:\n{errors}"
            ))
        })?;
        let [(path, text)] = files;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let failed = |error: named_file::NamedFileError| CliError::generic(error.to_string());
        // Others may have to get at what is theirs in there; each file has rights of its own.
        named_file::make_directories(directory, 0o755).map_err(failed)?;
        if answers.protection == Protection::Generated {
            let passphrase = answers::new_passphrase()?;
            let line = format!("{}\n", passphrase.as_str());
            publish(&passphrase_file, line.as_bytes())?;
        }
        publish(&path, text.as_bytes())?;
        for line in next_steps(&name, &answers, &path, &passphrase_file, &self.place) {
            console::stderr_line(&line);
        }
        Ok(())
    }
}

/// The file that is to be written.
fn file_of(place: &Place, context: &Context) -> PathBuf {
    let path = place.config_path(context);
    if place.config.is_none() || path.is_dir() {
        return path.join(MAIN_FILE);
    }
    path
}

fn there_already(path: &Path) -> CliError {
    CliError::generic(format!(
        "{} is there already, and is not overwritten",
        path.display()
    ))
}

fn publish(path: &Path, content: &[u8]) -> Result<(), CliError> {
    named_file::publish_private(path, content).map_err(|error| {
        if error.is_there_already() {
            there_already(path)
        } else {
            CliError::generic(error.to_string())
        }
    })
}

/// What is to be done now.
fn next_steps(
    name: &str,
    answers: &Answers,
    path: &Path,
    passphrase_file: &Path,
    place: &Place,
) -> Vec<String> {
    let config = match &place.config {
        None => String::new(),
        Some(_) => format!(" --config {}", path.display()),
    };
    let mut lines = vec![String::new(), format!("Written: {}", path.display())];
    if answers.protection == Protection::Generated {
        lines.push(format!("Written: {}", passphrase_file.display()));
    }
    lines.push(String::new());
    lines.push("What to do next:".to_owned());
    lines.push(format!("  ironborg jobs check-config{config}"));
    lines.push(format!("  ironborg jobs run{config} {name}"));
    lines.push(format!("  ironborg jobs enable{config} {name}"));
    if answers.protection != Protection::None {
        lines.push(String::new());
        lines.push(
            "Without passphrase and key there is no way to the backups. Keep a copy of both in another place:".to_owned(),
        );
        if answers.protection == Protection::Generated {
            lines.push(format!("  {}", passphrase_file.display()));
        }
        lines.push(format!(
            "  ironborg key export --paper {}   (after the first run)",
            answers.repository
        ));
    }
    lines
}
