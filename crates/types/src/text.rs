//! Paths and names: bytes that are usually, but not always, UTF-8.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A path as stored and walked: any bytes but NUL, `/` between components.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BytePath(pub Vec<u8>);

impl BytePath {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }
}

impl Deref for BytePath {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for BytePath {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for BytePath {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// As text, every undecodable byte shown as `?`.
impl fmt::Display for BytePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&display(&self.0))
    }
}

impl fmt::Debug for BytePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&display(&self.0), f)
    }
}

/// Decodes UTF-8; every byte that is not part of it becomes `?`, as stock Borg prints them.
///
/// Python's decoder (and with it the number of `?`) treats each byte of a broken sequence, an
/// encoded surrogate and an overlong form by itself, and so does this.
pub fn display(bytes: &[u8]) -> Cow<'_, str> {
    decode(bytes, |_, out| out.push('?'))
}

/// Decodes UTF-8 and hands every undecodable byte to `escape`.
pub fn decode(bytes: &[u8], mut escape: impl FnMut(u8, &mut String)) -> Cow<'_, str> {
    let first_error = match std::str::from_utf8(bytes) {
        Ok(text) => return Cow::Borrowed(text),
        Err(error) => error,
    };
    let mut out = String::with_capacity(bytes.len() + 8);
    let (mut rest, mut error) = (bytes, Some(first_error));
    while let Some(broken) = error {
        let (good, bad) = rest.split_at(broken.valid_up_to());
        out.push_str(std::str::from_utf8(good).expect("checked up to here"));
        let bad_len = broken.error_len().unwrap_or(bad.len());
        for &byte in &bad[..bad_len] {
            escape(byte, &mut out);
        }
        rest = &bad[bad_len..];
        error = std::str::from_utf8(rest).err();
    }
    out.push_str(std::str::from_utf8(rest).expect("no error is left"));
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], expected: &str) {
        assert_eq!(display(input), expected);
    }

    #[test]
    fn undecodable_bytes_become_question_marks() {
        check(b"plain", "plain");
        check("caf\u{e9}".as_bytes(), "caf\u{e9}");
        check(b"bad-\xff", "bad-?");
        check(b"\xe2\x82", "??");
        check(b"a\xe2\x82b", "a??b");
        check(b"\xed\xa0\x80", "???");
        check(b"\xc3\xa9\xff\xfe\xc3\xa9", "\u{e9}??\u{e9}");
    }
}
