//! Id hashes, MACs, ciphers, key blobs, nonces and manifest authentication.
//!
//! Sans-I/O: the only thing taken from the system is randomness. Where keys, passphrases and nonce
//! counters are kept is the business of the layers above. See `docs/security.md`.

pub mod block_seal;
pub mod envelope;
pub mod error;
pub mod id_hash;
pub mod key;
pub mod key_blob;
mod lanes;
pub mod mode;
pub mod nonce;
pub mod passphrase;
mod stretch;
pub mod tam;

pub use block_seal::{BLOCK_SALT_LEN, BLOCK_TAG_LEN, BlockAddress, BlockSeal, random_block_salt};
pub use envelope::{Authentic, ENVELOPE_OVERHEAD, EnvelopeNonce, LetGo, envelope_nonce};
pub use error::CryptoError;
pub use key::{Key, RelatedSecrets};
pub use key_blob::Stretched;
pub use mode::{EnvelopeKind, IdHashKind, KeyMode, KeyStorage};
pub use nonce::{Nonce, Nonces};
pub use passphrase::Passphrase;

#[cfg(test)]
mod tests;
