//! The pages of help, and the examples on them.

use std::ffi::OsString;

use super::examples::examples;
use super::*;
use crate::command_line::{Meaning, Reader};

fn program() -> Program {
    Program::named("ironborg")
}

/// The commands that do something, with those above them.
fn leaves(command: &Command, path: &[String], found: &mut Vec<Vec<String>>) {
    if !command.has_subcommands() {
        found.push(path.to_vec());
    }
    for below in command.get_subcommands() {
        leaves(
            below,
            &[path, &[below.get_name().to_owned()]].concat(),
            found,
        );
    }
}

fn all_leaves() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    leaves(&crate::args::description(), &[], &mut found);
    assert!(found.len() > 42, "{}", found.len());
    found
}

#[test]
fn every_command_has_examples_that_are_understood() {
    let reader = Reader::for_program("ironborg");
    let mut refused = Vec::new();
    for path in all_leaves() {
        let examples = examples(&path);
        assert!(
            (1..=4).contains(&examples.len()),
            "{path:?}: {}",
            examples.len()
        );
        for example in examples {
            let line = example.arguments;
            assert!(line.starts_with(&path.join(" ")), "{path:?}: {line}");
            assert!(line.len() + 11 <= 80, "{} columns: {line}", line.len() + 11);
            // What follows is another program's.
            let line = line.split([';', '|', '>', '<']).next().unwrap_or(line);
            let words = shell_words::split(line).unwrap();
            let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
            let meaning = reader.meaning(&words);
            if !matches!(meaning, Meaning::Accepted(_)) {
                refused.push(format!("{line}: {meaning:?}"));
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn help_fits_a_screen_and_leaves_nothing_out() {
    let description = crate::args::description();
    let mut long = Vec::new();
    for path in all_leaves().into_iter().chain([Vec::new()]) {
        let screen = text(&description, &program(), &path, Amount::Screen);
        let whole = text(&description, &program(), &path, Amount::Whole);
        let mut command = &description;
        for name in &path {
            command = command.find_subcommand(name).unwrap();
        }
        let lines = screen.lines().count();
        // All commands of the program are a few more.
        let most = if path.is_empty() {
            50
        } else {
            page::SCREEN_LINES
        };
        if lines > most {
            long.push(screen.clone());
        }
        for line in screen.lines().chain(whole.lines()) {
            assert!(line.chars().count() <= 80, "{path:?}: {line}");
        }
        let options = command.get_arguments().filter(|arg| {
            !arg.is_hide_set() && arg.get_help_heading() != Some(crate::args::global::HEADING)
        });
        for long in options
            .filter_map(clap::Arg::get_long)
            .filter(|_| !path.is_empty())
        {
            for page in [&screen, &whole] {
                assert!(
                    page.contains(&format!("--{long}")),
                    "{path:?} lacks --{long}\n{page}"
                );
            }
        }
    }
    assert!(
        long.is_empty(),
        "longer than a screen:\n\n{}",
        long.join("\n")
    );
}

#[test]
fn every_command_is_in_one_group() {
    let description = crate::args::description();
    let mut known: Vec<&str> = description
        .get_subcommands()
        .map(Command::get_name)
        .collect();
    let mut grouped: Vec<&str> = GROUPS
        .iter()
        .flat_map(|(_, names)| names.iter().copied())
        .collect();
    known.sort_unstable();
    grouped.sort_unstable();
    assert_eq!(grouped, known);
}

#[test]
fn under_stock_borgs_name_only_its_commands_are_mentioned() {
    let description = crate::args::description();
    let borg = Program::named("borg");
    let page = text(&description, &borg, &[], Amount::Screen);
    assert!(page.contains("\n  create "), "{page}");
    assert!(!page.contains("\n  backup "), "{page}");
    let message = no_help(&description, &borg, "nix");
    assert!(
        message.contains("create, debug, delete") && !message.contains("backup"),
        "{message}"
    );
    assert_eq!(
        similar_topic(&description, &borg, "pattern").as_deref(),
        Some("Did you mean \"borg help patterns\"?")
    );
}

#[test]
fn usage_and_examples_can_be_had_apart() {
    let description = crate::args::description();
    let path = ["create".to_owned()];
    let usage = text(&description, &program(), &path, Amount::Usage);
    let examples = text(&description, &program(), &path, Amount::Examples);
    assert!(
        usage.contains("--stdin-name NAME") && !usage.contains("Examples:"),
        "{usage}"
    );
    assert!(examples.starts_with("Examples:\n  # "), "{examples}");
}
