//! Reading archives: every sample repository, extraction, damage, deletion, figures.

mod archive_writer;
mod counting;
mod damage;
mod delete;
mod drill;
mod extract;
mod hostile;
mod machine;
mod model;
mod prune;
mod recreate;
mod rename;
mod samples;
mod selection;
mod verify;
