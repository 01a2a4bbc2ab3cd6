//! Bytes to values and back for every file and message of a Borg repository; no I/O.

pub mod msgpack;

pub mod segment;

pub mod hashindex;
pub mod hints;
pub mod integrity;

pub mod config;
pub mod roster;

pub mod manifest;

pub mod archive;
pub mod item;

pub mod document;
pub mod key;
pub mod metadata_error;
pub mod paper_key;
pub mod tam;
pub mod tar;

pub use archive::ArchiveMetadata;
pub use item::{ChunkEntry, Item, ItemDecoder, ItemError, ItemView, OwnerName};
pub use key::{EncryptedKeyBlob, KeyMap};
pub use manifest::{ArchiveEntry, Manifest, Operation};
pub use metadata_error::{Document, MetadataError};
pub use tam::{TamFields, TamView, find_tam};

#[cfg(test)]
mod golden;
