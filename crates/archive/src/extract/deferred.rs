//! What has to wait for files that are still being restored: hard links to them, attributes of the
//! directories they are in, and items that take their place.

use ironborg_format::item::{ChunkEntry, Item, ItemView};
use ironborg_source::path::strip_components;
use ironborg_source::walk::FileKind;
use ironborg_types::{BytePath, PercentProgress, Reporter};

use super::attributes::values;
use super::engine::Engine;
use super::file::Outcome;
use super::filter::Master;
use super::in_flight::{Conflict, InFlight, Ticket};
use super::worker::Done;

/// Message id of the progress of the attributes of directories that are left last.
pub(super) const PERMISSIONS: &str = "extract.permissions";
/// How many steps may wait for workers before the walk waits as well.
pub(super) const DEFERRED_MAX: usize = 8192;

/// A step that has to wait for jobs.
#[derive(Debug)]
pub(super) enum Deferred {
    /// The file at `target` is still being restored.
    HardLink {
        wait_for: Ticket,
        ticket: Ticket,
        item: Item,
        target: BytePath,
    },
    /// Files in it are still being restored, as far as `wait_for`.
    Directory {
        wait_for: Ticket,
        ticket: Ticket,
        item: Item,
    },
}

/// What a later hard link refers to.
pub(super) enum LinkTarget {
    /// A file restored before, by its path below the root.
    File(BytePath),
    /// The content of a master that was not selected.
    Chunks(Vec<ChunkEntry>),
}

impl Engine<'_> {
    // Hard links.

    /// What a later hard link refers to; `None`: the item stands for itself.
    pub(super) fn link_target(&self, view: &ItemView<'_>) -> Option<LinkTarget> {
        let source = view.source?;
        match self.filter.master(source) {
            None => Some(LinkTarget::File(
                strip_components(source, self.strip).into(),
            )),
            Some(Master::Restored(path)) => Some(LinkTarget::File(path.clone())),
            Some(Master::Passed(Some(chunks))) => Some(LinkTarget::Chunks(chunks.clone())),
            Some(Master::Passed(None)) => None,
        }
    }

    pub(super) fn hard_link(&mut self, item: Item, target: BytePath) {
        match self.work.in_flight.job_of(&target) {
            None => self.make_hard_link(&item, &target),
            Some(wait_for) => {
                let ticket = self.work.in_flight.begin();
                self.work
                    .in_flight
                    .note(ticket, strip_components(&item.path, self.strip));
                // Its target must not be replaced before.
                self.work.in_flight.note(ticket, &target);
                let step = Deferred::HardLink {
                    wait_for,
                    ticket,
                    item,
                    target,
                };
                self.work.deferred.push_back(step);
                if self.work.deferred.len() > DEFERRED_MAX {
                    self.settle(DEFERRED_MAX / 2);
                }
            }
        }
    }

    pub(super) fn make_hard_link(&mut self, item: &Item, target: &[u8]) {
        if self.interrupt.stop_requested() {
            return; // Its target may not be there.
        }
        let path = strip_components(&item.path, self.strip);
        let source = strip_components(item.source.as_deref().unwrap_or_default(), self.strip);
        let kind = FileKind::of_mode(item.mode);
        let result = self.root().prepare(path, kind).and_then(|place| {
            self.root().check_link_source(source, path)?;
            place.link_to(target)
        });
        if let Err(error) = result {
            self.warn(&item.path, &error);
        }
    }

    // Directories.

    /// Leaves the directories that `path` is not in, by stock's rule: a prefix of the text.
    pub(super) fn leave_directories(&mut self, path: &[u8]) {
        while let Some(directory) = self.work.directories.last()
            && !path.starts_with(strip_components(&directory.path, self.strip))
        {
            self.leave_directory();
        }
    }

    pub(super) fn leave_directory(&mut self) {
        let Some(item) = self.work.directories.pop() else {
            return;
        };
        match self.work.in_flight.last() {
            Some(wait_for)
                if !self.work.deferred.is_empty()
                    || !self.work.in_flight.is_done_up_to(wait_for) =>
            {
                // Should the path come again, the item waits: this step may make the directory anew.
                let ticket = self.work.in_flight.begin();
                let path = strip_components(&item.path, self.strip);
                self.work.in_flight.note(ticket, path);
                let step = Deferred::Directory {
                    wait_for,
                    ticket,
                    item,
                };
                self.work.deferred.push_back(step);
            }
            _ => self.set_directory_attributes(&item),
        }
    }

    pub(super) fn leave_all_directories(&mut self) {
        let reporter = self.report.reporter();
        let mut progress = permissions_progress(reporter, self.work.directories.len());
        while !self.work.directories.is_empty() {
            show_permissions(reporter, &mut progress);
            self.leave_directory();
        }
    }

    pub(super) fn set_directory_attributes(&mut self, item: &Item) {
        let path = strip_components(&item.path, self.strip);
        // As stock: what is at the path now is looked at again, and made again if need be.
        let result = self
            .root()
            .prepare(path, FileKind::Directory)
            .and_then(|place| {
                place.create_dir()?;
                place.set_attributes(&values(item), self.report.reporter())
            });
        match result {
            Ok(set) => self.report.attributes_set(set),
            Err(error) => self.warn(path, &error),
        }
    }

    // Waiting.

    /// Waits while an unfinished job makes or needs something the item replaces, or that lies in its way.
    pub(super) fn wait_for_conflicts(&mut self, path: &[u8]) {
        match self.work.in_flight.conflict(path) {
            None => {}
            Some(Conflict::With(ticket)) => self.wait_for(ticket),
            Some(Conflict::UpTo(ticket)) => {
                self.wait_until(|in_flight| in_flight.is_done_up_to(ticket));
            }
        }
    }

    pub(super) fn wait_for(&mut self, ticket: Ticket) {
        self.wait_until(|in_flight| in_flight.is_done(ticket));
    }

    /// Waits until jobs and steps are done.
    pub(super) fn wait_until(&mut self, is_done: impl Fn(&InFlight) -> bool) {
        while !is_done(&self.work.in_flight) {
            if self.work.has_batch() {
                self.send_batch();
            } else if self.work.deferred.is_empty() {
                self.wait();
            } else {
                self.settle(0); // It may be a step that waits itself.
            }
        }
    }

    /// Waits for one job.
    pub(super) fn wait(&mut self) {
        let done = self
            .done
            .recv()
            .expect("workers live until the engine is gone");
        self.note_done(done);
    }

    pub(super) fn note_done(&mut self, done: Done) {
        assert!(done.outcome != Outcome::Panicked, "a worker panicked");
        self.work.in_flight.done(done.ticket);
        if done.outcome != Outcome::Good {
            self.work.failed = Some(done.ticket);
        }
    }

    /// Does the deferred steps that can be done, and waits until at most `remaining` are left.
    pub(super) fn settle(&mut self, remaining: usize) {
        while let Some(step) = self.work.deferred.front() {
            let ready = match step {
                Deferred::HardLink { wait_for, .. } => self.work.in_flight.is_done(*wait_for),
                Deferred::Directory { wait_for, .. } => {
                    self.work.in_flight.is_done_up_to(*wait_for)
                }
            };
            if ready {
                let step = self.work.deferred.pop_front();
                let ticket = match step.expect("there is a first one") {
                    Deferred::HardLink {
                        ticket,
                        item,
                        target,
                        ..
                    } => {
                        self.make_hard_link(&item, &target);
                        ticket
                    }
                    Deferred::Directory { ticket, item, .. } => {
                        self.set_directory_attributes(&item);
                        ticket
                    }
                };
                self.work.in_flight.done(ticket);
            } else if self.work.deferred.len() > remaining {
                if self.work.has_batch() {
                    // Sending does other steps too, perhaps this one.
                    self.send_batch();
                } else {
                    self.wait();
                }
            } else {
                return;
            }
        }
    }
}

/// Begins the progress of the last step; its end comes with the end of the operation.
pub(super) fn permissions_progress(
    reporter: &dyn Reporter,
    total: usize,
) -> Option<PercentProgress> {
    reporter
        .wants_progress()
        .then(|| PercentProgress::start(reporter, PERMISSIONS, total as u64, 5.0))
}

/// Counts one directory.
pub(super) fn show_permissions(reporter: &dyn Reporter, progress: &mut Option<PercentProgress>) {
    if let Some(progress) = progress {
        progress.advance(reporter, 1, None, |percent| {
            format!("Setting directory permissions {percent:3.0}%")
        });
    }
}
