//! Items of an archive to bytes and back.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ironborg_format::item::{ChunkEntry, Item, ItemDecoder, OwnerName};
use ironborg_types::BytePath;

use crate::id;

const ITEMS: u32 = 10_000;

/// Bytes of a chunk of the item stream.
const PIECE_LEN: usize = 128 << 10;

/// A regular file of one chunk.
fn item(number: u32) -> Item {
    let chunk = ChunkEntry {
        id: id(u64::from(number)),
        size: 2_500,
        csize: 1_800,
    };
    let path = format!(
        "home/somebody/projects/d{:03}/f{number:06}.txt",
        number / 100
    );
    Item {
        path: BytePath::new(path),
        mode: 0o100_644,
        uid: Some(1000),
        gid: Some(1000),
        user: OwnerName::Name(b"somebody".to_vec()),
        group: OwnerName::Name(b"somebody".to_vec()),
        mtime: Some(1_700_000_000_123_456_789),
        atime: Some(1_700_000_000_123_456_789),
        ctime: Some(1_700_000_000_123_456_789),
        chunks: Some(vec![chunk]),
        size: Some(2_500),
        ..Item::default()
    }
}

fn encode(items: &[Item]) -> Vec<u8> {
    let mut stream = Vec::new();
    for item in items {
        item.encode(&mut stream);
    }
    stream
}

fn items() -> Vec<Item> {
    (0..ITEMS).map(item).collect()
}

#[divan::bench]
fn encode_items(bencher: Bencher<'_, '_>) {
    let items = items();
    bencher
        .counter(ItemsCount::new(ITEMS))
        .bench(|| encode(black_box(&items)));
}

/// Without owning what is decoded, as listing does.
#[divan::bench]
fn view_items(bencher: Bencher<'_, '_>) {
    let stream = encode(&items());
    bencher.counter(ItemsCount::new(ITEMS)).bench(|| {
        let mut count = 0;
        let mut decoder = ItemDecoder::new();
        for piece in stream.chunks(PIECE_LEN) {
            decoder.push(piece);
            while let Some(view) = decoder.next_view().expect("well-formed") {
                black_box(view);
                count += 1;
            }
        }
        assert_eq!(count, ITEMS);
    });
}

/// Owning what is decoded, in memory that is used again, as extracting does.
#[divan::bench]
fn decode_items(bencher: Bencher<'_, '_>) {
    let stream = encode(&items());
    let mut item = Item::default();
    bencher.counter(ItemsCount::new(ITEMS)).bench_local(|| {
        let mut count = 0;
        let mut decoder = ItemDecoder::new();
        for piece in stream.chunks(PIECE_LEN) {
            decoder.push(piece);
            while decoder.next_into(&mut item).expect("well-formed") {
                count += 1;
            }
        }
        assert_eq!(count, ITEMS);
    });
}
