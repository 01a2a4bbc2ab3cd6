//! What operations need in memory at least, and how many threads they may have where there is little.
//!
//! The figures are what was measured, rounded up: the program, the repository's index, tables that grow with the number
//! of files or objects, and for each thread the longest chunks and objects it may have in hand.

use ironborg_storage::Storage;
use ironborg_types::MemoryLimit;

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

/// What a check notes of a segment before it knows that it is whole, where there is little memory.
const CHECK_NOTES_LEN: u64 = 10_000_000;
/// How many objects a check notes something of in one byte: two bits for each of up to two buckets.
const CHECK_OBJECTS_PER_BYTE: u64 = 2;
/// Of tables that do not fit into memory so much is there at least.
const TABLES_LEN_MIN: u64 = 500_000;

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

/// What a check has beside its threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckTables {
    pub(crate) objects: u64,
    /// Whether indexes are compared, or made.
    pub(crate) index: bool,
    /// Whether archives are looked at.
    pub(crate) archives: bool,
    /// Whether there is a table of all objects then, rather than a bit for each.
    pub(crate) all_objects: bool,
    pub(crate) thread_len: u64,
}

/// What of the memory there may be is for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckShares {
    pub(crate) threads: usize,
    /// For each index that is read or made, if they do not fit: the rest stays in files.
    pub(crate) index_len: Option<u64>,
    /// The same for the table of objects.
    pub(crate) objects_len: Option<u64>,
}

impl CheckTables {
    /// How a check stays within the memory there may be. What is large can be outside of it, so there is little it needs.
    ///
    /// # Errors
    /// Not even that may be had; says how much it is.
    pub(crate) fn within(self, client: &Client) -> Result<CheckShares, ArchiveError> {
        let limit = client.memory.get().unwrap_or(u64::MAX);
        self.shares(limit, client.threads)
            .map_err(too_little_memory)
    }

    fn shares(self, limit: u64, threads: usize) -> Result<CheckShares, u64> {
        let noted = if self.index { CHECK_NOTES_LEN } else { 0 };
        let bits = self.objects / CHECK_OBJECTS_PER_BYTE;
        let fixed = PROGRAM_LEN + noted + bits;
        let each = |bytes| self.objects.saturating_mul(bytes);
        let index = each(INDEX_BYTES_PER_OBJECT);
        let of_archives = if self.all_objects {
            index
                .min(INDEX_LEN_MAX)
                .saturating_add(each(TABLE_BYTES_PER_OBJECT))
        } else {
            index
        };
        let whole = match (self.index, self.archives) {
            (true, true) => index.saturating_mul(2).max(of_archives),
            (true, false) => index.saturating_mul(2),
            (false, true) => of_archives,
            (false, false) => index.min(INDEX_LEN_MAX),
        };
        let memory = MemoryLimit::bytes(limit);
        if let Ok(threads) = memory.threads(fixed.saturating_add(whole), self.thread_len, threads) {
            return Ok(CheckShares {
                threads,
                index_len: None,
                objects_len: None,
            });
        }
        let least = fixed + self.thread_len + TABLES_LEN_MIN;
        let spare = limit
            .checked_sub(least)
            .ok_or(least.min(fixed.saturating_add(whole).saturating_add(self.thread_len)))?;
        // Half of what there is more is for more threads.
        let more = usize::try_from(spare / 2 / self.thread_len).unwrap_or(usize::MAX);
        let threads = threads.min(more.saturating_add(1));
        let taken = self.thread_len.saturating_mul(threads as u64 - 1);
        let table = (TABLES_LEN_MIN + spare - taken) / 2;
        Ok(CheckShares {
            threads,
            index_len: Some(table),
            objects_len: Some(table),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn tables(objects: u64, archives: bool) -> CheckTables {
        CheckTables {
            objects,
            index: true,
            archives,
            all_objects: true,
            thread_len: READING_THREAD_LEN,
        }
    }

    #[test]
    fn a_check_of_many_objects_does_not_need_them_in_memory() {
        let many = tables(10_000_000, true);
        let whole = CheckShares {
            threads: 4,
            index_len: None,
            objects_len: None,
        };
        assert_eq!(many.shares(1 << 40, 4), Ok(whole));
        let tight = many.shares(100_000_000, 4).unwrap();
        assert_eq!(tight.threads, 3);
        assert!(tight.index_len.unwrap() > TABLES_LEN_MIN / 2);
        let least = many.shares(0, 4).unwrap_err();
        assert!(least < 60_000_000, "{least}");
        assert!(many.shares(least, 4).is_ok() && many.shares(least - 1, 4).is_err());
    }

    #[test]
    fn what_is_said_to_be_enough_is() {
        for objects in [0, 1000, 100_000, 1_000_000, 50_000_000, u64::MAX / 1000] {
            for archives in [false, true] {
                let tables = tables(objects, archives);
                let least = tables.shares(0, 2).unwrap_err();
                let shares = tables.shares(least, 2).unwrap();
                assert_eq!(shares.threads, 1, "{objects}");
                assert!(tables.shares(least - 1, 2).is_err(), "{objects}");
            }
        }
    }
}
