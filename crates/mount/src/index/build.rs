//! Building indexes: of one archive, and of all versions of all archives.

use std::time::Instant;

use ironborg_cache::{CacheError, SealedFile, SealedTarget, SealedWriter};
use ironborg_crypto::random_block_salt;
use ironborg_types::{BytePath, ChunkId, Level};

use super::builder::{Bits, Builder, index};
use super::keep::Kept;
use super::layout::KIND;
use super::origin::Origin;
use super::record::NO_PLACE;
use super::shape::Shape;
use super::stream::ItemStream;
use super::versions::Versions;
use super::walk::Walk;
use super::write::{Lists, write_index};
use crate::MountError;
use crate::node::ItemPlace;

/// Chunks of item streams that are remembered before those that are not needed are forgotten.
const CHUNKS_UNSWEPT: usize = 1 << 16;

/// Builds the index of one archive; `kept` says where it is kept, if it is.
pub(super) fn build_archive(
    origin: &dyn Origin,
    shape: &Shape,
    archive: &BytePath,
    chunks: &[ChunkId],
    kept: Option<&Kept>,
) -> Result<SealedFile, MountError> {
    let started = Instant::now();
    let mut builder = new_builder(origin)?;
    let stream = ItemStream { archive, chunks };
    Walk::new(&mut builder, origin, shape, stream).run(|_| {})?;
    let file = write(origin, &mut builder, chunks, &|place| place, kept)?;
    tell_duration(origin, started, archive);
    Ok(file)
}

/// Builds the index of all versions of all files in these archives.
pub(super) fn build_versions(
    origin: &dyn Origin,
    shape: &Shape,
    archives: &[(&BytePath, &[ChunkId])],
) -> Result<SealedFile, MountError> {
    let mut builder = new_builder(origin)?;
    let mut versions = Versions::default();
    let mut known = StreamChunks::default();
    for (archive, chunks) in archives {
        let started = Instant::now();
        let base = known.add(chunks)?;
        let stream = ItemStream { archive, chunks };
        Walk::new(&mut builder, origin, shape, stream)
            .with_versions(&mut versions, base)
            .run(|place| known.note_item(base, place.chunk, place.last))?;
        known.sweep_if_many(&mut builder)?;
        tell_duration(origin, started, archive);
    }
    known.sweep(&mut builder)?;
    let ids: Vec<ChunkId> = known.all.iter().map(|chunk| chunk.id).collect();
    let places = |place: ItemPlace| known.dense(place);
    write(origin, &mut builder, &ids, &places, None)
}

fn new_builder(origin: &dyn Origin) -> Result<Builder, MountError> {
    let random = random_block_salt().map_err(CacheError::from)?;
    let seed = u64::from_le_bytes(*random.first_chunk().expect("it is longer"));
    Builder::new(&origin.key(), seed, origin.scratch())
}

/// Writes the index where it is kept; if that cannot be, to where it is gone afterwards.
fn write(
    origin: &dyn Origin,
    builder: &mut Builder,
    chunks: &[ChunkId],
    places: &dyn Fn(ItemPlace) -> ItemPlace,
    kept: Option<&Kept>,
) -> Result<SealedFile, MountError> {
    let lists = Lists::of(builder)?;
    let key = origin.key();
    if let Some(kept) = kept {
        let names = kept.names();
        let written = SealedWriter::create(kept.target(), KIND, &key, &names)
            .map_err(MountError::from)
            .and_then(|out| write_index(builder, &lists, chunks, places, out));
        match written {
            Ok(file) => return Ok(file),
            Err(error) => origin.log(Level::Debug, format!("cannot keep a path index: {error}")),
        }
    }
    let target = SealedTarget::Temporary {
        directory: origin.scratch(),
    };
    let out = SealedWriter::create(target, KIND, &key, &[b"temporary"])?;
    write_index(builder, &lists, chunks, places, out)
}

/// As stock Borg tells it.
fn tell_duration(origin: &dyn Origin, started: Instant, archive: &BytePath) {
    let seconds = started.elapsed().as_secs_f64();
    origin.log(
        Level::Debug,
        format!("fuse: _process_archive completed in {seconds:.1} s for archive {archive}"),
    );
}

/// The chunks of all item streams, one behind the other; those no node needs are forgotten from time to time.
#[derive(Debug, Default)]
struct StreamChunks {
    all: Vec<StreamChunk>,
    /// Number of the next one.
    next: u32,
    /// How many were kept the last time.
    swept: usize,
}

#[derive(Debug, Clone, Copy)]
struct StreamChunk {
    number: u32,
    id: ChunkId,
    /// Whether an item goes on in the next one.
    goes_on: bool,
}

impl StreamChunks {
    /// Adds a stream; returns the number of its first chunk.
    fn add(&mut self, chunks: &[ChunkId]) -> Result<u32, MountError> {
        let base = self.next;
        self.next = u32::try_from(chunks.len())
            .ok()
            .and_then(|count| base.checked_add(count))
            .ok_or(MountError::TooManyFiles)?;
        let numbered = (base..self.next).zip(chunks);
        self.all.extend(numbered.map(|(number, id)| StreamChunk {
            number,
            id: *id,
            goes_on: false,
        }));
        Ok(base)
    }

    /// Notes where an item of the stream that was added last begins and ends.
    fn note_item(&mut self, base: u32, first: u32, last: u32) {
        if first < last {
            let added = index(self.next - base);
            let begin = self.all.len() - added;
            for chunk in &mut self.all[begin..][index(first)..index(last)] {
                chunk.goes_on = true;
            }
        }
    }

    fn sweep_if_many(&mut self, builder: &mut Builder) -> Result<(), MountError> {
        if self.all.len() > 2 * self.swept + CHUNKS_UNSWEPT {
            self.sweep(builder)?;
        }
        Ok(())
    }

    /// Forgets the chunks no item is in.
    fn sweep(&mut self, builder: &mut Builder) -> Result<(), MountError> {
        let mut needed = Bits::default();
        for number in 0..builder.count() {
            let place = builder.record(number)?.place;
            if place != NO_PLACE {
                needed.set(ItemPlace(place).chunk());
            }
        }
        for place in builder.contents.values() {
            needed.set(ItemPlace(*place).chunk());
        }
        self.all.retain(|chunk| {
            let is_needed = needed.get(chunk.number);
            if is_needed && chunk.goes_on {
                needed.set(chunk.number + 1);
            }
            is_needed
        });
        self.swept = self.all.len();
        Ok(())
    }

    /// The place among the chunks that are left.
    fn dense(&self, place: ItemPlace) -> ItemPlace {
        let found = self
            .all
            .binary_search_by_key(&place.chunk(), |chunk| chunk.number);
        let at = found.expect("chunks that are needed were not forgotten");
        let number = u32::try_from(at).expect("there are fewer than numbers");
        ItemPlace::new(number, place.offset())
    }
}
