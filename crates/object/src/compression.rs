//! What `--compression` says: which compressor, which level, which wrapping.

use crate::obfuscation::Obfuscation;
use std::fmt;
use std::str::FromStr;

const ZSTD_DEFAULT: u8 = 3;
const ZLIB_DEFAULT: u8 = 6;
const LZMA_DEFAULT: u8 = 6;

/// A parsed compression specification. Levels are within the compressor's range.
///
/// Source: Borg 1.4, `CompressionSpec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compression {
    /// `none`
    None,
    /// `lz4`
    Lz4,
    /// `zstd,L`, L from 1 to 22.
    Zstd(u8),
    /// `zlib,L`, L from 0 to 9.
    Zlib(u8),
    /// `lzma,L`, L from 0 to 9.
    Lzma(u8),
    /// `auto,C`: lz4 decides whether it is worth running C.
    Auto(Box<Compression>),
    /// `obfuscate,S,C`: C, and then padding that hides the size.
    Obfuscate(Obfuscation, Box<Compression>),
}

/// Borg's default where there is no `--compression` to be given.
impl Default for Compression {
    fn default() -> Self {
        Self::Lz4
    }
}

/// Why a specification is not one. `Display` is what Borg's argument parser prints after the
/// option's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCompression {
    /// No compressor of that name.
    #[error("unsupported compression type")]
    UnsupportedType,
    /// Something follows the level.
    #[error("too many arguments")]
    TooManyArguments,
    /// The wrong number of parts for `auto` or `obfuscate`.
    #[error("bad arguments")]
    BadArguments,
    /// A level outside of the compressor's range.
    #[error("level must be >= {min} and <= {max}")]
    Level {
        /// Lowest level.
        min: u8,
        /// Highest level.
        max: u8,
    },
    /// No such kind of obfuscation.
    #[error("level must be (inclusively) within 1...6, 110...123 or equal to 250")]
    ObfuscationLevel,
    /// A level that is not a number.
    #[error("invalid CompressionSpec value: '{0}'")]
    NotANumber(String),
}

impl FromStr for Compression {
    type Err = InvalidCompression;

    fn from_str(text: &str) -> Result<Self, InvalidCompression> {
        let parts: Vec<&str> = text.split(',').collect();
        parse(&parts).map_err(|error| match error {
            // The parser's message names the whole value, of which the parts were looked at one by
            // one.
            InvalidCompression::NotANumber(_) => InvalidCompression::NotANumber(text.to_owned()),
            other => other,
        })
    }
}

fn parse(parts: &[&str]) -> Result<Compression, InvalidCompression> {
    let (name, arguments) = parts
        .split_first()
        .expect("splitting gives at least one part");
    match *name {
        // Borg lets these two be followed by anything.
        "none" => Ok(Compression::None),
        "lz4" => Ok(Compression::Lz4),
        "zstd" => level(arguments, ZSTD_DEFAULT, 1, 22).map(Compression::Zstd),
        "zlib" => level(arguments, ZLIB_DEFAULT, 0, 9).map(Compression::Zlib),
        "lzma" => level(arguments, LZMA_DEFAULT, 0, 9).map(Compression::Lzma),
        "auto" => match arguments.len() {
            1..=2 => Ok(Compression::Auto(Box::new(parse(arguments)?))),
            _ => Err(InvalidCompression::BadArguments),
        },
        "obfuscate" => match arguments {
            [level, inner @ ..] if (1..=3).contains(&inner.len()) => {
                let obfuscation = Obfuscation::from_level(integer(level)?)
                    .ok_or(InvalidCompression::ObfuscationLevel)?;
                Ok(Compression::Obfuscate(obfuscation, Box::new(parse(inner)?)))
            }
            _ => Err(InvalidCompression::BadArguments),
        },
        _ => Err(InvalidCompression::UnsupportedType),
    }
}

fn level(arguments: &[&str], default: u8, min: u8, max: u8) -> Result<u8, InvalidCompression> {
    match arguments {
        [] => Ok(default),
        [level] => u8::try_from(integer(level)?)
            .ok()
            .filter(|level| (min..=max).contains(level))
            .ok_or(InvalidCompression::Level { min, max }),
        _ => Err(InvalidCompression::TooManyArguments),
    }
}

/// A number as Python's `int` reads it (blanks around it, a sign, single underscores between
/// digits), pinned to the range of `i64`.
fn integer(text: &str) -> Result<i64, InvalidCompression> {
    let not_a_number = || InvalidCompression::NotANumber(text.to_owned());
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut value = 0_i64;
    for group in digits.split(|byte| *byte == b'_') {
        if group.is_empty() || !group.iter().all(u8::is_ascii_digit) {
            return Err(not_a_number());
        }
        for digit in group {
            value = value
                .saturating_mul(10)
                .saturating_add(i64::from(digit - b'0'));
        }
    }
    Ok(if negative { -value } else { value })
}

/// The specification that parses to this.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Lz4 => f.write_str("lz4"),
            // A default level is left out: in `auto,auto,zlib` there is no place for it.
            Self::Zstd(ZSTD_DEFAULT) => f.write_str("zstd"),
            Self::Zlib(ZLIB_DEFAULT) => f.write_str("zlib"),
            Self::Lzma(LZMA_DEFAULT) => f.write_str("lzma"),
            Self::Zstd(level) => write!(f, "zstd,{level}"),
            Self::Zlib(level) => write!(f, "zlib,{level}"),
            Self::Lzma(level) => write!(f, "lzma,{level}"),
            Self::Auto(inner) => write!(f, "auto,{inner}"),
            Self::Obfuscate(obfuscation, inner) => {
                write!(f, "obfuscate,{},{inner}", obfuscation.level())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Compression, &str>) {
        let parsed = text
            .parse::<Compression>()
            .map_err(|error| error.to_string());
        assert_eq!(parsed, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn specifications_are_read_as_borg_reads_them() {
        check("zstd", Ok(Compression::Zstd(3)));
        check("zstd, +3", Ok(Compression::Zstd(3)));
        check("zstd,1_0", Ok(Compression::Zstd(10)));
        check("zlib", Ok(Compression::Zlib(6)));
        check("zlib,0", Ok(Compression::Zlib(0)));
        check("lzma", Ok(Compression::Lzma(6)));
        check("lz4,abc", Ok(Compression::Lz4));
        check("none,foo,bar", Ok(Compression::None));
        check(
            "auto,auto,lz4",
            Ok(Compression::Auto(Box::new(Compression::Auto(Box::new(
                Compression::Lz4,
            ))))),
        );
        check(
            "auto,lz4,9",
            Ok(Compression::Auto(Box::new(Compression::Lz4))),
        );
    }

    #[test]
    fn malformed_specifications_get_borgs_message() {
        check("ZSTD", Err("unsupported compression type"));
        check(" zstd", Err("unsupported compression type"));
        check("zlib,", Err("invalid CompressionSpec value: 'zlib,'"));
        check("zstd,3.5", Err("invalid CompressionSpec value: 'zstd,3.5'"));
        check(
            "zstd,1__0",
            Err("invalid CompressionSpec value: 'zstd,1__0'"),
        );
        check(
            "zstd,99999999999999999999",
            Err("level must be >= 1 and <= 22"),
        );
        check("auto,", Err("unsupported compression type"));
        check("auto,lz4,9,9", Err("bad arguments"));
        check("auto,obfuscate,1,lz4", Err("bad arguments"));
        check(
            "obfuscate,abc,lz4",
            Err("invalid CompressionSpec value: 'obfuscate,abc,lz4'"),
        );
        check("obfuscate,1,lz4,1,2,3", Err("bad arguments"));
        check("obfuscate,1,zstd,3,4", Err("too many arguments"));
    }

    /// The vectors record for each specification whether stock Borg takes it, as what, or with
    /// which message.
    #[test]
    fn the_captured_specifications_agree() {
        let vectors = crate::codec::tests::vectors();
        let cases = vectors["spec_parsing"].as_array().expect("a list");
        for case in cases {
            let spec = case["spec"].as_str().expect("text");
            match spec.parse::<Compression>() {
                Ok(parsed) => {
                    assert_eq!(case["ok"], true, "{spec}");
                    let name = parsed.to_string();
                    let name = name.split(',').next();
                    assert_eq!(case["name"].as_str(), name, "{spec}");
                    assert_eq!(parsed.to_string().parse(), Ok(parsed), "{spec}");
                }
                Err(error) => {
                    assert_eq!(
                        case["error"],
                        format!("ArgumentTypeError: {error}"),
                        "{spec}"
                    );
                }
            }
        }
        assert!(cases.len() > 20);
    }
}
