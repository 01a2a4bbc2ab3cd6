//! Seals the blocks of files on this machine: names and attributes of what was backed up must not be read there by who
//! has no key, and damage and forgery must be noticed.
//!
//! Keys are derived from the repository's for one file alone, which is named by everything that goes into the
//! derivation, a random salt included. So counters begin anew in each file, and a block is good in its file and its
//! place only. Layout: docs/format.md, "Path index".

use ctr::cipher::{InnerIvInit, StreamCipher};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::key::Key;

/// Bytes of a salt.
pub const BLOCK_SALT_LEN: usize = 32;
/// Bytes of a block's authentication.
pub const BLOCK_TAG_LEN: usize = 32;
/// Cipher and MAC go over a block together in pieces that stay in the first level cache.
const PIECE_LEN: usize = 16 * 1024;

type Ctr = ctr::Ctr128BE<aes::Aes256Enc>;

/// Where a block belongs, and which writing of that place it is. Nothing may be sealed twice under one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockAddress {
    /// The block's number in its file.
    pub number: u64,
    /// How often the place was written before.
    pub generation: u32,
}

impl BlockAddress {
    fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..].copy_from_slice(&self.generation.to_be_bytes());
        bytes
    }
}

/// What seals the blocks of one file: AES-256-CTR, then HMAC-SHA256 over address and ciphertext.
pub struct BlockSeal {
    aes: aes::Aes256Enc,
    mac: Hmac<Sha256>,
}

/// A fresh random salt.
///
/// # Errors
/// [`CryptoError::Random`].
pub fn random_block_salt() -> Result<[u8; BLOCK_SALT_LEN], CryptoError> {
    let mut salt = [0; BLOCK_SALT_LEN];
    getrandom::fill(&mut salt).map_err(|e| CryptoError::Random(e.to_string()))?;
    Ok(salt)
}

impl Key {
    /// What seals the file that `names` stand for together with a random `salt`. Without secrets it hides nothing, and
    /// finds damage only.
    pub fn block_seal(&self, salt: &[u8; BLOCK_SALT_LEN], names: &[&[u8]]) -> BlockSeal {
        let input = match self.key_map() {
            Some(secrets) => {
                let parts: [&[u8]; 3] = [&secrets.id_key, &secrets.enc_key, &secrets.enc_hmac_key];
                Zeroizing::new(parts.concat())
            }
            None => Zeroizing::new(Vec::new()),
        };
        // The length before each name: two lists of names never read the same.
        let mut role = b"ironborg-block-seal".to_vec();
        for name in names {
            role.extend_from_slice(&(name.len() as u64).to_le_bytes());
            role.extend_from_slice(name);
        }
        let mut derived = Zeroizing::new([0; 64]);
        Hkdf::<Sha512>::new(Some(salt), &input)
            .expand(&role, derived.as_mut())
            .expect("HKDF gives up to 255 times the hash length");
        let (cipher_key, mac_key) = derived.split_at(32);
        BlockSeal {
            aes: aes::Aes256Enc::new_from_slice(cipher_key).expect("half of 64 bytes"),
            mac: Hmac::new_from_slice(mac_key).expect("HMAC takes a key of any length"),
        }
    }
}

impl BlockSeal {
    /// Encrypts a block in place; returns what authenticates it.
    ///
    /// # Panics
    /// If the block has 64 GiB or more.
    pub fn seal(&self, at: BlockAddress, block: &mut [u8]) -> [u8; BLOCK_TAG_LEN] {
        let mut keystream = self.keystream(at, block.len());
        let mut mac = self.mac(at);
        for piece in block.chunks_mut(PIECE_LEN) {
            keystream.apply_keystream(piece);
            mac.update(piece);
        }
        mac.finalize().into_bytes().into()
    }

    /// Verifies a block and decrypts it in place. False: it is damaged or belongs elsewhere, and what `block` holds means
    /// nothing.
    pub fn open(&self, at: BlockAddress, block: &mut [u8], tag: &[u8; BLOCK_TAG_LEN]) -> bool {
        let mut keystream = self.keystream(at, block.len());
        let mut mac = self.mac(at);
        for piece in block.chunks_mut(PIECE_LEN) {
            mac.update(piece);
            keystream.apply_keystream(piece);
        }
        let computed: [u8; BLOCK_TAG_LEN] = mac.finalize().into_bytes().into();
        bool::from(computed.ct_eq(tag))
    }

    /// Counters are made of the address, so that no two blocks share any.
    fn keystream(&self, at: BlockAddress, len: usize) -> Ctr {
        assert!(len < 1 << 36, "32 bits count the cipher blocks of a block");
        let mut first = [0; 16];
        first[..12].copy_from_slice(&at.to_bytes());
        Ctr::from_core(ctr::CtrCore::inner_iv_init(self.aes.clone(), &first.into()))
    }

    fn mac(&self, at: BlockAddress) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&at.to_bytes());
        mac
    }
}

impl std::fmt::Debug for BlockSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::KeyMode;
    use ironborg_types::RepositoryId;

    const SALT: [u8; BLOCK_SALT_LEN] = [7; BLOCK_SALT_LEN];
    const AT: BlockAddress = BlockAddress {
        number: 3,
        generation: 0,
    };

    fn key() -> Key {
        Key::generate(KeyMode::RepokeyBlake2, RepositoryId([1; 32])).unwrap()
    }

    #[test]
    fn a_block_is_good_in_its_place_only() {
        let key = key();
        let seal = key.block_seal(&SALT, &[b"one", b"two"]);
        let plain = vec![5; 40_000];
        let mut sealed = plain.clone();
        let tag = seal.seal(AT, &mut sealed);
        assert_ne!(sealed, plain);
        let opens = |seal: &BlockSeal, at, tag| seal.open(at, &mut sealed.clone(), tag);
        assert!(opens(&seal, AT, &tag));
        assert!(!opens(&seal, BlockAddress { number: 4, ..AT }, &tag));
        let rewritten = BlockAddress {
            generation: 1,
            ..AT
        };
        assert!(!opens(&seal, rewritten, &tag));
        // Names are told apart by where they end; salts and keys count.
        for (key, salt, names) in [
            (&key, SALT, [b"onet".as_slice(), b"wo"]),
            (&key, [8; 32], [b"one", b"two"]),
            (&self::key(), SALT, [b"one", b"two"]),
        ] {
            assert!(!opens(&key.block_seal(&salt, &names), AT, &tag));
        }
        let mut opened = sealed.clone();
        assert!(seal.open(AT, &mut opened, &tag));
        assert_eq!(opened, plain);
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let seal = Key::plaintext().block_seal(&SALT, &[]);
        let mut sealed = vec![9; 64];
        let tag = seal.seal(AT, &mut sealed);
        for bit in 0..64 * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!seal.open(AT, &mut bad, &tag));
        }
        for bit in 0..32 * 8 {
            let mut bad = tag;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!seal.open(AT, &mut sealed.clone(), &bad));
        }
    }

    #[test]
    fn writing_a_place_again_uses_other_counters() {
        let seal = key().block_seal(&SALT, &[]);
        let (mut first, mut second) = (vec![0; 64], vec![0; 64]);
        seal.seal(AT, &mut first);
        let again = BlockAddress {
            generation: 1,
            ..AT
        };
        seal.seal(again, &mut second);
        assert_ne!(first, second);
    }
}
