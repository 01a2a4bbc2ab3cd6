//! Every operation that changes a repository.

use ironborg_archive::create::create;
use ironborg_archive::delete::{DeleteOptions, Force, RemovalOptions, delete_archives};
use ironborg_archive::items::PartFiles;
use ironborg_archive::prune::{PruneOptions, Retention, prune_archives};
use ironborg_archive::recreate::{Outcome, Recompress, RecreateOptions, Recreater, TagOptions};
use ironborg_archive::rename::rename;
use ironborg_archive::selection::{ArchiveAges, ListedArchive};
use ironborg_archive::{ArchiveError, Session};
use ironborg_object::Compression;
use ironborg_repository::{CheckMode, CheckOptions, CompactOptions, LockMode, Repository};
use ironborg_source::PatternMatcher;
use ironborg_storage::MemoryStorage;
use ironborg_types::{ChunkId, Timestamp};

use crate::laboratory::{Laboratory, create_options};

/// One way of changing a repository that has archives `first` and `second`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Makes `third` of the tree `second` was made of.
    Create,
    /// Deletes `first`.
    Delete,
    /// The same with `--force`.
    DeleteByForce,
    /// The same with `--force --force`.
    DeleteByMoreForce,
    /// Calls `first` `third`.
    Rename,
    /// Compresses `second` anew.
    Recreate,
    /// Keeps `second` only.
    Prune,
    /// Deletes `first`, then compacts.
    Compact,
    /// Compacts, whatever there is to it.
    CompactAtOnce,
    /// Looks at segments and index.
    Check,
    /// Looks at them and mends them.
    Repair,
}

impl Writer {
    pub(crate) const ALL: [Self; 11] = [
        Self::Create,
        Self::Delete,
        Self::DeleteByForce,
        Self::DeleteByMoreForce,
        Self::Rename,
        Self::Recreate,
        Self::Prune,
        Self::Compact,
        Self::CompactAtOnce,
        Self::Check,
        Self::Repair,
    ];

    /// The archive it takes away.
    pub(crate) fn takes_away(self) -> Option<&'static str> {
        match self {
            Self::Delete
            | Self::DeleteByForce
            | Self::DeleteByMoreForce
            | Self::Rename
            | Self::Prune
            | Self::Compact => Some("first"),
            _ => None,
        }
    }

    /// The archive it brings, and the one that has the same in it.
    pub(crate) fn brings(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Create => Some(("third", "second")),
            Self::Rename => Some(("third", "first")),
            _ => None,
        }
    }

    /// Does it. `Ok(false)` is a check that found something.
    pub(crate) fn run(
        self,
        laboratory: &Laboratory,
        storage: &MemoryStorage,
    ) -> Result<bool, ArchiveError> {
        match self {
            Self::CompactAtOnce => {
                compact(laboratory, storage)?;
                return Ok(true);
            }
            Self::Check | Self::Repair => {
                let options = CheckOptions {
                    mode: if self == Self::Repair {
                        CheckMode::Repair
                    } else {
                        CheckMode::Look
                    },
                    save_space: false,
                    max_duration_s: 0,
                    threads: 1,
                    interrupt: None,
                };
                let mut repository = laboratory.repository(storage, LockMode::Exclusive)?;
                return Ok(Repository::check(&mut repository, &options)?);
            }
            _ => {}
        }
        let mut session = laboratory.open(storage, LockMode::Exclusive)?;
        match self {
            Self::Create => {
                let tree = laboratory.tree();
                let options = create_options("third", 1_700_200_000, Compression::None, &tree);
                create(&mut session, &options)?;
            }
            Self::Delete => delete(&mut session, Force::No)?,
            Self::DeleteByForce => delete(&mut session, Force::Once)?,
            Self::DeleteByMoreForce => delete(&mut session, Force::Twice)?,
            Self::Rename => rename(&mut session, b"first", b"third")?,
            Self::Recreate => recreate(&mut session)?,
            Self::Prune => prune(&mut session)?,
            Self::Compact => {
                delete(&mut session, Force::No)?;
                drop(session);
                compact(laboratory, storage)?;
            }
            Self::CompactAtOnce | Self::Check | Self::Repair => unreachable!("done above"),
        }
        Ok(true)
    }
}

fn delete(session: &mut Session, force: Force) -> Result<(), ArchiveError> {
    let options = DeleteOptions {
        names: vec!["first".into()],
        force,
        dry_run: false,
        parts: PartFiles::Skip,
        checkpoint_interval: None,
        list: false,
        format_archive: &|archive: &ListedArchive| archive.name.to_string(),
    };
    let outcome = delete_archives(session, &options)?;
    assert_eq!(outcome.not_found, 0, "an archive that was listed is gone");
    Ok(())
}

fn prune(session: &mut Session) -> Result<(), ArchiveError> {
    let mut retention = Retention::default();
    retention.counts[0] = 1;
    let options = PruneOptions {
        glob: None,
        ages: ArchiveAges::default(),
        retention,
        local_seconds: &|at: Timestamp| at.seconds(),
        dry_run: false,
        removal: RemovalOptions::default(),
        list: false,
        format_archive: &|archive: &ListedArchive| archive.name.to_string(),
    };
    prune_archives(session, &options).map(drop)
}

fn recreate(session: &mut Session) -> Result<(), ArchiveError> {
    let options = RecreateOptions {
        matcher: PatternMatcher::new([], true),
        tags: TagOptions::default(),
        chunker: None,
        compression: Compression::Zlib(6),
        recompress: Recompress::Always,
        comment: None,
        timestamp: None,
        dry_run: false,
        checkpoint_interval: None,
        statistics: None,
    };
    let mut recreater = Recreater::new(&options);
    let outcome = recreater.recreate(session, b"second", None)?;
    assert!(matches!(outcome, Outcome::Recreated(_)));
    recreater.finish(session)
}

/// As the command does it: the manifest is written once more, as it is.
fn compact(laboratory: &Laboratory, storage: &MemoryStorage) -> Result<(), ArchiveError> {
    let mut repository = laboratory.repository(storage, LockMode::Exclusive)?;
    let mut manifest = Vec::new();
    repository.get(&ChunkId::MANIFEST, &mut manifest)?;
    repository.put(&ChunkId::MANIFEST, &manifest)?;
    let options = CompactOptions {
        threshold: 0.0,
        cleanup_commits: true,
        interrupt: None,
    };
    Ok(repository.commit_compact(options)?)
}
