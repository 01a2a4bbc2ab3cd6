//! Reading an index file.

use std::sync::Arc;

use ironborg_cache::{CacheError, SEALED_BLOCK_LEN, SealedFile};
use ironborg_types::{BytePath, ChunkId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::layout::{CHUNK_LEN, CONTENT_LEN, LISTED_LEN, Layout, SORTED_LEN, Section};
use super::owners::{Owner, decode_owners};
use super::record::{NO_PLACE, NONE, RECORD_LEN, Record, flag};
use super::shape::Shared;
use crate::node::{ItemPlace, Node, NodeId, OwnerId};

/// An index that can be asked.
pub(super) struct IndexFile {
    file: SealedFile,
    /// Its number among the files with blocks in memory.
    number: u64,
    shared: Arc<Shared>,
    layout: Layout,
    owners: Vec<Owner>,
}

type Read<T> = Result<T, CacheError>;

impl IndexFile {
    pub(super) fn new(file: SealedFile, shared: Arc<Shared>) -> Read<Self> {
        let layout = Layout::from_bytes(file.trailer(), file.len()).ok_or_else(damaged)?;
        let mut index = Self {
            number: shared.blocks.new_file(),
            file,
            shared,
            layout,
            owners: Vec::new(),
        };
        let section = layout.owners;
        let mut bytes = Vec::new();
        index.read(section.offset, section.len, &mut bytes)?;
        index.owners = decode_owners(&bytes).ok_or_else(damaged)?;
        Ok(index)
    }

    pub(super) fn owners(&self) -> &[Owner] {
        &self.owners
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u32 {
        self.layout.count()
    }

    /// Whether a repair replaced chunks of some file.
    pub(super) fn has_damaged(&self) -> bool {
        self.layout.flags & flag::DAMAGED != 0
    }

    /// What is known of a node.
    pub(super) fn node(&self, id: NodeId) -> Read<Node> {
        let (number, record) = self.node_record(id.0)?;
        let content = match record.flags & flag::CONTENT {
            0 => None,
            _ => self.content(number)?,
        };
        let is_device = record.is_device();
        Ok(Node {
            id: NodeId(number),
            item: (record.place != NO_PLACE).then_some(ItemPlace(record.place)),
            content,
            parent: NodeId(record.parent),
            mode: u32::from(record.mode),
            owner: (record.owner != NONE).then_some(OwnerId(record.owner)),
            size: match record.value {
                _ if is_device || record.is_directory() => 0,
                size => size,
            },
            nlink: record.nlink,
            rdev: if is_device { record.value } else { 0 },
            mtime: record.mtime,
            atime: record.atime,
            ctime: record.ctime,
            damaged: record.flags & flag::DAMAGED != 0,
            has_xattrs: record.flags & flag::XATTRS != 0,
            has_acls: record.flags & flag::ACLS != 0,
        })
    }

    /// The node of a name in a directory.
    pub(super) fn find(&self, directory: NodeId, name: &[u8]) -> Read<Option<NodeId>> {
        let (_, record) = self.node_record(directory.0)?;
        if !record.is_directory() {
            return Ok(None);
        }
        let hash = xxh3_64_with_seed(name, self.layout.seed) >> 32;
        let (begin, count) = record.listed();
        let (mut low, mut high) = (u64::from(begin), u64::from(begin) + u64::from(count));
        let end = high;
        while low < high {
            let middle = low + (high - low) / 2;
            if self.sorted(middle)? >> 32 < hash {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        while low < end {
            let entry = self.sorted(low)?;
            if entry >> 32 != hash {
                break;
            }
            let number = u32::try_from(entry & u64::from(u32::MAX)).expect("32 bits are left");
            let record = self.record(number)?;
            if self.name(&record)? == name {
                return self.target(number, &record).map(Some);
            }
            low += 1;
        }
        Ok(None)
    }

    /// Some of a directory's names.
    pub(super) fn children(
        &self,
        directory: NodeId,
        from: u32,
        room: usize,
    ) -> Read<Vec<(NodeId, BytePath)>> {
        let (_, record) = self.node_record(directory.0)?;
        if !record.is_directory() {
            return Ok(Vec::new());
        }
        let (begin, count) = record.listed();
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let to = count.min(from.saturating_add(room));
        let mut children = Vec::new();
        for at in from..to {
            let mut number = [0; LISTED_LEN];
            let at = u64::from(begin) + u64::from(at);
            self.entry(self.layout.listed, at, &mut number)?;
            let number = u32::from_le_bytes(number);
            let record = self.record(number)?;
            let node = self.target(number, &record)?;
            children.push((node, BytePath(self.name(&record)?)));
        }
        Ok(children)
    }

    /// The first path of a node.
    pub(super) fn path(&self, id: NodeId) -> Read<BytePath> {
        let (mut number, mut record) = self.node_record(id.0)?;
        let mut names = Vec::new();
        while number != 0 {
            names.push(self.name(&record)?);
            // A directory is there before what is in it, so this ends.
            if record.parent >= number {
                return Err(damaged());
            }
            number = record.parent;
            record = self.record(number)?;
        }
        names.reverse();
        Ok(BytePath(names.join(&b'/')))
    }

    /// The id of a chunk of the item streams.
    pub(super) fn chunk(&self, number: u32) -> Read<Option<ChunkId>> {
        let section = self.layout.chunks;
        let Some(offset) = section.entry(u64::from(number), CHUNK_LEN) else {
            return Ok(None);
        };
        let mut id = [0; CHUNK_LEN];
        self.read_array(offset, &mut id)?;
        Ok(Some(ChunkId(id)))
    }

    fn content(&self, number: u32) -> Read<Option<ItemPlace>> {
        let section = self.layout.contents;
        let (mut low, mut high) = (0, section.len / CONTENT_LEN as u64);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry = [0; CONTENT_LEN];
            self.entry(section, middle, &mut entry)?;
            let (found, place) = entry.split_first_chunk().expect("4 bytes and 8");
            let place = u64::from_le_bytes(*place.first_chunk().expect("8 are left"));
            match u32::from_le_bytes(*found).cmp(&number) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(ItemPlace(place))),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(damaged())
    }

    fn sorted(&self, at: u64) -> Read<u64> {
        let mut entry = [0; SORTED_LEN];
        self.entry(self.layout.sorted, at, &mut entry)?;
        Ok(u64::from_le_bytes(entry))
    }

    /// The record of a node, and its number; a number that is one more name of a node leads there.
    fn node_record(&self, number: u32) -> Read<(u32, Record)> {
        let record = self.record(number)?;
        if !record.is_link() {
            return Ok((number, record));
        }
        let number = record.target();
        let record = self.record(number)?;
        if record.is_link() {
            return Err(damaged());
        }
        Ok((number, record))
    }

    fn target(&self, number: u32, record: &Record) -> Read<NodeId> {
        let node = if record.is_link() {
            record.target()
        } else {
            number
        };
        if node >= self.count() {
            return Err(damaged());
        }
        Ok(NodeId(node))
    }

    fn record(&self, number: u32) -> Read<Record> {
        let mut bytes = [0; RECORD_LEN];
        self.entry(self.layout.records, u64::from(number), &mut bytes)?;
        Ok(Record::from_bytes(&bytes))
    }

    fn name(&self, record: &Record) -> Read<Vec<u8>> {
        let section = self.layout.names;
        let len = u64::from(record.name.len);
        let end = record.name.offset.checked_add(len);
        if end.is_none_or(|end| end > section.len) {
            return Err(damaged());
        }
        let mut name = Vec::new();
        self.read(section.offset + record.name.offset, len, &mut name)?;
        Ok(name)
    }

    fn entry<const N: usize>(&self, section: Section, number: u64, out: &mut [u8; N]) -> Read<()> {
        let offset = section.entry(number, N).ok_or_else(damaged)?;
        self.read_array(offset, out)
    }

    fn read_array<const N: usize>(&self, offset: u64, out: &mut [u8; N]) -> Read<()> {
        let block_len = SEALED_BLOCK_LEN as u64;
        let block = self
            .shared
            .blocks
            .block(self.number, &self.file, offset / block_len)?;
        let at = usize::try_from(offset % block_len).expect("below the length of a block");
        if let Some(found) = block.get(at..).and_then(|rest| rest.first_chunk()) {
            *out = *found;
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(N);
        self.read(offset, N as u64, &mut bytes)?;
        *out = *bytes.first_chunk().expect("as many were asked for");
        Ok(())
    }

    /// Appends bytes of the stream to `out`.
    fn read(&self, offset: u64, len: u64, out: &mut Vec<u8>) -> Read<()> {
        let block_len = SEALED_BLOCK_LEN as u64;
        let (mut offset, mut left) = (offset, len);
        while left > 0 {
            let block = self
                .shared
                .blocks
                .block(self.number, &self.file, offset / block_len)?;
            let at = usize::try_from(offset % block_len).expect("below the length of a block");
            let rest = block.get(at..).filter(|rest| !rest.is_empty());
            let rest = rest.ok_or_else(damaged)?;
            let count = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            out.extend_from_slice(&rest[..count]);
            offset += count as u64;
            left -= count as u64;
        }
        Ok(())
    }
}

fn damaged() -> CacheError {
    CacheError::Damaged {
        path: "the path index".into(),
    }
}
