//! Writing the content of an archive as a tarball.
//!
//! The thread that walks the items makes the headers and gathers members into jobs; workers fetch and verify
//! their chunks and put each job's part of the tarball together; this thread writes the parts out in order.
//! Memory: so many jobs as [`Pipeline::limit`] allows, each of [`assemble::JOB_LEN`] and at most one chunk more.

use std::collections::VecDeque;
use std::io::Write;
use std::ops::ControlFlow;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use ironborg_format::item::ItemView;
use ironborg_format::tar::{BLOCK_LEN, RECORD_LEN};
use ironborg_source::pattern::PatternMatcher;
use ironborg_types::{BytePath, ErrorKind, Event, Level, PercentProgress, text};

use super::assemble::{self, Job, Part};
use super::in_order::InOrder;
use super::member::{MemberKind, Members};
use crate::extract::cannot_write;
use crate::extract::chunks::ChunkQueue;
use crate::extract::filter::ItemFilter;
use crate::items::{ItemReader, ObjectSource, PartFiles, announce_reads, with_items};
use crate::{Archive, ArchiveError, Session};

/// Content counts for the progress in pieces of this size.
const COUNTED_LEN: u64 = 16 << 10;

/// Which kind of tarball is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TarFormat {
    /// GNU's, as stock Borg writes it: no fractions of seconds, no ACLs, no extended attributes, no flags.
    #[default]
    Gnu,
    /// POSIX pax, with everything that tar can hold of an item.
    Pax,
}

/// What is exported and what is told about it.
pub struct ExportOptions {
    /// Selects items by their path in the archive.
    pub matcher: PatternMatcher,
    /// Leading components of each path that are left out; items with no more than these are too.
    pub strip_components: usize,
    /// Whether part files count.
    pub parts: PartFiles,
    /// Whether each path is listed.
    pub list: bool,
    /// Which kind of tarball is written.
    pub format: TarFormat,
}

/// Writes what the options select to `out`, whole records of it.
///
/// # Errors
/// The first chunk that cannot be had ends it: a tarball with a hole in it helps nobody. So does an output
/// that takes no more, and [`ArchiveError::Interrupted`].
pub fn export(
    session: &Session,
    archive: &Archive,
    out: &mut dyn Write,
    options: ExportOptions,
) -> Result<(), ArchiveError> {
    let reporter = session.client.reporter.as_ref();
    let ExportOptions {
        matcher,
        strip_components,
        parts,
        list,
        format,
    } = options;
    let mut filter = ItemFilter::new(matcher, strip_components);
    let progress = if reporter.wants_progress() {
        let announcement = "Calculating size";
        Some(crate::extract::measure(
            session,
            archive,
            &mut filter,
            parts,
            announcement,
        )?)
    } else {
        None
    };
    let source = ObjectSource::of(session);
    let threads = session.client.threads.max(1);
    let (job_tx, job_rx) = bounded::<(u64, Job)>(2 * threads);
    let (done_tx, done_rx) = bounded(2 * threads);
    let filter = thread::scope(|scope| {
        for _ in 0..threads {
            let (jobs, done) = (job_rx.clone(), done_tx.clone());
            let queue = ChunkQueue::new(source.reader(), threads);
            scope.spawn(move || assemble::work(queue, &jobs, &done));
        }
        drop((job_rx, done_tx)); // Only workers may hold these ends, or nobody ever ends.
        let pipeline = Pipeline {
            session,
            archive: &archive.name,
            jobs: job_tx,
            done: done_rx,
            limit: 2 * threads as u64,
            sent: 0,
            ready: InOrder::default(),
            to_say: VecDeque::new(),
            progress,
            len: 0,
            out,
        };
        let exporter = Exporter {
            members: Members::new(filter, strip_components, format),
            job: Job::default(),
            list,
            pipeline,
        };
        with_items(session, archive, parts, |items| exporter.run(items))
    })?;
    for pattern in filter.never_matched() {
        let kind = ErrorKind::IncludePatternNeverMatchedWarning;
        let message = kind.message(&[&pattern.to_string()]).into();
        reporter.report(Event::Warning { kind, message });
    }
    Ok(())
}

/// The walk over the items.
struct Exporter<'a> {
    members: Members,
    job: Job,
    list: bool,
    pipeline: Pipeline<'a>,
}

impl Exporter<'_> {
    fn run(mut self, items: &mut ItemReader<'_>) -> Result<ItemFilter, ArchiveError> {
        let client = &self.pipeline.session.client;
        items.for_each(|item| {
            if client.interrupt.stop_requested() {
                return Err(ArchiveError::Interrupted);
            }
            self.item(item)?;
            Ok(ControlFlow::Continue(()))
        })?;
        self.send()?;
        self.pipeline.finish()?;
        Ok(self.members.into_filter())
    }

    fn item(&mut self, item: &ItemView<'_>) -> Result<(), ArchiveError> {
        let Some(kind) = self.members.add(item, self.job.headers())? else {
            return Ok(());
        };
        let path = item.path;
        let size = match kind {
            MemberKind::Unsupported { file_type } => {
                let path = text::display(path);
                let message = format!("{path}: unsupported file type {file_type:o} for tar export");
                self.pipeline.say(Said::Unsupported(message));
                return Ok(());
            }
            MemberKind::Plain => 0,
            MemberKind::Content { size } => size,
        };
        if self.list {
            let path = text::display(path).into_owned();
            self.pipeline.say(Said::Listed(path));
        }
        self.job.end_headers();
        let mut left = size;
        for chunk in self.members.chunks() {
            let taken = left.min(u64::from(chunk.size));
            if taken == 0 {
                continue;
            }
            if self.pipeline.progress.is_some() {
                let count = Count::of_content(path, size - left, taken);
                self.pipeline.say(Said::Counted(count));
            }
            left -= taken;
            self.job.add_chunk(chunk, taken, path);
            if self.job.is_full() {
                let job = std::mem::take(&mut self.job);
                self.pipeline.send(job)?;
            }
        }
        assert_eq!(left, 0, "the chunks were added up before");
        self.job.add_padding(size);
        if self.job.is_full() {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), ArchiveError> {
        let job = std::mem::take(&mut self.job);
        self.pipeline.send(job)
    }
}

/// What is said once the part of the tarball it belongs to is written.
enum Said {
    /// A line of the list.
    Listed(String),
    /// A warning about an item that tar has no kind for.
    Unsupported(String),
    /// A step of the progress.
    Counted(Count),
}

/// Bytes of a file's content.
struct Count {
    path: String,
    offset: u64,
    len: u64,
}

impl Count {
    fn of_content(path: &[u8], offset: u64, len: u64) -> Self {
        let path = text::display(path).into_owned();
        Self { path, offset, len }
    }

    /// The pieces stock Borg reads them in.
    fn pieces(&self) -> impl Iterator<Item = u64> {
        let (mut offset, mut left) = (self.offset, self.len);
        std::iter::from_fn(move || {
            let piece = left.min(COUNTED_LEN - offset % COUNTED_LEN);
            offset += piece;
            left -= piece;
            (piece > 0).then_some(piece)
        })
    }
}

/// What is on its way to the output.
struct Pipeline<'a> {
    session: &'a Session,
    archive: &'a BytePath,
    jobs: Sender<(u64, Job)>,
    done: Receiver<(u64, Part)>,
    /// So many jobs may be under way.
    limit: u64,
    sent: u64,
    ready: InOrder<Part>,
    /// What to say when the job of that number is written.
    to_say: VecDeque<(u64, Said)>,
    progress: Option<PercentProgress>,
    /// Bytes written.
    len: u64,
    out: &'a mut dyn Write,
}

impl Pipeline<'_> {
    fn send(&mut self, job: Job) -> Result<(), ArchiveError> {
        if job.is_empty() {
            return Ok(());
        }
        announce_reads(self.session.repository.as_ref(), job.chunks());
        while self.sent - self.ready.taken() >= self.limit {
            self.write_next()?;
        }
        self.jobs
            .send((self.sent, job))
            .expect("workers live as long as the scope");
        self.sent += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<(), ArchiveError> {
        while self.ready.taken() < self.sent {
            self.write_next()?;
        }
        self.say_up_to(u64::MAX);
        let end = self.len + 2 * BLOCK_LEN as u64;
        let padded = end.next_multiple_of(RECORD_LEN as u64);
        let zeros = usize::try_from(padded - self.len).expect("less than two records");
        self.write(&vec![0; zeros])?;
        self.out.flush().map_err(|error| cannot_write(&error))?;
        if let Some(progress) = &self.progress {
            progress.finish(self.session.client.reporter.as_ref());
        }
        Ok(())
    }

    /// Waits for the next job in order and writes it.
    fn write_next(&mut self) -> Result<(), ArchiveError> {
        let part = loop {
            if let Some(part) = self.ready.next() {
                break part;
            }
            let (number, part) = self.done.recv().expect("a worker holds the job");
            self.ready.put(number, part);
        };
        let bytes = part.map_err(|(path, error)| {
            self.name_culprit(&path, &error);
            error
        })?;
        self.write(&bytes)?;
        self.say_up_to(self.ready.taken());
        Ok(())
    }

    /// Has something said in its place among what is written.
    fn say(&mut self, said: Said) {
        self.to_say.push_back((self.sent, said));
    }

    /// Says what belongs to jobs before that of this number.
    fn say_up_to(&mut self, end: u64) {
        while let Some((number, _)) = self.to_say.front()
            && *number < end
        {
            let (_, said) = self.to_say.pop_front().expect("just seen");
            let client = &self.session.client;
            match said {
                Said::Listed(path) => client.reporter.report(Event::List(path.into())),
                Said::Unsupported(message) => client.warn(ErrorKind::BackupWarning, message),
                Said::Counted(count) => self.count(&count),
            }
        }
    }

    /// Says which file an error is about: the error itself only knows the chunk.
    fn name_culprit(&self, path: &[u8], error: &ArchiveError) {
        self.session.client.reporter.report(Event::Log {
            level: Level::Error,
            logger: "borg.archiver",
            message: format!("{}::{}: {error}", self.archive, text::display(path)).into(),
            msgid: Some(error.kind().row().class),
        });
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.len += bytes.len() as u64;
        self.out
            .write_all(bytes)
            .map_err(|error| cannot_write(&error))
    }

    fn count(&mut self, count: &Count) {
        let reporter = self.session.client.reporter.as_ref();
        let progress = self.progress.as_mut().expect("only counted for it");
        let path = &count.path;
        for piece in count.pieces() {
            progress.advance(reporter, piece, Some(path), |percent| {
                format!("{percent:5.1}% Processing: {path}")
            });
        }
    }
}
