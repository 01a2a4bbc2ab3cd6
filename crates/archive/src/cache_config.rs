//! The settings of the client's cache, as stock Borg's cache has them in its `config`.
//!
//! Our own caches need no settings. What stock Borg keeps there is shown from its file, brought up to date
//! as stock Borg would by synchronising its cache first; without such a file, from what is known anyway.

use ironborg_cache::StockCacheConfig;
use ironborg_format::config::Config;

use crate::{ArchiveError, Session};

/// The section of the cache's own settings.
pub const SECTION: &str = "cache";
/// Canonical location the repository had when it was last worked on.
const PREVIOUS_LOCATION: &str = "previous_location";

/// The settings as stock Borg would find them in its cache.
pub fn load(session: &Session) -> Result<Config, ArchiveError> {
    let cache = session.client.stock_cache(session.repository.id());
    let known = StockCacheConfig::load_whole(&*cache.storage)?;
    let manifest = session.manifest_id.to_string();
    if let Some(known) = &known
        && known.get(SECTION, "manifest") == Some(manifest.as_str())
    {
        return Ok(known.clone());
    }
    let facts = session.facts();
    let mut config = known.unwrap_or_default();
    let mut set = |key, value: &str| config.set(SECTION, key, value);
    set("version", "1");
    set("repository", &session.repository.id().to_string());
    set("manifest", &manifest);
    set("timestamp", facts.manifest_timestamp);
    set("key_type", &facts.key_type.to_string());
    set(PREVIOUS_LOCATION, facts.location);
    for features in ["ignored_features", "mandatory_features"] {
        if config.get(SECTION, features).is_none() {
            config.set(SECTION, features, "");
        }
    }
    Ok(config)
}

/// Has the repository count as last seen at `location`, or nowhere.
pub fn set_previous_location(
    session: &Session,
    location: Option<&str>,
) -> Result<(), ArchiveError> {
    let client = &session.client;
    let cache = client.stock_cache(session.repository.id());
    let changed =
        StockCacheConfig::edit(
            &cache.storage,
            cache.lock,
            &client.reporter,
            |config| match location {
                Some(location) => config.set(SECTION, PREVIOUS_LOCATION, location),
                None => drop(config.remove(SECTION, PREVIOUS_LOCATION)),
            },
        )?;
    // Where both know a location stock Borg goes by its cache; without one the security record is all there is.
    match location {
        Some(location) if !changed => Ok(session.security.set_location(location)?),
        _ => Ok(()),
    }
}
