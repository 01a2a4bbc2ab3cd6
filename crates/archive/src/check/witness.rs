//! Opening objects in the buffers their segments were read into.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use ironborg_crypto::Key;
use ironborg_object::Opener;
use ironborg_repository::{Repository, StoredObject, Watcher, Witness};
use ironborg_types::{ChunkId, Place};

use super::key;
use super::sweep::in_words;
use crate::keys::OpenedKey;
use crate::{ArchiveError, Client};

/// Objects opened together: their MACs and ids are computed side by side.
const GROUP: usize = 16;
/// Bytes of those, unless one has more.
const GROUP_LEN: usize = 3 << 20;
/// With so many bytes of plaintext there are enough whose ids are computed side by side.
const PLAINTEXTS_LEN: usize = 8 << 20;

/// An object that is not what it should be.
#[derive(Debug)]
pub(super) struct Defect {
    pub(super) id: ChunkId,
    /// How many objects of the same piece come before it.
    before: usize,
    pub(super) place: Place,
    /// In Borg's words.
    pub(super) message: String,
    /// It is there, and damaged.
    pub(super) is_damage: bool,
}

impl Defect {
    /// What `error` says of an object; the error itself if it is not the object's.
    pub(super) fn of(
        id: &ChunkId,
        place: Place,
        error: ArchiveError,
    ) -> Result<Self, ArchiveError> {
        let is_damage = error.kind().is_integrity();
        let message = match &error {
            ArchiveError::Repository(ironborg_repository::RepositoryError::ObjectNotFound {
                ..
            }) => format!("chunk {id}: {error}"),
            ArchiveError::Repository(_) if is_damage => format!("chunk {id}: {error}"),
            _ if is_damage => format!("chunk {id}, integrity error: {}", in_words(&error)),
            _ => return Err(error),
        };
        Ok(Self {
            id: *id,
            before: 0,
            place,
            message,
            is_damage,
        })
    }
}

/// What was seen in a piece of a segment.
#[derive(Debug, Default)]
pub(super) struct SeenPiece {
    count: usize,
    defects: Vec<Defect>,
}

impl SeenPiece {
    /// Every object in turn: `None` if it is what it should be.
    pub(super) fn objects(self) -> impl Iterator<Item = Option<Defect>> {
        let mut defects = self.defects.into_iter().peekable();
        (0..self.count).map(move |number| defects.next_if(|defect| defect.before == number))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// What was seen, by the numbers of pieces. Memory: 48 bytes for each of 4 MiB, and the defects.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pieces: Mutex<BTreeMap<u64, SeenPiece>>,
    /// The first error that is not an object's.
    failure: Mutex<Option<ArchiveError>>,
}

impl Seen {
    /// What was seen in a piece; nothing more is known of it then.
    pub(super) fn take(&self, piece: u64) -> SeenPiece {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.remove(&piece).unwrap_or_default()
    }

    /// All that was seen, in the order of storage.
    pub(super) fn into_pieces(self) -> impl Iterator<Item = SeenPiece> {
        let pieces = self.pieces.into_inner();
        pieces.unwrap_or_else(PoisonError::into_inner).into_values()
    }

    /// An error that is not an object's.
    pub(super) fn take_failure(&self) -> Option<ArchiveError> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }

    fn note(&self, piece: u64, seen: SeenPiece) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.insert(piece, seen);
    }

    fn note_failure(&self, error: ArchiveError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }
}

/// Opens what it is shown.
pub(super) struct Verifier<'a> {
    pub(super) key: &'a Key,
    pub(super) seen: &'a Seen,
}

impl Witness for Verifier<'_> {
    fn watcher(&self) -> Box<dyn Watcher + '_> {
        Box::new(VerifierThread::new(self.key, self.seen))
    }
}

/// Opens what it is shown while the repository itself is checked, before the key is needed for anything else.
pub(super) struct EarlyVerifier {
    client: Client,
    key: OnceLock<OpenedKey>,
    seen: Seen,
    is_whole: AtomicBool,
}

impl EarlyVerifier {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            key: OnceLock::new(),
            seen: Seen::default(),
            is_whole: AtomicBool::new(false),
        }
    }

    /// The key, and what was seen; `None` if that was not everything there is.
    pub(super) fn finish(self) -> Option<(OpenedKey, Seen)> {
        let is_whole = self.is_whole.into_inner() && self.seen.take_failure().is_none();
        let key = self.key.into_inner().filter(|_| is_whole)?;
        Some((key, self.seen))
    }
}

impl Witness for EarlyVerifier {
    fn is_interested(&self, repository: &dyn Repository) -> bool {
        // Nobody is asked for a passphrase, and no error is told, before it is time for it.
        let opened = key::open_unasked(&self.client, repository);
        let Ok(Some(opened)) = opened else {
            return false;
        };
        self.key.set(opened).is_ok()
    }

    fn watcher(&self) -> Box<dyn Watcher + '_> {
        let key = self
            .key
            .get()
            .expect("it was opened before anything is shown");
        Box::new(VerifierThread::new(&key.key, &self.seen))
    }

    fn has_seen_all(&self) {
        self.is_whole.store(true, Ordering::SeqCst);
    }
}

/// What one thread works with.
struct VerifierThread<'a> {
    key: &'a Key,
    seen: &'a Seen,
    opener: Opener,
    plaintexts: Vec<u8>,
}

impl<'a> VerifierThread<'a> {
    fn new(key: &'a Key, seen: &'a Seen) -> Self {
        Self {
            key,
            seen,
            opener: Opener::new(),
            plaintexts: Vec::new(),
        }
    }

    /// What is wrong with each of a few objects.
    fn open(&mut self, group: &[StoredObject<'_>]) -> Vec<Option<ArchiveError>> {
        let mut named: [(ChunkId, &[u8]); GROUP] = [(ChunkId::MANIFEST, &[]); GROUP];
        let mut count = 0;
        for (slot, object) in named.iter_mut().zip(group) {
            if let (Ok(bytes), false) = (&object.object, object.id == ChunkId::MANIFEST) {
                *slot = (object.id, bytes);
                count += 1;
            }
        }
        if count == group.len() {
            let (named, plaintexts) = (&named[..count], &mut self.plaintexts);
            let verified = self
                .opener
                .verify_many(self.key, named, PLAINTEXTS_LEN, plaintexts);
            let errors = verified
                .into_iter()
                .map(|result| result.err().map(Into::into));
            return errors.collect();
        }
        let plaintext = &mut self.plaintexts;
        let mut errors = Vec::with_capacity(group.len());
        for StoredObject { id, object, .. } in group {
            errors.push(match object {
                // Told by whoever looks at this.
                Err(_) => None,
                Ok(object) if *id == ChunkId::MANIFEST => {
                    let opened = self.opener.open_manifest(self.key, object, plaintext);
                    opened.err().map(Into::into)
                }
                Ok(object) => {
                    let opened = self.opener.open(self.key, id, object, plaintext);
                    opened.err().map(Into::into)
                }
            });
        }
        errors
    }
}

/// Cuts objects into groups to be opened together.
fn groups<'o, 'b>(
    mut objects: &'o [StoredObject<'b>],
) -> impl Iterator<Item = &'o [StoredObject<'b>]> {
    std::iter::from_fn(move || {
        let mut len = 0;
        let fits = |object: &&StoredObject<'_>| {
            len += object.object.as_ref().map_or(0, |bytes| bytes.len());
            len <= GROUP_LEN
        };
        let count = objects.iter().take(GROUP).take_while(fits).count();
        let (group, rest) = objects.split_at(count.max(1).min(objects.len()));
        objects = rest;
        (!group.is_empty()).then_some(group)
    })
}

impl Watcher for VerifierThread<'_> {
    fn show(&mut self, piece: u64, objects: &[StoredObject<'_>]) {
        let mut seen = SeenPiece {
            count: objects.len(),
            defects: Vec::new(),
        };
        let mut before = 0;
        for group in groups(objects) {
            for (object, error) in group.iter().zip(self.open(group)) {
                let place = Place {
                    chunk: Some(object.id),
                    segment: Some(object.segment),
                    offset: Some(u64::from(object.offset)),
                    ..Place::default()
                };
                let defect = match (&object.object, error) {
                    (Err(error), _) => Some(Ok(Defect {
                        id: object.id,
                        before,
                        place,
                        message: format!("chunk {}: {error}", object.id),
                        is_damage: error.kind().is_integrity(),
                    })),
                    (Ok(_), Some(error)) => Some(Defect::of(&object.id, place, error)),
                    (Ok(_), None) => None,
                };
                match defect {
                    Some(Ok(defect)) => seen.defects.push(Defect { before, ..defect }),
                    Some(Err(error)) => self.seen.note_failure(error),
                    None => {}
                }
                before += 1;
            }
        }
        self.seen.note(piece, seen);
    }
}
