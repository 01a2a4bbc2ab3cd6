//! Putting files back, never outside of one directory.

mod attributes;
mod root;
mod target;

pub use attributes::{AttributeValues, RestoreOptions};
pub use root::RestoreRoot;
pub use target::{AttributesSet, RestoredFile, Target};
