//! Restoring files as a test: they are put into a scratch directory the way extract does it, compared with the live files
//! that have not changed since they were backed up, and thrown away.
//!
//! [`Drill::restore`] has small files written to the disk and looks at what came of it. A file too large for that is
//! read chunk by chunk by [`Drill::restore_in_pieces`], which compares as it goes and can be stopped after any chunk; of
//! such a file only the attributes are put on disk. Which files are taken, and for how long, is the caller's business.
//!
//! Live files are only ever opened for reading, never through a symlink.

mod aside;
mod judge;
mod live;
mod pieces;

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use ironborg_format::ItemDecoder;
use ironborg_format::item::Item;
use ironborg_source::pattern::PatternMatcher;
use ironborg_source::{
    AttributeOptions, AttributeReader, FileKind, Names, RestoreOptions, RestoreRoot,
    ScratchDirectory,
};
use ironborg_types::{BytePath, ErrorKind};

use self::aside::Aside;
use self::judge::Content;
pub use self::live::LivePaths;
pub use self::pieces::{Pieces, Progress};
use crate::extract::Selected;
use crate::extract::engine::TakeItem;
use crate::extract::filter::ItemFilter;
use crate::extract::report::{Fault, Report};
use crate::{Archive, ArchiveError, Session};

/// How a file came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As the live one is.
    Equal,
    /// Whole, but there is nothing left to compare it with: the live one has changed or is gone.
    Restored,
    /// Not as it should be, for this reason.
    Different(String),
}

/// All attributes but flags: what is made here has to be removed again.
const ATTRIBUTES: RestoreOptions = RestoreOptions {
    numeric_ids: false,
    acls: true,
    xattrs: true,
    flags: false,
};

/// Restores files of one archive.
pub struct Drill<'a> {
    session: &'a Session,
    archive: &'a Archive,
    scratch: &'a ScratchDirectory,
    live: LivePaths,
    newest_ns: i64,
    names: Arc<Names>,
    attributes: AttributeReader,
    buffers: [Vec<u8>; 2],
}

impl<'a> Drill<'a> {
    /// A drill of this archive, whose files lie or lay at `live`.
    pub fn new(
        session: &'a Session,
        archive: &'a Archive,
        scratch: &'a ScratchDirectory,
        live: LivePaths,
    ) -> Self {
        let names = Arc::new(Names::new());
        let options = AttributeOptions {
            flags: true,
            xattrs: true,
            acls: true,
            numeric_ids: false,
        };
        Self {
            session,
            archive,
            scratch,
            live,
            newest_ns: i64::MAX,
            attributes: AttributeReader::new(options, Arc::clone(&names)),
            names,
            buffers: [Vec::new(), Vec::new()],
        }
    }

    /// Tells the [`change_time`] of the file that was changed last: one changed no earlier may have changed again within
    /// the same tick of the clock, after it was read. The files cache does not trust it either.
    pub fn set_newest(&mut self, newest_ns: i64) {
        self.newest_ns = newest_ns;
    }

    /// Restores these items, which come in the archive's order, hard links with the file they are of; the verdicts are
    /// in the same order.
    ///
    /// # Errors
    /// What concerns no single file: a connection that is gone, a wish to end. Nothing is known of these items then.
    pub fn restore(&mut self, items: &[Item]) -> Result<Vec<Verdict>, ArchiveError> {
        let contents = vec![Content::OnDisk; items.len()];
        self.restore_with(items, &contents)
    }

    /// The same; `contents` tells what is known of the content of each.
    fn restore_with(
        &mut self,
        items: &[Item],
        contents: &[Content],
    ) -> Result<Vec<Verdict>, ArchiveError> {
        let is_directory = |item: &Item| FileKind::of_mode(item.mode) == FileKind::Directory;
        let mut verdicts = vec![Verdict::Restored; items.len()];
        for directories in [false, true] {
            let chosen: Vec<usize> = (0..items.len())
                .filter(|index| is_directory(&items[*index]) == directories)
                .collect();
            if chosen.is_empty() {
                continue;
            }
            let made: Vec<Item> = chosen
                .iter()
                .map(|index| to_be_made(&items[*index], *index, contents[*index]))
                .collect();
            let round = self.make(&made)?;
            for (number, (index, made)) in chosen.iter().zip(&made).enumerate() {
                let fault = round.faults.get(&(number as u64 + 1));
                let verdict = match fault {
                    Some(fault) => Verdict::Different(fault.words.clone()),
                    None => self.judge(&items[*index], &made.path, contents[*index], &round),
                };
                verdicts[*index] = verdict;
            }
            drop(round);
            self.clear()?;
        }
        Ok(verdicts)
    }

    /// Has extract make these.
    fn make(&self, items: &[Item]) -> Result<Round, ArchiveError> {
        let path = self.scratch.path().as_os_str().as_bytes();
        let root = RestoreRoot::open(path, ATTRIBUTES, Arc::clone(&self.names))
            .map_err(|error| ArchiveError::other(error.to_string()))?;
        let aside = Aside::new(self.session.client.reporter.as_ref());
        let report = Report::new(&aside, &self.archive.name, None);
        let matcher = PatternMatcher::new([], true);
        let selected = Selected {
            session: self.session,
            filter: ItemFilter::new(matcher, 0),
            strip: 0,
            list: false,
        };
        selected.with_engine(&report, Some(&root), false, |engine| {
            engine.run(|take| hand_over(items, take))
        })?;
        if self.session.client.interrupt.stop_requested() {
            return Err(ArchiveError::Interrupted); // Not everything is there.
        }
        let faults = report.into_faults();
        if let Some(fault) = faults.values().find(|fault| !is_of_one_file(fault.kind)) {
            return Err(ArchiveError::Repository(
                ironborg_repository::RepositoryError::Remote {
                    kind: fault.kind,
                    message: fault.words.clone(),
                },
            ));
        }
        let warnings = aside.into_warnings();
        Ok(Round {
            root,
            faults,
            warnings,
        })
    }

    fn clear(&self) -> Result<(), ArchiveError> {
        self.scratch
            .clear()
            .map_err(|error| ArchiveError::other(error.to_string()))
    }
}

/// What was made at once.
struct Round {
    root: RestoreRoot,
    faults: std::collections::BTreeMap<u64, Fault>,
    warnings: Vec<String>,
}

/// When a file was changed last, by the time that the files cache goes by.
pub fn change_time(mtime: Option<i64>, ctime: Option<i64>) -> i64 {
    ctime.or(mtime).unwrap_or(0)
}

/// Whether an error of this kind is about what a file consists of, rather than about the way to it.
fn is_of_one_file(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::ConnectionClosed
            | ErrorKind::ConnectionClosedWithHint
            | ErrorKind::ConnectionBrokenWithHint
            | ErrorKind::UnexpectedRPCDataFormatFromServer
            | ErrorKind::InvalidRPCMethod
    )
}

/// The item as extract gets it. A directory gets a place of its own, where its mode is in nobody's way; a file whose
/// content is looked at elsewhere has none.
fn to_be_made(item: &Item, index: usize, content: Content) -> Item {
    let mut item = item.clone();
    if FileKind::of_mode(item.mode) == FileKind::Directory {
        item.path = BytePath::new(index.to_string());
    }
    if content != Content::OnDisk && item.chunks.is_some() {
        item.chunks = Some(Vec::new());
        item.size = None;
    }
    item
}

/// Hands items over as a reader of an archive would.
fn hand_over(items: &[Item], take: &mut TakeItem<'_>) -> Result<(), ArchiveError> {
    let mut decoder = ItemDecoder::new();
    let mut encoded = Vec::new();
    for item in items {
        encoded.clear();
        item.encode(&mut encoded);
        decoder.push(&encoded);
        let view = decoder
            .next_view()
            .map_err(|error| ArchiveError::other(error.to_string()))?
            .expect("one whole item was pushed");
        if take(&view)?.is_break() {
            break;
        }
    }
    Ok(())
}
