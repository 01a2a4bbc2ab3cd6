//! Checking a repository and its archives, and repairing them.
//!
//! The repository's part (segments, index) is the repository's own; here it is followed by the archives': every
//! object an archive needs is there, metadata decodes and is authentic, nothing is stored in vain; and, if asked for,
//! every object opens. A repair puts zeros in the place of lost content, leaves out metadata that is lost, and
//! remembers what was lost so that it can be healed when it is stored again. Nothing is freed before it is
//! committed: what a repair replaces is there until then.
//!
//! Memory: a bit for each object, in a repair 44 bytes, the findings of one archive, the chunks in flight. Where there may not
//! be as much, what is large is in temporary files, and the same is found and done. Source: Borg 1.4, `ArchiveChecker`.

mod archives;
mod changes;
mod chunk_list;
mod content;
mod findings;
mod inspector;
mod item;
mod items;
mod key;
mod manifest;
mod objects;
mod orphans;
mod read;
mod rewrite;
mod stream;
mod sweep;
mod verify;
mod walk;
mod witness;

use std::collections::HashSet;

use ironborg_cache::directory_name;
pub use ironborg_repository::CheckMode;
use ironborg_repository::{CheckOptions as RepositoryCheck, Repository};
use ironborg_storage::ScratchSpace;
use ironborg_types::{BytePath, ChunkId, FindingKind, Level, Place};

use crate::keys::OpenedKey;
use crate::memory::{CheckTables, OPENING_THREAD_LEN, READING_THREAD_LEN};
use crate::selection::ArchiveSelection;
use crate::{ArchiveError, Client, Session};
use changes::Changes;
use findings::Findings;
use objects::Objects;
use witness::{EarlyVerifier, Seen};

/// Logger of what is found in archives.
const LOGGER: &str = "borg.archive";

/// What is checked, and how.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Segments and index.
    pub repository: bool,
    /// Archives.
    pub archives: bool,
    /// Also open every object.
    pub verify_data: bool,
    /// Whether what is found is mended.
    pub mode: CheckMode,
    /// For servers that make use of it.
    pub save_space: bool,
    /// Seconds after which the check of segments stops; 0 for never.
    pub max_duration_s: i64,
    /// Only this archive.
    pub archive: Option<BytePath>,
    /// Only these archives, and in which order; without effect if one is named.
    pub selection: ArchiveSelection,
    /// The glob of the selection as it was typed, for messages.
    pub glob: Option<BytePath>,
}

impl CheckOptions {
    /// Whether every archive is looked at, so that what nothing refers to can be known. To say so of a choice would
    /// make orphans of all that the other archives need, so every way to choose is named here.
    fn all_archives(&self) -> bool {
        let ArchiveSelection {
            glob,
            without_checkpoints,
            ages,
            sort_by: _,
            first,
            last,
        } = &self.selection;
        let chosen = glob.is_some() || ages.is_bounded() || *first != 0 || *last != 0;
        self.archive.is_none() && !chosen && !without_checkpoints
    }

    /// Whether objects can be opened while the segments are checked. A repair opens what it has left.
    fn verifies_early(&self) -> bool {
        self.verify_data && self.archives && self.mode == CheckMode::Look
    }
}

/// Checks a repository, its archives, or both. What is found goes to the client's reporter. Says whether all is well,
/// or was made so.
///
/// # Errors
/// Damage is none, unless it leaves nothing to work with: no key, a manifest that is authentic and asks for
/// features that are not there, a repository that does not answer. After an error nothing of what was to be mended in
/// archives is committed.
pub fn check(
    client: Client,
    mut repository: Box<dyn Repository>,
    options: &CheckOptions,
) -> Result<bool, ArchiveError> {
    let (client, space) = within_memory(client, repository.as_mut(), options)?;
    let mut sound = true;
    let mut verified = None;
    if options.repository {
        let early = options
            .verifies_early()
            .then(|| EarlyVerifier::new(client.clone()));
        let how = RepositoryCheck {
            mode: options.mode,
            save_space: options.save_space,
            max_duration_s: options.max_duration_s,
            threads: client.threads,
            interrupt: Some(client.interrupt),
        };
        sound = match &early {
            Some(early) => repository.check_showing(&how, early)?,
            None => repository.check(&how)?,
        };
        // What a repair would do next is a part of its plan.
        if !sound && options.mode != CheckMode::Plan {
            return Ok(false);
        }
        verified = early.and_then(EarlyVerifier::finish);
    }
    if !options.archives {
        return Ok(sound);
    }
    let space = space.as_ref();
    Ok(check_archives(client, repository, options, (verified, space))? && sound)
}

/// With fewer threads, and with tables outside of memory, if there may not be as much memory as they would take. Where
/// there is room for tables that do not fit, if there are any.
fn within_memory(
    client: Client,
    repository: &mut dyn Repository,
    options: &CheckOptions,
) -> Result<(Client, Option<ScratchSpace>), ArchiveError> {
    let Some(limit) = client.memory.get() else {
        return Ok((client, None));
    };
    let directory = directory_name(&repository.id());
    let directory = client.directories.cache.join(directory);
    let space = |memory_len| ScratchSpace {
        directory: directory.clone(),
        memory_len,
    };
    // Until it is known how many objects there are.
    repository.keep_index_within(Some(space(limit / 8)));
    let objects = repository.len()? as u64;
    let tables = CheckTables {
        objects,
        // Elsewhere the other end has the indexes.
        index: options.repository && repository.is_local(),
        archives: options.archives,
        // Else there is a bit for each of them.
        all_objects: options.mode == CheckMode::Repair || !repository.is_local(),
        thread_len: if options.archives && options.verify_data {
            OPENING_THREAD_LEN
        } else {
            READING_THREAD_LEN
        },
    };
    let shares = tables.within(&client)?;
    let threads = shares.threads;
    repository.keep_index_within(shares.index_len.map(space));
    Ok((Client { threads, ..client }, shares.objects_len.map(space)))
}

/// A check in progress: what all its steps work on.
struct Work<'o> {
    options: &'o CheckOptions,
    /// Where there is room for what would take too much memory, if there may not be as much as that.
    space: Option<&'o ScratchSpace>,
    /// The manifest is empty until it was loaded or rebuilt.
    session: Session,
    /// What is stored, and how often it is referred to.
    objects: Objects,
    findings: Findings,
    changes: Changes,
    /// Objects nothing may refer to any more because of what the repair itself has changed: not orphans.
    superseded: HashSet<ChunkId>,
    /// Whether something refers to objects that cannot be understood, so that nobody knows what is an orphan.
    uncounted: bool,
}

impl Work<'_> {
    /// Where an object is, as far as the repository can tell.
    fn place_of(&self, id: &ChunkId) -> Place {
        place_of(&self.session, id)
    }

    /// Ends the check between two steps if the user wants that.
    fn look_at_interrupt(&self) -> Result<(), ArchiveError> {
        if self.session.client.interrupt.stop_requested() {
            return Err(ArchiveError::Interrupted);
        }
        self.objects.fail()
    }
}

/// Where an object is, as far as the repository can tell.
fn place_of(session: &Session, id: &ChunkId) -> Place {
    let at = session.repository.place(id);
    Place {
        chunk: Some(*id),
        segment: at.map(|(segment, _)| segment),
        offset: at.map(|(_, offset)| offset),
        ..Place::default()
    }
}

fn check_archives<'o>(
    client: Client,
    repository: Box<dyn Repository>,
    options: &'o CheckOptions,
    (verified, space): (Option<(OpenedKey, Seen)>, Option<&'o ScratchSpace>),
) -> Result<bool, ArchiveError> {
    client.log(Level::Info, LOGGER, "Starting archive consistency check...");
    let mut findings = Findings::new(&client);
    let objects = Objects::of(repository.as_ref(), options.mode, space)?;
    if objects.is_empty() {
        findings.error(
            FindingKind::NoData,
            Place::default(),
            "Repository contains no apparent data at all, cannot continue check/repair.",
        );
        return Ok(false);
    }
    let changes = Changes::new(options.mode);
    let (opened, seen) = verified.unzip();
    let session = key::open(client, repository, options.mode, opened)?;
    let mut work = Work {
        options,
        space,
        session,
        objects,
        findings,
        changes,
        superseded: HashSet::new(),
        uncounted: false,
    };
    if options.verify_data {
        verify::verify_data(&mut work, seen)?;
    }
    manifest::load_or_rebuild(&mut work)?;
    archives::check_all(&mut work)?;
    orphans::check(&mut work)?;
    work.finish()
}

impl Work<'_> {
    /// Commits what was mended, and says how it went.
    fn finish(mut self) -> Result<bool, ArchiveError> {
        self.objects.fail()?;
        self.changes.commit(&mut self.session)?;
        let client = &self.session.client;
        let (level, end) = if self.findings.any() {
            (Level::Error, "problems found.")
        } else {
            (Level::Info, "no problems found.")
        };
        client.log(
            level,
            LOGGER,
            format!("Archive consistency check complete, {end}"),
        );
        Ok(self.options.mode == CheckMode::Repair || !self.findings.any())
    }
}
