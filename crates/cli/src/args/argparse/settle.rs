//! What is done with the words once they are read: repetitions, places, and the line for clap.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::{Given, Parser, argument_name, positional_name, shown};
use crate::args::{UsageError, values};

/// Options that may be given once only, and the first values that do not count.
const STORE_ONCE: &[(&str, &[&str])] = &[
    ("prefix", &[]),
    ("glob_archives", &[]),
    ("filter", &[]),
    ("import_filter", &["auto"]),
    ("options", &[]),
    ("files_cache", &[]),
    ("files_changed", &["ctime"]),
    ("sort_fields", &[]),
    (
        "chunker_params",
        &["default", "19,23,21,4095", "buzhash,19,23,21,4095"],
    ),
    // The option of the same name of "recreate", where none is the default.
    ("rechunk", &[]),
];

/// The switches that set one and the same thing: the last one wins.
const LOG_LEVELS: &[&str] = &["critical", "error", "warning", "info", "debug"];

/// Pairs that exclude each other.
const EXCLUSIVE: &[(&str, &str)] = &[
    ("prefix", "glob_archives"),
    ("first", "last"),
    ("delete", "list"),
    ("keep_13weekly", "keep_3monthly"),
];

/// Whether an option has the value it has anyway: then it excludes nothing. Source: argparse, which
/// looks whether a value is the very object that is the default.
fn says_nothing(option: &Given) -> bool {
    let counts = ["keep_13weekly", "keep_3monthly"];
    let value = option.value.as_deref().map(shown).unwrap_or_default();
    counts.contains(&option.id.as_str()) && values::int(&value) == Ok(0)
}

impl Parser<'_> {
    /// Refuses options that exclude each other.
    pub(super) fn check_exclusive(&self, given: &[Given]) -> Result<(), UsageError> {
        for (one, other) in EXCLUSIVE {
            let mut telling = given.iter().filter(|option| !says_nothing(option));
            let first = telling
                .clone()
                .find(|option| option.id == *one || option.id == *other);
            let Some(first) = first else { continue };
            let rival = if first.id == *one { other } else { one };
            if let Some(second) = telling.find(|option| option.id == *rival) {
                let message = format!(
                    "argument {}: not allowed with argument {}",
                    second.name, first.name
                );
                return Err(self.error(message));
            }
        }
        Ok(())
    }

    /// Decides between repetitions: lists and counters keep all, the rest the last one.
    pub(super) fn settle(
        &self,
        given: Vec<Given>,
        inherited: usize,
    ) -> Result<Vec<Given>, UsageError> {
        let keeps_all = |id: &str| {
            self.command
                .get_arguments()
                .find(|arg| arg.get_id() == id)
                .is_some_and(|arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count))
        };
        let subject = |id: &str| {
            if LOG_LEVELS.contains(&id) {
                "log_level".to_owned()
            } else {
                id.to_owned()
            }
        };
        let mut settled: Vec<Given> = Vec::new();
        for (index, option) in given.into_iter().enumerate() {
            if !keeps_all(&option.id) {
                let earlier = settled
                    .iter()
                    .position(|known| subject(&known.id) == subject(&option.id));
                if let Some(earlier) = earlier {
                    let first = settled.remove(earlier);
                    let once = STORE_ONCE.iter().find(|(id, _)| *id == option.id);
                    let counts = once.is_some_and(|(_, defaults)| {
                        let value = first.value.as_deref().map(shown).unwrap_or_default();
                        index >= inherited && !defaults.contains(&value.as_str())
                    });
                    if counts {
                        return Err(
                            self.error(format!("argument {}: There can be only one.", option.name))
                        );
                    }
                }
            }
            settled.push(option);
        }
        Ok(settled)
    }

    /// Gives the positionals their places; also checks that nothing required is missing.
    pub(super) fn assign(
        &self,
        words: Vec<OsString>,
        given: &[Given],
        unknown: &mut Vec<String>,
    ) -> Result<Vec<OsString>, UsageError> {
        let specs: Vec<&Arg> = self.command.get_positionals().collect();
        let mut words = words.into_iter().peekable();
        let mut assigned = Vec::new();
        let mut missing = Vec::new();
        let mut separator_gone = false;
        for spec in &specs {
            let many = matches!(spec.get_action(), ArgAction::Append);
            if many {
                let mut rest: Vec<OsString> = words.by_ref().collect();
                // Each positional drops the first "--" among its own words, but for the rest of the line.
                let drops = !spec.is_trailing_var_arg_set();
                if let Some(at) = rest.iter().position(|word| drops && word == "--") {
                    rest.remove(at);
                }
                // Argparse counts a list among the missing once something before it is.
                if rest.is_empty() && (spec.is_required_set() || !missing.is_empty()) {
                    missing.push(positional_name(spec));
                }
                assigned.extend(rest);
                continue;
            }
            if words.peek().is_some_and(|word| word == "--") && !separator_gone {
                words.next();
                separator_gone = true;
            }
            match words.next() {
                Some(word) => assigned.push(word),
                None if spec.is_required_set() => missing.push(positional_name(spec)),
                None => {}
            }
            if words.peek().is_some_and(|word| word == "--") && !separator_gone {
                words.next();
                separator_gone = true;
            }
        }
        for arg in self.options().filter(|arg| arg.is_required_set()) {
            if !given
                .iter()
                .any(|option| arg.get_id() == option.id.as_str())
            {
                missing.push(argument_name(arg));
            }
        }
        if !missing.is_empty() {
            let names = missing.join(", ");
            return Err(self.error(format!("the following arguments are required: {names}")));
        }
        unknown.extend(words.map(|word| shown(&word)));
        Ok(assigned)
    }
}

/// The command line for clap.
pub(super) fn canonical(
    prog: &str,
    path: &[String],
    command: &Command,
    given: &[Given],
    positionals: Vec<OsString>,
) -> Vec<OsString> {
    let mut out = vec![OsString::from(prog)];
    out.extend(path.iter().map(OsString::from));
    for option in given {
        let Some(arg) = command
            .get_arguments()
            .find(|arg| arg.get_id() == option.id.as_str())
        else {
            continue; // A switch of the program itself, such as --version, which acted already.
        };
        let mut word = match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => OsString::from(format!("--{long}")),
            (None, Some(short)) => OsString::from(format!("-{short}")),
            (None, None) => unreachable!("an option has a name"),
        };
        if let Some(value) = &option.value {
            if arg.get_long().is_some() {
                word.push("=");
            }
            word.push(value);
        }
        out.push(word);
    }
    out.push("--".into());
    out.extend(positionals);
    out
}
