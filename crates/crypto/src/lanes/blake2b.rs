//! Keyed BLAKE2b-256 of several messages.

use crate::id_hash::{blake2b_digest, blake2b_state};

use super::{Lanes, Stretch, TAIL_MAX, Tail, hash_all, simd};

pub(super) const BLOCK: usize = 128;
pub(super) const LANES: usize = 4;
/// Source: RFC 7693, 2.6.
pub(super) const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];
/// Digest length 32, no key by BLAKE2's own means, no tree.
const PARAMETERS: u64 = 0x0101_0020;

/// BLAKE2b-256 of one block of key and a message, of several messages at once.
pub(crate) struct KeyedBlake2b<'k> {
    key: &'k [u8; BLOCK],
}

impl<'k> KeyedBlake2b<'k> {
    /// With the key; `None` if it is not one block long, or this processor cannot do it.
    pub(crate) fn new(key: &'k [u8]) -> Option<Self> {
        let key = key.try_into().ok()?;
        simd::has_avx512().then_some(Self { key })
    }

    /// Hands out the hash of each message, by its number.
    pub(crate) fn hash(&self, messages: &[&[u8]], mut put: impl FnMut(usize, [u8; 32])) {
        let mut initial = IV;
        initial[0] ^= PARAMETERS;
        let mut states = [initial; LANES];
        let key = Stretch {
            bytes: self.key,
            reached: 0, // The key is counted where blocks are.
            is_last: false,
        };
        self.compress(&mut states, &[key; LANES], 1);
        let numbers: Vec<usize> = (0..messages.len())
            .filter(|number| !messages[*number].is_empty())
            .collect();
        let filled: Vec<&[u8]> = numbers.iter().map(|number| messages[*number]).collect();
        hash_all(self, states[0], &filled, |at, state| {
            put(numbers[at], to_bytes(state));
        });
        // Behind these nothing comes, so the key itself is their last block.
        for number in (0..messages.len()).filter(|number| messages[*number].is_empty()) {
            put(number, blake2b_digest(&blake2b_state(self.key)));
        }
    }
}

impl Lanes<LANES> for KeyedBlake2b<'_> {
    const BLOCK: usize = BLOCK;
    type State = [u64; 8];

    /// The last block is one of the message, even if that fills it: BLAKE2b adds nothing to mark the end.
    fn split<'m>(&self, message: &'m [u8]) -> (&'m [u8], Tail) {
        let whole = message.len().saturating_sub(1) / BLOCK * BLOCK;
        let (whole, rest) = message.split_at(whole);
        let mut bytes = [0; TAIL_MAX];
        bytes[..rest.len()].copy_from_slice(rest);
        (whole, Tail { bytes, len: BLOCK })
    }

    fn compress(
        &self,
        states: &mut [Self::State; LANES],
        stretches: &[Stretch<'_>; LANES],
        blocks: usize,
    ) {
        let counts = stretches.map(|stretch| stretch.reached + BLOCK as u64);
        let last = stretches.map(|stretch| stretch.is_last);
        simd::blake2b(
            states,
            stretches.map(|stretch| stretch.bytes),
            blocks,
            &Ends { counts, last },
        );
    }
}

/// Where the first block of each lane ends.
pub(super) struct Ends {
    /// Bytes hashed then, the key included.
    pub(super) counts: [u64; LANES],
    /// Whether the message ends there, too.
    pub(super) last: [bool; LANES],
}

fn to_bytes(state: &[u64; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id_hash::{blake2b_digest, blake2b_state};
    use proptest::prelude::*;

    fn one_by_one(key: &[u8], message: &[u8]) -> [u8; 32] {
        let mut state = blake2b_state(key);
        state.update(message);
        blake2b_digest(&state)
    }

    proptest! {
        #[test]
        fn side_by_side_is_one_by_one(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..12),
            key in prop::collection::vec(any::<u8>(), BLOCK),
        ) {
            let Some(keyed) = KeyedBlake2b::new(&key) else {
                return Ok(());
            };
            let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let mut hashes = vec![[0; 32]; slices.len()];
            keyed.hash(&slices, |number, hash| hashes[number] = hash);
            let expected: Vec<[u8; 32]> = slices.iter().map(|m| one_by_one(&key, m)).collect();
            prop_assert_eq!(&hashes, &expected);
        }
    }

    #[test]
    fn every_length_about_the_ends_of_blocks() {
        let key = [9; BLOCK];
        let Some(keyed) = KeyedBlake2b::new(&key) else {
            return;
        };
        let bytes: Vec<u8> = (0..=255).cycle().take(600).collect();
        let slices: Vec<&[u8]> = (0..600).map(|len| &bytes[..len]).collect();
        let mut count = 0;
        keyed.hash(&slices, |number, hash| {
            assert_eq!(hash, one_by_one(&key, slices[number]), "length {number}");
            count += 1;
        });
        assert_eq!(count, 600);
    }

    #[test]
    fn keys_of_other_lengths_are_left_to_others() {
        assert!(KeyedBlake2b::new(&[1; 64]).is_none());
    }
}
