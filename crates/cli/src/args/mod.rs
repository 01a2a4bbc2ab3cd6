//! The command line: what may be typed, and what was.
//!
//! Clap describes the commands and their options (and renders help); `argparse` reads the words, so that
//! abbreviations, repetitions and errors come out as stock Borg's. Nothing here reads disk, clock or
//! environment.

pub(crate) mod argparse;
pub(crate) mod check;
pub(crate) mod deprecated;
pub(crate) mod escapes;
pub(crate) mod filters;
pub(crate) mod global;
pub(crate) mod patterns;
pub(crate) mod suggest;
pub(crate) mod values;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind as ClapErrorKind};
use clap::{ArgMatches, Command, CommandFactory};
use ironborg_types::text;
use std::os::unix::ffi::OsStrExt;

use crate::commands::Program;
use crate::error::CliError;
use crate::program as called;

/// A command line that cannot be understood: printed as plain text with the usage, exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageError {
    /// Program and command names.
    pub(crate) prog: String,
    /// The usage of that command.
    pub(crate) usage: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What was probably meant, as a sentence.
    pub(crate) hint: Option<String>,
}

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.usage.trim_end())?;
        write!(f, "{}: error: {}", self.prog, self.message)
    }
}

/// Why the words of a command line could not be turned into options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// Reported by the parser of the command, with its usage.
    Usage(String),
    /// Reported by the program itself although its command was understood.
    ProgramUsage(String),
    /// `help` was asked for something there is no help on.
    UnknownTopic(String),
    /// One of Borg's errors, met while the command line is read: printed as plain text.
    Early(CliError),
}

impl ParseError {
    /// Both kinds of statistics were asked for.
    pub(crate) fn stats_twice() -> Self {
        Self::ProgramUsage("--stats and --quick-stats are mutually exclusive.".to_owned())
    }

    /// The same where a command is running already.
    pub(crate) fn into_error(self) -> CliError {
        match self {
            Self::Usage(message) | Self::ProgramUsage(message) | Self::UnknownTopic(message) => {
                CliError::command(message)
            }
            Self::Early(error) => error,
        }
    }

    /// A bad value of an argument.
    pub(crate) fn argument(name: &str, message: impl std::fmt::Display) -> Self {
        Self::Usage(format!("argument {name}: {message}"))
    }
}

/// The description of the whole command line.
pub(crate) fn description() -> Command {
    // Every command has a help switch of its own among the common options.
    Program::command().mut_subcommands(without_help_flag)
}

fn without_help_flag(command: Command) -> Command {
    command
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .mut_subcommands(without_help_flag)
}

/// Parses what [`argparse::read`] has put in order.
pub(crate) fn parse(root: &Command, words: &[OsString]) -> Result<ArgMatches, UsageError> {
    root.clone()
        .try_get_matches_from(words)
        .map_err(|error| translate(root, words, &error))
}

/// The command a command line names, and its full name.
fn named<'a>(root: &'a Command, words: &[OsString]) -> (&'a Command, String) {
    let mut words = words.iter().map(|word| text::display(word.as_bytes()));
    let program = called::Program::named(&words.next().unwrap_or_default());
    let mut path = Vec::new();
    let mut command = root;
    for word in words {
        let Some(found) = command.find_subcommand(word.as_ref()) else {
            break;
        };
        command = found;
        path.push(word);
    }
    (command, program.called(&path))
}

/// A usage error of the command the words name.
pub(crate) fn usage_error(root: &Command, words: &[OsString], message: String) -> UsageError {
    let (command, full) = named(root, words);
    let mut command = command.clone();
    command.set_bin_name(&full);
    let usage = command
        .render_usage()
        .to_string()
        .replacen("Usage:", "usage:", 1);
    UsageError {
        prog: full,
        usage,
        message,
        hint: None,
    }
}

/// Rewords clap's complaint about a value the way argparse puts it.
fn translate(root: &Command, words: &[OsString], error: &clap::Error) -> UsageError {
    let text_of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let shown = text_of(ContextKind::InvalidArg);
    let key = shown.split([' ', '=']).next().unwrap_or_default();
    let (command, _) = named(root, words);
    let arg = command.get_arguments().find(|arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        let positional = argparse::argument_name(arg);
        long.as_deref() == Some(key)
            || short.as_deref() == Some(key)
            || (arg.is_positional() && shown.contains(&positional))
    });
    let name = arg.map_or(shown.clone(), argparse::argument_name);
    let message = match error.kind() {
        ClapErrorKind::ValueValidation => {
            let source = std::error::Error::source(error).map(ToString::to_string);
            format!("argument {name}: {}", source.unwrap_or_default())
        }
        ClapErrorKind::InvalidUtf8 => {
            let line: Vec<_> = words
                .iter()
                .map(|word| text::display(word.as_bytes()))
                .collect();
            format!("not a valid text: {}", line.join(" "))
        }
        _ => error
            .to_string()
            .trim_start_matches("error: ")
            .trim()
            .to_owned(),
    };
    usage_error(root, words, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;
    use serde_json::Value;

    /// All leaves of the captured parser tree.
    fn leaves(node: &Value, found: &mut Vec<Value>) {
        match node["subcommands"].as_array() {
            Some(children) => children.iter().for_each(|child| leaves(child, found)),
            None => found.push(node.clone()),
        }
    }

    fn check_option(command: &Command, option: &Value) {
        let names = option["options"].as_array().unwrap();
        let takes_value = ![
            "store_true",
            "store_false",
            "store_const",
            "count",
            "help",
            "version",
        ]
        .contains(&option["action"].as_str().unwrap());
        for name in names {
            let name = name.as_str().unwrap();
            let arg = command.get_arguments().find(|arg| {
                let short = arg.get_short().map(|short| format!("-{short}"));
                let long = arg.get_long().map(|long| format!("--{long}"));
                let aliases = arg.get_all_aliases().unwrap_or_default();
                short.as_deref() == Some(name)
                    || long.as_deref() == Some(name)
                    || aliases
                        .iter()
                        .any(|alias| name[2..] == **alias && name.starts_with("--"))
            });
            let arg = arg.unwrap_or_else(|| panic!("{} lacks {name}", command.get_name()));
            let takes = arg.get_action().takes_values();
            assert_eq!(takes, takes_value, "{} {name}", command.get_name());
            let repeats = option["action"] == "append" || option["nargs"] == 1;
            let keeps_all = matches!(arg.get_action(), clap::ArgAction::Append);
            assert!(
                !takes || repeats == keeps_all,
                "{} {name}",
                command.get_name()
            );
        }
    }

    #[test]
    fn every_command_has_stock_borgs_options() {
        let captured = crate::test_vectors::load("cli.json");
        let description = description();
        let mut found = Vec::new();
        leaves(&captured["tree"], &mut found);
        let mut compared = 0;
        for leaf in found {
            let name = leaf["command"].as_str().unwrap();
            let words: Vec<OsString> = name.split(' ').map(OsString::from).collect();
            let (command, full) = named(&description, &words);
            assert_eq!(full, name, "there is no such command");
            compared += 1;
            let groups = leaf["groups"].as_array().into_iter().flatten();
            let own = groups.flat_map(|group| group["options"].as_array().unwrap().clone());
            let common = captured["common_options"].as_array().unwrap().clone();
            for option in own.chain(common) {
                check_option(command, &option);
            }
            let positionals: Vec<String> = command
                .get_positionals()
                .map(argparse::argument_name)
                .collect();
            let expected: Vec<&str> = leaf["positionals"]
                .as_array()
                .unwrap()
                .iter()
                .map(|positional| positional["positional"].as_str().unwrap())
                .collect();
            if name != "borg help" {
                assert_eq!(positionals, expected, "{name}");
            }
        }
        assert_eq!(compared, 42);
    }

    /// Takes every value for what it should be.
    struct Trusting;

    impl argparse::Check for Trusting {
        fn check(&mut self, _: &Arg, _: &str, _: &[OsString]) -> Result<(), ParseError> {
            Ok(())
        }
    }

    /// The names of options that begin with two dashes.
    fn long_names<'a>(options: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
        let names = options
            .into_iter()
            .flat_map(|option| option["options"].as_array().unwrap());
        let names = names.map(|name| name.as_str().unwrap().to_owned());
        names.filter(|name| name.starts_with("--")).collect()
    }

    #[test]
    fn every_abbreviation_is_what_it_is_to_stock_borg() {
        let captured = crate::test_vectors::load("cli.json");
        let description = description();
        let mut found = Vec::new();
        leaves(&captured["tree"], &mut found);
        let common = captured["common_options"].as_array().unwrap();
        let mut program = long_names(common);
        program.push("--version".to_owned());
        let (mut taken, mut refused) = (0, 0);
        for leaf in found {
            let groups = leaf["groups"].as_array().into_iter().flatten();
            let own: Vec<Value> = groups
                .flat_map(|group| group["options"].as_array().unwrap().clone())
                .collect();
            let known = long_names(common.iter().chain(&own));
            let command = leaf["command"].as_str().unwrap().split(' ').skip(1);
            let command: Vec<OsString> = command.map(OsString::from).collect();
            for (name, len) in known
                .iter()
                .flat_map(|name| (3..=name.len()).map(move |len| (name, len)))
            {
                let short = &name[..len];
                let count = |names: &[String]| {
                    let exact = names.iter().any(|name| name == short);
                    let matches = names.iter().filter(|name| name.starts_with(short));
                    if exact { 1 } else { matches.count() }
                };
                let words = [command.as_slice(), &[short.into()]].concat();
                let read = argparse::read(&description, "borg", &words, &mut Trusting);
                let ambiguous = match &read {
                    Err(argparse::Refusal::Usage(error)) => {
                        assert!(!error.message.starts_with("unrecognized"), "{words:?}");
                        error.message.starts_with("ambiguous option")
                    }
                    _ => false,
                };
                let expected = count(&known) > 1 || count(&program) > 1;
                assert_eq!(ambiguous, expected, "{words:?} {read:?}");
                *(if ambiguous { &mut refused } else { &mut taken }) += 1;
            }
        }
        assert!(
            taken > 5000 && refused > 1000,
            "{taken} taken, {refused} refused"
        );
    }

    #[test]
    fn every_choice_and_default_is_stock_borgs() {
        let captured = crate::test_vectors::load("cli.json");
        let description = description();
        let mut found = Vec::new();
        leaves(&captured["tree"], &mut found);
        let (mut choices, mut defaults) = (0, 0);
        for leaf in found {
            let words: Vec<OsString> = leaf["command"]
                .as_str()
                .unwrap()
                .split(' ')
                .map(OsString::from)
                .collect();
            let (command, full) = named(&description, &words);
            let groups = leaf["groups"].as_array().into_iter().flatten();
            for option in groups.flat_map(|group| group["options"].as_array().unwrap()) {
                let name = option["options"]
                    .as_array()
                    .unwrap()
                    .last()
                    .unwrap()
                    .as_str()
                    .unwrap();
                let arg = command.get_arguments().find(|arg| {
                    let aliases = arg.get_all_aliases().unwrap_or_default();
                    let long = name.trim_start_matches('-');
                    arg.get_long() == Some(long) || aliases.contains(&long)
                });
                let Some(arg) = arg else { continue };
                let alone = Command::new("x")
                    .no_binary_name(true)
                    .arg(Arg::new("v").value_parser(arg.get_value_parser().clone()));
                for choice in option["choices"].as_array().into_iter().flatten() {
                    let taken = alone
                        .clone()
                        .try_get_matches_from([choice.as_str().unwrap()]);
                    assert!(taken.is_ok(), "{full} {name} {choice}");
                    choices += 1;
                }
                if (full.as_str(), name) == ("borg compact", "--threshold") {
                    continue; // There are two: commands/compact.rs.
                }
                let ours = arg
                    .get_default_values()
                    .first()
                    .map(|value| value.to_string_lossy().into_owned());
                match &option["default"] {
                    Value::String(stock) if option["action"] != "store_const" => {
                        let stock = stock.split(' ').next().unwrap();
                        if ours.is_some() || !stock.is_empty() {
                            assert_eq!(ours.as_deref(), Some(stock), "{full} {name}");
                        }
                        defaults += 1;
                    }
                    Value::Number(stock)
                        if option["action"] == "store" && stock.as_i64() != Some(0) =>
                    {
                        assert_eq!(ours, Some(stock.to_string()), "{full} {name}");
                        defaults += 1;
                    }
                    _ => {}
                }
            }
        }
        assert!(
            choices >= 13 && defaults >= 20,
            "{choices} choices, {defaults} defaults"
        );
    }

    #[test]
    fn clap_finds_nothing_wrong_with_the_description() {
        description().debug_assert();
    }
}
