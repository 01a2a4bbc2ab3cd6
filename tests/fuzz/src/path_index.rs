//! Path indexes of mounts.

use ironborg_format::ChunkEntry;
use ironborg_format::item::Item;
use ironborg_mount::index::exercise::{ask_index, index_content, index_items};
use ironborg_types::{BytePath, ChunkId};

/// What begins an input that is an item stream; any other is an index.
const ITEMS: u8 = b'I';

pub(crate) fn path_index(bytes: &[u8]) {
    match bytes.split_first() {
        Some((&ITEMS, stream)) => index_items(stream),
        Some((_, content)) => ask_index(content),
        None => {}
    }
}

/// Streams with everything paths and links can do, and an index.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let paths = [
        "a", "b/f.txt", "a", "./a/x", "b//c", "b/../d", "a/f.txt", "b",
    ];
    let mut items: Vec<Item> = (0..).zip(paths).map(|(at, path)| file(path, at)).collect();
    items[1].mode = 0o040_755;
    items.push(Item {
        source: Some(b"b/f.txt".to_vec()),
        ..file("a/link", 9)
    });
    items.push(Item {
        mode: 0o040_755,
        ..file("a", 10)
    });
    let mut stream = Vec::new();
    for item in &items {
        item.encode(&mut stream);
    }
    let content = index_content(&stream);
    vec![
        [&[ITEMS], stream.as_slice()].concat(),
        [b"x", content.as_slice()].concat(),
        [b"x".as_slice(), &[0; 300]].concat(),
    ]
}

fn file(path: &str, number: u8) -> Item {
    let chunk = ChunkEntry {
        id: ChunkId([number % 2; 32]),
        size: 10,
        csize: 5,
    };
    Item {
        path: BytePath::from(path),
        mode: 0o100_644,
        mtime: Some(i64::from(number)),
        chunks: Some(vec![chunk]),
        ..Item::default()
    }
}
