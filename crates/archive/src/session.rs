//! An open repository with its key and its manifest, checked against what this client knows of it.
//!
//! Source: Borg 1.4, `Manifest.load`, `Manifest.write`, `with_repository`, `SecurityManager`.

use std::fmt::Display;
use std::sync::Arc;

use ironborg_cache::{RepositoryFacts, SecurityDirectory, UnknownUnencrypted};
use ironborg_crypto::tam::{self, TamContext, TamDemand};
use ironborg_crypto::{
    CryptoError, Key, KeyMode, Nonces, Passphrase, RelatedSecrets, envelope_nonce,
};
use ironborg_format::{ArchiveEntry, ArchiveMetadata, Manifest, MetadataError, Operation};
use ironborg_object::{Compression, Opener, Sealer};
use ironborg_repository::{Repository, RepositoryError};
use ironborg_types::{
    Answer, ArchiveId, BytePath, ChunkId, ErrorKind, Event, Level, Question, Questioner, Timestamp,
};

use crate::client::Client;
use crate::error::ArchiveError;
use crate::keys::{self, KeyTarget, OpenedKey};
use crate::stretching::Stretching;

const LOGGER: &str = "borg.archive";

/// A repository open for work: objects, key, manifest.
pub struct Session {
    /// Where objects are.
    pub repository: Box<dyn Repository>,
    /// The key; shared with worker threads.
    pub key: Arc<Key>,
    /// Where the key is kept.
    pub key_target: KeyTarget,
    /// What the key is kept with.
    pub(crate) passphrase: Passphrase,
    /// Hands out counter values; shared with worker threads.
    pub nonces: Arc<Nonces>,
    /// The archives.
    pub manifest: Manifest,
    /// Id hash of the manifest as it was loaded or last written; what caches are in step with.
    pub manifest_id: ChunkId,
    /// Who works.
    pub client: Client,
    /// This client's record of the repository.
    pub security: SecurityDirectory,
    /// Whether the manifest that was loaded was authenticated.
    pub(crate) tam_verified: bool,
}

/// Whether a manifest that is not authenticated is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestDemand {
    /// Not if the key demands authentication.
    AsTheKeySays,
    /// It is; a wrong authentication is not.
    Nothing,
}

/// An archive: its metadata, without its items.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Identifies it; the fingerprint shown to people.
    pub id: ArchiveId,
    /// The name the manifest gives it.
    pub name: BytePath,
    /// What it says about itself.
    pub metadata: ArchiveMetadata,
    /// Whether its authentication was there and right.
    pub tam_verified: bool,
    /// Bytes of the metadata object.
    pub size: u32,
    /// The same, as stored.
    pub csize: u32,
}

impl Session {
    /// Loads key and manifest of an open repository and checks them against the security record.
    ///
    /// `operations`: what is going to be done, for repositories that demand features for it.
    ///
    /// # Errors
    /// No manifest or key; a wrong passphrase; failed authentication; a repository that is not the one this
    /// client knew, or older; access refused by the user.
    pub fn open(
        client: Client,
        repository: Box<dyn Repository>,
        operations: &[Operation],
    ) -> Result<Self, ArchiveError> {
        Self::open_with(client, repository, operations, ManifestDemand::AsTheKeySays)
    }

    /// As [`Session::open`], with a say in whether the manifest must be authenticated.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(
        client: Client,
        repository: Box<dyn Repository>,
        operations: &[Operation],
        demand: ManifestDemand,
    ) -> Result<Self, ArchiveError> {
        let session = Self::load(client, repository, operations, demand)?;
        session.assert_secure(UnknownUnencrypted::Ask)?;
        Ok(session)
    }

    /// Loads key and manifest without looking at what this client knows of the repository.
    pub(crate) fn load(
        client: Client,
        repository: Box<dyn Repository>,
        operations: &[Operation],
        demand: ManifestDemand,
    ) -> Result<Self, ArchiveError> {
        let stretching = Stretching::begin(&client, repository.as_ref());
        let mut object = Vec::new();
        match repository.get(&ChunkId::MANIFEST, &mut object) {
            Err(RepositoryError::ObjectNotFound { .. }) => return Err(ArchiveError::NoManifest),
            other => other?,
        }
        let mut session = Self::of_object(client, repository, &object, stretching)?;
        session.read_manifest(&object, operations, demand)?;
        Ok(session)
    }

    /// Opens the key that `object` was sealed with, and loads no manifest: the list of archives is empty, and nothing
    /// is asked of what this client knows of the repository.
    ///
    /// # Errors
    /// As those of [`Session::open`] that are about the key.
    pub(crate) fn without_manifest(
        client: Client,
        repository: Box<dyn Repository>,
        object: &[u8],
    ) -> Result<Self, ArchiveError> {
        Self::of_object(client, repository, object, Stretching::nothing())
    }

    fn of_object(
        client: Client,
        repository: Box<dyn Repository>,
        object: &[u8],
        stretching: Stretching,
    ) -> Result<Self, ArchiveError> {
        let security = client.security_directory(repository.id());
        let default = security.tam_required();
        let opened =
            keys::open_key_stretched(&client, repository.as_ref(), object, default, stretching)?;
        Self::with_key(client, repository, opened, object)
    }

    /// As [`Session::without_manifest`], with a key that was opened before.
    ///
    /// # Errors
    /// A counter that is at its end.
    pub(crate) fn with_key(
        client: Client,
        repository: Box<dyn Repository>,
        opened: OpenedKey,
        object: &[u8],
    ) -> Result<Self, ArchiveError> {
        let security = client.security_directory(repository.id());
        let OpenedKey {
            key,
            target: key_target,
            passphrase,
        } = opened;
        let nonces = nonces_for(&key, repository.as_ref(), &security, Some(object))?;
        Ok(Self {
            manifest_id: ChunkId::MANIFEST,
            key: Arc::new(key),
            key_target,
            passphrase,
            nonces: Arc::new(nonces),
            manifest: Manifest::new(),
            repository,
            client,
            security,
            tam_verified: false,
        })
    }

    /// Opens, authenticates and decodes the manifest, which is `object` as stored.
    ///
    /// # Errors
    /// Failed authentication; a manifest that does not decode, or that demands features for `operations` that are
    /// not there.
    pub(crate) fn read_manifest(
        &mut self,
        object: &[u8],
        operations: &[Operation],
        demand: ManifestDemand,
    ) -> Result<(), ArchiveError> {
        let mut packed = Vec::new();
        Opener::new().open_manifest(&self.key, object, &mut packed)?;
        let (manifest, tam_verified) = decode_manifest(&self.client, &self.key, &packed, demand)?;
        self.manifest_id = self.key.id_hash(&packed);
        self.manifest = manifest;
        self.tam_verified = tam_verified;
        if tam_verified {
            let required = self.manifest.requires_tam();
            if required != self.security.tam_required() {
                self.security.set_tam_required(required)?;
            }
        }
        self.check_features(operations)
    }

    /// Makes the key and the first manifest of a repository that was just created.
    ///
    /// # Errors
    /// No passphrase, a key file that is there already, a failed write. The repository is the caller's to
    /// destroy then.
    pub fn init(
        client: Client,
        mut repository: Box<dyn Repository>,
        mode: KeyMode,
        related: Option<&RelatedSecrets>,
    ) -> Result<Self, ArchiveError> {
        let opened = keys::create_key(&client, repository.as_mut(), mode, related)?;
        Self::begin(client, repository, opened)
    }

    /// Whether a repository was made and never came to have a manifest: nothing is stored in it, and this client has
    /// never worked with it. Such is left behind where [`Session::init`] was cut off.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub fn is_unfinished(
        client: &Client,
        repository: &dyn Repository,
    ) -> Result<bool, ArchiveError> {
        // One that this client knows has lost its data: nothing must be built upon that.
        let is_known = client.security_directory(repository.id()).is_known();
        Ok(!is_known && repository.is_empty()?)
    }

    /// As [`Session::init`], for a repository that is unfinished. A key that is there already stays, as whoever
    /// made it may have a copy of it by now.
    ///
    /// # Errors
    /// As there; a key that is not of this mode.
    pub fn finish_init(
        client: Client,
        mut repository: Box<dyn Repository>,
        mode: KeyMode,
    ) -> Result<Self, ArchiveError> {
        let opened = keys::find_or_create_key(&client, repository.as_mut(), mode)?;
        Self::begin(client, repository, opened)
    }

    /// Stores the first manifest.
    fn begin(
        client: Client,
        repository: Box<dyn Repository>,
        opened: OpenedKey,
    ) -> Result<Self, ArchiveError> {
        let OpenedKey {
            key,
            target: key_target,
            passphrase,
        } = opened;
        let security = client.security_directory(repository.id());
        let nonces = nonces_for(&key, repository.as_ref(), &security, None)?;
        let mut session = Self {
            manifest_id: ChunkId::MANIFEST,
            key: Arc::new(key),
            key_target,
            passphrase,
            nonces: Arc::new(nonces),
            manifest: Manifest::new(),
            repository,
            client,
            security,
            tam_verified: true,
        };
        session.write_manifest(&mut Sealer::new(Compression::default()))?;
        session.repository.commit()?;
        session.assert_secure(UnknownUnencrypted::Accept)?;
        if session.key.tam_required() {
            session.security.set_tam_required(true)?;
        }
        Ok(session)
    }

    /// Stores the manifest, with a new timestamp and authentication, in the running transaction.
    pub fn write_manifest(&mut self, sealer: &mut Sealer) -> Result<(), ArchiveError> {
        let damaged = |error: MetadataError| ArchiveError::other(error.to_string());
        self.manifest
            .stamp(Timestamp::now(), self.key.tam_required())
            .map_err(damaged)?;
        let salt = tam::random_salt()?;
        let packed = tam::sign(&self.key, TamContext::Manifest, &salt, |tam| {
            self.manifest.encode(Some(tam))
        })?;
        let mut object = Vec::new();
        sealer.seal(&self.key, &self.nonces, &packed, &mut object)?;
        self.repository.put(&ChunkId::MANIFEST, &object)?;
        self.manifest_id = self.key.id_hash(&packed);
        Ok(())
    }

    /// Notes in the security record what the manifest last written says. Call after a commit.
    pub fn save_security(&self) -> Result<(), ArchiveError> {
        Ok(self.security.save(&self.facts())?)
    }

    /// Loads an archive's metadata. A missing authentication is accepted, a wrong one is not.
    pub fn load_archive(&self, name: &[u8]) -> Result<Archive, ArchiveError> {
        let entry = self
            .manifest
            .archives
            .get(name)
            .ok_or_else(|| self.no_such_archive(name))?;
        self.load_archive_entry(name, entry)
    }

    /// The error for an archive that is not there; who reports it learns what there is.
    pub(crate) fn no_such_archive(&self, name: &[u8]) -> ArchiveError {
        let known: Vec<BytePath> = self
            .manifest
            .archives
            .keys()
            .map(|name| BytePath::new(name.as_slice()))
            .collect();
        self.client.reporter.report(Event::NoSuchArchive {
            name,
            known: &known,
        });
        ArchiveError::DoesNotExist { name: name.into() }
    }

    /// Tells that these archives are going to be loaded, in this order: across a line their metadata is sent for.
    pub fn will_load<'n>(&self, names: impl IntoIterator<Item = &'n [u8]>) {
        if !self.repository.is_distant() {
            return;
        }
        let entries = names
            .into_iter()
            .map(|name| self.manifest.archives.get(name));
        let ids = entries.flatten().map(|entry| (entry.id.into(), 0));
        let ids: Vec<(ChunkId, u32)> = ids.collect();
        self.repository.will_need_metadata(&ids);
    }

    /// Loads the metadata of an archive the manifest lists.
    pub fn load_archive_entry(
        &self,
        name: &[u8],
        entry: &ArchiveEntry,
    ) -> Result<Archive, ArchiveError> {
        let id = ChunkId::from(entry.id);
        let (mut object, mut packed) = (Vec::new(), Vec::new());
        self.repository.get_metadata(&id, &mut object)?;
        let opened = Opener::new().open(&self.key, &id, &object, &mut packed);
        if opened.is_err() && self.repository.reject_metadata(&id) {
            self.repository.get_metadata(&id, &mut object)?;
            Opener::new().open(&self.key, &id, &object, &mut packed)?;
        } else {
            opened?;
        }
        let damaged = |error: &dyn Display| ArchiveError::Damaged {
            what: "metadata",
            name: name.into(),
            detail: error.to_string(),
        };
        let tam_verified = match tam::verify_archive(&self.key, &packed, TamDemand::Optional) {
            Ok(authentication) => authentication.is_verified(),
            Err(CryptoError::ArchiveTamInvalid)
                if self.client.workarounds.ignore_invalid_archive_tam =>
            {
                self.client.log(
                    Level::Debug,
                    LOGGER,
                    "ignoring invalid archive TAM due to BORG_WORKAROUNDS",
                );
                false
            }
            Err(CryptoError::MalformedMetadata(error)) => return Err(damaged(&error)),
            Err(error) => return Err(error.into()),
        };
        let metadata = ArchiveMetadata::decode(&packed).map_err(|error| damaged(&error))?;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("objects are at most 20 MiB");
        Ok(Archive {
            id: entry.id,
            name: name.into(),
            metadata,
            tam_verified,
            size: length(&packed),
            csize: length(&object),
        })
    }

    /// Keeps the key with another passphrase. At any time the old or the new one opens it.
    ///
    /// # Errors
    /// A repository without a key, or opened without one; a failed write.
    pub fn change_passphrase(&mut self, passphrase: Passphrase) -> Result<(), ArchiveError> {
        if self.key_target == KeyTarget::None {
            return Err(ArchiveError::Command {
                message: "This repository is not encrypted, cannot change the passphrase.".into(),
            });
        }
        self.passphrase = passphrase;
        self.keep_key(|_| {})
    }

    /// Changes the key and keeps it with its passphrase.
    pub(crate) fn keep_key(&mut self, change: impl FnOnce(&mut Key)) -> Result<(), ArchiveError> {
        let key = Arc::get_mut(&mut self.key).expect("no other thread works with the key now");
        change(key);
        keys::keep_key(
            key,
            &self.passphrase,
            &self.key_target,
            self.repository.as_mut(),
        )
    }

    /// Where the key is kept, as shown to people.
    pub fn key_location(&self) -> String {
        self.key_target.shown(&self.client.location)
    }

    /// Facts the security record is about.
    pub(crate) fn facts(&self) -> RepositoryFacts<'_> {
        RepositoryFacts {
            location: &self.client.location,
            key_type: self.key.mode().type_byte(),
            logically_encrypted: self.key.logically_encrypted(),
            is_plaintext: self.key.mode() == KeyMode::None,
            manifest_timestamp: self.manifest.timestamp.as_deref().unwrap_or_default(),
        }
    }

    pub(crate) fn assert_secure(&self, unknown: UnknownUnencrypted) -> Result<(), ArchiveError> {
        let questioner = self.client.questioner.as_ref();
        Ok(self
            .security
            .assert_secure(&self.facts(), unknown, questioner)?)
    }

    fn check_features(&self, operations: &[Operation]) -> Result<(), ArchiveError> {
        for operation in operations {
            let missing = self
                .manifest
                .mandatory_features(*operation)
                .map_err(|error| damaged_manifest(&self.client, &error))?;
            if !missing.is_empty() {
                let names: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
                return Err(ArchiveError::MandatoryFeature {
                    features: format!("[{}]", names.join(", ")),
                });
            }
        }
        Ok(())
    }
}

/// What it takes to open the repository of a session again without asking anybody: key and client.
#[derive(Clone)]
pub struct Reopening {
    client: Client,
    key: Arc<Key>,
    key_target: KeyTarget,
    passphrase: Passphrase,
}

/// Nobody is there to answer: the answer is no.
struct Unattended;

impl Questioner for Unattended {
    fn ask(&self, _: &Question<'_>) -> Answer {
        Answer::No
    }
}

impl Session {
    /// What opening the same repository once more takes.
    pub fn reopening(&self) -> Reopening {
        let mut client = self.client.clone();
        client.questioner = Arc::new(Unattended);
        Reopening {
            client,
            key: Arc::clone(&self.key),
            key_target: self.key_target.clone(),
            passphrase: self.passphrase.clone(),
        }
    }
}

impl Reopening {
    /// Loads the manifest of the repository that was opened again, with the key there is, and checks it against the
    /// security record. What would have to be asked is an error.
    ///
    /// # Errors
    /// As those of [`Session::open`]; another repository than before.
    pub fn open(
        &self,
        repository: Box<dyn Repository>,
        operations: &[Operation],
    ) -> Result<Session, ArchiveError> {
        let mut object = Vec::new();
        match repository.get(&ChunkId::MANIFEST, &mut object) {
            Err(RepositoryError::ObjectNotFound { .. }) => return Err(ArchiveError::NoManifest),
            other => other?,
        }
        let security = self.client.security_directory(repository.id());
        let nonces = nonces_for(&self.key, repository.as_ref(), &security, Some(&object))?;
        let mut session = Session {
            manifest_id: ChunkId::MANIFEST,
            key: Arc::clone(&self.key),
            key_target: self.key_target.clone(),
            passphrase: self.passphrase.clone(),
            nonces: Arc::new(nonces),
            manifest: Manifest::new(),
            repository,
            client: self.client.clone(),
            security,
            tam_verified: false,
        };
        session.read_manifest(&object, operations, ManifestDemand::AsTheKeySays)?;
        session.assert_secure(UnknownUnencrypted::Ask)?;
        Ok(session)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Authenticates and decodes the packed manifest; also says whether it was authenticated.
fn decode_manifest(
    client: &Client,
    key: &Key,
    packed: &[u8],
    demand: ManifestDemand,
) -> Result<(Manifest, bool), ArchiveError> {
    let demand = match demand {
        ManifestDemand::AsTheKeySays => TamDemand::of_key(key),
        ManifestDemand::Nothing => {
            if key.tam_required() {
                client.log(
                    Level::Warning,
                    "borg.crypto.key",
                    "Manifest authentication DISABLED.",
                );
            }
            TamDemand::Optional
        }
    };
    let verified = tam::verify_manifest(key, packed, demand)
        .map_err(|error| match error {
            CryptoError::MalformedMetadata(error) => damaged_manifest(client, &error),
            error if error.kind() == ErrorKind::UnsupportedManifestError => {
                ArchiveError::UnsupportedManifest
            }
            error => ArchiveError::from(error),
        })?
        .is_verified();
    let manifest = Manifest::decode(packed).map_err(|error| damaged_manifest(client, &error))?;
    Ok((manifest, verified))
}

fn damaged_manifest(client: &Client, error: &dyn Display) -> ArchiveError {
    ArchiveError::Damaged {
        what: "the manifest",
        name: client.location.as_str().into(),
        detail: error.to_string(),
    }
}

/// The counter values of a key: none for one that does not encrypt.
fn nonces_for(
    key: &Key,
    repository: &dyn Repository,
    security: &SecurityDirectory,
    manifest: Option<&[u8]>,
) -> Result<Nonces, ArchiveError> {
    if !key.mode().is_encrypted() {
        return Ok(Nonces::none());
    }
    let after_manifest = match manifest.and_then(envelope_nonce) {
        Some(nonce) => Some(nonce.end().ok_or(CryptoError::NonceSpaceExhausted)?),
        None => None,
    };
    Ok(Nonces::new(
        repository.nonce_store(),
        security.nonce_store(),
        after_manifest,
    ))
}
