//! What looks at archives and their items works with: the session, which others read from at the same time, what is
//! stored, and where findings and changes go.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ironborg_crypto::Key;
use ironborg_types::{BytePath, ChunkId, FindingKind, Interrupt, Level, Place, RepairAction};

use super::changes::Changes;
use super::findings::Findings;
use super::objects::Objects;
use super::{LOGGER, Work, place_of};
use crate::items::{Fetched, ObjectSource};
use crate::{ArchiveError, Session};

/// The parts of a check in progress, the session being shared with threads that read ahead.
pub(super) struct Inspector<'w> {
    pub(super) session: &'w RwLock<&'w mut Session>,
    pub(super) key: Arc<Key>,
    pub(super) objects: &'w Objects,
    pub(super) findings: &'w mut Findings,
    pub(super) changes: &'w mut Changes,
    superseded: &'w mut HashSet<ChunkId>,
    uncounted: &'w mut bool,
    interrupt: &'static Interrupt,
    /// Objects a repair would have stored: they are counted, but cannot be read.
    unwritten: HashSet<ChunkId>,
    /// The keys items may have, sorted.
    pub(super) item_keys: Vec<Vec<u8>>,
}

impl<'w> Inspector<'w> {
    /// Calls `use_it` with the parts of `work`.
    pub(super) fn with<T>(work: &mut Work<'_>, use_it: impl FnOnce(Inspector<'_>) -> T) -> T {
        let Work {
            session,
            objects,
            findings,
            changes,
            superseded,
            uncounted,
            ..
        } = work;
        let known = session.manifest.known_item_keys();
        let item_keys = known.into_iter().map(<[u8]>::to_vec).collect();
        let key = Arc::clone(&session.key);
        let interrupt = session.client.interrupt;
        let shared = RwLock::new(session);
        use_it(Inspector {
            session: &shared,
            key,
            objects,
            findings,
            changes,
            superseded,
            uncounted,
            interrupt,
            unwritten: HashSet::new(),
            item_keys,
        })
    }

    /// The session, to be looked at.
    pub(super) fn look(&self) -> RwLockReadGuard<'w, &'w mut Session> {
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `change` with the session and what does changes. Nobody reads objects meanwhile.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Changes, &mut Session) -> T) -> T {
        let mut session = self.session.write().unwrap_or_else(PoisonError::into_inner);
        change(self.changes, &mut session)
    }

    /// Reads and verifies one object.
    pub(super) fn read(&self, id: &ChunkId) -> Result<Fetched, ArchiveError> {
        let source = ObjectSource {
            objects: self.session,
            key: &self.key,
        };
        let mut plaintext = Vec::new();
        let stored_size = source.reader().read(id, &mut plaintext)?;
        Ok(Fetched {
            plaintext,
            stored_size,
        })
    }

    /// Whether an object is there and can be read.
    pub(super) fn is_readable(&self, id: &ChunkId) -> bool {
        self.objects.contains(id) && !self.unwritten.contains(id)
    }

    /// Counts a reference to an object, and stores it if it is not there.
    pub(super) fn reference_or_store(
        &mut self,
        id: &ChunkId,
        plaintext: &[u8],
        purpose: &str,
    ) -> Result<(), ArchiveError> {
        if self.objects.reference(id) {
            return Ok(());
        }
        self.change(|changes, session| changes.store(session, id, plaintext, purpose))?;
        self.objects.add(id);
        if !self.changes.is_repair() {
            self.unwritten.insert(*id);
        }
        Ok(())
    }

    /// Notes an object that the repair may leave without any reference, if nothing has referred to it so far.
    pub(super) fn mark_superseded(&mut self, id: &ChunkId) {
        if self.objects.is_unreferenced(id) {
            self.superseded.insert(*id);
        }
    }

    /// Notes that something refers to objects and cannot be understood: which are orphans is not known any more.
    pub(super) fn note_uncounted(&mut self) {
        *self.uncounted = true;
    }

    /// Ends the check between two steps if the user wants that.
    pub(super) fn look_at_interrupt(&self) -> Result<(), ArchiveError> {
        if self.interrupt.stop_requested() {
            return Err(ArchiveError::Interrupted);
        }
        self.objects.fail()
    }

    /// Where an object of an archive is.
    pub(super) fn place(&self, archive: &BytePath, id: &ChunkId) -> Place {
        Place {
            archive: Some(archive.clone()),
            ..place_of(&self.look(), id)
        }
    }

    /// A problem.
    pub(super) fn error(&mut self, kind: FindingKind, place: Place, message: impl Into<String>) {
        self.findings.error(kind, place, message);
    }

    /// Tells a change that is part of another one.
    pub(super) fn tell(&self, action: RepairAction, place: Place, detail: impl Into<String>) {
        self.changes.tell(&self.look(), action, place, detail);
    }

    pub(super) fn log(&self, level: Level, message: impl Into<String>) {
        self.look().client.log(level, LOGGER, message);
    }
}
