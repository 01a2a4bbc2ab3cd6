//! Items as they are stored: which keys they have, whether stock Borg would write them the same way again, and
//! writing them again with other chunks.
//!
//! Items with values that nothing else here could use are kept: stock Borg keeps them too, and knows no better.

use std::borrow::Cow;
use std::ops::Range;

use ironborg_format::msgpack::{Kind, Reader, Value, push_map_len, push_raw};

/// Keys every item has.
const REQUIRED: [&[u8]; 2] = [b"mtime", b"path"];
/// Attic up to 0.13 gave this key to every item. It means nothing.
const MEANINGLESS: &[u8] = b"acl";
/// Nesting that is looked into; what is deeper is kept as it is.
const DEPTH_MAX: usize = 32;

/// Why a value is no item, in stock Borg's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoItem(pub(super) String);

/// The entries of one encoded item. It may be used for one item after the other.
#[derive(Debug, Default)]
pub(super) struct ItemForm {
    entries: Vec<Entry>,
    is_canonical: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Of a raw its bytes, of any other key the encoded value.
    key: Range<usize>,
    key_is_raw: bool,
    value: Range<usize>,
}

impl ItemForm {
    /// Finds the entries of `item`, one whole value; `known`: the keys items may have, sorted.
    ///
    /// # Errors
    /// [`NoItem`].
    pub(super) fn read(&mut self, item: &[u8], known: &[Vec<u8>]) -> Result<(), NoItem> {
        self.entries.clear();
        if Reader::new(item).peek() != Ok(Kind::Map) {
            return Err(NoItem("not a dictionary".to_owned()));
        }
        (self.is_canonical, _) = self
            .read_entries(item)
            .expect("the item is one whole value");
        if self.is_canonical && self.keys_are_plain(item, known) {
            return Ok(());
        }
        self.judge_keys(item, known)
    }

    /// As [`ItemForm::read`], if `bytes` begin with a whole item as stock Borg writes them, with no key that may not be
    /// there and all that must be; gives its length. `None` says nothing about what is there otherwise.
    pub(super) fn read_plain(&mut self, bytes: &[u8], known: &[Vec<u8>]) -> Option<usize> {
        self.entries.clear();
        if Reader::new(bytes).peek() != Ok(Kind::Map) {
            return None;
        }
        let (is_canonical, len) = self.read_entries(bytes)?;
        self.is_canonical = is_canonical;
        (is_canonical && self.keys_are_plain(bytes, known)).then_some(len)
    }

    /// Whether the keys of a canonical item are some of those it may have, among them those it must have.
    fn keys_are_plain(&self, item: &[u8], known: &[Vec<u8>]) -> bool {
        let mut candidates = known.iter();
        let mut required = REQUIRED.iter().peekable();
        // All of these are sorted.
        let is_known = self.entries.iter().all(|entry| {
            let key = &item[entry.key.clone()];
            required.next_if(|required| **required == key);
            candidates.any(|known| known == key)
        });
        is_known && required.peek().is_none()
    }

    /// Whether the item is as stock Borg would write it.
    pub(super) fn is_canonical(&self) -> bool {
        self.is_canonical
    }

    /// The encoded value of a key.
    pub(super) fn value<'i>(&self, item: &'i [u8], key: &[u8]) -> Option<&'i [u8]> {
        let is_it = |entry: &&Entry| entry.key_is_raw && item[entry.key.clone()] == *key;
        let entry = self.entries.iter().rev().find(is_it)?;
        Some(&item[entry.value.clone()])
    }

    /// Appends the item as stock Borg would write it.
    pub(super) fn write_canonical(&self, item: &[u8], out: &mut Vec<u8>) {
        let mut entries: Vec<(&[u8], &[u8])> = Vec::with_capacity(self.entries.len());
        for entry in self.entries.iter().rev() {
            let key = &item[entry.key.clone()];
            if key != MEANINGLESS && entries.iter().all(|(other, _)| *other != key) {
                entries.push((key, &item[entry.value.clone()]));
            }
        }
        entries.sort_unstable();
        push_map_len(out, entries.len());
        for (key, value) in entries {
            push_raw(out, key);
            out.extend_from_slice(&canonical_value(value));
        }
    }

    /// Appends the item with other values for some keys, sorted; `None` leaves the key out. The item has no entry
    /// that is not to be written: it was written by [`ItemForm::write_canonical`], or would be the same.
    pub(super) fn write_with(
        &self,
        item: &[u8],
        changes: &[(&[u8], Option<&[u8]>)],
        out: &mut Vec<u8>,
    ) {
        let unchanged = self.entries.iter().filter_map(|entry| {
            let key = &item[entry.key.clone()];
            let is_changed = changes.iter().any(|(changed, _)| *changed == key);
            (!is_changed).then(|| (key, &item[entry.value.clone()]))
        });
        let changed = changes
            .iter()
            .filter_map(|(key, value)| Some((*key, (*value)?)));
        let mut entries: Vec<(&[u8], &[u8])> = unchanged.chain(changed).collect();
        entries.sort_unstable();
        push_map_len(out, entries.len());
        for (key, value) in entries {
            push_raw(out, key);
            out.extend_from_slice(value);
        }
    }

    /// Collects the entries; whether all is in the encoding and order of stock Borg, and how long it is. `None` if it is
    /// no whole map.
    fn read_entries(&mut self, item: &[u8]) -> Option<(bool, usize)> {
        let mut reader = Reader::new(item);
        let offset = |reader: &Reader<'_>| item.len() - reader.remaining();
        let count = reader.read_map_len().ok()?;
        let mut canonical = is_shortest_len(item[0], count, 0x80, 0xde);
        let mut previous: Option<&[u8]> = None;
        for _ in 0..count {
            let marker = *reader.rest().first()?;
            let key_is_raw = Kind::of_marker(marker) == Kind::Raw;
            let key = if key_is_raw {
                let raw = reader.read_raw().ok()?;
                canonical &= is_shortest_raw(marker, raw.len())
                    && previous.is_none_or(|previous| previous < raw)
                    && raw != MEANINGLESS;
                previous = Some(raw);
                offset(&reader) - raw.len()..offset(&reader)
            } else {
                canonical = false;
                let start = offset(&reader);
                reader.skip_value().ok()?;
                start..offset(&reader)
            };
            let start = offset(&reader);
            let mut value = reader;
            if canonical && skip_canonical(&mut value, DEPTH_MAX) {
                reader = value;
            } else {
                canonical = false;
                reader.skip_value().ok()?;
            }
            self.entries.push(Entry {
                key,
                key_is_raw,
                value: start..offset(&reader),
            });
        }
        Some((canonical, offset(&reader)))
    }

    /// Looks for keys that are missing or may not be there.
    fn judge_keys(&self, item: &[u8], known: &[Vec<u8>]) -> Result<(), NoItem> {
        let has = |key: &[u8]| {
            let is_it = |entry: &Entry| entry.key_is_raw && item[entry.key.clone()] == *key;
            self.entries.iter().any(is_it)
        };
        let missing: Vec<String> = REQUIRED
            .iter()
            .filter(|key| !has(key))
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(NoItem(format!("missing required keys: {missing}")));
        }
        let mut invalid: Vec<String> = Vec::new();
        for entry in &self.entries {
            let key = &item[entry.key.clone()];
            if !entry.key_is_raw {
                invalid.push(python_text(key));
            } else if key != MEANINGLESS && !known.iter().any(|known| known == key) {
                invalid.push(String::from_utf8_lossy(key).into_owned());
            }
        }
        invalid.sort_unstable();
        invalid.dedup();
        if invalid.is_empty() {
            return Ok(());
        }
        Err(NoItem(format!("invalid keys: {}", invalid.join(", "))))
    }
}

/// A value as Python shows it.
pub(super) fn python_text(encoded: &[u8]) -> String {
    match Value::decode(encoded) {
        Ok(Value::Nil) => "None".to_owned(),
        Ok(Value::Bool(true)) => "True".to_owned(),
        Ok(Value::Bool(false)) => "False".to_owned(),
        Ok(Value::Int(number)) => number.to_string(),
        Ok(Value::Uint(number)) => number.to_string(),
        Ok(Value::Float(number)) => format!("{number:?}"),
        Ok(Value::Raw(bytes)) => format!("b'{}'", bytes.escape_ascii()),
        _ => "?".to_owned(),
    }
}

/// A value as stock Borg would write it again; as it is if that would not.
fn canonical_value(value: &[u8]) -> Cow<'_, [u8]> {
    if skip_canonical(&mut Reader::new(value), DEPTH_MAX) {
        return Cow::Borrowed(value);
    }
    match Value::decode(value) {
        Ok(mut tree) if is_writable(&tree) => {
            tree.sort_maps();
            Cow::Owned(tree.to_bytes())
        }
        _ => Cow::Borrowed(value),
    }
}

/// Whether all keys are raws: of others stock Borg does not know the order.
fn is_writable(value: &Value<'_>) -> bool {
    match value {
        Value::Array(elements) => elements.iter().all(is_writable),
        Value::Map(pairs) => pairs
            .iter()
            .all(|(key, value)| key.as_raw().is_some() && is_writable(value)),
        _ => true,
    }
}

/// Steps over a value if stock Borg would write it as it is; says whether. The reader's position is unspecified
/// otherwise.
fn skip_canonical(reader: &mut Reader<'_>, depth_left: usize) -> bool {
    let Some(&marker) = reader.rest().first() else {
        return false;
    };
    match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => advance(reader, 1),
        0xcb => advance(reader, 9),
        0xcc..=0xcf => {
            const MIN: [u64; 4] = [0x80, 0x100, 0x1_0000, 0x1_0000_0000];
            let width = marker - 0xcc;
            let min = MIN[usize::from(width)];
            let len = 1 << width;
            let digits = reader.rest().get(1..1 + len).unwrap_or_default();
            let number = digits
                .iter()
                .fold(0, |number, digit| number << 8 | u64::from(*digit));
            advance(reader, 1 + len) && number >= min
        }
        0xd0..=0xd3 => {
            const MAX: [i64; 4] = [-33, -0x81, -0x8001, -0x8000_0001];
            let max = MAX[usize::from(marker - 0xd0)];
            reader.read_i64().is_ok_and(|number| number <= max)
        }
        0xa0..=0xbf | 0xda | 0xdb => reader
            .read_raw()
            .is_ok_and(|raw| is_shortest_raw(marker, raw.len())),
        0x80..=0x9f | 0xdc..=0xdf => depth_left
            .checked_sub(1)
            .is_some_and(|depth_left| skip_canonical_collection(reader, marker, depth_left)),
        // Encodings that Borg does not use: bin, str8, float32, extensions.
        _ => false,
    }
}

/// Steps over so many bytes, if they are there.
#[inline]
fn advance(reader: &mut Reader<'_>, len: usize) -> bool {
    let Some(rest) = reader.rest().get(len..) else {
        return false;
    };
    *reader = Reader::new(rest);
    true
}

fn skip_canonical_collection(reader: &mut Reader<'_>, marker: u8, depth_left: usize) -> bool {
    if Kind::of_marker(marker) == Kind::Array {
        return reader.read_array_len().is_ok_and(|len| {
            is_shortest_len(marker, len, 0x90, 0xdc)
                && (0..len).all(|_| skip_canonical(reader, depth_left))
        });
    }
    let Ok(len) = reader.read_map_len() else {
        return false;
    };
    let mut previous: Option<&[u8]> = None;
    is_shortest_len(marker, len, 0x80, 0xde)
        && (0..len).all(|_| {
            let marker = reader.rest().first().copied().unwrap_or_default();
            let Ok(key) = reader.read_raw() else {
                return false;
            };
            let in_order = previous.is_none_or(|previous| previous < key);
            previous = Some(key);
            in_order && is_shortest_raw(marker, key.len()) && skip_canonical(reader, depth_left)
        })
}

fn is_shortest_raw(marker: u8, len: usize) -> bool {
    match len {
        0..=31 => marker & 0xe0 == 0xa0,
        32..=0xffff => marker == 0xda,
        _ => marker == 0xdb,
    }
}

fn is_shortest_len(marker: u8, len: usize, fix: u8, marker_16: u8) -> bool {
    match len {
        0..=15 => marker & 0xf0 == fix,
        16..=0xffff => marker == marker_16,
        _ => marker == marker_16 + 1,
    }
}

#[cfg(test)]
mod tests;
