//! Recreating archives: leaving files out, compressing and cutting their content anew.
//!
//! The new archive, the end of the old one and the manifest that says so are committed together: at every
//! moment there is the one or the other. Content is read only if it is to be compressed or cut anew; every
//! chunk is compressed once, however often archives refer to it. Source: Borg 1.4, `ArchiveRecreater`,
//! `do_recreate`.

mod filter;
mod pool;
mod rewrite;
mod tags;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use ironborg_cache::ChunkTable;
use ironborg_chunker::{Chunker, ChunkerParams};
use ironborg_format::ArchiveMetadata;
use ironborg_format::item::ChunkEntry;
use ironborg_format::msgpack::Value;
use ironborg_object::{Compression, Sealer};
use ironborg_source::PatternMatcher;
use ironborg_types::{ArchiveId, BytePath, ChunkId, Event, Level, Timestamp};

pub use tags::TagOptions;

use self::filter::ItemFilter;
use self::rewrite::{Rewriter, Rewritten};
use self::tags::TaggedDirectories;
use crate::create::{Created, Statistics};
use crate::delete::removal::{remove_references, show_steps};
use crate::info::with_chunker_name;
use crate::items::{PartFiles, with_items};
use crate::memory::{MAKING_THREAD_LEN, Tables};
use crate::references::{ChunkReferences, keep_summary, renew_csizes, summary_of};
use crate::save::{checkpoint_name, chunker_values, commit, store_archive, times};
use crate::statistics::{CacheStatistics, all_archives_of};
use crate::stored::{begin_changes, stored_chunks};
use crate::{Archive, ArchiveError, Session, cache_progress};

const LOGGER: &str = "borg.archive";
/// What the name of an archive in the making ends with, in stock Borg.
const TEMPORARY: &[u8] = b".recreate";

/// Whether stored chunks are compressed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recompress {
    /// They stay as they are.
    #[default]
    Never,
    /// If they are compressed by another algorithm; the level does not count.
    IfDifferent,
    /// All of them.
    Always,
}

/// What is to be done to archives.
#[derive(Debug)]
pub struct RecreateOptions {
    /// Which items stay.
    pub matcher: PatternMatcher,
    /// Tags for which directories are left out.
    pub tags: TagOptions,
    /// How content is to be cut; `None`: it stays as it is.
    pub chunker: Option<ChunkerParams>,
    /// How whatever is stored is compressed.
    pub compression: Compression,
    /// Whether chunks that are stored already are.
    pub recompress: Recompress,
    /// Another comment.
    pub comment: Option<Vec<u8>>,
    /// Another time.
    pub timestamp: Option<Timestamp>,
    /// Only list.
    pub dry_run: bool,
    /// Commit after this long and go on; `None`: never in between.
    pub checkpoint_interval: Option<Duration>,
    /// Whether the figures of all archives are wanted, and whether part files count in them.
    pub statistics: Option<PartFiles>,
}

/// An archive that was made anew.
#[derive(Debug)]
pub struct Recreated {
    /// The new archive; its times are those of the making.
    pub archive: Created,
    /// All archives, if that was asked for.
    pub all: Option<CacheStatistics>,
}

/// What came of one archive.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing was asked for that would change it.
    NothingToDo,
    /// It was listed.
    Listed,
    /// It was made anew.
    Recreated(Box<Recreated>),
}

/// Recreates one archive after the other.
pub struct Recreater<'o> {
    options: &'o RecreateOptions,
    sealer: Sealer,
    known: Option<Known>,
    memory: Memory,
}

/// What is remembered from one archive to the next.
#[derive(Debug, Default)]
struct Memory {
    /// Chunks that are as they are wanted.
    done: HashSet<ChunkId>,
    /// Stored sizes of chunks whose objects were replaced.
    replaced: HashMap<ChunkId, u32>,
}

/// What is known of stored chunks.
enum Known {
    /// Every reference to them.
    All(Box<ChunkReferences>),
    /// That they are there: enough where nothing is deleted.
    Stored(ChunkTable),
}

impl Known {
    fn table(&self) -> &ChunkTable {
        match self {
            Self::All(references) => references.table(),
            Self::Stored(table) => table,
        }
    }
}

/// Whether this is the name of an archive that a recreation did not finish.
pub fn is_temporary(name: &[u8]) -> bool {
    name.ends_with(TEMPORARY)
}

impl<'o> Recreater<'o> {
    /// Nothing done yet.
    pub fn new(options: &'o RecreateOptions) -> Self {
        Self {
            options,
            sealer: Sealer::new(options.compression.clone()),
            known: None,
            memory: Memory::default(),
        }
    }

    /// Makes the archive `name` anew, in its place or as `target`, and commits.
    ///
    /// # Errors
    /// No such archive; `target` (or the name stock Borg works under) is taken; damage; an interrupt. The
    /// archive is then as it was.
    pub fn recreate(
        &mut self,
        session: &mut Session,
        name: &[u8],
        target: Option<&[u8]>,
    ) -> Result<Outcome, ArchiveError> {
        let started = Instant::now();
        let options = self.options;
        let archive = session.load_archive(name)?;
        let work_name = match target {
            Some(target) => target.to_vec(),
            None => [name, TEMPORARY].concat(),
        };
        if session.manifest.archives.contains_key(&work_name) {
            return Err(ArchiveError::AlreadyExists {
                name: BytePath::new(work_name),
            });
        }
        let chunker = match options.chunker {
            Some(params) => Some(
                Chunker::new(params, session.key.chunk_seed())
                    .map_err(|error| ArchiveError::other(error.to_string()))?,
            ),
            None => None,
        };
        let chunker = chunker.filter(|_| !is_cut_by(&archive, options.chunker));
        let tagged = if options.tags.is_empty() {
            TaggedDirectories::default()
        } else {
            TaggedDirectories::find(session, &archive, &options.tags, &options.matcher)?
        };
        let filter = ItemFilter::new(&options.matcher, tagged);
        let nothing_to_do = filter.is_empty()
            && options.recompress == Recompress::Never
            && chunker.is_none()
            && options.comment.is_none()
            && target.is_none();
        if nothing_to_do {
            return Ok(Outcome::NothingToDo);
        }
        if options.dry_run {
            list(session, &archive, filter)?;
            return Ok(Outcome::Listed);
        }
        self.learn(session, target.is_some())?;
        let job = Job {
            archive: &archive,
            chunker: chunker.as_ref(),
            checkpoint_name: checkpoint_name(session, &work_name),
            started,
        };
        let rewritten = self.rewrite(session, &job, filter)?;
        let recreated = self.save(session, &job, rewritten, target)?;
        Ok(Outcome::Recreated(Box::new(recreated)))
    }

    /// Ends the work: the manifest is written even if no archive was worth it, as stock Borg does.
    ///
    /// # Errors
    /// Whatever the repository refuses.
    pub fn finish(mut self, session: &mut Session) -> Result<(), ArchiveError> {
        if self.options.dry_run {
            return Ok(());
        }
        if self.known.is_none() {
            commit(session, &mut self.sealer)?;
        }
        if !self.memory.replaced.is_empty() {
            renew_csizes(session, &self.memory.replaced);
        }
        Ok(())
    }

    /// Finds out what is stored, once.
    fn learn(&mut self, session: &mut Session, original_stays: bool) -> Result<(), ArchiveError> {
        if self.known.is_some() {
            return Ok(());
        }
        let options = self.options;
        session.keep_within_memory(Tables::AllObjects, MAKING_THREAD_LEN)?;
        begin_changes(session);
        // What is compressed again has another size for all archives, and their summaries are to say so.
        let counts_matter = options.statistics.is_some() || options.recompress != Recompress::Never;
        self.known = Some(if original_stays && !counts_matter {
            Known::Stored(stored_chunks(session)?)
        } else {
            Known::All(Box::new(ChunkReferences::load(session)?))
        });
        Ok(())
    }

    fn rewrite(
        &mut self,
        session: &mut Session,
        job: &Job<'_>,
        filter: ItemFilter<'_>,
    ) -> Result<Rewritten, ArchiveError> {
        let reporter = Arc::clone(&session.client.reporter);
        let known = self.known.as_ref().expect("learnt before");
        let shared = RwLock::new(session);
        let rewriter = Rewriter::new(
            &shared,
            self.options,
            job,
            known.table(),
            &mut self.sealer,
            &mut self.memory,
        )?;
        let rewritten = rewriter.run(filter)?;
        reporter.report(Event::ArchiveProgressEnd);
        if !rewritten.in_transaction {
            cache_progress::begin(reporter.as_ref());
        }
        Ok(rewritten)
    }

    /// Stores the new archive, takes the old one away, and commits both.
    fn save(
        &mut self,
        session: &mut Session,
        job: &Job<'_>,
        rewritten: Rewritten,
        target: Option<&[u8]>,
    ) -> Result<Recreated, ArchiveError> {
        let Rewritten {
            mut items,
            mut summary,
            stats,
            ..
        } = rewritten;
        let old = job.archive;
        let name = target.unwrap_or(&old.name);
        let metadata = self.metadata(session, job, &stats, name);
        if target.is_none() {
            session.manifest.archives.remove(name);
        }
        let known = self.known.as_mut().expect("learnt before");
        let entry = store_archive(
            session,
            known.table(),
            &mut self.sealer,
            &mut items,
            &mut summary,
            metadata,
        )?;
        let reporter = Arc::clone(&session.client.reporter);
        if let (None, Known::All(references)) = (target, known) {
            // Stock Borg commits in between.
            cache_progress::commit_chunks(reporter.as_ref());
            delete_old(session, old, references)?;
        }
        commit(session, &mut self.sealer)?;
        cache_progress::commit_chunks(reporter.as_ref());
        summary.add_metadata(&entry);
        let id = ArchiveId::from(entry.id);
        keep_summary(session, &id, &summary.finish());
        self.recreated(session, job, &entry, name, stats)
    }

    fn recreated(
        &self,
        session: &Session,
        job: &Job<'_>,
        entry: &ChunkEntry,
        name: &[u8],
        stats: Statistics,
    ) -> Result<Recreated, ArchiveError> {
        let (start, end) = job.times(None);
        let all = match (self.options.statistics, &self.known) {
            (Some(parts), Some(Known::All(references))) => {
                Some(all_archives_of(session, &references.totals(), parts)?)
            }
            _ => None,
        };
        Ok(Recreated {
            archive: Created {
                id: ArchiveId::from(entry.id),
                name: name.into(),
                start,
                end,
                stats,
                metadata_csize: entry.csize,
            },
            all,
        })
    }

    /// What the new archive says of itself: mostly what the old one said.
    fn metadata(
        &self,
        session: &Session,
        job: &Job<'_>,
        stats: &Statistics,
        name: &[u8],
    ) -> ArchiveMetadata {
        let (options, old) = (self.options, &job.archive.metadata);
        let mut metadata = new_metadata(session, options, stats, name);
        if options.timestamp.is_some() {
            (metadata.time, metadata.time_end) = job.time_texts(options.timestamp);
        } else {
            metadata.time.clone_from(&old.time);
            let end = old.time_end.as_ref().filter(|end| !end.is_empty());
            metadata.time_end = Some(end.unwrap_or(&old.time).clone());
        }
        let comment = options.comment.as_ref().or(old.comment.as_ref());
        metadata.comment = Some(comment.cloned().unwrap_or_default());
        metadata.cmdline.clone_from(&old.cmdline);
        metadata.recreate_cmdline = Some(session.client.identity.command_line.clone());
        metadata
    }
}

impl std::fmt::Debug for Recreater<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recreater")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// One archive being made anew.
struct Job<'a> {
    archive: &'a Archive,
    /// Cuts its content, unless that stays.
    chunker: Option<&'a Chunker>,
    checkpoint_name: BytePath,
    started: Instant,
}

impl Job<'_> {
    /// Begin and end: of the work so far, or as long from `timestamp` on.
    fn times(&self, timestamp: Option<Timestamp>) -> (Timestamp, Timestamp) {
        times(self.started, timestamp)
    }

    /// The same as archives have them.
    fn time_texts(&self, timestamp: Option<Timestamp>) -> (String, Option<String>) {
        let (start, end) = self.times(timestamp);
        (start.to_string(), Some(end.to_string()))
    }
}

/// Metadata of an archive that this run makes; times, comment and items are still to come.
fn new_metadata(
    session: &Session,
    options: &RecreateOptions,
    stats: &Statistics,
    name: &[u8],
) -> ArchiveMetadata {
    let identity = &session.client.identity;
    ArchiveMetadata {
        name: name.to_vec(),
        comment: Some(Vec::new()),
        cmdline: identity.command_line.clone(),
        hostname: Some(identity.hostname.clone()),
        username: Some(identity.username.clone()),
        cwd: Some(identity.cwd.clone()),
        // As stock Borg: the default if nothing was asked for, however the content is cut.
        chunker_params: Some(chunker_values(&options.chunker.unwrap_or_default())),
        size: Some(stats.size),
        csize: Some(stats.csize),
        nfiles: Some(stats.nfiles),
        size_parts: Some(stats.size_parts),
        csize_parts: Some(stats.csize_parts),
        nfiles_parts: Some(stats.nfiles_parts),
        ..ArchiveMetadata::default()
    }
}

/// Takes away what only the old archive referred to.
fn delete_old(
    session: &mut Session,
    old: &Archive,
    references: &mut ChunkReferences,
) -> Result<(), ArchiveError> {
    let summary = summary_of(session, old)?;
    let reporter = session.client.reporter.as_ref();
    show_steps(reporter, old.metadata.items.len(), true, true);
    let missing = remove_references(session, &summary, references.table())?;
    if let Some(missing) = missing {
        // It was to go anyway.
        session
            .client
            .log(Level::Warning, LOGGER, missing.to_string());
    }
    Ok(())
}

/// Lists what would become of the items of an archive.
fn list(
    session: &Session,
    archive: &Archive,
    mut filter: ItemFilter<'_>,
) -> Result<(), ArchiveError> {
    let reporter = session.client.reporter.as_ref();
    with_items(session, archive, PartFiles::Skip, |items| {
        items.for_each(|item| {
            if session.client.interrupt.stop_requested() {
                return Err(ArchiveError::Interrupted);
            }
            let status = if filter.keep(item) { '-' } else { 'x' };
            let path = item.path;
            reporter.report(Event::FileStatus { status, path });
            Ok(std::ops::ControlFlow::Continue(()))
        })
    })?;
    reporter.report(Event::ArchiveProgressEnd);
    Ok(())
}

/// Whether an archive says that its content is cut by these parameters.
fn is_cut_by(archive: &Archive, params: Option<ChunkerParams>) -> bool {
    let (Some(params), Some(values)) = (params, &archive.metadata.chunker_params) else {
        return false;
    };
    let same = |a: &Value<'_>, b: &Value<'_>| match (a, b) {
        (Value::Raw(a), Value::Raw(b)) => a == b,
        _ => a.as_u64().is_some() && a.as_u64() == b.as_u64(),
    };
    let (stored, wanted) = (with_chunker_name(values), chunker_values(&params));
    stored.len() == wanted.len() && stored.iter().zip(&wanted).all(|(a, b)| same(a, b))
}
