//! No counter of the cipher is ever used for two plaintexts, whatever was damaged.

use std::collections::BTreeSet;

use ironborg_storage::MemoryStorage;

use crate::segment_file::{is_segment, objects};

/// Type byte and MAC come before the counter, the ciphertext after it.
const COUNTER_AT: usize = 33;
const CIPHERTEXT_AT: usize = COUNTER_AT + 8;
const BLOCK_LEN: usize = 16;

/// First counter, the one behind the last, and the ciphertext.
type Use = (u64, u64, Vec<u8>);

fn uses(storage: &MemoryStorage) -> BTreeSet<Use> {
    let mut found = BTreeSet::new();
    for (name, content) in storage.files() {
        if !is_segment(&name) {
            continue;
        }
        for stored in objects(&content) {
            let Some(counter) = stored.object.get(COUNTER_AT..CIPHERTEXT_AT) else {
                continue;
            };
            let first = u64::from_be_bytes(counter.try_into().expect("eight bytes"));
            let ciphertext = stored.object[CIPHERTEXT_AT..].to_vec();
            let blocks = ciphertext.len().div_ceil(BLOCK_LEN) as u64;
            found.insert((first, first.saturating_add(blocks), ciphertext));
        }
    }
    found
}

/// Holds what is in `new` and was not before against everything before.
#[track_caller]
pub(crate) fn assert_none_used_twice(what: &str, old: &[&MemoryStorage], new: &MemoryStorage) {
    let old: BTreeSet<Use> = old.iter().flat_map(|storage| uses(storage)).collect();
    let all = uses(new);
    let fresh: Vec<&Use> = all.iter().filter(|used| !old.contains(*used)).collect();
    for (index, (first, end, _)) in fresh.iter().enumerate() {
        let others = old.iter().chain(fresh[..index].iter().copied());
        for (other_first, other_end, _) in others {
            assert!(
                end <= other_first || other_end <= first,
                "{what}: counters {first}-{end} were used before, as {other_first}-{other_end}"
            );
        }
    }
}
