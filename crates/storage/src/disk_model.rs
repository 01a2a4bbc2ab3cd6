//! A disk as a power failure shows it: what was synced is there, and of everything else any part may be.
//!
//! Files and names are kept apart, as file systems do. A file's content is safe once the file was synced, a
//! name once its directory was: writing a file says nothing about its name, and names do not arrive in order.
//! Every operation is taken apart into the system calls `LocalStorage` makes of it, so that power can fail
//! between any two of them.

mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use steps::{Step, Target};

use crate::recording::Operation;
use crate::storage::{EntryKind, Storage};
use crate::{MemoryStorage, StorageError};

/// What becomes of what nobody synced when power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// All arrived. This is also what another process sees when ours is killed.
    Kept,
    /// None arrived: neither bytes nor names; what was removed is there again.
    Dropped,
    /// Every name arrived, and half of the bytes.
    Torn,
    /// Every name and every length arrived, but zeros instead of the bytes.
    Zeroed,
    /// Of names and files each for itself this or that arrived, as the seed says.
    Reordered(u64),
}

/// Identifies a directory or a file whatever its names are.
type Number = usize;
/// The root directory.
const ROOT: Number = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory(Number),
    File(Number),
}

/// A name: its directory and the last component.
type Name = (Number, String);
type Names = BTreeMap<Name, Node>;

/// A change of names that its directory's next sync makes safe. The names are all in one directory.
#[derive(Debug, Clone)]
enum Renaming {
    Add(Name, Node),
    Remove(Name),
    /// The second name stands for what the first did: at any time one of the two does.
    Move(Name, Name, Node),
}

impl Renaming {
    fn names(&self) -> impl Iterator<Item = &Name> {
        let (first, second) = match self {
            Self::Add(name, _) | Self::Remove(name) => (name, None),
            Self::Move(from, to, _) => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }

    fn directory(&self) -> Number {
        match self {
            Self::Add(name, _) | Self::Remove(name) | Self::Move(name, _, _) => name.0,
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Move(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Content {
    bytes: Arc<Vec<u8>>,
    safe: Safe,
}

/// What a power failure cannot take.
#[derive(Debug, Clone)]
enum Safe {
    /// So many bytes of what there is.
    Start(usize),
    /// What was there before it was written over.
    Before(Arc<Vec<u8>>),
}

/// Files and names, and which of them are safe.
#[derive(Debug, Clone)]
pub struct DiskModel {
    contents: Vec<Content>,
    directories: usize,
    names: Names,
    safe_names: Names,
    unsynced_names: Vec<Renaming>,
    /// Files being written, whatever has become of their names.
    writers: BTreeMap<String, Number>,
}

impl Default for DiskModel {
    fn default() -> Self {
        Self::new()
    }
}

impl DiskModel {
    /// A disk with nothing but the root directory.
    pub fn new() -> Self {
        Self {
            contents: Vec::new(),
            directories: 1,
            names: Names::new(),
            safe_names: Names::new(),
            unsynced_names: Vec::new(),
            writers: BTreeMap::new(),
        }
    }

    /// A disk with all that is in a storage, everything safe.
    ///
    /// # Errors
    /// The storage's.
    pub fn holding(storage: &dyn Storage) -> Result<Self, StorageError> {
        let mut disk = Self::new();
        disk.take_in(storage, "")?;
        disk.settle();
        Ok(disk)
    }

    fn take_in(&mut self, storage: &dyn Storage, dir: &str) -> Result<(), StorageError> {
        for entry in storage.list(dir)? {
            let name = joined(dir, &entry.name);
            if entry.kind == EntryKind::Directory {
                self.step(&Step::MakeDir(name.clone()));
                self.take_in(storage, &name)?;
            } else {
                let content = storage.read(&name)?;
                self.step(&Step::MakeFile(name.clone()));
                self.step(&Step::Write(Target::Named(name), &content));
            }
        }
        Ok(())
    }

    /// Makes everything safe, as waiting for long enough does.
    pub fn settle(&mut self) {
        for content in &mut self.contents {
            content.safe = Safe::Start(content.bytes.len());
        }
        self.safe_names = self.names.clone();
        self.unsynced_names.clear();
    }

    /// Does an operation. One that failed when it was recorded fails again.
    pub fn apply(&mut self, operation: &Operation) {
        self.apply_stepwise(operation, |_| {});
    }

    /// Does an operation, calling `between` behind each of its system calls but the last.
    pub fn apply_stepwise(&mut self, operation: &Operation, mut between: impl FnMut(&Self)) {
        let mut steps = self.steps(operation).into_iter().peekable();
        while let Some(step) = steps.next() {
            if !self.step(&step) {
                return;
            }
            if steps.peek().is_some() {
                between(self);
            }
        }
    }

    /// What is found when power fails now.
    pub fn after_power_failure(&self, unsynced: Unsynced) -> MemoryStorage {
        let mut chance = Chance::new(unsynced);
        let mut names = self.safe_names.clone();
        let mut lost: BTreeSet<&Name> = BTreeSet::new();
        for renaming in &self.unsynced_names {
            // What happened to one name happened in order: without the earlier the later is not there.
            let possible = renaming.names().all(|name| !lost.contains(name));
            if possible && chance.name_arrives(unsynced) {
                renaming.apply(&mut names);
            } else {
                lost.extend(renaming.names());
            }
        }
        let memory = MemoryStorage::new();
        memory
            .create_dir_all("")
            .expect("memory has room for a directory");
        self.put_into(&memory, &names, ROOT, "", &mut |content| {
            content.after_power_failure(unsynced, &mut chance)
        });
        memory
    }

    fn put_into(
        &self,
        memory: &MemoryStorage,
        names: &Names,
        directory: Number,
        path: &str,
        content: &mut dyn FnMut(&Content) -> Arc<Vec<u8>>,
    ) {
        let inside = names.range((directory, String::new())..(directory + 1, String::new()));
        for ((_, name), node) in inside {
            let name = joined(path, name);
            match node {
                Node::Directory(number) => {
                    memory
                        .create_dir_all(&name)
                        .expect("memory has room for a directory");
                    self.put_into(memory, names, *number, &name, content);
                }
                Node::File(number) => memory.set_shared(&name, content(&self.contents[*number])),
            }
        }
    }

    fn find(&self, path: &str) -> Option<Node> {
        let mut node = Node::Directory(ROOT);
        for component in path.split('/').filter(|component| !component.is_empty()) {
            let Node::Directory(directory) = node else {
                return None;
            };
            node = *self.names.get(&(directory, component.to_owned()))?;
        }
        Some(node)
    }

    fn directory(&self, path: &str) -> Option<Number> {
        match self.find(path)? {
            Node::Directory(number) => Some(number),
            Node::File(_) => None,
        }
    }

    fn file(&self, path: &str) -> Option<Number> {
        match self.find(path)? {
            Node::File(number) => Some(number),
            Node::Directory(_) => None,
        }
    }

    /// Where a path's last component would be.
    fn name(&self, path: &str) -> Option<Name> {
        let (dir, last) = path.rsplit_once('/').unwrap_or(("", path));
        Some((self.directory(dir)?, last.to_owned()))
    }

    fn target(&self, target: &Target) -> Option<Number> {
        match target {
            Target::Named(path) => self.file(path),
            Target::Begun(path) => self.writers.get(path).copied(),
        }
    }

    fn is_empty(&self, directory: Number) -> bool {
        let mut inside = self
            .names
            .range((directory, String::new())..(directory + 1, String::new()));
        inside.next().is_none()
    }

    fn rename(&mut self, renaming: Renaming) {
        renaming.apply(&mut self.names);
        self.unsynced_names.push(renaming);
    }

    fn make_file(&mut self, path: &str) -> Option<()> {
        let name = self.name(path)?;
        let number = self.contents.len();
        self.contents.push(Content {
            bytes: Arc::default(),
            safe: Safe::Start(0),
        });
        self.rename(Renaming::Add(name, Node::File(number)));
        Some(())
    }

    fn sync_dir(&mut self, path: &str) -> Option<()> {
        let directory = self.directory(path)?;
        let of_it = |renaming: &Renaming| renaming.directory() == directory;
        for renaming in self.unsynced_names.iter().filter(|one| of_it(one)) {
            renaming.apply(&mut self.safe_names);
        }
        self.unsynced_names.retain(|renaming| !of_it(renaming));
        Some(())
    }

    /// Says whether the call succeeded.
    fn step(&mut self, step: &Step<'_>) -> bool {
        let done = match step {
            Step::MakeFile(_)
            | Step::Truncate(_)
            | Step::Write(..)
            | Step::SyncFile(_)
            | Step::Scramble(_) => self.step_in_file(step),
            _ => self.step_in_names(step),
        };
        done.is_some()
    }

    fn step_in_file(&mut self, step: &Step<'_>) -> Option<()> {
        match step {
            Step::MakeFile(path) => {
                if self.find(path).is_some() {
                    return None;
                }
                self.writers.insert(path.clone(), self.contents.len());
                self.make_file(path)?;
            }
            Step::Truncate(path) => match self.file(path) {
                Some(number) => self.contents[number].overwrite(Vec::new()),
                None => self.make_file(path)?,
            },
            Step::Write(target, bytes) => {
                let number = self.target(target)?;
                Arc::make_mut(&mut self.contents[number].bytes).extend_from_slice(bytes);
            }
            Step::SyncFile(target) => {
                let number = self.target(target)?;
                self.contents[number].sync();
            }
            Step::Scramble(path) => {
                let number = self.file(path)?;
                let len = self.contents[number].bytes.len();
                self.contents[number].overwrite(vec![0xa5; len]);
                self.contents[number].sync();
            }
            _ => unreachable!("calls for names are made elsewhere"),
        }
        Some(())
    }

    fn step_in_names(&mut self, step: &Step<'_>) -> Option<()> {
        let renaming = match step {
            Step::MakeDir(path) => {
                if self.find(path).is_some() {
                    return None;
                }
                self.directories += 1;
                Renaming::Add(self.name(path)?, Node::Directory(self.directories - 1))
            }
            Step::Rename(from, to) => {
                let node = self.find(from)?;
                match self.find(to) {
                    Some(Node::Directory(number)) if !self.is_empty(number) => return None,
                    _ => {}
                }
                Renaming::Move(self.name(from)?, self.name(to)?, node)
            }
            Step::Link(path, second) => {
                let number = self.file(path)?;
                Renaming::Add(self.name(second)?, Node::File(number))
            }
            Step::Unlink(path) => {
                self.file(path)?;
                Renaming::Remove(self.name(path)?)
            }
            Step::RemoveDir(path) => {
                let number = self.directory(path)?;
                if number == ROOT || !self.is_empty(number) {
                    return None;
                }
                Renaming::Remove(self.name(path)?)
            }
            Step::SyncDir(path) => return self.sync_dir(path),
            _ => unreachable!("calls for files are made elsewhere"),
        };
        self.rename(renaming);
        Some(())
    }
}

impl Content {
    /// Other content in the same file. A crash may show what was safe before, or part of the new.
    fn overwrite(&mut self, bytes: Vec<u8>) {
        if let Safe::Start(len) = self.safe {
            let mut before = self.bytes.to_vec();
            before.truncate(len);
            self.safe = Safe::Before(Arc::new(before));
        }
        self.bytes = Arc::new(bytes);
    }

    fn sync(&mut self) {
        self.safe = Safe::Start(self.bytes.len());
    }

    fn after_power_failure(&self, unsynced: Unsynced, chance: &mut Chance) -> Arc<Vec<u8>> {
        let safe = match &self.safe {
            Safe::Start(len) if *len == self.bytes.len() => return Arc::clone(&self.bytes),
            Safe::Start(len) => *len,
            Safe::Before(_) => 0,
        };
        let cut = |len: usize| Arc::new(self.bytes[..safe + len].to_vec());
        let lost = self.bytes.len() - safe;
        let zeroed = |from: usize| {
            let mut bytes = self.bytes.to_vec();
            bytes[safe + from..].fill(0);
            Arc::new(bytes)
        };
        let dropped = || match &self.safe {
            Safe::Before(bytes) => Arc::clone(bytes),
            Safe::Start(_) => cut(0),
        };
        match unsynced {
            Unsynced::Kept => Arc::clone(&self.bytes),
            Unsynced::Dropped => dropped(),
            Unsynced::Torn => cut(lost / 2),
            Unsynced::Zeroed => zeroed(0),
            Unsynced::Reordered(_) => {
                let part = chance.below(lost + 1);
                match chance.below(4) {
                    0 => Arc::clone(&self.bytes),
                    1 => dropped(),
                    2 => cut(part),
                    _ => zeroed(part),
                }
            }
        }
    }
}

/// Numbers by chance, the same ones for the same seed.
struct Chance(u64);

impl Chance {
    fn new(unsynced: Unsynced) -> Self {
        match unsynced {
            Unsynced::Reordered(seed) => Self(seed),
            _ => Self(0),
        }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        let count = count as u64;
        usize::try_from(self.next() % count).expect("less than a usize")
    }

    fn name_arrives(&mut self, unsynced: Unsynced) -> bool {
        match unsynced {
            Unsynced::Kept | Unsynced::Torn | Unsynced::Zeroed => true,
            Unsynced::Dropped => false,
            Unsynced::Reordered(_) => self.next().is_multiple_of(2),
        }
    }
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn joined(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

#[cfg(test)]
mod tests;
