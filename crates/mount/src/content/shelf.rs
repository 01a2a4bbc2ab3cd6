//! Which chunks are here, which are on their way, which are to be fetched, and which go when there is no room.
//!
//! Pure bookkeeping behind one mutex: nothing here waits or reads. A chunk is *wanted* (somebody may need it soon), *loading*
//! (one thread has it in hand, others wait for that one) or *ready*. Ready ones go in this order: those that were read to
//! their end, then those nobody has touched for longest. Fetching ahead never drives out what somebody is still reading: it gets the
//! room of what was read to the end, or was left alone while as many bytes as all of the shelf were handed out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironborg_types::ChunkId;
use ironborg_types::limits::CHUNK_LEN_MAX;

use super::chunk::Chunk;
use super::pending::{Outcome, Pending};

/// What an entry takes in memory beside the plaintext.
const ENTRY_WEIGHT: u64 = 256;
/// Chunks that were read to their end are kept up to this share of the budget: an earlier part of one may be asked for a little
/// later, and the next file may have the same.
const FINISHED_SHARE: u64 = 8;
/// Buffers of chunks that went are kept up to this share of the budget, as far as it is not in use: every page of a new one
/// comes from the system.
const SPARE_SHARE: u64 = 4;
/// Smaller ones do not: the allocator has them at hand.
const SPARE_MIN: u64 = 256 << 10;
/// How long a chunk that could not be read is not tried again: the kernel asks for each page of it.
const FAILURE_KEPT: Duration = Duration::from_secs(2);
/// Most failures remembered.
const FAILURES_MAX: usize = 4096;
/// Entries of the queue that stand for nothing any more.
const STALE_MAX: usize = 4096;

/// Chunks within a budget of bytes.
#[derive(Debug)]
pub(super) struct Shelf {
    budget: u64,
    /// Bytes of all entries, those included that are not here yet.
    used: u64,
    entries: HashMap<ChunkId, Entry>,
    /// Ready ones that were read to their end, by when they were touched.
    finished: BTreeMap<u64, ChunkId>,
    /// Their bytes.
    finished_weight: u64,
    /// Other ready ones, by when they were touched.
    kept: BTreeMap<u64, ChunkId>,
    /// Wanted ones, with their tickets, in the order they are to be fetched; what is not wanted any more is skipped.
    queue: VecDeque<(u64, ChunkId)>,
    /// How many entries are wanted.
    wanted: usize,
    failures: HashMap<ChunkId, (Instant, Arc<str>)>,
    /// Buffers of chunks that went, the one that went last behind the others.
    spare: VecDeque<Vec<u8>>,
    /// Their bytes.
    spare_len: u64,
    /// Counts touches.
    touches: u64,
    /// Counts bytes handed out: the time by which chunks grow old.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    weight: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// By a ticket of its own: a place in the queue is good for one wish.
    Wanted(u64),
    Loading(Arc<Pending>),
    Ready {
        chunk: Arc<Chunk>,
        touch: u64,
        clock: u64,
        is_finished: bool,
    },
}

/// What is to be done for a chunk that somebody needs.
#[derive(Debug)]
pub(super) enum Claim {
    /// It is here.
    Ready(Arc<Chunk>),
    /// Another thread has it in hand.
    Wait(Arc<Pending>),
    /// The caller is to load it.
    Load(Job),
    /// It could not be read a moment ago.
    Failed(Arc<str>),
}

/// A chunk to be loaded by who got this.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: ChunkId,
    /// Bytes it should have, as far as that can be.
    pub(super) len: usize,
    /// Told how it went.
    pub(super) pending: Arc<Pending>,
    /// For the plaintext.
    pub(super) buffer: Vec<u8>,
}

/// What is on the shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Chunks that are here.
    pub chunks: usize,
    /// Bytes in use, those on their way included.
    pub used: u64,
    /// Bytes that may be in use.
    pub budget: u64,
}

impl Shelf {
    pub(super) fn new(budget: u64) -> Self {
        Self {
            budget,
            used: 0,
            entries: HashMap::new(),
            finished: BTreeMap::new(),
            finished_weight: 0,
            kept: BTreeMap::new(),
            queue: VecDeque::new(),
            wanted: 0,
            failures: HashMap::new(),
            spare: VecDeque::new(),
            spare_len: 0,
            touches: 0,
            clock: 0,
        }
    }

    /// Whether a chunk is here, on its way or wanted, or could not be read: it need not be fetched ahead.
    pub(super) fn knows(&self, id: &ChunkId) -> bool {
        self.entries.contains_key(id) || self.failures.contains_key(id)
    }

    /// Somebody needs a chunk of `len` bytes now.
    pub(super) fn claim(&mut self, id: &ChunkId, len: u64) -> Claim {
        match self.entries.get(id).map(|entry| &entry.state) {
            Some(State::Ready { chunk, .. }) => {
                let chunk = Arc::clone(chunk);
                self.touch(id, None);
                Claim::Ready(chunk)
            }
            Some(State::Loading(pending)) => Claim::Wait(Arc::clone(pending)),
            Some(State::Wanted(_)) => Claim::Load(self.begin(*id, len)),
            None => {
                if let Some((since, reason)) = self.failures.get(id) {
                    if since.elapsed() < FAILURE_KEPT {
                        return Claim::Failed(Arc::clone(reason));
                    }
                    self.failures.remove(id);
                }
                Claim::Load(self.begin(*id, len))
            }
        }
    }

    /// The next chunk that is wanted and not in anybody's hand.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        while let Some((ticket, id)) = self.queue.pop_front() {
            if self.ticket(&id) == Some(ticket) {
                let len = self.entries[&id].weight - ENTRY_WEIGHT;
                return Some(self.begin(id, len));
            }
        }
        None
    }

    /// The ticket of a chunk that is wanted and not in anybody's hand.
    fn ticket(&self, id: &ChunkId) -> Option<u64> {
        match self.entries.get(id)?.state {
            State::Wanted(ticket) => Some(ticket),
            _ => None,
        }
    }

    fn begin(&mut self, id: ChunkId, len: u64) -> Job {
        self.remove(&id);
        // Sizes in items can be anything; what really comes is counted when it is there.
        let weight = len.min(self.budget) + ENTRY_WEIGHT;
        let room = usize::try_from(len).map_or(CHUNK_LEN_MAX, |len| len.min(CHUNK_LEN_MAX));
        self.make_room(weight);
        let mut buffer = self.take_spare(len);
        buffer.reserve_exact(room);
        let pending = Arc::new(Pending::default());
        self.occupy(weight);
        let state = State::Loading(Arc::clone(&pending));
        self.entries.insert(id, Entry { weight, state });
        Job {
            id,
            len: room,
            pending,
            buffer,
        }
    }

    /// Puts a chunk on the list of those to be fetched ahead, if there is room for it. `false`: there is none.
    ///
    /// It is not fetched before it is [`Shelf::enqueue`]d.
    pub(super) fn want(&mut self, id: ChunkId, len: u64) -> bool {
        let weight = len.saturating_add(ENTRY_WEIGHT);
        while self.used.saturating_add(weight) > self.budget {
            let oldest = match self.finished.first_key_value() {
                Some((_, oldest)) => *oldest,
                None => match self.kept.first_key_value() {
                    Some((_, oldest)) if self.is_old(oldest) => *oldest,
                    _ => return false,
                },
            };
            self.give_up(&oldest);
        }
        self.touches += 1;
        let state = State::Wanted(self.touches);
        self.occupy(weight);
        self.wanted += 1;
        self.entries.insert(id, Entry { weight, state });
        true
    }

    /// Has chunks that are wanted fetched, in this order.
    pub(super) fn enqueue(&mut self, ids: impl IntoIterator<Item = ChunkId>) {
        for id in ids {
            // Somebody may have taken it into hand already.
            if let Some(ticket) = self.ticket(&id) {
                self.queue.push_back((ticket, id));
            }
        }
        if self.queue.len() > self.wanted + STALE_MAX {
            let mut queue = std::mem::take(&mut self.queue);
            queue.retain(|(ticket, id)| self.ticket(id) == Some(*ticket));
            self.queue = queue;
        }
    }

    /// Nobody wants this chunk any more, as far as is known; if it is in hand or here, it stays.
    pub(super) fn unwant(&mut self, id: &ChunkId) {
        if self.ticket(id).is_some() {
            self.remove(id);
        }
    }

    /// Ends what a [`Job`] began.
    pub(super) fn arrived(&mut self, id: &ChunkId, outcome: &Outcome) {
        self.remove(id);
        match outcome {
            Ok(chunk) => {
                let weight = chunk.weight() + ENTRY_WEIGHT;
                self.make_room(weight);
                self.occupy(weight);
                self.touches += 1;
                let state = State::Ready {
                    chunk: Arc::clone(chunk),
                    touch: self.touches,
                    clock: self.clock,
                    is_finished: false,
                };
                self.kept.insert(self.touches, *id);
                self.entries.insert(*id, Entry { weight, state });
            }
            Err(reason) => {
                if self.failures.len() >= FAILURES_MAX {
                    self.failures.clear();
                }
                let failure = (Instant::now(), Arc::clone(reason));
                self.failures.insert(*id, failure);
            }
        }
    }

    /// Notes that so many bytes of a chunk were handed out; `is_finished`: up to its end.
    pub(super) fn handed_out(&mut self, id: &ChunkId, len: u64, is_finished: bool) {
        self.clock = self.clock.saturating_add(len);
        self.touch(id, Some(is_finished));
    }

    /// Forgets all that is here, and all that is wanted.
    pub(super) fn clear(&mut self) {
        let ids: Vec<ChunkId> = self
            .finished
            .values()
            .chain(self.kept.values())
            .copied()
            .collect();
        for id in ids {
            self.remove(&id);
        }
        while let Some((_, id)) = self.queue.pop_front() {
            self.unwant(&id);
        }
        self.failures.clear();
        self.spare.clear();
        self.spare_len = 0;
    }

    /// How full it is.
    pub(super) fn fill(&self) -> Fill {
        Fill {
            chunks: self.finished.len() + self.kept.len(),
            used: self.used,
            budget: self.budget,
        }
    }

    /// How many chunks are wanted and not in anybody's hand.
    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Whether nothing is to be fetched.
    pub(super) fn has_nothing_wanted(&self) -> bool {
        self.wanted == 0
    }

    fn touch(&mut self, id: &ChunkId, finished: Option<bool>) {
        let Some(entry) = self.entries.get_mut(id) else {
            return; // It had to go in the meantime.
        };
        let State::Ready {
            touch,
            clock,
            is_finished,
            ..
        } = &mut entry.state
        else {
            return; // And it is on its way again.
        };
        if *is_finished {
            self.finished.remove(touch);
            self.finished_weight -= entry.weight;
        } else {
            self.kept.remove(touch);
        }
        self.touches += 1;
        (*touch, *clock) = (self.touches, self.clock);
        *is_finished = finished.unwrap_or(*is_finished);
        if *is_finished {
            self.finished.insert(*touch, *id);
            self.finished_weight += entry.weight;
        } else {
            self.kept.insert(*touch, *id);
        }
    }

    /// Whether nobody has touched a chunk for long.
    fn is_old(&self, id: &ChunkId) -> bool {
        match self.entries.get(id).map(|entry| &entry.state) {
            Some(State::Ready { clock, .. }) => self.clock - clock > self.budget,
            _ => false,
        }
    }

    /// Makes room for `weight` bytes as far as it goes.
    fn make_room(&mut self, weight: u64) {
        loop {
            let is_full = self.used.saturating_add(weight) > self.budget;
            let id = if is_full || self.finished_weight > self.budget / FINISHED_SHARE {
                let finished = self.finished.first_key_value();
                finished.or(self.kept.first_key_value()).map(|(_, id)| *id)
            } else {
                break;
            };
            let Some(id) = id else {
                // Somebody needs this one; of those that are only wanted it is not known.
                match self.queue.pop_back() {
                    Some((_, id)) => self.unwant(&id),
                    None => break,
                }
                continue;
            };
            self.give_up(&id);
        }
    }

    /// Counts bytes as used. What is spare makes way.
    fn occupy(&mut self, weight: u64) {
        self.used += weight;
        self.trim_spare();
    }

    /// Takes an entry away, and keeps its buffer for another one.
    fn give_up(&mut self, id: &ChunkId) {
        let Some(mut buffer) = self.remove(id).and_then(Chunk::into_buffer) else {
            return;
        };
        buffer.clear();
        let capacity = buffer.capacity() as u64;
        if capacity >= SPARE_MIN {
            self.spare_len += capacity;
            self.spare.push_back(buffer);
            self.trim_spare();
        }
    }

    fn trim_spare(&mut self) {
        let kept = (self.budget / SPARE_SHARE).min(self.budget.saturating_sub(self.used));
        while self.spare_len > kept
            && let Some(oldest) = self.spare.pop_front()
        {
            self.spare_len -= oldest.capacity() as u64;
        }
    }

    /// A buffer for `len` bytes: that of a chunk that went, if there is one.
    fn take_spare(&mut self, len: u64) -> Vec<u8> {
        if len < SPARE_MIN {
            return Vec::new();
        }
        let capacity = |at: usize| self.spare[at].capacity() as u64;
        let best = (0..self.spare.len()).reduce(|best, at| {
            if is_better(capacity(at), capacity(best), len) {
                at
            } else {
                best
            }
        });
        let Some(buffer) = best.and_then(|best| self.spare.remove(best)) else {
            return Vec::new();
        };
        self.spare_len -= buffer.capacity() as u64;
        buffer
    }

    /// Takes an entry away; gives what was here.
    fn remove(&mut self, id: &ChunkId) -> Option<Arc<Chunk>> {
        let entry = self.entries.remove(id)?;
        self.used -= entry.weight;
        match entry.state {
            State::Wanted(_) => {
                self.wanted -= 1;
                None
            }
            State::Loading(_) => None,
            State::Ready {
                chunk,
                touch,
                is_finished,
                ..
            } => {
                if is_finished {
                    self.finished.remove(&touch);
                    self.finished_weight -= entry.weight;
                } else {
                    self.kept.remove(&touch);
                }
                Some(chunk)
            }
        }
    }
}

/// Whether a buffer suits `len` bytes better than another one does. One that is too small can be made larger; that is cheaper than
/// making a new one, of which every page comes from the system.
fn is_better(capacity: u64, other: u64, len: u64) -> bool {
    match (capacity >= len, other >= len) {
        (true, true) => capacity < other,
        (false, false) => capacity > other,
        (is_enough, _) => is_enough,
    }
}

#[cfg(test)]
mod tests;
