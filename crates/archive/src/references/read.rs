//! Reading what archives refer to: several at once, each at most once.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use ironborg_cache::{ArchiveSummary, SummaryBuilder};
use ironborg_format::ArchiveEntry;
use ironborg_format::item::ChunkEntry;
use ironborg_types::{ArchiveId, ChunkId, PercentProgress, text};

use super::{Found, keep_summary, summaries};
use crate::gate::Gate;
use crate::items::{ItemReader, PartFiles, with_items_on};
use crate::{Archive, ArchiveError, Session};

/// Threads that read archives of a distant repository at least.
const THREADS_WAITING: usize = 8;
/// Bytes that summaries being made may take together; a larger one is made alone.
const IN_THE_MAKING_MAX: usize = 512 << 20;
/// What a chunk of an item stream adds to that at worst: it is 128 KiB long on average, a reference in it
/// at least 40 bytes, and each takes about 100 while it is sorted.
const MAKING_BYTES_PER_STREAM_CHUNK: usize = 320 << 10;

/// Hands the references of all archives of the manifest to `take`; returns what is known of those that
/// had to be read.
///
/// # Errors
/// The first archive, in the order of the manifest, that cannot be read, unless `may_be_damaged` accepts
/// its name; the user's wish to stop.
pub(super) fn add_all(
    session: &Session,
    take: &(dyn Fn(&ArchiveSummary) + Sync),
    may_be_damaged: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<HashMap<ArchiveId, Found>, ArchiveError> {
    let archives: Vec<(&[u8], &ArchiveEntry)> = session
        .manifest
        .archives
        .iter()
        .map(|(name, entry)| (name.as_slice(), entry))
        .collect();
    let store = summaries(session);
    let reporter = session.client.reporter.as_ref();
    let unseen = Mutex::new(Vec::new());
    in_parallel(session, archives.len(), |index| {
        match store.load(&archives[index].1.id, reporter) {
            Some(summary) => take(&summary),
            None => lock(&unseen).push(index),
        }
        Ok(())
    })?;
    let mut unseen = unseen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if unseen.is_empty() {
        return Ok(HashMap::new());
    }
    unseen.sort_unstable();
    session.will_load(unseen.iter().map(|index| archives[*index].0));
    let total = archives.len() as u64;
    let reading = Reading {
        session,
        take,
        may_be_damaged,
        // With fewer archives than threads several work on each.
        threads_each: threads(session).div_ceil(unseen.len()),
        room: Gate::new(IN_THE_MAKING_MAX),
        found: Mutex::default(),
        progress: Mutex::new(PercentProgress::start(reporter, "cache.sync", total, 0.1)),
    };
    in_parallel(session, unseen.len(), |at| {
        let (name, entry) = archives[unseen[at]];
        reading.read(unseen[at], name, entry)
    })?;
    lock(&reading.progress).finish(reporter);
    let found = reading.found;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Archives being read.
struct Reading<'a> {
    session: &'a Session,
    take: &'a (dyn Fn(&ArchiveSummary) + Sync),
    may_be_damaged: &'a (dyn Fn(&[u8]) -> bool + Sync),
    threads_each: usize,
    room: Gate,
    found: Mutex<HashMap<ArchiveId, Found>>,
    progress: Mutex<PercentProgress>,
}

impl Reading<'_> {
    fn read(&self, index: usize, name: &[u8], entry: &ArchiveEntry) -> Result<(), ArchiveError> {
        self.show(index, name);
        let archive = self.session.load_archive_entry(name, entry)?;
        let stream_len = archive.metadata.items.len();
        let room = stream_len.saturating_mul(MAKING_BYTES_PER_STREAM_CHUNK);
        self.room
            .take(room)
            .expect("nobody closes the gate while archives are read");
        let result = summarize(self.session, self.threads_each, &archive);
        self.room.give_back(room);
        let found = match result {
            Ok(summary) => {
                (self.take)(&summary);
                Found::Whole { stream_len }
            }
            Err((_, partial)) if (self.may_be_damaged)(name) => {
                (self.take)(&partial);
                Found::Damaged {
                    partial: *partial,
                    stream_len,
                }
            }
            Err((error, _)) => return Err(error),
        };
        lock(&self.found).insert(entry.id, found);
        Ok(())
    }

    fn show(&self, index: usize, name: &[u8]) {
        let reporter = self.session.client.reporter.as_ref();
        let name = text::display(name);
        lock(&self.progress).advance_to(reporter, index as u64, Some(&name), |percent| {
            format!("{percent:3.0}% Syncing chunks cache. Processing archive {name}")
        });
    }
}

/// Calls `work` with every number below `count`, on all threads, in ascending order.
///
/// Nothing new is begun after an error or the user's wish to stop. Of several errors the one of the
/// smallest number is returned: whatever is below it was begun before and has ended.
fn in_parallel(
    session: &Session,
    count: usize,
    work: impl Fn(usize) -> Result<(), ArchiveError> + Sync,
) -> Result<(), ArchiveError> {
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<(usize, ArchiveError)>> = Mutex::new(None);
    let serve = || {
        while lock(&failure).is_none() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let result = if session.client.interrupt.stop_requested() {
                Err(ArchiveError::Interrupted)
            } else {
                work(number)
            };
            if let Err(error) = result {
                let mut failure = lock(&failure);
                if failure.as_ref().is_none_or(|(first, _)| number < *first) {
                    *failure = Some((number, error));
                }
            }
        }
    };
    let threads = threads(session).min(count);
    if threads <= 1 {
        serve();
    } else {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(serve);
            }
        });
    }
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), |(_, error)| Err(error))
}

/// How many threads read archives. Across a line they mostly wait, each at the beginning of its archive.
fn threads(session: &Session) -> usize {
    let threads = session.client.threads;
    if session.repository.is_local() {
        threads
    } else {
        threads.max(THREADS_WAITING)
    }
}

/// A thread that panicked ends the operation anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads what an archive refers to, and remembers it.
///
/// # Errors
/// What is wrong with it, and what could be read: the references of all items before the damage, and
/// all chunks of the item stream.
pub(super) fn summarize(
    session: &Session,
    threads: usize,
    archive: &Archive,
) -> Result<ArchiveSummary, (ArchiveError, Box<ArchiveSummary>)> {
    let mut builder = SummaryBuilder::new();
    builder.add_metadata(&ChunkEntry {
        id: ChunkId::from(archive.id),
        size: archive.size,
        csize: archive.csize,
    });
    let mut stream_chunks = Vec::new();
    let result = with_items_on(session, threads, archive, PartFiles::Consider, |items| {
        items.note_sizes();
        let result = add_items(&mut builder, items);
        stream_chunks = items.metadata_chunks();
        result
    });
    for chunk in &stream_chunks {
        builder.add_metadata(chunk);
    }
    if let Err(error) = result {
        for id in archive.metadata.items.iter().skip(stream_chunks.len()) {
            builder.add_metadata(&ChunkEntry {
                id: *id,
                size: 0,
                csize: 0,
            });
        }
        return Err((error, Box::new(builder.finish())));
    }
    let summary = builder.finish();
    keep_summary(session, &archive.id, &summary);
    Ok(summary)
}

fn add_items(builder: &mut SummaryBuilder, items: &mut ItemReader<'_>) -> Result<(), ArchiveError> {
    let mut chunks: Vec<ChunkEntry> = Vec::new();
    items.for_each(|item| {
        if let Some(list) = item.chunks {
            chunks.clear();
            chunks.extend(&list);
            builder.add_file(&chunks, item.part.is_some());
        }
        Ok(ControlFlow::Continue(()))
    })
}
