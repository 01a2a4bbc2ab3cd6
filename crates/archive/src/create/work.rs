//! The workers: from what the walk found to items with stored chunks.
//!
//! A batch is done in two passes: every small file is read into one buffer first, then all their chunks
//! are identified side by side and stored. Large files, pipes and devices are read one by one, buffer by
//! buffer. Source: Borg 1.4, `FilesystemObjectProcessors`.

mod lookup;
mod small;

use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, select_biased};
use ironborg_cache::PathHash;
use ironborg_chunker::Chunker;
use ironborg_format::{ChunkEntry, Item};
use ironborg_object::Sealer;
use ironborg_source::attributes::AttributeSource;
use ironborg_source::walk::{OpenMode, check_same};
use ironborg_source::{AttributeReader, FileKind, FileStat, SourceError, SourceFile};
use ironborg_types::{ChunkId, Reporter};

use super::content::{ContentError, ContentReader, Reading, store_share};
use super::items::{Owners, add_attributes, as_regular_file, item_of_stat, set_size};
use super::outcome::{Done, EntryOutcome, Memorize, Outcome};
use super::pace::Stopwatch;
use super::plain::{Encoded, Plain, PlainKnown};
use super::shared::{Over, Sealing, Shared};
use super::step::{Entry, EntryKind, Linked, Step};
pub(super) use lookup::{Lookup, cache_stat};

/// Files up to this size are read whole, into the batch's buffer.
pub(crate) const SMALL_FILE_SIZE_MAX: u64 = 512 << 10;

/// A change is told from one that long ago by its time, on any file system and with any of Linux's clocks.
const SETTLED_S: u64 = 2;

/// Steps to be done by one worker.
pub(super) struct Batch {
    /// Number of the batch, counting from 0 without gaps.
    pub(super) number: u64,
    /// What to do, in walk order.
    pub(super) steps: Vec<Step>,
    /// The plain files among that.
    pub(super) plain: Plain,
}

/// A batch that is being done.
#[derive(Default)]
pub(super) struct Begun {
    number: u64,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) encoded: Encoded,
    small: Vec<Small>,
    /// How many plain files are done, and how many of those had one chunk and were unchanged.
    pub(super) plain_done: usize,
    pub(super) singles_done: usize,
}

/// One worker.
pub(super) struct Worker<'a> {
    pub(super) shared: &'a Shared<'a>,
    reporter: &'a dyn Reporter,
    pub(super) attributes: AttributeReader,
    pub(super) owners: Owners<'a>,
    pub(super) sealing: Sealing,
    pub(super) reader: ContentReader,
    /// Content of the small files of the batch, one after the other.
    pub(super) arena: Vec<u8>,
    ids: Vec<ChunkId>,
    pub(super) cuts: Vec<Range<usize>>,
    hashed_path: Vec<u8>,
    pub(super) known: PlainKnown,
    /// The item that is encoded, its memory used again.
    pub(super) item: Item,
    watch: Stopwatch,
    /// What was not changed since then is not being changed: see [`SETTLED_S`].
    settled_before_ns: i64,
}

/// A small file whose content is in the arena and whose chunks are not stored yet.
struct Small {
    outcome: usize,
    chunks: Vec<Range<usize>>,
}

/// Where in the arena an entry's chunks are, if they are still to be stored.
pub(super) type Unstored = Option<Vec<Range<usize>>>;

/// Why an entry has no item.
enum Fault {
    Source(SourceError),
    /// The same, with chunks already stored.
    Partly(SourceError, Vec<ChunkEntry>),
    Over,
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<Over> for Fault {
    fn from(_: Over) -> Self {
        Self::Over
    }
}

impl From<ContentError> for Fault {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Source(error, chunks) => Self::Partly(error, chunks),
            ContentError::Over => Self::Over,
        }
    }
}

impl Begun {
    fn add(&mut self, outcome: EntryOutcome, unstored: Unstored) {
        if let Some(chunks) = unstored {
            let outcome = self.outcomes.len();
            self.small.push(Small { outcome, chunks });
        }
        self.outcomes.push(Outcome::Entry(Box::new(outcome)));
    }
}

impl<'a> Worker<'a> {
    /// A worker with contexts and buffers of its own.
    pub(super) fn new(
        shared: &'a Shared<'a>,
        reporter: &'a dyn Reporter,
        attributes: AttributeReader,
        chunker: Chunker,
    ) -> Self {
        let options = shared.options;
        Self {
            shared,
            reporter,
            attributes,
            owners: Owners::new(shared.names),
            sealing: Sealing::new(Sealer::new(options.compression.clone())),
            reader: ContentReader::new(chunker, &options.chunker),
            arena: Vec::new(),
            ids: Vec::new(),
            cuts: Vec::new(),
            hashed_path: Vec::new(),
            known: PlainKnown::default(),
            item: Item::default(),
            watch: Stopwatch::default(),
            settled_before_ns: i64::MIN,
        }
    }

    /// Does the next thing there is to do, a batch by `batch`; `false` if there is nothing left, or the operation is over.
    pub(super) fn next(
        &mut self,
        batches: &Receiver<Batch>,
        batch: impl FnOnce(&mut Self, Batch) -> bool,
    ) -> bool {
        let shares = &self.shared.shares.1;
        let again = &self.shared.again.1;
        let looks = &self.shared.looks.1;
        if self.shared.is_over() {
            return false;
        }
        self.shared.idle.fetch_add(1, Ordering::Relaxed);
        // A share comes first: its file holds up everything behind it.
        select_biased! {
            recv(shares) -> share => {
                self.shared.idle.fetch_sub(1, Ordering::Relaxed);
                let Ok(share) = share else { return false };
                store_share(self.shared, &mut self.sealing, &mut self.ids, &share).is_ok()
            }
            recv(again) -> entry => {
                self.shared.idle.fetch_sub(1, Ordering::Relaxed);
                let Ok(entry) = entry else { return false };
                self.again(entry).is_ok()
            }
            // What the walk waits for comes before what it has found.
            recv(looks) -> look => {
                self.shared.idle.fetch_sub(1, Ordering::Relaxed);
                let Ok(look) = look else { return false };
                look.see();
                true
            }
            recv(batches) -> next => {
                self.shared.idle.fetch_sub(1, Ordering::Relaxed);
                let Ok(next) = next else { return false };
                batch(self, next)
            }
        }
    }

    /// Does a batch.
    pub(super) fn batch(&mut self, batch: Batch) -> Result<(), Over> {
        self.arena.clear();
        let shared = self.shared;
        let reading = shared.pace.begin(&mut self.watch, &batch);
        self.settled_before_ns = settled_before_ns();
        let plain = batch.plain;
        self.look_up_plain(&plain);
        let mut begun = Begun {
            number: batch.number,
            ..Begun::default()
        };
        for step in batch.steps {
            let outcome = match step {
                Step::Status { status, path } => Outcome::Status { status, path },
                Step::Warning { kind, message } => Outcome::Warning { kind, message },
                Step::UnknownType { path } => Outcome::UnknownType { path },
                Step::Directory(item) => Outcome::Directory(item),
                Step::Piped(input) => self.piped(batch.number, input)?,
                Step::Made(made) => {
                    let (outcome, chunks) = self.made(begun.number, *made)?;
                    begun.add(outcome, chunks);
                    continue;
                }
                Step::Plain(count) => {
                    self.plain_files(&mut begun, &plain, count)?;
                    continue;
                }
                Step::Entry(entry) => {
                    self.any_entry(&mut begun, entry, None)?;
                    continue;
                }
            };
            begun.outcomes.push(outcome);
        }
        // The directories may be closed.
        drop(plain);
        if let Some(reading) = reading {
            shared.pace.end(&mut self.watch, &reading);
        }
        let mut outcomes = begun.outcomes;
        self.store_small(&begun.small, &mut outcomes)?;
        self.shared.send_objects(&mut self.sealing)?;
        self.shared.send(Done::Batch {
            number: begun.number,
            outcomes,
            encoded: begun.encoded,
        })
    }

    /// Archives an entry of the batch, which was looked up already or not.
    pub(super) fn any_entry(
        &mut self,
        begun: &mut Begun,
        entry: Box<Entry>,
        lookup: Option<Lookup>,
    ) -> Result<(), Over> {
        let (outcome, chunks) = self.entry(begun.number, entry, lookup)?;
        begun.add(outcome, chunks);
        Ok(())
    }

    /// Archives one entry again, as the first of its names.
    fn again(&mut self, mut entry: Box<Entry>) -> Result<(), Over> {
        if let Linked::Later { key, .. } = entry.linked {
            entry.linked = Linked::First { key };
        }
        self.arena.clear();
        self.settled_before_ns = settled_before_ns();
        let batch = self.shared.head_batch.load(Ordering::Acquire);
        let (outcome, chunks) = self.entry(batch, entry, None)?;
        let mut outcomes = [Outcome::Entry(Box::new(outcome))];
        if let Some(chunks) = chunks {
            self.store_small(&[Small { outcome: 0, chunks }], &mut outcomes)?;
        }
        let [Outcome::Entry(outcome)] = outcomes else {
            unreachable!("it was just put there")
        };
        self.shared.send_objects(&mut self.sealing)?;
        self.shared.send(Done::Again(outcome))
    }

    /// Archives an entry; also gives the chunks in the arena that are still to be stored.
    fn entry(
        &mut self,
        batch: u64,
        mut entry: Box<Entry>,
        lookup: Option<Lookup>,
    ) -> Result<(EntryOutcome, Unstored), Over> {
        let mut outcome = EntryOutcome::new(Vec::new(), entry.linked.clone());
        let mut chunks = None;
        let result = match entry.kind {
            EntryKind::File(mode) => {
                self.file(batch, &mut entry, mode, lookup, &mut outcome, &mut chunks)
            }
            _ => self.special(&mut entry, &mut outcome),
        };
        match result {
            Ok(item) => outcome.item = Ok(item),
            Err(Fault::Source(error)) => outcome.item = Err(error),
            Err(Fault::Partly(error, orphans)) => {
                outcome.item = Err(error);
                outcome.orphans = orphans;
            }
            Err(Fault::Over) => return Err(Over),
        }
        if let Linked::Later { .. } = entry.linked {
            outcome.path.clone_from(&entry.path);
            outcome.again = Some(entry);
        } else {
            outcome.path = entry.path;
        }
        Ok((outcome, chunks))
    }

    /// Symlinks, fifos and devices.
    fn special(&mut self, entry: &mut Entry, outcome: &mut EntryOutcome) -> Result<Item, Fault> {
        let path = entry.item_path();
        let place = entry.place();
        let options = self.shared.options.metadata;
        let mut stat = entry.stat;
        let mut fifo = None;
        let mut target = None;
        match entry.kind {
            EntryKind::Symlink => target = Some(place.read_link()?),
            EntryKind::Fifo => {
                let file = place.open_file(OpenMode::Normal)?;
                stat = checked_stat(&file, &entry.stat)?;
                fifo = Some(file);
            }
            EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::File(_) => {
                let now = place.stat()?;
                check_same(&entry.stat, &now)?;
                stat = now;
            }
        }
        let mut item = item_of_stat(path, &stat, options, &mut self.owners);
        item.source = target;
        if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
            item.rdev = Some(stat.rdev);
        }
        if entry.kind != EntryKind::Symlink {
            link_item(&mut item, &entry.linked);
        }
        let source = match &fifo {
            Some(file) => AttributeSource::Open(file.as_fd(), &entry.path),
            None => AttributeSource::Place(place),
        };
        add_attributes(
            &mut item,
            self.attributes.read(source, &stat, self.reporter)?,
        );
        outcome.status = Some(match (&entry.linked, entry.kind) {
            (Linked::Later { .. }, _) => 'h',
            (_, EntryKind::Symlink) => 's',
            (_, EntryKind::Fifo) => 'f',
            (_, EntryKind::CharDevice) => 'c',
            (_, EntryKind::BlockDevice | EntryKind::File(_)) => 'b',
        });
        Ok(item)
    }

    /// Anything with content.
    fn file(
        &mut self,
        batch: u64,
        entry: &mut Entry,
        mode: OpenMode,
        lookup: Option<Lookup>,
        outcome: &mut EntryOutcome,
        small: &mut Unstored,
    ) -> Result<Item, Fault> {
        if let Linked::Later { .. } = entry.linked {
            let (mut item, _) = self.unopened(entry, None, false)?;
            if mode != OpenMode::Normal {
                as_regular_file(&mut item);
            }
            outcome.status = Some('h');
            return Ok(item);
        }
        let lookup = lookup.unwrap_or_else(|| self.lookup(entry));
        if let Some(chunks) = lookup.chunks {
            // Nothing about the file has changed, so nothing has to be opened either.
            outcome.status = Some(lookup.status);
            outcome.nfiles = 1;
            let (item, is_bare) = self.unopened(entry, Some(chunks), lookup.is_bare)?;
            if is_bare
                && !lookup.is_bare
                && let (Some(files), Some(hash)) = (self.shared.files, lookup.hash)
            {
                files.note_bare(hash);
            }
            return Ok(item);
        }
        let file = entry.place().open_file(mode)?;
        let stat = checked_stat(&file, &entry.stat)?;
        outcome.status = Some(lookup.status);
        let mut item = item_of_stat(
            entry.item_path(),
            &stat,
            self.shared.options.metadata,
            &mut self.owners,
        );
        if stat.kind().is_special() {
            as_regular_file(&mut item);
        }
        link_item(&mut item, &entry.linked);
        self.read_content(batch, &file, &stat, &mut item, outcome, small)?;
        outcome.nfiles = 1;
        match self.finish_file(entry, &file, &stat, outcome, lookup.hash, &mut item) {
            Ok(()) => Ok(item),
            Err(error) => Err(Fault::Partly(error, item.chunks.take().unwrap_or_default())),
        }
    }

    /// The item of a file whose content is known already, or comes with another item; and whether it is bare, which
    /// may be known too.
    fn unopened(
        &mut self,
        entry: &mut Entry,
        chunks: Option<Vec<ChunkEntry>>,
        is_bare: bool,
    ) -> Result<(Item, bool), SourceError> {
        let options = self.shared.options.metadata;
        let path = entry.item_path();
        let mut item = item_of_stat(path, &entry.stat, options, &mut self.owners);
        link_item(&mut item, &entry.linked);
        item.chunks = chunks;
        set_size(&mut item);
        let source = AttributeSource::Place(entry.place());
        let attributes = if is_bare {
            self.attributes.read_bare(source, &entry.stat)
        } else {
            self.attributes.read(source, &entry.stat, self.reporter)?
        };
        let is_bare = is_bare || self.is_settled(&entry.stat) && attributes.is_bare;
        add_attributes(&mut item, attributes);
        Ok((item, is_bare))
    }

    /// Whether the file's ctime is that old that a change made since the batch was begun has another one.
    fn is_settled(&self, stat: &FileStat) -> bool {
        stat.ctime_ns < self.settled_before_ns
    }

    /// Reads a file: a small one into the arena, its chunks to be stored later, any other at once.
    fn read_content(
        &mut self,
        batch: u64,
        file: &SourceFile,
        stat: &FileStat,
        item: &mut Item,
        outcome: &mut EntryOutcome,
        small: &mut Unstored,
    ) -> Result<(), Fault> {
        if self.is_small(stat)
            && let Some(range) = self.read_small(file, stat)?
        {
            self.reader
                .cut_whole(&self.arena[range.clone()], &mut self.cuts);
            let absolute = |cut: &Range<usize>| range.start + cut.start..range.start + cut.end;
            *small = Some(self.cuts.iter().map(absolute).collect());
            item.chunks = Some(Vec::new());
            return Ok(());
        }
        let reading = Reading {
            batch,
            item,
            device: (stat.kind() == FileKind::Regular).then_some(stat.dev),
        };
        let content = self
            .reader
            .read(self.shared, &mut self.sealing, file, &reading)?;
        outcome.chunks_in_parts = content.chunks_in_parts;
        item.chunks = Some(content.chunks);
        set_size(item);
        Ok(())
    }

    /// What is done with a file once its content has been read.
    fn finish_file(
        &mut self,
        entry: &Entry,
        file: &SourceFile,
        stat: &FileStat,
        outcome: &mut EntryOutcome,
        hash: Option<PathHash>,
        item: &mut Item,
    ) -> Result<(), SourceError> {
        use super::options::FilesChanged;
        let after = file.stat_again()?;
        outcome.changed = !stat.kind().is_special()
            && match self.shared.options.files_changed {
                FilesChanged::Disabled => false,
                FilesChanged::Ctime => stat.ctime_ns != after.ctime_ns,
                FilesChanged::Mtime => stat.mtime_ns != after.mtime_ns,
            };
        if !outcome.changed
            && let Some(hash) = hash
        {
            outcome.memorize = Some(Memorize {
                hash,
                stat: *stat,
                is_bare: false,
            });
        }
        let source = AttributeSource::Open(file.as_fd(), &entry.path);
        let attributes = self.attributes.read(source, stat, self.reporter)?;
        if let Some(memorize) = &mut outcome.memorize {
            memorize.is_bare = attributes.is_bare && self.is_settled(stat);
        }
        add_attributes(item, attributes);
        Ok(())
    }
}

/// The time [`SETTLED_S`] ago; before all times if the clock is no good.
fn settled_before_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    now.and_then(|now| now.checked_sub(Duration::from_secs(SETTLED_S)))
        .and_then(|then| i64::try_from(then.as_nanos()).ok())
        .unwrap_or(i64::MIN)
}

/// What an open file is, if it is still what the walk saw.
fn checked_stat(file: &SourceFile, before: &FileStat) -> Result<FileStat, SourceError> {
    let now = file.stat()?;
    check_same(before, &now)?;
    Ok(now)
}

/// Says in the item how its name relates to the inode's other names.
fn link_item(item: &mut Item, linked: &Linked) {
    match linked {
        Linked::Alone => item.hardlink_master = Some(false),
        Linked::First { .. } => item.hardlink_master = Some(true),
        Linked::Later { first, .. } => item.source = Some(first.to_vec()),
    }
}
