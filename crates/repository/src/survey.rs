//! What can be seen of a repository from outside: without its key, without a lock, without reading its segments, while
//! others work with it.

use std::path::Path;
use std::time::SystemTime;

use ironborg_format::config::{Config, parse_boolean, parse_size};
use ironborg_format::hints::HintsFile;
use ironborg_format::roster::Roster;
use ironborg_storage::{EntryKind, LocalStorage, Storage};

use crate::RepositoryError;
use crate::settings::{CONFIG, SECTION};

/// Largest config file that is looked at; it holds the key.
const CONFIG_LEN_MAX: u64 = 1 << 20;
/// Largest file of hints that is read for a number.
const HINTS_LEN_MAX: u64 = 256 << 20;
/// Largest list of those who read.
const ROSTER_LEN_MAX: u64 = 1 << 20;

/// What is seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Bytes of all its files.
    pub size: u64,
    /// Number of segments.
    pub segments: u64,
    /// When something was committed last; `None` if nothing was yet.
    pub changed: Option<SystemTime>,
    /// Whether its config says that nothing may be removed.
    pub append_only: bool,
    /// The quota its config says; 0 for none.
    pub storage_quota: u64,
    /// Bytes counted against a quota at the last commit; `None` if nobody knows without reading segments.
    pub storage_quota_use: Option<u64>,
    /// Whether somebody has it for himself.
    pub locked: bool,
    /// Those who read it.
    pub readers: u64,
}

/// Looks at the repository at a path; `None` if there is none.
///
/// # Errors
/// Its directory cannot be read.
pub fn survey(path: &Path) -> Result<Option<Survey>, RepositoryError> {
    let storage = LocalStorage::new(path);
    let Some(config) = small_file(&storage, CONFIG, CONFIG_LEN_MAX) else {
        return Ok(None);
    };
    let config = String::from_utf8_lossy(&config).into_owned();
    let Some(config) = Config::parse(&config)
        .ok()
        .filter(|config| config.has_section(SECTION))
    else {
        return Ok(None);
    };
    let value = |key: &str| config.get(SECTION, key);
    let mut found = Survey {
        append_only: value("append_only")
            .and_then(parse_boolean)
            .unwrap_or(false),
        storage_quota: value("storage_quota").and_then(parse_size).unwrap_or(0),
        ..Survey::default()
    };
    let mut committed = None;
    for entry in storage.list("")? {
        match entry.kind {
            EntryKind::File => {
                found.size += size_of(&storage, &entry.name);
                let number = entry.name.strip_prefix("integrity.");
                committed = committed.max(number.and_then(|number| number.parse::<u32>().ok()));
            }
            EntryKind::Directory if entry.name == "data" => add_segments(&storage, &mut found)?,
            EntryKind::Directory if entry.name == "lock.exclusive" => {
                found.locked = storage
                    .list(&entry.name)
                    .is_ok_and(|owners| !owners.is_empty());
            }
            EntryKind::Directory | EntryKind::Other => {}
        }
    }
    if let Some(id) = committed {
        // They are written together, after each commit.
        found.changed = storage.modified(&format!("integrity.{id}"));
        found.storage_quota_use = quota_use(&storage, id);
    }
    if let Some(roster) = small_file(&storage, "lock.roster", ROSTER_LEN_MAX) {
        let roster = Roster::decode(&roster);
        found.locked |= !roster.exclusive.is_empty();
        found.readers = u64::try_from(roster.shared.len()).unwrap_or(u64::MAX);
    }
    Ok(Some(found))
}

/// The content of a file, if it is one and not too large; what is no file is not waited for.
fn small_file(storage: &LocalStorage, name: &str, len_max: u64) -> Option<Vec<u8>> {
    let status = storage.status(name).ok()??;
    let is_small = status.kind == EntryKind::File && status.size <= len_max;
    is_small.then(|| storage.read(name).ok()).flatten()
}

/// The size of a file; one that is gone meanwhile has none.
fn size_of(storage: &LocalStorage, name: &str) -> u64 {
    storage
        .status(name)
        .ok()
        .flatten()
        .map_or(0, |status| status.size)
}

fn add_segments(storage: &LocalStorage, found: &mut Survey) -> Result<(), RepositoryError> {
    let is_number = |name: &str| name.parse::<u32>().is_ok();
    for dir in storage.list("data")? {
        if dir.kind != EntryKind::Directory || !is_number(&dir.name) {
            continue;
        }
        let dir = format!("data/{}", dir.name);
        for segment in storage.list(&dir).unwrap_or_default() {
            if segment.kind == EntryKind::File && is_number(&segment.name) {
                found.size += size_of(storage, &format!("{dir}/{}", segment.name));
                found.segments += 1;
            }
        }
    }
    Ok(())
}

fn quota_use(storage: &LocalStorage, id: u32) -> Option<u64> {
    let content = small_file(storage, &format!("hints.{id}"), HINTS_LEN_MAX)?;
    match HintsFile::decode(&content).ok()? {
        HintsFile::Version2(hints) => u64::try_from(hints.storage_quota_use).ok(),
        HintsFile::Version1 { .. } => None,
    }
}
