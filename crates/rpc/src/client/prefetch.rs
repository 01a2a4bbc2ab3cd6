//! Which objects are asked for before anybody needs them.
//!
//! Whoever will read says so first ([`Prefetch::wish`]), once for each time it will. Objects are asked for in that
//! order, as many as fill a long line and no more than memory is set aside for. Who reads something else, or sooner
//! than it was asked for, asks for itself. What was wished for and is not fetched is given up after a while.
//!
//! How much a line has to be filled with is found out: little at first, twice as much whenever somebody had to wait although
//! as much as that was asked for, and half as much again when most of it lies here. So a server nearby, or one that is
//! faster than those who fetch, does not fill the memory.

use std::collections::{HashMap, VecDeque};

use ironborg_types::ChunkId;

/// Most objects asked for ahead at a time.
const IN_FLIGHT_MAX: usize = 1024;
/// How many bytes may be on their way or waiting to be fetched, at most,
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// and as long as nobody has to wait.
const BYTES_MIN: u64 = 8 * 1024 * 1024;
/// How large an object of unknown size is taken to be, at least: those are metadata.
const GUESS_MIN: u64 = 128 * 1024;
/// An object is given up when so many bytes asked for later have been fetched.
const GIVE_UP_AFTER: u64 = 2 * BYTES_MAX;
/// How many bytes it counts as if somebody had to ask for an object for which there was no room before.
const MISS: u64 = BYTES_MAX / 8;

/// Objects that will be needed, on their way, and here.
#[derive(Debug)]
pub(super) struct Prefetch {
    /// To be asked for, in this order; those not in `wished` any more are skipped.
    queue: VecDeque<Wish>,
    /// How many entries of the queue stand for an object.
    wished: HashMap<ChunkId, u32>,
    /// Asked for or here, by the calls that bring them, oldest first.
    asked: HashMap<ChunkId, VecDeque<u64>>,
    /// The same in the order they were asked for, with the time then; some were claimed since.
    order: VecDeque<(u64, ChunkId, u64)>,
    /// How large those are thought to be that are still on their way: replies come in the order of calls.
    in_flight: VecDeque<Expected>,
    /// The sum of that.
    expected: u64,
    /// Bytes of those that are here.
    ready: u64,
    /// How many of both there may be now.
    window: u64,
    /// Mean size of what came so far without its size being known before.
    mean: u64,
    /// Bytes that were fetched so far: the time by which objects grow old.
    clock: u64,
}

impl Default for Prefetch {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            wished: HashMap::new(),
            asked: HashMap::new(),
            order: VecDeque::new(),
            in_flight: VecDeque::new(),
            expected: 0,
            ready: 0,
            window: BYTES_MIN,
            mean: 0,
            clock: 0,
        }
    }
}

/// An object that will be needed.
#[derive(Debug, Clone, Copy)]
struct Wish {
    id: ChunkId,
    /// Its size; 0 if that is not known.
    size: u32,
}

/// What a call for an object is going to bring.
#[derive(Debug, Clone, Copy)]
struct Expected {
    bytes: u64,
    is_known: bool,
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
    /// Notes objects that will be needed in this order, each once more, with their sizes or 0.
    pub(super) fn wish(&mut self, objects: impl IntoIterator<Item = (ChunkId, u32)>) {
        for (id, size) in objects {
            *self.wished.entry(id).or_default() += 1;
            self.queue.push_back(Wish { id, size });
        }
    }

    /// Everything that was wished for and not claimed, in that order; it is forgotten.
    pub(super) fn take_wishes(&mut self) -> Vec<ChunkId> {
        let asked = std::mem::take(&mut self.asked);
        let mut asked: Vec<(u64, ChunkId)> = asked
            .into_iter()
            .flat_map(|(id, msgids)| msgids.into_iter().map(move |msgid| (msgid, id)))
            .collect();
        asked.sort_unstable();
        let mut wishes: Vec<ChunkId> = asked.into_iter().map(|(_, id)| id).collect();
        while let Some(wish) = self.queue.pop_front() {
            if self.take_wish(&wish.id) {
                wishes.push(wish.id);
            }
        }
        *self = Self::default();
        wishes
    }

    /// The next object to ask for, if there is room for it. What it returns is to be [`Prefetch::asked`] for.
    pub(super) fn next(&mut self) -> Option<ChunkId> {
        loop {
            let wish = *self.queue.front()?;
            if !self.wished.contains_key(&wish.id) {
                self.queue.pop_front();
                continue;
            }
            let expected = self.expect(wish.size);
            let is_alone = self.in_flight.is_empty() && self.ready == 0;
            let total = self.ready + self.expected + expected.bytes;
            if self.in_flight.len() >= IN_FLIGHT_MAX || (total > self.window && !is_alone) {
                return None;
            }
            self.queue.pop_front();
            self.take_wish(&wish.id);
            self.in_flight.push_back(expected);
            self.expected += expected.bytes;
            return Some(wish.id);
        }
    }

    fn expect(&self, size: u32) -> Expected {
        Expected {
            bytes: match size {
                0 => self.mean.max(GUESS_MIN),
                size => size.into(),
            },
            is_known: size > 0,
        }
    }

    /// Takes one wish for an object back, if there is one.
    fn take_wish(&mut self, id: &ChunkId) -> bool {
        let Some(count) = self.wished.get_mut(id) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.wished.remove(id);
        }
        true
    }

    /// Notes that a call asks for the object that is [`Prefetch::next`].
    pub(super) fn asked(&mut self, id: ChunkId, msgid: u64) {
        self.asked.entry(id).or_default().push_back(msgid);
        self.order.push_back((self.clock, id, msgid));
    }

    /// Notes that a call for an object was answered with so many bytes; 0 if it brought none that are wanted.
    pub(super) fn arrived(&mut self, len: u64) {
        self.ready += len;
        if self.ready > self.window / 4 * 3 {
            self.window = (self.window / 2).max(BYTES_MIN);
        }
        if let Some(expected) = self.in_flight.pop_front() {
            self.expected -= expected.bytes;
            if len > 0 && !expected.is_known {
                self.mean = (self.mean * 7 + len) / 8;
            }
        }
    }

    /// Somebody needs an object now.
    pub(super) fn claim(&mut self, id: &ChunkId) -> Claim {
        if let Some(msgids) = self.asked.get_mut(id) {
            let msgid = msgids.pop_front().expect("empty lists are removed");
            if msgids.is_empty() {
                self.asked.remove(id);
            }
            return Claim::Asked(msgid);
        }
        if self.take_wish(id) {
            self.clock += MISS;
        }
        Claim::Unknown
    }

    /// Notes that a claimed object is still on its way: the line is longer than was thought if it was full.
    pub(super) fn waited(&mut self) {
        if self.ready + self.expected > self.window / 2 {
            self.window = (self.window * 2).min(BYTES_MAX);
        }
    }

    /// Notes that a claimed object of so many bytes was taken.
    pub(super) fn taken(&mut self, len: u64) {
        self.ready = self.ready.saturating_sub(len);
        self.clock += len;
    }

    /// The calls whose replies nobody is going to claim any more; they are forgotten.
    pub(super) fn abandon(&mut self) -> Vec<u64> {
        let mut given_up = Vec::new();
        while let Some((asked_at, id, msgid)) = self.order.front() {
            let is_old = self.clock - asked_at > GIVE_UP_AFTER;
            let position = self
                .asked
                .get(id)
                .and_then(|msgids| msgids.iter().position(|other| other == msgid));
            match position {
                Some(_) if !is_old => break,
                Some(at) => {
                    let msgids = self.asked.get_mut(id).expect("it was just found");
                    msgids.remove(at);
                    if msgids.is_empty() {
                        self.asked.remove(id);
                    }
                    given_up.push(*msgid);
                }
                None => {}
            }
            self.order.pop_front();
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const MIB: u64 = 1024 * 1024;

    fn id(n: u32) -> ChunkId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_le_bytes());
        ChunkId(id)
    }

    /// Asks for whatever there is room for; `msgid` counts on.
    fn ask(prefetch: &mut Prefetch, msgid: &mut u64) -> Vec<ChunkId> {
        let mut ids = Vec::new();
        while let Some(id) = prefetch.next() {
            *msgid += 1;
            prefetch.asked(id, *msgid);
            ids.push(id);
        }
        ids
    }

    #[test]
    fn no_more_is_asked_for_than_memory_is_set_aside_for() {
        let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
        let sized = |n| (id(n), 2 << 20);
        prefetch.wish((0..100).map(sized));
        assert_eq!(ask(&mut prefetch, &mut msgid).len(), 4);
        for _ in 0..4 {
            prefetch.arrived(2 * MIB);
        }
        assert!(ask(&mut prefetch, &mut msgid).is_empty());
        for n in 0..2 {
            assert_eq!(prefetch.claim(&id(n)), Claim::Asked(u64::from(n) + 1));
            prefetch.taken(2 * MIB);
        }
        assert_eq!(ask(&mut prefetch, &mut msgid), [4, 5].map(id));
    }

    #[test]
    fn who_waits_has_more_asked_for_until_it_lies_here() {
        let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
        prefetch.wish((0..200).map(|n| (id(n), 1 << 20)));
        let mut asked = Vec::new();
        for n in 0..5 {
            asked.push(ask(&mut prefetch, &mut msgid).len());
            assert_eq!(prefetch.claim(&id(n)), Claim::Asked(u64::from(n) + 1));
            prefetch.waited();
            prefetch.arrived(MIB);
            prefetch.taken(MIB);
        }
        assert_eq!(asked, [8, 9, 1, 1, 1]);
        let here = ask(&mut prefetch, &mut msgid).len() + 15;
        for _ in 0..here {
            prefetch.arrived(MIB);
        }
        for n in 5..13 {
            assert!(ask(&mut prefetch, &mut msgid).is_empty(), "{n}");
            assert_eq!(prefetch.claim(&id(n)), Claim::Asked(u64::from(n) + 1));
            prefetch.taken(MIB);
        }
        // Where nothing was asked for, waiting does not say anything.
        prefetch.waited();
        assert!(ask(&mut prefetch, &mut msgid).len() <= 8);
    }

    #[test]
    fn sizes_nobody_knows_are_learnt() {
        let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
        prefetch.wish((0..1000).map(|n| (id(n), 0)));
        // Taken to be small at first; what is known to be large says nothing about the rest.
        assert_eq!(ask(&mut prefetch, &mut msgid).len(), 64);
        for n in 0..64 {
            prefetch.arrived(MIB);
            assert_eq!(prefetch.claim(&id(n)), Claim::Asked(u64::from(n) + 1));
            prefetch.taken(MIB);
        }
        assert_eq!(ask(&mut prefetch, &mut msgid).len(), 8);
    }

    #[test]
    fn wishes_pass_on_to_another_connection() {
        let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
        prefetch.wish((0..20).map(|n| (id(n), 2 << 20)));
        ask(&mut prefetch, &mut msgid);
        assert_eq!(prefetch.claim(&id(3)), Claim::Asked(4));
        assert_eq!(prefetch.claim(&id(18)), Claim::Unknown);
        let left: Vec<ChunkId> = (0..20).filter(|n| ![3, 18].contains(n)).map(id).collect();
        assert_eq!(prefetch.take_wishes(), left);
        assert_eq!(prefetch.next(), None);
    }

    #[test]
    fn what_is_read_twice_is_asked_for_twice() {
        let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
        prefetch.wish([(id(1), 0), (id(2), 0)]);
        prefetch.wish([(id(1), 0)]);
        assert_eq!(ask(&mut prefetch, &mut msgid), [id(1), id(2), id(1)]);
        assert_eq!(prefetch.claim(&id(1)), Claim::Asked(1));
        assert_eq!(prefetch.claim(&id(1)), Claim::Asked(3));
        assert_eq!(prefetch.claim(&id(1)), Claim::Unknown);
        assert_eq!(prefetch.claim(&id(2)), Claim::Asked(2));
    }

    #[test]
    fn what_somebody_asked_for_itself_is_not_asked_for_again() {
        let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
        prefetch.wish([(id(1), 0), (id(2), 0)]);
        assert_eq!(prefetch.claim(&id(1)), Claim::Unknown);
        assert_eq!(ask(&mut prefetch, &mut msgid), [id(2)]);
    }

    /// Readers that keep up with a fast line leave a full window behind them, all of which they will fetch.
    #[test]
    fn what_will_be_fetched_is_not_given_up() {
        let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
        for n in 0..2000 {
            prefetch.wish([(id(n), 1 << 20)]);
            for _ in ask(&mut prefetch, &mut msgid) {
                prefetch.arrived(MIB);
            }
            assert_eq!(prefetch.abandon(), [0; 0]);
            if let Some(n) = n.checked_sub(20) {
                assert_eq!(prefetch.claim(&id(n)), Claim::Asked(u64::from(n) + 1));
                prefetch.taken(MIB);
            }
        }
    }

    #[test]
    fn what_nobody_fetches_is_given_up_and_makes_room() {
        let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
        prefetch.wish((0..40).map(|n| (id(n), 1 << 20)));
        for _ in ask(&mut prefetch, &mut msgid) {
            prefetch.arrived(MIB);
        }
        let mut misses = 0;
        let given_up = (100..).find_map(|n| {
            prefetch.wish([(id(n), 0)]);
            ask(&mut prefetch, &mut msgid);
            misses += u32::from(prefetch.claim(&id(n)) == Claim::Unknown);
            let given_up = prefetch.abandon();
            (!given_up.is_empty()).then_some(given_up)
        });
        assert_eq!(given_up.unwrap().len(), 8);
        assert!(misses < 20, "{misses}");
        prefetch.taken(8 * MIB);
        // The rest is asked for now.
        assert_eq!(ask(&mut prefetch, &mut msgid).first(), Some(&id(8)));
    }

    proptest! {
        #[test]
        fn every_reply_has_one_taker(operations in prop::collection::vec((0_u8..4, 0_u32..12), 0..400)) {
            let (mut prefetch, mut msgid) = (Prefetch::default(), 0);
            let mut gone = HashSet::new();
            for (operation, n) in operations {
                match operation {
                    0 => prefetch.wish([(id(n), 0), (id(n + 1), 0)]),
                    1 => drop(ask(&mut prefetch, &mut msgid)),
                    2 => if let Claim::Asked(msgid) = prefetch.claim(&id(n)) {
                        prop_assert!(gone.insert(msgid), "{} was claimed twice", msgid);
                        prefetch.arrived(4 * MIB);
                        prefetch.taken(4 * MIB);
                    },
                    _ => for msgid in prefetch.abandon() {
                        prop_assert!(gone.insert(msgid), "{} was claimed and given up", msgid);
                        prefetch.arrived(0);
                    },
                }
                let left: usize = prefetch.asked.values().map(VecDeque::len).sum();
                prop_assert_eq!(left + gone.len(), usize::try_from(msgid).unwrap());
            }
        }
    }
}
