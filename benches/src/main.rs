//! Times ours against stock Borg and others: the same commands on the same generated trees, in turn, in one run.
//!
//! Absolute times on a shared or throttled machine mean little; the ratio of two programs run minutes apart in turn
//! does. Each row is repeated, the median is taken, and time, processor time, peak memory and repository size are
//! printed beside each other, with what the machine itself allows. `cargo xtask bench` builds everything and calls this;
//! `--help` lists the options.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user"
)]

mod contestant;
mod group;
mod limits;
mod measure;
mod mounting;
mod options;
mod records;
mod report;
mod rows;
mod run;
mod stores;
mod sys;
mod tools;
mod trees;
mod wire;

use std::process::ExitCode;

use anyhow::{Result, bail};

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
    if std::env::args().nth(1).as_deref() == Some(limits::rates::WORD) {
        let rates = limits::rates::run(std::env::args().skip(2))?;
        print!("{}", rates.encode());
        return Ok(());
    }
    let Some(options) = options::Options::from_args(std::env::args().skip(1))? else {
        println!("{}", options::USAGE);
        return Ok(());
    };
    let mark = if options.stores {
        report::BEGIN_STORES
    } else {
        report::BEGIN
    };
    if let Some(path) = &options.markdown {
        // Found missing after an hour of measuring it would be late.
        report::place_of_table(path, mark)?;
    }
    if options.stores {
        let table = stores::run(&options)?;
        println!("{table}");
        return match &options.markdown {
            Some(path) => report::replace_table(path, mark, &table),
            None => Ok(()),
        };
    }
    let mut records = match &options.raw {
        Some(path) if options.merge && path.exists() => records::Records::read(path)?,
        _ => records::Records::default(),
    };
    let results = run::run_all(&options, |result| {
        // What is measured is kept, whatever becomes of the rest.
        records.take(result);
        match &options.raw {
            Some(path) => records.write(path),
            None => Ok(()),
        }
    })?;
    let tables = report::tables(&records, &options);
    println!("{tables}");
    if let Some(path) = &options.markdown {
        report::replace_table(path, mark, &tables)?;
        let document = std::fs::read_to_string(path)?;
        for row in report::unexplained(&records, &document) {
            eprintln!(
                "benches: {row} misses an aim, and {} does not say why (as **{row}**)",
                path.display()
            );
        }
    }
    let incomplete = results.iter().filter(|result| result.is_incomplete());
    let incomplete: Vec<&str> = incomplete.map(|result| result.row.name).collect();
    if !incomplete.is_empty() {
        bail!("not all could be measured: {}", incomplete.join(", "));
    }
    Ok(())
}
