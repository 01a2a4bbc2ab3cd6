//! What operations need in memory at least, and how many threads they may have where there is little.
//!
//! The figures are what was measured, rounded up: the program, the repository's index, tables that grow with the number
//! of files or objects, and for each thread the longest chunks and objects it may have in hand.

use ironborg_storage::Storage;

use crate::{ArchiveError, Client, Session};

/// The program itself, and what the system counts to it.
pub const PROGRAM_LEN: u64 = 20_000_000;
/// What an object takes in the repository's index, in memory.
pub const INDEX_BYTES_PER_OBJECT: u64 = 54;
/// A larger index stays in its file; of that, some is in memory.
pub const INDEX_LEN_MAX: u64 = 80_000_000;
/// What an object takes in a table of objects.
const TABLE_BYTES_PER_OBJECT: u64 = 56;
/// What a byte of the files cache's file takes: the file itself, what is remembered of the files of this run, the references
/// of the archive and the chunks it has seen.
const BYTES_PER_FILES_CACHE_BYTE: u64 = 4;

/// What one thread has in hand that makes objects: a chunk of the greatest length, its object and what is read next.
pub(crate) const MAKING_THREAD_LEN: u64 = 24_000_000;
/// What one thread has in hand that reads metadata or looks at segments.
pub(crate) const READING_THREAD_LEN: u64 = 10_000_000;
/// What one thread has in hand that opens objects of any length.
pub(crate) const OPENING_THREAD_LEN: u64 = 18_000_000;

/// What grows with the repository or with what is archived.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tables {
    /// Nothing but the repository's index.
    Index,
    /// A table of all objects, too.
    AllObjects,
    /// The committed index and that of the segments, both in memory; then they go.
    CheckedIndex {
        /// Whether there is a table of all objects afterwards.
        then_objects: bool,
    },
    /// What is remembered of unchanged files.
    FilesCache {
        /// Bytes of its file.
        len: u64,
    },
}

impl Tables {
    /// Those of a files cache that has this name.
    pub(crate) fn of_files_cache(cache: &dyn Storage, name: &str) -> Self {
        // What cannot be looked at will not be loaded either.
        let status = cache.status(name).ok().flatten();
        Self::FilesCache {
            len: status.map_or(0, |status| status.size),
        }
    }

    /// What they take, the index included.
    fn len(self, objects: u64) -> u64 {
        let index = objects.saturating_mul(INDEX_BYTES_PER_OBJECT);
        let more = match self {
            Self::Index => 0,
            Self::AllObjects => objects.saturating_mul(TABLE_BYTES_PER_OBJECT),
            Self::CheckedIndex { then_objects } => {
                let after = if then_objects {
                    Self::AllObjects
                } else {
                    Self::Index
                };
                return index.saturating_mul(2).max(after.len(objects));
            }
            Self::FilesCache { len } => len.saturating_mul(BYTES_PER_FILES_CACHE_BYTE),
        };
        index.min(INDEX_LEN_MAX).saturating_add(more)
    }
}

/// How many threads may work, each with so many bytes in hand.
///
/// # Errors
/// Even one would take more than there may be; says how much is needed.
pub(crate) fn threads_within(
    client: &Client,
    objects: usize,
    tables: Tables,
    thread_len: u64,
) -> Result<usize, ArchiveError> {
    let fixed = PROGRAM_LEN.saturating_add(tables.len(objects as u64));
    let threads = client.memory.threads(fixed, thread_len, client.threads);
    threads.map_err(too_little_memory)
}

/// Why an operation that needs so many bytes is not begun.
pub fn too_little_memory(needed: u64) -> ArchiveError {
    let megabytes = needed.div_ceil(1_000_000);
    ArchiveError::other(format!(
        "at least {megabytes}M of memory are needed for this, --max-memory allows less"
    ))
}

impl Session {
    /// Sees to it that the session's operation stays within the memory there may be: with fewer threads, if need be.
    ///
    /// # Errors
    /// As [`threads_within`].
    pub(crate) fn keep_within_memory(
        &mut self,
        tables: Tables,
        thread_len: u64,
    ) -> Result<(), ArchiveError> {
        if self.client.memory.get().is_some() {
            let objects = self.repository.len()?;
            self.client.threads = threads_within(&self.client, objects, tables, thread_len)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_of_many_objects_has_two_whole_indexes() {
        let (few, many) = (1_000_000, 10_000_000);
        let checked = |then_objects, objects| Tables::CheckedIndex { then_objects }.len(objects);
        assert_eq!(checked(false, few), 108_000_000);
        assert_eq!(checked(true, few), 110_000_000);
        assert_eq!(checked(true, many), 1_080_000_000);
        assert_eq!(Tables::Index.len(many), INDEX_LEN_MAX);
        assert_eq!(Tables::AllObjects.len(many), INDEX_LEN_MAX + 560_000_000);
        assert_eq!(checked(true, u64::MAX), u64::MAX);
    }
}
