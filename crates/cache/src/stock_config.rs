//! What stock Borg's own cache of the repository knows that matters to security.
//!
//! Stock Borg keeps location, time and key type in its cache's `config` too and trusts the newer of the
//! two. So does IronBorg, or an attack noticed by one would be missed by the other. Nothing else of
//! that cache is used; the location is the one thing written, as answering its question must count for
//! both.

use std::sync::Arc;

use ironborg_format::config::Config;
use ironborg_repository::{Lock, LockOptions, RepositoryError};
use ironborg_storage::{Storage, StorageError};
use ironborg_types::{Event, Level, Reporter};

use crate::CacheError;

const FILE: &str = "config";
const LOCK: &str = "lock";
const LOCATION_KEY: &str = "previous_location";

/// The section `[cache]` of stock Borg's cache config.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StockCacheConfig {
    /// Canonical location of the repository when the cache was last saved.
    pub previous_location: Option<String>,
    /// Timestamp of the manifest the cache was last in sync with.
    pub timestamp: Option<String>,
    /// Type byte of the key, decimal.
    pub key_type: Option<String>,
}

impl StockCacheConfig {
    /// Reads the config in a repository's stock cache directory; `None` if stock Borg has no cache.
    ///
    /// A config that cannot be read is no reason to fail here, as it is not ours; it is reported.
    pub fn load(storage: &dyn Storage, reporter: &dyn Reporter) -> Option<Self> {
        match storage.read(FILE) {
            Ok(content) => Some(Self::parse(&String::from_utf8_lossy(&content))),
            Err(error) => {
                if !error.is_not_found() {
                    let message = format!("security: could not read Borg's cache config: {error}");
                    reporter.report(Event::log(Level::Warning, "borg.cache", message));
                }
                None
            }
        }
    }

    /// The whole config, for those who want to see or change any value; `None` if stock Borg has no cache.
    pub fn load_whole(storage: &dyn Storage) -> Result<Option<Config>, CacheError> {
        let content = match storage.read(FILE) {
            Ok(content) => content,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let text = String::from_utf8_lossy(&content);
        let config = Config::parse(&text).map_err(|error| CacheError::MalformedConfig {
            reason: format!("{}: {error}", storage.path(FILE).display()),
        })?;
        Ok(Some(config))
    }

    /// Changes the config under stock Borg's lock; says whether there is one.
    pub fn edit(
        storage: &Arc<dyn Storage>,
        lock: LockOptions,
        reporter: &Arc<dyn Reporter>,
        change: impl FnOnce(&mut Config),
    ) -> Result<bool, CacheError> {
        // Locking would make the directory, and half a cache is one stock Borg stumbles over.
        if !Self::exists(&**storage)? {
            return Ok(false);
        }
        let lock = LockOptions {
            exclusive: true,
            ..lock
        };
        let lock = Lock::acquire(Arc::clone(storage), LOCK, lock, Arc::clone(reporter))?;
        let Some(mut config) = Self::load_whole(&**storage)? else {
            return Ok(false);
        };
        change(&mut config);
        storage.replace(FILE, &[config.to_text().as_bytes()])?;
        lock.release()?;
        Ok(true)
    }

    /// Removes the lock of stock Borg's cache whoever holds it.
    pub fn break_lock(storage: &dyn Storage) -> Result<(), RepositoryError> {
        Lock::break_lock(storage, LOCK)
    }

    fn exists(storage: &dyn Storage) -> Result<bool, StorageError> {
        Ok(storage.status(FILE)?.is_some())
    }

    /// Takes the values out of an INI text, as Python's `configparser` would.
    fn parse(text: &str) -> Self {
        let mut config = Self::default();
        for line in CacheSection::lines_of(text) {
            let Some((key, value)) = key_and_value(line) else {
                continue;
            };
            let field = match key.to_ascii_lowercase().as_str() {
                LOCATION_KEY => &mut config.previous_location,
                "timestamp" => &mut config.timestamp,
                "key_type" => &mut config.key_type,
                _ => continue,
            };
            *field = Some(value.to_owned()).filter(|value| !value.is_empty());
        }
        config
    }

    /// Writes a location the user has accepted into stock Borg's config, under stock Borg's lock.
    ///
    /// If that cannot be done now the user is merely asked again by stock Borg, so failures are only
    /// noted.
    pub fn save_location(
        storage: &Arc<dyn Storage>,
        location: &str,
        lock: LockOptions,
        reporter: &Arc<dyn Reporter>,
    ) {
        let update = || -> Result<(), String> {
            let lock = Lock::acquire(Arc::clone(storage), LOCK, lock, Arc::clone(reporter))
                .map_err(|error| error.to_string())?;
            let content = storage.read(FILE).map_err(|error| error.to_string())?;
            let text = String::from_utf8(content).map_err(|error| error.to_string())?;
            let text = with_location(&text, location);
            storage
                .replace(FILE, &[text.as_bytes()])
                .map_err(|error| error.to_string())?;
            lock.release().map_err(|error| error.to_string())
        };
        if let Err(reason) = update() {
            let message = format!("security: could not update Borg's cache config: {reason}");
            reporter.report(Event::log(Level::Debug, "borg.cache", message));
        }
    }
}

/// The lines of the section `[cache]` and where it is.
struct CacheSection;

impl CacheSection {
    fn lines_of(text: &str) -> impl Iterator<Item = &str> {
        let mut inside = false;
        text.lines().filter(move |line| {
            if line.starts_with('[') {
                inside = is_cache_header(line);
                return false;
            }
            inside
        })
    }
}

fn is_cache_header(line: &str) -> bool {
    line.trim_end() == "[cache]"
}

/// Splits `key = value`; comments, empty lines and continuation lines are none.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    if line.starts_with([' ', '\t', '#', ';']) {
        return None;
    }
    let (key, value) = line.split_once(['=', ':'])?;
    Some((key.trim(), value.trim()))
}

/// The config with another location, all else as it was.
fn with_location(text: &str, location: &str) -> String {
    let mut out = String::with_capacity(text.len() + location.len());
    let (mut inside, mut done) = (false, false);
    let new_line = format!("{LOCATION_KEY} = {location}\n");
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') || line.trim().is_empty() {
            if inside && !done {
                out.push_str(&new_line);
                done = true;
            }
            if line.starts_with('[') {
                inside = is_cache_header(line);
            }
        } else if inside
            && key_and_value(line).is_some_and(|(key, _)| key.eq_ignore_ascii_case(LOCATION_KEY))
        {
            if !done {
                out.push_str(&new_line);
                done = true;
            }
            continue;
        }
        out.push_str(line);
    }
    if inside && !done {
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&new_line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Borg 1.4.5 (shortened).
    const CONFIG: &str = "[cache]\nversion = 1\nrepository = 0123\nmanifest = abcd\ntimestamp = 2024-01-02T03:04:05.678901\nkey_type = 3\nprevious_location = /srv/repo\nignored_features = \nmandatory_features = \n\n[integrity]\nmanifest = abcd\nfiles = {\"algorithm\": \"XXH64\", \"timestamp\": 1}\n\n";

    #[test]
    fn the_values_are_found() {
        let config = StockCacheConfig::parse(CONFIG);
        assert_eq!(config.previous_location.as_deref(), Some("/srv/repo"));
        assert_eq!(
            config.timestamp.as_deref(),
            Some("2024-01-02T03:04:05.678901")
        );
        assert_eq!(config.key_type.as_deref(), Some("3"));
        let fresh = "[cache]\nversion = 1\nmanifest = \n\n[integrity]\ntimestamp = 9\n";
        assert_eq!(StockCacheConfig::parse(fresh), StockCacheConfig::default());
        assert_eq!(
            StockCacheConfig::parse("garbage"),
            StockCacheConfig::default()
        );
    }

    #[test]
    fn only_the_location_is_changed() {
        let changed = with_location(CONFIG, "ssh://host/./x");
        assert_eq!(changed, CONFIG.replace("/srv/repo", "ssh://host/./x"));
        let without = CONFIG.replace("previous_location = /srv/repo\n", "");
        let added = with_location(&without, "/new");
        assert_eq!(
            added,
            without.replace(
                "\n\n[integrity]",
                "\nprevious_location = /new\n\n[integrity]"
            )
        );
        assert_eq!(
            with_location("[cache]\na = 1", "/n"),
            "[cache]\na = 1\nprevious_location = /n\n"
        );
        assert_eq!(with_location("[other]\n", "/n"), "[other]\n");
    }
}
