//! Authentication of manifest and archives: demanding it, giving it up, looking whether it is there.
//!
//! Source: Borg 1.4, `do_upgrade`.

use ironborg_cache::UnknownUnencrypted;
use ironborg_crypto::Key;
use ironborg_format::Operation;
use ironborg_object::{Compression, Sealer};
use ironborg_repository::Repository;
use ironborg_types::ArchiveId;

use crate::cache_progress;
use crate::client::Client;
use crate::rename::{delete_unless_listed, store_metadata};
use crate::save::commit;
use crate::selection::{ArchiveSelection, ListedArchive, SortKey, select};
use crate::session::ManifestDemand;
use crate::{ArchiveError, Session};

/// Whether something is done, or only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// What is missing is made good.
    Fix,
    /// What is missing is told.
    Check,
}

/// What is to be told, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TamReport {
    /// The manifest gets its authentication: these are its archives, for a person to look whether
    /// they are what should be there.
    Manifest(Vec<ListedArchive>),
    /// The key demands something else from now on; where it is.
    Key(String),
    /// This client demands authentication from now on.
    SecurityRecord,
    /// The manifest has none, or does not demand it.
    ManifestLacks,
    /// The key does not demand it.
    KeyLacks,
    /// This client does not demand it.
    SecurityRecordLacks,
    /// An archive is authenticated.
    ArchivePresent(ListedArchive),
    /// An archive is not.
    ArchiveMissing(ListedArchive),
    /// An archive is from now on, under another id.
    ArchiveAdded(ListedArchive, ArchiveId),
}

/// Opens a repository for this: what it may not be authenticated for is done with it all the same.
///
/// # Errors
/// As [`Session::open`], but for this client's record of the repository, which is not looked at.
pub fn open(
    mut client: Client,
    repository: Box<dyn Repository>,
    demand: ManifestDemand,
) -> Result<Session, ArchiveError> {
    // An archive whose authentication is wrong gets a right one.
    client.workarounds.ignore_invalid_archive_tam = true;
    Session::load(client, repository, &[Operation::Check], demand)
}

/// Opens a repository for [`disable`], whatever features it demands and however it is authenticated.
///
/// # Errors
/// As [`open`].
pub fn open_to_disable(
    client: Client,
    repository: Box<dyn Repository>,
) -> Result<Session, ArchiveError> {
    Session::load(client, repository, &[], ManifestDemand::Nothing)
}

/// All archives, oldest first.
fn archives(session: &Session) -> Result<Vec<ListedArchive>, ArchiveError> {
    let by_age = ArchiveSelection {
        sort_by: vec![SortKey::Timestamp],
        ..ArchiveSelection::default()
    };
    select(&session.manifest, &by_age)
}

/// Whether the key is one that is kept, and so can demand something.
fn has_kept_key(session: &Session) -> bool {
    session.key.has_secrets() && session.key.mode().storage() != ironborg_crypto::KeyStorage::None
}

fn keep_key(session: &mut Session, required: bool) -> Result<TamReport, ArchiveError> {
    session.keep_key(|key: &mut Key| key.set_tam_required(required))?;
    Ok(TamReport::Key(session.key_location()))
}

/// Demands that manifests are authenticated: the manifest, the key and this client, each if it does not yet.
///
/// # Errors
/// A failed write.
pub fn require(
    session: &mut Session,
    task: Task,
    report: &mut dyn FnMut(TamReport),
) -> Result<(), ArchiveError> {
    let fix = task == Task::Fix;
    if !session.tam_verified || !session.manifest.requires_tam() {
        if fix {
            report(TamReport::Manifest(archives(session)?));
            session.manifest.set_requires_tam(true);
            session.write_manifest(&mut Sealer::new(Compression::default()))?;
            session.repository.commit()?;
        } else {
            report(TamReport::ManifestLacks);
        }
    }
    if has_kept_key(session) && !session.key.tam_required() {
        report(if fix {
            keep_key(session, true)?
        } else {
            TamReport::KeyLacks
        });
    }
    if !session.security.tam_required() {
        if fix {
            session.security.set_tam_required(true)?;
            report(TamReport::SecurityRecord);
        } else {
            report(TamReport::SecurityRecordLacks);
        }
    }
    Ok(())
}

/// Gives the demand up: this client, the key, the manifest.
///
/// # Errors
/// A failed write.
pub fn disable(
    session: &mut Session,
    report: &mut dyn FnMut(TamReport),
) -> Result<(), ArchiveError> {
    session.security.set_tam_required(false)?;
    if has_kept_key(session) && session.key.tam_required() {
        report(keep_key(session, false)?);
    }
    session.manifest.set_requires_tam(false);
    session.write_manifest(&mut Sealer::new(Compression::default()))?;
    session.repository.commit().map_err(ArchiveError::from)
}

/// Authenticates every archive that is not; returns how many were not.
///
/// # Errors
/// A repository this client does not trust; an archive that cannot be read; a failed write.
pub fn archives_tam(
    session: &mut Session,
    task: Task,
    report: &mut dyn FnMut(TamReport),
) -> Result<usize, ArchiveError> {
    session.assert_secure(UnknownUnencrypted::Ask)?;
    let mut sealer = Sealer::new(Compression::default());
    let mut missing = 0;
    let archives = archives(session)?;
    session.will_load(archives.iter().map(|listed| listed.name.0.as_slice()));
    for listed in archives {
        let archive = session.load_archive(&listed.name)?;
        if archive.tam_verified {
            report(TamReport::ArchivePresent(listed));
            continue;
        }
        missing += 1;
        if task == Task::Check {
            report(TamReport::ArchiveMissing(listed));
            continue;
        }
        if missing == 1 {
            cache_progress::begin(session.client.reporter.as_ref());
        }
        let id = store_metadata(session, &archive.metadata, &mut sealer)?;
        let entry = session.manifest.archives.get_mut(&listed.name[..]);
        entry.expect("it was just loaded").id = id;
        delete_unless_listed(session, archive.id)?;
        report(TamReport::ArchiveAdded(listed, id));
    }
    if task == Task::Fix {
        commit(session, &mut sealer)?;
        if missing > 0 {
            cache_progress::commit_chunks(session.client.reporter.as_ref());
        }
    }
    Ok(missing)
}
