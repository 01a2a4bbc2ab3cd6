//! Reproducible bytes and numbers: the generator of the golden vectors, and a small random number generator.

use sha2::{Digest, Sha256};

/// The first `len` bytes of SHA256(label, 0) ‖ SHA256(label, 1) ‖ …, counters as 8 bytes big-endian.
///
/// The golden vectors in `testdata/vectors` describe their inputs this way.
pub fn generated(label: &str, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 32);
    for counter in 0_u64.. {
        if bytes.len() >= len {
            break;
        }
        let mut hash = Sha256::new();
        hash.update(label.as_bytes());
        hash.update(counter.to_be_bytes());
        bytes.extend_from_slice(&hash.finalize());
    }
    bytes.truncate(len);
    bytes
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Numbers that depend on the seed alone (SplitMix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that always gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, uniform over all of `u64`.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    ///
    /// # Panics
    /// When `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "no number is below 0");
        usize::try_from(self.next_u64() % end as u64).expect("below a usize")
    }

    /// Fills `buf` with incompressible bytes.
    pub fn fill(&mut self, buf: &mut [u8]) {
        for part in buf.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
    }

    /// `len` incompressible bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_bytes_are_those_of_the_vectors() {
        let first = Sha256::digest(b"label\0\0\0\0\0\0\0\0");
        let second = Sha256::digest(b"label\0\0\0\0\0\0\0\x01");
        let bytes = generated("label", 40);
        assert_eq!(bytes[..32], first[..]);
        assert_eq!(bytes[32..], second[..8]);
        assert!(generated("label", 0).is_empty());
    }

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        assert_eq!(Random::new(7).bytes(100), Random::new(7).bytes(100));
        assert_ne!(Random::new(7).bytes(100), Random::new(8).bytes(100));
    }
}
