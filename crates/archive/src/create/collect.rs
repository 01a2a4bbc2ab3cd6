//! The collector: the one thread that owns the repository. It stores objects as they come, puts items in
//! walk order into the item stream, reports, and writes checkpoints.

mod checkpoint;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use ironborg_cache::{ChunkSizes, SummaryBuilder};
use ironborg_format::{ChunkEntry, Item};
use ironborg_object::Sealer;
use ironborg_types::{ArchiveProgress, ChunkId, ErrorKind, Event, Level};

use super::Statistics;
use super::items::part_of;
use super::outcome::{Done, EntryOutcome, FilePart, Outcome, SealedObjects};
use super::plain::Encoded;
use super::save::{Saved, Saver, Saving};
use super::shared::{SPARE_OBJECT_LEN, Shared};
use super::step::{LinkKey, Linked};
use super::work::cache_stat;
use crate::cache_progress;
use crate::error::ArchiveError;
use crate::gate::Gate;
use crate::item_stream::{ItemStream, MetadataStore};
use crate::session::Session;
use crate::stored::csize_of;

/// Chunks whose stored lengths are asked for at a time.
const SIZES_AT_ONCE: usize = 256;
/// How often signals and the clock are looked at while nothing happens.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long a stop request waits for a part of the file being read, which may be a pipe nobody writes to.
const PART_PATIENCE: Duration = Duration::from_secs(5);
const LOGGER: &str = "borg.archive";

/// A batch that is done and waits for its turn.
#[derive(Default)]
struct Pending {
    outcomes: VecDeque<Outcome>,
    encoded: Encoded,
}

/// The collector of one `create`.
pub(super) struct Collector<'a, 's> {
    pub(super) session: &'s mut Session,
    pub(super) shared: &'a Shared<'a>,
    pub(super) saver: Saver<'a>,
    /// Bounds how far the walk may be ahead; one unit is given back for each finished batch.
    pub(super) tickets: &'a Gate,
    pub(super) sealer: Sealer,
    pub(super) items: ItemStream,
    pub(super) summary: SummaryBuilder,
    pub(super) stats: Statistics,
    pending: BTreeMap<u64, Pending>,
    head: u64,
    batches: Option<u64>,
    /// An entry that is being archived again before the batch at the head goes on.
    again: bool,
    /// First names that could not be archived, with the name that took their place.
    replaced: HashMap<LinkKey, Option<Arc<[u8]>>>,
    /// Path of the entry processed last, for progress.
    last_path: Vec<u8>,
    parts_of_head: u64,
    /// Parts of the file at the head whose chunks may still be on their way.
    parts: VecDeque<FilePart>,
    last_checkpoint: Instant,
    new_bytes: u64,
    /// Stored in this run, and not in the archive yet.
    unreferenced: HashSet<ChunkId>,
    due: Option<Instant>,
    stopping: bool,
    in_transaction: bool,
}

impl<'a, 's> Collector<'a, 's> {
    pub(super) fn new(
        session: &'s mut Session,
        shared: &'a Shared<'a>,
        saver: Saver<'a>,
        tickets: &'a Gate,
    ) -> Result<Self, ArchiveError> {
        let items = ItemStream::new(shared.key)?;
        Ok(Self {
            session,
            shared,
            saver,
            tickets,
            sealer: Sealer::new(shared.options.compression.clone()),
            items,
            summary: SummaryBuilder::new(),
            stats: Statistics::default(),
            pending: BTreeMap::new(),
            head: 0,
            batches: None,
            again: false,
            replaced: HashMap::new(),
            last_path: Vec::new(),
            parts_of_head: 0,
            parts: VecDeque::new(),
            last_checkpoint: Instant::now(),
            new_bytes: 0,
            unreferenced: HashSet::new(),
            due: None,
            stopping: false,
            in_transaction: false,
        })
    }

    /// Works until every batch is in the archive.
    pub(super) fn run(&mut self, done: &Receiver<Done>) -> Result<(), ArchiveError> {
        while self.batches != Some(self.head) {
            match done.recv_timeout(POLL_INTERVAL) {
                Ok(message) => self.receive(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("this thread holds a sender itself")
                }
            }
            self.drain()?;
            self.look_at_clock()?;
        }
        self.session
            .client
            .reporter
            .report(Event::ArchiveProgressEnd);
        if self.session.client.interrupt.stop_requested() {
            self.checkpoint_on_request()?;
            return Err(ArchiveError::Interrupted);
        }
        Ok(())
    }

    fn receive(&mut self, message: Done) -> Result<(), ArchiveError> {
        match message {
            Done::Objects(objects) => self.store_objects(objects)?,
            Done::Batch {
                number,
                outcomes,
                encoded,
            } => {
                let outcomes = outcomes.into();
                self.pending.insert(number, Pending { outcomes, encoded });
            }
            Done::Again(outcome) => {
                self.again = false;
                let head = self.pending.entry(self.head).or_default();
                head.outcomes.push_front(Outcome::Entry(outcome));
            }
            Done::Part(part) => self.parts.push_back(*part),
            Done::WalkEnd { batches } => self.batches = Some(batches),
            Done::Fatal(error) => return Err(error),
        }
        Ok(())
    }

    fn store_objects(&mut self, objects: SealedObjects) -> Result<(), ArchiveError> {
        let mut start = 0;
        for (id, size, end) in objects.entries {
            let object = &objects.bytes[start..end];
            self.session.repository.put(&id, object)?;
            let csize = u32::try_from(object.len()).expect("the repository took it");
            self.shared.chunks.fulfil(&id, ChunkSizes { size, csize });
            self.stats.unique_csize += u64::from(csize);
            self.new_bytes += u64::from(csize);
            self.unreferenced.insert(id);
            start = end;
        }
        self.shared.object_bytes.give_back(start);
        // If there are enough spare buffers already, this one is freed; so are those that few chunks need.
        if objects.bytes.capacity() <= SPARE_OBJECT_LEN {
            let _ = self.shared.spare.0.try_send(objects.bytes);
        }
        self.report_progress();
        Ok(())
    }

    /// Puts into the archive whatever is next in walk order and complete.
    fn drain(&mut self) -> Result<(), ArchiveError> {
        while let Some(mut part) = self.parts.pop_front() {
            if !self.resolve_chunks(&mut part.chunks)? {
                self.parts.push_front(part);
                return Ok(());
            }
            self.part(part)?;
        }
        while !self.again {
            let Some(head) = self.pending.get_mut(&self.head) else {
                return Ok(());
            };
            let Some(outcome) = head.outcomes.pop_front() else {
                self.pending.remove(&self.head);
                self.head += 1;
                self.parts_of_head = 0;
                self.shared.head_batch.store(self.head, Ordering::Release);
                self.tickets.give_back(1);
                continue;
            };
            if let Some(blocked) = self.outcome(outcome)? {
                self.pending
                    .entry(self.head)
                    .or_default()
                    .outcomes
                    .push_front(blocked);
                return Ok(());
            }
            if self.due.is_some() {
                self.checkpoint()?;
            }
        }
        Ok(())
    }

    /// Handles one outcome; gives it back if a chunk of it is still on its way.
    fn outcome(&mut self, outcome: Outcome) -> Result<Option<Outcome>, ArchiveError> {
        match outcome {
            Outcome::Status { status, path } => self.status(status, &path),
            Outcome::Warning { kind, message } => self.session.client.warn(kind, message),
            Outcome::UnknownType { path } => {
                let path = ironborg_types::text::display(&path).into_owned();
                let message = format!("Unknown file type: {path}");
                self.session.client.warn(ErrorKind::BackupWarning, message);
            }
            Outcome::Directory(item) => {
                self.show(&item.path);
                self.add_item(&item)?;
            }
            Outcome::Unchanged(files) => {
                let head = self.pending.entry(self.head).or_default();
                let encoded = std::mem::take(&mut head.encoded);
                let left = self.unchanged(&encoded, files)?;
                self.pending.entry(self.head).or_default().encoded = encoded;
                // Before the next one a checkpoint is due.
                let head = self.pending.entry(self.head).or_default();
                if !left.is_empty() {
                    head.outcomes.push_front(Outcome::Unchanged(left));
                }
            }
            Outcome::Entry(entry) => return Ok(self.entry(entry)?.map(Outcome::Entry)),
        }
        Ok(None)
    }

    /// Archives files that are unchanged; gives those back that come behind a checkpoint.
    fn unchanged(
        &mut self,
        encoded: &Encoded,
        mut files: Range<usize>,
    ) -> Result<Range<usize>, ArchiveError> {
        let is_told = {
            let reporter = &self.session.client.reporter;
            reporter.wants_list() || reporter.wants_progress()
        };
        while let Some(number) = files.next() {
            let file = encoded.get(number);
            if is_told || files.is_empty() || self.due.is_some() {
                self.show(file.archived);
            }
            self.stats.add(file.chunks);
            self.stats.nfiles += 1;
            if !file.chunks.is_empty() {
                self.begin_transaction();
            }
            self.status('U', file.path);
            self.stats.nfiles_parts += self.parts_of_head;
            self.refer_to(file.chunks, false);
            let mut store = MetadataStore::of(self.session, self.shared.chunks);
            self.items
                .add_encoded(file.bytes, &mut self.sealer, &mut store, &mut self.summary)?;
            self.report_progress();
            if self.due.is_some() {
                break;
            }
        }
        Ok(files)
    }

    fn entry(
        &mut self,
        mut entry: Box<EntryOutcome>,
    ) -> Result<Option<Box<EntryOutcome>>, ArchiveError> {
        if let Linked::Later { key, .. } = &entry.linked
            && let Some(replacement) = self.replaced.get(key)
        {
            let Some(replacement) = replacement else {
                // The name all others were to refer to is not in the archive: this one takes its place.
                let again = entry.again.take().expect("kept for this");
                self.again = true;
                if self.shared.again.0.send(again).is_err() {
                    unreachable!("the receiver lives as long as the sender");
                }
                return Ok(None);
            };
            if let Ok(item) = &mut entry.item {
                item.source = Some(replacement.to_vec());
            }
        }
        if !self.resolve(&mut entry)? {
            return Ok(Some(entry));
        }
        self.show(match &entry.item {
            Ok(item) => &item.path,
            Err(_) => &entry.path,
        });
        self.count(&entry);
        // Stock Borg tells of an unchanged file once its chunks are counted, of others before.
        let has_chunks = entry.has_chunks();
        if has_chunks && entry.status == Some('U') {
            self.begin_transaction();
        }
        if let Some(status) = entry.status {
            self.status(status, &entry.path);
        }
        if has_chunks {
            self.begin_transaction();
        }
        match &entry.item {
            Ok(item) => {
                self.add_content(item, &entry)?;
                if let Linked::First { key } = &entry.linked
                    && let Some(replaced) = self.replaced.get_mut(key)
                {
                    *replaced = Some(item.path.to_vec().into());
                }
                if entry.changed {
                    let path = ironborg_types::text::display(&entry.path);
                    let kind = ErrorKind::FileChangedWarning;
                    self.session.client.warn(kind, kind.message(&[&path]));
                    self.status('C', &entry.path);
                }
            }
            Err(error) => {
                self.session
                    .client
                    .warn(error.kind(), error.warning(&entry.path));
                self.status('E', &entry.path);
                if let Linked::First { key } = &entry.linked {
                    self.replaced.insert(*key, None);
                }
            }
        }
        self.memorize(&entry);
        Ok(None)
    }

    /// Fills in the stored length of every chunk; `false` if one is still on its way.
    fn resolve(&self, entry: &mut EntryOutcome) -> Result<bool, ArchiveError> {
        let chunks = match &mut entry.item {
            Ok(item) => item.chunks.as_deref_mut().unwrap_or_default(),
            Err(_) => &mut entry.orphans[..],
        };
        self.resolve_chunks(chunks)
    }

    fn resolve_chunks(&self, chunks: &mut [ChunkEntry]) -> Result<bool, ArchiveError> {
        for some in chunks.chunks_mut(SIZES_AT_ONCE) {
            self.ask_for_csizes(some);
            for chunk in some.iter_mut().filter(|chunk| chunk.csize == 0) {
                let Some(csize) = csize_of(self.session, self.shared.chunks, &chunk.id)? else {
                    return Ok(false);
                };
                chunk.csize = csize;
            }
        }
        Ok(true)
    }

    /// Where each stored length is a request, several are asked for at a time.
    fn ask_for_csizes(&self, chunks: &[ChunkEntry]) {
        let repository = &self.session.repository;
        if !repository.is_distant() || !repository.is_local() {
            return;
        }
        let chunks = chunks.iter().filter(|chunk| chunk.csize == 0);
        let ids = chunks.map(|chunk| chunk.id).filter(|id| {
            let sizes = self.shared.chunks.get(id);
            sizes.is_some_and(|sizes| sizes.csize == 0)
        });
        let ids: Vec<ChunkId> = ids.collect();
        repository.will_need_sizes(&ids);
    }

    fn count(&mut self, entry: &EntryOutcome) {
        let chunks = match &entry.item {
            Ok(item) => item.chunks.as_deref().unwrap_or_default(),
            Err(_) => &entry.orphans[..],
        };
        // References that parts have brought in are counted there; the whole file's then count as parts.
        let (in_parts, rest) = chunks.split_at(entry.chunks_in_parts.min(chunks.len()));
        self.stats.add(rest);
        if !in_parts.is_empty() {
            self.stats.add_parts(chunks);
        }
        self.stats.nfiles += entry.nfiles;
    }

    fn add_content(&mut self, item: &Item, entry: &EntryOutcome) -> Result<(), ArchiveError> {
        if entry.chunks_in_parts > 0
            && let Some(rest) = item
                .chunks
                .as_deref()
                .and_then(|chunks| chunks.get(entry.chunks_in_parts..))
            && !rest.is_empty()
        {
            // All parts together are to be the whole file, so what follows the last one is one too.
            self.add_part(item, rest.to_vec())?;
        }
        self.stats.nfiles_parts += self.parts_of_head;
        if item.source.is_none() || item.chunks.is_some() {
            self.refer_to(item.chunks.as_deref().unwrap_or_default(), false);
        }
        self.add_item(item)?;
        self.report_progress();
        Ok(())
    }

    /// Archives what has been read of the file at the head so far, and with it a checkpoint.
    fn part(&mut self, part: FilePart) -> Result<(), ArchiveError> {
        self.begin_transaction();
        self.stats.add(&part.chunks);
        self.add_part(&part.item, part.chunks)?;
        if self.due.is_some() {
            self.checkpoint()
        } else {
            Ok(())
        }
    }

    fn add_part(&mut self, item: &Item, chunks: Vec<ChunkEntry>) -> Result<(), ArchiveError> {
        self.parts_of_head += 1;
        self.refer_to(&chunks, true);
        let part = part_of(item, self.parts_of_head, chunks);
        self.add_item(&part)
    }

    /// The archive has a file, or a part of one, that is made of these chunks.
    fn refer_to(&mut self, chunks: &[ChunkEntry], is_part: bool) {
        self.summary.add_file(chunks, is_part);
        if !self.unreferenced.is_empty() {
            for chunk in chunks {
                self.unreferenced.remove(&chunk.id);
            }
        }
    }

    fn add_item(&mut self, item: &Item) -> Result<(), ArchiveError> {
        let mut store = MetadataStore::of(self.session, self.shared.chunks);
        self.items
            .add(item, &mut self.sealer, &mut store, &mut self.summary)
    }

    fn memorize(&self, entry: &EntryOutcome) {
        if let (Some(files), Some(memorize), Ok(item)) =
            (self.shared.files, &entry.memorize, &entry.item)
        {
            let chunks = item.chunks.as_deref().unwrap_or_default();
            files.record(memorize.hash, &cache_stat(&memorize.stat), chunks);
            if memorize.is_bare {
                files.note_bare(memorize.hash);
            }
        }
    }

    fn status(&self, status: char, path: &[u8]) {
        if self.session.client.reporter.wants_list() {
            self.session
                .client
                .reporter
                .report(Event::FileStatus { status, path });
        }
    }

    /// From now on this is the path that is worked on.
    fn show(&mut self, path: &[u8]) {
        self.last_path.clear();
        self.last_path.extend_from_slice(path);
        self.report_progress();
    }

    /// The first change since a commit: stock Borg's cache opens a transaction.
    fn begin_transaction(&mut self) {
        if !self.in_transaction {
            self.in_transaction = true;
            cache_progress::begin(self.session.client.reporter.as_ref());
        }
    }

    fn report_progress(&self) {
        let reporter = &self.session.client.reporter;
        // Objects may come in before anything is known of what they belong to.
        if reporter.wants_progress() && !self.last_path.is_empty() {
            reporter.report(Event::ArchiveProgress(ArchiveProgress {
                original_size: self.stats.size,
                compressed_size: self.stats.csize,
                deduplicated_size: self.stats.unique_csize,
                nfiles: self.stats.nfiles,
                path: &self.last_path,
            }));
        }
    }

    /// Notices that a checkpoint is due or that the user wants to stop.
    fn look_at_clock(&mut self) -> Result<(), ArchiveError> {
        let interrupt = self.session.client.interrupt;
        if interrupt.take_report() && !self.last_path.is_empty() {
            // Stock Borg means to tell how much of the file is read, but does not find that out.
            let message = format!("{} 0 B/0 B", ironborg_types::text::display(&self.last_path));
            self.session.client.log(Level::Info, LOGGER, message);
        }
        if !self.stopping && interrupt.stop_requested() {
            self.stopping = true;
            self.ask_for_part();
        }
        let policy = self.shared.options.checkpoints;
        let by_time =
            !policy.interval.is_zero() && self.last_checkpoint.elapsed() > policy.interval;
        let by_volume = policy.volume > 0 && self.new_bytes >= policy.volume
            || self.session.repository.wants_commit();
        if self.due.is_none() && (by_time || by_volume) {
            self.ask_for_part();
        }
        // Nothing at the head is finished or could give a part: make do with what is there.
        if self.stopping && self.due.is_some_and(|due| due.elapsed() > PART_PATIENCE) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Saves the archive as it is now under a name, and commits.
    pub(super) fn save(&mut self, name: &[u8], saving: Saving) -> Result<Saved, ArchiveError> {
        self.begin_transaction();
        self.in_transaction = false;
        self.saver.save(
            self.session,
            self.shared,
            &mut self.sealer,
            &mut self.items,
            &mut self.summary,
            &self.stats,
            name,
            saving,
        )
    }
}
