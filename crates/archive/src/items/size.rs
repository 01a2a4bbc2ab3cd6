//! How large an item is.

use ironborg_format::item::ItemView;
use ironborg_source::walk::FileKind;
use ironborg_types::text;

/// Bytes of content: as stored, else of a symlink the characters of its target, else the sum over the chunks.
///
/// Source: Borg 1.4, `Item.get_size`.
pub fn item_size(item: &ItemView<'_>) -> u64 {
    if let Some(size) = item.size {
        return size;
    }
    if FileKind::of_mode(item.mode) == FileKind::Symlink {
        let target = item.source.map(text::display).unwrap_or_default();
        return target.chars().count() as u64;
    }
    let chunks = item.chunks.into_iter().flat_map(|list| list.iter());
    chunks.map(|chunk| u64::from(chunk.size)).sum()
}
