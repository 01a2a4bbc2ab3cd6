//! Numbers in header fields: octal digits, or base 256 where those do not suffice.

use super::TarError;

/// Writes a number as Python's `itn` does for the GNU format.
pub(super) fn write_gnu(field: &mut [u8], number: i128) -> Result<(), TarError> {
    if write_octal(field, number).is_ok() {
        return Ok(());
    }
    let (first, rest) = field.split_first_mut().expect("fields are not empty");
    let limit = 1_i128 << (8 * rest.len());
    if !(-limit..limit).contains(&number) {
        return Err(TarError::NumberOverflow);
    }
    *first = if number < 0 { 0xff } else { 0x80 };
    let bytes = number.to_be_bytes();
    rest.copy_from_slice(&bytes[bytes.len() - rest.len()..]);
    Ok(())
}

/// Writes a number as octal digits with a NUL behind them.
pub(super) fn write_octal(field: &mut [u8], number: i128) -> Result<(), TarError> {
    let digits = field.len() - 1;
    if !(0..1_i128 << (3 * digits)).contains(&number) {
        return Err(TarError::NumberOverflow);
    }
    let mut rest = number;
    for digit in field[..digits].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest & 7).expect("three bits");
        rest >>= 3;
    }
    field[digits] = 0;
    Ok(())
}

/// Reads a number field of at most 12 bytes as Python's `nti` does; `None` if it is none.
pub(super) fn read(field: &[u8]) -> Option<i128> {
    let (first, rest) = field.split_first()?;
    if matches!(*first, 0x80 | 0xff) {
        let mut number: i128 = if *first == 0xff { -1 } else { 0 };
        for byte in rest {
            number = number.checked_mul(256)? + i128::from(*byte);
        }
        return Some(number);
    }
    let text = until_nul(field);
    let text = text.trim_ascii();
    if text.is_empty() {
        return Some(0);
    }
    // Python's `int` with base 8 takes a prefix.
    integer(text, 8)
}

/// The field up to its first NUL.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// What Python's `int(text, radix)` gives; `None` if that fails, or for numbers nobody means.
pub(super) fn integer(text: &[u8], radix: u32) -> Option<i128> {
    let text = text.trim_ascii();
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixed = |prefix: &[u8]| radix == 8 && digits.starts_with(prefix);
    let (digits, mut separated) = if prefixed(b"0o") || prefixed(b"0O") {
        (&digits[2..], true)
    } else {
        (digits, false)
    };
    let mut number: Option<i128> = None;
    for byte in digits {
        if *byte == b'_' && separated {
            separated = false;
            continue;
        }
        let digit = char::from(*byte).to_digit(radix)?;
        let before = number.unwrap_or(0).checked_mul(i128::from(radix))?;
        number = Some(before.checked_add(i128::from(digit))?);
        separated = true;
    }
    // An underscore must not come last.
    let number = number.filter(|_| separated)?;
    Some(if negative { -number } else { number })
}

/// What Python's `float(text)` gives; `None` if that fails.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let mut plain = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let between_digits =
            before.is_ascii_digit() && rest.peek().is_some_and(char::is_ascii_digit);
        match c {
            '_' if between_digits => {}
            '_' => return None,
            _ => plain.push(c),
        }
        before = c;
    }
    plain.parse().ok()
}
