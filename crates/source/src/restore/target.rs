//! The place of one item that is being restored.
#![allow(clippy::unimplemented, dead_code)]

use ironborg_types::Reporter;

use super::{AttributeValues, RestoreRoot};
use crate::error::SourceError;

/// Where one item goes: an open parent directory and a name in it.
#[derive(Debug)]
pub struct Target<'r> {
    #[allow(dead_code)]
    root: &'r RestoreRoot,
}

/// A regular file being written. Pieces may be written by several threads.
#[derive(Debug)]
pub struct RestoredFile<'r> {
    #[allow(dead_code)]
    target: Target<'r>,
}

/// Whether all attributes could be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum AttributesSet {
    /// All, or those that failed do so silently in stock Borg.
    All,
    /// Not all extended attributes; every failure was reported. The exit code is 1.
    WithWarnings,
}

impl<'r> Target<'r> {
    /// Creates (or empties) a regular file. The error's operation is `open`.
    pub fn create_file(self) -> Result<RestoredFile<'r>, SourceError> {
        unimplemented!()
    }

    /// Creates a directory, unless there is one.
    pub fn create_dir(&self) -> Result<(), SourceError> {
        unimplemented!()
    }

    /// Creates a symlink with this content.
    pub fn create_symlink(&self, _content: &[u8]) -> Result<(), SourceError> {
        unimplemented!()
    }

    /// Creates a fifo.
    pub fn create_fifo(&self) -> Result<(), SourceError> {
        unimplemented!()
    }

    /// Creates a device; `mode` has its type and permissions.
    pub fn create_device(&self, _mode: u32, _rdev: u64) -> Result<(), SourceError> {
        unimplemented!()
    }

    /// Makes this a hard link to a path in the root (of an item restored before). The error's operation
    /// is `link`.
    pub fn link_to(&self, _source: &[u8]) -> Result<(), SourceError> {
        unimplemented!()
    }

    /// Sets the attributes of what was created here (not for regular files).
    pub fn set_attributes(
        &self,
        _values: &AttributeValues<'_>,
        _reporter: &dyn Reporter,
    ) -> Result<AttributesSet, SourceError> {
        unimplemented!()
    }
}

impl RestoredFile<'_> {
    /// Writes a piece at its offset. The error's operation is `write`.
    pub fn write_at(&self, _data: &[u8], _offset: u64) -> Result<(), SourceError> {
        unimplemented!()
    }

    /// Gives the file its length, which ends a hole that was not written, and sets its attributes. The
    /// error's operation is `truncate_and_attrs` or `attrs`.
    pub fn finish(
        &self,
        _size: u64,
        _values: &AttributeValues<'_>,
        _reporter: &dyn Reporter,
    ) -> Result<AttributesSet, SourceError> {
        unimplemented!()
    }
}
