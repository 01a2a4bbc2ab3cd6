//! Bytes as hexadecimal digits and back.

/// Why a text is not an even number of hexadecimal digits; shown in Python's words (`binascii.unhexlify`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HexError {
    /// A character outside of ASCII.
    NotAscii,
    /// Half a byte is left over.
    OddLength,
    /// A character that is no digit.
    NotADigit,
}

impl std::fmt::Display for HexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAscii => "string argument should contain only ASCII characters",
            Self::OddLength => "Odd-length string",
            Self::NotADigit => "Non-hexadecimal digit found",
        })
    }
}

impl std::error::Error for HexError {}

/// Two lower-case digits for each byte.
pub fn encode(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16");
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Takes digits of either case.
///
/// # Errors
/// [`HexError`]; what is checked first is what Python checks first.
pub fn decode(text: &str) -> Result<Vec<u8>, HexError> {
    if !text.is_ascii() {
        return Err(HexError::NotAscii);
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(HexError::OddLength);
    }
    let digit = |byte: u8| {
        let value = char::from(byte).to_digit(16);
        value
            .and_then(|value| u8::try_from(value).ok())
            .ok_or(HexError::NotADigit)
    };
    pairs
        .iter()
        .map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_their_digits() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Ok(all));
        assert_eq!(encode(&[0, 0x0a, 0xf0]), "000af0");
        assert_eq!(decode("0AfF"), Ok(vec![0x0a, 0xff]));
    }

    #[test]
    fn what_is_not_digits_is_refused_in_pythons_order() {
        assert_eq!(decode("é"), Err(HexError::NotAscii));
        assert_eq!(decode("xyz"), Err(HexError::OddLength));
        assert_eq!(decode("+1"), Err(HexError::NotADigit));
        assert_eq!(decode("0 "), Err(HexError::NotADigit));
    }
}
