//! Going through archives: which ones, their metadata, their items; and listing what became of them.
//!
//! Source: Borg 1.4, `ArchiveChecker.rebuild_refcounts`.

use std::sync::Arc;

use ironborg_crypto::CryptoError;
use ironborg_crypto::tam::{self, Authentication, TamContext, TamDemand};
use ironborg_format::archive::ArchiveTree;
use ironborg_types::{BytePath, ChunkId, FindingKind, Level, PercentProgress, Place, Reporter};

use super::Work;
use super::changes::archive_place;
use super::content::KnownZeros;
use super::inspector::Inspector;
use super::item::ItemForm;
use super::read::{ObjectQueue, Taken, is_integrity};
use crate::ArchiveError;
use crate::items::{ObjectSource, ReadAhead};
use crate::selection::{ListedArchive, select};

/// Checks the archives that were asked for, and counts what they refer to.
pub(super) fn check_all(work: &mut Work<'_>) -> Result<(), ArchiveError> {
    let Some(archives) = chosen(work)? else {
        return Ok(());
    };
    let reporter = Arc::clone(&work.session.client.reporter);
    let progress = PercentProgress::start(
        reporter.as_ref(),
        "check.rebuild_refcounts",
        archives.len() as u64,
        0.1,
    );
    let threads = work.session.client.threads;
    Inspector::with(work, |mut inspector| {
        let key = Arc::clone(&inspector.key);
        let source = ObjectSource {
            objects: inspector.session,
            key: &key,
        };
        let expected = if archives.is_empty() { 0 } else { usize::MAX };
        ReadAhead::scope(source, threads, expected, |read_ahead| {
            let queue = ObjectQueue::new(read_ahead);
            let mut all = AllArchives {
                inspector: &mut inspector,
                queue,
                form: ItemForm::default(),
                zeros: KnownZeros::new(),
            };
            all.check(&archives, progress, reporter.as_ref())
        })
    })
}

/// The archives that were asked for; `None` if the one that was is not there.
fn chosen(work: &mut Work<'_>) -> Result<Option<Vec<ListedArchive>>, ArchiveError> {
    let options = work.options;
    if let Some(name) = &options.archive {
        let Some(entry) = work.session.manifest.archives.get(&name[..]) else {
            let place = archive_place(name);
            let message = format!("Archive '{name}' not found.");
            work.findings
                .error(FindingKind::ArchiveNotFound, place, message);
            return Ok(None);
        };
        return Ok(Some(vec![ListedArchive::new(name, entry)?]));
    }
    let selection = &options.selection;
    let archives = select(&work.session.manifest, selection)?;
    let warn = |message: String| {
        let kind = FindingKind::ArchiveNotFound;
        work.findings
            .tell(Level::Warning, kind, Place::default(), message);
    };
    if let Some(glob) = &options.glob
        && archives.is_empty()
    {
        warn(format!(
            "--glob-archives {glob} does not match any archives"
        ));
    }
    for (option, count) in [("first", selection.first), ("last", selection.last)] {
        let found = archives.len();
        if found < count {
            warn(format!(
                "--{option} {count} archives: only found {found} archives"
            ));
        }
    }
    Ok(Some(archives))
}

/// What the check of archives works with.
pub(super) struct AllArchives<'i, 'w, 'r> {
    pub(super) inspector: &'i mut Inspector<'w>,
    pub(super) queue: ObjectQueue<'r>,
    pub(super) form: ItemForm,
    pub(super) zeros: KnownZeros,
}

/// The metadata of an archive, as far as it is there.
enum Metadata {
    Missing,
    /// The object does not open.
    Corrupted(ArchiveError),
    /// It was not written as an archive of this repository.
    NotAuthentic(CryptoError),
    /// It is authentic, and nothing that could be understood.
    Odd(String),
    /// The repository does not answer.
    Failed(ArchiveError),
    Read {
        tree: ArchiveTree,
        /// To sign it again as it was; `None` if it was not signed.
        salt: Option<Vec<u8>>,
    },
}

impl AllArchives<'_, '_, '_> {
    fn check(
        &mut self,
        archives: &[ListedArchive],
        mut progress: PercentProgress,
        reporter: &dyn Reporter,
    ) -> Result<(), ArchiveError> {
        let total = archives.len();
        // The metadata of an archive is read before the items of the one before it.
        let id_of = |archive: &ListedArchive| ChunkId::from(archive.id);
        self.queue.name(archives.iter().take(2).map(id_of));
        let mut next = match total {
            0 => None,
            _ => Some(self.take_metadata(archives.get(2))),
        };
        for (number, archive) in archives.iter().enumerate() {
            progress.advance_to(reporter, number as u64, None, |percent| {
                format!("Checking archives {percent:3.1}%")
            });
            let message = format!(
                "Analyzing archive {} ({}/{total})",
                archive.name,
                number + 1
            );
            self.inspector.log(Level::Info, message);
            let metadata = next.take().expect("it was taken before");
            if number + 1 < total {
                next = Some(self.take_metadata(archives.get(number + 3)));
            }
            self.check_archive(archive, metadata)?;
        }
        progress.finish(reporter);
        Ok(())
    }

    /// Takes the metadata of an archive; its items are read when it is its turn, and before them the metadata of the
    /// archive after the next one.
    fn take_metadata(&mut self, after_next: Option<&ListedArchive>) -> Metadata {
        let metadata = match self.queue.take(self.inspector) {
            Taken::Missing => Metadata::Missing,
            Taken::Read(Ok(fetched)) => {
                let metadata = self.inspector.understand(&fetched.plaintext);
                self.queue.recycle(fetched);
                metadata
            }
            Taken::Read(Err(error)) if is_integrity(&error) => Metadata::Corrupted(error),
            Taken::Read(Err(error)) => Metadata::Failed(error),
        };
        if let Metadata::Read { tree, .. } = &metadata {
            self.queue.name(tree.items().iter().copied());
        }
        self.queue
            .name(after_next.map(|archive| ChunkId::from(archive.id)));
        metadata
    }

    fn check_archive(
        &mut self,
        archive: &ListedArchive,
        metadata: Metadata,
    ) -> Result<(), ArchiveError> {
        let inspector = &mut *self.inspector;
        let ListedArchive { name, id, .. } = archive;
        let object = ChunkId::from(*id);
        let place = inspector.place(name, &object);
        if !matches!(metadata, Metadata::Missing) {
            inspector.mark_superseded(&object);
        }
        match metadata {
            Metadata::Missing => {
                let message = format!("Archive metadata block {id} is missing!");
                inspector.error(FindingKind::ArchiveMissing, place, message);
                inspector.remove_archive(name, "its metadata is missing");
                Ok(())
            }
            Metadata::Corrupted(error) => {
                let message = format!("Archive metadata block {id} is corrupted: {error}");
                inspector.error(FindingKind::ArchiveDamaged, place, message);
                inspector.remove_archive(name, "its metadata is corrupted");
                Ok(())
            }
            Metadata::NotAuthentic(error) => {
                let message =
                    format!("Archive TAM authentication issue for archive {name}: {error}");
                let kind = FindingKind::ArchiveNotAuthentic;
                inspector.error(kind, place, message);
                let consequence = if inspector.changes.is_repair() {
                    "This archive will be *removed* from the manifest! It will be deleted."
                } else {
                    "This archive would be *removed* / *deleted* when using --repair!"
                };
                inspector.log(Level::Error, consequence);
                inspector.remove_archive(name, "it is not authentic");
                Ok(())
            }
            Metadata::Odd(detail) => {
                let message = format!(
                    "Archive metadata block {id} cannot be understood, archive {name} is left as it is: {detail}"
                );
                inspector.error(FindingKind::ArchiveDamaged, place, message);
                inspector.objects.reference(&object);
                inspector.note_uncounted();
                Ok(())
            }
            Metadata::Failed(error) => Err(error),
            Metadata::Read { mut tree, salt } => {
                let items = self.check_items(name, tree.items())?;
                let inspector = &mut *self.inspector;
                for id in tree.replace_items(items) {
                    inspector.mark_superseded(&id);
                }
                inspector.list_again(archive, &tree, salt.as_deref())
            }
        }
    }
}

impl Inspector<'_> {
    /// Authenticates and decodes the plaintext of an archive object.
    fn understand(&self, packed: &[u8]) -> Metadata {
        let demand = TamDemand::of_key(&self.key);
        let salt = match tam::verify_archive(&self.key, packed, demand) {
            Ok(Authentication::Verified { salt }) => Some(salt),
            Ok(Authentication::Unauthenticated | Authentication::NotChecked) => None,
            Err(CryptoError::ArchiveTamInvalid)
                if self.look().client.workarounds.ignore_invalid_archive_tam =>
            {
                let message = "ignoring invalid archive TAM due to BORG_WORKAROUNDS";
                self.look()
                    .client
                    .log(Level::Debug, "borg.crypto.key", message);
                None
            }
            Err(error @ CryptoError::MalformedMetadata(_)) => {
                return Metadata::Odd(error.to_string());
            }
            Err(error) => return Metadata::NotAuthentic(error),
        };
        match ArchiveTree::decode(packed) {
            Ok(tree) => Metadata::Read { tree, salt },
            Err(error) => Metadata::Odd(error.to_string()),
        }
    }

    /// Stores the metadata of an archive and lists it as that.
    fn list_again(
        &mut self,
        archive: &ListedArchive,
        tree: &ArchiveTree,
        salt: Option<&[u8]>,
    ) -> Result<(), ArchiveError> {
        let name = &archive.name;
        if !self.key.has_secrets() && !self.changes.is_repair() {
            // Nothing can be signed, but nothing has to be to see what is there.
            self.objects.reference(&ChunkId::from(archive.id));
            return Ok(());
        }
        let fresh;
        let salt = if let Some(salt) = salt {
            salt
        } else {
            fresh = tam::random_salt()?;
            &fresh[..]
        };
        let packed = tam::sign(&self.key, TamContext::Archive, salt, |tam| tree.encode(tam))?;
        let id = self.store_archive(name, &packed)?;
        self.change(|changes, session| changes.replace_archive(session, name, id, archive.time));
        Ok(())
    }

    fn remove_archive(&mut self, name: &BytePath, why: &str) {
        self.change(|changes, session| changes.remove_archive(session, name, why));
    }
}
