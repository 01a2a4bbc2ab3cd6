//! Developer commands, run as `cargo xtask NAME`.
//!
//! This is the one place for scripts: everything CI or a contributor has to do beyond plain cargo is a subcommand
//! here. What a subcommand does is in its own module; this file only dispatches.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user"
)]

mod bench;
mod dist;
mod fuse;
mod process;
mod setup;
mod tally;
mod test;
mod tidy;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  test [--full] [--nightly] [-- FILTER…]
                              set up what the tests need, then run every test; FILTER goes to the test runner;
                              --full: every combination, for hours; --nightly: random runs of ten minutes from a new seed
                              (IRONBORG_RANDOM_SECONDS, _SEED and _STOCK override; `-- random::` runs nothing else)
  tidy                        layering, file lengths, headers, forbidden words
  ci                          formatting, clippy, tidy, test
  dist [--output DIR] [--binary FILE] [--quick]
                              Debian packages and the static tarball, in target/dist; FILE: packs that program, builds nothing
  bench [--install-others] [--micro] [-- OPTION…]
                              time ours against stock Borg and others (see benches/); --install-others: only get those others;
                              --micro: single stages instead
  setup                       only the set-up step of `test`";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = env::args().skip(1);
    let command = args.next();
    let rest: Vec<String> = args.collect();
    match command.as_deref() {
        Some("test") => test::run(&rest),
        Some("tidy") => tidy::run(),
        Some("ci") => test::ci(&rest),
        Some("dist") => dist::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("setup") => setup::run().map(drop),
        Some(other) => bail!("unknown command {other:?}\n\n{USAGE}"),
        None => bail!("no command given\n\n{USAGE}"),
    }
}
