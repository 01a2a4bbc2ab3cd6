//! Items that a checkpoint has for what workers were ahead with.
//!
//! Objects are stored as they come, items in walk order: with a checkpoint objects are committed that no item refers to
//! yet. If the process ends there, by SIGKILL or a power failure, a check would call them orphaned. So the checkpoint, and
//! it alone, ends with part files that are made of them; readers pass over parts unless they are asked for.

use ironborg_format::{ChunkEntry, Item, OwnerName};
use ironborg_types::{BytePath, Timestamp};

use super::items::part_of;

/// The path of the file those are parts of; there is no such file.
const PATH: &[u8] = b"read-ahead";
/// A regular file for its owner.
const MODE: u32 = 0o100_600;
/// Chunks of a part at most: its item has some 45 bytes for each, and must be well below the length of a chunk.
const CHUNKS_MAX: usize = 10_000;

/// Part files that are made of these chunks.
pub(super) fn parts(chunks: &[ChunkEntry]) -> impl Iterator<Item = Item> {
    let whole = Item {
        path: BytePath::new(PATH),
        mode: MODE,
        uid: Some(0),
        gid: Some(0),
        user: OwnerName::Nil,
        group: OwnerName::Nil,
        mtime: Some(Timestamp::now().0.saturating_mul(1000)),
        ..Item::default()
    };
    chunks
        .chunks(CHUNKS_MAX)
        .zip(1..)
        .map(move |(chunks, number)| part_of(&whole, number, chunks.to_vec()))
}
