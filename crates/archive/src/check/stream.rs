//! Item streams with holes: what can be read of them, as stock Borg reads it.
//!
//! Behind a hole nobody knows where the next item begins. Every place where one could begin is tried, from the first
//! on: it must look like a map whose first key is one of an item, be whole, and have a path. Source: Borg 1.4,
//! `RobustUnpacker`.

use std::ops::Range;

use ironborg_format::item::ITEM_LEN_MAX;
use ironborg_format::msgpack::{Reader, push_raw};

use super::item::ItemForm;
use super::walk::{Broken, Walk};

/// How many values may be looked at for each byte, while a beginning is looked for. Stock Borg has no limit: a
/// stream made for that would take it days.
const LOOKS_PER_BYTE: u64 = 4;
/// Looks that are granted anyway.
const LOOKS_MIN: u64 = 1 << 22;
/// When there are no more, an item may have so many values; one that has more is taken for none.
const LOOKS_AFTER: u64 = 64;

/// Takes an item stream apart, chunk by chunk.
///
/// Memory: what was fed and not taken; while a beginning is looked for, as much as an item that may have begun.
pub(super) struct RobustStream {
    /// How keys of items begin when packed.
    keys: Vec<Vec<u8>>,
    buffer: Vec<u8>,
    /// Where the next value begins in `buffer`.
    start: usize,
    /// Offset of `buffer` in all that was fed.
    base: u64,
    walk: Walk,
    search: Option<Search>,
}

/// The search for the beginning of an item.
#[derive(Default)]
struct Search {
    /// Where items may have begun that are not whole yet, in order.
    begun: Vec<(usize, Walk)>,
    /// What is before this in the buffer was tried.
    tried: usize,
    /// Looks at values so far.
    looks: u64,
}

impl RobustStream {
    /// A stream that begins with an item; `keys`: those an item may have.
    pub(super) fn new<'k>(keys: impl IntoIterator<Item = &'k [u8]>) -> Self {
        let pack = |key| {
            let mut packed = Vec::new();
            push_raw(&mut packed, key);
            packed
        };
        Self {
            keys: keys.into_iter().map(pack).collect(),
            buffer: Vec::new(),
            start: 0,
            base: 0,
            walk: Walk::default(),
            search: None,
        }
    }

    /// Forgets what was fed and not taken, and looks for an item in what follows.
    pub(super) fn resync(&mut self) {
        self.base += self.buffer.len() as u64;
        self.buffer.clear();
        self.start = 0;
        self.walk.restart();
        self.search = Some(Search::default());
    }

    /// Adds a chunk. Gives where it lies in all that was fed.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Range<u64> {
        self.drop_taken();
        let from = self.base + self.buffer.len() as u64;
        self.buffer.extend_from_slice(bytes);
        from..from + bytes.len() as u64
    }

    /// Where the next value lies in all that was fed; `None` if more is needed to tell. [`RobustStream::bytes`] has
    /// it until the next chunk is fed.
    ///
    /// # Errors
    /// [`Broken`]: there is no value there. What follows has to be found by [`RobustStream::resync`].
    pub(super) fn next(&mut self) -> Result<Option<Range<u64>>, Broken> {
        if self.search.is_some() {
            return Ok(self.find());
        }
        let pending = &self.buffer[self.start..];
        if pending.is_empty() {
            return Ok(None);
        }
        let Some(len) = self.walk.advance(pending)? else {
            return if pending.len() > ITEM_LEN_MAX {
                Err(Broken)
            } else {
                Ok(None)
            };
        };
        Ok(Some(self.take(self.start, len)))
    }

    /// Where the next value lies, if that is an item as nearly all are, into which `form` has looked then; `None` says
    /// nothing: [`RobustStream::next`] is to be asked.
    pub(super) fn next_plain(
        &mut self,
        form: &mut ItemForm,
        known: &[Vec<u8>],
    ) -> Option<Range<u64>> {
        if self.search.is_some() {
            return None;
        }
        // What is taken here would be taken by stock Borg's unpacker, too: it is what its packer makes.
        let len = form.read_plain(&self.buffer[self.start..], known)?;
        Some(self.take(self.start, len))
    }

    /// The bytes of a value that was just given.
    pub(super) fn bytes(&self, at: &Range<u64>) -> &[u8] {
        let offset = |at: u64| usize::try_from(at - self.base).expect("it lies in the buffer");
        &self.buffer[offset(at.start)..offset(at.end)]
    }

    /// Bytes that were fed and belong to no value so far.
    pub(super) fn pending_len(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn take(&mut self, from: usize, len: usize) -> Range<u64> {
        self.start = from + len;
        self.walk.restart();
        let at = self.base + from as u64;
        at..at + len as u64
    }

    /// Forgets what was taken, or tried in vain.
    fn drop_taken(&mut self) {
        let done = match &self.search {
            None => self.start,
            Some(search) => search.begun.first().map_or(search.tried, |(at, _)| *at),
        };
        if done == 0 {
            return;
        }
        self.buffer.drain(..done);
        self.base += done as u64;
        self.start = self.start.saturating_sub(done);
        if let Some(search) = &mut self.search {
            search.tried -= done;
            for (at, _) in &mut search.begun {
                *at -= done;
            }
        }
    }

    /// Looks for the first place where an item begins that is whole.
    fn find(&mut self) -> Option<Range<u64>> {
        let mut search = self.search.take().expect("the caller has looked");
        for (at, walk) in std::mem::take(&mut search.begun) {
            if let Some(len) = self.try_item(&mut search, at, walk) {
                return Some(self.take(at, len));
            }
        }
        let len = self.buffer.len();
        while search.tried < len {
            let at = search.tried;
            match self.may_begin(at) {
                MayBegin::No => {}
                MayBegin::NotSeen => break,
                MayBegin::Yes => {
                    if let Some(len) = self.try_item(&mut search, at, Walk::default()) {
                        return Some(self.take(at, len));
                    }
                }
            }
            search.tried += 1;
        }
        self.start = len;
        self.search = Some(search);
        None
    }

    /// Goes on with an item that may have begun at `at`; its length if it is one and whole.
    fn try_item(&self, search: &mut Search, at: usize, mut walk: Walk) -> Option<usize> {
        let bytes = &self.buffer[at..];
        let limit = LOOKS_MIN.max((self.buffer.len() as u64).saturating_mul(LOOKS_PER_BYTE));
        let granted = limit.saturating_sub(search.looks).max(LOOKS_AFTER);
        let mut left = granted;
        let result = walk.advance_within(bytes, &mut left);
        search.looks += granted - left;
        match result {
            Ok(None) => {
                search.begun.push((at, walk));
                None
            }
            Ok(Some(len)) => has_path(&bytes[..len]).then_some(len),
            Err(Broken) => None,
        }
    }

    /// Whether the bytes look like the beginning of an item: a map, the first key of which is one of an item.
    fn may_begin(&self, at: usize) -> MayBegin {
        let rest = &self.buffer[at..];
        let key = match rest[0] {
            0x80..=0x8f => rest.get(1..),
            0xde => rest.get(3..),
            _ => return MayBegin::No,
        };
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            return MayBegin::NotSeen;
        };
        if self.keys.iter().any(|known| key.starts_with(known)) {
            return MayBegin::Yes;
        }
        if self.keys.iter().any(|known| known.starts_with(key)) {
            return MayBegin::NotSeen;
        }
        MayBegin::No
    }
}

enum MayBegin {
    Yes,
    No,
    /// Not enough has arrived.
    NotSeen,
}

/// Whether a map has a path, of whatever kind.
fn has_path(map: &[u8]) -> bool {
    let mut reader = Reader::new(map);
    for _ in 0..reader.read_map_len().unwrap_or(0) {
        let Ok(key) = reader.skip_value() else {
            return false;
        };
        if Reader::new(key).read_raw() == Ok(b"path") {
            return true;
        }
        if reader.skip_value().is_err() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests;
