//! Where MessagePack values end that arrive in pieces, and what stock Borg's unpacker refuses in them.
//!
//! What is accepted here is exactly what that accepts, and it is refused at the same byte: an item stream is given up
//! where it gives it up. Source: msgpack 1.2, `unpack_template.h`, with the settings of Borg 1.4.

use ironborg_format::msgpack::{Head, Kind, MsgpackError};

/// Deepest nesting of lists and maps.
const DEPTH_MAX: usize = 1024;
/// Longest list, and twice the longest map.
const LEN_MAX: u64 = i32::MAX as u64;

/// The bytes are no value that stock Borg would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// Steps over one value, looking at every head once, however many pieces it comes in.
#[derive(Debug, Clone, Default)]
pub(super) struct Walk {
    /// Bytes from the value's start to the next head; may lie behind what has arrived.
    offset: usize,
    /// The lists and maps that are open, from the outside in.
    open: Vec<Open>,
    /// Whether a scalar's end was waited for.
    has_begun: bool,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// Values that have not ended yet: of a map, keys and values.
    left: u64,
    is_map: bool,
    /// The key of the value that is next cannot be one.
    bad_key: bool,
}

impl Walk {
    /// Goes on in `bytes`, which begin where the value begins and reach as far as it has arrived. Gives its length,
    /// `None` if more is needed.
    ///
    /// # Errors
    /// [`Broken`]; the walk is of no use then.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut unlimited = u64::MAX;
        self.advance_within(bytes, &mut unlimited)
    }

    /// As [`Walk::advance`], but gives the value up after so many looks at heads.
    pub(super) fn advance_within(
        &mut self,
        bytes: &[u8],
        looks_left: &mut u64,
    ) -> Result<Option<usize>, Broken> {
        loop {
            if self.has_begun && self.open.is_empty() {
                let len = self.offset;
                return Ok((len <= bytes.len()).then_some(len));
            }
            let Some(rest) = bytes.get(self.offset..) else {
                return Ok(None);
            };
            let head = match Head::read(rest) {
                Ok(head) => head,
                Err(MsgpackError::Truncated) => return Ok(None),
                Err(_) => return Err(Broken),
            };
            let payload_len = usize::try_from(head.payload_len).map_err(|_| Broken)?;
            let end = head.len.checked_add(payload_len).ok_or(Broken)?;
            // Whoever unpacks has the whole scalar before it goes on.
            if payload_len > 0 && rest.len() < end {
                return if overlong(rest) {
                    Err(Broken)
                } else {
                    Ok(None)
                };
            }
            *looks_left = looks_left.checked_sub(1).ok_or(Broken)?;
            let kind = Kind::of_marker(rest[0]);
            if kind == Kind::Ext && !is_ext(&rest[..end], head.len) {
                return Err(Broken);
            }
            self.has_begun = true;
            self.offset = self.offset.checked_add(end).ok_or(Broken)?;
            if matches!(kind, Kind::Array | Kind::Map) {
                if self.open.len() == DEPTH_MAX || head.child_count > longest(kind) {
                    return Err(Broken);
                }
                if head.child_count > 0 {
                    self.open.push(Open {
                        left: head.child_count,
                        is_map: kind == Kind::Map,
                        bad_key: false,
                    });
                    continue;
                }
            }
            self.close(matches!(kind, Kind::Array | Kind::Map))?;
        }
    }

    /// Forgets the value: the next one begins.
    pub(super) fn restart(&mut self) {
        self.offset = 0;
        self.open.clear();
        self.has_begun = false;
    }

    /// Notes that a value has ended, and with it perhaps those it is in. A list or map is no key.
    fn close(&mut self, mut is_collection: bool) -> Result<(), Broken> {
        while let Some(open) = self.open.last_mut() {
            let is_key = open.is_map && open.left % 2 == 0;
            if is_key {
                open.bad_key = is_collection;
            } else if open.bad_key {
                return Err(Broken);
            }
            open.left -= 1;
            if open.left > 0 {
                return Ok(());
            }
            self.open.pop();
            is_collection = true;
        }
        Ok(())
    }
}

/// Most values in a list, or keys and values in a map.
fn longest(kind: Kind) -> u64 {
    match kind {
        Kind::Map => LEN_MAX / 2 * 2,
        _ => LEN_MAX,
    }
}

/// Whether the length of a scalar overflows what it is computed with, so that its end is not waited for.
fn overlong(rest: &[u8]) -> bool {
    rest.starts_with(&[0xc9, 0xff, 0xff, 0xff, 0xff])
}

/// Whether an extension is one: of a type that is not negative, or a time.
fn is_ext(ext: &[u8], head_len: usize) -> bool {
    /// The type of times.
    const TIME: u8 = 0xff;
    const NANOS_END: u32 = 1_000_000_000;
    let Some((kind, bytes)) = ext[head_len..].split_first() else {
        return false;
    };
    if *kind != TIME {
        return *kind < 0x80;
    }
    let nanos = |bytes: &[u8]| bytes.first_chunk::<4>().map(|b| u32::from_be_bytes(*b));
    match bytes.len() {
        4 => true,
        8 => nanos(bytes).is_some_and(|high| high >> 2 < NANOS_END),
        12 => nanos(bytes).is_some_and(|nanos| nanos < NANOS_END),
        _ => false,
    }
}
