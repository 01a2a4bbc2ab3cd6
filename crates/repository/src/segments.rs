//! The log of segment files: naming, finding, reading and writing entries.
//!
//! What the entries mean is left to the transaction. Layout: docs/format.md, "Segment files".

mod changes;
mod entries;
mod pieces;
mod recover;
mod removal;
mod table;
mod writer;

use std::collections::BTreeSet;
use std::io::IoSliceMut;
use std::path::PathBuf;
use std::sync::Arc;

use ironborg_format::segment::{
    self, ATTIC_MAGIC, COMMIT, EntryError, HEADER_LEN, KEYED_HEADER_LEN, MAGIC_LEN,
};
use ironborg_storage::{EntryKind, Storage, StorageError};
use ironborg_types::{ChunkId, SegmentId};

pub(crate) use changes::{Changes, Damage, SegmentChanges, Showing};
pub(crate) use entries::Entries;
pub use entries::FoundEntry;
pub(crate) use recover::Salvage;
use table::Tables;
pub(crate) use table::{Row, Table};
use writer::Writer;

use crate::RepositoryError;
use crate::index::EntryLocation;
use crate::lock::{LeaseGuard, VOID_LEN, Void};
use crate::replay::ChangeKind;

/// How much is read together with an entry's header: saves most small objects the second call.
pub(crate) const SPECULATIVE_LEN: usize = 8 << 10;
/// What a buffer for that is filled up from: copied at once, where zeroing goes byte by byte in builds that are not
/// optimised, for every object of every test.
static NOTHING: [u8; SPECULATIVE_LEN] = [0; SPECULATIVE_LEN];
/// Where the segments are.
pub(crate) const DATA: &str = "data";

/// All segments, and the one being written.
pub(crate) struct SegmentLog {
    storage: Arc<dyn Storage>,
    segments_per_dir: u32,
    /// A new segment is begun when the current one is larger than this.
    size_max: u64,
    /// The number of the next segment to be begun.
    next: u32,
    writer: Option<Writer>,
    /// Where the lock is a lease: what has to be asked before a commit.
    guard: Option<LeaseGuard>,
    /// Segments to be removed when the index that does without them is in place.
    retired: BTreeSet<SegmentId>,
    /// What the transaction has written, as far as that is noted.
    tables: Tables,
    /// Bytes of entries the transaction has written.
    written_len: u64,
    /// The last COMMIT that was written here.
    own_commit: Option<SegmentId>,
}

/// Whether an entry may begin a new segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Begin the next segment.
    Next,
    /// Write nothing and say so.
    Refuse,
}

impl SegmentLog {
    pub(crate) fn new(storage: Arc<dyn Storage>, segments_per_dir: u32, size_max: u64) -> Self {
        assert!(segments_per_dir > 0, "checked when the config was read");
        Self {
            storage,
            segments_per_dir,
            size_max,
            next: 0,
            writer: None,
            guard: None,
            retired: BTreeSet::new(),
            tables: Tables::default(),
            written_len: 0,
            own_commit: None,
        }
    }

    /// From now on the lock is this lease.
    pub(crate) fn set_guard(&mut self, guard: Option<LeaseGuard>) {
        self.guard = guard;
    }

    /// The name of a segment's file.
    pub(crate) fn name(&self, segment: SegmentId) -> String {
        format!("{DATA}/{}/{segment}", segment.0 / self.segments_per_dir)
    }

    /// The numbers of the directories there are, ascending.
    fn dirs(&self) -> Result<Vec<u32>, StorageError> {
        let entries = self.storage.list(DATA)?;
        Ok(numbers(&entries, EntryKind::Directory))
    }

    /// The segments in one directory, ascending.
    fn segments_in(&self, dir: u32) -> Result<Vec<SegmentId>, StorageError> {
        let entries = self.storage.list(&format!("{DATA}/{dir}"))?;
        Ok(numbers(&entries, EntryKind::File)
            .into_iter()
            .filter(|number| number / self.segments_per_dir == dir)
            .map(SegmentId)
            .collect())
    }

    /// Bytes that may still be written behind what is in memory; `None` if the system does not say.
    pub(crate) fn room(&self) -> Option<u64> {
        let free = self.storage.free_space().ok()?;
        Some(free.saturating_sub(self.unwritten_len()))
    }

    /// How much of what was written is in memory only.
    pub(crate) fn unwritten_len(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::unwritten_len)
    }

    /// Where a segment's file is, for messages.
    pub(crate) fn path(&self, segment: SegmentId) -> PathBuf {
        self.storage.path(&self.name(segment))
    }

    /// Every segment file, ascending; logically deleted ones (of no length) too, but none that belongs to nothing.
    pub(crate) fn segments(&self) -> Result<Vec<SegmentId>, StorageError> {
        let mut segments = Vec::new();
        for dir in self.dirs()? {
            segments.extend(self.segments_in(dir)?);
        }
        self.leave_out_litter(&mut segments);
        Ok(segments)
    }

    /// The segments from `first` on, ascending.
    pub(crate) fn segments_from(&self, first: SegmentId) -> Result<Vec<SegmentId>, StorageError> {
        let mut segments = Vec::new();
        for dir in self.dirs()? {
            if dir >= first.0 / self.segments_per_dir {
                segments.extend(self.segments_in(dir)?);
            }
        }
        segments.retain(|&segment| segment >= first);
        self.leave_out_litter(&mut segments);
        Ok(segments)
    }

    /// The first segment from the end for which `wanted` holds.
    fn last_where(
        &self,
        mut wanted: impl FnMut(SegmentId) -> Result<bool, RepositoryError>,
    ) -> Result<Option<SegmentId>, RepositoryError> {
        for dir in self.dirs()?.into_iter().rev() {
            for segment in self.segments_in(dir)?.into_iter().rev() {
                if wanted(segment)? {
                    return Ok(Some(segment));
                }
            }
        }
        Ok(None)
    }

    /// The number of the last transaction that was committed.
    pub(crate) fn transaction_id(&self) -> Result<Option<SegmentId>, RepositoryError> {
        self.last_where(|segment| self.is_committed(segment))
    }

    /// The number of the last transaction that was committed, if that is `first` or one behind it. That of `known` is
    /// not read again.
    pub(crate) fn last_committed_from(
        &self,
        first: SegmentId,
        known: Option<SegmentId>,
    ) -> Result<Option<SegmentId>, RepositoryError> {
        for segment in self.segments_from(first)?.into_iter().rev() {
            if Some(segment) == known && self.size(segment)?.is_some() {
                return Ok(known);
            }
            if self.is_committed(segment)? {
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }

    /// The segment with the highest number.
    pub(crate) fn last(&self) -> Result<Option<SegmentId>, RepositoryError> {
        self.last_where(|_| Ok(true))
    }

    /// Whether the newest segment is one of Attic.
    pub(crate) fn is_attic(&self) -> Result<bool, RepositoryError> {
        let Some(segment) = self.last()? else {
            return Ok(false);
        };
        let mut magic = [0; MAGIC_LEN];
        self.read_at(segment, 0, &mut [IoSliceMut::new(&mut magic)])?;
        Ok(magic == ATTIC_MAGIC)
    }

    /// Whether a segment ends a transaction: sound from end to end, its last entry a COMMIT, and
    /// nothing but COMMITs behind the first one.
    pub(crate) fn is_committed(&self, segment: SegmentId) -> Result<bool, RepositoryError> {
        let size = self.size(segment)?.unwrap_or(0);
        if self.guard.is_some() && self.own_commit == Some(segment) && size > 0 {
            // It has arrived, and nobody but us changes anything.
            return Ok(true);
        }
        let Some(offset) = size.checked_sub(HEADER_LEN as u64) else {
            return Ok(false);
        };
        if self.is_distant() && size <= SPECULATIVE_LEN as u64 {
            self.will_need(segment, 0, size);
        }
        let mut tail = [0; HEADER_LEN];
        self.read_at(segment, offset, &mut [IoSliceMut::new(&mut tail)])?;
        if tail != COMMIT {
            return Ok(false);
        }
        let mut seen_commit = false;
        let mut entries = Entries::new(segment);
        loop {
            match entries.next(self) {
                Ok(None) => return Ok(seen_commit),
                Ok(Some(found)) if found.entry == segment::Entry::Commit => seen_commit = true,
                Ok(Some(_)) if seen_commit => return Ok(false),
                Ok(Some(_)) => {}
                Err(RepositoryError::BadEntry { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether there is a file of a segment, of whatever length.
    pub(crate) fn exists(&self, segment: SegmentId) -> Result<bool, StorageError> {
        Ok(self.storage.status(&self.name(segment))?.is_some())
    }

    /// Size of a segment's file; `None` if there is none, or one of no length.
    pub(crate) fn size(&self, segment: SegmentId) -> Result<Option<u64>, StorageError> {
        let status = self.storage.status(&self.name(segment))?;
        Ok(status.map(|s| s.size).filter(|&size| size > 0))
    }

    /// Reads one object into `out`, checked to be whole and for this id.
    pub(crate) fn read_object(
        &self,
        at: EntryLocation,
        id: &ChunkId,
        out: &mut Vec<u8>,
    ) -> Result<(), RepositoryError> {
        let mut header = [0; KEYED_HEADER_LEN];
        // A buffer that was used before keeps its length meanwhile: no need to zero it again.
        if out.len() < SPECULATIVE_LEN {
            out.extend_from_slice(&NOTHING[out.len()..]);
        }
        let count = self.read_at(
            at.segment,
            u64::from(at.offset),
            &mut [
                IoSliceMut::new(&mut header),
                IoSliceMut::new(&mut out[..SPECULATIVE_LEN]),
            ],
        )?;
        let bad = |error| bad_entry(at.segment, u64::from(at.offset), error);
        let fields =
            segment::Header::decode(&header[..count.min(KEYED_HEADER_LEN)], KEYED_HEADER_LEN)
                .map_err(bad)?;
        let len = fields.size as usize - KEYED_HEADER_LEN;
        let mut have = (count - KEYED_HEADER_LEN).min(len);
        out.resize(len, 0);
        if have < len && count == KEYED_HEADER_LEN + SPECULATIVE_LEN {
            let offset = u64::from(at.offset) + count as u64;
            have += self.read_at(at.segment, offset, &mut [IoSliceMut::new(&mut out[have..])])?;
        }
        out.truncate(have);
        segment::check_put(&header, out, id).map_err(bad)
    }

    /// Length of an object's entry, header included, from its unchecked header.
    pub(crate) fn read_size(
        &self,
        at: EntryLocation,
        id: &ChunkId,
    ) -> Result<u32, RepositoryError> {
        let mut header = [0; KEYED_HEADER_LEN];
        let count = self.read_at(
            at.segment,
            u64::from(at.offset),
            &mut [IoSliceMut::new(&mut header)],
        )?;
        let bad = |error| bad_entry(at.segment, u64::from(at.offset), error);
        let fields = segment::Header::decode(&header[..count], KEYED_HEADER_LEN).map_err(bad)?;
        segment::check_put_header(&header, id).map_err(bad)?;
        Ok(fields.size)
    }

    /// Tells the storage which part of a segment will be read soon.
    pub(crate) fn will_need(&self, segment: SegmentId, offset: u64, len: u64) {
        self.storage.will_need(&self.name(segment), offset, len);
    }

    /// Reads from a segment, the unwritten end of the one being written included.
    fn read_at(
        &self,
        segment: SegmentId,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, StorageError> {
        if let Some(writer) = &self.writer
            && writer.segment == segment
            && let Some(unwritten) = writer.unwritten(offset)
        {
            return Ok(copy_into(unwritten, buffers));
        }
        self.storage.read_at(&self.name(segment), offset, buffers)
    }

    /// Removes what an unfinished transaction left and continues behind transaction `id`.
    ///
    /// Without `id` everything there is would be removed. Returns how many segments were.
    pub(crate) fn begin_after(&mut self, id: Option<SegmentId>) -> Result<u32, RepositoryError> {
        self.writer = None;
        self.retired.clear();
        self.note_tables(0);
        self.next = id.map_or(Ok(0), following)?;
        let fences = self.leave_out(id)?;
        let mut count = 0;
        for dir in self.dirs()?.into_iter().rev() {
            let segments = self.segments_in(dir)?;
            if let Some(guard) = &self.guard
                && segments.iter().any(|&segment| Some(segment) > id)
            {
                // Were the lease lost by now, some of them might be what another one has committed.
                guard.confirm()?;
            }
            for segment in segments.into_iter().rev() {
                if id.is_some_and(|id| segment <= id) {
                    return Ok(count);
                }
                if !fences.contains(&self.name(segment)) {
                    self.delete(segment)?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// Goes on behind the numbers that a writer which has lost its lease may still use, and removes what it has left in
    /// the meantime. Returns the names of segments that have to stay.
    fn leave_out(&mut self, committed: Option<SegmentId>) -> Result<Vec<String>, RepositoryError> {
        let Some(guard) = self.guard.clone() else {
            return Ok(Vec::new());
        };
        if guard.is_inherited() {
            let last = self.last()?.max(committed).map_or(0, |last| last.0);
            guard.add_void(Void {
                first: self.next,
                last: last.saturating_add(VOID_LEN),
            })?;
        }
        let fences = guard.fences();
        for void in guard.voids() {
            self.next = self.next.max(following(SegmentId(void.last))?);
            if committed.is_none_or(|committed| committed.0 < void.first) {
                // Behind the last commit everything goes in any case.
                continue;
            }
            for segment in self.segments_between(void)? {
                if !fences.contains(&self.name(segment)) {
                    self.delete(segment)?;
                }
            }
        }
        Ok(fences)
    }

    fn segments_between(&self, void: Void) -> Result<Vec<SegmentId>, StorageError> {
        let mut found = Vec::new();
        let dirs = void.first / self.segments_per_dir..=void.last / self.segments_per_dir;
        for dir in self.dirs()?.into_iter().filter(|dir| dirs.contains(dir)) {
            let segments = self.segments_in(dir)?.into_iter();
            found.extend(segments.filter(|segment| void.contains(segment.0)));
        }
        Ok(found)
    }

    /// Begins the very first transaction. Segments that are there are left alone: they may be all that
    /// a damaged repository has, so writing will fail.
    pub(crate) fn begin_first(&mut self) {
        self.writer = None;
        self.note_tables(0);
        self.next = 0;
    }

    /// Takes back the very first transaction, which nobody could tell from the remains of a damaged
    /// repository later. Only what this process has written is removed.
    pub(crate) fn undo_first(&mut self) -> Result<(), StorageError> {
        self.writer = None;
        for segment in (0..std::mem::take(&mut self.next)).rev() {
            self.delete(SegmentId(segment))?;
        }
        Ok(())
    }

    /// Stops writing without making anything durable.
    pub(crate) fn abandon(&mut self) {
        self.writer = None;
    }

    /// Appends a PUT; `None` if that would need a new segment and none may be begun.
    ///
    /// # Panics
    /// If the object is larger than an entry can be: callers check that first.
    pub(crate) fn write_put(
        &mut self,
        id: &ChunkId,
        object: &[u8],
        when_full: WhenFull,
    ) -> Result<Option<EntryLocation>, RepositoryError> {
        let header = segment::put_header(id, object);
        let at = self.write(id, &header, object, when_full)?;
        let size = u32::try_from(header.len() + object.len()).expect("bounded by the format");
        Ok(at.inspect(|at| self.note(*at, (ChangeKind::Put, id, size), 0)))
    }

    /// Appends a DELETE; `None` if that would need a new segment and none may be begun. `superseded`: size of the PUT
    /// that is the current one, 0 if there is none.
    pub(crate) fn write_delete(
        &mut self,
        id: &ChunkId,
        superseded: u32,
        when_full: WhenFull,
    ) -> Result<Option<EntryLocation>, RepositoryError> {
        let entry = segment::delete_entry(id);
        let at = self.write(id, &entry, &[], when_full)?;
        let size = u32::try_from(entry.len()).expect("41");
        Ok(at.inspect(|at| self.note(*at, (ChangeKind::Delete, id, size), superseded)))
    }

    fn write(
        &mut self,
        id: &ChunkId,
        header: &[u8],
        body: &[u8],
        when_full: WhenFull,
    ) -> Result<Option<EntryLocation>, RepositoryError> {
        // The manifest always gets its own segment: it is rewritten in every transaction.
        let wants_new = *id == ChunkId::MANIFEST;
        if let Some(writer) = &self.writer {
            if wants_new || writer.offset() > self.size_max {
                if when_full == WhenFull::Refuse {
                    return Ok(None);
                }
                if let Some(writer) = self.writer.take() {
                    writer.seal_later()?;
                }
            }
        } else if wants_new && when_full == WhenFull::Refuse {
            return Ok(None);
        }
        let writer = self.current()?;
        let location = EntryLocation {
            segment: writer.segment,
            offset: u32::try_from(writer.offset())
                .expect("the largest segment size leaves room for one entry"),
        };
        writer.write(header, body)?;
        self.written_len += (header.len() + body.len()) as u64;
        Ok(Some(location))
    }

    /// Appends a COMMIT to the segment being written, everything before it durable first, and ends it.
    pub(crate) fn write_intermediate_commit(&mut self) -> Result<SegmentId, RepositoryError> {
        if self.guard.is_some() {
            return self.write_commit();
        }
        let writer = self.current()?;
        writer.sync()?;
        self.write_commit_entry()
    }

    /// Ends the segment being written, durably, and appends a COMMIT in the next one.
    pub(crate) fn write_commit(&mut self) -> Result<SegmentId, RepositoryError> {
        self.finish_segment()?;
        let Some(guard) = self.guard.clone() else {
            return self.write_commit_entry();
        };
        guard.announce(&self.name(SegmentId(self.next)))?;
        let committed = self.write_commit_entry()?;
        guard.settle();
        Ok(committed)
    }

    fn write_commit_entry(&mut self) -> Result<SegmentId, RepositoryError> {
        let writer = self.current()?;
        let segment = writer.segment;
        writer.write(&COMMIT, &[])?;
        self.finish_segment()?;
        self.tables.begin(segment);
        self.own_commit = Some(segment);
        Ok(segment)
    }

    /// Makes the segment being written durable and ends it.
    fn finish_segment(&mut self) -> Result<(), RepositoryError> {
        match self.writer.take() {
            Some(writer) => Ok(writer.seal()?),
            None => Ok(()),
        }
    }

    /// The segment being written, begun if there is none.
    fn current(&mut self) -> Result<&mut Writer, RepositoryError> {
        if self.writer.is_none() {
            let segment = SegmentId(self.next);
            let following = following(segment)?;
            if segment.0.is_multiple_of(self.segments_per_dir) {
                let dir = format!("{DATA}/{}", segment.0 / self.segments_per_dir);
                if self.storage.create_dir(&dir)? {
                    self.storage.sync_dir(DATA)?;
                }
            }
            let file = self.storage.create(&self.name(segment))?;
            self.next = following;
            self.writer = Some(Writer::new(file, segment));
        }
        Ok(self.writer.as_mut().expect("just begun"))
    }
}

/// The number behind; numbers never wrap around.
fn following(segment: SegmentId) -> Result<u32, RepositoryError> {
    segment
        .0
        .checked_add(1)
        .ok_or(RepositoryError::CheckNeeded {
            what: "segment numbers are used up".to_owned(),
        })
}

/// Names that are numbers, ascending; others, and numbers written oddly, are none of ours.
fn numbers(entries: &[ironborg_storage::StorageEntry], kind: EntryKind) -> Vec<u32> {
    let mut numbers: Vec<u32> = entries
        .iter()
        .filter(|entry| entry.kind == kind)
        .filter_map(|entry| {
            let number: u32 = entry.name.parse().ok()?;
            (number.to_string() == entry.name).then_some(number)
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

fn copy_into(mut bytes: &[u8], buffers: &mut [IoSliceMut<'_>]) -> usize {
    let mut done = 0;
    for buffer in buffers {
        let count = buffer.len().min(bytes.len());
        let (head, tail) = bytes.split_at(count);
        buffer[..count].copy_from_slice(head);
        bytes = tail;
        done += count;
    }
    done
}

pub(crate) fn bad_entry(segment: SegmentId, offset: u64, error: EntryError) -> RepositoryError {
    RepositoryError::BadEntry {
        segment,
        offset,
        reason: error.to_string(),
        detail: error.detail(),
    }
}
