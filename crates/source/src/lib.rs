//! Walking, reading and restoring file trees: patterns, stat, xattrs, ACLs, flags.
//!
//! Everything here is one call to the operating system, or a rule about names, with stock Borg's
//! results and words. What is done with them (the order of a backup, the items, the counters) is the
//! business of `archive`; printing and exit codes are the business of `cli`.

pub mod path;
pub mod pattern;
pub mod walk;

pub mod attributes;
pub mod device;
pub mod filter;
pub mod fuse_device;
pub mod named_file;
pub mod others_directory;
pub mod restore;
pub mod scratch;
pub mod stream;
pub mod terminal;
pub mod users;

mod error;
mod sys;
mod usage;

pub use attributes::{
    AttributeOptions, AttributeReader, ExtendedAttributes, access_acl_value, default_acl_value,
};
pub use error::{ErrorFile, PatternError, SourceError};
pub use pattern::{Decision, Pattern, PatternMatcher, PatternSet};
pub use restore::{AttributeValues, RestoreOptions, RestoreRoot};
pub use scratch::ScratchDirectory;
pub use usage::ThreadUsage;
pub use users::Names;
pub use walk::{Dir, DirEntries, FileKind, FileStat, Place, SourceFile};
