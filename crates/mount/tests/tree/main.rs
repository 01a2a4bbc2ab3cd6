//! The tree of a mount, of repositories in a directory: what is shown, and how it follows what others do.

#[path = "../../../archive/tests/reading/archive_writer.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod archive_writer;
mod delivered;
#[path = "../../../archive/tests/reading/machine.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod machine;
mod named;
mod one_archive;
mod repository;
mod stage;
