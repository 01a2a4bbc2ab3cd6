//! Chunk to stored form: the compressor's two bytes, then what it made.
//!
//! Layout: `docs/format.md`, "Compression". Source: Borg 1.4, `compress.pyx`.

use crate::codec;
use crate::compression::Compression;
use crate::decompress::StoredForm;
use crate::obfuscation::PaddingRandom;
use flate2::Compress;
use zstd_safe::CCtx;

/// First two bytes of a stored form.
pub(crate) mod marker {
    pub(crate) const NONE: [u8; 2] = [0, 0];
    pub(crate) const LZ4: [u8; 2] = [1, 0];
    pub(crate) const LZMA: [u8; 2] = [2, 0];
    pub(crate) const ZSTD: [u8; 2] = [3, 0];
    pub(crate) const OBFUSCATED: [u8; 2] = [4, 0];
    /// Length of each.
    pub(crate) const LEN: usize = 2;
}

/// Length of the size field that follows the marker of an obfuscated form.
pub(crate) const OBFUSCATED_SIZE_LEN: usize = 4;

/// `auto`: what LZ4 leaves more than this share of is not worth a better compressor.
const AUTO_COMPRESSIBLE: f64 = 0.97;
/// `auto`: the better compressor must come below this share of what LZ4 made.
const AUTO_WORTHWHILE: f64 = 0.99;

/// Compresses chunks, one after the other, keeping contexts and buffers. One for each worker.
pub struct Compressor {
    zstd: Option<CCtx<'static>>,
    zlib: Option<(u8, Compress)>,
    /// The second candidate of `auto`.
    candidate: Vec<u8>,
    random: Option<PaddingRandom>,
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Compressor {
    /// Nothing is set up before it is needed.
    pub fn new() -> Self {
        Self {
            zstd: None,
            zlib: None,
            candidate: Vec::new(),
            random: None,
        }
    }

    /// Appends the stored form of `data`.
    ///
    /// # Panics
    /// If `data` is longer than 2 GiB.
    pub fn compress(&mut self, compression: &Compression, data: &[u8], out: &mut Vec<u8>) {
        match compression {
            Compression::None => store(data, out),
            Compression::Lz4 => self.shorter(marker::LZ4, data, out, |_, out| {
                codec::lz4::compress(data, out)
            }),
            Compression::Zstd(level) => self.shorter(marker::ZSTD, data, out, |this, out| {
                let context = this.zstd.get_or_insert_with(CCtx::create);
                codec::zstd::compress(context, *level, data, out)
            }),
            Compression::Lzma(level) => self.shorter(marker::LZMA, data, out, |_, out| {
                codec::lzma::compress(*level, data, out)
            }),
            Compression::Zlib(level) => codec::zlib::compress(self.zlib(*level), data, out),
            Compression::Auto(inner) => self.auto(inner, data, out),
            Compression::Obfuscate(obfuscation, inner) => {
                let start = out.len();
                out.extend_from_slice(&marker::OBFUSCATED);
                out.extend_from_slice(&[0; OBFUSCATED_SIZE_LEN]);
                let inner_start = out.len();
                self.compress(inner, data, out);
                let len = out.len() - inner_start;
                let size = u32::try_from(len).expect("chunks are bounded far below 4 GiB");
                out[start + marker::LEN..inner_start].copy_from_slice(&size.to_be_bytes());
                let random = self.random.get_or_insert_with(PaddingRandom::seeded).next();
                out.resize(out.len() + obfuscation.padding(len, random), 0);
            }
        }
    }

    /// Appends the marker and what `compress` makes, or the data as it is if that is not shorter.
    fn shorter(
        &mut self,
        marker: [u8; marker::LEN],
        data: &[u8],
        out: &mut Vec<u8>,
        compress: impl FnOnce(&mut Self, &mut Vec<u8>) -> bool,
    ) {
        let start = out.len();
        out.extend_from_slice(&marker);
        // What is shorter than one byte does not exist, and not every library minds being asked.
        if data.is_empty() || !compress(self, out) {
            out.truncate(start);
            store(data, out);
        }
    }

    /// What `auto` chooses for `data`; `None`: another `auto`, which is no stored form.
    pub(crate) fn decide_auto(&mut self, inner: &Compression, data: &[u8]) -> Option<StoredForm> {
        // Taken out for as long as it is used.
        let mut cheap = std::mem::take(&mut self.candidate);
        cheap.clear();
        self.compress(&Compression::Lz4, data, &mut cheap);
        let form = if (cheap.len() as f64 / (data.len() + marker::LEN) as f64) < AUTO_COMPRESSIBLE {
            match inner {
                Compression::None => Some(StoredForm::None),
                Compression::Lz4 => Some(StoredForm::Lz4),
                Compression::Zstd(_) => Some(StoredForm::Zstd),
                Compression::Zlib(_) => Some(StoredForm::Zlib),
                Compression::Lzma(_) => Some(StoredForm::Lzma),
                Compression::Obfuscate(..) => Some(StoredForm::Obfuscated),
                Compression::Auto(_) => None,
            }
        } else {
            StoredForm::of(&cheap)
        };
        self.candidate = cheap;
        form
    }

    /// LZ4 is quick, and good at telling whether anything can be gained.
    fn auto(&mut self, inner: &Compression, data: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        self.compress(&Compression::Lz4, data, out);
        let lz4_len = out.len() - start;
        let ratio = lz4_len as f64 / (data.len() + marker::LEN) as f64;
        if ratio >= AUTO_COMPRESSIBLE || matches!(inner, Compression::Lz4 | Compression::None) {
            return;
        }
        // Taken out for as long as it is used: the inner compressor may be `auto` again.
        let mut candidate = std::mem::take(&mut self.candidate);
        candidate.clear();
        self.compress(inner, data, &mut candidate);
        if (candidate.len() as f64 / lz4_len as f64) < AUTO_WORTHWHILE {
            out.truncate(start);
            out.extend_from_slice(&candidate);
        }
        self.candidate = candidate;
    }

    fn zlib(&mut self, level: u8) -> &mut Compress {
        // Level 1 of this library is a trade-off of its own, a fifth worse than zlib's, and lets
        // random data grow by 5 %. Its level 2 beats zlib's level 1 in size and in speed.
        let level = if level == 1 { 2 } else { level };
        let fresh = || {
            let library_level = flate2::Compression::new(u32::from(level));
            (level, Compress::new(library_level, true))
        };
        let kept = self.zlib.get_or_insert_with(fresh);
        if kept.0 != level {
            *kept = fresh();
        }
        &mut kept.1
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Appends the stored form of data that is not compressed.
fn store(data: &[u8], out: &mut Vec<u8>) {
    out.reserve(marker::LEN + data.len());
    out.extend_from_slice(&marker::NONE);
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests;
