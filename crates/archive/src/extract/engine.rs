//! The thread that walks the items: it makes directories and special files itself, hands regular
//! files to workers, and does what has to wait for them (hard links, attributes of directories).

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crossbeam_channel::{Receiver, Sender};
use ironborg_format::item::{ChunkEntry, Item, ItemView};
use ironborg_repository::Repository;
use ironborg_source::path::strip_components;
use ironborg_source::walk::FileKind;
use ironborg_source::{RestoreRoot, SourceError};
use ironborg_types::{Event, Interrupt, Level, text};

use super::attributes::values;
use super::chunks::group_len;
use super::deferred::{DEFERRED_MAX, Deferred, LinkTarget};
use super::file::{FileTask, SharedFile, create, without_chunks};
use super::filter::ItemFilter;
use super::in_flight::{InFlight, Ticket};
use super::report::Report;
use super::worker::{Done, Job};
use crate::ArchiveError;
use crate::items::announce_reads;

/// Message id of the progress of content.
pub(super) const CONTENT: &str = "extract";
/// Files of up to this many bytes, or of one chunk, are restored by one worker.
const SMALL_FILE_LEN: u64 = 4 << 20;
/// A large file is cut into parts of at least this many bytes, if not more are opened together.
const PART_LEN: u64 = 4 << 20;
/// The first batch of small files is full with so many bytes of content,
const BATCH_LEN_MIN: u64 = 1 << 20;
/// any batch with so many files,
const BATCH_FILES: usize = 256;
/// or with so many where another directory begins: two workers in one directory wait for each other.
const BATCH_FILES_IN_DIR: usize = 32;
const LOGGER: &str = "borg.archiver";

/// Takes one item after the other.
pub(crate) type TakeItem<'t> =
    dyn FnMut(&ItemView<'_>) -> Result<ControlFlow<()>, ArchiveError> + 't;

/// The walk over the items of one archive.
pub(crate) struct Engine<'a> {
    /// Where to; None: content is verified only.
    pub(super) root: Option<&'a RestoreRoot>,
    pub(super) repository: &'a dyn Repository,
    /// Asked before every item and every chunk.
    pub(super) interrupt: &'a Interrupt,
    pub(super) report: &'a Report<'a>,
    pub(super) filter: ItemFilter,
    pub(super) strip: usize,
    pub(super) list: bool,
    pub(super) jobs: Sender<Job<'a>>,
    pub(super) done: Receiver<Done>,
    pub(super) batches: BatchLen,
    pub(super) work: Work,
}

/// How much content makes a batch. The first ones are small, so that all workers soon have something to do; later ones
/// have as much as is opened together.
#[derive(Debug)]
pub(super) struct BatchLen {
    next: u64,
    longest: u64,
}

impl BatchLen {
    pub(super) fn for_threads(threads: usize) -> Self {
        Self {
            next: BATCH_LEN_MIN,
            longest: group_len(threads) as u64,
        }
    }

    fn grow(&mut self) {
        self.next = (self.next * 2).min(self.longest);
    }
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) in_flight: InFlight,
    /// Number of the current item among all that were selected.
    pub(super) number: u64,
    pub(super) batch: Batch,
    /// Directories entered and not left, outermost first, as items with their own paths.
    pub(super) directories: Vec<Item>,
    pub(super) deferred: VecDeque<Deferred>,
    /// Tickets of files that did not come out right, kept while somebody may ask.
    pub(super) failed: Option<Ticket>,
}

impl Work {
    /// Whether files are waiting to be handed to a worker.
    pub(super) fn has_batch(&self) -> bool {
        self.batch.ticket.is_some()
    }
}

#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) ticket: Option<Ticket>,
    files: Vec<FileTask>,
    len: u64,
}

impl<'a> Engine<'a> {
    /// Restores (or verifies) all items that `for_each` hands over and the filter admits. What fails for one file is
    /// reported.
    pub(crate) fn run(
        mut self,
        for_each: impl FnOnce(&mut TakeItem<'_>) -> Result<(), ArchiveError>,
    ) -> Result<ItemFilter, ArchiveError> {
        let result = for_each(&mut |view| {
            if self.interrupt.stop_requested() {
                return Err(ArchiveError::Interrupted);
            }
            self.item(view);
            Ok(ControlFlow::Continue(()))
        });
        // Even if the item stream is damaged, what was begun is brought to its end.
        if let Some(last) = self.work.in_flight.last() {
            self.wait_until(|in_flight| in_flight.is_done_up_to(last));
        }
        self.report.finish_progress();
        if self.root.is_some() {
            self.leave_all_directories();
        }
        result.map(|()| self.filter)
    }

    fn item(&mut self, view: &ItemView<'_>) {
        let Some(path) = self.filter.admit(view.path, view) else {
            return;
        };
        self.work.number += 1;
        if self.interrupt.take_report() {
            let message = format!("{} 0 B/???", text::display(path));
            self.report
                .reporter()
                .report(Event::log(Level::Info, LOGGER, message));
        }
        if self.root.is_some() {
            self.leave_directories(path);
        }
        if self.list {
            self.report
                .reporter()
                .report(Event::List(text::display(path)));
        }
        if self.root.is_none() {
            if view.chunks.is_some() {
                self.hand_out(view.to_item());
            }
            return;
        }
        self.wait_for_conflicts(path);
        let original: &[u8] = view.path;
        let result = match FileKind::of_mode(view.mode) {
            FileKind::Regular => {
                self.regular(view);
                return;
            }
            FileKind::Directory => {
                self.work.directories.push(view.to_item());
                make_directory(self.root(), path)
            }
            FileKind::Symlink => self.symlink(view, path),
            FileKind::Fifo | FileKind::CharDevice | FileKind::BlockDevice => {
                match self.link_target(view) {
                    Some(LinkTarget::File(target)) => {
                        self.hard_link(view.to_item(), target);
                        return;
                    }
                    _ => self.special(view, path),
                }
            }
            FileKind::Socket | FileKind::Unknown => {
                let error = SourceError::UnknownItemType { mode: view.mode };
                self.unusable(original, &error);
                return;
            }
        };
        if let Err(error) = result {
            self.warn(original, &error);
        }
    }

    // Non-regular files.

    fn symlink(&self, view: &ItemView<'_>, path: &[u8]) -> Result<(), SourceError> {
        let item = view.to_item();
        let target = self.root().prepare(path, FileKind::Symlink)?;
        target.create_symlink(view.source.unwrap_or_default())?;
        let set = target.set_attributes(&values(&item), self.report.reporter())?;
        self.report.attributes_set(set);
        Ok(())
    }

    fn special(&mut self, view: &ItemView<'_>, path: &[u8]) -> Result<(), SourceError> {
        let item = view.to_item();
        let kind = FileKind::of_mode(view.mode);
        let target = self.root().prepare(path, kind)?;
        match kind {
            FileKind::Fifo => target.create_fifo()?,
            _ => target.create_device(view.mode, view.rdev.unwrap_or_default())?,
        }
        let set = target.set_attributes(&values(&item), self.report.reporter())?;
        self.report.attributes_set(set);
        if let Some(source) = view.source {
            self.filter.restored_at(source, path);
        }
        Ok(())
    }

    // Regular files.

    fn regular(&mut self, view: &ItemView<'_>) {
        let mut item = view.to_item();
        match self.link_target(view) {
            None => {}
            Some(LinkTarget::File(target)) => return self.hard_link(item, target),
            Some(LinkTarget::Chunks(chunks)) => {
                // Its master was not selected: it becomes the file the later links refer to.
                item.chunks = Some(chunks);
                return self.in_place_of_master(item);
            }
        }
        if item.chunks.is_none() {
            let error = without_chunks(&item);
            return self.report.item_error(self.work.number, &item.path, error);
        }
        self.hand_out(item);
    }

    fn in_place_of_master(&mut self, item: Item) {
        let source = item
            .source
            .clone()
            .expect("only an item with a source has a master");
        let path = strip_components(&item.path, self.strip).to_vec();
        self.send_batch();
        self.work.failed = None;
        let ticket = self.hand_out(item);
        self.send_batch();
        // Whether the later links can refer to it is known when it is done.
        self.wait_for(ticket);
        if self.work.failed != Some(ticket) {
            self.filter.restored_at(&source, &path);
        }
    }

    /// Gives a file to the workers.
    fn hand_out(&mut self, item: Item) -> Ticket {
        let task = FileTask {
            number: self.work.number,
            item,
            strip: self.strip,
        };
        let len: u64 = task
            .chunks()
            .iter()
            .map(|chunk| u64::from(chunk.size))
            .sum();
        if len > SMALL_FILE_LEN && task.chunks().len() > 1 {
            return self.hand_out_large(task);
        }
        if self.work.batch.files.len() >= BATCH_FILES_IN_DIR
            && self
                .work
                .batch
                .files
                .last()
                .is_some_and(|last| parent(last) != parent(&task))
        {
            self.send_batch();
        }
        let in_flight = &mut self.work.in_flight;
        let ticket = *self
            .work
            .batch
            .ticket
            .get_or_insert_with(|| in_flight.begin());
        in_flight.note(ticket, task.destination());
        self.work.batch.len += len;
        self.work.batch.files.push(task);
        if self.work.batch.len >= self.batches.next || self.work.batch.files.len() >= BATCH_FILES {
            self.send_batch();
        }
        ticket
    }

    fn hand_out_large(&mut self, task: FileTask) -> Ticket {
        // Files are begun in the archive's order.
        self.send_batch();
        let ticket = self.work.in_flight.begin();
        let file = match self.root {
            None => None,
            Some(root) => match create(root, task.destination()) {
                Ok(file) => Some(file),
                Err(error) => {
                    self.report.warn(&task.item.path, &error);
                    self.work.in_flight.done(ticket);
                    self.work.failed = Some(ticket);
                    return ticket;
                }
            },
        };
        self.work.in_flight.note(ticket, task.destination());
        for part in SharedFile::cut(task, file, PART_LEN.max(self.batches.longest)) {
            self.announce_reads(part.chunks().iter());
            self.send(Job::Part { ticket, part });
        }
        ticket
    }

    pub(super) fn send_batch(&mut self) {
        if let Some(ticket) = self.work.batch.ticket.take() {
            if self.work.batch.len >= self.batches.next {
                self.batches.grow();
            }
            self.work.batch.len = 0;
            let files =
                std::mem::replace(&mut self.work.batch.files, Vec::with_capacity(BATCH_FILES));
            self.announce_reads(files.iter().flat_map(FileTask::chunks));
            self.send(Job::Files { ticket, files });
        }
    }

    /// Tells the repository what will be read, in the order it is stored.
    fn announce_reads<'c>(&self, chunks: impl Iterator<Item = &'c ChunkEntry>) {
        announce_reads(self.repository, chunks);
    }

    fn send(&mut self, job: Job<'a>) {
        self.jobs
            .send(job)
            .expect("workers live until the engine is gone");
        while let Ok(done) = self.done.try_recv() {
            self.note_done(done);
        }
        self.settle(DEFERRED_MAX);
    }

    // Small things.

    pub(super) fn root(&self) -> &'a RestoreRoot {
        self.root.expect("without a root only content is read")
    }

    pub(super) fn warn(&self, path: &[u8], error: &SourceError) {
        match error {
            SourceError::NotRelative { .. } | SourceError::UnknownItemType { .. } => {
                self.unusable(path, error);
            }
            _ => self.report.warn(path, error),
        }
    }

    pub(super) fn unusable(&self, path: &[u8], error: &SourceError) {
        let (what, detail) = ("item", error.to_string());
        let error = ArchiveError::Damaged {
            what,
            name: path.into(),
            detail,
        };
        self.report.item_error(self.work.number, path, error);
    }
}

/// The directory a file goes into.
fn parent(task: &FileTask) -> &[u8] {
    let path = task.destination();
    path.iter()
        .rposition(|byte| *byte == b'/')
        .map_or(b"", |slash| &path[..slash])
}

fn make_directory(root: &RestoreRoot, path: &[u8]) -> Result<(), SourceError> {
    root.prepare(path, FileKind::Directory)?.create_dir()
}
