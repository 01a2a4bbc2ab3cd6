//! The directory a restore is confined to.
#![allow(clippy::unimplemented, dead_code)]

use std::sync::Arc;

use super::{RestoreOptions, Target};
use crate::error::SourceError;
use crate::users::Names;
use crate::walk::FileKind;

/// A directory that items are restored into. Shared between threads.
#[derive(Debug)]
pub struct RestoreRoot {
    pub(super) options: RestoreOptions,
    pub(super) names: Arc<Names>,
}

impl RestoreRoot {
    /// Opens the directory at `path` (`.`: the current one).
    pub fn open(
        _path: &[u8],
        options: RestoreOptions,
        names: Arc<Names>,
    ) -> Result<Self, SourceError> {
        Ok(Self { options, names })
    }

    /// Makes place for an item: checks its path, removes what is there (a directory only if it is empty;
    /// failing is no error), and makes the directories above it.
    ///
    /// # Errors
    /// [`SourceError::NotRelative`], [`SourceError::PathTraversal`], [`SourceError::SymlinkParent`]; a
    /// parent that cannot be made (operation `makedirs` for regular files).
    pub fn prepare(&self, _item_path: &[u8], _kind: FileKind) -> Result<Target<'_>, SourceError> {
        unimplemented!()
    }

    /// Makes sure that the source of a hard link (levels stripped) is a path below this directory.
    ///
    /// # Errors
    /// [`SourceError::HardlinkSource`], with the path of the item that is the link.
    pub fn check_link_source(&self, _source: &[u8], _item_path: &[u8]) -> Result<(), SourceError> {
        unimplemented!()
    }
}
