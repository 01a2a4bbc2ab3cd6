//! Each stage of a backup alone, on one thread: what a chunk, an item, an entry or a message costs. Cutting, the caches and the
//! index of a mount are measured beside their crates.

mod entries;
mod items;
mod messages;
mod objects;

use std::sync::Mutex;
use std::sync::PoisonError;

use ironborg_crypto::{Key, KeyMode};
use ironborg_testkit::{Random, tree};
use ironborg_types::{ChunkId, NonceStore, NonceStoreError, RepositoryId};

fn main() {
    divan::main();
}

/// Bytes of a chunk as a small file has, and as a large one.
const CHUNK_LENS: [usize; 2] = [2_500, 1 << 20];

/// Something to compress: half of it words, half of it random.
fn content(len: usize) -> Vec<u8> {
    let mut random = Random::new(7);
    let mut bytes = tree::text(&mut random, len / 2);
    bytes.extend(random.bytes(len - len / 2));
    bytes
}

/// Different ids.
fn id(number: u64) -> ChunkId {
    let mut random = Random::new(number);
    ChunkId(std::array::from_fn(|_| random.next_u64().to_le_bytes()[0]))
}

fn key(mode: KeyMode) -> Key {
    Key::generate(mode, RepositoryId([7; 32])).expect("the system has random numbers")
}

/// A counter that is kept nowhere: what is encrypted with it is thrown away.
#[derive(Debug, Default)]
struct Counter(Mutex<Option<u64>>);

impl NonceStore for Counter {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        Ok(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reserve(&self, next: u64, _: Option<u64>) -> Result<(), NonceStoreError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(())
    }
}
