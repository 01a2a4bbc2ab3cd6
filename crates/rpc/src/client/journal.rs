//! What was sent since the last commit, so that it can be sent again: a server forgets it when the connection breaks.

use std::path::PathBuf;

use ironborg_storage::{Spool, StorageError};

/// So much is kept in memory before there is a file.
const MEMORY_LEN: usize = 8 * 1024 * 1024;
/// What comes later is written in pieces of this length, longer messages as they are.
const PIECE_LEN: usize = 256 * 1024;
/// What part of the free space of its file system a journal may take.
const FREE_SPACE_PART: u64 = 10;
/// How much is read back at a time.
const READ_LEN: u64 = 1024 * 1024;

/// Where a journal may be, and how long.
#[derive(Debug, Clone, Default)]
pub struct JournalOptions {
    /// The directory of the file that holds what is too much for memory; without one nothing is.
    pub directory: Option<PathBuf>,
    /// Longest journal, in bytes. Less if that were more than a tenth of the free space.
    pub len_max: u64,
}

/// Whole messages, one behind the other, as they were sent.
#[derive(Debug)]
pub(super) struct Journal {
    options: JournalOptions,
    /// The older part.
    spool: Option<Spool>,
    /// The newer part; once there is a file, less than a piece of it.
    memory: Vec<u8>,
    count: u64,
    /// Longest length, once the file system was asked.
    len_max: u64,
    /// Something is missing in it.
    is_incomplete: bool,
}

impl Journal {
    pub(super) fn new(options: JournalOptions) -> Self {
        Self {
            len_max: options.len_max,
            options,
            spool: None,
            memory: Vec::new(),
            count: 0,
            is_incomplete: false,
        }
    }

    /// Whether nothing was sent.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether everything that was sent is in it.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_incomplete
    }

    /// Whether a commit would be a good idea, because what was sent is going to be too much.
    pub(super) fn is_long(&self) -> bool {
        self.len_max > 0 && !self.is_incomplete && self.len() >= self.len_max / 2
    }

    /// How many messages there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes those are.
    pub(super) fn len(&self) -> u64 {
        self.spooled() + self.memory.len() as u64
    }

    fn spooled(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::len)
    }

    /// Appends a message, if there is room.
    pub(super) fn append(&mut self, frame: &[u8]) {
        self.count += 1;
        if self.is_incomplete {
            return;
        }
        if self.len() + frame.len() as u64 > self.len_max {
            return self.stop();
        }
        let is_filed = self.spool.is_some();
        let room = if is_filed { PIECE_LEN } else { MEMORY_LEN };
        if !self.memory.is_empty() && self.memory.len() + frame.len() > room {
            match self.spill() {
                // The free space may have been less than hoped for.
                Ok(()) if self.len() + frame.len() as u64 <= self.len_max => {}
                _ => return self.stop(),
            }
        }
        match &mut self.spool {
            Some(spool) if frame.len() >= PIECE_LEN => {
                // Straight from the buffer it is sent from.
                if spool.append_out(frame).is_err() {
                    self.stop();
                }
            }
            _ => self.memory.extend_from_slice(frame),
        }
    }

    /// Gives up: half a journal is of no use.
    fn stop(&mut self) {
        self.is_incomplete = true;
        self.memory = Vec::new();
        self.spool = None;
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self) -> Result<(), StorageError> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => {
                let directory = self.options.directory.as_deref();
                let spool = Spool::create(directory.unwrap_or("/dev/null".as_ref()))?;
                let part = spool.free_space()? / FREE_SPACE_PART;
                self.len_max = self.options.len_max.min(part);
                none.insert(spool)
            }
        };
        // It is read only if the connection breaks.
        spool.append_out(&self.memory)?;
        self.memory.clear();
        self.memory.shrink_to(PIECE_LEN);
        Ok(())
    }

    /// Forgets everything: it was committed, or is not wanted any more.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.is_incomplete = false;
        self.memory.clear();
        if self
            .spool
            .as_mut()
            .is_some_and(|spool| spool.clear().is_err())
        {
            // A new one is made when needed.
            self.spool = None;
        }
    }

    /// Gives all bytes in order, in pieces.
    ///
    /// # Errors
    /// The file cannot be read, or `each` fails.
    pub(super) fn read<E: From<StorageError>>(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut offset = 0;
        let mut piece = Vec::new();
        if let Some(spool) = &self.spool {
            while offset < spool.len() {
                let len = READ_LEN.min(spool.len() - offset);
                piece.resize(usize::try_from(len).unwrap_or(0), 0);
                spool.read_exact_at(offset, &mut piece)?;
                each(&piece)?;
                offset += len;
            }
        }
        self.memory.chunks(1024 * 1024).try_for_each(each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(journal: &Journal) -> Vec<u8> {
        let mut all = Vec::new();
        journal
            .read(|piece| {
                all.extend_from_slice(piece);
                Ok::<(), StorageError>(())
            })
            .unwrap();
        all
    }

    fn options(directory: Option<PathBuf>, len_max: u64) -> JournalOptions {
        JournalOptions { directory, len_max }
    }

    #[test]
    fn what_was_appended_is_read_in_order_from_memory_and_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(options(Some(dir.path().to_owned()), 64 << 20));
        for round in 0..2_u8 {
            let mut expected = Vec::new();
            for at in 0..40_u8 {
                let frame = vec![at ^ round; 400_000 + usize::from(at)];
                journal.append(&frame);
                expected.extend_from_slice(&frame);
            }
            assert!(journal.spooled() > 0);
            assert_eq!(journal.count(), 40);
            assert!(journal.is_complete());
            assert!(content(&journal) == expected);
            journal.clear();
            assert!(journal.is_empty());
            assert_eq!(content(&journal), [0_u8; 0]);
        }
    }

    #[test]
    fn a_small_journal_makes_no_file() {
        let mut journal = Journal::new(options(None, 64 << 20));
        journal.append(&[1; 1000]);
        assert!(journal.is_complete());
        assert_eq!(content(&journal).len(), 1000);
    }

    #[test]
    fn without_room_it_is_incomplete_until_the_next_commit() {
        let mut nowhere = Journal::new(options(None, 64 << 20));
        let mut short = Journal::new(options(None, 2_500_000));
        for journal in [&mut nowhere, &mut short] {
            for _ in 0..20 {
                journal.append(&vec![0; 500_000]);
            }
            assert!(!journal.is_complete() && !journal.is_long());
            journal.clear();
            journal.append(&vec![7; 1_500_000]);
            assert!(journal.is_complete());
            assert!(content(journal) == vec![7; 1_500_000]);
        }
        assert!(short.is_long());
    }

    #[test]
    fn a_journal_of_no_length_is_none() {
        let mut journal = Journal::new(JournalOptions::default());
        assert!(journal.is_complete());
        journal.append(b"frame");
        assert!(!journal.is_complete() && !journal.is_empty());
    }
}
