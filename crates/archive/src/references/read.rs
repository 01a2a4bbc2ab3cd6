//! Reading what archives refer to: several at once, each at most once.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use ironborg_cache::{ArchiveSummary, Sieve, SummaryBuilder, SummarySource};
use ironborg_format::ArchiveEntry;
use ironborg_format::item::ChunkEntry;
use ironborg_types::{ChunkId, PercentProgress, text};

use super::{keep_summary, summaries};
use crate::gate::Gate;
use crate::items::{ItemReader, PartFiles, with_items_on};
use crate::{Archive, ArchiveError, Session};

/// Threads that read archives of a distant repository at least.
const THREADS_WAITING: usize = 8;
/// Bytes that summaries being made may take together; a larger one is made alone.
const IN_THE_MAKING_MAX: u64 = 512 << 20;
/// The same if there is a limit: one part in so many.
const IN_THE_MAKING_SHARE: u64 = 4;
/// What a chunk of an item stream adds to that at worst: it is 128 KiB long on average, a reference in it
/// at least 40 bytes, and each takes about 100 while it is sorted.
const MAKING_BYTES_PER_STREAM_CHUNK: usize = 320 << 10;

/// Hands the references of all archives of the manifest to `take`.
///
/// # Errors
/// As [`sources`].
pub(super) fn add_all(
    session: &Session,
    take: &(dyn Fn(&ArchiveSummary) + Sync),
    may_be_damaged: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<(), ArchiveError> {
    let reporter = session.client.reporter.as_ref();
    let store = summaries(session);
    let known = |_: usize, entry: &ArchiveEntry| {
        let summary = store.load(&entry.id, reporter);
        summary.as_ref().map(take).is_some()
    };
    let read = |_: usize, _: &ArchiveEntry, read: ReadSummary| take(&read.summary);
    visit_all(session, may_be_damaged, &known, &read)
}

/// Where the references of every archive of the manifest are, in its order. Reads those that were not seen before.
///
/// # Errors
/// The first archive, in the order of the manifest, that cannot be read, unless `may_be_damaged` accepts
/// its name; the user's wish to stop.
pub(super) fn sources(
    session: &Session,
    may_be_damaged: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Vec<Counted>, ArchiveError> {
    let count = session.manifest.archives.len();
    let all: Vec<OnceLock<Counted>> = (0..count).map(|_| OnceLock::new()).collect();
    let reporter = session.client.reporter.as_ref();
    let store = summaries(session);
    let set = |index: usize, counted: Counted| {
        all[index]
            .set(counted)
            .expect("every archive is looked at once");
    };
    let known = |index: usize, entry: &ArchiveEntry| {
        let kept = store.open(&entry.id, reporter);
        let counted = kept.map(|kept| Counted {
            source: SummarySource::Kept(kept),
            stream_len: None,
            is_damaged: false,
        });
        counted.map(|counted| set(index, counted)).is_some()
    };
    // The other one may have files open that are replaced now.
    let renewed = summaries(session);
    let read = |index: usize, entry: &ArchiveEntry, read: ReadSummary| {
        let source = if read.is_kept {
            SummarySource::Kept(renewed.saved(&entry.id, &read.summary))
        } else {
            SummarySource::Memory(read.summary)
        };
        let counted = Counted {
            source,
            stream_len: Some(read.stream_len),
            is_damaged: read.is_damaged,
        };
        set(index, counted);
    };
    visit_all(session, may_be_damaged, &known, &read)?;
    let all = all.into_iter().map(OnceLock::into_inner);
    Ok(all
        .map(|counted| counted.expect("all were known or read"))
        .collect())
}

/// Takes what archives of the manifest refer to out of `sieve`; all but those that are `leaving`, by their place in it.
/// Reads those that were not seen before.
///
/// # Errors
/// As [`sources`].
pub(super) fn sift(session: &Session, leaving: &[bool], sieve: &Sieve) -> Result<(), ArchiveError> {
    let reporter = session.client.reporter.as_ref();
    let store = summaries(session);
    let known = |index: usize, entry: &ArchiveEntry| {
        leaving[index] || store.sift(&entry.id, sieve, reporter)
    };
    let read = |_: usize, _: &ArchiveEntry, read: ReadSummary| sieve.sift(&read.summary);
    visit_all(session, &|_| false, &known, &read)
}

/// What is known of an archive's references.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) source: SummarySource,
    /// Chunks of its item stream, if it had to be read.
    pub(super) stream_len: Option<usize>,
    /// Whether it is damaged, so that these are not all.
    pub(super) is_damaged: bool,
}

/// A summary that was made.
struct ReadSummary {
    summary: ArchiveSummary,
    stream_len: usize,
    is_damaged: bool,
    is_kept: bool,
}

/// Takes an archive if its summary is at hand; says whether it is.
type TakeKnown<'a> = &'a (dyn Fn(usize, &ArchiveEntry) -> bool + Sync);
/// Takes an archive that was read.
type TakeRead<'a> = &'a (dyn Fn(usize, &ArchiveEntry, ReadSummary) + Sync);

/// Offers every archive to `known`, then reads those it does not know and hands them to `read`.
fn visit_all(
    session: &Session,
    may_be_damaged: &(dyn Fn(&[u8]) -> bool + Sync),
    known: TakeKnown<'_>,
    read: TakeRead<'_>,
) -> Result<(), ArchiveError> {
    let archives: Vec<(&[u8], &ArchiveEntry)> = session
        .manifest
        .archives
        .iter()
        .map(|(name, entry)| (name.as_slice(), entry))
        .collect();
    let reporter = session.client.reporter.as_ref();
    let unseen = Mutex::new(Vec::new());
    in_parallel(session, archives.len(), |index| {
        if !known(index, archives[index].1) {
            lock(&unseen).push(index);
        }
        Ok(())
    })?;
    let mut unseen = unseen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if unseen.is_empty() {
        return Ok(());
    }
    unseen.sort_unstable();
    session.will_load(unseen.iter().map(|index| archives[*index].0));
    let total = archives.len() as u64;
    let reading = Reading {
        session,
        take: read,
        may_be_damaged,
        // With fewer archives than threads several work on each.
        threads_each: threads(session).div_ceil(unseen.len()),
        room: Gate::new(in_the_making_max(session)),
        progress: Mutex::new(PercentProgress::start(reporter, "cache.sync", total, 0.1)),
    };
    in_parallel(session, unseen.len(), |at| {
        let (name, entry) = archives[unseen[at]];
        reading.read(unseen[at], name, entry)
    })?;
    lock(&reading.progress).finish(reporter);
    Ok(())
}

fn in_the_making_max(session: &Session) -> usize {
    let memory = session.client.memory;
    let bytes = memory.share(IN_THE_MAKING_SHARE, IN_THE_MAKING_MAX);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Archives being read.
struct Reading<'a> {
    session: &'a Session,
    take: TakeRead<'a>,
    may_be_damaged: &'a (dyn Fn(&[u8]) -> bool + Sync),
    threads_each: usize,
    room: Gate,
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
        let (summary, is_damaged, is_kept) = match result {
            Ok((summary, is_kept)) => (summary, false, is_kept),
            Err((_, partial)) if (self.may_be_damaged)(name) => (*partial, true, false),
            Err((error, _)) => return Err(error),
        };
        let read = ReadSummary {
            summary,
            stream_len,
            is_damaged,
            is_kept,
        };
        (self.take)(index, entry, read);
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
    if session.repository.is_distant() {
        threads.max(THREADS_WAITING)
    } else {
        threads
    }
}

/// A thread that panicked ends the operation anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads what an archive refers to, and remembers it; says whether that could be kept.
///
/// # Errors
/// What is wrong with it, and what could be read: the references of all items before the damage, and
/// all chunks of the item stream.
pub(super) fn summarize(
    session: &Session,
    threads: usize,
    archive: &Archive,
) -> Result<(ArchiveSummary, bool), (ArchiveError, Box<ArchiveSummary>)> {
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
    let is_kept = keep_summary(session, &archive.id, &summary);
    Ok((summary, is_kept))
}

fn add_items(builder: &mut SummaryBuilder, items: &mut ItemReader<'_>) -> Result<(), ArchiveError> {
    items.for_each(|item| {
        if let Some(list) = item.chunks {
            builder.add_chunks(list.iter(), item.part.is_some());
        }
        Ok(ControlFlow::Continue(()))
    })
}
