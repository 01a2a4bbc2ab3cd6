//! The binary: the way into the program, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    ironborg_cli::main()
}
