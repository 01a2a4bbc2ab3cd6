//! The command line: arguments, one module for each command, output, exit codes.
//!
//! The only crate that reads the environment, prints and ends the process.

mod run;

pub mod command_line;

mod args;
mod commands;
mod fstab;
mod parse;

pub mod location;
mod placeholders;
mod timestamp;

mod as_user;
mod bucket;
mod context;
mod credential;
mod daemon;
mod dash;
mod default_repository;
mod directories;
mod environment;
mod followed;
mod identity;
mod kept;
mod lock_holders;
mod passphrase;
mod program;
mod questions;
mod related_secrets;
mod remote;
mod service_manager;
mod service_notifier;
mod shell_words;
mod signals;
mod stored_passphrase;
mod subprocess;
mod sys;
mod system_information;
mod tar_filter;
mod unattended;
mod wire;

mod console;
mod error;
mod exit;
mod hints;
mod logging;
mod output;
mod reporter;

#[cfg(test)]
mod test_vectors;

pub use run::main;
