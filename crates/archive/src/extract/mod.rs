//! Restoring the content of an archive into a directory, to a stream, or only reading it.
//!
//! One thread walks the items ([`engine`]); regular files are written by workers, small ones in
//! batches, large ones cut into parts, with every chunk verified against its id. Bytes in flight: one
//! object and its plaintext for each worker. What fails for one file is reported and the others go on;
//! nothing is written outside of the directory.
//!
//! Source: Borg 1.4, `do_extract`, `Archive.extract_item`, `Archive.restore_attrs`.

mod attributes;
pub(crate) mod chunks;
mod deferred;
pub(crate) mod engine;
mod file;
pub(crate) mod filter;
mod in_flight;
pub(crate) mod report;
mod stream;
mod worker;

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{bounded, unbounded};
use ironborg_source::pattern::PatternMatcher;
use ironborg_source::{Names, RestoreOptions, RestoreRoot};
use ironborg_types::{ErrorKind, Event, PercentProgress};

use self::chunks::ChunkQueue;
use self::engine::{BatchLen, Engine, Work};
use self::file::FileRestorer;
use self::filter::ItemFilter;
use self::report::Report;
pub(crate) use self::stream::cannot_write;
use crate::items::{ObjectSource, PartFiles, with_items};
use crate::{Archive, ArchiveError, Session};

/// Where the content goes.
pub enum Destination<'a> {
    /// Files are made below this directory (`.`: the current one).
    Directory {
        /// Its path.
        path: &'a [u8],
        /// Which attributes are restored and how.
        attributes: RestoreOptions,
        /// Chunks of zeros become holes.
        sparse: bool,
    },
    /// The content of regular files, one after the other (`--stdout`).
    Stream(&'a mut dyn Write),
    /// Content is read and verified only (`--dry-run`).
    Nowhere,
}

/// What is extracted and what is told about it.
pub struct ExtractOptions {
    /// Selects items by their path in the archive.
    pub matcher: PatternMatcher,
    /// Leading components of each path that are left out; items with no more than these are too.
    pub strip_components: usize,
    /// Whether part files count.
    pub parts: PartFiles,
    /// Whether each path is listed.
    pub list: bool,
}

/// How it went, besides warnings and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtractOutcome {
    /// Some extended attributes could not be set; each was reported. The exit code is 1.
    pub attributes_missing: bool,
}

/// Extracts what the options select.
///
/// # Errors
/// A chunk that is missing or damaged, or an item no archive should hold, is reported with archive and
/// file; the others go on, and the first such error in the archive's order is returned in the end.
/// (Stock Borg ends at that point.) A damaged item stream ends it at once. Troubles of the file system
/// are warnings. [`ArchiveError::Interrupted`] when the user wants it to end.
pub fn extract(
    session: &Session,
    archive: &Archive,
    destination: Destination<'_>,
    options: ExtractOptions,
) -> Result<ExtractOutcome, ArchiveError> {
    let reporter = session.client.reporter.as_ref();
    let ExtractOptions {
        matcher,
        strip_components,
        parts,
        list,
    } = options;
    let dry_run = matches!(destination, Destination::Nowhere);
    let mut filter = ItemFilter::new(matcher, strip_components);
    let progress = if reporter.wants_progress() {
        let announcement = "Calculating total archive size for the progress indicator (might take long for large archives)";
        Some(measure(session, archive, &mut filter, parts, announcement)?)
    } else {
        None
    };
    let report = Report::new(reporter, &archive.name, progress);
    let selected = Selected {
        session,
        filter,
        strip: strip_components,
        list,
    };
    let run = ExtractRun {
        selected,
        archive,
        parts,
    };
    let filter = match destination {
        Destination::Stream(out) => run.write_stream(&report, out)?,
        Destination::Nowhere => run.use_workers(&report, None, false)?,
        Destination::Directory {
            path,
            attributes,
            sparse,
        } => {
            let names = Arc::new(Names::new());
            let root = RestoreRoot::open(path, attributes, names)
                .map_err(|error| ArchiveError::other(error.to_string()))?;
            run.use_workers(&report, Some(&root), sparse)?
        }
    };
    for pattern in filter.never_matched() {
        let kind = ErrorKind::IncludePatternNeverMatchedWarning;
        let message = kind.message(&[&pattern.to_string()]).into();
        reporter.report(Event::Warning { kind, message });
    }
    if reporter.wants_progress() {
        let msgid = if dry_run {
            engine::CONTENT
        } else {
            deferred::PERMISSIONS
        };
        reporter.report(Event::ProgressEnd { msgid });
    }
    report.into_result()
}

/// Adds up what will be extracted, for the percentages.
pub(crate) fn measure(
    session: &Session,
    archive: &Archive,
    filter: &mut ItemFilter,
    parts: PartFiles,
    announcement: &str,
) -> Result<PercentProgress, ArchiveError> {
    let reporter = session.client.reporter.as_ref();
    let mut progress = PercentProgress::start(reporter, engine::CONTENT, 0, 0.1);
    progress.announce(reporter, announcement);
    let mut total = 0_u64;
    with_items(session, archive, parts, |items| {
        items.for_each(|item| {
            if filter.admit(item.path, item).is_some() {
                total = total.saturating_add(filter.size_of(item));
            }
            Ok::<_, ArchiveError>(ControlFlow::Continue(()))
        })
    })?;
    progress.set_total(total);
    Ok(progress)
}

/// One extraction, apart from where it goes.
struct ExtractRun<'a> {
    selected: Selected<'a>,
    archive: &'a Archive,
    parts: PartFiles,
}

impl ExtractRun<'_> {
    /// Has workers write (or without a root only verify) the content.
    fn use_workers(
        self,
        report: &Report<'_>,
        root: Option<&RestoreRoot>,
        sparse: bool,
    ) -> Result<ItemFilter, ArchiveError> {
        let (session, archive, parts) = (self.selected.session, self.archive, self.parts);
        self.selected.with_engine(report, root, sparse, |engine| {
            with_items(session, archive, parts, |items| {
                engine.run(|take| items.for_each(take))
            })
        })
    }
}

/// What is extracted, wherever its items come from.
pub(crate) struct Selected<'a> {
    /// Where the chunks are.
    pub(crate) session: &'a Session,
    /// Which of the items.
    pub(crate) filter: ItemFilter,
    /// Leading components of each path that are left out.
    pub(crate) strip: usize,
    /// Whether each path is listed.
    pub(crate) list: bool,
}

impl Selected<'_> {
    /// Calls `use_it` with an engine whose workers write below `root` or, without one, only verify.
    pub(crate) fn with_engine<T>(
        self,
        report: &Report<'_>,
        root: Option<&RestoreRoot>,
        sparse: bool,
        use_it: impl FnOnce(Engine<'_>) -> T,
    ) -> T {
        let Self {
            session,
            filter,
            strip,
            list,
        } = self;
        let source = ObjectSource::of(session);
        let threads = session.client.threads.max(1);
        let interrupt = session.client.interrupt;
        let (job_tx, job_rx) = bounded(2 * threads);
        let (done_tx, done_rx) = unbounded();
        thread::scope(|scope| {
            for _ in 0..threads {
                let (jobs, done) = (job_rx.clone(), done_tx.clone());
                let chunks = ChunkQueue::new(source.reader(), threads);
                let restorer = FileRestorer::new(chunks, root, report, interrupt, sparse);
                scope.spawn(move || worker::work(restorer, &jobs, &done));
            }
            drop((job_rx, done_tx)); // Only workers may hold these ends, or nobody ever ends.
            let engine = Engine {
                root,
                repository: session.repository.as_ref(),
                interrupt,
                report,
                filter,
                strip,
                list,
                jobs: job_tx,
                done: done_rx,
                batches: BatchLen::for_threads(threads),
                work: Work::default(),
            };
            use_it(engine)
        })
    }
}

/// What stock Borg says of a file that a repair has changed.
pub(crate) const DAMAGED_CHUNKS: &str =
    "File has damaged (all-zero) chunks. Try running borg check --repair.";

/// What stock Borg says of a file whose chunks are not as long as the file was.
pub(crate) fn size_mismatch(size: u64, chunks_size: u64) -> String {
    format!("Size inconsistency detected: size {size}, chunks size {chunks_size}")
}
