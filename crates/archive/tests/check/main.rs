//! Checks and repairs of archives in one process: every kind of damage to content and items, what is told of it, and
//! what becomes of it.

#![allow(clippy::unwrap_used)]

#[path = "../reading/archive_writer.rs"]
#[allow(dead_code)]
mod archive_writer;
#[path = "../reading/machine.rs"]
#[allow(dead_code)]
mod machine;

mod archives;
mod content;
mod items;
mod laboratory;
mod samples;
