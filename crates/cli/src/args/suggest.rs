//! What was probably meant by a mistyped word.

use std::ffi::OsString;

use clap::Command;

use crate::program::Program;

/// Words people bring along from other programs, and the commands here.
const HABITS: &[(&str, &str)] = &[
    ("add", "create"),
    ("backups", "list"),
    ("del", "delete"),
    ("forget", "prune"),
    ("gc", "compact"),
    ("ls", "list"),
    ("move", "rename"),
    ("mv", "rename"),
    ("passwd", "key change-passphrase"),
    ("remove", "delete"),
    ("rm", "delete"),
    ("save", "create"),
    ("show", "info"),
    ("snapshots", "list"),
    ("stats", "info"),
    ("tar", "export-tar"),
    ("unlock", "break-lock"),
    ("unmount", "umount"),
    ("verify", "check"),
];

/// The candidate most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let tolerance = (word.chars().count() / 3).max(1);
    let distance = |candidate: &str| {
        let continued = word.len() >= 3 && candidate.starts_with(word);
        if continued {
            1
        } else {
            strsim::osa_distance(word, candidate)
        }
    };
    candidates
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The command that was probably meant; `prog` names the commands above.
pub(super) fn command(
    program: &Program,
    root: &Command,
    group: &Command,
    prog: &str,
    word: &str,
) -> Option<String> {
    let names = group.get_subcommands().map(Command::get_name);
    let names = names.filter(|name| program.mentions(name));
    if let Some(name) = nearest(word, names) {
        return Some(format!("Did you mean \"{prog} {name}\"?"));
    }
    let habit = HABITS.iter().find(|(habit, _)| *habit == word);
    let meant = habit
        .map(|(_, name)| (*name).to_owned())
        .or_else(|| nested(root, word))?;
    Some(format!("Did you mean \"{} {meant}\"?", program.name))
}

/// A command below another one, typed without that.
fn nested(root: &Command, word: &str) -> Option<String> {
    root.get_subcommands().find_map(|group| {
        let found = group.find_subcommand(word)?;
        Some(format!("{} {}", group.get_name(), found.get_name()))
    })
}

/// What was probably meant by words that nobody knew behind the others of a whole command line.
pub(super) fn instead_of(
    root: &Command,
    canonical: &[OsString],
    unknown: &[String],
) -> Option<String> {
    let (command, _) = super::named(root, canonical);
    let program = canonical.first()?.to_str()?;
    if command.get_name() == "help" {
        // The help of a command below another one.
        let group = canonical.last()?.to_str()?;
        let below = root.find_subcommand(group)?;
        let below = below.find_subcommand(unknown.first()?)?;
        return Some(format!(
            "Try \"{program} {group} {} --help\".",
            below.get_name()
        ));
    }
    option(command, unknown)
}

/// The option of a command that was probably meant by one of the words.
pub(super) fn option(command: &Command, words: &[String]) -> Option<String> {
    let longs = || {
        let options = command.get_arguments().filter(|arg| !arg.is_hide_set());
        options.filter_map(clap::Arg::get_long)
    };
    let meant = words.iter().find_map(|word| {
        let name = word.strip_prefix("--")?;
        nearest(name.split('=').next().unwrap_or(name), longs())
    })?;
    Some(format!("Did you mean \"--{meant}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_if_it_is_near() {
        let words = ["list", "extract", "create", "exclude", "exclude-from"];
        let meant = |word: &str| nearest(word, words.into_iter());
        assert_eq!(meant("lsit"), Some("list"));
        assert_eq!(meant("lst"), Some("list"));
        assert_eq!(meant("creat"), Some("create"));
        assert_eq!(meant("exlcude"), Some("exclude"));
        assert_eq!(meant("ext"), Some("extract"));
        assert_eq!(meant("frobnicate"), None);
        assert_eq!(meant(""), None);
    }

    #[test]
    fn habits_and_nested_commands_are_understood() {
        let description = crate::args::description();
        let program = Program::named("ironborg");
        let meant = |word: &str| command(&program, &description, &description, "ironborg", word);
        assert_eq!(
            meant("rm").as_deref(),
            Some("Did you mean \"ironborg delete\"?")
        );
        assert_eq!(
            meant("change-passphrase").as_deref(),
            Some("Did you mean \"ironborg key change-passphrase\"?")
        );
        assert_eq!(
            meant("initt").as_deref(),
            Some("Did you mean \"ironborg init\"?")
        );
        assert_eq!(meant("xyzzy"), None);
        for (_, name) in HABITS {
            let words: Vec<std::ffi::OsString> = name.split(' ').map(Into::into).collect();
            let words = [&["ironborg".into()], &words[..]].concat();
            let (_, full) = crate::args::named(&description, &words);
            assert_eq!(full, format!("ironborg {name}"), "there is no such command");
        }
    }
}
