//! `help`, and the texts of `--help`.

use std::fmt::Write as _;

use super::{Run, Traits};
use crate::args::common;
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
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
    let Some(name) = path.first() else {
        return program_help(description, program);
    };
    let Some(command) = description.find_subcommand(name) else {
        return program_help(description, program);
    };
    let is_common = |arg: &clap::Arg| arg.get_help_heading() == Some(common::HEADING);
    let mut command = command
        .clone()
        .mut_args(|arg| if is_common(&arg) { arg.hide(true) } else { arg })
        .bin_name(format!("{} {name}", program.name));
    let mut out = command.render_help().to_string();
    let _ = writeln!(out, "\n\nOptions of all commands: {} --help", program.name);
    out
}

fn program_help(description: &clap::Command, program: &Program) -> String {
    let mut command = description.clone().bin_name(program.name.clone());
    command.render_help().to_string()
}

impl Run for HelpArgs {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let description = crate::args::description();
        let mut stdout = Stdout::new();
        let Some(topic) = &self.topic else {
            stdout.text(&text(&description, &context.program, &[]))?;
            return stdout.finish();
        };
        if let Some((_, body)) = TOPICS.iter().find(|(name, _)| name == topic) {
            stdout.text(body)?;
        } else if description.find_subcommand(topic).is_some() {
            stdout.text(&text(
                &description,
                &context.program,
                std::slice::from_ref(topic),
            ))?;
        } else {
            let mut commands: Vec<&str> = description
                .get_subcommands()
                .map(clap::Command::get_name)
                .collect();
            commands.sort_unstable();
            let topics: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
            return Err(CliError::command(format!(
                "No help available on {topic}.\nTry one of the following:\n    Commands: {}\n    Topics: {}",
                commands.join(", "),
                topics.join(", ")
            )));
        }
        stdout.finish()
    }
}
