//! `help`, and the texts of `--help`.

use std::fmt::Write as _;

use super::{Run, Traits};
use crate::args::{ParseError, global};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::program::Program;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct HelpArgs {
    /// A command, or one of patterns, placeholders, compression
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    epilog_only: bool,
    /// Accepted for compatibility
    #[arg(long, hide = true)]
    usage_only: bool,
}

const TOPICS: [(&str, &str); 3] = [
    ("compression", include_str!("help/compression.txt")),
    ("patterns", include_str!("help/patterns.txt")),
    ("placeholders", include_str!("help/placeholders.txt")),
];

/// The help of a command, or of the program for an empty path.
pub(crate) fn text(description: &clap::Command, program: &Program, path: &[String]) -> String {
    let mut command = description;
    for name in path {
        let Some(found) = command.find_subcommand(name) else {
            return program_help(description, program);
        };
        command = found;
    }
    if path.is_empty() {
        return program_help(description, program);
    }
    let is_common = |arg: &clap::Arg| arg.get_help_heading() == Some(global::HEADING);
    let mut command = command
        .clone()
        .mut_args(|arg| if is_common(&arg) { arg.hide(true) } else { arg })
        .bin_name(format!("{} {}", program.name, path.join(" ")));
    let mut out = command.render_help().to_string();
    let _ = writeln!(out, "\n\nOptions of all commands: {} --help", program.name);
    out
}

fn program_help(description: &clap::Command, program: &Program) -> String {
    let mut command = description.clone().bin_name(program.name.clone());
    command.render_help().to_string()
}

impl HelpArgs {
    /// Checks that there is such a topic.
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<Self, ParseError> {
        let description = crate::args::description();
        let Some(topic) = &self.topic else {
            return Ok(self);
        };
        if TOPICS.iter().any(|(name, _)| name == topic)
            || description.find_subcommand(topic).is_some()
        {
            return Ok(self);
        }
        let mut commands: Vec<&str> = description
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        commands.sort_unstable();
        let topics: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
        Err(ParseError::ProgramUsage(format!(
            "No help available on {topic}.\nTry one of the following:\n    Commands: {}\n    Topics: {}",
            commands.join(", "),
            topics.join(", ")
        )))
    }
}

impl Run for HelpArgs {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let description = crate::args::description();
        let mut stdout = Stdout::new();
        let path: Vec<String> = self.topic.into_iter().collect();
        match TOPICS
            .iter()
            .find(|(name, _)| path.first().is_some_and(|topic| name == topic))
        {
            Some((_, body)) => stdout.text(body)?,
            None => stdout.text(&text(&description, &context.program, &path))?,
        }
        stdout.finish()
    }
}
