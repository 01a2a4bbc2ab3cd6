//! The walk's thread: turns the input into batches of steps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use ironborg_source::attributes::AttributeSource;
use ironborg_source::stream::{self, CommandOutput, PathList};
use ironborg_source::walk::FileKind;
use ironborg_source::{AttributeReader, Dir, FileStat, Names, Place, SourceError};
use ironborg_types::{BytePath, Reporter};

use super::items::{Owners, add_attributes, item_of_stat};
use super::look::Look;
use super::options::Input;
use super::outcome::Done;
use super::piped::PipedInput;
use super::plain::{Leaf, Plain};
use super::shared::{Over, Shared};
use super::step::Step;
use super::walk::{DirectoryReader, StepSink, Walker};
use super::work::{Batch, SMALL_FILE_SIZE_MAX};
use crate::client::Client;
use crate::error::ArchiveError;
use crate::gate::{Closed, Gate};

/// Steps in a batch.
const BATCH_STEPS: usize = 256;
/// Bytes of file content in a batch.
const BATCH_BYTES: u64 = 1 << 20;
/// Different directories in a batch: each is kept open until the batch is done.
const BATCH_DIRS: usize = 32;

/// Collects steps into batches and sends these to the workers.
pub(crate) struct BatchSink<'a> {
    shared: &'a Shared<'a>,
    batches: Sender<Batch>,
    /// Bounds how many batches may be on their way.
    tickets: &'a Gate,
    steps: Vec<Step>,
    plain: Plain,
    /// Whether the files cache knows of any file: else none is known to be unchanged.
    takes_plain: bool,
    count: usize,
    bytes: u64,
    dirs: usize,
    next_number: u64,
}

impl<'a> BatchSink<'a> {
    /// A sink for one walk.
    pub(super) fn new(shared: &'a Shared<'a>, batches: Sender<Batch>, tickets: &'a Gate) -> Self {
        Self {
            shared,
            batches,
            tickets,
            steps: Vec::new(),
            plain: Plain::default(),
            takes_plain: shared.files.is_some_and(|files| files.loaded_count() > 0),
            count: 0,
            bytes: 0,
            dirs: 0,
            next_number: 0,
        }
    }

    fn is_full(&self) -> bool {
        let most = self.shared.pace.batch_steps(BATCH_STEPS);
        self.count >= most || self.bytes >= BATCH_BYTES || self.dirs >= BATCH_DIRS
    }

    /// Sends what is left and says how many batches there were.
    pub(crate) fn finish(&mut self) -> Result<(), Closed> {
        self.flush()?;
        self.shared
            .send(Done::WalkEnd {
                batches: self.next_number,
            })
            .map_err(|Over| Closed)
    }
}

impl StepSink for BatchSink<'_> {
    fn step(&mut self, step: Step) -> Result<(), Closed> {
        let size = match &step {
            Step::Entry(entry) if entry.stat.kind() == FileKind::Regular => entry.stat.size,
            Step::Entry(_) | Step::Piped(_) => SMALL_FILE_SIZE_MAX + 1, // Nobody knows.
            Step::Made(made) => made.content_len(),
            _ => 0,
        };
        self.count += 1;
        // What may take long, and may leave parts in checkpoints, is alone in its batch.
        let alone = size > SMALL_FILE_SIZE_MAX;
        if alone {
            self.flush()?;
        }
        self.dirs += usize::from(matches!(step, Step::Directory(_)));
        self.bytes += size;
        self.steps.push(step);
        if alone || self.is_full() {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn leaf(&mut self, leaf: Leaf<'_>) -> Result<(), Closed> {
        if !self.takes_plain || !self.plain.take(&leaf) {
            return self.step(Step::Entry(leaf.into_entry()));
        }
        match self.steps.last_mut() {
            Some(Step::Plain(count)) => *count += 1,
            _ => self.steps.push(Step::Plain(1)),
        }
        self.count += 1;
        self.bytes += leaf.stat.size;
        if self.is_full() { self.flush() } else { Ok(()) }
    }

    fn has_help(&self) -> bool {
        // Workers that read files are not disturbed.
        self.shared.idle.load(Ordering::Relaxed) > 0
    }

    fn look_ahead(&mut self, look: &Arc<Look>) {
        // What is one too many the walk looks at itself.
        let _ = self.shared.looks.0.try_send(Arc::clone(look));
    }

    fn flush(&mut self) -> Result<(), Closed> {
        if self.steps.is_empty() {
            return Ok(());
        }
        self.tickets.take(1)?;
        let number = self.next_number;
        self.next_number += 1;
        (self.count, self.bytes, self.dirs) = (0, 0, 0);
        let steps = std::mem::take(&mut self.steps);
        let plain = std::mem::take(&mut self.plain);
        self.batches
            .send(Batch {
                number,
                steps,
                plain,
            })
            .map_err(|_| Closed)
    }
}

/// Reads directories' own attributes for their items.
pub(super) struct DirectoryItems<'a> {
    shared: &'a Shared<'a>,
    attributes: AttributeReader,
    owners: Owners<'a>,
    reporter: &'a dyn Reporter,
}

impl<'a> DirectoryItems<'a> {
    /// A reader for one walk.
    pub(super) fn new(
        shared: &'a Shared<'a>,
        attributes: AttributeReader,
        reporter: &'a dyn Reporter,
    ) -> Self {
        Self {
            shared,
            attributes,
            owners: Owners::new(shared.names),
            reporter,
        }
    }
}

impl DirectoryReader for DirectoryItems<'_> {
    fn directory(
        &mut self,
        place: &Place<'_>,
        dir: &Dir,
        stat: &FileStat,
        archived: &[u8],
    ) -> Result<Step, SourceError> {
        use std::os::fd::AsFd;
        let mut item = item_of_stat(
            BytePath::new(archived),
            stat,
            self.shared.options.metadata,
            &mut self.owners,
        );
        let source = AttributeSource::Open(dir.as_fd(), place.full_path());
        add_attributes(
            &mut item,
            self.attributes.read(source, stat, self.reporter)?,
        );
        Ok(Step::Directory(Box::new(item)))
    }
}

/// Finds what goes into an archive; runs on a thread of its own.
pub(crate) trait Feed: Send {
    /// Gives `sink` all there is, to the end. An error that ends the operation goes to the collector.
    fn feed<'a>(
        self,
        client: &'a Client,
        shared: &'a Shared<'a>,
        sink: BatchSink<'a>,
        open_dirs: &'a Arc<Gate>,
    ) -> Result<(), Stop>;
}

/// The files of this system, as the options name them.
pub(super) struct Tree {
    pub(super) names: Arc<Names>,
}

impl Feed for Tree {
    fn feed<'a>(
        self,
        client: &'a Client,
        shared: &'a Shared<'a>,
        sink: BatchSink<'a>,
        open_dirs: &'a Arc<Gate>,
    ) -> Result<(), Stop> {
        let options = shared.options.metadata.attributes();
        let attributes = || AttributeReader::new(options, Arc::clone(&self.names));
        let mut walker = Walker::new(
            &shared.options.selection,
            attributes(),
            client.interrupt,
            open_dirs,
            sink,
            DirectoryItems::new(shared, attributes(), client.reporter.as_ref()),
        );
        feed_input(client, shared, &mut walker)
    }
}

/// Why nothing more is found.
pub(crate) enum Stop {
    /// The operation is over.
    Closed,
    /// It ends with this error.
    Error(ArchiveError),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<ArchiveError> for Stop {
    fn from(error: ArchiveError) -> Self {
        Self::Error(error)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Error(error.into())
    }
}

fn feed_input(
    client: &Client,
    shared: &Shared<'_>,
    walker: &mut Walker<'_, BatchSink<'_>, DirectoryItems<'_>>,
) -> Result<(), Stop> {
    match &shared.options.input {
        Input::Roots(roots) => {
            for root in roots {
                if client.interrupt.stop_requested() {
                    break;
                }
                if &root[..] == b"-" {
                    walker.sink.step(Step::Piped(piped(shared, None)?))?;
                } else {
                    walker.root(root)?;
                }
            }
        }
        Input::PathsFromStdin { delimiter } => {
            each_path(client, walker, PathList::new(stream::stdin()?, delimiter))?;
        }
        Input::PathsFromCommand { command, delimiter } => {
            let (running, output) = CommandOutput::start(command, &client.subprocess_environment)?;
            each_path(client, walker, PathList::new(output, delimiter))?;
            running.finish()?;
        }
        Input::ContentFromCommand { command } => {
            let started = CommandOutput::start(command, &client.subprocess_environment)?;
            walker
                .sink
                .step(Step::Piped(piped(shared, Some(started))?))?;
        }
    }
    Ok(walker.sink.finish()?)
}

fn each_path(
    client: &Client,
    walker: &mut Walker<'_, BatchSink<'_>, DirectoryItems<'_>>,
    mut paths: PathList,
) -> Result<(), Stop> {
    while let Some(path) = paths.next_path()? {
        if client.interrupt.stop_requested() {
            break;
        }
        walker.single(&path)?;
    }
    Ok(())
}

/// Standard input, or the output of a command, as a file of the owner that was asked for.
fn piped(
    shared: &Shared<'_>,
    command: Option<(CommandOutput, ironborg_source::SourceFile)>,
) -> Result<PipedInput, ArchiveError> {
    let named = &shared.options.piped;
    let missing = |what: &str, name: &[u8]| {
        ArchiveError::other(format!(
            "no such {what}: {}",
            ironborg_types::text::display(name)
        ))
    };
    let uid = shared
        .names
        .user_id(&named.user)
        .ok_or_else(|| missing("user", &named.user))?;
    let gid = shared
        .names
        .group_id(&named.group)
        .ok_or_else(|| missing("group", &named.group))?;
    let (command, file) = match command {
        Some((command, file)) => (Some(command), file),
        None => (None, stream::stdin()?),
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Ok(PipedInput {
        file,
        command,
        time_s: i64::try_from(now).unwrap_or(0),
        uid,
        gid,
    })
}
