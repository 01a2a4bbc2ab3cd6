//! Saving what can be read of a damaged segment.

use std::io::IoSliceMut;
use std::ops::Range;

use ironborg_format::segment::{
    HEADER_LEN, MAGIC, MAGIC_LEN, decode_entry, is_whole_entry, salvageable_entry_size,
};
use ironborg_storage::{AppendFile, EntryKind, Storage};
use ironborg_types::SegmentId;

use super::{DATA, FoundEntry, SegmentLog};
use crate::RepositoryError;
use crate::replay::Change;

/// Bytes held at once, as long as no entry seems to be larger.
const WINDOW_LEN: usize = 1 << 20;
/// A smaller file holds no entry.
const SIZE_MIN: u64 = (MAGIC_LEN + HEADER_LEN) as u64;
/// Behind the name of a damaged segment that was replaced. Neither program takes that for a segment's name.
const ORIGINAL: &str = "beforerecover";

/// What of a damaged segment can be read.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    /// Whole entries, those of a Borg yet to come included.
    pub(crate) entries: usize,
    /// What they do, where they lie in the damaged file.
    pub(crate) changes: Vec<Change>,
    /// The bytes they take, in order; runs do not touch each other.
    runs: Vec<Range<u64>>,
    /// Bytes of the damaged file.
    pub(crate) size: u64,
}

impl Salvage {
    /// The parts of the file that no whole entry takes; that at its start is not looked at.
    pub(crate) fn lost(&self) -> Vec<Range<u64>> {
        let starts = std::iter::once(MAGIC_LEN as u64).chain(self.runs.iter().map(|run| run.end));
        let ends = self.runs.iter().map(|run| run.start);
        let gaps = starts.zip(ends.chain(std::iter::once(self.size)));
        gaps.filter(|(start, end)| start < end)
            .map(|(start, end)| start..end)
            .collect()
    }

    fn add(&mut self, found: &FoundEntry<'_>) {
        self.changes.extend(Change::of(found));
    }

    fn add_run(&mut self, run: Range<u64>) {
        match self.runs.last_mut() {
            Some(last) if last.end == run.start => last.end = run.end,
            _ => self.runs.push(run),
        }
    }
}

impl SegmentLog {
    /// Replaces a damaged segment by one that holds every entry of it that is whole, wherever in the
    /// file it begins. The damaged one is there until the other is durable; if it is to be kept, until
    /// [`SegmentLog::forget_originals`].
    ///
    /// Source: Borg 1.4, `LoggedIO.recover_segment`.
    pub(crate) fn recover(
        &self,
        segment: SegmentId,
        keep: bool,
    ) -> Result<Salvage, RepositoryError> {
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
        let salvage = copied?;
        if keep {
            self.keep_original(&name)?;
        }
        self.storage.publish(&[&name])?;
        Ok(salvage)
    }

    /// What [`SegmentLog::recover`] would save; nothing is changed.
    pub(crate) fn salvage(&self, segment: SegmentId) -> Result<Salvage, RepositoryError> {
        self.read_whole_entries(segment, None)
    }

    fn copy_whole_entries(&self, segment: SegmentId, to: &str) -> Result<Salvage, RepositoryError> {
        let mut file = self.storage.create(to)?;
        file.append(&MAGIC)?;
        let salvage = self.read_whole_entries(segment, Some(&mut *file))?;
        file.seal()?;
        Ok(salvage)
    }

    fn read_whole_entries<'a>(
        &'a self,
        segment: SegmentId,
        to: Option<&'a mut dyn AppendFile>,
    ) -> Result<Salvage, RepositoryError> {
        let size = self.size(segment)?.unwrap_or(0);
        if size < SIZE_MIN {
            return Ok(Salvage {
                size,
                ..Salvage::default()
            });
        }
        let name = self.name(segment);
        let mut window = Window::new(&*self.storage, name, size, to, WINDOW_LEN);
        window.copy_whole_entries()?;
        Ok(window.salvage)
    }

    /// Gives a damaged segment that is about to be replaced another name, durably. What an earlier repair, which did
    /// not come to its end, has kept is nearer to what there was.
    fn keep_original(&self, name: &str) -> Result<(), RepositoryError> {
        let original = format!("{name}.{ORIGINAL}");
        if self.storage.status(&original)?.is_some() {
            return Ok(());
        }
        if self.storage.link(name, &original)? {
            let (dir, _) = name.rsplit_once('/').expect("segments lie in directories");
            return Ok(self.storage.sync_dir(dir)?);
        }
        // A file system without links. Cut short, it is a part of what is still there.
        let mut copy = self.storage.create(&original)?;
        let (mut piece, mut offset) = (vec![0; WINDOW_LEN], 0);
        loop {
            let buffers = &mut [IoSliceMut::new(&mut piece)];
            let count = self.storage.read_at(name, offset, buffers)?;
            if count == 0 {
                return Ok(copy.seal()?);
            }
            copy.append(&piece[..count])?;
            offset += count as u64;
        }
    }

    /// Removes what was kept of damaged segments, by this repair or one that did not come to its end.
    pub(crate) fn forget_originals(&self) -> Result<(), RepositoryError> {
        for number in self.dirs()? {
            let dir = format!("{DATA}/{number}");
            let mut any = false;
            for entry in self.storage.list(&dir)? {
                let segment = entry.name.strip_suffix(ORIGINAL);
                let segment = segment.and_then(|name| name.strip_suffix('.'));
                let is_segment = segment.is_some_and(|name| name.parse::<u32>().is_ok());
                if is_segment && entry.kind == EntryKind::File {
                    self.storage.remove(&format!("{dir}/{}", entry.name))?;
                    any = true;
                }
            }
            if any {
                self.storage.sync_dir(&dir)?;
            }
        }
        Ok(())
    }
}

/// A part of the segment, moving towards its end. Memory: twice the largest entry at most.
struct Window<'a> {
    storage: &'a dyn Storage,
    /// The segment.
    name: String,
    /// `None` if what is whole is only noted.
    to: Option<&'a mut dyn AppendFile>,
    salvage: Salvage,
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
        to: Option<&'a mut dyn AppendFile>,
        len: usize,
    ) -> Self {
        Self {
            storage,
            name,
            to,
            salvage: Salvage {
                size,
                ..Salvage::default()
            },
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
                let size = size.expect("that of the entry just found");
                self.note(size);
                self.at += size;
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

    /// Notes the whole entry that is looked at.
    fn note(&mut self, size: usize) {
        self.salvage.entries += 1;
        let offset = self.position(self.at);
        let entry = &self.bytes[self.at..self.at + size];
        if let (Ok((entry, _)), Ok(offset), Ok(size)) = (
            decode_entry(entry),
            u32::try_from(offset),
            u32::try_from(size),
        ) {
            self.salvage.add(&FoundEntry {
                entry,
                offset,
                size,
            });
        }
    }

    /// Where a byte of the window is in the segment's file.
    fn position(&self, at: usize) -> u64 {
        self.offset - (self.end - at) as u64
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
            let run = self.position(self.kept)..self.position(self.at);
            self.salvage.add_run(run);
            if let Some(to) = &mut self.to {
                to.append(&self.bytes[self.kept..self.at])?;
            }
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
        let mut window = Window::new(&storage, name, size, Some(&mut *file), len);
        window.copy_whole_entries().unwrap();
        let salvage = window.salvage;
        file.seal().unwrap();
        let saved = storage.read("saved").unwrap();
        let noted = salvage.runs.iter().map(|run| {
            let place = |at: u64| usize::try_from(at).unwrap();
            &bytes[place(run.start)..place(run.end)]
        });
        assert_eq!(noted.collect::<Vec<_>>().concat(), &saved[MAGIC_LEN..]);
        for change in &salvage.changes {
            let entry = &bytes[usize::try_from(change.offset()).unwrap()..];
            assert!(decode_entry(entry).is_ok(), "{change:?}");
        }
        saved
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
