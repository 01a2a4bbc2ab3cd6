//! Putting files back, never outside of one directory.

mod attributes;
mod root;
mod target;

pub(crate) use attributes::chmod_entry;
pub use attributes::{AttributeValues, RestoreOptions};
pub use root::RestoreRoot;
pub use target::{AttributesSet, RestoredFile, Target};
