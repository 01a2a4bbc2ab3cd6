//! Items by their places.

use std::sync::{Arc, Mutex, PoisonError};

use ironborg_archive::ArchiveError;
use ironborg_format::item::{Item, ItemDecoder};
use ironborg_format::msgpack::Reader;
use ironborg_types::ChunkId;

use super::origin::Origin;
use crate::MountError;
use crate::follow::ChunkReader;
use crate::node::ItemPlace;

/// Bytes of chunks of item streams that are remembered; one chunk always is.
const CACHED_MAX: usize = 6 << 20;

/// The chunks of item streams that were read last.
#[derive(Default)]
pub(super) struct ItemCache(Mutex<Vec<(ChunkId, Arc<Vec<u8>>)>>);

impl ItemCache {
    fn chunk(&self, origin: &dyn Origin, id: &ChunkId) -> Result<Arc<Vec<u8>>, MountError> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = cached.iter().position(|(known, _)| known == id) {
            cached[..=at].rotate_right(1);
            return Ok(Arc::clone(&cached[0].1));
        }
        drop(cached);
        let mut plaintext = Vec::new();
        origin.read(&mut ChunkReader::default(), id, &mut plaintext)?;
        // Decompressing may take more room than it needs in the end.
        plaintext.shrink_to_fit();
        let plaintext = Arc::new(plaintext);
        cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.iter().all(|(known, _)| known != id) {
            cached.insert(0, (*id, Arc::clone(&plaintext)));
        }
        let mut len = 0;
        let kept = cached.iter().take_while(|(_, bytes)| {
            len += bytes.len();
            len <= CACHED_MAX
        });
        let kept = kept.count().max(1);
        cached.truncate(kept);
        Ok(plaintext)
    }
}

/// Reads the item at a place; `chunk` says which chunk has a number.
pub(super) fn read_item(
    origin: &dyn Origin,
    cache: &ItemCache,
    place: ItemPlace,
    chunk: impl Fn(u32) -> Result<Option<ChunkId>, MountError>,
) -> Result<Item, MountError> {
    let damaged = |detail: String| MountError::from(ArchiveError::other(detail));
    let gone = || damaged(format!("There is no item at {place:?}"));
    let first = chunk(place.chunk())?.ok_or_else(gone)?;
    let plaintext = cache.chunk(origin, &first)?;
    let offset = usize::try_from(place.offset()).unwrap_or(usize::MAX);
    let rest = plaintext.get(offset..).ok_or_else(gone)?;
    if let Ok(item) = Item::decode(&mut Reader::new(rest)) {
        return Ok(item);
    }
    // It goes on in the next chunk as a rule.
    let mut decoder = ItemDecoder::new();
    decoder.push(rest);
    let mut item = Item::default();
    let mut number = place.chunk();
    while !decoder
        .next_into(&mut item)
        .map_err(|error| damaged(error.to_string()))?
    {
        number = number.saturating_add(1);
        let next = chunk(number)?.ok_or_else(gone)?;
        decoder.push(&cache.chunk(origin, &next)?);
    }
    Ok(item)
}
