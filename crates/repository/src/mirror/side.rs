//! What one side has: its commit, its segments and how large they are, its small files.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::sync::Arc;

use ironborg_format::segment::{COMMIT, COMMIT_SEGMENT_SIZE, HEADER_LEN};
use ironborg_storage::Storage;
use ironborg_types::SegmentId;

use crate::RepositoryError;
use crate::lock::{Lock, Void};
use crate::segments::{DATA, SegmentLog};

/// Files that belong to one transaction, `NAME.ID`, in the order in which they are written.
pub(super) const PER_TRANSACTION: [&str; 3] = ["integrity", "hints", "index"];

/// One of the two places.
pub(super) struct Side {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) log: SegmentLog,
}

/// What was there when it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Files beside the segments, and their sizes.
    pub(super) root: BTreeMap<String, u64>,
    /// Segments and their sizes; logically deleted ones (of no length) are not there.
    pub(super) segments: BTreeMap<SegmentId, u64>,
    /// Files in the directories of segments that are none: what was cut short.
    pub(super) unfinished: Vec<String>,
}

impl Contents {
    /// The highest transaction there is an index of.
    pub(super) fn index_id(&self) -> Option<SegmentId> {
        let sized = self.root.iter().filter(|(_, size)| **size > 0);
        let numbers = sized.filter_map(|(name, _)| number(name.strip_prefix("index.")?));
        numbers.max().map(SegmentId)
    }

    /// The files of transactions, as (name, transaction).
    pub(super) fn states(&self) -> impl Iterator<Item = (&str, &str)> {
        self.root.keys().filter_map(|name| {
            let rest = PER_TRANSACTION
                .iter()
                .find_map(|kind| name.strip_prefix(kind)?.strip_prefix('.'));
            Some((name.as_str(), rest?))
        })
    }
}

/// A number as it is written in names.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl Side {
    pub(super) fn new(storage: Arc<dyn Storage>, segments_per_dir: u32) -> Self {
        // Nothing is ever written through it.
        let log = SegmentLog::new(Arc::clone(&storage), segments_per_dir, u64::MAX);
        Self { storage, log }
    }

    /// Lists everything.
    pub(super) fn look(&self) -> Result<Contents, RepositoryError> {
        let root = self.listed("")?.into_iter();
        let mut contents = Contents {
            // A lease is renewed all the time.
            root: root
                .filter(|(name, _)| !name.starts_with("lock."))
                .filter_map(|(name, size)| Some((name, size?)))
                .collect(),
            ..Contents::default()
        };
        let dirs = self.listed(DATA)?.into_iter();
        let mut dirs: Vec<u32> = dirs
            .filter(|(_, size)| size.is_none())
            .filter_map(|(name, _)| number(&name))
            .collect();
        // What comes later is listed later: see `Side::settled`.
        dirs.sort_unstable();
        for dir in dirs {
            let dir = format!("{DATA}/{dir}");
            for (name, size) in self.listed(&dir)? {
                let Some(size) = size else {
                    continue;
                };
                let path = format!("{dir}/{name}");
                match number(&name).map(SegmentId) {
                    Some(segment) if self.log.name(segment) == path => {
                        if size > 0 {
                            contents.segments.insert(segment, size);
                        }
                    }
                    _ => contents.unfinished.push(path),
                }
            }
        }
        Ok(contents)
    }

    /// A directory; one that is not there is empty.
    fn listed(&self, dir: &str) -> Result<Vec<(String, Option<u64>)>, RepositoryError> {
        match self.storage.list_sizes(dir) {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            listed => Ok(listed?),
        }
    }

    /// The last transaction that was committed.
    pub(super) fn committed(
        &self,
        contents: &Contents,
    ) -> Result<Option<SegmentId>, RepositoryError> {
        for (&segment, &size) in contents.segments.iter().rev() {
            if self.ends_with_commit(segment, size)? && self.log.is_committed(segment)? {
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }

    /// Whether the last bytes of a segment are a COMMIT.
    pub(super) fn ends_with_commit(
        &self,
        segment: SegmentId,
        size: u64,
    ) -> Result<bool, RepositoryError> {
        if size < COMMIT_SEGMENT_SIZE {
            return Ok(false);
        }
        let mut tail = [0; HEADER_LEN];
        let count = self.storage.read_at(
            &self.log.name(segment),
            size - HEADER_LEN as u64,
            &mut [IoSliceMut::new(&mut tail)],
        )?;
        Ok(count == HEADER_LEN && tail == COMMIT)
    }

    /// Whether a segment holds nothing but COMMITs between these two offsets.
    pub(super) fn is_commits(
        &self,
        segment: SegmentId,
        from: u64,
        to: u64,
    ) -> Result<bool, RepositoryError> {
        const COMMITS_MAX: usize = 16;
        let len = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        if len == 0 || !len.is_multiple_of(HEADER_LEN) || len > COMMITS_MAX * HEADER_LEN {
            return Ok(false);
        }
        let mut tail = vec![0; len];
        let name = self.log.name(segment);
        let count = self
            .storage
            .read_at(&name, from, &mut [IoSliceMut::new(&mut tail)])?;
        Ok(count == len && tail.chunks(HEADER_LEN).all(|entry| entry == COMMIT))
    }

    /// What is committed here, without what belongs to nothing: numbers that a lost writer may still use.
    ///
    /// # Errors
    /// Nothing is committed, or the index is that of a later commit, which cannot be seen any more.
    pub(super) fn source(&self) -> Result<(SegmentId, Contents), RepositoryError> {
        let mut contents = self.look()?;
        let Some(commit) = self.committed(&contents)? else {
            return Err(refused(format!(
                "nothing was ever committed in {}",
                self.storage.path("").display()
            )));
        };
        if let Some(index) = contents.index_id().filter(|&index| index > commit) {
            return Err(RepositoryError::CheckNeeded {
                what: format!(
                    "{}\": transaction {index} was committed and cannot be seen any more, the last one seen is {commit}; \
                     nothing was mirrored\"",
                    self.storage.path("").display()
                ),
            });
        }
        let (voids, fences) = Lock::left_out(&*self.storage)?;
        contents.segments.retain(|&segment, _| {
            let is_void = voids.iter().any(|void: &Void| void.contains(segment.0));
            segment <= commit && (!is_void || fences.contains(&self.log.name(segment)))
        });
        Ok((commit, contents))
    }

    /// As [`Side::source`] where others may write meanwhile: what was listed in several requests has to fit together. A
    /// segment goes only after a later commit, which the second list shows if the first one does not.
    pub(super) fn settled(&self) -> Result<(SegmentId, Contents), RepositoryError> {
        const LOOKS: usize = 16;
        let mut last = self.source()?;
        for _ in 0..LOOKS {
            let next = self.source()?;
            if next == last {
                return Ok(next);
            }
            last = next;
        }
        Err(refused(format!(
            "{} changes faster than it can be listed",
            self.storage.path("").display()
        )))
    }

    /// A small file; `None` if there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, RepositoryError> {
        match self.storage.read(name) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) fn refused(reason: String) -> RepositoryError {
    RepositoryError::MirrorRefused { reason }
}
