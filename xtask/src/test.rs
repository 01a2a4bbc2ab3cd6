//! `cargo xtask test` and `cargo xtask ci`.
//!
//! Everything is built once, in the dev profile: the root `Cargo.toml` optimises the crates that do the heavy work
//! there, and the interop suite drives that same binary with overflow checks and debug assertions switched on, which
//! finds more than a release build would and saves CI a second build of every dependency.

use std::process::Command;

use anyhow::{Result, bail};

use crate::tally::Tally;
use crate::{process, setup, tidy};

/// What a run has time for that is not a full one.
const IN_TIME: &str = "not test(/^heavy::mode_and_compressor_[235-8]$/)";
/// Set for the interop suite when the whole matrix is wanted, however long it takes.
const FULL_VARIABLE: &str = "IRONBORG_INTEROP_FULL";
/// Sends the scenes of the interop suite over ssh, to this server.
const WIRE_VARIABLE: &str = "IRONBORG_INTEROP_WIRE";
/// The servers that the whole matrix has.
const WIRE_SERVERS: [&str; 2] = ["ours", "stock"];
/// What is about the wire itself, or about files of a repository, is not sent over it.
const OVER_THE_WIRE: &str = "package(ironborg-interop) and not \
    test(/^(cuts|damage|hostile|hostile_wire|remote_reads|remote_words|repository_check|samples|serve|upgrade|wire)::/)";

/// Sets up, then runs doc tests and all other tests.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (full, filter) = parse(args)?;
    let programs = setup::run()?;
    // The interop suite starts the binary, which cargo builds for its own package's tests only. Asking
    // for the tests too gives every crate the features it will be tested with: nothing is built twice.
    process::run(process::cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
    let tally = Tally::begin()?;
    let with_programs = |mut command: Command| {
        for (variable, program) in &programs.variables {
            command.env(variable, program);
        }
        tally.pass_to(&mut command);
        if full {
            command.env(FULL_VARIABLE, "1");
        }
        command
    };
    if filter.is_empty() {
        process::run(&mut with_programs(doc_tests()))?;
    }
    if full && filter.is_empty() {
        for server in WIRE_SERVERS {
            let mut command = process::cargo();
            command.args([
                "nextest",
                "run",
                "-p",
                "ironborg-interop",
                "-E",
                OVER_THE_WIRE,
            ]);
            process::run(with_programs(command).env(WIRE_VARIABLE, server))?;
        }
    }
    // Last, so that its summary closes the output, but for what was tried.
    let ended = process::run(&mut with_programs(all_tests(full, filter)));
    tally.print()?;
    ended
}

/// Formatting, lints, tidy, then [`run`].
pub(crate) fn ci(args: &[String]) -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    process::run(process::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(args)
}

fn parse(args: &[String]) -> Result<(bool, &[String])> {
    match args {
        [] => Ok((false, &[])),
        [dashes, filter @ ..] if dashes == "--" => Ok((false, filter)),
        [full, rest @ ..] if full == "--full" => parse(rest).map(|(_, filter)| (true, filter)),
        [other, ..] => bail!("unknown option {other:?}; options of the test runner go after --"),
    }
}

fn doc_tests() -> Command {
    let mut command = process::cargo();
    command.args(["test", "--workspace", "--doc", "--quiet"]);
    command
}

fn all_tests(full: bool, filter: &[String]) -> Command {
    let mut command = process::cargo();
    if process::succeeds(process::cargo().args(["nextest", "--version"])) {
        command.args(["nextest", "run", "--workspace"]).args(filter);
        if !full && filter.is_empty() {
            command.args(["-E", IN_TIME]);
        }
    } else {
        eprintln!("cargo-nextest is not installed, using cargo test");
        command
            .args(["test", "--workspace", "--all-targets", "--"])
            .args(filter);
    }
    command
}
