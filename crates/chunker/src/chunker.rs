//! From a stream of bytes to chunk lengths, for either kind of parameters.

use ironborg_types::ErrorKind;

use crate::buzhash::Buzhash;
use crate::params::ChunkerParams;

/// New bytes below which no search begins: starting one costs a window's worth of hashing.
const SEARCH_LEN_MIN: usize = 32 * 1024;

/// Why there can be no chunker with these parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkerError {
    /// A window does not fit into the longest chunk behind the shortest. Borg's parser accepts such
    /// parameters and its chunker then fails an assertion of this text.
    MaxTooSmall,
}

impl ChunkerError {
    /// Its row in Borg's table of errors.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::MaxTooSmall => ErrorKind::Exception,
        }
    }
}

impl std::fmt::Display for ChunkerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MaxTooSmall => f.write_str("too small max_size"),
        }
    }
}

impl std::error::Error for ChunkerError {}

/// Cuts one stream after the other into chunks.
///
/// ```
/// use ironborg_chunker::{Chunker, ChunkerParams};
///
/// let file = vec![7_u8; 3_000_000];
/// let mut chunker = Chunker::new(ChunkerParams::DEFAULT, 0)?;
/// let (mut rest, mut chunks) = (&file[..], Vec::new());
/// while let Some(len) = chunker.next_cut(rest, true) {
///     let (chunk, after) = rest.split_at(len);
///     chunks.push(chunk);
///     rest = after;
/// }
/// assert_eq!(chunks.concat(), file);
/// # Ok::<(), ironborg_chunker::ChunkerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Chunker {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Buzhash(Box<ContentDefined>),
    Fixed {
        block: usize,
        header: usize,
        /// Bytes of the header not yet cut off the current stream.
        header_left: usize,
    },
}

impl Chunker {
    /// A chunker for `params`; `seed` is the key's chunk seed, its bits taken as unsigned (0 without a key).
    pub fn new(params: ChunkerParams, seed: u32) -> Result<Self, ChunkerError> {
        let kind = match params {
            ChunkerParams::Buzhash {
                min_exp,
                max_exp,
                mask_bits,
                window,
            } => {
                let (min, max, window) = (1 << min_exp, 1_usize << max_exp, window as usize);
                if min + window + 1 > max {
                    return Err(ChunkerError::MaxTooSmall);
                }
                Kind::Buzhash(Box::new(ContentDefined {
                    hash: Buzhash::new(seed, window),
                    min,
                    max,
                    mask: (1 << mask_bits) - 1,
                    searched: 0,
                }))
            }
            ChunkerParams::Fixed { block, header } => Kind::Fixed {
                block: block as usize,
                header: header as usize,
                header_left: header as usize,
            },
        };
        Ok(Self { kind })
    }

    /// Bytes a caller's buffer must be able to hold: with so many, [`Self::next_cut`] always cuts.
    pub fn buffer_len(&self) -> usize {
        match &self.kind {
            Kind::Buzhash(chunker) => chunker.max,
            Kind::Fixed { block, .. } => *block,
        }
    }

    /// Forgets the current stream, finished or not: the next bytes are the beginning of another.
    pub fn restart(&mut self) {
        match &mut self.kind {
            Kind::Buzhash(chunker) => chunker.searched = 0,
            Kind::Fixed {
                header,
                header_left,
                ..
            } => *header_left = *header,
        }
    }

    /// The length of the next chunk of the stream; `buf` begins where the chunk begins.
    ///
    /// `eof` says that the stream ends where `buf` ends. `None`: more bytes are needed, or, at `eof`,
    /// `buf` is empty. Calls for one chunk must pass the same bytes again, followed by more of them;
    /// then the cuts do not depend on how the stream was sliced. After the last chunk at `eof` the next
    /// stream may follow at once.
    pub fn next_cut(&mut self, buf: &[u8], eof: bool) -> Option<usize> {
        let cut = match &mut self.kind {
            Kind::Buzhash(chunker) => chunker.next_cut(buf, eof),
            Kind::Fixed {
                block, header_left, ..
            } => next_block(*block, header_left, buf.len(), eof),
        };
        debug_assert!(cut.is_none_or(|len| (1..=buf.len()).contains(&len)));
        if eof && cut.is_none_or(|len| len == buf.len()) {
            self.restart();
        }
        cut
    }
}

fn next_block(block: usize, header_left: &mut usize, len: usize, eof: bool) -> Option<usize> {
    // A header longer than a block is cut like a stream of its own.
    let wanted = match *header_left {
        0 => block,
        left => left.min(block),
    };
    let cut = match len {
        0 => return None,
        len if len < wanted && !eof => return None,
        len => len.min(wanted),
    };
    *header_left = header_left.saturating_sub(cut);
    Some(cut)
}

#[derive(Debug, Clone)]
struct ContentDefined {
    hash: Buzhash,
    min: usize,
    max: usize,
    mask: u32,
    /// Positions of the current chunk from `min` on that were tested already, without a hit.
    searched: usize,
}

impl ContentDefined {
    /// The cut rule. Source: Borg 1.4, `chunker_process` in `_chunker.c`; docs/format.md, "Chunkers".
    fn next_cut(&mut self, buf: &[u8], eof: bool) -> Option<usize> {
        let window = self.hash.window();
        // Short remainders are one chunk, without any test.
        if buf.len() < self.min + window + 1 {
            return (eof && !buf.is_empty()).then_some(buf.len());
        }
        // Nothing beyond the longest chunk can matter.
        let buf = &buf[..buf.len().min(self.max)];
        let ended = eof || buf.len() == self.max;
        let untested = &buf[self.min + self.searched..];
        if !ended && untested.len() < window + SEARCH_LEN_MIN {
            return None;
        }
        let hit = self.hash.find(untested, self.mask);
        let cut = match hit {
            Some(at) => Some(self.min + self.searched + at),
            None if ended => Some(buf.len()),
            None => None,
        };
        self.searched = match cut {
            Some(_) => 0,
            None => buf.len() - window - self.min,
        };
        cut
    }
}
