//! The id of a chunk: a (keyed) hash of its plaintext.

use blake2b_simd::{Params, State, many};
use hmac::{Hmac, KeyInit, Mac};
use ironborg_types::ChunkId;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::lanes::{HmacStates, KeyedBlake2b, Sha256Lanes};

/// How many chunks are hashed side by side at most: a few times the width of the vector units, so
/// that unequal lengths keep all lanes busy.
const BATCH: usize = 16;

/// The keyed beginning of an id hash, made once for each key.
#[derive(Clone)]
pub(crate) enum IdHasher {
    /// No key.
    Sha256,
    HmacSha256(KeyedHmac),
    /// The key. BLAKE2b holds its last block back until more comes, so that a state after exactly
    /// one block of key would be no more than a copy of it.
    Blake2b(Zeroizing<Vec<u8>>),
}

impl IdHasher {
    pub(crate) fn hmac_sha256(id_key: &[u8]) -> Self {
        Self::HmacSha256(KeyedHmac::new(id_key))
    }

    pub(crate) fn blake2b(id_key: &[u8]) -> Self {
        Self::Blake2b(Zeroizing::new(id_key.to_vec()))
    }

    /// The id of `data`.
    pub(crate) fn hash(&self, data: &[u8]) -> ChunkId {
        match self {
            Self::Sha256 => ChunkId(Sha256::digest(data).into()),
            Self::HmacSha256(keyed) => {
                let mut mac = keyed.begin();
                mac.update(data);
                ChunkId(mac.finalize().into_bytes().into())
            }
            Self::Blake2b(key) => {
                let mut state = blake2b_state(key);
                state.update(data);
                ChunkId(blake2b_digest(&state))
            }
        }
    }

    /// The ids of several chunks, side by side where that is faster.
    pub(crate) fn hash_many(&self, chunks: &[&[u8]], ids: &mut [ChunkId]) {
        assert_eq!(chunks.len(), ids.len(), "one id for each chunk");
        let put = |number: usize, digest| ids[number] = ChunkId(digest);
        match self {
            Self::Sha256 => sha256_many(chunks, put),
            Self::HmacSha256(keyed) => keyed.hash_many(chunks, put),
            Self::Blake2b(key) => blake2b_many(key, chunks, put),
        }
    }
}

/// HMAC-SHA256 that has taken in its key: both halves of its state.
#[derive(Clone)]
pub(crate) struct KeyedHmac {
    alone: Hmac<Sha256>,
    lanes: HmacStates,
}

impl KeyedHmac {
    /// With a key of any length.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self {
            alone: Hmac::new_from_slice(key).expect("HMAC takes a key of any length"),
            lanes: HmacStates::new(key),
        }
    }

    /// A MAC of nothing so far.
    pub(crate) fn begin(&self) -> Hmac<Sha256> {
        self.alone.clone()
    }

    /// Hands out the MAC of each message, by its number.
    pub(crate) fn hash_many(&self, messages: &[&[u8]], mut put: impl FnMut(usize, [u8; 32])) {
        if messages.len() > 1 && Sha256Lanes::are_here() {
            return self.lanes.hash(messages, put);
        }
        for (number, message) in messages.iter().enumerate() {
            let mut mac = self.begin();
            mac.update(message);
            put(number, mac.finalize().into_bytes().into());
        }
    }
}

fn sha256_many(messages: &[&[u8]], mut put: impl FnMut(usize, [u8; 32])) {
    if messages.len() > 1 && Sha256Lanes::are_here() {
        return Sha256Lanes::hash(messages, put);
    }
    for (number, message) in messages.iter().enumerate() {
        put(number, Sha256::digest(message).into());
    }
}

/// BLAKE2b-256 that has taken in `key`: Borg's keyed hash is the plain hash of key and data in a
/// row.
pub(crate) fn blake2b_state(key: &[u8]) -> State {
    let mut state = Params::new().hash_length(32).to_state();
    state.update(key);
    state
}

/// The 32 bytes a state of [`blake2b_state`] ends in.
pub(crate) fn blake2b_digest(state: &State) -> [u8; 32] {
    *state
        .finalize()
        .as_bytes()
        .first_chunk()
        .expect("the state was made for 32 bytes")
}

/// Hands out the keyed hash of each message, by its number.
pub(crate) fn blake2b_many(key: &[u8], messages: &[&[u8]], mut put: impl FnMut(usize, [u8; 32])) {
    let keyed = blake2b_state(key);
    if let [message] = messages {
        let mut state = keyed;
        state.update(message);
        return put(0, blake2b_digest(&state));
    }
    match KeyedBlake2b::new(key) {
        Some(lanes) => lanes.hash(messages, put),
        None => blake2b_batches(&keyed, messages, put),
    }
}

/// Hashes up to [`BATCH`] messages at once, each lane of the vector unit working on another.
fn blake2b_batches(keyed: &State, messages: &[&[u8]], mut put: impl FnMut(usize, [u8; 32])) {
    let mut states: [State; BATCH] = std::array::from_fn(|_| keyed.clone());
    for (batch, messages) in messages.chunks(BATCH).enumerate() {
        let states = &mut states[..messages.len()];
        states.fill(keyed.clone());
        many::update_many(states.iter_mut().zip(messages.iter()));
        for (at, state) in states.iter().enumerate() {
            put(batch * BATCH + at, blake2b_digest(state));
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
            key in prop_oneof![prop::collection::vec(any::<u8>(), 1..200), prop::collection::vec(any::<u8>(), 128)],
        ) {
            let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            for hasher in [IdHasher::Sha256, IdHasher::hmac_sha256(&key), IdHasher::blake2b(&key)] {
                let mut ids = vec![ChunkId::MANIFEST; chunks.len()];
                hasher.hash_many(&slices, &mut ids);
                let expected: Vec<_> = slices.iter().map(|chunk| hasher.hash(chunk)).collect();
                prop_assert_eq!(ids, expected);
            }
            let mut ids = vec![[0; 32]; chunks.len()];
            blake2b_batches(&blake2b_state(&key), &slices, |number, id| ids[number] = id);
            let hasher = IdHasher::blake2b(&key);
            let expected: Vec<_> = slices.iter().map(|chunk| hasher.hash(chunk).0).collect();
            prop_assert_eq!(ids, expected);
        }
    }
}
