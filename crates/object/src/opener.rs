//! Object to chunk.

use std::ops::Range;

use crate::decompress::{Decompressor, StoredForm};
use crate::error::ObjectError;
use ironborg_crypto::{Authentic, CryptoError, Key};
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
    /// Type byte and MAC are checked, then the id against the plaintext, whatever the id is: an archive
    /// that names the manifest's as content is a forgery. A key without secrets checks neither.
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
        self.open_form(key, id, object, out).map(drop)
    }

    /// As [`Self::open`]; also tells the form the plaintext was stored in.
    ///
    /// # Errors
    /// As [`Self::open`].
    ///
    /// # Panics
    /// Never: what was decompressed is of a known form.
    pub fn open_form(
        &mut self,
        key: &Key,
        id: &ChunkId,
        object: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<StoredForm, ObjectError> {
        let form = self.open_unverified(key, Some(id), object, out)?;
        if let Err(error) = key.verify_id(id, out) {
            out.clear();
            return Err(error.into());
        }
        Ok(form)
    }

    /// As [`Self::open`], for a plaintext that should have `len` bytes: then `out` needs no more room than that. (An LZ4
    /// block does not say how long it is; room for what it could be is up to 255 times as much.) One of another length is
    /// opened all the same. It is decrypted where it is: what is in `object` means nothing any more.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_sized(
        &mut self,
        key: &Key,
        id: &ChunkId,
        object: &mut [u8],
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        out.clear();
        let stored = key.open_envelope_in_place(Some(id), object)?;
        decompress(&mut self.decompressor, stored, Some(len), out)?;
        if let Err(error) = key.verify_id(id, out) {
            out.clear();
            return Err(error.into());
        }
        Ok(())
    }

    /// Opens the manifest, the one object that is not stored under the hash of its plaintext: its
    /// authentication is [`ironborg_crypto::tam`]'s.
    ///
    /// # Errors
    /// As [`Self::open`], but for the id.
    pub fn open_manifest(
        &mut self,
        key: &Key,
        object: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        // Borg reads the manifest without naming it, which shows in the messages.
        self.open_unverified(key, None, object, out).map(drop)
    }

    /// Opens several objects as [`Self::open`] opens one, computing their MACs and ids side by side: two to four at a time
    /// take a half to a third of the time. The plaintexts, which should have `lens` bytes each (see [`Self::open_sized`]),
    /// replace what is in `out`, one behind the other; the i-th result says where that of `objects[i]` is.
    ///
    /// # Panics
    /// If there are not as many `lens` as `objects`.
    pub fn open_many(
        &mut self,
        key: &Key,
        objects: &[(ChunkId, &[u8])],
        lens: &[usize],
        out: &mut Vec<u8>,
    ) -> Vec<Result<Range<usize>, ObjectError>> {
        assert_eq!(objects.len(), lens.len(), "a length for each object");
        self.open_in_turns(key, objects, |at| Some(lens[at]), usize::MAX, out)
    }

    /// As [`Self::open_many`], for who only wants to know whether they open. When `room` bytes of plaintext are there,
    /// they make place for the next: memory is that and one plaintext more.
    pub fn verify_many(
        &mut self,
        key: &Key,
        objects: &[(ChunkId, &[u8])],
        room: usize,
        plaintexts: &mut Vec<u8>,
    ) -> Vec<Result<(), ObjectError>> {
        let opened = self.open_in_turns(key, objects, |_| None, room, plaintexts);
        opened
            .into_iter()
            .map(|result| result.map(|_| ()))
            .collect()
    }

    /// As [`Self::open_many`], with a buffer for each: `outs[i]` gets the plaintext of `objects[i]`. They are decrypted where
    /// they are: what is in `objects` then means nothing.
    ///
    /// # Panics
    /// If there are not as many `objects`, `lens` and `outs` as `ids`.
    pub fn open_each(
        &mut self,
        key: &Key,
        ids: &[ChunkId],
        objects: &mut [Vec<u8>],
        lens: &[usize],
        outs: &mut [Vec<u8>],
    ) -> Vec<Result<(), ObjectError>> {
        assert_eq!(ids.len(), objects.len(), "an object for each id");
        assert_eq!(ids.len(), lens.len(), "a length for each object");
        assert_eq!(ids.len(), outs.len(), "a buffer for each object");
        let named = ids.iter().zip(&*objects);
        let named: Vec<(ChunkId, &[u8])> = named.map(|(id, object)| (*id, &object[..])).collect();
        let authentic = key.authenticate_many(&named).into_iter();
        let authentic: Vec<_> = authentic.map(|it| it.map(Authentic::let_go)).collect();
        let mut results: Vec<Result<(), ObjectError>> = authentic
            .into_iter()
            .zip(objects)
            .zip(lens.iter().zip(&mut *outs))
            .map(|((authentic, object), (len, out))| {
                out.clear();
                let stored = key.decrypt_in_place(authentic?, object);
                decompress(&mut self.decompressor, stored, Some(*len), out)
            })
            .collect();
        let opened: Vec<usize> = (0..ids.len()).filter(|i| results[*i].is_ok()).collect();
        let named: Vec<ChunkId> = opened.iter().map(|i| ids[*i]).collect();
        let chunks: Vec<&[u8]> = opened.iter().map(|i| outs[*i].as_slice()).collect();
        let matches = key.verify_ids(&named, &chunks);
        for (i, _) in opened
            .into_iter()
            .zip(matches)
            .filter(|(_, matches)| !matches)
        {
            outs[i].clear();
            results[i] = Err(CryptoError::IdMismatch { id: ids[i] }.into());
        }
        results
    }

    /// Opens objects one behind the other; whenever there are `room` bytes, those are compared with their ids and go.
    fn open_in_turns(
        &mut self,
        key: &Key,
        objects: &[(ChunkId, &[u8])],
        len_of: impl Fn(usize) -> Option<usize>,
        room: usize,
        out: &mut Vec<u8>,
    ) -> Vec<Result<Range<usize>, ObjectError>> {
        let mut results = Vec::with_capacity(objects.len());
        let mut verified = 0;
        out.clear();
        for (at, authentic) in key.authenticate_many(objects).into_iter().enumerate() {
            if out.len() >= room {
                verify_ids(key, &objects[verified..], &mut results[verified..], out);
                verified = at;
                out.clear();
            }
            let start = out.len();
            let decompressed = authentic.map_err(ObjectError::from).and_then(|authentic| {
                let stored = key.decrypt(authentic, &mut self.compressed);
                decompress(&mut self.decompressor, stored, len_of(at), out)
            });
            results.push(decompressed.map(|()| start..out.len()));
        }
        verify_ids(key, &objects[verified..], &mut results[verified..], out);
        results
    }

    /// All of [`Self::open`] but the last step.
    fn open_unverified(
        &mut self,
        key: &Key,
        named: Option<&ChunkId>,
        object: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<StoredForm, ObjectError> {
        out.clear();
        let stored = key.open_envelope(named, object, &mut self.compressed)?;
        self.decompressor.decompress(stored, out)?;
        Ok(StoredForm::of(stored).expect("what was decompressed is of a known form"))
    }
}

/// Appends a plaintext that should have `len` bytes, or has as many as it has.
fn decompress(
    decompressor: &mut Decompressor,
    stored: &[u8],
    len: Option<usize>,
    out: &mut Vec<u8>,
) -> Result<(), ObjectError> {
    if let Some(len) = len
        && decompressor.decompress_within(stored, len, out).is_ok()
    {
        return Ok(());
    }
    decompressor.decompress(stored, out)
}

/// Compares the plaintexts that are there with the ids of their objects; for one that does not match there is an error.
fn verify_ids(
    key: &Key,
    objects: &[(ChunkId, &[u8])],
    results: &mut [Result<Range<usize>, ObjectError>],
    plaintexts: &[u8],
) {
    let opened = objects.iter().zip(&*results);
    let (ids, chunks): (Vec<ChunkId>, Vec<&[u8]>) = opened
        .filter_map(|((id, _), range)| Some((*id, &plaintexts[range.as_ref().ok()?.clone()])))
        .unzip();
    let matches = key.verify_ids(&ids, &chunks);
    let opened = results.iter_mut().filter(|result| result.is_ok());
    for ((result, id), is_so) in opened.zip(ids).zip(matches) {
        if !is_so {
            *result = Err(CryptoError::IdMismatch { id }.into());
        }
    }
}

#[cfg(test)]
mod tests;
