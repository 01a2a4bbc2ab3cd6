//! Saving an archive: its metadata, the manifest that lists it, the commit, and what this machine remembers.
//!
//! Source: Borg 1.4, `Archive.save`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use ironborg_cache::{CacheError, SummaryBuilder};
use ironborg_chunker::ChunkerParams;
use ironborg_crypto::tam::{self, TamContext};
use ironborg_format::msgpack::Value;
use ironborg_format::{ArchiveEntry, ArchiveMetadata, ChunkEntry};
use ironborg_object::Sealer;
use ironborg_repository::RepositoryError;
use ironborg_storage::Storage;
use ironborg_types::{ArchiveId, BytePath, Event, Level, Timestamp};

use super::Statistics;
use super::item_stream::{ItemStream, MetadataStore};
use super::options::CreateOptions;
use super::shared::Shared;
use crate::error::ArchiveError;
use crate::session::Session;

const CACHE_COMMIT: &str = "cache.commit";

/// What is the same for the archive and its checkpoints.
pub(super) struct Saver<'a> {
    pub(super) options: &'a CreateOptions,
    /// Name for checkpoints: not in use yet.
    pub(super) checkpoint_name: BytePath,
    /// When the archive was begun.
    pub(super) started: Instant,
    /// Our own caches.
    pub(super) cache: Arc<dyn Storage>,
    /// Name of the files cache's file.
    pub(super) files_name: String,
}

/// An archive that was saved.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    /// Its metadata object.
    pub(super) entry: ChunkEntry,
    /// Its time.
    pub(super) start: Timestamp,
    /// When it was finished.
    pub(super) end: Timestamp,
}

impl Saver<'_> {
    /// Stores archive and manifest and commits; then updates the security record and the caches.
    #[allow(clippy::too_many_arguments)] // All of them are the collector's, borrowed one by one.
    pub(super) fn save(
        &self,
        session: &mut Session,
        shared: &Shared<'_>,
        sealer: &mut Sealer,
        items: &mut ItemStream,
        summary: &mut SummaryBuilder,
        stats: &Statistics,
        name: &[u8],
    ) -> Result<Saved, ArchiveError> {
        if session.manifest.archives.contains_key(name) {
            return Err(ArchiveError::AlreadyExists { name: name.into() });
        }
        let mut store = MetadataStore {
            repository: session.repository.as_mut(),
            key: shared.key,
            nonces: shared.nonces,
            chunks: shared.chunks,
        };
        items.flush(true, sealer, &mut store, summary)?;
        let (start, end) = self.times();
        let metadata = self.metadata(&session.client.identity, items, stats, name, start, end);
        let salt = tam::random_salt()?;
        let packed = tam::sign(shared.key, TamContext::Archive, &salt, |tam| {
            metadata.encode(Some(tam))
        })?;
        let entry = store.store(sealer, &packed).map_err(too_big)?;
        session.manifest.archives.insert(
            name.to_vec(),
            ArchiveEntry::new(ArchiveId::from(entry.id), start),
        );
        session.write_manifest(sealer)?;
        session.repository.commit()?;
        session.save_security()?;
        self.save_caches(session, shared);
        Ok(Saved { entry, start, end })
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        let duration = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        match self.options.timestamp {
            None => {
                let end = Timestamp::now();
                (Timestamp(end.0 - duration), end)
            }
            Some(start) => (start, Timestamp(start.0.saturating_add(duration))),
        }
    }

    fn metadata(
        &self,
        identity: &crate::client::Identity,
        items: &ItemStream,
        stats: &Statistics,
        name: &[u8],
        start: Timestamp,
        end: Timestamp,
    ) -> ArchiveMetadata {
        // A checkpoint has no comment: the words belong to the finished archive.
        let comment = if name == &self.options.name[..] {
            self.options.comment.clone()
        } else {
            Vec::new()
        };
        ArchiveMetadata {
            name: name.to_vec(),
            comment: Some(comment),
            items: items.ids.clone(),
            cmdline: identity.command_line.clone(),
            hostname: Some(identity.hostname.clone()),
            username: Some(identity.username.clone()),
            time: start.to_string(),
            time_end: Some(end.to_string()),
            cwd: Some(identity.cwd.clone()),
            chunker_params: Some(chunker_values(&self.options.chunker)),
            size: Some(stats.size),
            csize: Some(stats.csize),
            nfiles: Some(stats.nfiles),
            size_parts: Some(stats.size_parts),
            csize_parts: Some(stats.csize_parts),
            nfiles_parts: Some(stats.nfiles_parts),
            ..ArchiveMetadata::default()
        }
    }

    /// Keeps the caches for the next run. They may be lost at any time, so a failure is only reported.
    fn save_caches(&self, session: &Session, shared: &Shared<'_>) {
        let reporter = &session.client.reporter;
        let step = |message: &'static str| {
            reporter.report(Event::ProgressMessage {
                msgid: CACHE_COMMIT,
                message: message.into(),
            });
        };
        let id = session.repository.id();
        reporter.report(Event::ProgressStart {
            msgid: CACHE_COMMIT,
        });
        let mut result: Result<(), CacheError> = Ok(());
        if let Some(files) = shared.files {
            step("Saving files cache");
            let ttl = i64::from(self.options.files_cache_ttl);
            result = files.save(&self.cache, &self.files_name, id, ttl);
        }
        step("Saving chunks cache");
        step("Saving cache config");
        reporter.report(Event::ProgressEnd {
            msgid: CACHE_COMMIT,
        });
        if let Err(error) = result {
            let message =
                format!("the cache could not be saved, the next backup will be slower: {error}");
            session.client.log(Level::Warning, "borg.cache", message);
        }
    }
}

fn too_big(error: ArchiveError) -> ArchiveError {
    match error {
        ArchiveError::Repository(inner @ RepositoryError::ObjectTooLarge { .. }) => {
            ArchiveError::other(format!("{inner} - archive too big (issue \u{23}1473)!"))
        }
        other => other,
    }
}

fn chunker_values(params: &ChunkerParams) -> Vec<Value<'static>> {
    let number = |value: u32| Value::Int(i64::from(value));
    let raw = |text: &'static str| Value::Raw(Cow::Borrowed(text.as_bytes()));
    match *params {
        ChunkerParams::Buzhash {
            min_exp,
            max_exp,
            mask_bits,
            window,
        } => vec![
            raw("buzhash"),
            number(min_exp.into()),
            number(max_exp.into()),
            number(mask_bits.into()),
            number(window),
        ],
        ChunkerParams::Fixed { block, header } => vec![raw("fixed"), number(block), number(header)],
    }
}
