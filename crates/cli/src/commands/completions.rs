//! `completions`: writes a script that completes command lines in a shell.
//!
//! One script completes both names of the program. It is generated from the description of the command line, so
//! nothing has to be kept in step.

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, Command};
use clap_complete::Shell;

use super::{Run, Traits};
use crate::args::{ParseError, values};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;

/// The shells there are scripts for.
const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// Values offered for some options, by name in the source.
const VALUES: &[(&str, &[&str])] = &[
    (
        "compression",
        &[
            "none",
            "lz4",
            "zstd",
            "zlib",
            "lzma",
            "auto,zstd",
            "auto,lzma",
            "obfuscate,110,zstd",
        ],
    ),
    (
        "encryption",
        &[
            "repokey",
            "repokey-blake2",
            "keyfile",
            "keyfile-blake2",
            "authenticated",
            "authenticated-blake2",
            "none",
        ],
    ),
    (
        "files_cache",
        &[
            "ctime,size,inode",
            "mtime,size,inode",
            "ctime,size",
            "mtime,size",
            "disabled",
        ],
    ),
    ("files_changed", &["ctime", "mtime", "disabled"]),
    ("sort_by", &["timestamp", "name", "id"]),
    ("shell", SHELLS),
];

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL", required = true,
        value_parser = OsStringValueParser::new().try_map(|v| values::choice(&v, SHELLS)))]
    shell: String,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CompletionsOptions {
    shell: String,
}

impl CompletionsArgs {
    /// Takes the word as it is.
    #[allow(clippy::unnecessary_wraps)] // As the other commands have it.
    pub(crate) fn resolve(
        self,
        _parse: &ParseContext<'_>,
    ) -> Result<CompletionsOptions, ParseError> {
        Ok(CompletionsOptions { shell: self.shell })
    }
}

impl Run for CompletionsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, _context: &Context) -> Result<(), CliError> {
        let mut stdout = Stdout::new();
        stdout.text(&script(&self.shell))?;
        stdout.finish()
    }
}

fn script(shell: &str) -> String {
    let shell: Shell = shell.parse().expect("checked when it was parsed");
    let mut command = offered(&crate::args::description(), shell);
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command, "ironborg", &mut out);
    let script = String::from_utf8(out).expect("names and descriptions are text");
    match shell {
        Shell::Zsh => script
            .replacen("#compdef ironborg", "#compdef ironborg borg", 1)
            .replacen(
                "compdef _ironborg ironborg",
                "compdef _ironborg ironborg borg",
                1,
            ),
        Shell::Fish => script + "complete -c borg -w ironborg\n",
        _ => script + "complete -F _ironborg -o bashdefault -o default borg\n",
    }
}

/// A command as it is completed: without what is hidden.
fn offered(command: &Command, shell: Shell) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let args = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        // Bash would offer the names of places as if they were words; without them it offers files.
        .filter(|arg| shell != Shell::Bash || !arg.is_positional())
        .map(with_values);
    Command::new(command.get_name().to_owned())
        .about(about)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args(args)
        .subcommands(command.get_subcommands().map(|below| offered(below, shell)))
}

fn with_values(arg: &Arg) -> Arg {
    match VALUES.iter().find(|(id, _)| arg.get_id() == id) {
        Some((_, values)) if arg.get_action().takes_values() => {
            arg.clone().value_parser(values.to_vec())
        }
        _ => arg.clone(),
    }
}
