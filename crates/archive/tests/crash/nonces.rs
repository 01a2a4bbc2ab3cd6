//! Counter values in what was written: none may serve two messages, whatever was lost between them.

use std::collections::BTreeMap;

use ironborg_crypto::envelope_nonce;
use ironborg_format::segment::{Entry, MAGIC_LEN, decode_entry};
use ironborg_storage::Operation;
use ironborg_types::ChunkId;

/// Type, MAC and counter.
const HEADER_LEN: usize = 41;
const BLOCK_LEN: usize = 16;

/// Values used: the first, the first that is not used any more, and the object they were used for.
#[derive(Debug, Clone, Default)]
pub(crate) struct UsedNonces(BTreeMap<u64, (u64, Vec<u8>)>);

impl UsedNonces {
    /// Takes note of every object that these operations wrote to a segment, whether it was committed or not.
    pub(crate) fn note(&mut self, operations: &[Operation]) {
        let mut segments: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for operation in operations {
            match operation {
                Operation::Create(name) => {
                    if let Some(written) = segments.insert(name, Vec::new()) {
                        self.note_segment(&written);
                    }
                }
                Operation::AppendTo(name, bytes) => {
                    segments.entry(name).or_default().extend_from_slice(bytes);
                }
                _ => {}
            }
        }
        for segment in segments.values() {
            self.note_segment(segment);
        }
    }

    /// Takes note of what a segment holds.
    pub(crate) fn note_segment(&mut self, segment: &[u8]) {
        let mut rest = segment.get(MAGIC_LEN..).unwrap_or_default();
        while let Ok((entry, size)) = decode_entry(rest) {
            if let Entry::Put { id, object } = entry {
                self.note_object(&id, object);
            }
            rest = &rest[size..];
        }
    }

    fn note_object(&mut self, id: &ChunkId, object: &[u8]) {
        let nonce = envelope_nonce(object).expect("every object has an envelope");
        // Exactly: what the envelope's own count adds belongs to the next object.
        let blocks = object.len().saturating_sub(HEADER_LEN).div_ceil(BLOCK_LEN);
        let end = nonce.first + blocks as u64;
        let before = self.0.range(..end).next_back();
        if let Some((first, (last, other))) = before
            && *last > nonce.first
        {
            // Compaction copies objects as they are.
            assert!(
                *first == nonce.first && other == object,
                "{id}: counters {}..{end} were used before: {first}..{last}",
                nonce.first
            );
        }
        self.0.insert(nonce.first, (end, object.to_vec()));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[test]
#[should_panic(expected = "were used before")]
fn a_counter_used_twice_is_found() {
    let object = |first: u64, byte: u8| {
        let mut object = vec![0; 33];
        object.extend_from_slice(&first.to_be_bytes());
        object.resize(141, byte);
        object
    };
    let mut used = UsedNonces::default();
    let id = ChunkId::MANIFEST;
    used.note_object(&id, &object(100, 1));
    used.note_object(&id, &object(100, 1));
    used.note_object(&id, &object(200, 1));
    assert_eq!(used.len(), 2);
    used.note_object(&id, &object(105, 2));
}
