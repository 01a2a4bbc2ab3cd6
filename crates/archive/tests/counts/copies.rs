//! How often each byte of a chunk is copied on its way, from the file to the segment and back.

use ironborg_archive::extract::{Destination, extract};
use ironborg_crypto::KeyMode;

use crate::allocations::{CHUNK_LEN, CHUNKS, Scene, everything, write_large};
use crate::alone;
use crate::sys::copied;

/// Bytes copied by a backup of one file of so many chunks, and by its verification.
fn of_chunks(mode: KeyMode, chunks: usize) -> [u64; 2] {
    let scene = Scene::new(mode);
    write_large(&scene.stage.source.join("large"), chunks);
    let created = copied(|| {
        scene.create("large", |options| {
            options.chunker = "fixed,1048576".parse().expect("parameters");
        });
    });
    let verified = copied(|| {
        scene.counted(|session| {
            let archive = session.load_archive(b"large").expect("it is there");
            extract(session, &archive, Destination::Nowhere, everything()).expect("it is read");
        });
    });
    [created, verified]
}

/// Once into what is sealed, once out of what was compressed; in between it is encrypted on the way and decrypted in a copy.
#[test]
fn a_byte_of_a_chunk_is_copied_so_often() {
    let _alone = alone();
    let mut over = Vec::new();
    for (mode, limits) in [
        (KeyMode::None, [105, 105]),
        (KeyMode::RepokeyBlake2, [105, 205]),
    ] {
        let (small, large) = (of_chunks(mode, CHUNKS), of_chunks(mode, 3 * CHUNKS));
        let content = (2 * CHUNKS * CHUNK_LEN) as u64;
        for (what, at) in [("created", 0), ("verified", 1)] {
            let hundredths = large[at].saturating_sub(small[at]) * 100 / content;
            println!(
                "{what}, {mode:?}: each byte is copied {}.{:02} times",
                hundredths / 100,
                hundredths % 100
            );
            if hundredths > limits[at] {
                over.push(format!("{what}, {mode:?}: {hundredths} hundredths"));
            }
        }
    }
    assert_eq!(over, [""; 0]);
}
