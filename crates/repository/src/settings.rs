//! The repository's config file: what it means, and how it is rewritten.

use ironborg_format::config::{Config, parse_boolean, parse_integer, parse_size};
use ironborg_storage::{Conditional, EntryKind, Retention, Storage};
use ironborg_types::{Event, Level, Reporter, RepositoryId};

use crate::RepositoryError;
use crate::local::LOGGER;

/// Name of the file.
pub(crate) const CONFIG: &str = "config";
/// Its one section.
pub(crate) const SECTION: &str = "repository";
/// The key that says for how long segments stay; stock Borg keeps it unread.
pub(crate) const RETAIN: &str = "retain";
/// A second name of the old config while a new one is being written.
const OLD_CONFIG: &str = "config.old";
/// Segments per directory in a new repository.
const SEGMENTS_PER_DIR: u32 = 1000;
/// Segment size in a new repository: 500 MiB.
const SEGMENT_SIZE_MAX: u64 = 500 * 1024 * 1024;
/// Offsets are 32 bit, and a segment may exceed its limit by one entry.
const SEGMENT_SIZE_LIMIT: u64 = (1 << 32) - 20 * 1024 * 1024;

/// What a repository's config says.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) id: RepositoryId,
    pub(crate) segments_per_dir: u32,
    pub(crate) segment_size_max: u64,
    pub(crate) append_only: bool,
    /// 0: none.
    pub(crate) storage_quota: u64,
    pub(crate) additional_free_space: u64,
    /// For how long segments stay where that can be promised.
    pub(crate) retain: Option<Retention>,
}

/// The config of a new repository.
pub(crate) fn new_config(
    id: RepositoryId,
    append_only: bool,
    storage_quota: Option<u64>,
) -> Config {
    let mut config = Config::new();
    let mut set = |key, value: String| config.set(SECTION, key, value);
    set("version", "1".to_owned());
    set("segments_per_dir", SEGMENTS_PER_DIR.to_string());
    set("max_segment_size", SEGMENT_SIZE_MAX.to_string());
    set("append_only", u8::from(append_only).to_string());
    set("storage_quota", storage_quota.unwrap_or(0).to_string());
    set("additional_free_space", "0".to_owned());
    set("id", id.to_string());
    config
}

impl Settings {
    /// Takes the settings out of a config; `storage` only names the repository in errors.
    pub(crate) fn from_config(
        config: &Config,
        storage: &dyn Storage,
    ) -> Result<Self, RepositoryError> {
        let invalid = |reason: String| RepositoryError::InvalidConfig {
            path: storage.path(""),
            reason,
        };
        if !config.has_section(SECTION) {
            return Err(invalid("no repository section found".to_owned()));
        }
        let version = required(config, "version", parse_integer)?;
        if version != 1 {
            return Err(invalid(format!(
                "repository version {version} is not supported by this borg version"
            )));
        }
        let segment_size_max = required(config, "max_segment_size", parse_size)?;
        if segment_size_max >= SEGMENT_SIZE_LIMIT {
            return Err(invalid(format!("max_segment_size >= {SEGMENT_SIZE_LIMIT}")));
        }
        let positive = |text: &str| {
            let number = parse_integer(text)?;
            u32::try_from(number).ok().filter(|&number| number > 0)
        };
        Ok(Self {
            segments_per_dir: required(config, "segments_per_dir", positive)?,
            segment_size_max,
            additional_free_space: optional(config, "additional_free_space", parse_size)?
                .unwrap_or(0),
            append_only: optional(config, "append_only", parse_boolean)?.unwrap_or(false),
            storage_quota: optional(config, "storage_quota", parse_size)?.unwrap_or(0),
            retain: optional(config, RETAIN, Retention::parse)?,
            id: required(config, "id", |text| text.trim().parse().ok())?,
        })
    }
}

fn optional<T>(
    config: &Config,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, RepositoryError> {
    let Some(text) = config.get(SECTION, key) else {
        return Ok(None);
    };
    let malformed = || RepositoryError::MalformedConfig {
        reason: format!("invalid value for {key} in the repository config: {text:?}"),
    };
    parse(text).map(Some).ok_or_else(malformed)
}

fn required<T>(
    config: &Config,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, RepositoryError> {
    optional(config, key, parse)?.ok_or_else(|| RepositoryError::MalformedConfig {
        reason: format!("No option '{key}' in section: '{SECTION}'"),
    })
}

/// Checks that there is a directory where a repository is said to be.
pub(crate) fn check_directory(storage: &dyn Storage) -> Result<(), RepositoryError> {
    let path = storage.path("");
    match storage.status("")? {
        None => Err(RepositoryError::DoesNotExist { path }),
        Some(status) if status.kind != EntryKind::Directory => {
            Err(RepositoryError::InvalidRepository { path })
        }
        Some(_) => Ok(()),
    }
}

/// Reads the config of an existing repository.
pub(crate) fn load_config(storage: &dyn Storage) -> Result<Config, RepositoryError> {
    let bytes = match storage.read(CONFIG) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => {
            return Err(RepositoryError::InvalidRepository {
                path: storage.path(""),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let malformed = |reason: String| RepositoryError::MalformedConfig {
        reason: format!("{}: {reason}", storage.path(CONFIG).display()),
    };
    let text = String::from_utf8(bytes).map_err(|e| malformed(e.to_string()))?;
    Config::parse(&text).map_err(|e| malformed(e.to_string()))
}

/// Replaces the config `old`, or makes the first one; the old one is overwritten: it may hold a key that must not survive.
/// On an object store it is replaced only if nobody else has done that meanwhile.
///
/// `locked` is false for a repository used without a lock, perhaps on a read-only medium: there
/// failing to write is only worth a warning.
pub(crate) fn save_config(
    storage: &dyn Storage,
    old: Option<&Config>,
    config: &Config,
    locked: bool,
    reporter: &dyn Reporter,
) -> Result<(), RepositoryError> {
    if let Some(conditional) = storage.conditional() {
        return replace_config(storage, conditional, old, config);
    }
    let warn = |message: String| reporter.report(Event::log(Level::Warning, LOGGER, message));
    let is_file = |name| storage.status(name).map(|status| status.is_some());
    if is_file(OLD_CONFIG)? {
        warn("Old config file not securely erased on previous config update".to_owned());
        storage.erase(OLD_CONFIG)?;
    }
    if is_file(CONFIG)? && !storage.link(CONFIG, OLD_CONFIG)? {
        warn(
            "Failed to securely erase old repository config file (hardlinks not supported). \
             Old repokey data, if any, might persist on physical storage."
                .to_owned(),
        );
    }
    match storage.replace(CONFIG, &[config.to_text().as_bytes()]) {
        Err(error) if !locked && error.is_permission_denied() => warn(format!(
            "{}: Failed writing to '{}'. This is expected when working on read-only repositories.",
            error.reason(),
            error.path().display()
        )),
        result => result?,
    }
    if is_file(OLD_CONFIG)? {
        storage.erase(OLD_CONFIG)?;
    }
    Ok(())
}

/// Replaces the config under the condition that it is what was read.
fn replace_config(
    storage: &dyn Storage,
    conditional: &dyn Conditional,
    old: Option<&Config>,
    config: &Config,
) -> Result<(), RepositoryError> {
    let changed = || RepositoryError::LockFailed {
        path: storage.path(CONFIG),
        reason: "somebody else has changed it meanwhile".to_owned(),
    };
    let found = conditional.read_versioned(CONFIG)?;
    let version = match (&found, old) {
        (None, None) => None,
        (Some((bytes, version)), Some(old)) => {
            let there = std::str::from_utf8(bytes).ok();
            let there = there.and_then(|text| Config::parse(text).ok());
            if there.as_ref() != Some(old) {
                return Err(changed());
            }
            Some(version)
        }
        _ => return Err(changed()),
    };
    let replaced = conditional.replace_if(CONFIG, version, config.to_text().as_bytes())?;
    replaced.map(drop).ok_or_else(changed)
}
