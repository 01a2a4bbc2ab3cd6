//! Where one message ends and the next begins: a reader of MessagePack that skips values as they come in pieces.
//!
//! It knows as much of the protocol as is needed to name a message: `{i: id, m: method, …}` or `[1, id, method, …]`
//! in requests, `{i: id, exception_class: name, …}` or `[1, id, name or nil, …]` in replies.

/// Containers inside of containers; Borg's messages have three levels.
const DEPTH_MAX: usize = 64;

/// Bytes kept of a string that may be a key, a method or an error.
const WORD_MAX: usize = 64;

/// A whole message that went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) id: Option<u64>,
    /// The method of a request, the error of a reply that is one.
    pub(crate) word: Option<String>,
}

/// Not MessagePack, or nested deeper than anything sensible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Follows one direction of a connection.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    /// The open containers, outermost first.
    stack: Vec<Frame>,
    message: Message,
    /// The last key of the outermost map.
    key: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// The first byte of a value is next.
    Marker,
    /// A big-endian number of `left` more bytes, which says what follows.
    Number { of: Number, left: u8, value: u64 },
    /// The content of a string or of bytes nobody wants to see.
    Content { left: u64, word: Vec<u8> },
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Integer,
    StringLen,
    ExtensionLen,
    ArrayLen,
    MapLen,
}

#[derive(Debug)]
struct Frame {
    /// Values still to come; a map has two for each entry.
    left: u64,
    /// Values that came.
    done: u64,
    is_map: bool,
}

/// As much of a value as may be of use.
enum Value<'a> {
    Integer(u64),
    Word(&'a [u8]),
    Other,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Marker,
            stack: Vec::new(),
            message: Message::empty(),
            key: Vec::new(),
        }
    }

    /// Reads up to the end of the next message; also returns how many bytes that took, all of them if it has not ended.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<(usize, Option<Message>), Malformed> {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let (taken, ended) = self.step(rest)?;
            used += taken;
            self.message.size += taken as u64;
            if ended {
                let message = std::mem::replace(&mut self.message, Message::empty());
                return Ok((used, Some(message)));
            }
        }
        Ok((used, None))
    }

    /// Reads one marker, one byte of a number, or some content; true when that ended the message.
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        match &mut self.state {
            State::Marker => self.marker(bytes[0]).map(|ended| (1, ended)),
            State::Number { of, left, value } => {
                *value = (*value << 8) | u64::from(bytes[0]);
                *left -= 1;
                if *left > 0 {
                    return Ok((1, false));
                }
                let (of, value) = (*of, *value);
                self.number(of, value).map(|ended| (1, ended))
            }
            State::Content { left, word } => {
                let taken = bytes
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                let kept = taken.min(WORD_MAX.saturating_sub(word.len()));
                word.extend_from_slice(&bytes[..kept]);
                *left -= taken as u64;
                if *left > 0 {
                    return Ok((taken, false));
                }
                let word = std::mem::take(word);
                Ok((taken, self.value(&Value::Word(&word))))
            }
        }
    }

    fn marker(&mut self, byte: u8) -> Result<bool, Malformed> {
        let low = u64::from(byte & 0x0f);
        match byte {
            0x00..=0x7f => Ok(self.value(&Value::Integer(u64::from(byte)))),
            0x80..=0x8f => self.number(Number::MapLen, low),
            0x90..=0x9f => self.number(Number::ArrayLen, low),
            0xa0..=0xbf => self.number(Number::StringLen, u64::from(byte & 0x1f)),
            0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Ok(self.value(&Value::Other)),
            0xc1 => Err(Malformed),
            0xc4 | 0xd9 => self.expect(Number::StringLen, 1),
            0xc5 | 0xda => self.expect(Number::StringLen, 2),
            0xc6 | 0xdb => self.expect(Number::StringLen, 4),
            0xc7 => self.expect(Number::ExtensionLen, 1),
            0xc8 => self.expect(Number::ExtensionLen, 2),
            0xc9 => self.expect(Number::ExtensionLen, 4),
            0xca => self.number(Number::StringLen, 4),
            0xcb => self.number(Number::StringLen, 8),
            0xcc..=0xcf => self.expect(Number::Integer, 1 << (byte - 0xcc)),
            0xd0..=0xd3 => self.expect(Number::Integer, 1 << (byte - 0xd0)),
            0xd4..=0xd8 => self.number(Number::ExtensionLen, 1 << (byte - 0xd4)),
            0xdc => self.expect(Number::ArrayLen, 2),
            0xdd => self.expect(Number::ArrayLen, 4),
            0xde => self.expect(Number::MapLen, 2),
            0xdf => self.expect(Number::MapLen, 4),
        }
    }

    #[allow(
        clippy::unnecessary_wraps,
        reason = "an arm of `marker` like the others"
    )]
    fn expect(&mut self, of: Number, left: u8) -> Result<bool, Malformed> {
        let value = 0;
        self.state = State::Number { of, left, value };
        Ok(false)
    }

    /// A number is complete: a value in itself, or the length of one.
    fn number(&mut self, of: Number, value: u64) -> Result<bool, Malformed> {
        match of {
            Number::Integer => Ok(self.value(&Value::Integer(value))),
            Number::StringLen => Ok(self.content(value)),
            Number::ExtensionLen => Ok(self.content(value + 1)),
            Number::ArrayLen => self.container(value, false),
            Number::MapLen => self.container(value * 2, true),
        }
    }

    fn content(&mut self, left: u64) -> bool {
        if left == 0 {
            return self.value(&Value::Word(&[]));
        }
        let word = Vec::new();
        self.state = State::Content { left, word };
        false
    }

    fn container(&mut self, left: u64, is_map: bool) -> Result<bool, Malformed> {
        if left == 0 {
            return Ok(self.value(&Value::Other));
        }
        if self.stack.len() == DEPTH_MAX {
            return Err(Malformed);
        }
        self.stack.push(Frame {
            left,
            done: 0,
            is_map,
        });
        self.state = State::Marker;
        Ok(false)
    }

    /// A value is complete, and with it every container it was the last of; true when the message is.
    fn value(&mut self, value: &Value<'_>) -> bool {
        self.state = State::Marker;
        if self.stack.len() == 1 {
            self.note(value);
        }
        while let Some(frame) = self.stack.last_mut() {
            frame.left -= 1;
            frame.done += 1;
            if frame.left > 0 {
                return false;
            }
            self.stack.pop();
        }
        true
    }

    /// Looks at a value of the outermost container.
    fn note(&mut self, value: &Value<'_>) {
        let Some(Frame { done, is_map, .. }) = self.stack.last() else {
            return;
        };
        match (value, is_map, done) {
            (Value::Word(word), true, done) if done % 2 == 0 => {
                self.key.clear();
                self.key.extend_from_slice(word);
            }
            (Value::Integer(id), true, _) if self.key == b"i" => self.message.id = Some(*id),
            (Value::Word(word), true, _) if self.key == b"m" || self.key == b"exception_class" => {
                self.message.word = Some(String::from_utf8_lossy(word).into_owned());
            }
            (Value::Integer(id), false, 1) => self.message.id = Some(*id),
            (Value::Word(word), false, 2) => {
                self.message.word = Some(String::from_utf8_lossy(word).into_owned());
            }
            _ => {}
        }
    }
}

impl Message {
    fn empty() -> Self {
        Self {
            size: 0,
            id: None,
            word: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{i: 7, m: put, a: {id: …, data: …}}` with more data than a pipe holds.
    fn put(len: u16) -> Vec<u8> {
        let mut bytes = b"\x83\xa1i\x07\xa1m\xa3put\xa1a\x82\xa2id\xda\x00\x20".to_vec();
        bytes.extend([0x93; 32]);
        bytes.extend(b"\xa4data\xda");
        bytes.extend(len.to_be_bytes());
        bytes.extend(vec![0xdd; usize::from(len)]);
        bytes
    }

    fn all(bytes: &[u8], piece: usize) -> Vec<Message> {
        let mut scanner = Scanner::new();
        let mut messages = Vec::new();
        for mut part in bytes.chunks(piece) {
            while !part.is_empty() {
                let (used, message) = scanner.scan(part).expect("well-formed");
                messages.extend(message);
                part = &part[used..];
            }
        }
        messages
    }

    fn message(size: usize, id: u64, word: Option<&str>) -> Message {
        Message {
            size: size as u64,
            id: Some(id),
            word: word.map(str::to_owned),
        }
    }

    #[test]
    fn requests_of_both_forms_are_named() {
        let negotiate = b"\x94\x01\x01\xa9negotiate\x91\x81\xaeclient_version\x94\x01\x04\x05\xff";
        let commit = b"\x94\x01\xcd\x01\x02\xa6commit\x91\xc2";
        let bytes = [negotiate.as_slice(), &put(60_000), commit].concat();
        for piece in [1, 2, 3, 7, 1000, bytes.len()] {
            let expected = [
                message(negotiate.len(), 1, Some("negotiate")),
                message(put(60_000).len(), 7, Some("put")),
                message(commit.len(), 258, Some("commit")),
            ];
            assert_eq!(all(&bytes, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn the_method_is_found_wherever_it_is() {
        let bytes = b"\x83\xa1a\x81\xa1m\xa3get\xa1m\xa6delete\xa1i\xcf\0\0\0\x01\0\0\0\x02";
        let expected = [message(bytes.len(), (1 << 32) + 2, Some("delete"))];
        assert_eq!(all(bytes, 1), expected);
    }

    #[test]
    fn replies_of_both_forms_are_told_from_errors() {
        let good = b"\x82\xa1i\x03\xa1r\xc0";
        let good_old = b"\x94\x01\x04\xc0\xa5hello";
        let bad = b"\x83\xa1i\x05\xafexception_class\xacLockTimeout!\xaeexception_args\x91\xa1x";
        let bad_old = b"\x94\x01\x06\xaaKeyedError\xa3too";
        let bytes = [good.as_slice(), good_old, bad, bad_old].concat();
        let expected = [
            message(good.len(), 3, None),
            message(good_old.len(), 4, None),
            message(bad.len(), 5, Some("LockTimeout!")),
            message(bad_old.len(), 6, Some("KeyedError")),
        ];
        assert_eq!(all(&bytes, 5), expected);
    }

    #[test]
    fn every_kind_of_value_is_skipped_whole() {
        let values: [&[u8]; 20] = [
            b"\xc0",
            b"\xc2",
            b"\xe0",
            b"\x90",
            b"\x80",
            b"\xa0",
            b"\xc4\x02ab",
            b"\xc5\0\x02ab",
            b"\xc6\0\0\0\x02ab",
            b"\xc7\x02\x05ab",
            b"\xc8\0\x02\x05ab",
            b"\xc9\0\0\0\x02\x05ab",
            b"\xca\0\0\0\0",
            b"\xcb\0\0\0\0\0\0\0\0",
            b"\xd1\0\x01",
            b"\xd3\0\0\0\0\0\0\0\x01",
            b"\xd4\x05a",
            b"\xd8\x050123456789abcdef",
            b"\xdc\0\x02\x01\x02",
            b"\xdf\0\0\0\x01\xdb\0\0\0\x01a\xdd\0\0\0\x01\xc3",
        ];
        for value in values {
            let bytes = [b"\x92".as_slice(), value, value, value].concat();
            for piece in [1, bytes.len()] {
                let sizes: Vec<u64> = all(&bytes, piece).iter().map(|found| found.size).collect();
                let whole = [1 + 2 * value.len() as u64, value.len() as u64];
                assert_eq!(sizes, whole, "{value:02x?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_not_messagepack_is_refused() {
        assert_eq!(Scanner::new().scan(b"\x92\x01\xc1"), Err(Malformed));
        assert_eq!(Scanner::new().scan(&[0x91; 65]), Err(Malformed));
        assert_eq!(Scanner::new().scan(&[0x91; 64]), Ok((64, None)));
    }
}
