//! The list of archives: loaded, or made anew of all archives that are found among the objects.
//!
//! Source: Borg 1.4, `Manifest.load`, `ArchiveChecker.rebuild_manifest`, `valid_msgpacked_dict`.

use std::collections::{BTreeMap, HashMap};

use ironborg_crypto::tam::{self, TamDemand};
use ironborg_crypto::{CryptoError, Key};
use ironborg_format::archive::ARCHIVE_KEYS;
use ironborg_format::msgpack::Value;
use ironborg_format::{ArchiveEntry, ArchiveMetadata, Manifest, MetadataError, Operation};
use ironborg_object::Opener;
use ironborg_repository::RepositoryError;
use ironborg_storage::{ScratchSpace, ScratchTable};
use ironborg_types::{
    ArchiveId, BytePath, ChunkId, FindingKind, Level, PercentProgress, Place, RepairAction,
};

use super::sweep::{Sweep, in_words};
use super::{LOGGER, Work};
use crate::session::ManifestDemand;
use crate::{ArchiveError, Session};

/// Names the progress.
const REBUILD: &str = "check.rebuild_manifest";
/// Percent between two steps of it that are shown.
const REBUILD_STEP: f64 = 0.01;
/// Ids asked of the repository in one go.
const LIST_PAGE: usize = 100_000;
/// Objects that are read in the order of the segments, and then told of in the order of the index.
const BLOCK: usize = 4096;
/// What every archive has.
const REQUIRED_ARCHIVE_KEYS: [&[u8]; 5] = [b"version", b"name", b"items", b"cmdline", b"time"];
/// A key and its value as they stand in the metadata of every archive.
const VERSION_1: &[u8] = b"\xa7version\x01";

/// Loads the manifest. One that is lost, or that is not authentic, is made anew of what is found; it is
/// written only by a repair.
///
/// # Errors
/// A manifest from the future; a repository that does not answer.
pub(super) fn load_or_rebuild(work: &mut Work<'_>) -> Result<(), ArchiveError> {
    work.look_at_interrupt()?;
    if !work.objects.has_manifest() {
        let place = manifest_place(&work.session);
        let message = "Repository manifest not found!";
        work.findings
            .error(FindingKind::ManifestMissing, place, message);
        return rebuild(work);
    }
    let Err(error) = load(&mut work.session) else {
        return Ok(());
    };
    if !is_damage(&work.session, &error) {
        return Err(error);
    }
    let place = manifest_place(&work.session);
    let message = format!("Repository manifest is corrupted: {}", in_words(&error));
    work.findings
        .error(FindingKind::ManifestDamaged, place, message);
    work.objects.remove(&ChunkId::MANIFEST);
    rebuild(work)
}

fn load(session: &mut Session) -> Result<(), ArchiveError> {
    let mut object = Vec::new();
    session.repository.get(&ChunkId::MANIFEST, &mut object)?;
    session.read_manifest(&object, &[Operation::Check], ManifestDemand::AsTheKeySays)
}

/// Whether the manifest is of no use, rather than of no use to this version.
fn is_damage(session: &Session, error: &ArchiveError) -> bool {
    if !error.kind().is_integrity() {
        return false;
    }
    // Only a manifest that could be opened and is authentic was decoded.
    if !matches!(error, ArchiveError::Damaged { .. }) {
        return true;
    }
    let (mut object, mut packed) = (Vec::new(), Vec::new());
    let got = session.repository.get(&ChunkId::MANIFEST, &mut object);
    let opened = Opener::new().open_manifest(&session.key, &object, &mut packed);
    if got.is_err() || opened.is_err() {
        return true;
    }
    Manifest::decode(&packed) != Err(MetadataError::ManifestVersion)
}

fn manifest_place(session: &Session) -> Place {
    let at = session.repository.place(&ChunkId::MANIFEST);
    Place {
        chunk: Some(ChunkId::MANIFEST),
        segment: at.map(|(segment, _)| segment),
        offset: at.map(|(_, offset)| offset),
        ..Place::default()
    }
}

/// What an object turned out to be.
enum Found {
    /// It does not open.
    Damaged(ArchiveError),
    /// An archive, and nothing speaks against it.
    Archive { name: Vec<u8>, time: String },
    /// It looks like an archive and is not authentic.
    NotAuthentic { name: String, error: CryptoError },
    /// It is an archive and not what one should be.
    Undecodable(MetadataError),
}

fn rebuild(work: &mut Work<'_>) -> Result<(), ArchiveError> {
    let client = work.session.client.clone();
    client.log(
        Level::Info,
        LOGGER,
        "Rebuilding missing manifest, this might take some time...",
    );
    work.session.manifest = Manifest::new();
    let mut order = index_order(&work.session, work.space)?;
    let total = work.objects.len() as u64;
    let mut progress = PercentProgress::start(&*client.reporter, REBUILD, total, REBUILD_STEP);
    let mut at = 0;
    loop {
        let mut block = Vec::new();
        while block.len() < BLOCK
            && let Some((next, id, _)) = order.next_entry(at)?
        {
            at = next;
            let id = ChunkId(id);
            if work.objects.contains(&id) {
                block.push(id);
            }
        }
        if block.is_empty() {
            break;
        }
        let mut found = look_through(&work.session, &block)?;
        for id in block {
            progress.advance(&*client.reporter, 1, None, |percent| {
                format!("Rebuilding manifest {percent:6.2}%")
            });
            if let Some(found) = found.remove(&id) {
                note(work, id, found);
            }
        }
        work.look_at_interrupt()?;
    }
    progress.finish(&*client.reporter);
    client.log(Level::Info, LOGGER, "Manifest rebuild complete.");
    if !work.changes.is_repair() {
        client.log(
            Level::Warning,
            LOGGER,
            "The rebuilt manifest will only be committed when using --repair!",
        );
    }
    Ok(())
}

/// All ids in the order Borg goes through them: that of its own table, which it fills in the repository's order.
/// Of two archives of one name the first keeps it.
fn index_order(
    session: &Session,
    space: Option<&ScratchSpace>,
) -> Result<ScratchTable<4>, ArchiveError> {
    let repository = &session.repository;
    // A tenth more than there are, at a load of three quarters.
    let buckets = repository.len()?.saturating_mul(22) / 15;
    let all_in_memory = ScratchSpace {
        directory: session.client.directories.cache.clone(),
        memory_len: u64::MAX,
    };
    let pages = space.unwrap_or(&all_in_memory).pages();
    let mut order = ScratchTable::with_bucket_capacity(&pages, buckets);
    let mut marker = None;
    loop {
        let page = repository.list(Some(LIST_PAGE), marker.as_ref())?;
        let Some(last) = page.last() else {
            return Ok(order);
        };
        marker = Some(*last);
        for id in &page {
            order.insert(&id.0, &[0; 4])?;
        }
    }
}

/// What is worth telling of a part of the objects. They are read in the order of the segments.
fn look_through(
    session: &Session,
    block: &[ChunkId],
) -> Result<HashMap<ChunkId, Found>, ArchiveError> {
    let client = &session.client;
    let mut stored: Vec<ChunkId> = block.to_vec();
    stored.sort_by_cached_key(|id| session.repository.storage_order(id));
    let mut found = HashMap::new();
    let ignore_invalid = client.workarounds.ignore_invalid_archive_tam;
    Sweep::of(session).each_plaintext(
        &stored,
        &|_, opened| match opened {
            Ok(plaintext) => judge(&session.key, plaintext, ignore_invalid),
            Err(error) => Some(Found::Damaged(error)),
        },
        &mut |id, judged| {
            if client.interrupt.stop_requested() {
                return Err(ArchiveError::Interrupted);
            }
            match judged {
                Some(Found::Damaged(error)) if !is_lost(&error) => Err(error),
                Some(judged) => {
                    found.insert(*id, judged);
                    Ok(())
                }
                None => Ok(()),
            }
        },
    )?;
    Ok(found)
}

/// Whether an object cannot be read, rather than the repository.
fn is_lost(error: &ArchiveError) -> bool {
    error.kind().is_integrity()
        || matches!(
            error,
            ArchiveError::Repository(RepositoryError::ObjectNotFound { .. })
        )
}

/// What an object is; `None` if it is no archive.
fn judge(key: &Key, plaintext: &[u8], ignore_invalid: bool) -> Option<Found> {
    if !looks_like_archive(plaintext) {
        return None;
    }
    // Anything in a file's content can look like an archive: only its authentication tells.
    match tam::verify_archive(key, plaintext, TamDemand::of_key(key)) {
        Err(CryptoError::ArchiveTamInvalid) if ignore_invalid => {}
        Err(error) => {
            let name = name_in(plaintext);
            return Some(Found::NotAuthentic { name, error });
        }
        Ok(_) => {}
    }
    Some(match ArchiveMetadata::decode(plaintext) {
        Ok(ArchiveMetadata { name, time, .. }) => Found::Archive { name, time },
        Err(error) => Found::Undecodable(error),
    })
}

/// Whether bytes are a map with all an archive must have, the first key being one of an archive's.
fn looks_like_archive(bytes: &[u8]) -> bool {
    let contains = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    if !begins_like_archive(bytes) || !contains(b"cmdline") || !contains(VERSION_1) {
        return false;
    }
    let Ok(value) = Value::decode(bytes) else {
        return false;
    };
    REQUIRED_ARCHIVE_KEYS
        .iter()
        .all(|key| value.get(key).is_some())
}

/// Whether bytes begin with a map whose first key is one of an archive's.
fn begins_like_archive(bytes: &[u8]) -> bool {
    let ([0x80..=0x8f, first_key @ ..] | [0xde, _, _, first_key @ ..]) = bytes else {
        return false;
    };
    let Some((&head, rest)) = first_key.split_first() else {
        return false;
    };
    ARCHIVE_KEYS.iter().any(|key| {
        let short = u8::try_from(0xa0 | key.len()).expect("they are short");
        head == short && rest.starts_with(key.as_bytes())
    })
}

/// The name of what looks like an archive, for a message.
fn name_in(plaintext: &[u8]) -> String {
    let value = Value::decode(plaintext).ok();
    let name = value.as_ref().and_then(|value| value.get(b"name"));
    let name = name.and_then(Value::as_raw).unwrap_or(b"<unknown>");
    let shown = name.iter().map(|&byte| match byte {
        0..=0x7f => char::from(byte),
        _ => '\u{fffd}',
    });
    shown.collect()
}

fn note(work: &mut Work<'_>, id: ChunkId, found: Found) {
    let place = |archive: Option<BytePath>| Place {
        archive,
        ..work.place_of(&id)
    };
    match found {
        Found::Damaged(error) => {
            let place = place(None);
            let message = format!("Skipping corrupted chunk: {}", in_words(&error));
            work.findings
                .error(FindingKind::ObjectDamaged, place, message);
        }
        Found::NotAuthentic { name, error } => {
            let place = place(Some(BytePath::new(name.as_bytes())));
            let message = format!("Archive TAM authentication issue for archive {name}: {error}");
            let kind = FindingKind::ArchiveNotAuthentic;
            work.findings.error(kind, place.clone(), message);
            work.findings.error(
                kind,
                place,
                "This archive will *not* be added to the rebuilt manifest! It will be deleted.",
            );
        }
        Found::Undecodable(error) => {
            let place = place(None);
            let message = format!("Archive metadata block {id} is corrupted: {error}");
            work.findings
                .error(FindingKind::ArchiveDamaged, place, message);
        }
        Found::Archive { name, time } => add_archive(work, id, &name, time),
    }
}

/// Lists an archive under its name, or under the first one made of it that is free.
fn add_archive(work: &mut Work<'_>, id: ChunkId, name: &[u8], time: String) {
    let shown = BytePath::new(name);
    let client = &work.session.client;
    client.log(Level::Info, LOGGER, format!("Found archive {shown}"));
    let archives = &work.session.manifest.archives;
    let mut free = name.to_owned();
    let mut number = 0_u32;
    while archives.contains_key(&free) {
        number += 1;
        free = [name, format!(".{number}").as_bytes()].concat();
    }
    let listed = BytePath::new(free.as_slice());
    let place = Place {
        archive: Some(listed.clone()),
        ..work.place_of(&id)
    };
    if number > 0 {
        work.findings.tell(
            Level::Warning,
            FindingKind::ArchiveNameTaken,
            place.clone(),
            format!("Duplicate archive name {shown}, storing as {listed}"),
        );
    }
    let entry = ArchiveEntry {
        id: ArchiveId(id.0),
        time,
        unknown: BTreeMap::new(),
    };
    work.session.manifest.archives.insert(free, entry);
    let detail = format!("list archive {listed}, found as {id}");
    work.changes
        .tell(&work.session, RepairAction::AddArchive, place, detail);
}
