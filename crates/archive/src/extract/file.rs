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
use ironborg_types::Interrupt;

use super::attributes::values;
use super::chunks::ChunkQueue;
use super::report::Report;
use crate::ArchiveError;

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

/// How a file came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should be.
    Good,
    /// Otherwise, and that was reported.
    Bad,
    /// The user wants it to end.
    Stopped,
    /// The worker is gone.
    Panicked,
}

/// Restores files on one thread. Memory: that of a [`ChunkQueue`].
pub(super) struct FileRestorer<'a> {
    chunks: ChunkQueue<'a>,
    root: Option<&'a RestoreRoot>,
    report: &'a Report<'a>,
    interrupt: &'a Interrupt,
    sparse: bool,
}

impl<'a> FileRestorer<'a> {
    /// Without a root, content is read and verified only.
    pub(super) fn new(
        chunks: ChunkQueue<'a>,
        root: Option<&'a RestoreRoot>,
        report: &'a Report<'a>,
        interrupt: &'a Interrupt,
        sparse: bool,
    ) -> Self {
        Self {
            chunks,
            root,
            report,
            interrupt,
            sparse,
        }
    }

    /// Restores small files one after the other, each from start to end.
    pub(super) fn restore(&mut self, files: &[FileTask]) -> Outcome {
        self.chunks.set(files.iter().flat_map(FileTask::chunks));
        let mut all = Outcome::Good;
        for task in files {
            let end = self.chunks.position() + task.chunks().len();
            match self.restore_one(task) {
                Outcome::Good => {}
                Outcome::Bad => all = Outcome::Bad,
                ended => return ended,
            }
            self.chunks.skip_to(end);
        }
        all
    }

    fn restore_one(&mut self, task: &FileTask) -> Outcome {
        let file = match self
            .root
            .map(|root| create(root, task.destination()))
            .transpose()
        {
            Ok(file) => file,
            Err(error) => {
                self.report.warn(&task.item.path, &error);
                return Outcome::Bad;
            }
        };
        self.write_all(task, file.as_ref())
    }

    /// Restores one part of a large file, and finishes the file if it was the last one; `None`: it was
    /// not.
    pub(super) fn restore_part(&mut self, part: &Part<'_>) -> Option<Outcome> {
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
        let FileTask { number, item, .. } = &shared.task;
        let mut offset = part.offset;
        self.chunks.set(part.chunks().iter());
        for chunk in part.chunks() {
            if self.interrupt.stop_requested() {
                return Ok(()); // Whoever finishes sees it too.
            }
            match self.chunks.take() {
                Err(error) => {
                    self.report.chunk_error(*number, item, chunk, offset, error);
                    shared.damaged.store(true, Ordering::Relaxed);
                    leave_hole(shared.file.as_ref(), offset, chunk)?;
                }
                Ok(data) if data.len() != chunk.size as usize => {
                    shared.misfit.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                Ok(data) => {
                    self.report.progress(&item.path, data.len());
                    write(shared.file.as_ref(), data, offset, self.sparse)?;
                }
            }
            offset += u64::from(chunk.size);
        }
        Ok(())
    }

    fn finish_shared(&mut self, shared: &SharedFile<'_>) -> Outcome {
        let (task, file) = (&shared.task, shared.file.as_ref());
        if self.interrupt.stop_requested() {
            return Outcome::Stopped;
        }
        let error = shared
            .write_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(error) = error {
            self.report.warn(&task.item.path, &error);
            return Outcome::Bad;
        }
        if shared.misfit.load(Ordering::Relaxed) {
            // Rare enough to start over: one after the other, as long as they really are.
            self.chunks.set(task.chunks().iter());
            return self.write_all(task, file);
        }
        let damaged = shared.damaged.load(Ordering::Relaxed);
        self.finish(task, file, shared.len, damaged)
    }

    /// Writes all chunks one after the other, whatever their entries say of their length.
    fn write_all(&mut self, task: &FileTask, file: Option<&RestoredFile<'_>>) -> Outcome {
        let FileTask { number, item, .. } = task;
        let (mut offset, mut damaged) = (0_u64, false);
        for chunk in task.chunks() {
            if self.interrupt.stop_requested() {
                return Outcome::Stopped;
            }
            let (len, written) = match self.chunks.take() {
                Err(error) => {
                    self.report.chunk_error(*number, item, chunk, offset, error);
                    damaged = true;
                    (u64::from(chunk.size), leave_hole(file, offset, chunk))
                }
                Ok(data) => {
                    self.report.progress(&item.path, data.len());
                    (data.len() as u64, write(file, data, offset, self.sparse))
                }
            };
            if let Err(error) = written {
                self.report.warn(&item.path, &error);
                return Outcome::Bad;
            }
            offset += len;
        }
        self.finish(task, file, offset, damaged)
    }

    /// Sets length and attributes of a file whose content was written, and compares its length.
    fn finish(
        &self,
        task: &FileTask,
        file: Option<&RestoredFile<'_>>,
        len: u64,
        damaged: bool,
    ) -> Outcome {
        let item = &task.item;
        if damaged {
            // Every lost chunk was reported. The file keeps the mode and times of an unfinished one:
            // nothing that goes by them takes it for the original.
            return Outcome::Bad;
        }
        if let Some(file) = file {
            match file.finish(len, &values(item), self.report.reporter()) {
                Ok(set) => self.report.attributes_set(set),
                Err(error) => {
                    self.report.warn(&item.path, &error);
                    return Outcome::Bad;
                }
            }
        }
        if let Some(size) = item.size
            && size != len
        {
            self.report
                .warn_backup_error(&item.path, &super::size_mismatch(size, len));
            return Outcome::Bad;
        }
        if item.chunks_healthy.is_some() {
            self.report
                .warn_backup_error(&item.path, super::DAMAGED_CHUNKS);
            return Outcome::Bad;
        }
        Outcome::Good
    }
}

/// Writes a piece, unless it is to be a hole.
fn write(
    file: Option<&RestoredFile<'_>>,
    data: &[u8],
    offset: u64,
    sparse: bool,
) -> Result<(), SourceError> {
    match file {
        Some(file) if !(sparse && ironborg_chunker::is_zero(data)) => file.write_at(data, offset),
        _ => Ok(()),
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
