//! How much a transaction may write: free space and quota, and the reserves of both that are left to those who
//! make room.
//!
//! Stock Borg asks the same of every transaction. Then neither deleting nor compacting works once something else
//! has filled the disk, although what was to be kept free was meant for them.

use ironborg_types::{ChunkId, Level};

use super::{Doom, LocalRepository, Phase};
use crate::RepositoryError;
use crate::space::{Needs, commit_room, format_size};

/// The part of the quota by which it may be exceeded by what adds nothing: deleting writes a new manifest before
/// compaction gives the old one's bytes back.
const QUOTA_RESERVE_PART: u64 = 64;
/// What a transaction writes beside objects, index and hints: a few segments with little in them, in whole blocks.
const SMALL_SEGMENTS: u64 = 64 << 10;

impl LocalRepository {
    /// Whether the transaction in progress takes things away and adds none, so that room can be made by it.
    fn only_takes_away(&self) -> bool {
        !self.grows && !self.created && !self.settings.append_only
    }

    /// Dooms the transaction if it has used more than the quota.
    pub(super) fn check_quota(&mut self) -> Result<(), RepositoryError> {
        let quota = self.settings.storage_quota;
        let used = self.with_loaded(|loaded| loaded.state.hints.storage_quota_use)?;
        let reserve = if self.only_takes_away() {
            quota / QUOTA_RESERVE_PART
        } else {
            0
        };
        let allowed = quota.saturating_add(reserve);
        if quota == 0 || u64::try_from(used).unwrap_or(0) <= allowed {
            return Ok(());
        }
        let doom = Doom::Quota {
            quota: format_size(quota as f64),
            used: format_size(used as f64),
        };
        let error = doom.error();
        self.phase = Phase::Doomed(doom);
        Err(error)
    }

    pub(super) fn log_quota(&self) {
        let quota = self.settings.storage_quota;
        if quota == 0 {
            return;
        }
        if let Ok(used) = self.with_loaded(|loaded| loaded.state.hints.storage_quota_use) {
            self.log_message(
                Level::Info,
                format!(
                    "Storage quota: {} out of {} used.",
                    format_size(used as f64),
                    format_size(quota as f64)
                ),
            );
        }
    }

    /// Refuses to commit what could fill the file system: a full one cannot even be cleaned up.
    ///
    /// What only takes away may use what all others have to leave, as far as it can be completed.
    pub(super) fn check_free_space(&mut self, compacting: bool) -> Result<(), RepositoryError> {
        let mut required = self.with_loaded(|loaded| {
            Needs {
                index_size: loaded.state.index.size(),
                hints: &loaded.state.hints,
                additional_free_space: self.settings.additional_free_space,
                append_only: self.settings.append_only,
                segment_size_max: self.settings.segment_size_max,
            }
            .bytes(&self.log)
        })??;
        let available = match self.storage.free_space() {
            Ok(bytes) => bytes,
            Err(error) => {
                self.log_message(
                    Level::Warning,
                    format!("Failed to check free space before committing: {error}"),
                );
                return Ok(());
            }
        };
        self.log_message(
            Level::Debug,
            format!("check_free_space: required bytes {required}, free bytes {available}"),
        );
        if available < required && self.only_takes_away() {
            required = self.least_room(compacting)?;
        }
        if available >= required {
            return Ok(());
        }
        if self.created {
            self.log_message(
                Level::Error,
                "Not enough free space to initialize repository at this location.".to_owned(),
            );
            self.remove_repository()?;
        } else {
            self.forget_transaction()?;
            self.remove_uncommitted()?;
        }
        Err(RepositoryError::InsufficientFreeSpace {
            required: format_size(required as f64),
            available: format_size(available as f64),
        })
    }

    /// What must be free for a commit of what only takes away. If it does not compact itself there must be enough
    /// left for a compaction to begin: without one nothing is gained.
    fn least_room(&self, compacting: bool) -> Result<u64, RepositoryError> {
        let room = self.with_loaded(|loaded| commit_room(&loaded.state))?;
        let mut room = room.saturating_add(self.log.unwritten_len());
        room = room.saturating_add(SMALL_SEGMENTS);
        if !compacting {
            let manifest = match self.find(&ChunkId::MANIFEST)? {
                Some(at) => self.log.read_size(at, &ChunkId::MANIFEST)?,
                None => 0,
            };
            room = room.saturating_add(u64::from(manifest) + SMALL_SEGMENTS);
        }
        Ok(room)
    }
}
