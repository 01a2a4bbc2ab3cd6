//! Object to chunk.

use crate::decompress::Decompressor;
use crate::error::ObjectError;
use ironborg_crypto::Key;
use ironborg_types::ChunkId;

/// Makes chunks of objects, one after the other, keeping contexts and buffers. One for each worker.
#[derive(Debug, Default)]
pub struct Opener {
    decompressor: Decompressor,
    /// The compressed data after decryption.
    compressed: Vec<u8>,
}

impl Opener {
    /// Takes plaintexts up to [`crate::PLAINTEXT_LEN_MAX`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes plaintexts up to `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            decompressor: Decompressor::with_limit(limit),
            compressed: Vec::new(),
        }
    }

    /// Replaces the content of `out` by the plaintext of `object`, which was stored under `id`.
    ///
    /// Type byte and MAC are checked, then the id against the plaintext; the manifest's, which is
    /// no hash, is not: its authentication is [`ironborg_crypto::tam`]'s. A key without secrets
    /// checks neither.
    ///
    /// # Errors
    /// [`ObjectError::Crypto`], [`ObjectError::Decompression`]; `out` is then empty.
    pub fn open(
        &mut self,
        key: &Key,
        id: &ChunkId,
        object: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        out.clear();
        // Borg reads the manifest without naming it, which shows in the messages.
        let id = Some(id).filter(|id| **id != ChunkId::MANIFEST);
        let stored = key.open_envelope(id, object, &mut self.compressed)?;
        self.decompressor.decompress(stored, out)?;
        if let Some(id) = id
            && let Err(error) = key.verify_id(id, out)
        {
            out.clear();
            return Err(error.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
