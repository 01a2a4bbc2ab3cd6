//! Chunker parameters: what `--chunker-params` and archive metadata say, parsed and printed as Borg does.

use std::fmt;
use std::str::FromStr;

use ironborg_types::limits::CHUNK_LEN_MAX;

/// Smallest accepted exponent of the minimum chunk length: 64 bytes.
const MIN_EXP_MIN: i64 = 6;
/// Largest accepted exponent of the maximum chunk length: 8 MiB.
const MAX_EXP_MAX: i64 = 23;
/// Smallest fixed block, in bytes.
const BLOCK_LEN_MIN: i64 = 64;

/// How a file is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkerParams {
    /// Content-defined cutting by a rolling hash.
    Buzhash {
        /// No chunk but the last is shorter than `2^min_exp` bytes.
        min_exp: u8,
        /// No chunk is longer than `2^max_exp` bytes.
        max_exp: u8,
        /// Low bits of the hash that must be zero at a cut: chunks are about `2^mask_bits` long.
        mask_bits: u8,
        /// Bytes that decide about a cut; odd.
        window: u32,
    },
    /// Blocks of one length, optionally after a header of another.
    Fixed {
        /// Length of a block, in bytes.
        block: u32,
        /// Length of what comes before the first block, in bytes; 0: nothing.
        header: u32,
    },
}

/// Why a text is no chunker parameters; displays as Borg's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidChunkerParams {
    /// Unknown algorithm or wrong number of parameters.
    Malformed,
    /// A parameter that is no decimal integer. Borg's argument parser shows these with its own general
    /// sentence instead of this one.
    NotANumber(String),
    /// A fixed block below 64 bytes.
    BlockTooSmall,
    /// A fixed block or header that does not fit into an object.
    BlockTooLarge,
    /// Minimum, mask and maximum are not in this order.
    Unordered,
    /// Minimum exponent below 6.
    MinTooSmall,
    /// Maximum exponent above 23.
    MaxTooLarge,
    /// The window is even.
    EvenWindow,
}

impl fmt::Display for InvalidChunkerParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("invalid chunker params"),
            Self::NotANumber(text) => {
                write!(f, "invalid literal for int() with base 10: '{text}'")
            }
            Self::BlockTooSmall => f.write_str("block_size must not be less than 64 Bytes"),
            Self::BlockTooLarge => write!(
                f,
                "block_size and header_size must not exceed MAX_DATA_SIZE [{CHUNK_LEN_MAX}]"
            ),
            Self::Unordered => f.write_str("required: chunk_min <= chunk_mask <= chunk_max"),
            Self::MinTooSmall => f.write_str(
                "min. chunk size exponent must not be less than 6 (2^6 = 64B min. chunk size)",
            ),
            Self::MaxTooLarge => f.write_str(
                "max. chunk size exponent must not be more than 23 (2^23 = 8MiB max. chunk size)",
            ),
            Self::EvenWindow => f.write_str("window_size must be an uneven (odd) number"),
        }
    }
}

impl std::error::Error for InvalidChunkerParams {}

impl ChunkerParams {
    /// For file content when nothing else is asked for.
    pub const DEFAULT: Self = Self::Buzhash {
        min_exp: 19,
        max_exp: 23,
        mask_bits: 21,
        window: 4095,
    };

    /// For an archive's item stream, always.
    pub const ITEMS: Self = Self::Buzhash {
        min_exp: 15,
        max_exp: 19,
        mask_bits: 17,
        window: 4095,
    };

    /// Longest chunk these parameters can make, in bytes; at most
    /// [`CHUNK_LEN_MAX`](ironborg_types::limits::CHUNK_LEN_MAX).
    pub fn chunk_len_max(&self) -> usize {
        match *self {
            Self::Buzhash { max_exp, .. } => 1 << max_exp,
            Self::Fixed { block, .. } => block as usize,
        }
    }

    /// Whether files are cut where their content says so.
    pub fn is_content_defined(&self) -> bool {
        matches!(self, Self::Buzhash { .. })
    }

    /// Takes the four or five numbers of `[buzhash,]MIN,MAX,MASK,WINDOW`.
    fn buzhash(min: i64, max: i64, mask: i64, window: i64) -> Result<Self, InvalidChunkerParams> {
        if min > mask || mask > max {
            return Err(InvalidChunkerParams::Unordered);
        }
        if min < MIN_EXP_MIN {
            return Err(InvalidChunkerParams::MinTooSmall);
        }
        if max > MAX_EXP_MAX {
            return Err(InvalidChunkerParams::MaxTooLarge);
        }
        if window.rem_euclid(2) == 0 {
            return Err(InvalidChunkerParams::EvenWindow);
        }
        let exponent = |value: i64| u8::try_from(value).expect("checked to be 6 to 23");
        Ok(Self::Buzhash {
            min_exp: exponent(min),
            max_exp: exponent(max),
            mask_bits: exponent(mask),
            // Windows that no chunk can hold are refused when the chunker is made, as Borg does.
            window: u32::try_from(window).unwrap_or(u32::MAX),
        })
    }

    fn fixed(block: i64, header: i64) -> Result<Self, InvalidChunkerParams> {
        if block < BLOCK_LEN_MIN {
            return Err(InvalidChunkerParams::BlockTooSmall);
        }
        let fits = |value: i64| {
            u32::try_from(value.max(0))
                .ok()
                .filter(|&len| len as usize <= CHUNK_LEN_MAX)
                .ok_or(InvalidChunkerParams::BlockTooLarge)
        };
        Ok(Self::Fixed {
            block: fits(block)?,
            // Borg takes a negative header for none.
            header: fits(header)?,
        })
    }
}

impl Default for ChunkerParams {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// `buzhash,19,23,21,4095` or `fixed,4194304,0`
impl fmt::Display for ChunkerParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buzhash {
                min_exp,
                max_exp,
                mask_bits,
                window,
            } => write!(f, "buzhash,{min_exp},{max_exp},{mask_bits},{window}"),
            Self::Fixed { block, header } => write!(f, "fixed,{block},{header}"),
        }
    }
}

/// Source: Borg 1.4, `ChunkerParams` in `helpers/parseformat.py` (the order of the checks included).
impl FromStr for ChunkerParams {
    type Err = InvalidChunkerParams;

    fn from_str(text: &str) -> Result<Self, InvalidChunkerParams> {
        let fields: Vec<&str> = text.trim().split(',').collect();
        let algorithm = fields[0].to_lowercase();
        match (algorithm.as_str(), fields.as_slice()) {
            ("fixed", [_, block]) => Self::fixed(integer(block)?, 0),
            ("fixed", [_, block, header]) => Self::fixed(integer(block)?, integer(header)?),
            ("default", [_]) => Ok(Self::DEFAULT),
            ("buzhash", [_, min, max, mask, window]) | (_, [min, max, mask, window]) => {
                Self::buzhash(
                    integer(min)?,
                    integer(max)?,
                    integer(mask)?,
                    integer(window)?,
                )
            }
            _ => Err(InvalidChunkerParams::Malformed),
        }
    }
}

/// Reads a decimal integer as Python's `int` does: spaces around it, a sign, underscores between digits.
/// Numbers beyond the range of `i64` become its ends, which no check lets pass.
fn integer(text: &str) -> Result<i64, InvalidChunkerParams> {
    let invalid = || InvalidChunkerParams::NotANumber(text.to_owned());
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.as_bytes() {
        [b'-', ..] => (true, &trimmed[1..]),
        [b'+', ..] => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let groups_are_digits = digits
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !groups_are_digits {
        return Err(invalid());
    }
    let value = digits
        .bytes()
        .filter(u8::is_ascii_digit)
        .fold(0_i64, |value, digit| {
            value
                .saturating_mul(10)
                .saturating_add(i64::from(digit - b'0'))
        });
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let result = match text.parse::<ChunkerParams>() {
            Ok(params) => params.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(result, expected, "{text}");
    }

    #[test]
    fn parameters_are_read_as_borg_reads_them() {
        check("default", "buzhash,19,23,21,4095");
        check("19,23,21,4095", "buzhash,19,23,21,4095");
        check("buzhash,19,23,21,4095", "buzhash,19,23,21,4095");
        check("BUZHASH,10,23,16,4095", "buzhash,10,23,16,4095");
        check("10,23,16,4095", "buzhash,10,23,16,4095");
        check(" 10, 23,+16,4_095 ", "buzhash,10,23,16,4095");
        check("19,19,19,4095", "buzhash,19,19,19,4095");
        check("fixed,4096", "fixed,4096,0");
        check("fixed,4096,200", "fixed,4096,200");
        check("fixed,4096,-5", "fixed,4096,0");
        check("fixed,64", "fixed,64,0");
        check("fixed,20971479", "fixed,20971479,0");
        check("10,23,16,-1", "buzhash,10,23,16,4294967295");
    }

    #[test]
    fn mistakes_are_answered_as_borg_answers_them() {
        check("fixed,63", "block_size must not be less than 64 Bytes");
        let too_large = "block_size and header_size must not exceed MAX_DATA_SIZE [20971479]";
        check("fixed,20971480", too_large);
        check("fixed,64,20971480", too_large);
        check("fixed,99999999999999999999999", too_large);
        check(
            "5,7,6,1",
            "min. chunk size exponent must not be less than 6 (2^6 = 64B min. chunk size)",
        );
        check(
            "7,24,8,1",
            "max. chunk size exponent must not be more than 23 (2^23 = 8MiB max. chunk size)",
        );
        check("10,9,8,1", "required: chunk_min <= chunk_mask <= chunk_max");
        check(
            "10,23,16,4096",
            "window_size must be an uneven (odd) number",
        );
        for text in [
            "buzhash,1,2",
            "",
            "fixed",
            "10,23,16",
            "rabin,1,2,3,4",
            "default,1",
        ] {
            check(text, "invalid chunker params");
        }
        check("a,b,c,d", "invalid literal for int() with base 10: 'a'");
        check("fixed,", "invalid literal for int() with base 10: ''");
        check(
            "fixed,1__0",
            "invalid literal for int() with base 10: '1__0'",
        );
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for params in [
            ChunkerParams::DEFAULT,
            ChunkerParams::ITEMS,
            ChunkerParams::Fixed {
                block: 4096,
                header: 512,
            },
        ] {
            assert_eq!(params.to_string().parse(), Ok(params));
        }
    }
}
