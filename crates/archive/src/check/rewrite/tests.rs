//! Which chunks that are cut are chunks that were read.

use super::*;

fn id(n: u8) -> ChunkId {
    ChunkId([n; 32])
}

/// Three chunks of 100 bytes each, read one after the other.
fn three() -> Origins {
    let mut origins = Origins::default();
    for n in 0..3 {
        let start = u64::from(n) * 100;
        origins.chunks.push_back((start..start + 100, id(n)));
    }
    origins
}

#[test]
fn what_is_copied_whole_and_cut_as_it_was_is_known() {
    let mut origins = three();
    for start in (0..300).step_by(30) {
        origins.note_copied(&(start..start + 30));
    }
    assert_eq!(origins.copied.len(), 1, "one run");
    for n in 0..3 {
        assert_eq!(origins.take(100), Some(id(n)));
    }
    assert_eq!(origins.take(1), None);
}

#[test]
fn other_cuts_make_other_chunks_until_they_meet_again() {
    let mut origins = three();
    origins.note_copied(&(0..300));
    assert_eq!(origins.take(50), None);
    assert_eq!(origins.take(50), None);
    assert_eq!(origins.take(100), Some(id(1)));
    assert_eq!(origins.take(101), None);
}

#[test]
fn behind_what_was_left_out_or_changed_chunks_are_known_again() {
    let mut origins = three();
    origins.note_copied(&(0..50));
    // 20 bytes are left out, 30 become 35.
    origins.written += 35;
    origins.note_copied(&(100..300));
    assert_eq!(origins.take(85), None);
    assert_eq!(origins.take(100), Some(id(1)));
    assert_eq!(origins.take(100), Some(id(2)));
}

#[test]
fn a_chunk_that_was_read_in_two_pieces_is_not_taken_for_one() {
    let mut origins = three();
    origins.note_copied(&(0..50));
    origins.note_copied(&(60..110));
    assert_eq!(origins.take(100), None);
}
