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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buzhash::buzhash;
    use proptest::prelude::*;

    /// Borg's rule, written down plainly: lengths of all chunks of a stream.
    fn plain_cuts(
        (min, max, mask, window): (usize, usize, u32, usize),
        seed: u32,
        stream: &[u8],
    ) -> Vec<usize> {
        let (mut cuts, mut rest) = (Vec::new(), stream);
        while !rest.is_empty() {
            let end = rest.len().min(max);
            let is_hit = |p: &usize| buzhash(&rest[*p..p + window], seed) & mask == 0;
            let cut = if rest.len() < min + window + 1 {
                rest.len()
            } else {
                (min..end - window).find(is_hit).unwrap_or(end)
            };
            cuts.push(cut);
            rest = &rest[cut..];
        }
        cuts
    }

    /// Feeds a stream in reads of the given lengths, over and over.
    fn sliced_cuts(chunker: &mut Chunker, stream: &[u8], reads: &[usize]) -> Vec<usize> {
        let (mut cuts, mut start, mut end) = (Vec::new(), 0, 0);
        let mut reads = reads.iter().cycle();
        loop {
            let eof = end == stream.len();
            match chunker.next_cut(&stream[start..end], eof) {
                Some(cut) => {
                    cuts.push(cut);
                    start += cut;
                }
                None if eof => return cuts,
                None => {
                    assert!(end - start < chunker.buffer_len(), "a full buffer is cut");
                    end = stream.len().min(end + reads.next().expect("endless"));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn cuts_are_the_rules_however_the_stream_is_sliced(
            seed in any::<u32>(),
            min_exp in 6_u8..9,
            more in (0_u8..3, 0_u8..4),
            window in prop::sample::select(vec![1, 33, 63, 127, 129, 255]),
            reads in prop::collection::vec(1_usize..5000, 1..6),
            parts in prop::collection::vec((0_u8..4, 0_usize..3000), 0..8),
        ) {
            let (mask_bits, max_exp) = (min_exp + more.0, min_exp + more.0 + more.1);
            let params = ChunkerParams::Buzhash { min_exp, max_exp, mask_bits, window };
            let (min, max, window) = (1 << min_exp, 1 << max_exp, window as usize);
            let Ok(mut chunker) = Chunker::new(params, seed) else {
                prop_assert!(min + window + 1 > max);
                return Ok(());
            };
            // Noise and runs of one byte.
            let mut state = u64::from(seed) | 1;
            let stream: Vec<u8> = parts.iter().flat_map(|&(kind, len)| (0..len).map(move |_| kind)).map(|kind| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                if kind < 2 { state.to_le_bytes()[7] } else { kind }
            }).collect();
            let expected = plain_cuts((min, max, (1 << mask_bits) - 1, window), seed, &stream);
            prop_assert_eq!(expected.iter().sum::<usize>(), stream.len());
            // Twice: a finished stream leaves no trace.
            for _ in 0..2 {
                prop_assert_eq!(&sliced_cuts(&mut chunker, &stream, &reads), &expected);
            }
        }

        #[test]
        fn fixed_cuts_are_a_header_and_blocks(
            block in 64_u32..300,
            header in 0_u32..700,
            len in 0_usize..3000,
            reads in prop::collection::vec(1_usize..400, 1..6),
        ) {
            let mut chunker = Chunker::new(ChunkerParams::Fixed { block, header }, 0).unwrap();
            let (block, header) = (block as usize, (header as usize).min(len));
            let pieces = |mut left: usize| std::iter::from_fn(move || {
                let piece = left.min(block);
                left -= piece;
                (piece > 0).then_some(piece)
            });
            let expected: Vec<usize> = pieces(header).chain(pieces(len - header)).collect();
            for _ in 0..2 {
                prop_assert_eq!(&sliced_cuts(&mut chunker, &vec![1; len], &reads), &expected);
            }
        }
    }

    #[test]
    fn parameters_without_room_for_a_window_are_refused_as_borg_refuses_them() {
        for (text, usable) in [
            ("10,10,10,4095", false),
            ("10,12,11,4095", false),
            ("10,13,11,4095", true),
            ("19,19,19,4095", false),
            ("10,23,16,-1", false),
        ] {
            let result = Chunker::new(text.parse().unwrap(), 0);
            assert_eq!(result.is_ok(), usable, "{text}");
        }
        let error = Chunker::new("6,6,6,63".parse().unwrap(), 0).unwrap_err();
        assert_eq!(error.to_string(), "too small max_size");
        assert_eq!(error.kind(), ErrorKind::Exception);
    }

    #[test]
    fn a_stream_left_unfinished_leaves_no_trace() {
        let stream: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut chunker = Chunker::new("10,15,12,63".parse().unwrap(), 9).unwrap();
        let expected = sliced_cuts(&mut chunker, &stream, &[4096]);
        assert!(chunker.next_cut(&stream[..70_000], false).is_some());
        let searched_in_vain = chunker.next_cut(&stream[..1100], false);
        assert_eq!(searched_in_vain, None);
        chunker.restart();
        assert_eq!(sliced_cuts(&mut chunker, &stream, &[70_000]), expected);
    }
}
