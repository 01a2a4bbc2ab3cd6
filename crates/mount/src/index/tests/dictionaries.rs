//! The tree as stock Borg builds it: inode numbers, dictionaries and items. Slow, and easy to compare with
//! `FuseBackend._process_archive`.

use std::collections::{BTreeMap, HashMap};

use ironborg_format::item::{ChunkEntry, Item};
use ironborg_types::ChunkId;

use crate::index::builder::is_showable;
use crate::index::versions::versioned_name;

/// What a directory holds, in the order names came in.
type Contents = Vec<(Vec<u8>, u32)>;

/// What stock Borg knows after all archives were processed.
#[derive(Default)]
pub(super) struct Dictionaries {
    pub(super) contents: HashMap<u32, Contents>,
    /// Items of inodes; `None`: made up.
    pub(super) items: HashMap<u32, Option<ShownItem>>,
    versions_index: HashMap<Vec<u8>, (u32, Vec<ChunkId>)>,
    pub(super) broken: Vec<String>,
    /// Where inodes were named first.
    first_names: HashMap<u32, (u32, Vec<u8>)>,
    next: u32,
}

/// An item as it is shown.
#[derive(Debug, Clone)]
pub(super) struct ShownItem {
    pub(super) item: Item,
    pub(super) nlink: u32,
}

/// Chunks of what is not shown, or under which path they are.
type Master = (Option<Vec<ChunkEntry>>, Option<Vec<u8>>);

/// What is to be shown.
#[derive(Clone, Default)]
pub(super) struct Options {
    /// The beginning of paths that are selected.
    pub(super) only: Option<Vec<u8>>,
    pub(super) strip: usize,
    pub(super) versions: bool,
}

impl Options {
    fn matches(&self, path: &[u8]) -> bool {
        let Some(only) = &self.only else {
            return true;
        };
        let rest = path.strip_prefix(only.as_slice());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    fn strip(&self, path: &[u8]) -> Vec<u8> {
        let parts: Vec<&[u8]> = path.split(|&b| b == b'/').skip(self.strip).collect();
        parts.join(&b'/')
    }
}

const ROOT: u32 = 1;

impl Dictionaries {
    pub(super) fn new() -> Self {
        let mut new = Self {
            next: ROOT,
            ..Self::default()
        };
        new.create_dir();
        new
    }

    fn create_dir(&mut self) -> u32 {
        let inode = self.next;
        self.next += 1;
        self.items.insert(inode, None);
        inode
    }

    fn get(&self, inode: u32, name: &[u8]) -> Option<u32> {
        let contents = self.contents.get(&inode)?;
        let found = contents.iter().find(|(known, _)| known == name);
        found.map(|(_, inode)| *inode)
    }

    fn set(&mut self, inode: u32, name: &[u8], child: u32) {
        let first = (inode, name.to_vec());
        self.first_names.entry(child).or_insert(first);
        let contents = self.contents.entry(inode).or_default();
        match contents.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = child,
            None => contents.push((name.to_vec(), child)),
        }
    }

    fn find_inode(&self, path: &[u8]) -> Option<u32> {
        let mut segments = path.split(|&b| b == b'/');
        segments.try_fold(ROOT, |inode, segment| self.get(inode, segment))
    }

    fn process_inner(&mut self, name: &[u8], parent: u32) -> u32 {
        if let Some(inode) = self.get(parent, name) {
            return inode;
        }
        let inode = self.create_dir();
        if !name.is_empty() {
            self.set(parent, name, inode);
        }
        inode
    }

    fn is_directory(&self, inode: u32) -> bool {
        match &self.items[&inode] {
            None => true,
            Some(shown) => shown.item.mode & 0o170_000 == 0o040_000,
        }
    }

    pub(super) fn process_archive(&mut self, items: &[Item], options: &Options) {
        let mut file_versions: HashMap<Vec<u8>, u32> = HashMap::new();
        let partial = options.only.is_some() || options.strip > 0;
        let mut masters: HashMap<Vec<u8>, Master> = HashMap::new();
        for item in items {
            let path = options.strip(&item.path);
            let matched = options.matches(&item.path) && (options.strip == 0 || !path.is_empty());
            let kind = item.mode & 0o170_000;
            let hardlinkable = matches!(kind, 0o100_000 | 0o060_000 | 0o020_000 | 0o010_000);
            if !matched {
                let is_master = item.hardlink_master.unwrap_or(true) && item.source.is_none();
                if partial && hardlinkable && is_master {
                    masters.insert(item.path.to_vec(), (item.chunks.clone(), None));
                }
                continue;
            }
            if item.part.is_some() {
                continue;
            }
            let is_dir = kind == 0o040_000;
            if is_dir && let Some(inode) = self.find_inode(&path) {
                self.items.insert(inode, Some(shown(item)));
                continue;
            }
            let segments: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
            let (name, directories) = segments.split_last().unwrap();
            let mut parent = ROOT;
            for segment in directories {
                parent = self.process_inner(segment, parent);
            }
            let mut shown_item = shown(item);
            let mut inode = None;
            if let Some(source) = &item.source
                && hardlinkable
            {
                let stripped = options.strip(source);
                let (chunks, target) = match masters.get(source.as_slice()) {
                    Some((chunks, target)) => (chunks.clone(), target.clone()),
                    None => (None, Some(stripped.clone())),
                };
                if let Some(target) = target {
                    let mut link_target = target.clone();
                    if options.versions {
                        let name = target.rsplit(|&b| b == b'/').next().unwrap();
                        // Stock Borg ends with an error where there is no version.
                        let inner = match file_versions.get(&target) {
                            Some(version) => versioned_name(name, *version),
                            None => name.to_vec(),
                        };
                        link_target = [target.as_slice(), b"/", &inner].concat();
                    }
                    let found = self.find_inode(&link_target);
                    // Stock Borg gives a second name to a directory.
                    let Some(found) = found.filter(|found| !self.is_directory(*found)) else {
                        self.broken.push(format!(
                            "Skipping broken hard link: {} -> {}",
                            String::from_utf8_lossy(&path),
                            String::from_utf8_lossy(&stripped)
                        ));
                        continue;
                    };
                    let known = self.items.get_mut(&found).unwrap().as_mut().unwrap();
                    known.nlink += 1;
                    shown_item = known.clone();
                    inode = Some(found);
                } else if let Some(chunks) = chunks {
                    shown_item.item.chunks = Some(chunks);
                    masters.insert(source.clone(), (None, Some(path.clone())));
                }
            }
            let inode = inode.unwrap_or_else(|| {
                let inode = self.create_dir();
                self.items.insert(inode, Some(shown_item.clone()));
                inode
            });
            let mut name = name.to_vec();
            if options.versions && !is_dir {
                parent = self.process_inner(&name, parent);
                if let Some(chunks) = &shown_item.item.chunks {
                    let content: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
                    let known = self.versions_index.get(&path);
                    let (mut version, previous) = match known {
                        Some((version, content)) => (*version, Some(content.clone())),
                        None => (0, None),
                    };
                    if previous.as_ref() != Some(&content) {
                        version += 1;
                        self.versions_index.insert(path.clone(), (version, content));
                    }
                    name = versioned_name(&name, version);
                    file_versions.insert(path.clone(), version);
                }
            }
            if !name.is_empty() {
                self.set(parent, &name, inode);
            }
        }
    }

    /// What the kernel is shown of a directory.
    pub(super) fn listing(&self, inode: u32) -> Contents {
        // The kernel has no directory with two names. What became one after it was linked to keeps its first.
        let is_hidden = |name: &[u8], child: u32| {
            let is_first = self.first_names[&child] == (inode, name.to_vec());
            !is_showable(name) || self.is_directory(child) && !is_first
        };
        let contents = self.contents.get(&inode).cloned().unwrap_or_default();
        let shown = contents.into_iter();
        shown
            .filter(|(name, child)| !is_hidden(name, *child))
            .collect()
    }

    /// All that can be reached: path, inode, item.
    pub(super) fn tree(&self) -> BTreeMap<Vec<u8>, u32> {
        let mut found = BTreeMap::new();
        let mut left = vec![(Vec::new(), ROOT)];
        while let Some((path, inode)) = left.pop() {
            if self.is_directory(inode) {
                for (name, child) in self.listing(inode) {
                    left.push(([path.as_slice(), b"/", &name].concat(), child));
                }
            }
            found.insert(path, inode);
        }
        found
    }
}

fn shown(item: &Item) -> ShownItem {
    ShownItem {
        item: item.clone(),
        nlink: 1,
    }
}
