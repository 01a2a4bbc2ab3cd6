//! SHA-256 and HMAC-SHA256 of several messages.

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Lanes, Stretch, TAIL_MAX, Tail, hash_all, simd};

const BLOCK: usize = 64;
/// Source: FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Two streams of SHA-256, each beginning where `prefix` bytes are hashed already.
pub(crate) struct Sha256Lanes {
    prefix: u64,
}

impl Sha256Lanes {
    /// Whether this processor can do it.
    pub(crate) fn are_here() -> bool {
        simd::has_sha()
    }

    /// Hands out the hash of each message, by its number.
    ///
    /// # Panics
    /// If [`Self::are_here`] says no.
    pub(crate) fn hash(messages: &[&[u8]], mut put: impl FnMut(usize, [u8; 32])) {
        let lanes = Self { prefix: 0 };
        hash_all::<2, _>(&lanes, INITIAL, messages, |number, state| {
            put(number, to_bytes(state));
        });
    }
}

impl Lanes<2> for Sha256Lanes {
    const BLOCK: usize = BLOCK;
    type State = [u32; 8];

    fn split<'m>(&self, message: &'m [u8]) -> (&'m [u8], Tail) {
        let (whole, rest) = message.split_at(message.len() / BLOCK * BLOCK);
        let mut bytes = [0; TAIL_MAX];
        bytes[..rest.len()].copy_from_slice(rest);
        bytes[rest.len()] = 0x80;
        // The mark and eight bytes of length have to fit in behind the rest.
        let len = if rest.len() + 9 <= BLOCK {
            BLOCK
        } else {
            2 * BLOCK
        };
        let bits = (self.prefix + message.len() as u64) * 8;
        bytes[len - 8..len].copy_from_slice(&bits.to_be_bytes());
        (whole, Tail { bytes, len })
    }

    fn compress(&self, states: &mut [Self::State; 2], stretches: &[Stretch<'_>; 2], blocks: usize) {
        simd::sha256(states, stretches.map(|stretch| stretch.bytes), blocks);
    }
}

/// The states of HMAC-SHA256 behind the key.
#[derive(Clone)]
pub(crate) struct HmacStates {
    inner: Zeroizing<[u32; 8]>,
    outer: Zeroizing<[u32; 8]>,
}

impl HmacStates {
    /// Of a key of any length. Source: RFC 2104.
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK]);
        if key.len() > BLOCK {
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let state = |pad: u8| {
            let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
            let mut state = Zeroizing::new(INITIAL);
            compress256(&mut state, std::slice::from_ref(&*padded));
            state
        };
        Self {
            inner: state(0x36),
            outer: state(0x5c),
        }
    }

    /// The state the inner hash begins with.
    pub(crate) fn inner(&self) -> &[u32; 8] {
        &self.inner
    }

    /// The state the outer hash begins with.
    pub(crate) fn outer(&self) -> &[u32; 8] {
        &self.outer
    }

    /// Hands out the MAC of each message, by its number.
    ///
    /// # Panics
    /// If [`Sha256Lanes::are_here`] says no.
    pub(crate) fn hash(&self, messages: &[&[u8]], mut put: impl FnMut(usize, [u8; 32])) {
        let lanes = Sha256Lanes {
            prefix: BLOCK as u64,
        };
        let mut inner = vec![[0; 32]; messages.len()];
        hash_all::<2, _>(&lanes, *self.inner, messages, |number, state| {
            inner[number] = to_bytes(state);
        });
        let inner: Vec<&[u8]> = inner.iter().map(<[u8; 32]>::as_slice).collect();
        hash_all::<2, _>(&lanes, *self.outer, &inner, |number, state| {
            put(number, to_bytes(state));
        });
    }
}

fn to_bytes(state: &[u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;

    /// Whether there is anything to be compared.
    fn is_testable() -> bool {
        Sha256Lanes::are_here()
    }

    proptest! {
        #[test]
        fn side_by_side_is_one_by_one(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..12),
            key in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            if !is_testable() {
                return Ok(());
            }
            let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let mut hashes = vec![[0; 32]; slices.len()];
            Sha256Lanes::hash(&slices, |number, hash| hashes[number] = hash);
            let expected: Vec<[u8; 32]> = slices.iter().map(|m| Sha256::digest(m).into()).collect();
            prop_assert_eq!(&hashes, &expected);

            HmacStates::new(&key).hash(&slices, |number, hash| hashes[number] = hash);
            let mac = |message: &&[u8]| -> [u8; 32] {
                let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
                mac.update(message);
                mac.finalize().into_bytes().into()
            };
            let expected: Vec<[u8; 32]> = slices.iter().map(mac).collect();
            prop_assert_eq!(&hashes, &expected);
        }
    }

    #[test]
    fn every_length_about_the_ends_of_blocks() {
        if !is_testable() {
            return;
        }
        let bytes: Vec<u8> = (0..=255).cycle().take(300).collect();
        let slices: Vec<&[u8]> = (0..300).map(|len| &bytes[..len]).collect();
        let mut count = 0;
        Sha256Lanes::hash(&slices, |number, hash| {
            assert_eq!(hash, <[u8; 32]>::from(Sha256::digest(slices[number])));
            count += 1;
        });
        assert_eq!(count, 300);
    }
}
