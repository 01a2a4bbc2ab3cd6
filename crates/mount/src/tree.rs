//! What is shown: an archive, a repository with its archives as directories, all archives as one tree of versions, or
//! several repositories.
//!
//! ```text
//! Tree ──► Volume         a repository: which archives there are, opened and closed
//!            └ OpenArchive   an archive: nodes, attributes, content
//! ```
//!
//! Nothing grows with the number of files the kernel has seen: inode numbers are computed ([`inode`]). Every call may
//! come from any thread.

mod archive;
pub mod attributes;
mod deliver;
pub mod figures;
mod files;
pub mod inode;
mod log;
mod siblings;
mod volume;

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ironborg_archive::Archive;
use ironborg_types::{BytePath, Reporter, Timestamp};

use self::archive::OpenArchive;
use self::attributes::{Attributes, Lasts, Look};
use self::deliver::{Deliveries, Delivery};
use self::inode::{Inode, Place, Slot, VolumeId};
use self::volume::{How, Listing, Shows, Volume};
use crate::MountError;
use crate::content::Slices;
use crate::follow::Follower;
use crate::node::NodeId;
use crate::options::ViewOptions;

pub use deliver::Pages;
pub(crate) use volume::is_refusal;
pub use volume::{OpenRepository, Reading};

/// How often it is looked whether something is idle.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// `.` and `..`
const DOTS: u64 = 2;

/// What is mounted.
pub enum Root {
    /// One archive.
    Archive(Arc<Follower>, Box<Archive>),
    /// A repository: each archive is a directory.
    Repository(Arc<Follower>),
    /// A repository: all archives are one tree, each file a directory of its versions.
    Versions(Arc<Follower>),
    /// Repositories by name, each opened when it is entered.
    Repositories(Vec<NamedRepository>),
}

/// A repository that is a directory of the root.
pub struct NamedRepository {
    /// Name of the directory.
    pub name: BytePath,
    /// What is shown of it.
    pub view: ViewOptions,
    /// Opens it.
    pub open: OpenRepository,
}

/// An entry of a directory.
pub struct Entry<'a> {
    /// Number of entries up to and including this one: where to go on behind it.
    pub next: u64,
    /// Its name.
    pub name: &'a [u8],
    /// What it is.
    pub attributes: Attributes,
}

/// An open directory: 0, unless its entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirectoryHandle(pub u64);

/// The mounted tree.
pub struct Tree {
    content: Content,
    reporter: Arc<dyn Reporter>,
    /// Attributes of the root, if it is not an archive's.
    look: Look,
    handles: Mutex<HashMap<u64, Arc<Listing>>>,
    next_handle: AtomicU64,
    /// Content on its way to the kernel.
    deliveries: Deliveries,
    /// Lines told a moment ago.
    told: Mutex<VecDeque<(String, Instant)>>,
    /// Ends the thread that looks for what is idle, by being dropped.
    caretaker: Mutex<Option<SyncSender<()>>>,
}

enum Content {
    One(Arc<Volume>),
    Named(Vec<(BytePath, Arc<Volume>)>),
}

/// What an inode number leads to.
enum Target {
    Names,
    Archives(VolumeId, Arc<Volume>),
    Node(VolumeId, Slot, Arc<Volume>, NodeId),
}

/// What comes of reading an index before anybody has asked.
#[derive(Debug)]
pub struct FirstLook(Receiver<MountError>);

impl FirstLook {
    /// What is wrong with what is mounted, if that turns out before `wait` is over; returns as soon as it is known.
    pub fn error_within(&self, wait: Duration) -> Option<MountError> {
        self.0.recv_timeout(wait).ok()
    }
}

impl Tree {
    /// Shows `root`; `view` says how, except for named repositories, which have views of their own.
    ///
    /// # Errors
    /// [`MountError::Pattern`]: a path to show is none.
    pub fn new(
        root: Root,
        view: &ViewOptions,
        reading: Reading,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, MountError> {
        let mounted_at = Timestamp::now().0.saturating_mul(1000);
        let how = |view: ViewOptions| How {
            view,
            mounted_at,
            reading,
        };
        let one = |shows, follower| {
            let volume = Volume::open(shows, follower, how(view.clone()))?;
            Ok::<_, MountError>(Content::One(Arc::new(volume)))
        };
        let content = match root {
            Root::Archive(follower, archive) => one(Shows::Archive(archive), follower)?,
            Root::Versions(follower) => one(Shows::Versions, follower)?,
            Root::Repository(follower) => one(Shows::Archives, follower)?,
            Root::Repositories(named) => {
                let volumes = named.into_iter().take(VolumeId::COUNT_MAX).map(|named| {
                    let NamedRepository { name, view, open } = named;
                    let volume = Volume::closed(Shows::Archives, Some(open), how(view))?;
                    Ok((name, Arc::new(volume)))
                });
                Content::Named(volumes.collect::<Result<_, MountError>>()?)
            }
        };
        Ok(Self {
            content,
            reporter,
            look: Look::new(view, mounted_at),
            handles: Mutex::default(),
            next_handle: AtomicU64::new(1),
            deliveries: Deliveries::default(),
            told: Mutex::default(),
            caretaker: Mutex::new(None),
        })
    }

    /// Whether everything in it stays as it is: directories may be remembered for as long as it is mounted.
    pub fn is_fixed(&self) -> bool {
        match &self.content {
            Content::One(volume) => volume.is_fixed(),
            Content::Named(_) => false,
        }
    }

    /// Whether what is in this directory stays as it is.
    pub fn is_lasting(&self, directory: Inode) -> bool {
        self.is_fixed() || matches!(directory.place(), Some(Place::Node(..)))
    }

    /// Begins to read the index of what cannot be anything else than read first, before anybody asks.
    pub fn warm_up(self: &Arc<Self>) -> FirstLook {
        let (tell, told) = sync_channel(1);
        if let Content::One(volume) = &self.content
            && volume.is_fixed()
        {
            let volume = Arc::clone(volume);
            let first = Slot::new(0).expect("there is always a first");
            // Without the thread the first who looks waits.
            let _ = std::thread::Builder::new()
                .name("mount-index".to_owned())
                .spawn(move || {
                    if let Err(error) = volume.archive(first) {
                        // Whoever does not listen any more hears of it when somebody looks.
                        let _ = tell.try_send(error);
                    }
                });
        }
        FirstLook(told)
    }

    /// Gives memory and connections back of what nobody has used for `idle`. Named repositories are closed.
    pub fn rest_when_idle(self: &Arc<Self>, idle: Duration) {
        let (tell, told) = sync_channel::<()>(0);
        let tree: Weak<Self> = Arc::downgrade(self);
        let every = LOOK_EVERY.min(idle / 2).max(Duration::from_millis(10));
        // Without the thread memory is kept.
        let spawned = std::thread::Builder::new()
            .name("mount-idle".to_owned())
            .spawn(move || {
                while told.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    let Some(tree) = tree.upgrade() else {
                        return;
                    };
                    tree.each_volume(|volume| volume.rest_if_idle(idle));
                }
            });
        if spawned.is_ok() {
            *lock(&self.caretaker) = Some(tell);
        }
    }

    /// Whether anything is open that could be given back when nobody uses it.
    pub fn is_in_use(&self) -> bool {
        let mut is_in_use = false;
        self.each_volume(|volume| is_in_use |= volume.is_in_use());
        is_in_use
    }

    /// The entry of a directory by name.
    ///
    /// # Errors
    /// [`MountError::NoEntry`] if there is none; whatever stands in the way of looking.
    pub fn lookup(&self, directory: Inode, name: &[u8]) -> Result<Attributes, MountError> {
        match name {
            b"." => return self.attributes(directory),
            b".." => return self.attributes(self.parent(directory)?),
            _ => {}
        }
        match self.target(directory)? {
            Target::Names => {
                let Content::Named(volumes) = &self.content else {
                    return Err(MountError::Stale);
                };
                let found = volumes.iter().position(|(known, _)| **known == *name);
                Ok(self.volume_attributes(found.ok_or(MountError::NoEntry)?))
            }
            Target::Archives(id, volume) => {
                let listing = volume.listing()?;
                let shown = listing.find(name).ok_or(MountError::NoEntry)?;
                Ok(archive_attributes(id, &volume, shown))
            }
            Target::Node(id, slot, volume, node) => {
                let archive = volume.archive(slot)?;
                let found = archive.find(node, name)?;
                archive.attributes(volume.look(), self.number(id, slot, found), found)
            }
        }
    }

    /// Attributes of an inode.
    ///
    /// # Errors
    /// [`MountError::Stale`] if it is not there any more.
    pub fn attributes(&self, inode: Inode) -> Result<Attributes, MountError> {
        match self.target(inode)? {
            Target::Names => Ok(self.look.directory(Inode::ROOT, None, Lasts::Briefly)),
            Target::Archives(id, volume) => match &self.content {
                Content::One(_) => Ok(self.look.directory(Inode::ROOT, None, Lasts::Briefly)),
                Content::Named(_) => {
                    drop(volume);
                    Ok(self.volume_attributes(id.index()))
                }
            },
            Target::Node(id, slot, volume, node) => {
                if node == NodeId::ROOT {
                    if !volume.is_fixed() {
                        return Ok(archive_attributes(id, &volume, &*volume.shown(slot)?));
                    }
                    // Nothing need be open to say this much.
                    return Ok(volume.look().directory(inode, None, Lasts::Forever));
                }
                let archive = volume.archive(slot)?;
                archive.attributes(volume.look(), inode, node)
            }
        }
    }

    /// Opens a directory: what may change is then listed as it is now.
    ///
    /// # Errors
    /// It cannot be looked into.
    pub fn open_directory(&self, inode: Inode) -> Result<DirectoryHandle, MountError> {
        match self.target(inode)? {
            Target::Names => Ok(DirectoryHandle(0)),
            Target::Archives(_, volume) => {
                let listing = volume.listing()?;
                let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
                lock(&self.handles).insert(handle, listing);
                Ok(DirectoryHandle(handle))
            }
            Target::Node(_, slot, volume, _) => {
                volume.archive(slot)?;
                Ok(DirectoryHandle(0))
            }
        }
    }

    /// Forgets what was kept of an open directory.
    pub fn close_directory(&self, handle: DirectoryHandle) {
        if handle.0 != 0 {
            lock(&self.handles).remove(&handle.0);
        }
    }

    /// Goes through the entries of a directory behind the first `from`, about `room` of them, until `each` has enough.
    ///
    /// # Errors
    /// It cannot be looked into.
    pub fn list(
        &self,
        inode: Inode,
        handle: DirectoryHandle,
        from: u64,
        room: usize,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), MountError> {
        let mut next = from;
        let mut tell = |name: &[u8], attributes: Attributes| {
            next += 1;
            each(Entry {
                next,
                name,
                attributes,
            })
        };
        if from == 0 && tell(b".", self.attributes(inode)?).is_break() {
            return Ok(());
        }
        if from <= 1 && tell(b"..", self.attributes(self.parent(inode)?)?).is_break() {
            return Ok(());
        }
        let from = from.saturating_sub(DOTS);
        match self.target(inode)? {
            Target::Names => {
                let Content::Named(volumes) = &self.content else {
                    return Err(MountError::Stale);
                };
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                for (at, (name, _)) in volumes.iter().enumerate().skip(from) {
                    if tell(name, self.volume_attributes(at)).is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Target::Archives(id, volume) => {
                let listing = self.kept_listing(&volume, handle, from)?;
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                for shown in listing.archives.iter().skip(from) {
                    let attributes = archive_attributes(id, &volume, shown);
                    if tell(&shown.listed.name, attributes).is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Target::Node(id, slot, volume, node) => {
                let archive = volume.archive(slot)?;
                archive.list(node, from, room, &mut |child, name| {
                    let inode = self.number(id, slot, child);
                    let attributes = archive.attributes(volume.look(), inode, child)?;
                    Ok(tell(name, attributes))
                })
            }
        }
    }

    /// Target of a symbolic link.
    ///
    /// # Errors
    /// It is none, or its item cannot be read.
    pub fn target_of_link(&self, inode: Inode) -> Result<Vec<u8>, MountError> {
        let (archive, _, node) = self.node(inode)?;
        archive.target(node)
    }

    /// Whether a file can be opened for reading.
    ///
    /// # Errors
    /// [`MountError::DamagedFile`] if a repair has put zeros into it, and that is not wanted.
    pub fn may_open(&self, inode: Inode) -> Result<(), MountError> {
        let (archive, volume, node) = self.node(inode)?;
        archive.may_open(node, volume.view().words.allow_damaged_files)
    }

    /// Whether every file there is, and ever will be, can be opened: nobody has to ask.
    pub fn may_open_all(&self) -> bool {
        let Content::One(volume) = &self.content else {
            return false;
        };
        let damaged_too = volume.view().words.allow_damaged_files;
        let first = Slot::new(0).expect("there is always a first");
        let archive = volume.is_fixed().then(|| volume.archive(first));
        archive.is_some_and(|archive| archive.is_ok_and(|it| it.may_open_all(damaged_too)))
    }

    /// Bytes of a file; less than `size` at its end.
    ///
    /// # Errors
    /// A chunk cannot be read.
    pub fn read(&self, inode: Inode, offset: u64, size: usize) -> Result<Slices, MountError> {
        let Target::Node(id, slot, volume, node) = self.target(inode)? else {
            return Err(MountError::WrongKind);
        };
        let archive = volume.archive(slot)?;
        let (slices, coming) = archive.read(node, offset, size)?;
        if !coming.is_empty() {
            let files = coming.into_iter();
            let files = files.map(|coming| (self.number(id, slot, coming.node), coming));
            let files = files.collect();
            self.deliveries.hand_on(Delivery { archive, files });
        }
        Ok(slices)
    }

    /// Content of files that will probably be read soon is put where the kernel has it at hand.
    pub fn deliver_to(&self, pages: Arc<dyn Pages>) {
        self.deliveries.begin(pages);
    }

    /// Names of extended attributes.
    ///
    /// # Errors
    /// The item cannot be read.
    pub fn attribute_names(&self, inode: Inode) -> Result<Vec<Vec<u8>>, MountError> {
        match self.target(inode)? {
            Target::Node(_, slot, volume, node) if node != NodeId::ROOT => {
                volume.archive(slot)?.attribute_names(volume.look(), node)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Value of an extended attribute.
    ///
    /// # Errors
    /// [`MountError::NoAttribute`] if there is none of that name; the item cannot be read.
    pub fn attribute(&self, inode: Inode, name: &[u8]) -> Result<Vec<u8>, MountError> {
        match self.target(inode)? {
            Target::Node(_, slot, volume, node) if node != NodeId::ROOT => {
                volume.archive(slot)?.attribute(volume.look(), node, name)
            }
            _ => Err(MountError::NoAttribute),
        }
    }

    fn target(&self, inode: Inode) -> Result<Target, MountError> {
        let first = Slot::new(0).expect("there is always a first");
        match (inode.place().ok_or(MountError::Stale)?, &self.content) {
            (Place::Root, Content::Named(_)) => Ok(Target::Names),
            (Place::Root, Content::One(volume)) if volume.is_fixed() => {
                let volume = Arc::clone(volume);
                Ok(Target::Node(VolumeId::FIRST, first, volume, NodeId::ROOT))
            }
            (Place::Root, Content::One(volume)) => {
                Ok(Target::Archives(VolumeId::FIRST, Arc::clone(volume)))
            }
            (Place::Volume(id), Content::Named(_)) => Ok(Target::Archives(id, self.volume(id)?)),
            (Place::Volume(_), Content::One(_)) => Err(MountError::Stale),
            (Place::Node(id, slot, node), _) => {
                let volume = self.volume(id)?;
                // Also if its index is still open: it is not there any more.
                volume.shown(slot)?;
                Ok(Target::Node(id, slot, volume, node))
            }
        }
    }

    fn volume(&self, id: VolumeId) -> Result<Arc<Volume>, MountError> {
        let volume = match &self.content {
            Content::One(volume) => Some(volume).filter(|_| id == VolumeId::FIRST),
            Content::Named(volumes) => volumes.get(id.index()).map(|(_, volume)| volume),
        };
        volume.cloned().ok_or(MountError::Stale)
    }

    fn node(&self, inode: Inode) -> Result<(Arc<OpenArchive>, Arc<Volume>, NodeId), MountError> {
        match self.target(inode)? {
            Target::Node(_, slot, volume, node) => Ok((volume.archive(slot)?, volume, node)),
            _ => Err(MountError::WrongKind),
        }
    }

    /// The directory something is in.
    fn parent(&self, inode: Inode) -> Result<Inode, MountError> {
        match self.target(inode)? {
            Target::Names | Target::Archives(..) => Ok(Inode::ROOT),
            Target::Node(id, _, volume, NodeId::ROOT) => match &self.content {
                Content::Named(_) if !volume.is_fixed() => Ok(Place::Volume(id).into()),
                _ => Ok(Inode::ROOT),
            },
            Target::Node(id, slot, volume, node) => {
                let parent = volume.archive(slot)?.node(node)?.parent;
                Ok(self.number(id, slot, parent))
            }
        }
    }

    /// The inode number of a node: the root is always 1.
    fn number(&self, id: VolumeId, slot: Slot, node: NodeId) -> Inode {
        if node == NodeId::ROOT && self.is_fixed() {
            return Inode::ROOT;
        }
        Place::Node(id, slot, node).into()
    }

    /// Of an open directory; from its beginning, as it is now.
    fn kept_listing(
        &self,
        volume: &Volume,
        handle: DirectoryHandle,
        from: u64,
    ) -> Result<Arc<Listing>, MountError> {
        if from > 0 {
            let kept = lock(&self.handles).get(&handle.0).cloned();
            return kept.map_or_else(|| volume.listing(), Ok);
        }
        let listing = volume.listing()?;
        if let Some(kept) = lock(&self.handles).get_mut(&handle.0) {
            *kept = Arc::clone(&listing);
        }
        Ok(listing)
    }

    fn volume_attributes(&self, at: usize) -> Attributes {
        let id = VolumeId::new(at).expect("there are not more names than numbers");
        self.look
            .directory(Place::Volume(id).into(), None, Lasts::Briefly)
    }

    fn each_volume(&self, mut each: impl FnMut(&Volume)) {
        match &self.content {
            Content::One(volume) => each(volume),
            Content::Named(volumes) => volumes.iter().for_each(|(_, volume)| each(volume)),
        }
    }
}

/// The directory of an archive: the time is when it was made.
fn archive_attributes(id: VolumeId, volume: &Volume, shown: &volume::ShownArchive) -> Attributes {
    let inode = Place::Node(id, shown.slot, NodeId::ROOT).into();
    let time = nanoseconds(shown.listed.time);
    volume.look().directory(inode, Some(time), Lasts::Briefly)
}

/// A time as stock Borg shows it: it went through a floating-point number of seconds on its way.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "what is lost of it is what has to be lost"
)]
fn nanoseconds(time: Timestamp) -> i64 {
    (time.0 as f64 / 1e6 * 1e9) as i64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
