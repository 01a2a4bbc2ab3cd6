//! The security directory: what was seen of a repository, so that a swapped, moved or rolled back one is
//! noticed.
//!
//! Shared with stock Borg, byte for byte. Source: Borg 1.4, `SecurityManager` in `cache.py`;
//! docs/format.md, "Security directory".

use std::sync::Arc;

use ironborg_repository::LockOptions;
use ironborg_storage::{Storage, StorageError};
use ironborg_types::{Answer, Event, Level, NonceStore, Question, Questioner, Reporter};

use crate::CacheError;
use crate::security_nonce::LocalNonceStore;
use crate::stock_config::StockCacheConfig;

const KEY_TYPE: &str = "key-type";
const LOCATION: &str = "location";
const MANIFEST_TIMESTAMP: &str = "manifest-timestamp";
const TAM_REQUIRED: &str = "tam_required";
const LOGGER: &str = "borg.cache";

/// What is known of an opened repository, to be compared with what was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepositoryFacts<'a> {
    /// Canonical location, as Borg writes it: the absolute path of a local repository, or an ssh URL.
    pub location: &'a str,
    /// Type byte of the key.
    pub key_type: u8,
    /// Whether reading the repository takes a secret: not for `none`, the authenticated modes, and
    /// repository keys with an empty passphrase.
    pub logically_encrypted: bool,
    /// Whether the mode is `none`.
    pub is_plaintext: bool,
    /// The manifest's timestamp, as it stands there.
    pub manifest_timestamp: &'a str,
}

/// What to do about an unencrypted repository never seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownUnencrypted {
    /// Ask whether to go on.
    Ask,
    /// Go on: it is being created.
    Accept,
}

/// Stock Borg's cache of the same repository, and how to lock it.
#[derive(Clone)]
pub struct StockCache {
    /// Its directory.
    pub storage: Arc<dyn Storage>,
    /// For the moment in which an accepted location is written to it.
    pub lock: LockOptions,
}

/// The security directory of one repository.
#[derive(Clone)]
pub struct SecurityDirectory {
    storage: Arc<dyn Storage>,
    stock_cache: Option<StockCache>,
    reporter: Arc<dyn Reporter>,
}

impl SecurityDirectory {
    /// `storage` is the directory (which need not exist yet); `stock_cache` is what stock Borg may have
    /// cached about the repository on this machine.
    pub fn new(
        storage: Arc<dyn Storage>,
        stock_cache: Option<StockCache>,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self {
            storage,
            stock_cache,
            reporter,
        }
    }

    /// Whether the repository was accessed before.
    pub fn is_known(&self) -> bool {
        [KEY_TYPE, LOCATION, MANIFEST_TIMESTAMP]
            .iter()
            .all(|file| self.exists(file))
    }

    fn exists(&self, file: &str) -> bool {
        matches!(self.storage.status(file), Ok(Some(_)))
    }

    /// Checks a repository whose manifest was just loaded, asks what has to be asked, and remembers a
    /// repository seen for the first time.
    ///
    /// In Borg's order: unknown and unencrypted; moved; another key type; older than before.
    pub fn assert_secure(
        &self,
        facts: &RepositoryFacts<'_>,
        unknown_unencrypted: UnknownUnencrypted,
        questioner: &dyn Questioner,
    ) -> Result<(), CacheError> {
        self.assert_access_unknown(facts, unknown_unencrypted, questioner)?;
        let stock = self
            .stock_cache
            .as_ref()
            .and_then(|cache| StockCacheConfig::load(&*cache.storage, &*self.reporter))
            .unwrap_or_default();
        self.assert_location_matches(facts, &stock, questioner)?;
        self.assert_key_type(facts, &stock)?;
        self.assert_no_replay(facts, &stock)?;
        if !self.is_known() {
            self.save(facts)?;
        }
        Ok(())
    }

    fn assert_access_unknown(
        &self,
        facts: &RepositoryFacts<'_>,
        unknown_unencrypted: UnknownUnencrypted,
        questioner: &dyn Questioner,
    ) -> Result<(), CacheError> {
        if facts.logically_encrypted || self.is_known() {
            return Ok(());
        }
        let accepted = match unknown_unencrypted {
            UnknownUnencrypted::Accept => Answer::Yes,
            UnknownUnencrypted::Ask => questioner.ask(&Question {
                message: "Warning: Attempting to access a previously unknown unencrypted repository!\n\
                          Do you want to continue? [yN] ",
                env_var: "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK",
                ..ABORTING
            }),
        };
        match accepted {
            Answer::Yes => self.save(facts),
            Answer::No => Err(CacheError::InitAborted),
        }
    }

    fn assert_location_matches(
        &self,
        facts: &RepositoryFacts<'_>,
        stock: &StockCacheConfig,
        questioner: &dyn Questioner,
    ) -> Result<(), CacheError> {
        // Where both know a location, the cache's counts: it is written more often.
        let previous = match stock.previous_location.as_deref() {
            Some(location) => Some(recanonicalized(location, facts.location).to_owned()),
            None => self.read_text(LOCATION, "Could not read previous location file"),
        };
        let Some(previous) =
            previous.filter(|previous| !previous.is_empty() && previous != facts.location)
        else {
            return Ok(());
        };
        let message = format!(
            "Warning: The repository at location {} was previously located at {previous}\n\
             Do you want to continue? [yN] ",
            facts.location
        );
        let answer = questioner.ask(&Question {
            message: &message,
            env_var: "BORG_RELOCATED_REPO_ACCESS_IS_OK",
            ..ABORTING
        });
        if answer == Answer::No {
            return Err(CacheError::RepositoryAccessAborted);
        }
        // At once: whatever fails later, this question is answered.
        self.write(LOCATION, facts.location)?;
        if let (Some(cache), Some(_)) = (&self.stock_cache, &stock.previous_location) {
            StockCacheConfig::save_location(
                &cache.storage,
                facts.location,
                cache.lock.clone(),
                &self.reporter,
            );
        }
        Ok(())
    }

    fn assert_key_type(
        &self,
        facts: &RepositoryFacts<'_>,
        stock: &StockCacheConfig,
    ) -> Result<(), CacheError> {
        let actual = facts.key_type.to_string();
        let cache_differs = stock.key_type.as_ref().is_some_and(|seen| *seen != actual);
        let seen = || self.read_text(KEY_TYPE, "Could not read/parse key type file");
        if cache_differs || self.is_known() && seen() != Some(actual) {
            return Err(CacheError::EncryptionMethodMismatch);
        }
        Ok(())
    }

    fn assert_no_replay(
        &self,
        facts: &RepositoryFacts<'_>,
        stock: &StockCacheConfig,
    ) -> Result<(), CacheError> {
        // Both are texts of one form, so that the later one is the larger one.
        let seen = self
            .read_text(MANIFEST_TIMESTAMP, "Could not read previous location file")
            .max(stock.timestamp.clone());
        match seen {
            Some(seen) if seen.as_str() > facts.manifest_timestamp => Err(if facts.is_plaintext {
                CacheError::RepositoryIdNotUnique
            } else {
                CacheError::RepositoryReplay
            }),
            _ => Ok(()),
        }
    }

    /// Remembers the repository as it is now; to be done after every commit of its manifest.
    ///
    /// What stands there already is not written again: only the timestamp changes from one commit to the next.
    pub fn save(&self, facts: &RepositoryFacts<'_>) -> Result<(), CacheError> {
        self.write_if_changed(LOCATION, facts.location)?;
        self.write_if_changed(KEY_TYPE, &facts.key_type.to_string())?;
        self.write(MANIFEST_TIMESTAMP, facts.manifest_timestamp)
    }

    /// Has the repository count as last seen at another location.
    pub fn set_location(&self, location: &str) -> Result<(), CacheError> {
        self.write(LOCATION, location)
    }

    /// Forgets the repository: it is gone.
    pub fn destroy(&self) -> Result<(), CacheError> {
        Ok(self.storage.remove_tree("")?)
    }

    /// Whether a manifest without authentication is to be refused on this machine.
    pub fn tam_required(&self) -> bool {
        self.exists(TAM_REQUIRED)
    }

    /// Has manifests without authentication refused (or accepted) on this machine from now on.
    pub fn set_tam_required(&self, required: bool) -> Result<(), CacheError> {
        if required {
            return self.write(TAM_REQUIRED, "");
        }
        match self.storage.remove(TAM_REQUIRED) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// This machine's part of the nonce reservations.
    pub fn nonce_store(&self) -> Arc<dyn NonceStore> {
        Arc::new(LocalNonceStore::new(Arc::clone(&self.storage)))
    }

    fn read_text(&self, file: &str, complaint: &str) -> Option<String> {
        match self.storage.read(file) {
            Ok(content) => Some(String::from_utf8_lossy(&content).into_owned()),
            Err(error) => {
                if !error.is_not_found() {
                    let message = format!("{complaint}: {error}");
                    self.reporter
                        .report(Event::log(Level::Warning, LOGGER, message));
                }
                None
            }
        }
    }

    /// As [`Self::write`], but for a file that has exactly this content: each one costs two waits for the disk.
    fn write_if_changed(&self, file: &str, content: &str) -> Result<(), CacheError> {
        match self.storage.read(file) {
            Ok(there) if there == content.as_bytes() => Ok(()),
            // Whatever it is that cannot be read is replaced; writing tells what is wrong.
            _ => self.write(file, content),
        }
    }

    fn write(&self, file: &str, content: &str) -> Result<(), CacheError> {
        let replace =
            || -> Result<(), StorageError> { self.storage.replace(file, &[content.as_bytes()]) };
        match replace() {
            Err(error) if error.is_not_found() => {
                self.storage.create_dir_all("")?;
                Ok(replace()?)
            }
            result => Ok(result?),
        }
    }
}

/// What the two questions have in common.
const ABORTING: Question<'static> = Question {
    message: "",
    false_message: Some("Aborting."),
    invalid_message: Some("Invalid answer, aborting."),
    env_var: "",
    only_yes: false,
    retry: false,
};

/// The location in a cache as Borg would write it today: before 1.0.8 a path relative to the home
/// directory began with `/~/` where `/./` is written now.
fn recanonicalized<'a>(cached: &'a str, actual: &'a str) -> &'a str {
    if cached.contains("://") && cached.replacen("/~/", "/./", 1) == actual {
        actual
    } else {
        cached
    }
}

#[cfg(test)]
mod tests;
