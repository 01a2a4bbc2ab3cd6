//! One repository of a mount: its archives, which come and go, and their indexes, which are opened when they are looked at.

mod figures;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ironborg_archive::selection::{self, ListedArchive};
use ironborg_archive::{Archive, Session};
use ironborg_source::PatternMatcher;
use ironborg_types::{ArchiveId, BytePath, ErrorKind, MemoryLimit};

use super::archive::{Connection, OpenArchive};
use super::attributes::Look;
use super::inode::Slot;
use crate::MountError;
use crate::content::{Budget, ContentStore};
use crate::follow::Follower;
use crate::index::{PathIndex, Shape};
use crate::node::NAME_LEN_MAX;
use crate::options::ViewOptions;

/// What could not be opened is not tried again for so long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// Indexes that are open at a time; the one opened first is closed for the next: opening it again is cheap.
const OPEN_MAX: usize = 16;
/// How often it is tried to close an index that somebody is looking at: that is over in no time.
const CLOSE_ATTEMPTS: usize = 10;

/// How repositories are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Threads that fetch and decode.
    pub threads: usize,
    /// Memory for chunks.
    pub budget: Budget,
}

/// What the index of an archive takes while it is made.
const INDEX_IN_THE_MAKING_LEN: u64 = 20_000_000;
/// What a thread has in hand: a long chunk and its object.
const THREAD_LEN: u64 = 10_000_000;
/// Chunks that are kept may take one part in so many of what memory there may be.
const BUDGET_SHARE: u64 = 4;

impl Reading {
    /// The same within so much memory, of which the rest of the program takes `taken`.
    ///
    /// # Errors
    /// How much would be needed at least.
    pub fn within(self, memory: MemoryLimit, taken: u64) -> Result<Self, u64> {
        let budget = self.budget.within(memory.share(BUDGET_SHARE, u64::MAX));
        let fixed = taken
            .saturating_add(INDEX_IN_THE_MAKING_LEN)
            .saturating_add(budget.get());
        let threads = memory.threads(fixed, THREAD_LEN, self.threads)?;
        Ok(Self { threads, budget })
    }
}

/// Opens a repository of its own accord, when somebody enters its directory.
pub type OpenRepository = Box<dyn Fn() -> Result<Arc<Follower>, MountError> + Send + Sync>;

/// What a volume shows.
pub(super) enum Shows {
    /// One archive.
    Archive(Box<Archive>),
    /// All archives as one tree.
    Versions,
    /// A directory for each archive.
    Archives,
}

/// How a volume shows it.
pub(super) struct How {
    pub(super) view: ViewOptions,
    /// In nanoseconds since 1970.
    pub(super) mounted_at: i64,
    pub(super) reading: Reading,
}

/// A repository.
pub(super) struct Volume {
    shows: Shows,
    view: ViewOptions,
    shape: Shape,
    look: Look,
    reading: Reading,
    /// How to open it again once it was closed; `None`: it never is.
    opens: Option<OpenRepository>,
    link: Mutex<Link>,
    archives: Mutex<Archives>,
}

/// The connection to a repository, or why there is none.
struct Link {
    connection: Option<Arc<Connection>>,
    failed: Failure,
    used: Instant,
    /// Whether memory was given back since it was used.
    rests: bool,
}

/// The archives that were ever seen.
#[derive(Default)]
struct Archives {
    slots: Vec<Arc<ShownArchive>>,
    by_identity: HashMap<(BytePath, ArchiveId), Slot>,
    /// What was listed last, and of which session.
    listed: Option<(Arc<Session>, Arc<Listing>)>,
    /// Those that are open; the one opened last is at the end.
    open: VecDeque<Slot>,
}

/// The archives that are shown, in order.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) archives: Vec<Arc<ShownArchive>>,
    by_name: HashMap<BytePath, usize>,
}

impl Listing {
    pub(super) fn find(&self, name: &[u8]) -> Option<&Arc<ShownArchive>> {
        // Bytes are looked up as what they are kept as.
        let at = self.by_name.get(&BytePath::new(name))?;
        self.archives.get(*at)
    }
}

/// An archive and, while it is looked at, its index.
pub(super) struct ShownArchive {
    pub(super) slot: Slot,
    pub(super) listed: ListedArchive,
    gone: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Arc<OpenArchive>>,
    failed: Failure,
}

/// An error that is still fresh: it would be the same again.
#[derive(Default)]
struct Failure(Option<(Instant, bool, String)>);

impl Failure {
    /// The error, if it is not time to try again.
    fn fresh(&self) -> Result<(), MountError> {
        match &self.0 {
            Some((when, is_refusal, message)) if when.elapsed() < TRY_AGAIN_AFTER => {
                let message = message.clone();
                Err(if *is_refusal {
                    MountError::Refused { message }
                } else {
                    MountError::Unreachable { message }
                })
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, error: &MountError) {
        // What was remembered of a first error is not news, nor any newer.
        if !matches!(
            error,
            MountError::Unreachable { .. } | MountError::Refused { .. }
        ) || self.0.is_none()
        {
            self.0 = Some((Instant::now(), is_refusal(error), error.to_string()));
        }
    }
}

/// Whether it is about who asks, rather than about what is there.
pub(crate) fn is_refusal(error: &MountError) -> bool {
    let kind = match error {
        MountError::Refused { .. } => return true,
        MountError::Archive(error) => error.kind(),
        MountError::Repository(error) => error.kind(),
        _ => return false,
    };
    matches!(
        kind,
        ErrorKind::PassphraseWrong
            | ErrorKind::NoPassphraseFailure
            | ErrorKind::PasscommandFailure
            | ErrorKind::PasswordRetriesExceeded
            | ErrorKind::RepoKeyNotFoundError
            | ErrorKind::KeyfileNotFoundError
            | ErrorKind::RepositoryPathPermissionDenied
            | ErrorKind::PathNotAllowed
            | ErrorKind::CacheRepositoryAccessAborted
    )
}

impl Volume {
    /// A repository that is open, and stays so.
    ///
    /// # Errors
    /// A path to show is none.
    pub(super) fn open(
        shows: Shows,
        follower: Arc<Follower>,
        how: How,
    ) -> Result<Self, MountError> {
        let volume = Self::closed(shows, None, how)?;
        let connection = volume.connect(follower);
        volume.link().connection = Some(connection);
        Ok(volume)
    }

    /// A repository that is opened when it is entered.
    ///
    /// # Errors
    /// As above.
    pub(super) fn closed(
        shows: Shows,
        opens: Option<OpenRepository>,
        how: How,
    ) -> Result<Self, MountError> {
        let How {
            view,
            mounted_at,
            reading,
        } = how;
        let mut archives = Archives::default();
        match &shows {
            Shows::Archive(archive) => archives.add_only(archive.name.clone(), archive.id),
            Shows::Versions => archives.add_only(BytePath::default(), ArchiveId([0; 32])),
            Shows::Archives => {}
        }
        let matcher = PatternMatcher::with_include_paths(view.rules.clone(), &view.paths)?;
        Ok(Self {
            shows,
            look: Look::new(&view, mounted_at),
            shape: Shape::new(matcher, view.strip_components, view.parts),
            view,
            reading,
            opens,
            link: Mutex::new(Link {
                connection: None,
                failed: Failure::default(),
                used: Instant::now(),
                rests: true,
            }),
            archives: Mutex::new(archives),
        })
    }

    /// How attributes are made.
    pub(super) fn look(&self) -> &Look {
        &self.look
    }

    pub(super) fn view(&self) -> &ViewOptions {
        &self.view
    }

    /// Whether what it shows stays as it is.
    pub(super) fn is_fixed(&self) -> bool {
        !matches!(self.shows, Shows::Archives)
    }

    /// The archives as of now.
    ///
    /// # Errors
    /// The repository was never opened, and cannot be.
    pub(super) fn listing(&self) -> Result<Arc<Listing>, MountError> {
        let connection = self.connection()?;
        let session = match connection.follower.newest() {
            Ok(session) => session,
            // What is known is better than nothing.
            Err(error) => match &self.archives().listed {
                Some((_, listing)) => return Ok(Arc::clone(listing)),
                None => return Err(error),
            },
        };
        let mut archives = self.archives();
        if let Some((listed_of, listing)) = &archives.listed
            && Arc::ptr_eq(listed_of, &session)
        {
            return Ok(Arc::clone(listing));
        }
        let selected = selection::select(&session.manifest, &self.view.selection)?;
        let listing = Arc::new(archives.list(selected));
        archives.mark_gone(&session);
        archives.listed = Some((session, Arc::clone(&listing)));
        Ok(listing)
    }

    /// The archive of a number, with its index open.
    ///
    /// # Errors
    /// It is gone; it cannot be read.
    pub(super) fn archive(&self, slot: Slot) -> Result<Arc<OpenArchive>, MountError> {
        let shown = self.shown(slot)?;
        let mut state = shown.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &state.open {
            let open = Arc::clone(open);
            drop(state);
            self.link().touch();
            return Ok(open);
        }
        state.failed.fresh()?;
        match self.open_archive(&shown) {
            Ok(open) => {
                let open = Arc::new(open);
                state.open = Some(Arc::clone(&open));
                state.failed = Failure::default();
                drop(state);
                self.opened(slot);
                Ok(open)
            }
            Err(error) => {
                state.failed.note(&error);
                Err(error)
            }
        }
    }

    /// An archive that was seen; its index need not be open.
    pub(super) fn shown(&self, slot: Slot) -> Result<Arc<ShownArchive>, MountError> {
        let archives = self.archives();
        let shown = archives.slots.get(slot.index()).ok_or(MountError::Stale)?;
        if shown.gone.load(Ordering::Relaxed) {
            return Err(MountError::Stale);
        }
        Ok(Arc::clone(shown))
    }

    /// Whether it is open, and was used since memory was given back.
    pub(super) fn is_in_use(&self) -> bool {
        let link = self.link();
        link.connection.is_some() && !link.rests
    }

    /// Gives memory back if nobody has read for `after`; closes the repository if it can be opened again.
    pub(super) fn rest_if_idle(&self, after: Duration) {
        let mut link = self.link();
        if link.rests || link.used.elapsed() < after {
            return;
        }
        link.rests = true;
        if self.opens.is_none() {
            let connection = link.connection.clone();
            drop(link);
            if let Some(connection) = connection {
                connection.content.rest();
                connection.follower.rest();
            }
            return;
        }
        // Whoever still has something of it in hand, holds it a moment longer.
        link.connection = None;
        drop(link);
        let mut archives = self.archives();
        archives.listed = None;
        let open = std::mem::take(&mut archives.open);
        let closed: Vec<_> = open
            .iter()
            .filter_map(|slot| archives.slots.get(slot.index()).cloned())
            .collect();
        drop(archives);
        for shown in closed {
            shown.close();
        }
    }

    fn open_archive(&self, shown: &ShownArchive) -> Result<OpenArchive, MountError> {
        let connection = self.connection()?;
        let follower = &connection.follower;
        let (archive, index) = match &self.shows {
            Shows::Versions => {
                let archives = follower.following(|session| {
                    let selected = selection::select(&session.manifest, &self.view.selection)?;
                    let load = |listed: &ListedArchive| Ok(session.load_archive(&listed.name)?);
                    selected
                        .iter()
                        .map(load)
                        .collect::<Result<Vec<_>, MountError>>()
                })?;
                (
                    None,
                    PathIndex::build_versions(follower, &archives, &self.shape)?,
                )
            }
            Shows::Archive(archive) => {
                let index = PathIndex::open_or_build(follower, archive, &self.shape)?;
                (Some(Archive::clone(archive)), index)
            }
            Shows::Archives => {
                let listed = &shown.listed;
                let archive = follower.following(|session| {
                    let entry = session.manifest.archives.get(&*listed.name);
                    let entry = entry.filter(|entry| entry.id == listed.id);
                    let gone = || MountError::ArchiveGone {
                        name: listed.name.clone(),
                    };
                    Ok(session.load_archive_entry(&listed.name, entry.ok_or_else(gone)?)?)
                })?;
                let index = PathIndex::open_or_build(follower, &archive, &self.shape)?;
                (Some(archive), index)
            }
        };
        Ok(OpenArchive::new(connection, archive, index, &self.look))
    }

    /// Notes that an index was opened, and closes the one that was opened first if there are too many.
    fn opened(&self, slot: Slot) {
        let mut archives = self.archives();
        archives.open.retain(|open| *open != slot);
        archives.open.push_back(slot);
        let closed = (archives.open.len() > OPEN_MAX)
            .then(|| archives.open.pop_front())
            .flatten()
            .and_then(|slot| archives.slots.get(slot.index()).cloned());
        drop(archives);
        if let Some(shown) = closed {
            shown.close();
        }
    }

    /// The connection; the repository is opened if it is not.
    fn connection(&self) -> Result<Arc<Connection>, MountError> {
        let mut link = self.link();
        link.touch();
        if let Some(connection) = &link.connection {
            return Ok(Arc::clone(connection));
        }
        link.failed.fresh()?;
        let opens = self
            .opens
            .as_ref()
            .expect("what cannot be opened again is never closed");
        // The others wait for it: they need the same.
        match opens() {
            Ok(follower) => {
                let connection = self.connect(follower);
                link.connection = Some(Arc::clone(&connection));
                link.failed = Failure::default();
                link.touch();
                Ok(connection)
            }
            Err(error) => {
                link.failed.note(&error);
                Err(error)
            }
        }
    }

    fn connect(&self, follower: Arc<Follower>) -> Arc<Connection> {
        let source = Arc::clone(&follower);
        Arc::new(Connection {
            content: ContentStore::new(source, self.reading.threads, self.reading.budget),
            follower,
        })
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn archives(&self) -> MutexGuard<'_, Archives> {
        self.archives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn touch(&mut self) {
        self.used = Instant::now();
        self.rests = false;
    }
}

impl ShownArchive {
    fn new(slot: Slot, listed: ListedArchive) -> Self {
        Self {
            slot,
            listed,
            gone: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Forgets the index, unless it is being built just now: that takes long, and nobody may wait for it here.
    fn close(&self) {
        for _ in 0..CLOSE_ATTEMPTS {
            if let Ok(mut state) = self.state.try_lock() {
                state.open = None;
                return;
            }
            std::thread::yield_now();
        }
    }
}

impl Archives {
    /// The one thing a volume shows that is no list of archives.
    fn add_only(&mut self, name: BytePath, id: ArchiveId) {
        let slot = Slot::new(0).expect("it is the first");
        let time = ironborg_types::Timestamp::now();
        let listed = ListedArchive { name, id, time };
        self.slots.push(Arc::new(ShownArchive::new(slot, listed)));
    }

    /// Gives numbers to archives that were not seen before.
    fn list(&mut self, selected: Vec<ListedArchive>) -> Listing {
        let mut listing = Listing::default();
        for listed in selected
            .into_iter()
            .filter(|listed| can_be_shown(&listed.name))
        {
            let Some(shown) = self.show(listed) else {
                continue; // There were a million archives before it.
            };
            let at = listing.archives.len();
            listing.by_name.insert(shown.listed.name.clone(), at);
            listing.archives.push(shown);
        }
        listing
    }

    fn show(&mut self, listed: ListedArchive) -> Option<Arc<ShownArchive>> {
        let identity = (listed.name.clone(), listed.id);
        if let Some(slot) = self.by_identity.get(&identity) {
            return self.slots.get(slot.index()).cloned();
        }
        let slot = Slot::new(self.slots.len())?;
        let shown = Arc::new(ShownArchive::new(slot, listed));
        self.by_identity.insert(identity, slot);
        self.slots.push(Arc::clone(&shown));
        Some(shown)
    }

    /// Notes which archives are not in the repository any more, or are there again.
    fn mark_gone(&self, session: &Session) {
        let there: HashSet<(&[u8], ArchiveId)> = session
            .manifest
            .archives
            .iter()
            .map(|(name, entry)| (name.as_slice(), entry.id))
            .collect();
        for shown in &self.slots {
            let identity = (&*shown.listed.name, shown.listed.id);
            let gone = !there.contains(&identity);
            shown.gone.store(gone, Ordering::Relaxed);
            if gone {
                shown.close();
            }
        }
    }
}

/// Whether an archive's name can be that of a directory.
fn can_be_shown(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= NAME_LEN_MAX
        && !name.contains(&b'/')
        && !name.contains(&0)
}
