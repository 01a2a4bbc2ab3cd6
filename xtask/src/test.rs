//! `cargo xtask test` and `cargo xtask ci`.
//!
//! Everything is built once, in the dev profile: the root `Cargo.toml` optimises the crates that do the heavy work
//! there, and the interop suite drives that same binary with overflow checks and debug assertions switched on, which
//! finds more than a release build would and saves CI a second build of every dependency.

use std::env;
use std::num::NonZero;
use std::process::Command;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::tally::Tally;
use crate::{process, setup, tidy};

/// What a run has time for that is not a full one.
const IN_TIME: &str = "not test(/^heavy::mode_and_compressor_[235-8]$/)";
/// Set for the interop suite when the whole matrix is wanted, however long it takes.
const FULL_VARIABLE: &str = "IRONBORG_INTEROP_FULL";
/// How long each random run takes, from which seed, and which part of it is stock Borg's (one in so many).
const RANDOM_VARIABLES: [&str; 3] = [
    "IRONBORG_RANDOM_SECONDS",
    "IRONBORG_RANDOM_SEED",
    "IRONBORG_RANDOM_STOCK",
];
/// What they are at night, but for the seed.
const RANDOM_SECONDS: &str = "600";
const RANDOM_STOCK: &str = "2";
/// Sends the scenes of the interop suite over ssh, to this server.
const WIRE_VARIABLE: &str = "IRONBORG_INTEROP_WIRE";
/// The servers that the whole matrix has.
const WIRE_SERVERS: [&str; 2] = ["ours", "stock"];
/// What is about the wire itself, or about files of a repository, is not sent over it.
const OVER_THE_WIRE: &str = "package(ironborg-interop) and not \
    test(/^(archive_check|cuts|damage|hostile|hostile_bytes|hostile_wire|remote_reads|remote_words|random|repository_check|samples|serve|upgrade|wire)::/)";

/// Sets up, then runs doc tests and all other tests.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let Wanted {
        full,
        nightly,
        filter,
    } = parse(args)?;
    let night = nightly.then(night);
    let programs = set_up_and_build()?;
    let tally = Tally::begin()?;
    let with_programs = |mut command: Command| {
        for (variable, program) in &programs.variables {
            command.env(variable, program);
        }
        tally.pass_to(&mut command);
        if full {
            command.env(FULL_VARIABLE, "1");
        }
        command.envs(night.iter().flatten().cloned());
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

/// Installs what cargo does not bring while cargo builds the rest: on a new machine each takes minutes, of which much is
/// waiting for the network, or for the one crate that all others need.
fn set_up_and_build() -> Result<setup::Programs> {
    // Before both: it brings the compiler, and only one can install system packages at a time.
    setup::tools()?;
    thread::scope(|scope| {
        let programs = scope.spawn(setup::run);
        // The interop suite starts the binary, which cargo builds for its own package's tests only. Asking
        // for the tests too gives every crate the features it will be tested with: nothing is built twice.
        let built =
            process::run(process::cargo().args(["build", "--workspace", "--bins", "--tests"]));
        let programs = programs.join().expect("setting up does not panic");
        built.and(programs)
    })
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

/// What the command line asks for.
struct Wanted<'a> {
    full: bool,
    nightly: bool,
    /// Words for the test runner.
    filter: &'a [String],
}

fn parse(args: &[String]) -> Result<Wanted<'_>> {
    let (mut full, mut nightly) = (false, false);
    let mut rest = args;
    while let [word, after @ ..] = rest {
        rest = after;
        match word.as_str() {
            "--full" => full = true,
            "--nightly" => nightly = true,
            "--" => break,
            other => bail!("unknown option {other:?}; options of the test runner go after --"),
        }
    }
    Ok(Wanted {
        full,
        nightly,
        filter: rest,
    })
}

/// Long random runs from a seed that nobody has seen before, unless the environment says otherwise.
fn night() -> Vec<(&'static str, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = now.map_or(0, |time| time.as_secs()).to_string();
    let values = [RANDOM_SECONDS, &seed, RANDOM_STOCK];
    let variables: Vec<_> = RANDOM_VARIABLES
        .into_iter()
        .zip(values)
        .map(|(variable, value)| {
            let given = env::var(variable);
            (variable, given.unwrap_or_else(|_| value.to_owned()))
        })
        .collect();
    for (variable, value) in &variables {
        eprintln!("{variable}={value}");
    }
    variables
}

fn doc_tests() -> Command {
    let mut command = process::cargo();
    command.args(["test", "--workspace", "--doc", "--quiet"]);
    command
}

/// Half as many again as there are cores: a third of the time of most tests is waiting, for a disk, a lock or a signal.
fn tests_at_once() -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    cores + cores.div_ceil(2)
}

fn all_tests(full: bool, filter: &[String]) -> Command {
    let mut command = process::cargo();
    if process::succeeds(process::cargo().args(["nextest", "--version"])) {
        command.args(["nextest", "run", "--workspace"]).args(filter);
        if filter.is_empty() {
            command.arg(format!("--test-threads={}", tests_at_once()));
        }
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
