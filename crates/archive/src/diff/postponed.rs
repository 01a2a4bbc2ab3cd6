//! What a comparison has to remember: items without a partner so far.
//!
//! Items are kept as they were encoded, which takes a fraction of their decoded size.

use std::collections::HashMap;

use ironborg_format::item::ItemView;
use ironborg_format::msgpack::Reader;

/// An item in its encoded form.
pub(super) type Encoded = Box<[u8]>;

/// Decodes what was an item before.
pub(super) fn decode(encoded: &[u8]) -> ItemView<'_> {
    ItemView::decode(&mut Reader::new(encoded)).expect("these bytes were decoded before")
}

/// Items of one archive whose path the other one has not had yet.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    by_path: HashMap<Box<[u8]>, (u64, Encoded)>,
    count: u64,
}

impl Orphans {
    /// Takes the item of a path out.
    pub(super) fn take(&mut self, path: &[u8]) -> Option<Encoded> {
        if self.by_path.is_empty() {
            return None;
        }
        self.by_path.remove(path).map(|(_, encoded)| encoded)
    }

    /// Keeps an item. A second one of a path replaces the first, but has its place.
    pub(super) fn keep(&mut self, item: &ItemView<'_>) {
        if let Some((_, known)) = self.by_path.get_mut(item.path) {
            *known = item.encoded.into();
            return;
        }
        let place = (self.count, item.encoded.into());
        self.count += 1;
        self.by_path.insert(item.path.into(), place);
    }

    /// All of them, in the order they came in.
    pub(super) fn into_ordered(self) -> Vec<Encoded> {
        let mut all: Vec<(u64, Encoded)> = self.by_path.into_values().collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, encoded)| encoded).collect()
    }
}

/// A path in both archives; `None` where it is not there.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) old: Option<Encoded>,
    pub(super) new: Option<Encoded>,
}

impl Pair {
    pub(super) fn of(old: Option<&ItemView<'_>>, new: Option<&ItemView<'_>>) -> Self {
        let encoded = |item: Option<&ItemView<'_>>| item.map(|item| item.encoded.into());
        Self {
            old: encoded(old),
            new: encoded(new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_format::item::Item;

    #[test]
    fn orphans_keep_their_order_and_their_place() {
        let encoded = |path: &str, mode| {
            let item = Item {
                path: path.into(),
                mode,
                ..Item::default()
            };
            let mut out = Vec::new();
            item.encode(&mut out);
            out
        };
        let mut orphans = Orphans::default();
        for (path, mode) in [("b", 1), ("a", 2), ("c", 3), ("b", 4)] {
            orphans.keep(&decode(&encoded(path, mode)));
        }
        let taken = orphans.take(b"c").expect("it was kept");
        assert_eq!(decode(&taken).mode, 3);
        assert!(orphans.take(b"c").is_none());
        orphans.keep(&decode(&encoded("c", 5)));
        orphans.keep(&decode(&encoded("d", 6)));
        let modes: Vec<u32> = orphans
            .into_ordered()
            .iter()
            .map(|encoded| decode(encoded).mode)
            .collect();
        assert_eq!(modes, [4, 2, 5, 6]);
    }
}
