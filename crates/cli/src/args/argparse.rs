//! Reads a command line by the rules of Python's argparse, guided by clap's description of the commands.
//!
//! The result is a command line clap cannot misunderstand: whole option names, `--name=value`, options
//! first, `--`, positionals. Abbreviations, repetitions, options before and after the command and
//! the wording of errors are settled here, because scripts written for stock Borg depend on them. So is their
//! order: words are taken one after the other, each value is checked when it is taken, and the first complaint ends
//! it.
//!
//! Source: Python 3.11, `argparse.ArgumentParser.parse_known_args`; Borg 1.4, `CommonOptions`.

mod places;
mod reading;
mod settle;
mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{Arg, ArgAction, Command};
use ironborg_types::text;

use self::reading::Reading;
use super::global::HEADING;
use super::{ParseError, UsageError, suggest};
use crate::error::CliError;
use crate::output::pyformat::repr;
use crate::program::Program;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// A command, as a command line for clap (program name and command names first).
    Run(Vec<OsString>),
    /// The help of a command; the empty path is the program's.
    Help(Vec<String>),
    /// No command was named, only what it would belong to.
    Nothing {
        /// The names that were.
        path: Vec<String>,
        /// Whether `--bypass-lock` was given, which is refused like for a command that has no use for it.
        bypass_lock: bool,
    },
    /// The version.
    Version,
}

/// Why a command line is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Shown with the usage of a command.
    Usage(UsageError),
    /// One of Borg's errors, met while a value was looked at.
    Early(CliError),
}

impl Refusal {
    /// With what was probably meant.
    fn with_hint(self, hint: Option<String>) -> Self {
        match self {
            Self::Usage(error) => Self::Usage(UsageError { hint, ..error }),
            Self::Early(error) => Self::Early(error),
        }
    }
}

/// Looks at values when their option or place is known.
pub(crate) trait Check {
    /// Refuses values that are none for `arg`, which errors call `name`.
    fn check(&mut self, arg: &Arg, name: &str, values: &[OsString]) -> Result<(), ParseError>;
}

/// An option given on the command line.
#[derive(Debug, Clone)]
struct Given {
    id: String,
    name: String,
    value: Option<OsString>,
}

/// One parser of the tree.
struct Parser<'a> {
    command: &'a Command,
    /// Whose options are known here: a command that only has commands below it takes the program's.
    options: &'a Command,
    /// Names of the commands above it, and its own.
    path: Vec<String>,
    /// The program's name and those.
    prog: String,
}

/// Reads the command line; `args` is without the program's name.
pub(crate) fn read(
    root: &Command,
    prog: &str,
    args: &[OsString],
    check: &mut dyn Check,
) -> Result<Request, Refusal> {
    if let Some(name) = Program::named(prog).single_command() {
        return read_single(root, name, prog, args, check);
    }
    let parser = Parser {
        command: root,
        options: root,
        path: Vec::new(),
        prog: prog.to_owned(),
    };
    parser.read(root, args, check)
}

/// Reads the command line of a program that is one command.
fn read_single(
    root: &Command,
    name: &str,
    prog: &str,
    args: &[OsString],
    check: &mut dyn Check,
) -> Result<Request, Refusal> {
    let path = vec![name.to_owned()];
    if args.is_empty() {
        return Ok(Request::Help(path));
    }
    let command = root.find_subcommand(name).expect("it is one of ours");
    let version = root.get_arguments().find(|arg| arg.get_id() == "version");
    let command = command.clone().args(version.cloned());
    let parser = Parser {
        command: &command,
        options: &command,
        path,
        prog: prog.to_owned(),
    };
    parser.read(root, args, check)
}

impl Parser<'_> {
    fn read(
        &self,
        root: &Command,
        args: &[OsString],
        check: &mut dyn Check,
    ) -> Result<Request, Refusal> {
        let (request, unknown) = Reading::new(self, args, Vec::new(), check)?.finish()?;
        if unknown.is_empty() {
            return Ok(request);
        }
        let hint = match &request {
            Request::Run(canonical) => suggest::instead_of(root, canonical, &unknown),
            _ => suggest::option(root, &unknown),
        };
        let message = format!("unrecognized arguments: {}", unknown.join(" "));
        Err(self.refuse(message).with_hint(hint))
    }
}

fn shown(word: &OsStr) -> String {
    text::display(word.as_bytes()).into_owned()
}

/// The strings an option goes by, in the order stock Borg's messages show them.
fn option_strings(arg: &Arg) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(short) = arg.get_short() {
        names.push(format!("-{short}"));
    }
    // An alias is the older name of the two.
    let aliases = arg.get_all_aliases().unwrap_or_default();
    names.extend(aliases.iter().map(|alias| format!("--{alias}")));
    if let Some(long) = arg.get_long() {
        names.push(format!("--{long}"));
    }
    names
}

/// Names that are options of their own to stock Borg; a visible alias is a second name.
fn other_names(arg: &Arg) -> Vec<String> {
    let second_names = arg.get_visible_aliases().unwrap_or_default();
    let mut others = arg.get_all_aliases().unwrap_or_default();
    others.retain(|alias| !second_names.contains(alias));
    others.iter().map(|alias| format!("--{alias}")).collect()
}

/// The name of an argument in errors: `-e/--exclude`, or what stands for a positional.
pub(crate) fn argument_name(arg: &Arg) -> String {
    if arg.is_positional() {
        return positional_name(arg);
    }
    if arg.get_id() == "info" {
        return "--info/-v/--verbose".to_owned();
    }
    let others = other_names(arg);
    let mut names = option_strings(arg);
    names.retain(|name| !others.contains(name));
    names.join("/")
}

/// The same when it was given as `known`.
fn given_name(arg: &Arg, known: &str) -> String {
    if arg.get_id() != "info" && other_names(arg).iter().any(|other| other == known) {
        return known.to_owned();
    }
    argument_name(arg)
}

fn positional_name(arg: &Arg) -> String {
    arg.get_value_names()
        .and_then(<[_]>::first)
        .map_or_else(|| arg.get_id().to_string(), ToString::to_string)
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

impl<'a> Parser<'a> {
    fn refuse(&self, message: String) -> Refusal {
        Refusal::Usage(UsageError {
            prog: self.prog.clone(),
            usage: self.usage(),
            message,
            hint: None,
        })
    }

    fn usage(&self) -> String {
        let mut command = self.command.clone();
        command.set_bin_name(&self.prog);
        let usage = command.render_usage().to_string();
        usage.replacen("Usage:", "usage:", 1)
    }

    /// Its options in the order of messages: the version, those of all commands, its own.
    fn options(&self) -> impl Iterator<Item = &'a Arg> {
        let options = self.options;
        let rank = |arg: &Arg| match arg.get_help_heading() {
            _ if arg.get_id() == "version" => 0,
            Some(HEADING) => 1,
            _ => 2,
        };
        (0..=2).flat_map(move |wanted| {
            let known = options.get_arguments();
            known.filter(move |arg| !arg.is_positional() && rank(arg) == wanted)
        })
    }

    /// The parser of the command named `word` below this one.
    fn below(&self, word: &OsStr) -> Result<Parser<'a>, Refusal> {
        let name = shown(word);
        let command = self.command.find_subcommand(&name);
        let Some(command) = command.filter(|_| self.program().has(&name)) else {
            return Err(self.unknown_command(&name));
        };
        let is_group = command.has_subcommands();
        Ok(Parser {
            command,
            options: if is_group { self.options } else { command },
            prog: format!("{} {name}", self.prog),
            path: [self.path.as_slice(), &[name]].concat(),
        })
    }

    fn program(&self) -> Program {
        Program::named(self.prog.split(' ').next().unwrap_or_default())
    }

    fn unknown_command(&self, name: &str) -> Refusal {
        let program = self.program();
        let commands = self.command.get_subcommands().map(Command::get_name);
        let known: Vec<String> = program.listed(commands).into_iter().map(repr).collect();
        let message = format!(
            "argument <command>: invalid choice: {} (choose from {})",
            repr(name),
            known.join(", ")
        );
        // What has commands below it takes the program's options.
        let hint = suggest::command(&program, self.options, self.command, &self.prog, name);
        self.refuse(message).with_hint(hint)
    }
}
