//! Times ours against stock Borg: the same commands on the same generated trees, in turn, in one run.
//!
//! Absolute times on a shared or throttled machine mean little; the ratio of two programs run minutes apart in turn
//! does. Each row is repeated, the median is taken, and time, processor time, peak memory and repository size are
//! printed as ratios. `cargo xtask bench` builds everything and calls this; `--help` lists the options.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user"
)]

mod measure;
mod mounting;
mod options;
mod report;
mod rows;
mod sys;
mod trees;
mod wire;

use std::process::ExitCode;

use anyhow::Result;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Some(options) = options::Options::from_args(std::env::args().skip(1))? else {
        println!("{}", options::USAGE);
        return Ok(());
    };
    let results = rows::run_all(&options)?;
    let table = report::table(&results, &options);
    println!("{table}");
    if let Some(path) = &options.raw {
        report::write_raw(path, &results)?;
    }
    if let Some(path) = &options.markdown {
        report::replace_table(path, &table)?;
    }
    Ok(())
}
