//! Saving what can be read of a damaged segment.

use std::io::IoSliceMut;

use ironborg_format::segment::{
    HEADER_LEN, MAGIC, MAGIC_LEN, is_whole_entry, salvageable_entry_size,
};
use ironborg_storage::{AppendFile, Storage};
use ironborg_types::SegmentId;

use super::SegmentLog;
use crate::RepositoryError;

/// Bytes held at once, as long as no entry seems to be larger.
const WINDOW_LEN: usize = 1 << 20;
/// A smaller file holds no entry.
const SIZE_MIN: u64 = (MAGIC_LEN + HEADER_LEN) as u64;

impl SegmentLog {
    /// Replaces a damaged segment by one that holds every entry of it that is whole, wherever in the
    /// file it begins. The damaged one is there until the other is durable.
    ///
    /// Source: Borg 1.4, `LoggedIO.recover_segment`.
    pub(crate) fn recover(&self, segment: SegmentId) -> Result<(), RepositoryError> {
        let name = self.name(segment);
        let staged = format!("{name}.tmp");
        if self.storage.status(&staged)?.is_some() {
            // Left by a recovery that was cut short.
            self.storage.remove(&staged)?;
        }
        let copied = self.copy_whole_entries(segment, &staged);
        if copied.is_err() {
            // The first error is the one to report.
            let _ = self.storage.remove(&staged);
        }
        copied?;
        Ok(self.storage.publish(&[&name])?)
    }

    fn copy_whole_entries(&self, segment: SegmentId, to: &str) -> Result<(), RepositoryError> {
        let size = self.size(segment)?.unwrap_or(0);
        let mut file = self.storage.create(to)?;
        file.append(&MAGIC)?;
        if size >= SIZE_MIN {
            let name = self.name(segment);
            let mut window = Window::new(&*self.storage, name, size, &mut *file, WINDOW_LEN);
            window.copy_whole_entries()?;
        }
        Ok(file.seal()?)
    }
}

/// A part of the segment, moving towards its end. Memory: twice the largest entry at most.
struct Window<'a> {
    storage: &'a dyn Storage,
    /// The segment.
    name: String,
    to: &'a mut dyn AppendFile,
    bytes: Vec<u8>,
    /// From here to `at` there are whole entries that were not written yet.
    kept: usize,
    /// What is being looked at.
    at: usize,
    /// Where what was read ends.
    end: usize,
    /// Where that is in the segment's file.
    offset: u64,
    /// How many bytes lie behind it.
    left: u64,
}

impl<'a> Window<'a> {
    fn new(
        storage: &'a dyn Storage,
        name: String,
        size: u64,
        to: &'a mut dyn AppendFile,
        len: usize,
    ) -> Self {
        Self {
            storage,
            name,
            to,
            bytes: vec![0; len],
            kept: 0,
            at: 0,
            end: 0,
            offset: 0,
            left: size,
        }
    }

    fn copy_whole_entries(&mut self) -> Result<(), RepositoryError> {
        while self.fill(HEADER_LEN)? {
            if self.is_at_whole_entry()? {
                let size = salvageable_entry_size(&self.bytes[self.at..self.end]);
                self.at += size.expect("that of the entry just found");
            } else {
                self.flush()?;
                self.at += 1;
                self.kept = self.at;
            }
        }
        self.flush()
    }

    fn is_at_whole_entry(&mut self) -> Result<bool, RepositoryError> {
        let Some(size) = salvageable_entry_size(&self.bytes[self.at..self.end]) else {
            return Ok(false);
        };
        Ok(self.fill(size)? && is_whole_entry(&self.bytes[self.at..self.at + size]))
    }

    /// Sees to it that there are `len` bytes from where it looks on; `false` if the segment ends before.
    fn fill(&mut self, len: usize) -> Result<bool, RepositoryError> {
        let have = self.end - self.at;
        if have >= len || (have as u64).saturating_add(self.left) < len as u64 {
            return Ok(have >= len);
        }
        self.flush()?;
        self.bytes.copy_within(self.at..self.end, 0);
        (self.kept, self.at, self.end) = (0, 0, have);
        if self.bytes.len() < len {
            // More than asked for, so that the next step does not move everything again.
            self.bytes.resize(2 * len, 0);
        }
        let buffers = &mut [IoSliceMut::new(&mut self.bytes[self.end..])];
        let count = self.storage.read_at(&self.name, self.offset, buffers)?;
        self.end += count;
        self.offset += count as u64;
        self.left = self.left.saturating_sub(count as u64);
        if self.end < len {
            // The file became shorter since.
            self.left = 0;
        }
        Ok(self.end >= len)
    }

    fn flush(&mut self) -> Result<(), RepositoryError> {
        if self.kept < self.at {
            self.to.append(&self.bytes[self.kept..self.at])?;
            self.kept = self.at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_format::segment::{COMMIT, delete_entry, put_header};
    use ironborg_storage::MemoryStorage;
    use ironborg_types::ChunkId;
    use proptest::prelude::*;

    /// What stock Borg does, word for word: one step back to the plainest form.
    fn plainly(mut bytes: &[u8]) -> Vec<u8> {
        let mut saved = MAGIC.to_vec();
        while bytes.len() >= HEADER_LEN {
            let crc = u32::from_le_bytes(bytes[..4].try_into().unwrap());
            let size = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            let is_entry = size <= 20 << 20
                && bytes[8] <= 15
                && size >= HEADER_LEN
                && size <= bytes.len()
                && crc == plain_crc(&bytes[4..size]);
            let step = if is_entry { size } else { 1 };
            if is_entry {
                saved.extend_from_slice(&bytes[..size]);
            }
            bytes = &bytes[step..];
        }
        saved
    }

    fn plain_crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
            })
        })
    }

    fn through_a_window(bytes: &[u8], len: usize) -> Vec<u8> {
        let storage = MemoryStorage::new();
        storage.create_dir_all("").unwrap();
        storage.write("damaged", bytes).unwrap();
        let mut file = storage.create("saved").unwrap();
        file.append(&MAGIC).unwrap();
        let (name, size) = ("damaged".to_owned(), bytes.len() as u64);
        let mut window = Window::new(&storage, name, size, &mut *file, len);
        window.copy_whole_entries().unwrap();
        file.seal().unwrap();
        storage.read("saved").unwrap()
    }

    fn entry() -> impl Strategy<Value = Vec<u8>> {
        let object = prop::collection::vec(any::<u8>(), 0..300);
        let put = object.prop_map(|object| {
            let header = put_header(&ChunkId([7; 32]), &object);
            [&header[..], &object].concat()
        });
        prop_oneof![
            4 => put,
            1 => Just(delete_entry(&ChunkId([9; 32])).to_vec()),
            1 => Just(COMMIT.to_vec()),
            // An entry of a Borg yet to come.
            1 => Just(with_checksum(&[14, 0, 0, 0, 15, 1, 2, 3, 4, 5])),
            1 => Just(with_checksum(&[10, 0, 0, 0, 16, 1])),
            1 => prop::collection::vec(any::<u8>(), 0..40),
            1 => Just(vec![0; 20]),
        ]
    }

    fn with_checksum(rest: &[u8]) -> Vec<u8> {
        [&plain_crc(rest).to_le_bytes(), rest].concat()
    }

    proptest! {
        #[test]
        fn what_is_saved_does_not_depend_on_the_window(
            entries in prop::collection::vec(entry(), 0..12),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<Option<prop::sample::Index>>(),
            len in 9_usize..200,
        ) {
            let mut bytes = [&MAGIC[..], &entries.concat()].concat();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            prop_assert_eq!(through_a_window(&bytes, len), plainly(&bytes));
        }
    }
}
