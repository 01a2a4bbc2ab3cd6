//! What a repair changes: done, only told, or neither.

use ironborg_object::{Compression, Sealer};
use ironborg_types::{
    ArchiveId, BytePath, ChunkId, Event, Level, Place, RepairAction, RepairChange, Timestamp,
};

use super::{CheckMode, LOGGER};
use crate::{ArchiveError, Session};

/// Why an object is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// It cannot be read.
    Damaged,
    /// Nothing refers to it.
    Orphaned,
    /// Nothing refers to it since the repair.
    Superseded,
}

/// Does what a repair changes, or tells what it would.
pub(super) struct Changes {
    mode: CheckMode,
    sealer: Sealer,
}

impl Changes {
    pub(super) fn new(mode: CheckMode) -> Self {
        Self {
            mode,
            sealer: Sealer::new(Compression::default()),
        }
    }

    /// Whether anything is changed for good.
    pub(super) fn is_repair(&self) -> bool {
        self.mode == CheckMode::Repair
    }

    /// Tells a change, which the caller has made or is about to make; not if only looking.
    pub(super) fn tell(
        &self,
        session: &Session,
        action: RepairAction,
        place: Place,
        detail: impl Into<String>,
    ) {
        if self.mode == CheckMode::Look {
            return;
        }
        let change = RepairChange {
            action,
            place,
            detail: detail.into(),
        };
        session.client.reporter.report(Event::RepairChange(&change));
    }

    /// Stores an object that is not there yet. Gives its stored length; 0 if it is not stored.
    pub(super) fn store(
        &mut self,
        session: &mut Session,
        id: &ChunkId,
        plaintext: &[u8],
        purpose: &str,
    ) -> Result<u32, ArchiveError> {
        let place = Place {
            chunk: Some(*id),
            ..Place::default()
        };
        let detail = format!("store object {id} of {} bytes: {purpose}", plaintext.len());
        self.tell(session, RepairAction::StoreObject, place, detail);
        if !self.is_repair() {
            return Ok(0);
        }
        let mut object = Vec::new();
        let Session { key, nonces, .. } = &*session;
        self.sealer.seal(key, nonces, plaintext, &mut object)?;
        session.repository.put(id, &object)?;
        Ok(u32::try_from(object.len()).expect("the repository took it"))
    }

    /// Bytes of the object that some plaintext would be stored as.
    pub(super) fn sealed_len(
        &mut self,
        session: &Session,
        plaintext: &[u8],
    ) -> Result<usize, ArchiveError> {
        Ok(self.sealer.sealed_len(&session.key, plaintext)?)
    }

    /// Removes objects that are there.
    pub(super) fn delete(
        &mut self,
        session: &mut Session,
        ids: &[ChunkId],
        why: Removal,
    ) -> Result<(), ArchiveError> {
        let reason = match why {
            Removal::Damaged => "it is damaged",
            Removal::Orphaned => "no archive refers to it",
            Removal::Superseded => "no archive refers to it after the repair",
        };
        let told = if self.mode == CheckMode::Look {
            &[]
        } else {
            ids
        };
        for id in told {
            let place = Place {
                chunk: Some(*id),
                ..Place::default()
            };
            let detail = format!("delete object {id}: {reason}");
            self.tell(session, RepairAction::DeleteObject, place, detail);
        }
        if self.is_repair() {
            session.repository.delete_many(ids)?;
        }
        Ok(())
    }

    /// Lists an archive under its name with another id: its metadata was changed.
    pub(super) fn replace_archive(
        &mut self,
        session: &mut Session,
        name: &BytePath,
        id: ArchiveId,
        time: Timestamp,
    ) {
        let entry = session.manifest.archives.get_mut(&name[..]);
        let entry = entry.expect("the archive that was checked is listed");
        // Stock Borg always writes it with microseconds.
        entry.time = time.to_string();
        if entry.id == id {
            return;
        }
        let detail = format!("list archive {name} as {id} instead of {}", entry.id);
        entry.id = id;
        let place = archive_place(name);
        self.tell(session, RepairAction::ReplaceArchive, place, detail);
    }

    /// Takes an archive off the list.
    pub(super) fn remove_archive(&mut self, session: &mut Session, name: &BytePath, why: &str) {
        session.manifest.archives.remove(&name[..]);
        let detail = format!("remove archive {name} from the manifest: {why}");
        self.tell(
            session,
            RepairAction::RemoveArchive,
            archive_place(name),
            detail,
        );
    }

    /// Writes the manifest and commits.
    pub(super) fn commit(&mut self, session: &mut Session) -> Result<(), ArchiveError> {
        let detail = "write the manifest anew";
        self.tell(
            session,
            RepairAction::WriteManifest,
            Place::default(),
            detail,
        );
        if !self.is_repair() {
            return Ok(());
        }
        session.client.log(Level::Info, LOGGER, "Writing Manifest.");
        session.write_manifest(&mut self.sealer)?;
        session.client.log(Level::Info, LOGGER, "Committing repo.");
        Ok(session.repository.commit()?)
    }
}

/// A whole archive.
pub(super) fn archive_place(name: &BytePath) -> Place {
    Place {
        archive: Some(name.clone()),
        ..Place::default()
    }
}
