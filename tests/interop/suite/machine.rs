//! What programs that drive the program see of it: command lines, records, errors, variables.

mod command_lines;
mod logging;
