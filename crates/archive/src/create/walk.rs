//! Walking the roots: what is archived, in which order, and which names are hard links of each other.
//!
//! One thread walks and makes one `statx` per entry, those apart that others do for it (`look`); everything it finds
//! leaves as [`Step`]s in walk order. Opening and reading files is left to the workers. Source: Borg 1.4, `_rec_walk`,
//! `_process_any`, `create_helper`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ironborg_source::attributes::{AttributeSource, UF_NODUMP};
use ironborg_source::path::{
    Archived, archived_path, child_path, make_path_safe, normpath, strip_prefix,
};
use ironborg_source::walk::{OpenMode, TagOptions, check_same, dir_tags};
use ironborg_source::{
    AttributeReader, Decision, Dir, DirEntries, FileKind, FileStat, Place, SourceError,
};
use ironborg_types::{BytePath, Interrupt};

use super::look::{Ahead, Look, Seen};
use super::options::Selection;
use super::plain::Leaf;
use super::step::{EntryKind, LinkKey, Linked, OpenDir, Step};
use crate::gate::{Closed, Gate};

/// Receives the steps of a walk.
pub(crate) trait StepSink {
    /// Takes one step.
    fn step(&mut self, step: Step) -> Result<(), Closed>;

    /// Takes anything but a directory.
    fn leaf(&mut self, leaf: Leaf<'_>) -> Result<(), Closed> {
        self.step(Step::Entry(leaf.into_entry()))
    }

    /// Sends on what was collected: the walk is about to wait for it.
    fn flush(&mut self) -> Result<(), Closed>;

    /// Whether there is somebody with time to look at files whose turn comes soon.
    fn has_help(&self) -> bool {
        false
    }

    /// Lets them look.
    fn look_ahead(&mut self, _: &Arc<Look>) {}
}

/// Makes items for directories, which the walk itself reads.
pub(super) trait DirectoryReader {
    /// The step that archives a directory.
    fn directory(
        &mut self,
        place: &Place<'_>,
        dir: &Dir,
        stat: &FileStat,
        archived: &[u8],
    ) -> Result<Step, SourceError>;
}

/// The walk over all roots.
pub(super) struct Walker<'a, S, D> {
    pub(super) selection: &'a Selection,
    pub(super) attributes: AttributeReader,
    pub(super) interrupt: &'a Interrupt,
    /// Bounds how many directories are open.
    pub(super) open_dirs: &'a Arc<Gate>,
    pub(super) sink: S,
    pub(super) directories: D,
    /// Nothing is archived, everything that would be is listed as `-`.
    pub(super) dry_run: bool,
    /// Mostly a handful, which every entry is compared with: no time for a hash.
    skip: BTreeSet<(u64, u64)>,
    links: HashMap<LinkKey, Arc<[u8]>>,
    /// Directories held open by the walk itself.
    depth: usize,
    /// Finished frames, whose entry lists are used again.
    spare: Vec<DirEntries>,
}

/// What is below one root.
struct Root {
    strip: Option<Vec<u8>>,
    /// The only device to enter.
    device: Option<u64>,
}

/// A directory whose entries are being visited.
struct Frame {
    dir: Arc<OpenDir>,
    path: Vec<u8>,
    entries: Entries,
    next: usize,
    /// What is known of those that come next.
    ahead: Ahead,
    /// Status letter printed when all entries have been visited.
    status: Option<char>,
}

enum Entries {
    All(DirEntries),
    Tags(Vec<BytePath>),
}

impl Entries {
    fn get(&self, position: usize) -> Option<&[u8]> {
        match self {
            Self::All(entries) => entries.get(position).map(|entry| entry.name),
            Self::Tags(tags) => tags.get(position).map(|tag| &tag[..]),
        }
    }
}

/// Why an entry was not archived.
enum Fault {
    Source(SourceError),
    Closed,
}

impl From<SourceError> for Fault {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<Closed> for Fault {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl<'a, S: StepSink, D: DirectoryReader> Walker<'a, S, D> {
    /// A walk that has not begun.
    pub(super) fn new(
        selection: &'a Selection,
        attributes: AttributeReader,
        interrupt: &'a Interrupt,
        open_dirs: &'a Arc<Gate>,
        sink: S,
        directories: D,
    ) -> Self {
        let inode = |path: &BytePath| {
            Place::path(path)
                .stat_target()
                .map(|stat| (stat.ino, stat.dev))
        };
        let skip = selection
            .never
            .iter()
            .filter_map(|path| inode(path).ok())
            .collect();
        Self {
            selection,
            attributes,
            interrupt,
            open_dirs,
            sink,
            directories,
            dry_run: false,
            skip,
            links: HashMap::new(),
            depth: 0,
            spare: Vec::new(),
        }
    }

    /// Walks one root, given as the user wrote it.
    pub(super) fn root(&mut self, given: &[u8]) -> Result<(), Closed> {
        let path = normpath(given);
        let stat = match Place::path(&path).stat() {
            Ok(stat) => stat,
            Err(error) => {
                return self.sink.step(Step::Warning {
                    message: error.warning(&path),
                    kind: error.kind(),
                });
            }
        };
        let root = Root {
            strip: strip_prefix(given),
            device: self.selection.one_file_system.then_some(stat.dev),
        };
        let mut frames: Vec<Frame> = Vec::new();
        if let Some(frame) = self.visit_reporting(&root, None, &path, (None, None))? {
            frames.push(frame);
        }
        let mut path = Vec::new();
        loop {
            self.depth = frames.len();
            let Some(frame) = frames.last_mut() else {
                break;
            };
            if frame.ahead.is_over() {
                self.look_ahead(frame, &mut path);
            }
            if let Some(name) = frame.entries.get(frame.next) {
                child_path(&frame.path, name, &mut path);
                frame.next += 1;
                let known = frame.ahead.next();
                let dir = Arc::clone(&frame.dir);
                if let Some(frame) = self.visit_reporting(&root, Some(&dir), &path, known)? {
                    frames.push(frame);
                }
            } else {
                let done = frames.pop().expect("there is a last one");
                if let Some(status) = done.status {
                    self.sink.step(Step::Status {
                        status,
                        path: done.path,
                    })?;
                }
                if let Entries::All(entries) = done.entries {
                    self.spare.push(entries);
                }
            }
        }
        // A finished root is never entered again, even if it is given twice.
        self.skip.insert((stat.ino, stat.dev));
        Ok(())
    }

    /// Has files whose turn comes soon looked at.
    fn look_ahead(&mut self, frame: &mut Frame, path: &mut Vec<u8>) {
        let Entries::All(entries) = &frame.entries else {
            return;
        };
        if !self.sink.has_help() {
            frame.ahead.ask_again_later();
            return;
        }
        let matcher = &self.selection.matcher;
        let decide = |name: &[u8]| {
            child_path(&frame.path, name, path);
            matcher.decide(path)
        };
        let sink = &mut self.sink;
        frame
            .ahead
            .plan(&frame.dir, entries, frame.next, decide, |look| {
                sink.look_ahead(look);
            });
    }

    /// Archives one path by itself: no recursion, no patterns, no tags.
    pub(super) fn single(&mut self, given: &[u8]) -> Result<(), Closed> {
        let path = normpath(given);
        let root = Root {
            strip: strip_prefix(given),
            device: None,
        };
        let result = self.single_entry(&root, &path);
        self.report(&path, result.map(|()| None), false).map(|_| ())
    }

    fn single_entry(&mut self, root: &Root, path: &[u8]) -> Result<(), Fault> {
        let place = Place::path(path);
        let stat = place.stat()?;
        if stat.kind() != FileKind::Directory {
            return self.entry(root, None, path, &stat);
        }
        let (dir, stat) = self.open_dir(&place, &stat)?;
        let status = self.directory(root, &place, &dir, &stat)?;
        self.sink.step(Step::Status {
            status,
            path: path.to_vec(),
        })?;
        Ok(())
    }

    fn visit_reporting(
        &mut self,
        root: &Root,
        parent: Option<&Arc<OpenDir>>,
        path: &[u8],
        (decision, seen): (Option<Decision>, Seen),
    ) -> Result<Option<Frame>, Closed> {
        if self.interrupt.stop_requested() {
            return Ok(None);
        }
        let decision = decision.unwrap_or_else(|| self.selection.matcher.decide(path));
        if !decision.include {
            self.sink.step(Step::Status {
                status: 'x',
                path: path.to_vec(),
            })?;
            // What is excluded is not even looked at: that could fail.
            if !decision.recurse {
                return Ok(None);
            }
        }
        let result = self.visit(root, parent, path, !decision.include, seen);
        self.report(path, result, !decision.include)
    }

    fn report(
        &mut self,
        path: &[u8],
        result: Result<Option<Frame>, Fault>,
        excluded: bool,
    ) -> Result<Option<Frame>, Closed> {
        match result {
            Ok(frame) => Ok(frame),
            Err(Fault::Closed) => Err(Closed),
            Err(Fault::Source(error)) => {
                self.sink.step(Step::Warning {
                    message: error.warning(path),
                    kind: error.kind(),
                })?;
                if !excluded {
                    self.sink.step(Step::Status {
                        status: 'E',
                        path: path.to_vec(),
                    })?;
                }
                Ok(None)
            }
        }
    }

    fn visit(
        &mut self,
        root: &Root,
        parent: Option<&Arc<OpenDir>>,
        path: &[u8],
        excluded: bool,
        seen: Seen,
    ) -> Result<Option<Frame>, Fault> {
        let place = place(parent, path);
        let stat = seen.unwrap_or_else(|| place.stat())?;
        if excluded && stat.kind() != FileKind::Directory {
            return Ok(None);
        }
        if self.skip.contains(&(stat.ino, stat.dev)) {
            return Ok(None);
        }
        if self.selection.exclude_nodump
            && self.attributes.flags(AttributeSource::Place(place), &stat) & UF_NODUMP != 0
        {
            self.sink.step(Step::Status {
                status: 'x',
                path: path.to_vec(),
            })?;
            return Ok(None);
        }
        if stat.kind() == FileKind::Directory {
            self.enter(root, parent, path, &stat, excluded)
        } else {
            self.entry(root, parent, path, &stat)?;
            Ok(None)
        }
    }

    fn enter(
        &mut self,
        root: &Root,
        parent: Option<&Arc<OpenDir>>,
        path: &[u8],
        stat: &FileStat,
        excluded: bool,
    ) -> Result<Option<Frame>, Fault> {
        let place = place(parent, path);
        let recurse = root.device.is_none_or(|device| device == stat.dev);
        let (dir, stat) = self.open_dir(&place, stat)?;
        if recurse {
            let options = TagOptions {
                caches: self.selection.exclude_caches,
                if_present: &self.selection.exclude_if_present,
            };
            let tags = dir_tags(&dir.dir, &options);
            if !tags.is_empty() {
                return self.tagged(root, &place, dir, &stat, tags, excluded);
            }
        }
        let status = if excluded {
            None
        } else {
            Some(self.directory(root, &place, &dir, &stat)?)
        };
        let mut entries = self.spare.pop().unwrap_or_default();
        if recurse {
            dir.dir.read(&mut entries)?;
        } else {
            entries = DirEntries::new();
        }
        Ok(Some(Frame {
            dir,
            path: path.to_vec(),
            entries: Entries::All(entries),
            next: 0,
            ahead: Ahead::default(),
            status,
        }))
    }

    /// A directory that is left out because of the tags in it.
    fn tagged(
        &mut self,
        root: &Root,
        place: &Place<'_>,
        dir: Arc<OpenDir>,
        stat: &FileStat,
        tags: Vec<BytePath>,
        excluded: bool,
    ) -> Result<Option<Frame>, Fault> {
        if excluded {
            return Ok(None);
        }
        let path = place.full_path().to_vec();
        if !self.selection.keep_exclude_tags {
            self.sink.step(Step::Status { status: 'x', path })?;
            return Ok(None);
        }
        self.directory(root, place, &dir, stat)?;
        Ok(Some(Frame {
            dir,
            path,
            entries: Entries::Tags(tags),
            next: 0,
            ahead: Ahead::default(),
            status: Some('x'),
        }))
    }

    /// Archives the directory itself; gives the status letter for when its content has been visited.
    fn directory(
        &mut self,
        root: &Root,
        place: &Place<'_>,
        dir: &OpenDir,
        stat: &FileStat,
    ) -> Result<char, Fault> {
        if self.dry_run {
            return Ok('-');
        }
        match archived_path(place.full_path(), root.strip.as_deref()) {
            Archived::Skipped => Ok('x'),
            Archived::As(path) => {
                let step =
                    self.directories
                        .directory(place, &dir.dir, stat, make_path_safe(path))?;
                self.sink.step(step)?;
                Ok('d')
            }
        }
    }

    fn open_dir(
        &mut self,
        place: &Place<'_>,
        stat: &FileStat,
    ) -> Result<(Arc<OpenDir>, FileStat), Fault> {
        if !self.open_dirs.try_take(1) {
            // Those waiting for a worker may be in the batch that is still being filled.
            self.sink.flush()?;
            self.open_dirs.take_or_exceed(self.depth)?;
        }
        let opened = place.open_dir().and_then(|dir| {
            let now = dir.stat()?;
            check_same(stat, &now)?;
            Ok((dir, now))
        });
        match opened {
            Ok((dir, now)) => Ok((
                Arc::new(OpenDir {
                    dir,
                    gate: Arc::clone(self.open_dirs),
                }),
                now,
            )),
            Err(error) => {
                self.open_dirs.give_back(1);
                Err(error.into())
            }
        }
    }

    /// Hands on anything but a directory.
    fn entry(
        &mut self,
        root: &Root,
        parent: Option<&Arc<OpenDir>>,
        path: &[u8],
        stat: &FileStat,
    ) -> Result<(), Fault> {
        if self.dry_run {
            let path = path.to_vec();
            return Ok(self.sink.step(Step::Status { status: '-', path })?);
        }
        let place = place(parent, path);
        let Some((kind, stat)) = self.kind_of(&place, stat) else {
            if stat.kind() == FileKind::Unknown {
                self.sink.step(Step::UnknownType {
                    path: path.to_vec(),
                })?;
            }
            return Ok(());
        };
        let Archived::As(archived) = archived_path(path, root.strip.as_deref()) else {
            return Ok(self.sink.step(Step::Status {
                status: 'x',
                path: path.to_vec(),
            })?);
        };
        let archived = make_path_safe(archived);
        let linked = match kind {
            EntryKind::Symlink => Linked::Alone,
            _ if stat.nlink <= 1 => Linked::Alone,
            _ => self.linked(
                LinkKey {
                    ino: stat.ino,
                    dev: stat.dev,
                },
                archived,
            ),
        };
        let name_start = parent.map_or(0, |_| path.len() - last_component(path).len());
        Ok(self.sink.leaf(Leaf {
            dir: parent,
            path,
            name_start,
            archived,
            stat,
            kind,
            linked,
        })?)
    }

    /// How an entry is archived; `None`: not at all.
    fn kind_of(&self, place: &Place<'_>, stat: &FileStat) -> Option<(EntryKind, FileStat)> {
        let special = self.selection.read_special;
        let kind = match stat.kind() {
            FileKind::Regular => EntryKind::File(OpenMode::Normal),
            FileKind::Symlink => {
                if special
                    && let Ok(target) = place.stat_target()
                    && target.kind().is_special()
                {
                    return Some((EntryKind::File(OpenMode::SpecialFollow), target));
                }
                EntryKind::Symlink
            }
            kind if kind.is_special() && special => EntryKind::File(OpenMode::Special),
            FileKind::Fifo => EntryKind::Fifo,
            FileKind::CharDevice => EntryKind::CharDevice,
            FileKind::BlockDevice => EntryKind::BlockDevice,
            FileKind::Directory | FileKind::Socket | FileKind::Unknown => return None,
        };
        Some((kind, *stat))
    }

    /// Whether this is the first name of an inode with several, or a later one.
    ///
    /// A first name that turns out to be unreadable is set right where items are put in order.
    fn linked(&mut self, key: LinkKey, archived: &[u8]) -> Linked {
        if let Some(first) = self.links.get(&key) {
            return Linked::Later {
                key,
                first: Arc::clone(first),
            };
        }
        self.links.insert(key, archived.into());
        Linked::First { key }
    }
}

fn place<'p>(parent: Option<&'p Arc<OpenDir>>, path: &'p [u8]) -> Place<'p> {
    match parent {
        Some(parent) => Place::entry(&parent.dir, last_component(path), path),
        None => Place::path(path),
    }
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}
