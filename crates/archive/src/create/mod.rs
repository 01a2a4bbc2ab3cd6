//! Making an archive.
//!
//! ```text
//! walk ──batches──► workers ──objects, outcomes──► collector ──► repository
//!   one thread        N threads: read, cut,          this thread: puts objects in as they come,
//!   statx, patterns   identify, seal                 items in walk order, commits
//! ```
//!
//! Every stage but the collector runs ahead only so far: the walk by [`BATCHES_IN_FLIGHT`] batches, the
//! workers by [`shared::OBJECT_BYTES_IN_FLIGHT`] bytes of finished objects. Each worker holds one buffer of
//! the longest chunk and 2 MiB, a batch's small files (at most about 5 MiB), and its compressor. What the
//! archive contains does not depend on the number of threads.

mod ahead;
mod collect;
mod content;
mod crew;
mod dry_run;
mod feed;
mod files_ahead;
pub(crate) mod items;
mod look;
mod made;
mod options;
mod outcome;
mod pace;
mod piped;
mod plain;
mod save;
mod shared;
mod split;
mod step;
mod walk;
mod work;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use ironborg_cache::PathHasher;
use ironborg_chunker::Chunker;
use ironborg_format::ChunkEntry;
use ironborg_source::Names;
use ironborg_types::{ArchiveId, BytePath, Timestamp};

pub use dry_run::dry_run;
pub use files_ahead::FilesAhead;
pub use options::{
    CheckpointPolicy, CreateOptions, FilesChanged, Input, Metadata, PipedFile, Selection,
};

use crate::client::Client;
use crate::error::ArchiveError;
use crate::gate::Gate;
use crate::memory::{MAKING_THREAD_LEN, Tables};
use crate::references::keep_summary;
use crate::save::checkpoint_name;
use crate::session::Session;
use crate::stored::{chunks_to_claim, keep_stored};
use collect::Collector;
use crew::Crew;
use feed::Tree;
pub(crate) use feed::{BatchSink, Feed, Stop};
pub(crate) use made::{MadeContent, MadeEntry, pieces};
use pace::Pace;
use save::{Saver, Saving};
pub(crate) use shared::Shared;
pub(crate) use step::Step;
pub(crate) use walk::StepSink;
pub(crate) use work::SMALL_FILE_SIZE_MAX;

/// How many batches the walk may be ahead of the archive.
const BATCHES_IN_FLIGHT: usize = 24;
/// How many handfuls of files may wait to be looked at: each keeps its directory open.
const LOOKS_IN_FLIGHT: usize = 16;
/// How many directories may be open at once, deep recursion apart.
const OPEN_DIRS_MAX: usize = 200;
/// What the key of the files cache's path hashes is derived from.
const PATH_HASH_LABEL: &[u8] = b"ironborg files cache";

/// Figures of an archive's content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of content, every reference counted.
    pub size: u64,
    /// Their stored bytes, every reference counted.
    pub csize: u64,
    /// Stored bytes that were new to the repository.
    pub unique_csize: u64,
    /// Regular files with content of their own.
    pub nfiles: u64,
    /// `size` of files that were also stored in parts.
    pub size_parts: u64,
    /// `csize` likewise.
    pub csize_parts: u64,
    /// Number of parts.
    pub nfiles_parts: u64,
}

impl Statistics {
    pub(crate) fn add(&mut self, chunks: &[ChunkEntry]) {
        for chunk in chunks {
            self.size += u64::from(chunk.size);
            self.csize += u64::from(chunk.csize);
        }
    }

    pub(crate) fn add_parts(&mut self, chunks: &[ChunkEntry]) {
        for chunk in chunks {
            self.size_parts += u64::from(chunk.size);
            self.csize_parts += u64::from(chunk.csize);
        }
    }
}

/// An archive that was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its fingerprint.
    pub id: ArchiveId,
    /// Its name.
    pub name: BytePath,
    /// Its time.
    pub start: Timestamp,
    /// When it was finished.
    pub end: Timestamp,
    /// Figures of its content.
    pub stats: Statistics,
    /// Bytes of the metadata object as stored: what limits the size of an archive.
    pub metadata_csize: u32,
}

/// Makes an archive. Files that cannot be read are reported and left out.
///
/// # Errors
/// The name is taken; the repository or the key refuse; a command fails; the user interrupts (what was done
/// is then in a checkpoint). Without a checkpoint nothing of the archive remains.
pub fn create(session: &mut Session, options: &CreateOptions) -> Result<Created, ArchiveError> {
    create_with(session, options, None)
}

/// As [`create`], with a files cache that was read ahead.
///
/// # Errors
/// As there.
pub fn create_with(
    session: &mut Session,
    options: &CreateOptions,
    ahead: Option<FilesAhead>,
) -> Result<Created, ArchiveError> {
    let names = Arc::new(Names::new());
    let tree = Tree {
        names: Arc::clone(&names),
    };
    make(session, options, &names, tree, ahead)
}

/// Makes an archive of what `feed` finds.
pub(crate) fn make(
    session: &mut Session,
    options: &CreateOptions,
    names: &Arc<Names>,
    feed: impl Feed,
    ahead: Option<FilesAhead>,
) -> Result<Created, ArchiveError> {
    let started = Instant::now();
    if session.manifest.archives.contains_key(&options.name[..]) {
        return Err(ArchiveError::AlreadyExists {
            name: options.name.clone(),
        });
    }
    let chunker = Chunker::new(options.chunker, session.key.chunk_seed())
        .map_err(|error| ArchiveError::other(error.to_string()))?;
    let cache = session.client.own_cache(session.repository.id());
    let files_name = files_ahead::file_name(options);
    let tables = if options.files_cache.is_disabled() {
        Tables::Index
    } else {
        Tables::of_files_cache(cache.as_ref(), &files_name)
    };
    session.keep_within_memory(tables, MAKING_THREAD_LEN)?;
    let client = session.client.clone();
    let chunks = chunks_to_claim(session)?;
    let files = files_ahead::open(&client, session.repository.id(), options, ahead);
    let (key, nonces) = (Arc::clone(&session.key), Arc::clone(&session.nonces));
    let (done_tx, done_rx) = crossbeam_channel::unbounded();
    let shared = Shared {
        options,
        key: &key,
        nonces: &nonces,
        chunks: &chunks,
        files: files.as_ref(),
        path_hasher: PathHasher::new(key.id_hash(PATH_HASH_LABEL).as_bytes()),
        names,
        cwd: &client.identity.cwd,
        done: done_tx,
        again: crossbeam_channel::unbounded(),
        shares: crossbeam_channel::bounded(client.threads),
        looks: crossbeam_channel::bounded(LOOKS_IN_FLIGHT.min(2 * client.threads)),
        spare: crossbeam_channel::bounded(client.threads + shared::SPARE_OBJECTS),
        object_bytes: Gate::new(shared::object_bytes_in_flight(client.memory)),
        pace: Pace::new(client.threads),
        idle: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        head_batch: AtomicU64::new(0),
        stopping: AtomicBool::new(false),
        part_requests: AtomicU64::new(0),
        zero_ids: std::sync::Mutex::new(HashMap::new()),
    };
    let saver = Saver {
        options,
        checkpoint_name: checkpoint_name(session, &options.name),
        started,
        cache: Arc::clone(&cache),
        files_name,
    };
    let tickets = Gate::new(BATCHES_IN_FLIGHT);
    let mut collector = Collector::new(session, &shared, saver, &tickets)?;
    run_threads(&client, &shared, &chunker, names, &tickets, feed, || {
        collector.run(&done_rx)
    })?;
    let saved = collector.save(&options.name, Saving::Whole)?;
    let stats = collector.stats;
    let id = ArchiveId::from(saved.entry.id);
    if let Some(summary) = &saved.summary {
        keep_summary(session, &id, summary);
    }
    keep_stored(session, &chunks);
    Ok(Created {
        id,
        name: options.name.clone(),
        start: saved.start,
        end: saved.end,
        stats,
        metadata_csize: saved.entry.csize,
    })
}

/// Runs the walk and the workers until `collect`, on this thread, is done or has failed.
fn run_threads(
    client: &Client,
    shared: &Shared<'_>,
    chunker: &Chunker,
    names: &Arc<Names>,
    tickets: &Gate,
    feed: impl Feed,
    collect: impl FnOnce() -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let crew = Crew {
        shared,
        reporter: client.reporter.as_ref(),
        names,
        chunker,
    };
    let (batch_tx, batch_rx) = crossbeam_channel::bounded(2 * client.threads);
    let open_dirs = Arc::new(Gate::new(OPEN_DIRS_MAX));
    thread::scope(|scope| {
        crew.start(scope, client.threads, &batch_rx);
        // Only workers may hold this end, or the walk would wait for nobody.
        drop(batch_rx);
        let sink = BatchSink::new(shared, batch_tx.clone(), tickets);
        let dirs = &open_dirs;
        scope.spawn(move || {
            let _guard = PanicGuard(shared);
            if let Err(Stop::Error(error)) = feed.feed(client, shared, sink, dirs) {
                shared.fail(error);
            }
        });
        let end = EndGuard {
            shared,
            tickets,
            open_dirs: &open_dirs,
        };
        // Workers stay until the collector is done: an entry may have to be archived again.
        let _keep_workers = batch_tx;
        let result = collect();
        if result.is_ok() {
            std::mem::forget(end);
        }
        result
    })
}

/// Tells the collector when a thread panics; it would wait for ever otherwise.
struct PanicGuard<'a>(&'a Shared<'a>);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(ArchiveError::other(
                "internal error: a worker thread panicked",
            ));
        }
    }
}

/// Ends all threads when the collector fails, by an error or by a panic.
struct EndGuard<'a> {
    shared: &'a Shared<'a>,
    tickets: &'a Gate,
    open_dirs: &'a Gate,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.object_bytes.close();
        self.shared.pace.long.close();
        self.tickets.close();
        self.open_dirs.close();
    }
}
