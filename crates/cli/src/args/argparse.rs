//! Reads a command line by the rules of Python's argparse, guided by clap's description of the commands.
//!
//! The result is a command line clap cannot misunderstand: whole option names, `--name=value`, options
//! first, `--`, positionals. Abbreviations, repetitions, options before and after the command and
//! the wording of errors are settled here, because scripts written for stock Borg depend on them.
//!
//! Source: Python 3.11, `argparse.ArgumentParser.parse_known_args`; Borg 1.4, `CommonOptions`.

mod settle;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, ArgAction, Command};
use ironborg_types::text;

use self::settle::canonical;
use super::UsageError;
use crate::output::pyformat::repr;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// A command, as a command line for clap (program name and command names first).
    Run(Vec<OsString>),
    /// The help of a command; the empty path is the program's.
    Help(Vec<String>),
    /// The version.
    Version,
}

/// Options stock Borg does not have: never what an abbreviation means.
const OWN: &[&str] = &[
    "tar_format",
    "threads",
    "volume_between_checkpoints",
    "oldest",
    "newest",
    "older",
    "newer",
];
/// Options stock Borg defines with one value in a list, which changes the wording of an error.
const LIST_OF_ONE: &[&str] = &["exclude_from", "pattern", "patterns_from"];

/// Options whose value may be left out, and what they then have.
const OPTIONAL_VALUE: &[(&str, &str)] = &[("recompress", "if-different")];

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
    /// Program and command names, as usage errors show them.
    prog: String,
}

/// An option found for a word of the command line.
struct Found<'a> {
    arg: &'a Arg,
    /// The value attached to the word.
    attached: Option<OsString>,
    /// Whether the word began with one dash: more switches may follow in it.
    short: bool,
}

/// How argparse classifies a word before anything is consumed.
enum Word<'a> {
    Positional,
    Option(Found<'a>),
    Unknown,
}

/// Reads the command line; `args` is without the program's name.
pub(crate) fn read(root: &Command, prog: &str, args: &[OsString]) -> Result<Request, UsageError> {
    let parser = Parser {
        command: root,
        options: root,
        prog: prog.to_owned(),
    };
    parser.read_group(args, Vec::new(), &[], &parser)
}

enum Stop {
    Help,
    Version,
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

/// The name of an argument in errors: `-e/--exclude`, or what stands for a positional.
pub(crate) fn argument_name(arg: &Arg) -> String {
    if arg.is_positional() {
        return positional_name(arg);
    }
    let mut names = option_strings(arg);
    // A visible alias is a second name; any other is an option of its own to stock Borg.
    let second_names = arg.get_visible_aliases().unwrap_or_default();
    let mut others = arg.get_all_aliases().unwrap_or_default();
    others.retain(|alias| !second_names.contains(alias));
    names.retain(|name| !others.iter().any(|alias| name[2..] == **alias));
    if arg.get_id() == "info" {
        names = vec!["--info".to_owned(), "-v".to_owned(), "--verbose".to_owned()];
    }
    names.join("/")
}

fn positional_name(arg: &Arg) -> String {
    arg.get_value_names()
        .and_then(<[_]>::first)
        .map_or_else(|| arg.get_id().to_string(), ToString::to_string)
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// `-1`, `-.5`: words that look like options but are numbers.
fn is_negative_number(word: &str) -> bool {
    let Some(number) = word.strip_prefix('-') else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match number.split_once('.') {
        None => !number.is_empty() && digits(number),
        Some((whole, fraction)) => digits(whole) && digits(fraction) && !fraction.is_empty(),
    }
}

impl<'a> Parser<'a> {
    fn error(&self, message: String) -> UsageError {
        UsageError {
            prog: self.prog.clone(),
            usage: self.usage(),
            message,
        }
    }

    fn usage(&self) -> String {
        let mut command = self.command.clone();
        command.set_bin_name(&self.prog);
        let usage = command.render_usage().to_string();
        usage.replacen("Usage:", "usage:", 1)
    }

    fn options(&self) -> impl Iterator<Item = &'a Arg> {
        self.options
            .get_arguments()
            .filter(|arg| !arg.is_positional())
    }

    /// Source: argparse, `_parse_optional`.
    fn classify(&self, word: &OsStr) -> Result<Word<'a>, UsageError> {
        let bytes = word.as_bytes();
        if bytes.first() != Some(&b'-') || bytes.len() == 1 {
            return Ok(Word::Positional);
        }
        let (name, attached) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(at) => (
                &bytes[..at],
                Some(OsString::from_vec(bytes[at + 1..].to_vec())),
            ),
            None => (bytes, None),
        };
        let find = |wanted: &[u8]| {
            self.options().find(|arg| {
                option_strings(arg)
                    .iter()
                    .any(|known| known.as_bytes() == wanted)
            })
        };
        let short = !bytes.starts_with(b"--");
        if let Some(arg) = find(bytes) {
            return Ok(Word::Option(Found {
                arg,
                attached: None,
                short,
            }));
        }
        if attached.is_some()
            && let Some(arg) = find(name)
        {
            return Ok(Word::Option(Found {
                arg,
                attached,
                short: false,
            }));
        }
        if let Some(found) = self.find_abbreviated(bytes, name, attached.as_ref())? {
            return Ok(Word::Option(found));
        }
        let text = text::display(bytes);
        if is_negative_number(&text) || text.contains(' ') {
            return Ok(Word::Positional);
        }
        Ok(Word::Unknown)
    }

    /// Source: argparse, `_get_option_tuples`.
    fn find_abbreviated(
        &self,
        word: &[u8],
        name: &[u8],
        attached: Option<&OsString>,
    ) -> Result<Option<Found<'a>>, UsageError> {
        let long = word.starts_with(b"--");
        let mut matches: Vec<(&'a Arg, String, Option<OsString>, bool)> = Vec::new();
        for arg in self
            .options()
            .filter(|arg| !OWN.contains(&arg.get_id().as_str()))
        {
            for known in option_strings(arg) {
                if long {
                    if known.as_bytes().starts_with(name) {
                        matches.push((arg, known, attached.cloned(), false));
                    }
                } else if known.as_bytes() == &word[..2] {
                    let rest = OsString::from_vec(word[2..].to_vec());
                    matches.push((arg, known, Some(rest), true));
                }
            }
        }
        if matches.len() > 1 {
            let names: Vec<&str> = matches
                .iter()
                .map(|(_, name, _, _)| name.as_str())
                .collect();
            let word = shown(OsStr::from_bytes(word));
            return Err(self.error(format!(
                "ambiguous option: {word} could match {}",
                names.join(", ")
            )));
        }
        Ok(matches.pop().map(|(arg, _, attached, short)| Found {
            arg,
            attached,
            short,
        }))
    }

    /// Consumes an option and its value; `at` is the index of its word and ends behind what was used.
    fn take_option(
        &self,
        mut found: Found<'a>,
        args: &[OsString],
        at: &mut usize,
        given: &mut Vec<Given>,
    ) -> Result<Option<Stop>, UsageError> {
        loop {
            let arg = found.arg;
            let id = arg.get_id().to_string();
            if takes_value(arg) {
                let value = match found.attached {
                    Some(value) => value,
                    None => self.next_value(arg, args, at)?,
                };
                given.push(Given {
                    id,
                    name: argument_name(arg),
                    value: Some(value),
                });
                *at += 1;
                return Ok(None);
            }
            given.push(Given {
                id: id.clone(),
                name: argument_name(arg),
                value: None,
            });
            let rest = match found.attached {
                None => None,
                Some(rest) if found.short && !rest.is_empty() => Some(rest),
                Some(rest) => {
                    let name = argument_name(arg);
                    let value = repr(&shown(&rest));
                    return Err(self.error(format!(
                        "argument {name}: ignored explicit argument {value}"
                    )));
                }
            };
            if id == "help" {
                return Ok(Some(Stop::Help));
            }
            if id == "version" {
                return Ok(Some(Stop::Version));
            }
            let Some(rest) = rest else {
                *at += 1;
                return Ok(None);
            };
            let bytes = rest.as_bytes();
            let letter = OsString::from_vec([b"-", &bytes[..1]].concat());
            let next = self.options().find(|option| {
                option_strings(option)
                    .iter()
                    .any(|known| known.as_bytes() == letter.as_bytes())
            });
            let Some(next) = next else {
                let (name, value) = (argument_name(arg), repr(&shown(&rest)));
                return Err(self.error(format!(
                    "argument {name}: ignored explicit argument {value}"
                )));
            };
            let attached = (bytes.len() > 1).then(|| OsString::from_vec(bytes[1..].to_vec()));
            found = Found {
                arg: next,
                attached,
                short: true,
            };
        }
    }

    /// The word after an option's, if it can be a value.
    fn next_value(
        &self,
        arg: &Arg,
        args: &[OsString],
        at: &mut usize,
    ) -> Result<OsString, UsageError> {
        if let Some(word) = args.get(*at + 1)
            && word.as_os_str() != "--"
            && matches!(self.classify(word)?, Word::Positional)
        {
            *at += 1;
            return Ok(word.clone());
        }
        let optional = OPTIONAL_VALUE.iter().find(|(id, _)| arg.get_id() == id);
        if let Some((_, value)) = optional {
            return Ok(value.into());
        }
        let count = if LIST_OF_ONE.contains(&arg.get_id().as_str()) {
            "1"
        } else {
            "one"
        };
        Err(self.error(format!(
            "argument {}: expected {count} argument",
            argument_name(arg)
        )))
    }

    fn missing_command(&self) -> UsageError {
        self.error("the following arguments are required: <command>".to_owned())
    }

    /// Reads options up to the name of a command, and hands the rest to that command.
    ///
    /// `path`: the names of the commands above it, this one's last.
    fn read_group(
        &self,
        args: &[OsString],
        mut given: Vec<Given>,
        path: &[String],
        root: &Parser<'_>,
    ) -> Result<Request, UsageError> {
        // Argparse classifies all words before it takes the first, so ambiguities come first.
        for word in args.iter().take_while(|word| word.as_os_str() != "--") {
            self.classify(word)?;
        }
        let mut unknown = Vec::new();
        let mut at = 0;
        while let Some(word) = args.get(at) {
            match self.classify(word)? {
                Word::Positional => {
                    let request = self.read_command(word, &args[at + 1..], given, path, root)?;
                    return match request {
                        Request::Run(_) if !unknown.is_empty() => Err(root.unrecognized(&unknown)),
                        other => Ok(other),
                    };
                }
                Word::Option(found) => match self.take_option(found, args, &mut at, &mut given)? {
                    Some(Stop::Help) => return Ok(Request::Help(path.to_vec())),
                    Some(Stop::Version) => return Ok(Request::Version),
                    None => {}
                },
                Word::Unknown => {
                    unknown.push(shown(word));
                    at += 1;
                }
            }
        }
        if !unknown.is_empty() {
            Err(root.unrecognized(&unknown))
        } else if given.is_empty() || !path.is_empty() {
            Ok(Request::Help(path.to_vec()))
        } else {
            Err(self.missing_command())
        }
    }

    fn unrecognized(&self, words: &[String]) -> UsageError {
        self.error(format!("unrecognized arguments: {}", words.join(" ")))
    }

    /// Hands the rest of the command line to the command named `word`.
    fn read_command(
        &self,
        word: &OsStr,
        rest: &[OsString],
        given: Vec<Given>,
        path: &[String],
        root: &Parser<'_>,
    ) -> Result<Request, UsageError> {
        let name = shown(word);
        let Some(command) = self
            .command
            .get_subcommands()
            .find(|known| known.get_name() == name)
        else {
            let known: Vec<String> = self
                .command
                .get_subcommands()
                .map(|known| repr(known.get_name()))
                .collect();
            return Err(self.error(format!(
                "argument <command>: invalid choice: {} (choose from {})",
                repr(&name),
                known.join(", ")
            )));
        };
        let prog = format!("{} {name}", self.prog);
        let path = [path, &[name]].concat();
        if command.has_subcommands() {
            let parser = Parser {
                command,
                options: root.options,
                prog,
            };
            return parser.read_group(rest, given, &path, root);
        }
        let parser = Parser {
            command,
            options: command,
            prog,
        };
        parser.read_leaf(rest, given, root, path)
    }

    /// How many positionals come before one that takes the rest of the line, options included.
    fn rest_after(&self) -> Option<usize> {
        let mut positionals = self.command.get_positionals();
        positionals.position(Arg::is_trailing_var_arg_set)
    }

    /// Reads options and positionals of a command without further commands below it.
    fn read_leaf(
        &self,
        args: &[OsString],
        mut given: Vec<Given>,
        root: &Parser<'_>,
        path: Vec<String>,
    ) -> Result<Request, UsageError> {
        let options_end = args
            .iter()
            .position(|word| word == "--")
            .unwrap_or(args.len());
        for word in &args[..options_end] {
            self.classify(word)?;
        }
        let inherited = given.len();
        let rest_after = self.rest_after();
        let mut positionals: Vec<OsString> = Vec::new();
        let mut unknown: Vec<String> = Vec::new();
        let mut at = 0;
        while at < args.len() {
            let word = &args[at];
            if at >= options_end || rest_after.is_some_and(|count| positionals.len() >= count) {
                positionals.push(word.clone());
                at += 1;
                continue;
            }
            match self.classify(word)? {
                Word::Positional => {
                    positionals.push(word.clone());
                    at += 1;
                }
                Word::Option(found) => match self.take_option(found, args, &mut at, &mut given)? {
                    Some(Stop::Help) => return Ok(Request::Help(path)),
                    Some(Stop::Version) => return Ok(Request::Version),
                    None => {}
                },
                Word::Unknown => {
                    unknown.push(shown(word));
                    at += 1;
                }
            }
        }
        self.check_exclusive(&given[inherited..])?;
        let given = self.settle(given, inherited)?;
        let positionals = self.assign(positionals, &given, &mut unknown)?;
        if !unknown.is_empty() {
            return Err(root.unrecognized(&unknown));
        }
        Ok(Request::Run(canonical(
            &root.prog,
            &path,
            self.command,
            &given,
            positionals,
        )))
    }
}
