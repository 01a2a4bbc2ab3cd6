//! A remote shell that goes nowhere: it runs the remote command on this machine and passes on what is said, later,
//! more slowly, or only up to a point. For tests and measurements of what a network does to a backup.

mod gate;
mod line;
mod options;
mod record;
mod relay;
mod scanner;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match options::Options::from_args(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            say(options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            say(&format!("wire-proxy: {why}"));
            return ExitCode::from(255);
        }
    };
    match relay::run(&options) {
        Ok(code) => code.into(),
        Err(why) => {
            say(&format!("wire-proxy: {why}"));
            ExitCode::from(255)
        }
    }
}

/// Standard output belongs to the server.
fn say(line: &str) {
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}
