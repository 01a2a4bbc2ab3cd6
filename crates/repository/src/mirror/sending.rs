//! Many segments at once, by several threads: sending them, and comparing them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use ironborg_storage::StorageError;
use ironborg_types::{Event, Level, SegmentId};

use super::plan::Sized;
use super::reading::{CheckedSegment, Ending, is_same};
use super::{LOGGER, Mirroring, Trouble};
use crate::RepositoryError;
use crate::segments::DATA;

/// How many segments are on their way at a time. Each takes a piece and at most the largest entry, besides what the
/// target's storage has in flight.
const SENDERS: usize = 4;

impl Mirroring<'_> {
    /// Sends segments; returns those whose COMMIT was left out.
    pub(super) fn send_all(
        &self,
        segments: &[Sized],
        ending: Ending,
    ) -> Result<Vec<Sized>, Trouble> {
        let withheld = Mutex::new(Vec::new());
        self.make_dirs(segments)?;
        self.for_each(segments, |&(segment, size)| {
            if self.send(segment, size, ending)? {
                lock(&withheld).push((segment, size));
            }
            Ok(())
        })?;
        let mut withheld = withheld
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        withheld.sort_unstable();
        Ok(withheld)
    }

    /// The segments that are not the same on both sides.
    pub(super) fn differing(&self, segments: &[Sized]) -> Result<BTreeSet<SegmentId>, Trouble> {
        let found = Mutex::new(BTreeSet::new());
        self.for_each(segments, |&(segment, size)| {
            let name = self.source.log.name(segment);
            let sides = [&self.source, &self.target];
            let same = is_same(sides, &name, 0, size, || self.may_go_on());
            if !same.map_err(Trouble::Source)? {
                let message = format!("{} differs", self.target_path(&name));
                self.report(Level::Warning, message);
                lock(&found).insert(segment);
            }
            Ok(())
        })?;
        Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does something with each segment, in order but several at a time; the first failure ends it.
    fn for_each(
        &self,
        segments: &[Sized],
        work: impl Fn(&Sized) -> Result<(), Trouble> + Sync,
    ) -> Result<(), Trouble> {
        let queue = Mutex::new(segments.iter());
        let failure = Mutex::new(None);
        let has_failed = AtomicBool::new(false);
        let next = || lock(&queue).next();
        let run = || {
            while !has_failed.load(Ordering::SeqCst)
                && let Some(one) = next()
            {
                if let Err(error) = self
                    .may_go_on()
                    .map_err(Trouble::Other)
                    .and_then(|()| work(one))
                {
                    has_failed.store(true, Ordering::SeqCst);
                    lock(&failure).get_or_insert(error);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..SENDERS.min(segments.len()) {
                scope.spawn(run);
            }
            run();
        });
        let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(()), Err)
    }

    /// Sends one; says whether its COMMIT was left out.
    fn send(&self, segment: SegmentId, size: u64, ending: Ending) -> Result<bool, Trouble> {
        let name = self.source.log.name(segment);
        let mut reading = CheckedSegment::new(&self.source, segment, size, ending);
        let mut failure = None;
        let sent = self.target.storage.replace_pieces(&name, &mut |piece| {
            let next = self.may_go_on().map_err(Trouble::Other);
            let next = next.and_then(|()| reading.next(piece).map_err(Trouble::Source));
            self.advance(piece.len());
            next.map_err(|error| {
                failure = Some(error);
                let stopped = std::io::Error::other("the other side could not be read");
                StorageError::io("read", self.source.storage.path(&name), stopped)
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        sent?;
        self.report(Level::Info, format!("sent {name} ({size} bytes)"));
        let mut figures = self.figures();
        figures.sent += 1;
        figures.sent_size += size;
        Ok(reading.is_withheld)
    }

    /// Copies a file that is no segment; returns its size, or `None` if it is not there.
    pub(super) fn copy_file(&self, name: &str) -> Result<u64, Trouble> {
        const PIECE_LEN: usize = 1 << 20;
        let source = &self.source.storage;
        let (mut offset, mut failure) = (0, None);
        let copied = self.target.storage.replace_pieces(name, &mut |piece| {
            piece.resize(PIECE_LEN, 0);
            let buffer = &mut [std::io::IoSliceMut::new(piece)];
            let read = self.may_go_on().map_err(Trouble::Other);
            let read = read.and_then(|()| {
                source
                    .read_at(name, offset, buffer)
                    .map_err(|error| Trouble::Source(error.into()))
            });
            match read {
                Ok(count) => {
                    piece.truncate(count);
                    offset += count as u64;
                    self.advance(count);
                    Ok(())
                }
                Err(error) => {
                    failure = Some(error);
                    let stopped = std::io::Error::other("the other side could not be read");
                    Err(StorageError::io("read", source.path(name), stopped))
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(copied.map(|()| offset)?),
        }
    }

    /// Makes the directories of these segments.
    fn make_dirs(&self, segments: &[Sized]) -> Result<(), RepositoryError> {
        let storage = &self.target.storage;
        let names = segments
            .iter()
            .map(|&(segment, _)| self.target.log.name(segment));
        let dirs: BTreeSet<String> = names
            .filter_map(|name| Some(name.rsplit_once('/')?.0.to_owned()))
            .collect();
        let mut is_new = false;
        for dir in dirs {
            storage.create_dir_all(DATA)?;
            is_new |= storage.create_dir(&dir)?;
        }
        if is_new {
            storage.sync_dir(DATA)?;
        }
        Ok(())
    }

    /// Tells what happens.
    pub(super) fn report(&self, level: Level, message: String) {
        let reporter = &self.options.open.reporter;
        reporter.report(Event::log(level, LOGGER, message));
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
