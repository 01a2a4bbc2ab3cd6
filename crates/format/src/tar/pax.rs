//! The records of pax headers: `LENGTH KEYWORD=VALUE\n`.

use super::TarError;

/// Keywords and values, in the order in which a keyword was first seen; the last value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Sets a keyword's value.
    pub fn set(&mut self, keyword: &[u8], value: &[u8]) {
        match self.0.iter_mut().find(|(known, _)| known == keyword) {
            Some((_, known)) => *known = value.to_vec(),
            None => self.0.push((keyword.to_vec(), value.to_vec())),
        }
    }

    /// Adds a record for [`super::encode_pax`].
    pub fn add(&mut self, keyword: &str, value: &[u8]) {
        self.set(keyword.as_bytes(), value);
    }

    /// A keyword's value.
    pub fn get(&self, keyword: &[u8]) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| known == keyword);
        found.map(|(_, value)| value.as_slice())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(keyword, value)| (keyword.as_slice(), value.as_slice()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all keywords and values.
    pub(super) fn len(&self) -> usize {
        let len = |(keyword, value): &(Vec<u8>, Vec<u8>)| keyword.len() + value.len();
        self.0.iter().map(len).sum()
    }

    /// The content of a pax header.
    pub(super) fn encode(&self) -> Vec<u8> {
        const TEXTS: [&[u8]; 4] = [b"path", b"linkpath", b"uname", b"gname"];
        let mut out = Vec::new();
        let is_binary = |(keyword, value): &(Vec<u8>, Vec<u8>)| {
            TEXTS.contains(&keyword.as_slice()) && std::str::from_utf8(value).is_err()
        };
        if self.0.iter().any(is_binary) {
            write_record(b"hdrcharset", b"BINARY", &mut out);
        }
        for (keyword, value) in &self.0 {
            write_record(keyword, value, &mut out);
        }
        out
    }

    /// Takes the records of a pax header, padding included: whatever `tarfile` finds in it.
    pub(super) fn read(&mut self, payload: &[u8]) -> Result<(), TarError> {
        let mut rest = payload;
        while let Some((len, keyword_at, value_at)) = record_at(rest) {
            if len == 0 {
                return Err(TarError::InvalidHeader("invalid header"));
            }
            // The value ends one byte before the record does: there is a line feed.
            let end = (len - 1).min(rest.len());
            let value = rest.get(value_at..end).unwrap_or_default();
            let keyword = rest[keyword_at..value_at - 1].to_vec();
            self.set(&keyword, value);
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(())
    }
}

fn write_record(keyword: &[u8], value: &[u8], out: &mut Vec<u8>) {
    // The length counts its own digits.
    let rest = keyword.len() + value.len() + 3;
    let mut len = rest;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(len.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(keyword);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Length, place of the keyword and place of the value of the record that begins here, if one does.
fn record_at(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 || bytes.get(digits) != Some(&b' ') {
        return None;
    }
    let add = |len: usize, digit: &u8| {
        len.saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    };
    let len = bytes[..digits].iter().fold(0, add);
    let keyword = digits + 1;
    let keyword_len = bytes[keyword..].iter().position(|byte| *byte == b'=')?;
    (keyword_len > 0).then_some((len, keyword, keyword + keyword_len + 1))
}
