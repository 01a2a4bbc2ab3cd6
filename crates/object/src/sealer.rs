//! Chunk to object.

use crate::compress::Compressor;
use crate::compression::Compression;
use crate::decompress::{PLAINTEXT_LEN_MAX, StoredForm};
use crate::error::ObjectError;
use ironborg_crypto::{Key, Nonces};

/// Makes objects of chunks, one after the other, keeping contexts and buffers. One for each worker.
#[derive(Debug)]
pub struct Sealer {
    compression: Compression,
    compressor: Compressor,
}

impl Sealer {
    /// Compresses as `compression` says.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            compressor: Compressor::new(),
        }
    }

    /// What it compresses with.
    pub fn compression(&self) -> &Compression {
        &self.compression
    }

    /// Replaces the content of `out` by the object for `data`, ready to be stored under
    /// `key.id_hash(data)`. Its length is what Borg calls csize.
    ///
    /// The data is compressed right behind the room for the envelope and encrypted there; in a
    /// steady state nothing is allocated and nothing copied.
    ///
    /// # Errors
    /// [`ObjectError::PlaintextTooLong`]; those of [`Key::seal_in_place`].
    pub fn seal(
        &mut self,
        key: &Key,
        nonces: &Nonces,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        self.compress(key, data, out)?;
        Ok(key.seal_in_place(nonces, out)?)
    }

    /// The length of the object [`Self::seal`] would make, without making it.
    ///
    /// # Errors
    /// [`ObjectError::PlaintextTooLong`].
    pub fn sealed_len(&mut self, key: &Key, data: &[u8]) -> Result<usize, ObjectError> {
        let mut out = Vec::new();
        self.compress(key, data, &mut out)?;
        Ok(out.len())
    }

    /// As [`Self::seal`], unless the object would be of the form `present`: then nothing is encrypted,
    /// `out` is empty, and the answer is false. Source: Borg 1.4, `ArchiveRecreater.chunk_processor`.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_unless(
        &mut self,
        present: StoredForm,
        key: &Key,
        nonces: &Nonces,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, ObjectError> {
        let undecided = match &self.compression {
            // What LZ4 decides counts, not what comes of it in the end.
            Compression::Auto(inner) => {
                let decided = self.compressor.decide_auto(inner, data);
                if decided == Some(present) {
                    out.clear();
                    return Ok(false);
                }
                false
            }
            _ => true,
        };
        self.compress(key, data, out)?;
        if undecided && StoredForm::of(&out[key.envelope_overhead()..]) == Some(present) {
            out.clear();
            return Ok(false);
        }
        key.seal_in_place(nonces, out)?;
        Ok(true)
    }

    /// Leaves room for the envelope and the stored form behind it.
    fn compress(&mut self, key: &Key, data: &[u8], out: &mut Vec<u8>) -> Result<(), ObjectError> {
        if data.len() > PLAINTEXT_LEN_MAX {
            return Err(ObjectError::PlaintextTooLong { len: data.len() });
        }
        out.clear();
        out.resize(key.envelope_overhead(), 0);
        self.compressor.compress(&self.compression, data, out);
        Ok(())
    }
}
