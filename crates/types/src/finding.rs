//! What a check finds, and what a repair would change, as values: where it is and what it means.

use std::ops::Range;

use crate::event::Level;
use crate::id::{ChunkId, SegmentId};
use crate::text::BytePath;

/// What is wrong, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// The repository holds nothing that could be checked.
    NoData,
    /// A segment has an entry that cannot be read.
    SegmentDamaged,
    /// No segment ends with a COMMIT.
    CommitMissing,
    /// The index says other than the segments.
    IndexMismatch,
    /// An object cannot be read or is not what its id says.
    ObjectDamaged,
    /// The index and the segments hold different numbers of objects.
    ObjectCountMismatch,
    /// There is no manifest.
    ManifestMissing,
    /// The manifest cannot be read or is not authentic.
    ManifestDamaged,
    /// Two archives found without a manifest have the same name.
    ArchiveNameTaken,
    /// An archive's metadata is not there.
    ArchiveMissing,
    /// An archive's metadata cannot be read.
    ArchiveDamaged,
    /// An archive's authentication is wrong, or missing where there must be one.
    ArchiveNotAuthentic,
    /// There is no archive of the name that was asked for, or fewer than were.
    ArchiveNotFound,
    /// A chunk of an archive's item stream is not there.
    ItemsMissing,
    /// A chunk of an archive's item stream cannot be read.
    ItemsDamaged,
    /// Something in an item stream is no item.
    ItemInvalid,
    /// A chunk of a file's content is not there.
    ChunkMissing,
    /// The same, found by an earlier check, which has put zeros in its place.
    ChunkStillMissing,
    /// The zeros in the place of a missing chunk are not there either.
    ReplacementMissing,
    /// A chunk that was missing is there again.
    ChunkBack,
    /// All chunks of a file that were missing are there again.
    FileBack,
    /// What is kept for healing a file does not fit its content.
    HealthyListInvalid,
    /// A file's size is not that of its content.
    SizeMismatch,
    /// Objects that no archive refers to.
    ObjectsOrphaned,
}

impl FindingKind {
    /// The name in a report for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoData => "no_data",
            Self::SegmentDamaged => "segment_damaged",
            Self::CommitMissing => "commit_missing",
            Self::IndexMismatch => "index_mismatch",
            Self::ObjectDamaged => "object_damaged",
            Self::ObjectCountMismatch => "object_count_mismatch",
            Self::ManifestMissing => "manifest_missing",
            Self::ManifestDamaged => "manifest_damaged",
            Self::ArchiveNameTaken => "archive_name_taken",
            Self::ArchiveMissing => "archive_missing",
            Self::ArchiveDamaged => "archive_damaged",
            Self::ArchiveNotAuthentic => "archive_not_authentic",
            Self::ArchiveNotFound => "archive_not_found",
            Self::ItemsMissing => "items_missing",
            Self::ItemsDamaged => "items_damaged",
            Self::ItemInvalid => "item_invalid",
            Self::ChunkMissing => "chunk_missing",
            Self::ChunkStillMissing => "chunk_still_missing",
            Self::ReplacementMissing => "replacement_missing",
            Self::ChunkBack => "chunk_back",
            Self::FileBack => "file_back",
            Self::HealthyListInvalid => "healthy_list_invalid",
            Self::SizeMismatch => "size_mismatch",
            Self::ObjectsOrphaned => "objects_orphaned",
        }
    }
}

/// Where something is; what does not apply or is not known is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The archive's name.
    pub archive: Option<BytePath>,
    /// The path within the archive.
    pub path: Option<BytePath>,
    /// Bytes of the file's content.
    pub bytes: Option<Range<u64>>,
    /// The object.
    pub chunk: Option<ChunkId>,
    /// The segment that holds it.
    pub segment: Option<SegmentId>,
    /// Bytes from the segment's start.
    pub offset: Option<u64>,
}

/// One thing that a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Importance of the message.
    pub level: Level,
    /// Dotted name of the logger that stock Borg's message comes from.
    pub logger: &'static str,
    /// Stock Borg's message.
    pub message: String,
    /// Where it is.
    pub place: Place,
}

/// What a repair does to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepairAction {
    /// A segment is replaced by what can be read of it.
    RecoverSegment,
    /// A segment behind the last commit is removed.
    RemoveSegment,
    /// A COMMIT is added.
    AddCommit,
    /// The index is written anew.
    RebuildIndex,
    /// An object is removed: it cannot be read, or nothing refers to it.
    DeleteObject,
    /// An object is stored: zeros for a lost chunk, or metadata of an archive that is changed.
    StoreObject,
    /// A chunk of a file is replaced by zeros.
    ReplaceChunk,
    /// The zeros in a file are replaced by the chunk that is there again.
    HealChunk,
    /// Something that is no item is left out of an archive.
    DropItem,
    /// An archive is listed with changed metadata.
    ReplaceArchive,
    /// An archive is taken off the list.
    RemoveArchive,
    /// An archive that was found is listed.
    AddArchive,
    /// The manifest is written anew.
    WriteManifest,
}

impl RepairAction {
    /// The name in a report for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecoverSegment => "recover_segment",
            Self::RemoveSegment => "remove_segment",
            Self::AddCommit => "add_commit",
            Self::RebuildIndex => "rebuild_index",
            Self::DeleteObject => "delete_object",
            Self::StoreObject => "store_object",
            Self::ReplaceChunk => "replace_chunk",
            Self::HealChunk => "heal_chunk",
            Self::DropItem => "drop_item",
            Self::ReplaceArchive => "replace_archive",
            Self::RemoveArchive => "remove_archive",
            Self::AddArchive => "add_archive",
            Self::WriteManifest => "write_manifest",
        }
    }
}

/// One change that a repair makes, or would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairChange {
    /// What is done.
    pub action: RepairAction,
    /// What it is done to.
    pub place: Place,
    /// The same in words, with the reason.
    pub detail: String,
}
