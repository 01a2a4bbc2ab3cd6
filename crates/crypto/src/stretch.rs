//! Stretching a passphrase: PBKDF2-HMAC-SHA256 (RFC 8018, 5.2).
//!
//! Every command that opens an encrypted repository waits for this first, on one core. Each of the rounds hashes two blocks
//! of known shape; going straight from one to the next takes 9 ms for 100,000 rounds on one thread of a Sapphire Rapids
//! Xeon, 15 through a MAC of any message as in [`pbkdf2`].
//!
//! [`pbkdf2`]: https://docs.rs/pbkdf2

use sha2::block_api::compress256;
use zeroize::Zeroizing;

use crate::id_hash::KeyedHmac;
use crate::lanes::HmacStates;
use hmac::Mac;

/// Fills `derived` with what `passphrase` and `salt` give after so many rounds; none are taken for one.
pub(crate) fn pbkdf2(passphrase: &[u8], salt: &[u8], rounds: u32, derived: &mut [u8]) {
    let keyed = KeyedHmac::new(passphrase);
    let states = HmacStates::new(passphrase);
    for (number, part) in (1_u32..).zip(derived.chunks_mut(32)) {
        let mut first = keyed.begin();
        first.update(salt);
        first.update(&number.to_be_bytes());
        let sum = sum_of_rounds(&states, first.finalize().into_bytes().into(), rounds);
        part.copy_from_slice(&sum[..part.len()]);
    }
}

/// The MAC of the MAC and so on, and all of them added up without carry.
fn sum_of_rounds(states: &HmacStates, first: [u8; 32], rounds: u32) -> Zeroizing<[u8; 32]> {
    let mut sum = Zeroizing::new(first);
    let mut block = Zeroizing::new(block_of_mac());
    block[..32].copy_from_slice(&first);
    for _ in 1..rounds {
        for half in [states.inner(), states.outer()] {
            let mut state = *half;
            compress256(&mut state, std::slice::from_ref(&*block));
            for (bytes, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(state) {
                *bytes = word.to_be_bytes();
            }
        }
        for (sum, byte) in sum.iter_mut().zip(&block[..32]) {
            *sum ^= byte;
        }
    }
    sum
}

/// The last block of a message of one block, which is the key's, and 32 bytes, with room for these.
fn block_of_mac() -> [u8; 64] {
    let mut block = [0; 64];
    block[32] = 0x80;
    block[56..].copy_from_slice(&(8_u64 * (64 + 32)).to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::Sha256;

    proptest! {
        #[test]
        fn is_what_others_derive(
            passphrase in prop::collection::vec(any::<u8>(), 0..200),
            salt in prop::collection::vec(any::<u8>(), 0..100),
            rounds in 1_u32..20,
            len in 0_usize..120,
        ) {
            let mut expected = vec![0; len];
            ::pbkdf2::pbkdf2_hmac::<Sha256>(&passphrase, &salt, rounds, &mut expected);
            let mut derived = vec![0; len];
            pbkdf2(&passphrase, &salt, rounds, &mut derived);
            prop_assert_eq!(derived, expected);
        }
    }
}
