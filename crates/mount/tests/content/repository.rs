//! A repository in memory, files stored in it chunk by chunk, and its follower.

use std::sync::Arc;
use std::time::Duration;

use ironborg_archive::{
    Archive, ArchiveError, Client, ClientDirectories, Identity, PassphraseError, PassphraseSource,
    Session, Workarounds,
};
use ironborg_crypto::{KeyMode, Passphrase};
use ironborg_format::ArchiveMetadata;
use ironborg_format::item::{ChunkEntry, Item};
use ironborg_mount::content::{Budget, ContentStore};
use ironborg_mount::follow::{Follower, Opens};
use ironborg_object::{Compression, Sealer};
use ironborg_repository::{
    CreateOptions, LocalRepository, LockMode, LockOptions, OpenOptions, process_identity,
};
use ironborg_storage::MemoryStorage;
use ironborg_testkit::Random;
use ironborg_types::{
    Answer, ArchiveId, BytePath, ChunkId, Interrupt, NullReporter, Question, Questioner,
};
use tempfile::TempDir;

/// Chunks of item streams are as long on average.
const STREAM_CHUNK_LEN: usize = 128 * 1024;

static NEVER: Interrupt = Interrupt::new();

struct Given;

impl PassphraseSource for Given {
    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        Ok(Some(Passphrase::new(b"test")))
    }

    fn ask(&self, _: &str) -> Result<Passphrase, PassphraseError> {
        unreachable!("one is given")
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new(b"test"))
    }
}

struct Yes;

impl Questioner for Yes {
    fn ask(&self, _: &Question<'_>) -> Answer {
        Answer::Yes
    }
}

/// A file as it was stored.
pub(crate) struct Stored {
    pub(crate) content: Vec<u8>,
    pub(crate) chunks: Vec<ChunkEntry>,
}

/// A repository and the machine that reads it.
pub(crate) struct Repository {
    pub(crate) storage: MemoryStorage,
    dir: Arc<TempDir>,
}

/// Opens it again.
struct Again {
    storage: MemoryStorage,
    dir: Arc<TempDir>,
}

impl Opens for Again {
    fn open(&self) -> Result<Session, ArchiveError> {
        open(&self.storage, &self.dir, LockMode::None)
    }
}

impl Repository {
    /// An empty one.
    pub(crate) fn new(mode: KeyMode) -> Self {
        let storage = MemoryStorage::new();
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let create = CreateOptions {
            append_only: false,
            storage_quota: None,
            make_parent_dirs: false,
        };
        let shared = Arc::new(storage.clone());
        let options = open_options(LockMode::Exclusive);
        let repository = LocalRepository::create_in(shared, &create, options).unwrap();
        drop(Session::init(client(&dir), Box::new(repository), mode, None).unwrap());
        Self { storage, dir }
    }

    /// Stores files of these chunk lengths, one compression after the other. Every fifth chunk is a hole.
    pub(crate) fn store(&self, random: &mut Random, files: &[Vec<usize>]) -> Vec<Stored> {
        let compressions = [
            Compression::Lz4,
            Compression::None,
            Compression::Zstd(1),
            Compression::Zlib(1),
        ];
        let mut sealers = compressions.map(Sealer::new);
        let mut session = open(&self.storage, &self.dir, LockMode::Exclusive).unwrap();
        let mut object = Vec::new();
        let mut stored = Vec::new();
        for (number, lens) in files.iter().enumerate() {
            let mut file = Stored {
                content: Vec::new(),
                chunks: Vec::new(),
            };
            for len in lens {
                let mut bytes = vec![0; *len];
                if random.below(5) > 0 {
                    // Half of it can be compressed.
                    random.fill(&mut bytes[..len / 2]);
                    bytes[len / 2..].fill(random.next_u64().to_le_bytes()[0]);
                }
                let id = session.key.id_hash(&bytes);
                sealers[number % 4]
                    .seal(&session.key, &session.nonces, &bytes, &mut object)
                    .unwrap();
                session.repository.put(&id, &object).unwrap();
                file.chunks.push(ChunkEntry {
                    id,
                    size: u32::try_from(*len).unwrap(),
                    csize: u32::try_from(object.len()).unwrap(),
                });
                file.content.extend_from_slice(&bytes);
            }
            stored.push(file);
        }
        session.repository.commit().unwrap();
        stored
    }

    /// Changes one byte in the middle of a stored object.
    pub(crate) fn damage(&self, id: &ChunkId) {
        let session = open(&self.storage, &self.dir, LockMode::None).unwrap();
        let (segment, offset) = session.repository.place(id).unwrap();
        let len = session.repository.stored_size(id).unwrap().unwrap();
        let suffix = format!("/{}", segment.0);
        let (name, mut content) = self
            .storage
            .files()
            .into_iter()
            .find(|(name, _)| name.starts_with("data/") && name.ends_with(&suffix))
            .unwrap();
        let at = usize::try_from(offset + 41 + u64::from(len) / 2).unwrap();
        content[at] ^= 0x10;
        self.storage.set(&name, content);
    }

    /// Stores an archive of these items, its stream in chunks as large as they are as a rule.
    pub(crate) fn store_archive(&self, name: &str, items: impl Iterator<Item = Item>) -> Archive {
        let mut session = open(&self.storage, &self.dir, LockMode::Exclusive).unwrap();
        let mut sealer = Sealer::new(Compression::Lz4);
        let (mut object, mut ids) = (Vec::new(), Vec::new());
        let mut put = |session: &mut Session, bytes: &[u8]| {
            let id = session.key.id_hash(bytes);
            sealer
                .seal(&session.key, &session.nonces, bytes, &mut object)
                .unwrap();
            session.repository.put(&id, &object).unwrap();
            id
        };
        let mut stream = Vec::new();
        for item in items {
            item.encode(&mut stream);
            while stream.len() >= STREAM_CHUNK_LEN {
                ids.push(put(&mut session, &stream[..STREAM_CHUNK_LEN]));
                stream.drain(..STREAM_CHUNK_LEN);
            }
        }
        ids.push(put(&mut session, &stream));
        session.repository.commit().unwrap();
        let metadata = ArchiveMetadata {
            items: ids,
            ..ArchiveMetadata::default()
        };
        Archive {
            id: ArchiveId([1; 32]),
            name: BytePath::from(name),
            metadata,
            tam_verified: true,
            size: 0,
            csize: 0,
        }
    }

    /// Follows it, on so many threads.
    pub(crate) fn follower(&self, threads: usize) -> Arc<Follower> {
        let mut session = open(&self.storage, &self.dir, LockMode::None).unwrap();
        session.client.threads = threads;
        let again = Again {
            storage: self.storage.clone(),
            dir: Arc::clone(&self.dir),
        };
        Arc::new(Follower::new(session, Box::new(again)))
    }

    /// What reads it, on three threads.
    pub(crate) fn content(&self, budget: u64) -> ContentStore {
        ContentStore::new(self.follower(1), 3, Budget::bytes(budget))
    }
}

fn open(storage: &MemoryStorage, dir: &TempDir, lock: LockMode) -> Result<Session, ArchiveError> {
    let storage = Arc::new(storage.clone());
    let repository = LocalRepository::open_in(storage, open_options(lock))?;
    Session::open(client(dir), Box::new(repository), &[])
}

fn open_options(lock: LockMode) -> OpenOptions {
    OpenOptions {
        lock,
        lock_wait: Some(Duration::ZERO),
        owner: process_identity("test@1"),
        append_only: false,
        storage_quota: None,
        reporter: Arc::new(NullReporter),
    }
}

fn client(dir: &TempDir) -> Client {
    Client {
        directories: ClientDirectories {
            keys: dir.path().join("keys"),
            security: dir.path().join("security"),
            cache: dir.path().join("cache"),
            key_file: None,
        },
        reporter: Arc::new(NullReporter),
        questioner: Arc::new(Yes),
        passphrases: Arc::new(Given),
        interrupt: &NEVER,
        unlocked: None,
        workarounds: Workarounds::default(),
        identity: Identity::default(),
        threads: 1,
        location: "/memory".into(),
        lock: LockOptions {
            exclusive: true,
            wait: Some(Duration::ZERO),
            owner: process_identity("test@1"),
        },
        subprocess_environment: Vec::new(),
        memory: ironborg_types::MemoryLimit::NONE,
        key_file_stem: "memory".into(),
    }
}
