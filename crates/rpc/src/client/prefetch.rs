//! Which objects are asked for before anybody needs them.

use std::collections::{HashMap, HashSet, VecDeque};

use ironborg_types::ChunkId;

/// Most objects asked for ahead at a time.
const IN_FLIGHT_MAX: usize = 512;
/// How many bytes may be on their way or waiting to be fetched.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How large an object is taken to be before any was seen.
const FIRST_GUESS: u64 = 256 * 1024;

/// Objects that will be needed, on their way, and here.
#[derive(Debug, Default)]
pub(super) struct Prefetch {
    /// To be asked for, in this order; those not in `wished` any more are skipped.
    queue: VecDeque<ChunkId>,
    wished: HashSet<ChunkId>,
    /// Asked for or here, by the call that brings them.
    asked: HashMap<ChunkId, u64>,
    /// How many of those are still on their way.
    in_flight: usize,
    /// Bytes of those that are here.
    ready: u64,
    /// Mean size of what came so far.
    mean: Option<u64>,
}

/// Where an object stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It was asked for by this call; whoever claimed it takes the reply.
    Asked(u64),
    /// It has to be asked for.
    Unknown,
}

impl Prefetch {
    /// Notes objects that will be needed in this order.
    pub(super) fn wish(&mut self, ids: &[ChunkId]) {
        for id in ids {
            if !self.asked.contains_key(id) && self.wished.insert(*id) {
                self.queue.push_back(*id);
            }
        }
    }

    /// The next object to ask for, if there is room for it.
    pub(super) fn next(&mut self) -> Option<ChunkId> {
        let guess = self.mean.unwrap_or(FIRST_GUESS).max(1);
        let expected = self.ready + guess * (self.in_flight as u64 + 1);
        if self.in_flight >= IN_FLIGHT_MAX
            || (expected > BYTES_MAX && self.in_flight > 0)
            || self.ready > BYTES_MAX
        {
            return None;
        }
        loop {
            let id = self.queue.pop_front()?;
            if self.wished.remove(&id) {
                return Some(id);
            }
        }
    }

    /// Notes that a call asks for an object.
    pub(super) fn asked(&mut self, id: ChunkId, msgid: u64) {
        self.asked.insert(id, msgid);
        self.in_flight += 1;
    }

    /// Notes that a call for an object was answered with so many bytes.
    pub(super) fn arrived(&mut self, len: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ready += len;
        let mean = self.mean.unwrap_or(len);
        self.mean = Some((mean * 7 + len) / 8);
    }

    /// Somebody needs an object now.
    pub(super) fn claim(&mut self, id: &ChunkId) -> Claim {
        self.wished.remove(id);
        match self.asked.remove(id) {
            Some(msgid) => Claim::Asked(msgid),
            None => Claim::Unknown,
        }
    }

    /// Notes that a claimed object of so many bytes was taken.
    pub(super) fn taken(&mut self, len: u64) {
        self.ready = self.ready.saturating_sub(len);
    }

    /// The calls whose replies nobody is going to claim, if too many bytes of them lie around; they are forgotten.
    pub(super) fn abandon(&mut self) -> Vec<u64> {
        if self.ready <= BYTES_MAX / 2 {
            return Vec::new();
        }
        self.queue.clear();
        self.wished.clear();
        self.asked.drain().map(|(_, msgid)| msgid).collect()
    }
}
