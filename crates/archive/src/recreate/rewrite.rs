//! One archive's items, one after the other, into a new item stream.
//!
//! Chunks that have to be made anew are given to the workers ahead of time; a script says in which order
//! their results, and everything that needs no work, belong into the archive. Memory: the script, the
//! results in flight (two for each worker and two more), the packed items not yet cut.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use ironborg_cache::{ChunkSizes, ChunkTable, Claim, SummaryBuilder};
use ironborg_chunker::Chunker;
use ironborg_crypto::{Key, Nonces};
use ironborg_format::item::{ChunkEntry, Item, ItemView};
use ironborg_object::Sealer;
use ironborg_source::FileKind;
use ironborg_types::{ArchiveProgress, Event, Level};

use super::filter::ItemFilter;
use super::pool::{Job as ChunkJob, NewChunk, Pool, Workplace};
use super::{Job, LOGGER, Memory, Recompress, RecreateOptions, new_metadata};
use crate::client::Client;
use crate::create::Statistics;
use crate::create::items::part_of;
use crate::item_stream::{ItemStream, MetadataStore};
use crate::items::{
    ContentReader, ItemReader, MetadataOf, ObjectSource, PartFiles, ReadAhead, ReadObject,
};
use crate::save::{commit, store_archive, unlist_checkpoint};
use crate::stored::csize_of;
use crate::{ArchiveError, Session, cache_progress};

/// Steps of the script that may be ahead.
const SCRIPT_LEN_MAX: usize = 16 << 10;
/// Files up to this size are cut by one worker as a whole.
const SMALL_FILE_LEN: u64 = 1 << 20;
/// The same in chunks.
const SMALL_FILE_CHUNKS: usize = 256;

/// What a finished archive consists of.
pub(super) struct Rewritten {
    pub(super) items: ItemStream,
    pub(super) summary: SummaryBuilder,
    pub(super) stats: Statistics,
    /// Whether stock Borg's cache would have changed since the last commit.
    pub(super) in_transaction: bool,
}

/// What happens next in the new archive.
enum Step {
    /// An item is left out.
    Excluded(Vec<u8>),
    /// An item begins.
    Begin(Box<Item>),
    /// It has this chunk, about which nothing is to be done.
    Known(ChunkEntry),
    /// It has the chunks of the next result.
    Made,
    /// It is complete.
    End,
}

/// The item that is being put together.
struct Current {
    item: Box<Item>,
    chunks: Vec<ChunkEntry>,
    /// How many of them are in parts already.
    in_parts: usize,
    parts: u64,
}

/// Makes one archive anew.
pub(super) struct Rewriter<'a, 's> {
    shared: &'a RwLock<&'s mut Session>,
    client: Client,
    key: Arc<Key>,
    nonces: Arc<Nonces>,
    options: &'a RecreateOptions,
    job: &'a Job<'a>,
    table: &'a ChunkTable,
    sealer: &'a mut Sealer,
    memory: &'a mut Memory,
    script: VecDeque<Step>,
    current: Option<Current>,
    items: ItemStream,
    summary: SummaryBuilder,
    stats: Statistics,
    last_checkpoint: Instant,
    in_transaction: bool,
}

impl<'a, 's> Rewriter<'a, 's> {
    pub(super) fn new(
        shared: &'a RwLock<&'s mut Session>,
        options: &'a RecreateOptions,
        job: &'a Job<'a>,
        table: &'a ChunkTable,
        sealer: &'a mut Sealer,
        memory: &'a mut Memory,
    ) -> Result<Self, ArchiveError> {
        let session = read(shared);
        Ok(Self {
            client: session.client.clone(),
            key: Arc::clone(&session.key),
            nonces: Arc::clone(&session.nonces),
            items: ItemStream::new(&session.key)?,
            shared,
            options,
            job,
            table,
            sealer,
            memory,
            script: VecDeque::new(),
            current: None,
            summary: SummaryBuilder::new(),
            stats: Statistics::default(),
            last_checkpoint: Instant::now(),
            in_transaction: false,
        })
    }

    /// Works through all items.
    pub(super) fn run(mut self, mut filter: ItemFilter<'_>) -> Result<Rewritten, ArchiveError> {
        let key = Arc::clone(&self.key);
        let nonces = Arc::clone(&self.nonces);
        let source = ObjectSource {
            objects: self.shared,
            key: &key,
        };
        let workplace = Workplace {
            source,
            nonces: &nonces,
            table: self.table,
            compression: &self.options.compression,
            recompress: self.options.recompress,
            chunker: self.job.chunker,
        };
        let threads = self.client.threads.max(1);
        let (workers, readers) = match (self.job.chunker, self.options.recompress) {
            (Some(_), _) => (threads, threads),
            (None, Recompress::Never) => (0, 0),
            (None, _) => (threads, 0),
        };
        let ids = &self.job.archive.metadata.items;
        let name = self.job.archive.name.clone();
        let metadata = MetadataOf(self.shared);
        let of_items = ObjectSource {
            objects: &metadata,
            key: &key,
        };
        ReadAhead::scope(of_items, threads, ids.len(), |stream| {
            let mut items = ItemReader::new(stream, ids, name, PartFiles::Skip);
            ReadAhead::scope(source, readers, usize::MAX, |content| {
                let mut content = ContentReader::new(content);
                Pool::scope(workplace, workers, |mut pool| {
                    items.for_each(|item| {
                        self.take(item, &mut filter, &mut pool, &mut content)?;
                        Ok::<_, ArchiveError>(ControlFlow::Continue(()))
                    })?;
                    while self.step(&mut pool)? {}
                    Ok::<_, ArchiveError>(())
                })
            })
        })?;
        Ok(Rewritten {
            items: self.items,
            summary: self.summary,
            stats: self.stats,
            in_transaction: self.in_transaction,
        })
    }

    /// Writes one item of the old archive into the script.
    fn take(
        &mut self,
        item: &ItemView<'_>,
        filter: &mut ItemFilter<'_>,
        pool: &mut Pool,
        content: &mut ContentReader<'_>,
    ) -> Result<(), ArchiveError> {
        if !filter.keep(item) {
            return self.push(Step::Excluded(item.path.to_vec()), pool);
        }
        let mut item = Box::new(item.to_item());
        filter.relink(&mut item);
        let chunks = item.chunks.clone().unwrap_or_default();
        self.push(Step::Begin(item), pool)?;
        match (self.job.chunker, self.options.recompress) {
            (Some(chunker), _) => self.recut(&chunks, &mut chunker.clone(), pool, content)?,
            (None, Recompress::Never) => {
                for chunk in chunks {
                    self.push(Step::Known(chunk), pool)?;
                }
            }
            (None, _) => {
                let news = chunks.iter();
                let news = news.filter(|chunk| !self.memory.done.contains(&chunk.id));
                let news: Vec<_> = news.map(|chunk| (chunk.id, chunk.csize)).collect();
                self.shared.will_read(&news);
                for chunk in chunks {
                    if self.memory.done.insert(chunk.id) {
                        self.ask(ChunkJob::Recompress(chunk.id), pool)?;
                    } else {
                        self.push(Step::Known(chunk), pool)?;
                    }
                }
            }
        }
        self.push(Step::End, pool)
    }

    /// Has the content of a file cut anew.
    fn recut(
        &mut self,
        chunks: &[ChunkEntry],
        chunker: &mut Chunker,
        pool: &mut Pool,
        content: &mut ContentReader<'_>,
    ) -> Result<(), ArchiveError> {
        if chunks.is_empty() {
            return Ok(());
        }
        let size: u64 = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
        if size <= SMALL_FILE_LEN && chunks.len() <= SMALL_FILE_CHUNKS {
            let objects: Vec<_> = chunks.iter().map(|chunk| (chunk.id, chunk.csize)).collect();
            self.shared.will_read(&objects);
            let ids = chunks.iter().map(|chunk| chunk.id).collect();
            return self.ask(ChunkJob::Recut(ids), pool);
        }
        chunker.restart();
        let mut buffer = Vec::new();
        content.read(chunks, |_, bytes| {
            buffer.extend_from_slice(bytes);
            self.cut(&mut buffer, chunker, false, pool)
        })?;
        self.cut(&mut buffer, chunker, true, pool)
    }

    /// Cuts what can be cut off the front of the buffer.
    fn cut(
        &mut self,
        buffer: &mut Vec<u8>,
        chunker: &mut Chunker,
        eof: bool,
        pool: &mut Pool,
    ) -> Result<(), ArchiveError> {
        let mut start = 0;
        while let Some(len) = chunker.next_cut(&buffer[start..], eof) {
            let chunk = buffer[start..start + len].to_vec();
            self.ask(ChunkJob::Store(chunk), pool)?;
            start += len;
        }
        buffer.drain(..start);
        Ok(())
    }

    /// Gives the workers something to do; its result belongs here.
    fn ask(&mut self, job: ChunkJob, pool: &mut Pool) -> Result<(), ArchiveError> {
        while !pool.has_room() {
            self.step(pool)?;
        }
        pool.ask(job);
        self.push(Step::Made, pool)
    }

    fn push(&mut self, step: Step, pool: &mut Pool) -> Result<(), ArchiveError> {
        self.script.push_back(step);
        while self.script.len() > SCRIPT_LEN_MAX {
            self.step(pool)?;
        }
        Ok(())
    }

    /// Does the next step of the script; false: there is none.
    fn step(&mut self, pool: &mut Pool) -> Result<bool, ArchiveError> {
        let Some(step) = self.script.pop_front() else {
            return Ok(false);
        };
        match step {
            Step::Excluded(path) => self.status('x', &path),
            Step::Begin(item) => self.begin(item)?,
            Step::Known(chunk) => {
                let chunk = self.reference(&chunk)?;
                self.add_chunk(chunk);
            }
            Step::Made => {
                for chunk in pool.take()? {
                    let chunk = self.store(chunk)?;
                    self.add_chunk(chunk);
                    self.look_at_clock()?;
                }
            }
            Step::End => self.end()?,
        }
        Ok(true)
    }

    fn begin(&mut self, item: Box<Item>) -> Result<(), ArchiveError> {
        if self.client.interrupt.stop_requested() {
            return self.stop();
        }
        if item.chunks.is_some() {
            self.status(letter(&item), &item.path);
        }
        self.current = Some(Current {
            item,
            chunks: Vec::new(),
            in_parts: 0,
            parts: 0,
        });
        Ok(())
    }

    /// The first change since a commit: stock Borg's cache opens a transaction.
    fn begin_transaction(&mut self) {
        if !self.in_transaction {
            self.in_transaction = true;
            cache_progress::begin(self.client.reporter.as_ref());
        }
    }

    fn add_chunk(&mut self, chunk: ChunkEntry) {
        let current = self.current.as_mut().expect("chunks are within items");
        current.chunks.push(chunk);
    }

    /// Counts a reference to a chunk that stays as it is.
    fn reference(&mut self, chunk: &ChunkEntry) -> Result<ChunkEntry, ArchiveError> {
        let sizes = ChunkSizes {
            size: chunk.size,
            csize: chunk.csize,
        };
        self.begin_transaction();
        self.table.add(&chunk.id, 1, sizes);
        let known = self.table.get(&chunk.id).unwrap_or(sizes);
        let csize = match known.csize {
            0 => {
                let session = read(self.shared);
                let csize = csize_of(&session, self.table, &chunk.id)?;
                csize.unwrap_or(0)
            }
            csize => csize,
        };
        let entry = ChunkEntry {
            id: chunk.id,
            size: known.size,
            csize,
        };
        self.stats.add(&[entry]);
        Ok(entry)
    }

    /// Counts a reference to a chunk that was made anew, and stores its object if that is wanted.
    fn store(&mut self, chunk: NewChunk) -> Result<ChunkEntry, ArchiveError> {
        let NewChunk { id, size, .. } = chunk;
        let is_first = self.job.chunker.is_none() || self.memory.done.insert(id);
        let Some(object) = chunk.object.filter(|_| is_first) else {
            let csize = chunk.stored_size;
            return self.reference(&ChunkEntry { id, size, csize });
        };
        self.begin_transaction();
        write(self.shared).repository.put(&id, &object)?;
        let csize = u32::try_from(object.len()).expect("the repository took it");
        let is_new = self.table.claim(&id, size)? == Claim::New;
        self.table.fulfil(&id, ChunkSizes { size, csize });
        if is_new {
            self.stats.unique_csize += u64::from(csize);
        } else {
            self.memory.replaced.insert(id, csize);
        }
        let entry = ChunkEntry { id, size, csize };
        self.stats.add(&[entry]);
        Ok(entry)
    }

    /// Puts the item that is complete into the archive.
    fn end(&mut self) -> Result<(), ArchiveError> {
        let Current {
            mut item,
            chunks,
            in_parts,
            parts,
        } = self.current.take().expect("an item has begun");
        if item.chunks.is_none() {
            self.add_item(&item)?;
            self.status(letter(&item), &item.path);
            return Ok(());
        }
        self.prepare(&mut item);
        if parts > 0 {
            let (mut parts, rest) = (parts, chunks[in_parts..].to_vec());
            if !rest.is_empty() {
                // All parts together are to be the whole file.
                parts += 1;
                self.add_part(&item, parts, rest)?;
            }
            for chunk in &chunks {
                self.table.add(&chunk.id, 1, ChunkSizes::default());
            }
            self.stats.add_parts(&chunks);
            self.stats.nfiles_parts += parts;
        }
        if self.is_remade() {
            item.chunks = Some(chunks);
        }
        self.stats.nfiles += 1;
        self.summary
            .add_file(item.chunks.as_deref().unwrap_or_default(), false);
        self.add_item(&item)
    }

    /// Whether chunk lists change.
    fn is_remade(&self) -> bool {
        self.job.chunker.is_some() || self.options.recompress != Recompress::Never
    }

    /// Drops what a new way of cutting makes wrong.
    fn prepare(&self, item: &mut Item) {
        if self.job.chunker.is_some() {
            item.chunks_healthy = None;
        }
    }

    fn add_part(
        &mut self,
        item: &Item,
        number: u64,
        chunks: Vec<ChunkEntry>,
    ) -> Result<(), ArchiveError> {
        self.summary.add_file(&chunks, true);
        self.store_item(&part_of(item, number, chunks))
    }

    fn add_item(&mut self, item: &Item) -> Result<(), ArchiveError> {
        self.progress(&item.path);
        self.store_item(item)
    }

    fn store_item(&mut self, item: &Item) -> Result<(), ArchiveError> {
        let mut session = write(self.shared);
        let mut store = MetadataStore::of(&mut session, self.table);
        self.items
            .add(item, self.sealer, &mut store, &mut self.summary)
    }

    fn status(&self, status: char, path: &[u8]) {
        let reporter = &self.client.reporter;
        if reporter.wants_list() {
            reporter.report(Event::FileStatus { status, path });
        }
    }

    fn progress(&self, path: &[u8]) {
        let reporter = &self.client.reporter;
        if reporter.wants_progress() {
            reporter.report(Event::ArchiveProgress(ArchiveProgress {
                original_size: self.stats.size,
                compressed_size: self.stats.csize,
                deduplicated_size: self.stats.unique_csize,
                nfiles: self.stats.nfiles,
                path,
            }));
        }
    }

    /// Looks, within a file, whether it is time for a checkpoint or for an end.
    fn look_at_clock(&mut self) -> Result<(), ArchiveError> {
        if let Some(current) = &self.current {
            self.progress(&current.item.path);
        }
        if self.client.interrupt.stop_requested() {
            return self.stop();
        }
        let interval = self.options.checkpoint_interval;
        if interval.is_some_and(|interval| self.last_checkpoint.elapsed() > interval) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Ends on request; work that was done is kept in a checkpoint.
    fn stop(&mut self) -> Result<(), ArchiveError> {
        if self.is_remade() {
            let log = |message| self.client.log(Level::Info, LOGGER, message);
            log("checkpoint requested: starting checkpoint creation...");
            self.checkpoint()?;
            let log = |message| self.client.log(Level::Info, LOGGER, message);
            log("checkpoint requested: finished checkpoint creation!");
        }
        Err(ArchiveError::Interrupted)
    }

    /// Makes durable what is there, with what there is of the current file as a part.
    fn checkpoint(&mut self) -> Result<(), ArchiveError> {
        if let Some(mut current) = self.current.take() {
            let rest = current.chunks[current.in_parts..].to_vec();
            if !rest.is_empty() {
                current.parts += 1;
                current.in_parts = current.chunks.len();
                self.prepare(&mut current.item);
                self.add_part(&current.item, current.parts, rest)?;
            }
            self.current = Some(current);
        }
        let name = &self.job.checkpoint_name;
        let session = &mut **write(self.shared);
        let mut metadata = new_metadata(session, self.options, &self.stats, name);
        (metadata.time, metadata.time_end) = self.job.time_texts(None);
        let (items, summary) = (&mut self.items, &mut self.summary);
        let entry = store_archive(session, self.table, self.sealer, items, summary, metadata)?;
        commit(session, self.sealer)?;
        cache_progress::commit_chunks(self.client.reporter.as_ref());
        unlist_checkpoint(session, self.table, name, &entry)?;
        self.last_checkpoint = Instant::now();
        // Taking it off the list again was a change.
        self.in_transaction = true;
        cache_progress::begin(self.client.reporter.as_ref());
        Ok(())
    }
}

/// The status letter of an item: its type. Source: Borg 1.4, `file_status`.
fn letter(item: &Item) -> char {
    match FileKind::of_mode(item.mode) {
        FileKind::Regular => 'A',
        FileKind::Directory => 'd',
        FileKind::BlockDevice => 'b',
        FileKind::CharDevice => 'c',
        FileKind::Symlink => 's',
        FileKind::Fifo => 'f',
        FileKind::Socket | FileKind::Unknown => '?',
    }
}

/// Nobody panics while the session is changed and goes on with it.
fn read<'l, 's>(shared: &'l RwLock<&'s mut Session>) -> RwLockReadGuard<'l, &'s mut Session> {
    shared.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<'l, 's>(shared: &'l RwLock<&'s mut Session>) -> RwLockWriteGuard<'l, &'s mut Session> {
    shared.write().unwrap_or_else(PoisonError::into_inner)
}
