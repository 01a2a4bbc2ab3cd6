//! The binary as its users meet it: words in, text, files and an exit code out.

// A set-up that fails is a failed test, and the line says which.
#![allow(clippy::unwrap_used)]

mod arguments;
mod backup;
mod captures;
mod check;
mod help;
mod jobs_config;
mod passphrases;
mod scene;
mod selection;
mod serve;
mod signals;
