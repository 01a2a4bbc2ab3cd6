//! `help`, and the texts of `--help`.

pub(crate) mod examples;
mod page;

pub(crate) use page::Amount;

use std::fmt::Write as _;

use clap::Command;

use super::{Run, Traits};
use crate::args::{ParseError, suggest};
use crate::console::Stdout;
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::program::Program;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct HelpArgs {
    /// A command, or one of compression, options, patterns, placeholders
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// Only the examples
    #[arg(long)]
    epilog_only: bool,
    /// All but the examples
    #[arg(long)]
    usage_only: bool,
}

/// The texts on what is no command.
pub(crate) const TOPICS: [(&str, &str); 3] = [
    ("compression", include_str!("help/compression.txt")),
    ("patterns", include_str!("help/patterns.txt")),
    ("placeholders", include_str!("help/placeholders.txt")),
];

/// The commands, by what they are for.
pub(crate) const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Backing up without thinking about it",
        &["backup", "restore", "jobs"],
    ),
    (
        "Archives",
        &[
            "create",
            "extract",
            "list",
            "info",
            "diff",
            "mount",
            "umount",
            "automount",
            "rename",
            "delete",
            "prune",
            "recreate",
            "export-tar",
            "import-tar",
        ],
    ),
    (
        "Repositories",
        &[
            "init",
            "compact",
            "check",
            "mirror",
            "config",
            "key",
            "with-lock",
            "break-lock",
            "upgrade",
            "serve",
            "repos",
        ],
    ),
    (
        "Help, and looking inside",
        &[
            "help",
            "completions",
            "man",
            "version",
            "benchmark",
            "debug",
        ],
    ),
];

/// The help of a command, or of the program for an empty path.
pub(crate) fn text(
    description: &Command,
    program: &Program,
    path: &[String],
    amount: Amount,
) -> String {
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
    page::command(command, program, path, amount)
}

fn program_help(description: &Command, program: &Program) -> String {
    let name = &program.name;
    let about = page::about(description);
    let mut out = format!("{about}\n\nUsage: {name} [OPTIONS] COMMAND ...\n");
    for (heading, names) in GROUPS {
        let known = names.iter().filter(|name| program.mentions(name));
        let commands: Vec<&Command> = known
            .filter_map(|name| description.find_subcommand(name))
            .collect();
        if !commands.is_empty() {
            let _ = writeln!(out, "\n{heading}:");
            page::push_commands(commands.into_iter(), &mut out);
        }
    }
    let _ = writeln!(
        out,
        "\n{name} COMMAND --help         how to use a command, with examples\n\
         {name} help TOPIC             compression, options, patterns, placeholders\n\
         {name} --version"
    );
    out
}

/// What is said about a topic there is no help on.
pub(crate) fn no_help(description: &Command, program: &Program, topic: &str) -> String {
    let mut commands: Vec<&str> = description
        .get_subcommands()
        .map(Command::get_name)
        .filter(|name| program.mentions(name))
        .collect();
    commands.sort_unstable();
    let topics: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
    format!(
        "No help available on {topic}.\nTry one of the following:\n    Commands: {}\n    Topics: {}",
        commands.join(", "),
        topics.join(", ")
    )
}

/// The topic that was probably meant.
pub(crate) fn similar_topic(
    description: &Command,
    program: &Program,
    topic: &str,
) -> Option<String> {
    let commands = description.get_subcommands().map(Command::get_name);
    let commands = commands.filter(|name| program.mentions(name));
    let topics = TOPICS.iter().map(|(name, _)| *name);
    let topics = topics.chain([page::OPTIONS_TOPIC]);
    let meant = suggest::nearest(topic, commands.chain(topics))?;
    Some(format!("Did you mean \"{} help {meant}\"?", program.name))
}

impl HelpArgs {
    /// Checks that there is such a topic.
    pub(crate) fn resolve(self, _parse: &ParseContext<'_>) -> Result<Self, ParseError> {
        let Some(topic) = &self.topic else {
            return Ok(self);
        };
        let is_known = topic == page::OPTIONS_TOPIC
            || TOPICS.iter().any(|(name, _)| name == topic)
            || crate::args::description().find_subcommand(topic).is_some();
        if is_known {
            return Ok(self);
        }
        Err(ParseError::UnknownTopic(topic.clone()))
    }
}

impl Run for HelpArgs {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let description = crate::args::description();
        let topic = self.topic.as_deref();
        let amount = match (self.epilog_only, self.usage_only) {
            (true, _) => Amount::Examples,
            (false, true) => Amount::Usage,
            (false, false) => Amount::Whole,
        };
        let mut stdout = Stdout::new();
        match TOPICS.iter().find(|(name, _)| Some(*name) == topic) {
            Some((_, body)) => stdout.text(body)?,
            None if topic == Some(page::OPTIONS_TOPIC) => {
                stdout.text(&page::common_options(&description))?;
            }
            None => {
                let path: Vec<String> = topic.map(ToOwned::to_owned).into_iter().collect();
                stdout.text(&text(&description, &context.program, &path, amount))?;
            }
        }
        stdout.finish()
    }
}

#[cfg(test)]
mod tests;
