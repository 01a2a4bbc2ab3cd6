//! Writing the content of regular files, or only verifying it.
//!
//! A file of few bytes is written by one worker from start to end. A large one is cut into parts that
//! any worker may write at their place; whoever writes the last part finishes the file.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ironborg_format::item::{ChunkEntry, Item};
use ironborg_source::path::strip_components;
use ironborg_source::restore::RestoredFile;
use ironborg_source::walk::FileKind;
use ironborg_source::{RestoreRoot, SourceError};
use ironborg_types::ChunkId;

use super::attributes::values;
use super::report::Report;
use crate::ArchiveError;
use crate::items::ObjectReader;

/// A regular file that is to be restored.
#[derive(Debug)]
pub(super) struct FileTask {
    /// Place of the item in the archive, from 0.
    pub(super) number: u64,
    /// The item; it has chunks.
    pub(super) item: Item,
    /// Leading components of its path that are left out.
    pub(super) strip: usize,
}

impl FileTask {
    /// Where it goes, below the target directory.
    pub(super) fn destination(&self) -> &[u8] {
        strip_components(&self.item.path, self.strip)
    }

    pub(super) fn chunks(&self) -> &[ChunkEntry] {
        self.item.chunks.as_deref().unwrap_or_default()
    }
}

/// A large file whose parts are written by several workers.
#[derive(Debug)]
pub(super) struct SharedFile<'r> {
    task: FileTask,
    /// None: only verified.
    file: Option<RestoredFile<'r>>,
    /// Bytes the chunks are said to hold.
    len: u64,
    parts_left: AtomicUsize,
    damaged: AtomicBool,
    /// A chunk is not as long as its entry says: places of the others cannot be known.
    misfit: AtomicBool,
    write_error: Mutex<Option<SourceError>>,
}

/// Consecutive chunks of a large file.
#[derive(Debug)]
pub(super) struct Part<'r> {
    file: Arc<SharedFile<'r>>,
    first: usize,
    end: usize,
    offset: u64,
}

impl<'r> SharedFile<'r> {
    /// Cuts the file into parts of at least `part_len` bytes.
    pub(super) fn cut(
        task: FileTask,
        file: Option<RestoredFile<'r>>,
        part_len: u64,
    ) -> Vec<Part<'r>> {
        let mut ranges = Vec::new();
        let (mut first, mut start, mut offset) = (0, 0_u64, 0_u64);
        for (index, chunk) in task.chunks().iter().enumerate() {
            offset += u64::from(chunk.size);
            if offset - start >= part_len {
                ranges.push((first, index + 1, start));
                (first, start) = (index + 1, offset);
            }
        }
        if first < task.chunks().len() || ranges.is_empty() {
            ranges.push((first, task.chunks().len(), start));
        }
        let shared = Arc::new(Self {
            task,
            file,
            len: offset,
            parts_left: AtomicUsize::new(ranges.len()),
            damaged: AtomicBool::new(false),
            misfit: AtomicBool::new(false),
            write_error: Mutex::default(),
        });
        let part = |(first, end, offset)| Part {
            file: Arc::clone(&shared),
            first,
            end,
            offset,
        };
        ranges.into_iter().map(part).collect()
    }
}

impl Part<'_> {
    /// The chunks of this part.
    pub(super) fn chunks(&self) -> &[ChunkEntry] {
        &self.file.task.chunks()[self.first..self.end]
    }
}

/// What became of a file when its last part was written; `None`: other parts are missing.
pub(super) type Finished = Option<bool>;

/// Restores files on one thread. Memory: one object and its plaintext.
pub(super) struct FileRestorer<'a> {
    reader: ObjectReader<'a>,
    root: Option<&'a RestoreRoot>,
    report: &'a Report<'a>,
    sparse: bool,
    plaintext: Vec<u8>,
    /// The chunk whose plaintext is at hand: sparse files repeat one many times.
    current: Option<ChunkId>,
}

impl<'a> FileRestorer<'a> {
    /// Without a root, content is read and verified only.
    pub(super) fn new(
        reader: ObjectReader<'a>,
        root: Option<&'a RestoreRoot>,
        report: &'a Report<'a>,
        sparse: bool,
    ) -> Self {
        Self {
            reader,
            root,
            report,
            sparse,
            plaintext: Vec::new(),
            current: None,
        }
    }

    /// Restores a file from start to end. False: it is not as it should be, and that was reported.
    pub(super) fn restore(&mut self, task: &FileTask) -> bool {
        let file = match self.root {
            None => None,
            Some(root) => match create(root, task.destination()) {
                Ok(file) => Some(file),
                Err(error) => {
                    self.report.warn(&task.item.path, &error);
                    return false;
                }
            },
        };
        self.write_all(task, file.as_ref())
    }

    /// Restores one part of a large file, and finishes the file if it was the last one.
    pub(super) fn restore_part(&mut self, part: &Part<'_>) -> Finished {
        let shared = &*part.file;
        if !shared.misfit.load(Ordering::Relaxed)
            && let Err(error) = self.write_part(part)
        {
            let mut slot = shared
                .write_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            slot.get_or_insert(error);
        }
        // Whoever finishes must see what the others have noted.
        if shared.parts_left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        Some(self.finish_shared(shared))
    }

    fn write_part(&mut self, part: &Part<'_>) -> Result<(), SourceError> {
        let shared = &*part.file;
        let mut offset = part.offset;
        for chunk in part.chunks() {
            match self.fetch(chunk) {
                Err(error) => {
                    let FileTask { number, item, .. } = &shared.task;
                    self.report.chunk_error(*number, item, chunk, offset, error);
                    shared.damaged.store(true, Ordering::Relaxed);
                    leave_hole(shared.file.as_ref(), offset, chunk)?;
                }
                Ok(()) if self.plaintext.len() != chunk.size as usize => {
                    shared.misfit.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                Ok(()) => {
                    self.report
                        .progress(&shared.task.item.path, self.plaintext.len());
                    if let Some(file) = &shared.file
                        && !(self.sparse && ironborg_chunker::is_zero(&self.plaintext))
                    {
                        file.write_at(&self.plaintext, offset)?;
                    }
                }
            }
            offset += u64::from(chunk.size);
        }
        Ok(())
    }

    fn finish_shared(&mut self, shared: &SharedFile<'_>) -> bool {
        let (task, file) = (&shared.task, shared.file.as_ref());
        let error = shared
            .write_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(error) = error {
            self.report.warn(&task.item.path, &error);
            return false;
        }
        if shared.misfit.load(Ordering::Relaxed) {
            // Rare enough to start over: one after the other, as long as they really are.
            return self.write_all(task, file);
        }
        let damaged = shared.damaged.load(Ordering::Relaxed);
        self.finish(task, file, shared.len, damaged)
    }

    /// Writes all chunks one after the other, whatever their entries say of their length.
    fn write_all(&mut self, task: &FileTask, file: Option<&RestoredFile<'_>>) -> bool {
        let (mut offset, mut damaged) = (0_u64, false);
        for chunk in task.chunks() {
            if let Err(error) = self.fetch(chunk) {
                self.report
                    .chunk_error(task.number, &task.item, chunk, offset, error);
                damaged = true;
                if let Err(error) = leave_hole(file, offset, chunk) {
                    self.report.warn(&task.item.path, &error);
                    return false;
                }
                offset += u64::from(chunk.size);
                continue;
            }
            self.report.progress(&task.item.path, self.plaintext.len());
            if let Some(file) = file
                && !(self.sparse && ironborg_chunker::is_zero(&self.plaintext))
                && let Err(error) = file.write_at(&self.plaintext, offset)
            {
                self.report.warn(&task.item.path, &error);
                return false;
            }
            offset += self.plaintext.len() as u64;
        }
        self.finish(task, file, offset, damaged)
    }

    /// Sets length and attributes of a file whose content was written, and compares its length.
    fn finish(
        &mut self,
        task: &FileTask,
        file: Option<&RestoredFile<'_>>,
        len: u64,
        damaged: bool,
    ) -> bool {
        let item = &task.item;
        if let Some(file) = file {
            // A file that lost content keeps the mode and times of an unfinished one: nothing that
            // goes by them takes it for the original.
            let result = if damaged {
                Ok(())
            } else {
                self.finish_file(file, item, len)
            };
            if let Err(error) = result {
                self.report.warn(&item.path, &error);
                return false;
            }
        }
        if damaged {
            return false; // Every lost chunk was reported.
        }
        if let Some(size) = item.size
            && size != len
        {
            self.report
                .warn_backup_error(&item.path, &super::size_mismatch(size, len));
            return false;
        }
        if item.chunks_healthy.is_some() {
            self.report
                .warn_backup_error(&item.path, super::DAMAGED_CHUNKS);
            return false;
        }
        true
    }

    fn finish_file(
        &self,
        file: &RestoredFile<'_>,
        item: &Item,
        len: u64,
    ) -> Result<(), SourceError> {
        let set = file.finish(len, &values(item), self.report.reporter())?;
        self.report.attributes_set(set);
        Ok(())
    }

    /// Brings the chunk's plaintext to hand.
    fn fetch(&mut self, chunk: &ChunkEntry) -> Result<(), ArchiveError> {
        if self.current == Some(chunk.id) {
            return Ok(());
        }
        self.current = None;
        self.reader.read(&chunk.id, &mut self.plaintext)?;
        self.current = Some(chunk.id);
        Ok(())
    }
}

/// Leaves zeros where a chunk is lost; its last byte is written, so that the file gets its length.
fn leave_hole(
    file: Option<&RestoredFile<'_>>,
    offset: u64,
    chunk: &ChunkEntry,
) -> Result<(), SourceError> {
    match (file, chunk.size) {
        (None, _) | (_, 0) => Ok(()),
        (Some(file), size) => file.write_at(&[0], offset + u64::from(size) - 1),
    }
}

/// Creates the file, in place of what is there.
pub(super) fn create<'r>(
    root: &'r RestoreRoot,
    path: &[u8],
) -> Result<RestoredFile<'r>, SourceError> {
    root.prepare(path, FileKind::Regular)?.create_file()
}

/// What an item without content is called when it should have some.
pub(super) fn without_chunks(item: &Item) -> ArchiveError {
    ArchiveError::Damaged {
        what: "item",
        name: item.path.clone(),
        detail: "a regular file without a chunk list".to_owned(),
    }
}
