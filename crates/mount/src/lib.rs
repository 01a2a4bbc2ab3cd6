//! Archives as directories, for the kernel's FUSE.
//!
//! ```text
//! kernel   the kernel's requests ⇄ calls of the tree (fuser); mounting and unmounting
//! tree     what is shown: repositories, archives, nodes; numbers, attributes, extended attributes
//! index    path index of an archive: nodes, names, children; built once, kept as a file
//! content  bytes of files: chunks fetched ahead, opened on all cores, kept within bounds
//! follow   the repository: reads what is committed, holds no lock, follows when that is compacted away
//! options  what is shown and how: the words of `-o`, and what the command line says besides
//! ```
//!
//! Each knows only those below it. Nothing here prints, asks or looks at the environment.

pub mod content;
pub mod error;
pub mod follow;
pub mod index;
pub mod kernel;
pub mod node;
pub mod options;
pub mod tree;

pub use error::MountError;
pub use options::{MountOwner, MountWords, ViewOptions};
