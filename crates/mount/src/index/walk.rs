//! From items to nodes: which are shown, under which path, and what hard links lead to.
//!
//! Source: Borg 1.4, `FuseBackend._process_archive`, `_process_leaf`.

use std::collections::HashMap;

use ironborg_archive::items::PartFiles;
use ironborg_format::item::{Item, ItemView};
use ironborg_source::path::strip_components;
use ironborg_source::walk::FileKind;
use ironborg_types::{BytePath, ChunkId, Level};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::builder::{Builder, Where, is_showable};
use super::items::{ItemCache, read_item};
use super::origin::Origin;
use super::record::{Record, flag};
use super::shape::Shape;
use super::stream::{ItemStream, StreamEnd, StreamPlace};
use super::versions::{ContentId, Versions, content_id, path_id, versioned_name};
use crate::MountError;
use crate::node::ItemPlace;

/// Names of an archive that cannot be shown are told of one by one up to this number.
const TOLD_MAX: usize = 10;

/// What is known of the first of several hard links when a later one comes.
enum Master {
    /// It is not shown; where its item is.
    Passed(ItemPlace),
    /// A later link took its content, under this path.
    Shown(BytePath),
}

/// What an item's content is if that is not its own.
struct Content {
    place: ItemPlace,
    item: Item,
}

/// Puts the items of one archive into an index.
pub(super) struct Walk<'a> {
    pub(super) builder: &'a mut Builder,
    origin: &'a dyn Origin,
    shape: &'a Shape,
    cache: &'a ItemCache,
    stream: ItemStream<'a>,
    /// Number of the archive's first chunk among those of all archives.
    base: u32,
    versions: Option<&'a mut Versions>,
    masters: HashMap<u64, Master>,
    untold: usize,
    buffer: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        builder: &'a mut Builder,
        origin: &'a dyn Origin,
        shape: &'a Shape,
        stream: ItemStream<'a>,
    ) -> Self {
        Self {
            builder,
            origin,
            shape,
            cache: &shape.shared.items,
            stream,
            base: 0,
            versions: None,
            masters: HashMap::new(),
            untold: 0,
            buffer: Vec::new(),
        }
    }

    /// One more archive of a versions view; its chunks are counted from `base`.
    pub(super) fn with_versions(mut self, versions: &'a mut Versions, base: u32) -> Self {
        versions.next_archive();
        self.versions = Some(versions);
        self.base = base;
        self
    }

    /// Reads the whole stream. `noted` is told of every item's place.
    pub(super) fn run(mut self, mut noted: impl FnMut(StreamPlace)) -> Result<(), MountError> {
        let stream = ItemStream {
            archive: self.stream.archive,
            chunks: self.stream.chunks,
        };
        let origin = self.origin;
        let end = stream.for_each(origin, |place, item| {
            noted(place);
            self.take(place, item)
        })?;
        if let StreamEnd::Torn(len) = end {
            self.warn(format!(
                "Archive {}: {len} bytes are left after the last whole item, what follows is missing",
                self.stream.archive
            ));
        }
        if self.untold > TOLD_MAX {
            self.warn(format!(
                "Archive {}: {} more paths cannot be shown",
                self.stream.archive,
                self.untold - TOLD_MAX
            ));
        }
        Ok(())
    }

    fn take(&mut self, place: StreamPlace, item: &ItemView<'_>) -> Result<(), MountError> {
        let path = strip_components(item.path, self.shape.strip);
        let is_selected =
            self.shape.matcher.matches(item.path) && (self.shape.strip == 0 || !path.is_empty());
        let place = ItemPlace::new(self.base.saturating_add(place.chunk), place.offset);
        let kind = FileKind::of_mode(item.mode);
        if !is_selected {
            let may_have_links = item.hardlink_master.unwrap_or(true) && item.source.is_none();
            if self.shape.is_partial() && kind.is_hardlinkable() && may_have_links {
                let master = self.path_hash(item.path);
                self.masters.insert(master, Master::Passed(place));
            }
            return Ok(());
        }
        if self.shape.parts == PartFiles::Skip && item.part.is_some() {
            return Ok(());
        }
        let owner = self.builder.owners.number(item);
        let record = Record::of_item(item, place.0, owner);
        let found = self.builder.enter_path(path)?;
        if kind == FileKind::Directory {
            return self.directory(found, path, record);
        }
        match item.source {
            Some(source) if kind.is_hardlinkable() => {
                self.hard_link(found, path, record, item, source)
            }
            _ => {
                let content = self.content_of(item);
                self.leaf(found, path, record, content).map(drop)
            }
        }
    }

    fn directory(
        &mut self,
        found: Where<'_>,
        path: &[u8],
        record: Record,
    ) -> Result<(), MountError> {
        match found {
            // Stock Borg shows the root as a directory of its own.
            Where::Root => Ok(()),
            Where::Nowhere => {
                self.cannot_show(path);
                Ok(())
            }
            Where::In(parent, name) => match self.builder.lookup(parent, name)? {
                Some(node) => self.builder.describe(node, record),
                None => self.builder.give(parent, name, record).map(drop),
            },
        }
    }

    /// A file, symlink or device with a name of its own; `content`: what it is told apart from its versions by.
    fn leaf(
        &mut self,
        found: Where<'_>,
        path: &[u8],
        record: Record,
        content: Option<ContentId>,
    ) -> Result<Option<u32>, MountError> {
        let Where::In(parent, name) = found else {
            self.cannot_show(path);
            return Ok(None);
        };
        let Some(versions) = self.versions.as_deref_mut() else {
            return self.builder.give(parent, name, record).map(Some);
        };
        let directory = self.builder.enter(parent, name)?;
        let name = match content {
            Some(content) => {
                let path = path_id(&self.origin.key(), path);
                versioned_name(name, versions.of(path, content))
            }
            None => name.to_vec(),
        };
        if is_showable(&name) {
            return self.builder.give(directory, &name, record).map(Some);
        }
        self.cannot_show(path);
        Ok(None)
    }

    fn hard_link(
        &mut self,
        found: Where<'_>,
        path: &[u8],
        record: Record,
        item: &ItemView<'_>,
        source: &[u8],
    ) -> Result<(), MountError> {
        let shown = strip_components(source, self.shape.strip);
        let target = match self.masters.get(&self.path_hash(source)) {
            None => BytePath::from(shown),
            Some(Master::Shown(path)) => path.clone(),
            Some(Master::Passed(place)) => match self.content_at(*place, source)? {
                Some(content) => return self.take_content(found, path, record, item, &content),
                None => BytePath::from(shown),
            },
        };
        let Some((node, content)) = self.link_target(&target)? else {
            if self.is_passed(source) {
                // The first of several links to a device is not shown, and there is no content to take.
                let content = self.content_of(item);
                return self.leaf(found, path, record, content).map(drop);
            }
            self.warn(format!(
                "Skipping broken hard link: {} -> {}",
                BytePath::from(path),
                BytePath::from(shown)
            ));
            return Ok(());
        };
        self.builder.add_name_of(node)?;
        self.leaf(found, path, Record::link_to(node), content)?;
        Ok(())
    }

    /// The node later links lead to, and what its content is in a view of versions. Never a directory: the kernel has
    /// none with two names.
    fn link_target(&mut self, path: &[u8]) -> Result<Option<(u32, Option<ContentId>)>, MountError> {
        let Some(mut node) = self.builder.find(path)? else {
            return Ok(None);
        };
        let mut content = None;
        if let Some(versions) = self.versions.as_deref() {
            let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
            let inner = match versions.seen(&path_id(&self.origin.key(), path)) {
                Some((version, seen)) => {
                    content = Some(seen);
                    versioned_name(name, version)
                }
                None => name.to_vec(),
            };
            match self.builder.lookup(node, &inner)? {
                Some(inner) => node = inner,
                None => return Ok(None),
            }
        }
        if self.builder.record(node)?.is_directory() {
            return Ok(None);
        }
        Ok(Some((node, content)))
    }

    /// A later link whose first is not shown takes its place.
    fn take_content(
        &mut self,
        found: Where<'_>,
        path: &[u8],
        mut record: Record,
        item: &ItemView<'_>,
        content: &Content,
    ) -> Result<(), MountError> {
        let chunks = content.item.chunks.as_deref().unwrap_or_default();
        if item.size.is_none() && !record.is_device() {
            record.value = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
        }
        record.flags |= flag::CONTENT;
        let id = self.versions.is_some().then(|| {
            let ids = chunks.iter().map(|chunk| chunk.id);
            content_id(&self.origin.key(), ids, &mut self.buffer)
        });
        if let Some(node) = self.leaf(found, path, record, id)? {
            self.builder.contents.insert(node, content.place.0);
        }
        let master = self.path_hash(&content.item.path);
        self.masters.insert(master, Master::Shown(path.into()));
        Ok(())
    }

    fn is_passed(&self, source: &[u8]) -> bool {
        matches!(
            self.masters.get(&self.path_hash(source)),
            Some(Master::Passed(_))
        )
    }

    /// The item of a link that is not shown, if it has content. It is found by a hash: that it is the one is seen here.
    fn content_at(&self, place: ItemPlace, path: &[u8]) -> Result<Option<Content>, MountError> {
        let chunk = |number: u32| -> Result<Option<ChunkId>, MountError> {
            let at = usize::try_from(number.saturating_sub(self.base)).unwrap_or(usize::MAX);
            Ok(self.stream.chunks.get(at).copied())
        };
        let item = read_item(self.origin, self.cache, place, chunk)?;
        let is_it = *item.path == *path && item.chunks.is_some();
        Ok(is_it.then_some(Content { place, item }))
    }

    fn content_of(&mut self, item: &ItemView<'_>) -> Option<ContentId> {
        self.versions.as_ref()?;
        let ids = item.chunks?.iter().map(|chunk| chunk.id);
        Some(content_id(&self.origin.key(), ids, &mut self.buffer))
    }

    fn path_hash(&self, path: &[u8]) -> u64 {
        xxh3_64_with_seed(path, self.builder.seed)
    }

    fn cannot_show(&mut self, path: &[u8]) {
        self.untold += 1;
        if self.untold <= TOLD_MAX {
            self.warn(format!(
                "Archive {}: a file with this path cannot be shown: {}",
                self.stream.archive,
                BytePath::from(path)
            ));
        }
    }

    fn warn(&self, message: String) {
        self.origin.log(Level::Warning, message);
    }
}
