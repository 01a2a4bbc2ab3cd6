//! The id of a chunk: a (keyed) hash of its plaintext.

use blake2b_simd::{Params, State, many};
use hmac::{Hmac, KeyInit, Mac};
use ironborg_types::ChunkId;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// How many chunks are hashed side by side at most: a few times the width of the vector units, so
/// that unequal lengths keep all lanes busy.
const BATCH: usize = 16;

/// The keyed beginning of an id hash, made once for each key.
#[derive(Clone)]
pub(crate) enum IdHasher {
    /// No key.
    Sha256,
    /// Both halves of the HMAC's state after the key.
    HmacSha256(Hmac<Sha256>),
    /// The key. BLAKE2b holds its last block back until more comes, so that a state after exactly
    /// one block of key would be no more than a copy of it.
    Blake2b(Zeroizing<Vec<u8>>),
}

impl IdHasher {
    pub(crate) fn hmac_sha256(id_key: &[u8]) -> Self {
        Self::HmacSha256(Hmac::new_from_slice(id_key).expect("HMAC takes a key of any length"))
    }

    pub(crate) fn blake2b(id_key: &[u8]) -> Self {
        Self::Blake2b(Zeroizing::new(id_key.to_vec()))
    }

    /// The id of `data`.
    pub(crate) fn hash(&self, data: &[u8]) -> ChunkId {
        match self {
            Self::Sha256 => ChunkId(Sha256::digest(data).into()),
            Self::HmacSha256(keyed) => {
                let mut mac = keyed.clone();
                mac.update(data);
                ChunkId(mac.finalize().into_bytes().into())
            }
            Self::Blake2b(key) => {
                let mut state = blake2b_state(key);
                state.update(data);
                blake2b_id(&state)
            }
        }
    }

    /// The ids of several chunks, side by side where that is faster.
    pub(crate) fn hash_many(&self, chunks: &[&[u8]], ids: &mut [ChunkId]) {
        assert_eq!(chunks.len(), ids.len(), "one id for each chunk");
        match self {
            Self::Blake2b(key) if chunks.len() > 1 => blake2b_many(key, chunks, ids),
            _ => {
                for (chunk, id) in chunks.iter().zip(ids) {
                    *id = self.hash(chunk);
                }
            }
        }
    }
}

/// BLAKE2b-256 that has taken in `key`: Borg's keyed hash is the plain hash of key and data in a
/// row.
pub(crate) fn blake2b_state(key: &[u8]) -> State {
    let mut state = Params::new().hash_length(32).to_state();
    state.update(key);
    state
}

fn blake2b_id(state: &State) -> ChunkId {
    ChunkId(blake2b_digest(state))
}

/// The 32 bytes a state of [`blake2b_state`] ends in.
pub(crate) fn blake2b_digest(state: &State) -> [u8; 32] {
    *state
        .finalize()
        .as_bytes()
        .first_chunk()
        .expect("the state was made for 32 bytes")
}

/// Hashes up to [`BATCH`] chunks at once, each lane of the vector unit working on another.
fn blake2b_many(key: &[u8], chunks: &[&[u8]], ids: &mut [ChunkId]) {
    let keyed = blake2b_state(key);
    let mut states: [State; BATCH] = std::array::from_fn(|_| keyed.clone());
    for (chunks, ids) in chunks.chunks(BATCH).zip(ids.chunks_mut(BATCH)) {
        let states = &mut states[..chunks.len()];
        states.fill(keyed.clone());
        many::update_many(states.iter_mut().zip(chunks.iter()));
        for (state, id) in states.iter().zip(ids) {
            *id = blake2b_id(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn many_at_once_is_one_by_one(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1000), 0..40),
            key in prop::collection::vec(any::<u8>(), 1..200),
        ) {
            let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            for hasher in [IdHasher::Sha256, IdHasher::hmac_sha256(&key), IdHasher::blake2b(&key)] {
                let mut ids = vec![ChunkId::MANIFEST; chunks.len()];
                hasher.hash_many(&slices, &mut ids);
                let expected: Vec<_> = slices.iter().map(|chunk| hasher.hash(chunk)).collect();
                prop_assert_eq!(ids, expected);
            }
        }
    }
}
