//! From the words of the command line to what will be done.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, ArgMatches, FromArgMatches};
use ironborg_types::text;

use crate::args::argparse::{self, Check, Refusal, Request};
use crate::args::check::ValueCheck;
use crate::args::global::CommonArgs;
use crate::args::{self, ParseError, UsageError};
use crate::commands::{Program, Run, help};
use crate::environment::Environment;
use crate::error::CliError;
use crate::identity::HostIdentity;
use crate::parse::ParseContext;
use crate::program::Program as Called;
use crate::shell_words;

/// The command clients run on the other host.
const SERVE: &str = "serve";

/// What a command line asks for.
pub(crate) enum Understood {
    /// The version.
    Version,
    /// The help of a command; the empty path is the program's.
    Help(Vec<String>),
    /// A command.
    Command(Box<Ordered>),
}

/// A command with all its options.
pub(crate) struct Ordered {
    /// The options every command has.
    pub(crate) common: CommonArgs,
    /// What will be done.
    pub(crate) command: Box<dyn Run>,
    /// The words, by argument.
    matches: ArgMatches,
}

/// Understands the words that follow the program's name.
pub(crate) fn understand(
    description: &clap::Command,
    program_name: &str,
    words: &[OsString],
    parse: &ParseContext<'_>,
) -> Result<Understood, Refusal> {
    let mut check = ValueCheck::new(parse);
    let canonical = match argparse::read(description, program_name, words, &mut check)? {
        Request::Version => return Ok(Understood::Version),
        Request::Nothing {
            bypass_lock: true, ..
        } => return Err(no_bypass()),
        Request::Help(path) | Request::Nothing { path, .. } => return Ok(Understood::Help(path)),
        Request::Run(canonical) => canonical,
    };
    let usage = |words: &[OsString], message| {
        let error: UsageError = args::usage_error(description, words, message);
        Refusal::Usage(error)
    };
    let matches = args::parse(description, &canonical).map_err(Refusal::Usage)?;
    let program = Program::from_arg_matches(&matches)
        .map_err(|error| usage(&canonical, error.to_string()))?;
    let common = program.command.common().clone();
    let command = program
        .command
        .resolve(parse)
        .map_err(|error| match error {
            ParseError::Usage(message) => usage(&canonical, message),
            ParseError::ProgramUsage(message) => usage(&canonical[..1], message),
            ParseError::UnknownTopic(topic) => {
                let called = Called::named(program_name);
                let message = help::no_help(description, &called, &topic);
                let error = args::usage_error(description, &canonical[..1], message);
                let hint = help::similar_topic(description, &called, &topic);
                Refusal::Usage(UsageError { hint, ..error })
            }
            ParseError::Early(error) => Refusal::Early(error),
        })?;
    if common.bypass_lock && !command.traits().may_bypass_lock {
        return Err(no_bypass());
    }
    Ok(Understood::Command(Box::new(Ordered {
        common,
        command,
        matches,
    })))
}

/// What a client wanted to run where it gets `serve` whatever it wants.
pub(crate) enum Wanted {
    /// The same, with these options.
    Serve(Box<CommonArgs>),
    /// Something else, which is not done.
    Other,
    /// The version.
    Version,
    /// The help of a command; the empty path is the program's.
    Help(Vec<String>),
}

/// Values of a client that is not trusted: nothing is looked up because of them, no file read.
struct NoCheck;

impl Check for NoCheck {
    fn check(&mut self, _: &Arg, _: &str, _: &[OsString]) -> Result<(), ParseError> {
        Ok(())
    }
}

/// Understands the command line of a client, as the shell would split it.
///
/// Source: Borg 1.4, `Archiver.get_args`.
pub(crate) fn wanted_by_client(
    description: &clap::Command,
    program_name: &str,
    command_line: &OsStr,
) -> Result<Wanted, Refusal> {
    let words = shell_words::split(command_line.as_bytes()).map_err(|error| {
        let text = format!("the client's command cannot be split into words: {error}");
        Refusal::Early(CliError::unexpected(text))
    })?;
    let words = words.into_iter().map(OsString::from_vec);
    // What the client wants to set in the environment is dropped, then the name of the program.
    let mut words = words.skip_while(|word| word.as_bytes().contains(&b'='));
    words.next();
    let words: Vec<OsString> = words.collect();
    let canonical = match argparse::read(description, program_name, &words, &mut NoCheck)? {
        Request::Version => return Ok(Wanted::Version),
        Request::Help(path) | Request::Nothing { path, .. } => return Ok(Wanted::Help(path)),
        Request::Run(canonical) => canonical,
    };
    if canonical.get(1).is_none_or(|command| command != SERVE) {
        return Ok(Wanted::Other);
    }
    let matches = args::parse(description, &canonical).map_err(Refusal::Usage)?;
    let program = Program::from_arg_matches(&matches).map_err(|error| {
        let message = error.to_string();
        Refusal::Usage(args::usage_error(description, &canonical, message))
    })?;
    Ok(Wanted::Serve(Box::new(program.command.common().clone())))
}

/// `--bypass-lock` was given where it means nothing.
fn no_bypass() -> Refusal {
    let text = "Not allowed to bypass locking mechanism for chosen command";
    Refusal::Early(CliError::generic(text))
}

/// What a command line means, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The version is asked for.
    Version,
    /// Help is asked for.
    Help,
    /// It is refused: the last line on standard error.
    Refused(String),
    /// Accepted: every argument by its name in the source, with its values; a switch has none or `true`.
    Accepted(BTreeMap<String, Vec<String>>),
}

/// Tells what command lines mean.
#[derive(Debug)]
pub struct Reader {
    program: &'static str,
    description: clap::Command,
    environment: Environment,
    identity: HostIdentity,
}

impl Reader {
    /// For a program called `borg`, in the root directory, without any environment variable.
    #[allow(clippy::new_without_default)] // Nothing about it is a default.
    pub fn new() -> Self {
        Self::for_program("borg")
    }

    /// The same for another name of the program.
    pub fn for_program(program: &'static str) -> Self {
        Self::in_environment(program, Environment::from_lookup(|_| None))
    }

    /// The same where `BORG_REPO` is set.
    pub(crate) fn for_repository(program: &'static str, location: &str) -> Self {
        let is_set = |name: &str| (name == "BORG_REPO").then(|| location.into());
        Self::in_environment(program, Environment::from_lookup(is_set))
    }

    fn in_environment(program: &'static str, environment: Environment) -> Self {
        Self {
            program,
            description: args::description(),
            identity: HostIdentity::new(environment.identity.clone()),
            environment,
        }
    }

    /// What the words that follow the program's name mean. Nothing is done but what parsing itself does, such as
    /// reading pattern files.
    pub fn meaning(&self, words: &[OsString]) -> Meaning {
        let parse = ParseContext {
            environment: &self.environment,
            identity: &self.identity,
            cwd: b"/",
        };
        let last_line = |text: String| text.lines().last().unwrap_or_default().to_owned();
        match understand(&self.description, self.program, words, &parse) {
            Ok(Understood::Version) => Meaning::Version,
            Ok(Understood::Help(_)) => Meaning::Help,
            Ok(Understood::Command(ordered)) => Meaning::Accepted(values(&ordered.matches)),
            Err(Refusal::Usage(error)) => Meaning::Refused(last_line(error.to_string())),
            Err(Refusal::Early(error)) => Meaning::Refused(last_line(error.message)),
        }
    }
}

/// The values of the innermost command.
fn values(matches: &ArgMatches) -> BTreeMap<String, Vec<String>> {
    if let Some((_, below)) = matches.subcommand() {
        return values(below);
    }
    let mut found = BTreeMap::new();
    for id in matches.ids() {
        let Ok(Some(raw)) = matches.try_get_raw(id.as_str()) else {
            continue;
        };
        let shown = raw.map(|value| text::display(value.as_bytes()).into_owned());
        found.insert(id.to_string(), shown.collect());
    }
    found
}
