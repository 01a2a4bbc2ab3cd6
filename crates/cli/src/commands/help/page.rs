//! Pages of help: 80 columns wide, and as a rule no longer than a screen.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::examples::examples;
use crate::args::global;
use crate::program::Program;

/// Columns of a page.
const WIDTH: usize = 80;
/// Lines of a page that fits a screen.
pub(super) const SCREEN_LINES: usize = 40;
/// Descriptions begin in this column at most; a longer name gets a line of its own.
const DESCRIPTION_COLUMN_MAX: usize = 30;
/// Where the options of all commands are described.
pub(super) const OPTIONS_TOPIC: &str = "options";

/// Options that a page which shall fit a screen only names, those first that are needed most seldom.
const SELDOM: &[&str] = &[
    "no-cache-sync",
    "save-space",
    "stdin-group",
    "stdin-mode",
    "stdin-user",
    "exclude-dataless",
    "nobirthtime",
    "noctime",
    "paths-delimiter",
    "prefix",
    "keep-secondly",
    "keep-minutely",
    "keep-13weekly",
    "keep-3monthly",
    "older",
    "oldest",
    "newer",
    "newest",
    "keep-exclude-tags",
    "stdin-name",
    "noflags",
    "noacls",
    "noxattrs",
    "exclude-nodump",
    "atime",
    "files-cache",
    "files-changed",
    "volume-between-checkpoints",
    "checkpoint-interval",
    "chunker-params",
    "read-special",
    "numeric-ids",
    "paths-from-command",
    "paths-from-stdin",
    "consider-checkpoints",
    "sparse",
    "quick-stats",
    "max-duration",
    "timestamp",
    "comment",
    "exclude-if-present",
    "patterns-from",
    "content-from-command",
    "sort-by",
    "first",
    "force",
    "json",
    "last",
];

/// How much of a command's page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// What fits a screen: options that are seldom needed may only be named.
    Screen,
    /// Everything.
    Whole,
    /// Everything but the examples.
    Usage,
    /// The examples.
    Examples,
}

/// The page of a command, named by the commands above it and its own name.
pub(super) fn command(
    command: &Command,
    program: &Program,
    path: &[String],
    amount: Amount,
) -> String {
    let page = |named_only| render(command, program, path, amount, &SELDOM[..named_only]);
    let fits = |page: &String| page.lines().count() <= SCREEN_LINES;
    let mut pages = (0..=SELDOM.len()).map(page);
    match amount {
        Amount::Screen => pages.find(fits).unwrap_or_else(|| page(SELDOM.len())),
        _ => page(0),
    }
}

fn render(
    command: &Command,
    program: &Program,
    path: &[String],
    amount: Amount,
    seldom: &[&str],
) -> String {
    let mut out = String::new();
    if amount == Amount::Examples {
        push_examples(program, path, &mut out);
        return out;
    }
    push_wrapped(&about(command), 0, &mut out);
    out.push('\n');
    let mut usage = command.clone();
    usage.set_bin_name(program.called(path));
    push_wrapped(&usage.render_usage().to_string(), 8, &mut out);
    push_subcommands(command, &mut out);
    push_arguments(command, &mut out);
    push_options(command, program, path, seldom, &mut out);
    if amount != Amount::Usage && !command.has_subcommands() {
        out.push('\n');
        push_examples(program, path, &mut out);
    }
    let _ = writeln!(
        out,
        "\nOptions of all commands: {} help {OPTIONS_TOPIC}",
        program.full_name()
    );
    out
}

/// The page of the options every command has.
pub(super) fn common_options(description: &Command) -> String {
    let mut out = String::from("Options of all commands, before or after the command's name:\n\n");
    let args: Vec<&Arg> = description
        .get_arguments()
        .filter(|arg| shown(arg))
        .collect();
    push_entries(&args, &mut out);
    out
}

/// What a command does, in a line.
pub(super) fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn shown(arg: &Arg) -> bool {
    !arg.is_hide_set()
}

fn is_common(arg: &Arg) -> bool {
    arg.get_help_heading() == Some(global::HEADING)
}

fn push_subcommands(command: &Command, out: &mut String) {
    if !command.has_subcommands() {
        return;
    }
    out.push_str("\nCommands:\n");
    push_commands(command.get_subcommands(), out);
}

/// A line for each command.
pub(super) fn push_commands<'a>(commands: impl Iterator<Item = &'a Command>, out: &mut String) {
    let rows: Vec<(String, String)> = commands
        .map(|command| (format!("  {}", command.get_name()), about(command)))
        .collect();
    push_rows(&rows, out);
}

fn push_arguments(command: &Command, out: &mut String) {
    let args: Vec<&Arg> = command.get_positionals().filter(|arg| shown(arg)).collect();
    if !args.is_empty() {
        out.push_str("\nArguments:\n");
        push_entries(&args, out);
    }
}

fn push_options(
    command: &Command,
    program: &Program,
    path: &[String],
    seldom: &[&str],
    out: &mut String,
) {
    let options = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() && shown(arg) && !is_common(arg));
    let (rest, main): (Vec<&Arg>, Vec<&Arg>) =
        options.partition(|arg| arg.get_long().is_some_and(|long| seldom.contains(&long)));
    // Where space is short headings are left out.
    let heading_of = |arg: &Arg| {
        let heading = arg.get_help_heading().filter(|_| rest.is_empty());
        heading.unwrap_or("Options").to_owned()
    };
    let mut headings: Vec<String> = main.iter().map(|arg| heading_of(arg)).collect();
    let mut seen = Vec::new();
    headings.retain(|heading| {
        let first = !seen.contains(heading);
        seen.push(heading.clone());
        first
    });
    for heading in headings {
        let args: Vec<&Arg> = main
            .iter()
            .filter(|arg| heading_of(arg) == heading)
            .copied()
            .collect();
        let _ = writeln!(out, "\n{heading}:");
        push_entries(&args, out);
    }
    if !rest.is_empty() {
        let names: Vec<String> = rest.iter().filter_map(|arg| name(arg)).collect();
        let text = format!(
            "More options ({} help {}): {}",
            program.full_name(),
            path.join(" "),
            names.join(", ")
        );
        out.push('\n');
        push_wrapped(&text, 2, out);
    }
}

fn name(arg: &Arg) -> Option<String> {
    let long = arg.get_long().map(|long| format!("--{long}"));
    long.or_else(|| arg.get_short().map(|short| format!("-{short}")))
}

/// Names and values of an argument, as they are typed.
fn label(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    let values = values.join(" ");
    if arg.is_positional() {
        let many = if matches!(arg.get_action(), ArgAction::Append) {
            "..."
        } else {
            ""
        };
        return format!("  {values}{many}");
    }
    let mut out = String::from("  ");
    match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => {
            let _ = write!(out, "-{short}, --{long}");
        }
        (Some(short), None) => {
            let _ = write!(out, "-{short}");
        }
        (None, long) => {
            let _ = write!(out, "    --{}", long.unwrap_or_default());
        }
    }
    if arg.get_action().takes_values() {
        let _ = write!(out, " {values}");
    }
    out
}

fn push_entries(args: &[&Arg], out: &mut String) {
    let rows: Vec<(String, String)> = args
        .iter()
        .map(|arg| (label(arg), description(arg)))
        .collect();
    push_rows(&rows, out);
}

/// What an argument is for, with its default.
pub(super) fn description(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() {
        let defaults: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|value| value.display().to_string())
            .filter(|value| !value.is_empty())
            .collect();
        if !defaults.is_empty() {
            let _ = write!(text, " [default: {}]", defaults.join(" "));
        }
    }
    text
}

/// Names on the left, what they mean on the right.
fn push_rows(rows: &[(String, String)], out: &mut String) {
    let fitting = rows.iter().map(|(label, _)| label.len() + 2);
    let column = fitting
        .filter(|&column| column <= DESCRIPTION_COLUMN_MAX)
        .max()
        .unwrap_or(DESCRIPTION_COLUMN_MAX);
    for (label, text) in rows {
        let fits = label.len() + 2 <= column;
        let mut lines = wrapped(text, WIDTH - column).into_iter();
        if fits {
            let first = lines.next().unwrap_or_default();
            let line = format!("{label:column$}{first}");
            out.push_str(line.trim_end());
        } else {
            out.push_str(label);
        }
        out.push('\n');
        for line in lines {
            let _ = writeln!(out, "{:column$}{line}", "");
        }
    }
}

fn push_examples(program: &Program, path: &[String], out: &mut String) {
    let examples = examples(path);
    if examples.is_empty() {
        return;
    }
    out.push_str("Examples:\n");
    let skipped = program.single_command().unwrap_or_default();
    for example in examples {
        let words = example.arguments;
        let words = words.strip_prefix(skipped).unwrap_or(words).trim_start();
        let _ = writeln!(out, "  # {}", example.purpose);
        let _ = writeln!(out, "  {} {words}", program.name);
    }
}

/// Appends a paragraph; all lines but the first are indented.
pub(super) fn push_wrapped(text: &str, indent: usize, out: &mut String) {
    for (index, line) in wrapped(text, WIDTH - indent).into_iter().enumerate() {
        let indent = if index == 0 { 0 } else { indent };
        let _ = writeln!(out, "{:indent$}{line}", "");
    }
}

/// Breaks a text between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let len = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && len > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
        assert!(wrapped(" ", 3).is_empty());
    }

    #[test]
    fn long_names_have_a_line_of_their_own() {
        let long = format!("  --{}", "x".repeat(30));
        let rows = [
            ("  -a".to_owned(), "what a does".to_owned()),
            (long.clone(), "more".to_owned()),
        ];
        let mut out = String::new();
        push_rows(&rows, &mut out);
        assert_eq!(out, format!("  -a  what a does\n{long}\n      more\n"));
    }
}
