//! What is remembered from drill to drill.
//!
//! ```text
//! magic 8 | key 32 | cursor 8 | partial: fingerprint 8, chunk 8, state 1 | count 8 | count × (fingerprint 8, time 4) | checksum 16
//! ```
//! Numbers are little-endian; proofs are sorted by fingerprint; the state is 0: none, 1: not compared, 2: compared. What
//! does not decode is as if it were not there: everything is proven anew.

use std::collections::HashMap;

use ironborg_archive::drill::Progress;
use ironborg_types::ChunkId;

use super::survey::Group;

const MAGIC: [u8; 8] = *b"IBDRILL1";
const KEY_LEN: usize = 32;
const PROOF_LEN: usize = 12;
const CHECKSUM_LEN: usize = 16;
/// Before the proofs.
const HEADER_LEN: usize = 8 + KEY_LEN + 8 + 17 + 8;

/// A large file that was not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partial {
    pub(super) fingerprint: u64,
    pub(super) progress: Progress,
}

/// That a file, known by its fingerprint, was restorable then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proof {
    fingerprint: u64,
    /// Seconds since 1970.
    time: u32,
}

/// What is remembered of the drills of one job and repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    key: [u8; KEY_LEN],
    /// Where in the order of files the next drill goes on.
    cursor: u64,
    partial: Option<Partial>,
    /// Sorted.
    proofs: Vec<Proof>,
    /// What the running drill has found out; `None`: proven no longer.
    fresh: HashMap<u64, Option<u32>>,
}

impl Memory {
    /// Nothing is remembered; the key has to be random.
    pub fn new(key: [u8; KEY_LEN]) -> Self {
        Self {
            key,
            cursor: 0,
            partial: None,
            proofs: Vec::new(),
            fresh: HashMap::new(),
        }
    }

    /// Reads what [`Memory::encode`] wrote; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>()?;
        if content.len() < HEADER_LEN || self::checksum(content) != *checksum {
            return None;
        }
        let (header, proofs) = content.split_at(HEADER_LEN);
        let (magic, rest) = header.split_first_chunk::<8>()?;
        let (key, rest) = rest.split_first_chunk::<KEY_LEN>()?;
        let (cursor, rest) = rest.split_first_chunk::<8>()?;
        let (fingerprint, rest) = rest.split_first_chunk::<8>()?;
        let (chunk, rest) = rest.split_first_chunk::<8>()?;
        let (state, count) = rest.split_first()?;
        let count = u64::from_le_bytes(count.try_into().ok()?);
        let count = usize::try_from(count).ok()?;
        if *magic != MAGIC || count.checked_mul(PROOF_LEN)? != proofs.len() {
            return None;
        }
        let progress = Progress {
            chunk: usize::try_from(u64::from_le_bytes(*chunk)).ok()?,
            is_compared: *state == 2,
        };
        let fingerprint = u64::from_le_bytes(*fingerprint);
        let proof = |bytes: &[u8]| {
            let (fingerprint, time) = bytes.split_first_chunk::<8>()?;
            Some(Proof {
                fingerprint: u64::from_le_bytes(*fingerprint),
                time: u32::from_le_bytes(time.try_into().ok()?),
            })
        };
        Some(Self {
            key: *key,
            cursor: u64::from_le_bytes(*cursor),
            partial: (*state > 0).then_some(Partial {
                fingerprint,
                progress,
            }),
            proofs: proofs
                .chunks_exact(PROOF_LEN)
                .map(proof)
                .collect::<Option<_>>()?,
            fresh: HashMap::new(),
        })
    }

    /// Everything as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let len = HEADER_LEN + self.proofs.len() * PROOF_LEN + CHECKSUM_LEN;
        let mut out = Vec::with_capacity(len);
        out.extend(MAGIC);
        out.extend(self.key);
        out.extend(self.cursor.to_le_bytes());
        let (fingerprint, chunk, state) = self.partial.map_or((0, 0, 0), |partial| {
            let chunk = partial.progress.chunk as u64;
            (
                partial.fingerprint,
                chunk,
                1 + u8::from(partial.progress.is_compared),
            )
        });
        out.extend(fingerprint.to_le_bytes());
        out.extend(chunk.to_le_bytes());
        out.push(state);
        out.extend((self.proofs.len() as u64).to_le_bytes());
        for proof in &self.proofs {
            out.extend(proof.fingerprint.to_le_bytes());
            out.extend(proof.time.to_le_bytes());
        }
        let checksum = checksum(&out);
        out.extend(checksum);
        out
    }

    /// The place of a path in the order of files.
    pub(super) fn place(&self, path: &[u8]) -> u64 {
        self.hash(b"place", |state| {
            state.update(path);
        })
    }

    /// Names a path with its content: symlink target or chunks.
    pub(super) fn fingerprint(
        &self,
        path: &[u8],
        target: Option<&[u8]>,
        chunks: impl Iterator<Item = ChunkId>,
    ) -> u64 {
        self.hash(b"fingerprint", |state| {
            state.update(path).update(&[0]);
            state.update(target.unwrap_or_default()).update(&[0]);
            for id in chunks {
                state.update(&id.0);
            }
        })
    }

    fn hash(&self, purpose: &[u8], feed: impl FnOnce(&mut blake2b_simd::State)) -> u64 {
        let mut state = blake2b_simd::Params::new()
            .hash_length(8)
            .key(&self.key)
            .personal(purpose)
            .to_state();
        feed(&mut state);
        let hash = state.finalize();
        let bytes = hash.as_bytes().try_into();
        u64::from_le_bytes(bytes.expect("8 bytes were asked for"))
    }

    /// How far behind the cursor a place is, going round.
    pub(super) fn distance(&self, place: u64) -> u64 {
        place.wrapping_sub(self.cursor)
    }

    /// How many proofs there are.
    pub(super) fn proof_count(&self) -> usize {
        self.proofs.len()
    }

    /// Number and time of the proof with this fingerprint.
    pub(super) fn proof(&self, fingerprint: u64) -> Option<(usize, u32)> {
        let found = self
            .proofs
            .binary_search_by_key(&fingerprint, |proof| proof.fingerprint);
        found.ok().map(|at| (at, self.proofs[at].time))
    }

    /// Forgets proofs of what is no more.
    pub(super) fn keep_only(&mut self, met: &[bool]) {
        let mut met = met.iter();
        self.proofs.retain(|_| met.next() == Some(&true));
    }

    /// Where to go on with a file that was not finished.
    pub(super) fn partial_of(&self, fingerprint: u64) -> Option<Progress> {
        let partial = self.partial?;
        (partial.fingerprint == fingerprint).then_some(partial.progress)
    }

    pub(super) fn set_partial(&mut self, partial: Partial) {
        self.partial = Some(partial);
    }

    pub(super) fn forget_partial_unless(&mut self, is_there: bool) {
        if !is_there {
            self.partial = None;
        }
    }

    /// A group was restored, well or not.
    pub(super) fn done(&mut self, group: &Group, is_good: bool, now: u32) {
        self.fresh.insert(group.fingerprint, is_good.then_some(now));
        if self.partial_of(group.fingerprint).is_some() {
            self.partial = None;
        }
        if !group.is_proven {
            self.cursor = group.place.wrapping_add(1);
        }
    }

    /// Makes what was found out part of what is known.
    pub(super) fn settle(&mut self) {
        for proof in &mut self.proofs {
            if let Some(time) = self.fresh.remove(&proof.fingerprint) {
                proof.time = time.unwrap_or(0);
            }
        }
        let new = self.fresh.drain().map(|(fingerprint, time)| Proof {
            fingerprint,
            time: time.unwrap_or(0),
        });
        self.proofs.extend(new);
        self.proofs.retain(|proof| proof.time > 0);
        self.proofs.sort_unstable_by_key(|proof| proof.fingerprint);
    }

    /// When the oldest proof was made.
    pub(super) fn since(&self) -> Option<u32> {
        self.proofs.iter().map(|proof| proof.time).min()
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash = blake2b_simd::Params::new()
        .hash_length(CHECKSUM_LEN)
        .hash(content);
    let bytes = hash.as_bytes().try_into();
    bytes.expect("so many bytes were asked for")
}
