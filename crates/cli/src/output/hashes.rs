//! Hashes of file content for `list --format`.

use std::fmt::Write as _;

use blake2::digest::{Digest, DynDigest};

use super::item_fields::HASH_NAMES;

/// One running hash.
pub(crate) enum ContentHash {
    /// Any of the cryptographic ones.
    Digest(Box<dyn DynDigest>),
    /// XXH64 with seed 0.
    Xxh64(Box<xxhash_rust::xxh64::Xxh64>),
}

impl ContentHash {
    /// Starts the hash of that index in [`HASH_NAMES`].
    pub(crate) fn new(index: usize) -> Self {
        let digest: Box<dyn DynDigest> = match HASH_NAMES[index] {
            "md5" => Box::new(md5::Md5::new()),
            "sha1" => Box::new(sha1::Sha1::new()),
            "sha224" => Box::new(sha2::Sha224::new()),
            "sha256" => Box::new(sha2::Sha256::new()),
            "sha384" => Box::new(sha2::Sha384::new()),
            "sha512" => Box::new(sha2::Sha512::new()),
            "sha3_224" => Box::new(sha3::Sha3_224::new()),
            "sha3_256" => Box::new(sha3::Sha3_256::new()),
            "sha3_384" => Box::new(sha3::Sha3_384::new()),
            "sha3_512" => Box::new(sha3::Sha3_512::new()),
            "blake2b" => Box::new(blake2::Blake2b512::new()),
            "blake2s" => Box::new(blake2::Blake2s256::new()),
            _ => return Self::Xxh64(Box::new(xxhash_rust::xxh64::Xxh64::new(0))),
        };
        Self::Digest(digest)
    }

    /// Adds content.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Digest(digest) => digest.update(bytes),
            Self::Xxh64(hash) => hash.update(bytes),
        }
    }

    /// The hash in hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        match self {
            Self::Digest(digest) => {
                let mut text = String::with_capacity(digest.output_size() * 2);
                for byte in digest.finalize() {
                    let _ = write!(text, "{byte:02x}");
                }
                text
            }
            Self::Xxh64(hash) => format!("{:016x}", hash.digest()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_python() {
        let hash = |name: &str| {
            let mut hash = ContentHash::new(HASH_NAMES.iter().position(|n| *n == name).unwrap());
            hash.update(b"hel");
            hash.update(b"lo\n");
            hash.finish()
        };
        assert_eq!(hash("md5"), "b1946ac92492d2347c6235b4d2611184");
        assert_eq!(hash("xxh64"), "e4c191d091bd8853");
        assert_eq!(
            hash("sha224"),
            "2d6d67d91d0badcdd06cbbba1fe11538a68a37ec9c2e26457ceff12b"
        );
        assert!(hash("blake2b").starts_with("f60ce482e5cc1229f39d7131317"));
        assert_eq!(
            hash("sha3_256"),
            "b314e28493eae9dab57ac4f0c6d887bddbbeb810e900d818395ace558e96516d"
        );
    }
}
