//! Items of a large tree, made as they are needed.

use ironborg_format::item::{ChunkEntry, Item, OwnerName};
use ironborg_types::{BytePath, ChunkId};

/// Files in one directory.
pub(crate) const DIRECTORY_LEN: u32 = 50;

/// So many files and their directories, as a backup has them.
pub(crate) fn tree(files: u32) -> impl Iterator<Item = Item> {
    (0..files).flat_map(|number| {
        let directory = (number % DIRECTORY_LEN == 0).then(|| Item {
            path: BytePath::from(directory_path(number).as_str()),
            mode: 0o040_755,
            ..common(number)
        });
        directory.into_iter().chain([file(number)])
    })
}

/// Where a file is.
pub(crate) fn file_path(number: u32) -> String {
    format!("{}/{}", directory_path(number), file_name(number))
}

/// The directory a file is in.
pub(crate) fn directory_path(number: u32) -> String {
    let directory = number / DIRECTORY_LEN;
    format!(
        "home/somebody/projects/project-{}/sources-{directory}",
        directory / 40
    )
}

/// The name of a file.
pub(crate) fn file_name(number: u32) -> String {
    format!("a-file-{number}.txt")
}

fn file(number: u32) -> Item {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&number.to_le_bytes());
    let chunk = ChunkEntry {
        id: ChunkId(id),
        size: 3000,
        csize: 1500,
    };
    Item {
        path: BytePath::from(file_path(number).as_str()),
        mode: 0o100_644,
        chunks: Some(vec![chunk]),
        size: Some(u64::from(number)),
        hardlink_master: Some(false),
        ..common(number)
    }
}

fn common(number: u32) -> Item {
    let time = 1_700_000_000_000_000_000 + i64::from(number) * 1_234_567;
    Item {
        uid: Some(1000),
        gid: Some(100),
        user: OwnerName::Name(b"somebody".to_vec()),
        group: OwnerName::Name(b"users".to_vec()),
        mtime: Some(time),
        atime: Some(time + 1),
        ctime: Some(time + 2),
        ..Item::default()
    }
}
