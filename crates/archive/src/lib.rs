//! Operations on archives: create, list, info, diff, extract, rename, delete. The only crate that knows items.

pub mod attic;
pub mod cache_config;
pub mod check;
pub mod client;
pub mod create;
pub mod debug;
pub mod delete;
pub mod diff;
pub mod drill;
pub mod error;
pub mod extract;
pub mod info;
pub mod items;
pub mod key_backup;
pub mod keys;
pub mod passphrase_mode;
pub mod prune;
pub mod recreate;
pub mod references;
pub mod rename;
pub mod selection;
pub mod session;
pub mod statistics;
pub mod tam_upgrade;
pub mod tar;

mod cache_progress;
mod gate;
mod item_stream;
mod key_files;
mod memory;
mod save;
mod stored;
mod stretching;
mod unlocked;

pub use client::{
    Client, ClientDirectories, Identity, PassphraseError, PassphraseSource, Workarounds,
};
pub use error::ArchiveError;
pub use memory::{INDEX_BYTES_PER_OBJECT, INDEX_LEN_MAX, PROGRAM_LEN, too_little_memory};
pub use session::{Archive, ManifestDemand, Reopening, Session};
pub use unlocked::UnlockedKey;
