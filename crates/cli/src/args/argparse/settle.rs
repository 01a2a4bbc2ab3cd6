//! What is done with options once they are read: repetitions, exclusions, and the line for clap.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::places::Count;
use super::{Given, Parser, Refusal, argument_name, positional_name, shown};
use crate::args::values;

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

/// What a switch sets.
fn subject(id: &str) -> &str {
    if LOG_LEVELS.contains(&id) {
        "log_level"
    } else {
        id
    }
}

impl Parser<'_> {
    /// Refuses an option that one given before excludes.
    pub(super) fn refuse_rival(&self, given: &[Given], option: &Given) -> Result<(), Refusal> {
        for (one, other) in EXCLUSIVE {
            let rival = match option.id.as_str() {
                id if id == *one => *other,
                id if id == *other => *one,
                _ => continue,
            };
            let mut given = given.iter().filter(|earlier| !says_nothing(earlier));
            let earlier = given.find(|earlier| earlier.id == rival);
            if let Some(earlier) = earlier.filter(|_| !says_nothing(option)) {
                return Err(self.refuse(format!(
                    "argument {}: not allowed with argument {}",
                    option.name, earlier.name
                )));
            }
        }
        Ok(())
    }

    /// Refuses an option that was given before, where only one is allowed.
    pub(super) fn refuse_second(&self, given: &[Given], option: &Given) -> Result<(), Refusal> {
        let Some((_, defaults)) = STORE_ONCE.iter().find(|(id, _)| *id == option.id) else {
            return Ok(());
        };
        let counts = |earlier: &Given| {
            let value = earlier.value.as_deref().map(shown).unwrap_or_default();
            earlier.id == option.id && !defaults.contains(&value.as_str())
        };
        if given.iter().any(counts) {
            let message = format!("argument {}: There can be only one.", option.name);
            return Err(self.refuse(message));
        }
        Ok(())
    }

    /// Refuses a command line that lacks something; `places` are those no word was found for.
    pub(super) fn refuse_missing(&self, places: &[&Arg], given: &[Given]) -> Result<(), Refusal> {
        // Argparse counts a list among the missing if it never came to it.
        let required = |place: &&&Arg| !matches!(Count::of(place), Count::Optional);
        let mut missing: Vec<String> = places
            .iter()
            .filter(required)
            .map(|place| positional_name(place))
            .collect();
        for arg in self.options().filter(|arg| arg.is_required_set()) {
            if !given
                .iter()
                .any(|option| arg.get_id() == option.id.as_str())
            {
                missing.push(argument_name(arg));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let names = missing.join(", ");
        Err(self.refuse(format!("the following arguments are required: {names}")))
    }

    /// Decides between repetitions: lists and counters keep all, the rest the last one.
    pub(super) fn settle(&self, given: Vec<Given>) -> Vec<Given> {
        let keeps_all = |id: &str| {
            let mut known = self.command.get_arguments();
            let action = known.find(|arg| arg.get_id() == id).map(Arg::get_action);
            matches!(action, Some(ArgAction::Append | ArgAction::Count))
        };
        let mut settled: Vec<Given> = Vec::new();
        for option in given {
            if !keeps_all(&option.id) {
                settled.retain(|earlier| subject(&earlier.id) != subject(&option.id));
            }
            settled.push(option);
        }
        settled
    }
}

/// The command line for clap.
pub(super) fn canonical(
    parser: &Parser<'_>,
    given: &[Given],
    positionals: Vec<OsString>,
) -> Vec<OsString> {
    // The names of the commands end the parser's name, if it has them; what comes before is the program's.
    let commands = format!(" {}", parser.path.join(" "));
    let program = parser.prog.strip_suffix(&commands).unwrap_or(&parser.prog);
    let mut out = vec![OsString::from(program)];
    out.extend(parser.path.iter().map(OsString::from));
    out.extend(
        given
            .iter()
            .filter_map(|option| word(parser.command, option)),
    );
    out.push("--".into());
    out.extend(positionals);
    out
}

/// An option as one word; none for a switch of the program itself, which acted already.
fn word(command: &Command, option: &Given) -> Option<OsString> {
    let mut known = command.get_arguments();
    let arg = known.find(|arg| arg.get_id() == option.id.as_str())?;
    let mut word = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => OsString::from(format!("--{long}")),
        (None, Some(short)) => OsString::from(format!("-{short}")),
        (None, None) => unreachable!("an option has a name"),
    };
    if let Some(value) = &option.value {
        // Without it an empty value would be none, and one that begins with it would lose that.
        word.push("=");
        word.push(value);
    }
    Some(word)
}
