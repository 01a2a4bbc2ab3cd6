//! Finding the committed state: loading index and hints, and rebuilding them from the segments when
//! they are missing, damaged or of another transaction.
//!
//! Nothing here needs a transaction; what is rebuilt is written only by the caller, if at all.

use std::io::IoSliceMut;
use std::sync::Arc;

use ironborg_format::hashindex::HEADER_LEN;
use ironborg_format::hints::{Hints, HintsError, HintsFile};
use ironborg_format::integrity::{
    IntegrityError, IntegrityFile, IntegrityFileError, Known, Verifier,
};
use ironborg_format::segment::Entry;
use ironborg_storage::Storage;
use ironborg_types::{ErrorKind, Event, Level, PercentProgress, Reporter, SegmentId};

use crate::RepositoryError;
use crate::index::{EntryLocation, FiledIndex, Index, NotFiled, SharedIndex};
use crate::local::IndexPolicy;
use crate::local::LOGGER;
use crate::replay::Replay;
use crate::segments::{Entries, Row, SegmentLog, Table};
use crate::state::State;

/// Names the progress of a replay.
const REPLAY: &str = "repository.replay_segments";
/// Percent between two steps of it that are shown.
const REPLAY_STEP: f64 = 5.0;
/// Bytes of an index that are read at once when it is only compared with its digest.
const VERIFIED_AT_ONCE: usize = 256 << 10;

/// What recovery works with.
pub(crate) struct Recovery<'a> {
    pub(crate) storage: &'a Arc<dyn Storage>,
    pub(crate) log: &'a SegmentLog,
    pub(crate) reporter: &'a dyn Reporter,
}

/// Why a file of a transaction is of no use, in the words Borg has for it.
struct Unusable {
    reason: String,
    missing: bool,
}

impl Unusable {
    fn new(reason: &dyn ToString) -> Self {
        Self {
            reason: reason.to_string(),
            missing: false,
        }
    }
}

/// The committed transaction and where its index is.
pub(crate) enum Committed {
    /// Nothing was ever committed.
    Nothing,
    /// Index and hints are there, perhaps damaged.
    Indexed(SegmentId),
    /// The index is that of an earlier transaction (`from`), or there is none.
    Behind {
        /// Whose index there is and can be built upon.
        from: Option<SegmentId>,
        /// The committed transaction.
        to: SegmentId,
    },
}

impl Committed {
    /// The transaction whose index is of use.
    pub(crate) fn index_id(&self) -> Option<SegmentId> {
        match self {
            Self::Nothing => None,
            Self::Indexed(id) => Some(*id),
            Self::Behind { from, .. } => *from,
        }
    }
}

impl Recovery<'_> {
    /// Compares what the segments say with what the files beside them say.
    pub(crate) fn committed(&self) -> Result<Committed, RepositoryError> {
        let (index, segments) = (self.index_id()?, self.log.transaction_id()?);
        match (index, segments) {
            (None, None) => Ok(Committed::Nothing),
            (Some(_), None) => Err(RepositoryError::CheckNeeded {
                // The quotes close and open those of the message around it.
                what: format!(
                    "{}\" - although likely this is \"beyond repair",
                    self.storage.path("").display()
                ),
            }),
            (Some(index), Some(segments)) if index == segments => Ok(Committed::Indexed(index)),
            (index, Some(to)) => Ok(Committed::Behind {
                from: index.filter(|&index| index < to),
                to,
            }),
        }
    }

    /// The transaction that was committed, as there is an index of it, but whose segment does not say so any more.
    ///
    /// An index is written after its commit is on disk. Where the segment is there and the commit in it is not, that is
    /// damage; where the segment is not there, somebody went back to an earlier transaction on purpose.
    pub(crate) fn lost_commit(&self) -> Result<Option<SegmentId>, RepositoryError> {
        let (Some(index), Some(segments)) = (self.index_id()?, self.log.transaction_id()?) else {
            return Ok(None);
        };
        Ok((index > segments && self.log.exists(index)?).then_some(index))
    }

    /// The highest transaction there is an index of.
    pub(crate) fn index_id(&self) -> Result<Option<SegmentId>, RepositoryError> {
        let mut highest = None;
        for entry in self.storage.list("")? {
            let number = entry.name.strip_prefix("index.");
            let Some(number) = number.and_then(|n| n.parse::<u32>().ok()) else {
                continue;
            };
            let status = self.storage.status(&entry.name)?;
            if entry.name == format!("index.{number}") && status.is_some_and(|s| s.size > 0) {
                highest = highest.max(Some(SegmentId(number)));
            }
        }
        Ok(highest)
    }

    /// Loads the index of a transaction; `None`, after a warning, if it is of no use.
    pub(crate) fn load_index(&self, id: SegmentId) -> Option<Index> {
        match self.try_load_index(id) {
            Ok(index) => Some(index),
            Err(error) => {
                self.warn_of_index(&error);
                None
            }
        }
    }

    /// As [`Recovery::load_index`], but a large one stays in its file.
    pub(crate) fn open_index(&self, id: SegmentId, policy: IndexPolicy) -> Option<SharedIndex> {
        let name = format!("index.{id}");
        let size = match self.storage.status(&name) {
            Ok(Some(status)) => status.size,
            // Loading says what is the matter.
            _ => 0,
        };
        let opened = if size > policy.in_memory_max {
            self.try_open_index(id, &name, size, policy)
        } else {
            Ok(None)
        };
        match opened {
            Ok(Some(file)) => Some(file.into()),
            Ok(None) => self.load_index(id).map(SharedIndex::from),
            Err(error) => {
                self.warn_of_index(&error);
                None
            }
        }
    }

    fn try_open_index(
        &self,
        id: SegmentId,
        name: &str,
        size: u64,
        policy: IndexPolicy,
    ) -> Result<Option<FiledIndex>, Unusable> {
        let integrity = self.integrity(id, |file| file.index)?;
        let verifier = self.verifier(name, Some(HEADER_LEN), integrity.as_deref())?;
        let known = (integrity, verifier);
        let is_loaded_when_asked = policy.is_loaded_when_asked;
        let opened = FiledIndex::open(self.storage, name, size, known, is_loaded_when_asked);
        opened.map_err(|error| match error {
            NotFiled::Storage(error) => Unusable::new(&error),
            NotFiled::Digest(error) => self.unsound(name, error),
            NotFiled::Table(error) => Unusable::new(&error),
        })
    }

    fn warn_of_index(&self, error: &Unusable) {
        self.warn(format!(
            "Repository index missing or corrupted, trying to recover from: {}",
            error.reason
        ));
    }

    fn try_load_index(&self, id: SegmentId) -> Result<Index, Unusable> {
        let name = format!("index.{id}");
        let integrity = self.integrity(id, |file| file.index)?;
        let bytes = self.read(&name)?;
        self.verify(&name, &bytes, Some(HEADER_LEN), integrity.as_deref())?;
        Index::from_bytes(bytes).map_err(|e| Unusable::new(&e))
    }

    /// Whether the index of a transaction is the one that was written. It is read once, in pieces.
    pub(crate) fn index_is_sound(&self, id: SegmentId) -> bool {
        let name = format!("index.{id}");
        let Ok(integrity) = self.integrity(id, |file| file.index) else {
            return false;
        };
        let verifier = integrity.map(|data| Known::of(&name, Some(HEADER_LEN), &data));
        match verifier {
            Some(Ok(Known::Algorithm(verifier))) => self.has_digests(&name, verifier),
            Some(Err(_)) => false,
            // There is nothing to compare it with, but a table has to fit together.
            None | Some(Ok(Known::Nobody(_))) => {
                let bytes = self.read(&name).ok();
                bytes.is_some_and(|bytes| Index::from_bytes(bytes).is_ok())
            }
        }
    }

    fn has_digests(&self, name: &str, mut verifier: Verifier) -> bool {
        let mut piece = vec![0; VERIFIED_AT_ONCE];
        let mut offset = 0;
        loop {
            let buffer = &mut [IoSliceMut::new(&mut piece)];
            match self.storage.read_at(name, offset, buffer) {
                Ok(0) => return verifier.finish().is_ok(),
                Ok(count) if verifier.update(&piece[..count]).is_ok() => offset += count as u64,
                _ => return false,
            }
        }
    }

    /// Loads the hints of a transaction; `None`, after a warning, if they are of no use.
    ///
    /// Hints of Borg 1.0 are completed from the segments, relative to `index`.
    pub(crate) fn load_hints(
        &self,
        id: SegmentId,
        index: &SharedIndex,
    ) -> Result<Option<Hints>, RepositoryError> {
        let error = match self.try_load_hints(id) {
            Ok(HintsFile::Version2(hints)) => return Ok(Some(hints)),
            Ok(HintsFile::Version1 { segments, sparse }) => {
                let hints = Hints {
                    segments,
                    ..Hints::default()
                };
                return self.complete_hints(hints, sparse, index).map(Some);
            }
            Err(HintsFailure::FromTheFuture(version)) => {
                return Err(RepositoryError::UnknownHintsVersion { version });
            }
            Err(HintsFailure::Unusable(error)) => error,
        };
        self.warn(format!(
            "Repository hints file missing or corrupted, trying to recover: {}",
            error.reason
        ));
        Ok(None)
    }

    fn try_load_hints(&self, id: SegmentId) -> Result<HintsFile, HintsFailure> {
        let name = format!("hints.{id}");
        let integrity = self.integrity(id, |file| file.hints)?;
        let bytes = self.read(&name)?;
        self.verify(&name, &bytes, None, integrity.as_deref())?;
        HintsFile::decode(&bytes).map_err(|error| match error {
            HintsError::Version(version) => HintsFailure::FromTheFuture(version),
            other => HintsFailure::Unusable(Unusable::new(&other)),
        })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Unusable> {
        self.storage.read(name).map_err(|error| Unusable {
            missing: error.is_not_found(),
            ..Unusable::new(&error)
        })
    }

    /// The integrity data of one file of a transaction; `None` if there are none to check against.
    fn integrity(
        &self,
        id: SegmentId,
        which: impl FnOnce(IntegrityFile) -> String,
    ) -> Result<Option<String>, Unusable> {
        let name = format!("integrity.{id}");
        let bytes = match self.read(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.missing => return Ok(None),
            Err(error) => return Err(error),
        };
        match IntegrityFile::decode(&bytes) {
            Ok(file) => Ok(Some(which(file))),
            Err(IntegrityFileError::Version(version)) => {
                self.warn(format!(
                    "Unknown integrity data version {version} in {name}"
                ));
                Ok(None)
            }
            Err(error) => Err(Unusable::new(&format!("{name}: {error}"))),
        }
    }

    fn verify(
        &self,
        name: &str,
        bytes: &[u8],
        header_len: Option<usize>,
        integrity: Option<&str>,
    ) -> Result<(), Unusable> {
        let Some(mut verifier) = self.verifier(name, header_len, integrity)? else {
            return Ok(());
        };
        let verified = verifier.update(bytes).and_then(|()| verifier.finish());
        verified.map_err(|error| self.unsound(name, error))
    }

    /// What a file is compared with; `None`, after a warning if need be, if that cannot be done.
    fn verifier(
        &self,
        name: &str,
        header_len: Option<usize>,
        integrity: Option<&str>,
    ) -> Result<Option<Verifier>, Unusable> {
        let Some(data) = integrity else {
            return Ok(None);
        };
        match Known::of(name, header_len, data) {
            Ok(Known::Algorithm(verifier)) => Ok(Some(verifier)),
            Ok(Known::Nobody(algorithm)) => {
                self.warn(format!(
                    "Cannot verify integrity of {}: Unknown algorithm '{algorithm}'",
                    self.storage.path(name).display()
                ));
                Ok(None)
            }
            Err(error) => Err(self.unsound(name, error)),
        }
    }

    fn unsound(&self, name: &str, error: IntegrityError) -> Unusable {
        let path = self.storage.path(name);
        if let IntegrityError::Unparsable(reason) = error {
            self.warn(format!(
                "Could not parse integrity data for {}: {reason}",
                path.display()
            ));
        }
        let file = path.display().to_string();
        Unusable::new(&ErrorKind::FileIntegrityError.message(&[&file]))
    }

    /// Finds out what Borg 1.0 did not write down: how much of each sparse segment can be freed.
    fn complete_hints(
        &self,
        mut hints: Hints,
        mut sparse: Vec<u32>,
        index: &SharedIndex,
    ) -> Result<Hints, RepositoryError> {
        sparse.sort_unstable();
        for number in sparse {
            let segment = SegmentId(number);
            let Some(size) = self.log.size(segment)? else {
                hints.segments.remove(&number);
                continue;
            };
            let freeable = if hints.segments.get(&number).is_none_or(|&used| used == 0) {
                i64::try_from(size).unwrap_or(i64::MAX)
            } else {
                self.freeable(segment, index)?
            };
            hints.compact.insert(number, freeable);
        }
        Ok(hints)
    }

    fn freeable(&self, segment: SegmentId, index: &SharedIndex) -> Result<i64, RepositoryError> {
        let mut freeable = 0;
        let mut entries = Entries::new(segment);
        while let Some(found) = entries.next(self.log)? {
            let at = EntryLocation {
                segment,
                offset: found.offset,
            };
            match found.entry {
                Entry::Put { id, .. } if index.get(&id)? == Some(at) => {}
                Entry::Put { .. } | Entry::Delete { .. } => freeable += i64::from(found.size),
                Entry::Commit => {}
            }
        }
        Ok(freeable)
    }

    /// Brings `state`, that of transaction `from` (or an empty one), up to transaction `to`. Gives the bytes of the segments
    /// in between.
    ///
    /// Reads and checks every entry in them, but for those whose tables are here. Source: Borg 1.4,
    /// `Repository.replay_segments`.
    pub(crate) fn replay(
        &self,
        state: &mut State,
        from: Option<SegmentId>,
        to: SegmentId,
    ) -> Result<u64, RepositoryError> {
        let is_distant = self.storage.distant().is_some();
        if !is_distant || from.is_none() {
            self.warn("Replaying segments. Please wait, this can take a while...".to_owned());
        }
        let segments = match from {
            // What lies before it is not asked for.
            Some(from) if is_distant => self.log.segments_from(from)?,
            _ => self.log.segments()?,
        };
        let mut progress =
            PercentProgress::start(self.reporter, REPLAY, segments.len() as u64, REPLAY_STEP);
        let mut replayed_len = 0;
        for segment in segments {
            progress.advance(self.reporter, 1, None, |percent| {
                format!("Replaying segments {percent:3.0}%")
            });
            if from.is_some_and(|from| segment <= from) {
                continue;
            }
            if segment > to {
                break;
            }
            replayed_len += self.replay_segment(state, segment)?;
        }
        progress.finish(self.reporter);
        Ok(replayed_len)
    }

    /// Gives the size of the segment.
    fn replay_segment(
        &self,
        state: &mut State,
        segment: SegmentId,
    ) -> Result<u64, RepositoryError> {
        // A file of no length is one whose removal was cut short.
        let Some(size) = self.log.size(segment)? else {
            return Ok(0);
        };
        let log = self.log;
        let mut replay = Replay { log, state };
        replay.begin_segment(segment);
        if let Some(table) = log.kept_table(segment) {
            for row in &table.rows {
                replay.apply_row(segment, row)?;
            }
        } else {
            let is_distant = self.storage.distant().is_some();
            let mut table = Table::default();
            log.for_each_change(segment, |change| {
                let superseded = 0;
                let mut row = Row { change, superseded };
                row.superseded = replay.apply_row(segment, &row)?;
                if is_distant {
                    table.rows.push(row);
                }
                Ok(())
            })?;
            log.keep_table(segment, &table);
        }
        replay.end_segment(segment, size);
        Ok(size)
    }

    pub(crate) fn warn(&self, message: String) {
        self.reporter
            .report(Event::log(Level::Warning, LOGGER, message));
    }
}

enum HintsFailure {
    Unusable(Unusable),
    FromTheFuture(i64),
}

impl From<Unusable> for HintsFailure {
    fn from(error: Unusable) -> Self {
        Self::Unusable(error)
    }
}
