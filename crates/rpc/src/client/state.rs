//! What is known of the calls of one connection: which are to be sent, which are not answered, what was answered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ironborg_types::ChunkId;

use super::prefetch::Prefetch;
use super::spare::Spare;
use crate::message::{Fault, Reply};

/// Answered objects nobody has taken yet are given to whoever asks; calls that nobody waits for at all have no
/// more than this many errors kept.
const FAULTS_MAX: usize = 16;

/// Why nothing can be sent or received any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The other end is gone.
    Closed,
    /// Writing failed.
    Pipe,
    /// What came is no reply; this is how it begins.
    Garbage(Vec<u8>),
}

/// The answer to a call.
#[derive(Debug)]
pub(super) enum Answer {
    /// The result, a whole message.
    Frame(Vec<u8>),
    /// The bytes of an object.
    Object(Vec<u8>),
    /// An error.
    Fault(Fault),
}

/// What a call was for that has not been answered yet.
#[derive(Debug)]
pub(super) enum Pending {
    /// Somebody waits for the whole reply.
    Reply,
    /// An object somebody waits for or will.
    Object { is_prefetch: bool },
    /// A change nobody waits for, with the length of its message.
    Change { len: usize },
    /// The same for a removal, which may find nothing.
    Removal { id: ChunkId, len: usize },
    /// A removal that was sent before through another connection, and not answered there.
    RepeatedRemoval { id: ChunkId },
    /// Nobody wants the answer any more.
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The number the last call got.
    pub(super) last_msgid: u64,
    pub(super) outgoing: VecDeque<Vec<u8>>,
    /// Bytes of those.
    pub(super) outgoing_len: usize,
    /// Nothing more will be sent.
    pub(super) ended: bool,
    pub(super) pending: HashMap<u64, Pending>,
    pub(super) answers: HashMap<u64, Answer>,
    pub(super) prefetch: Prefetch,
    /// Bytes of changes that were not answered yet.
    pub(super) window: usize,
    /// How many changes were not answered yet.
    pub(super) changes: u64,
    /// How many of those were sent before through another connection.
    pub(super) repeated: u64,
    /// Errors of changes nobody has been told yet.
    pub(super) faults: Vec<Fault>,
    /// Removals of objects that were not there.
    pub(super) missing: Vec<ChunkId>,
    /// Somebody got an answer, or a change was answered that was not made through an earlier connection.
    pub(super) has_progressed: bool,
    pub(super) broken: Option<Broken>,
}

/// What outlives a connection, to be given to the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Estate {
    last_msgid: u64,
    /// Objects that will be needed, in this order.
    wishes: Vec<ChunkId>,
    removals: Vec<(u64, ChunkId)>,
    faults: Vec<Fault>,
    missing: Vec<ChunkId>,
}

impl State {
    /// Gives up what the next connection needs.
    pub(super) fn take_estate(&mut self) -> Estate {
        let removals = self.pending.iter().filter_map(|(msgid, pending)| {
            let (Pending::Removal { id, .. } | Pending::RepeatedRemoval { id }) = pending else {
                return None;
            };
            Some((*msgid, *id))
        });
        Estate {
            last_msgid: self.last_msgid,
            removals: removals.collect(),
            wishes: self.prefetch.take_wishes(),
            faults: std::mem::take(&mut self.faults),
            missing: std::mem::take(&mut self.missing),
        }
    }

    /// Takes over from a connection that broke; so many changes are going to be sent again.
    pub(super) fn adopt(&mut self, estate: Estate, repeated: u64) {
        assert!(
            self.pending.is_empty(),
            "nothing but the opening has happened, and all of that was answered"
        );
        self.last_msgid = self.last_msgid.max(estate.last_msgid);
        self.changes = repeated;
        self.repeated = repeated;
        if repeated > 0 {
            self.pending.extend(
                estate
                    .removals
                    .into_iter()
                    .map(|(msgid, id)| (msgid, Pending::RepeatedRemoval { id })),
            );
        }
        self.prefetch
            .wish(estate.wishes.into_iter().map(|id| (id, 0)));
        self.faults = estate.faults;
        self.missing = estate.missing;
        self.has_progressed = false;
    }

    fn note_fault(&mut self, answer: Answer) {
        if let Answer::Fault(fault) = answer
            && self.faults.len() < FAULTS_MAX
        {
            self.faults.push(fault);
        }
    }

    fn note_removal(&mut self, id: Option<ChunkId>, answer: Answer) {
        match answer {
            Answer::Fault(fault) if fault.class == b"ObjectNotFound" => self.missing.extend(id),
            answer => self.note_fault(answer),
        }
    }

    /// Notes the answer to a change that was sent before; `id` if that was a removal that had not been answered.
    fn repeated(&mut self, id: Option<ChunkId>, answer: Answer) {
        self.repeated -= 1;
        self.changes -= 1;
        // What a removal did not find is news only if it had not been answered before.
        self.note_removal(id, answer);
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// Something was answered, or the connection broke.
    pub(super) answered: Condvar,
    /// Something is to be written, or the end has come.
    pub(super) to_write: Condvar,
    /// There is room for more to be written.
    pub(super) has_room: Condvar,
    /// Buffers of objects that were taken.
    pub(super) spare: Spare,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            answered: Condvar::new(),
            to_write: Condvar::new(),
            has_room: Condvar::new(),
            spare: Spare::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, guard: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.answered
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn break_off(&self, reason: Broken) {
        let mut state = self.lock();
        state.broken.get_or_insert(reason);
        self.answered.notify_all();
        self.to_write.notify_all();
        self.has_room.notify_all();
    }

    /// Gives a reply to whom it is for; `None` if it is none, or for nobody. Who waits is to be told through
    /// `answered` when all that came together was given.
    pub(super) fn accept(&self, frame: &[u8]) -> Option<()> {
        let reply = Reply::decode(frame)?;
        // Copied before the lock is taken: nobody waits for that.
        let answer = match (
            &reply.outcome,
            reply
                .outcome
                .as_ref()
                .ok()
                .and_then(|payload| payload.bytes()),
        ) {
            (Err(fault), _) => Answer::Fault(fault.clone()),
            (Ok(_), Some(bytes)) => Answer::Object(self.spare.copy(bytes)),
            (Ok(_), None) => Answer::Frame(frame.to_vec()),
        };
        let mut state = self.lock();
        let pending = state.pending.remove(&reply.msgid);
        state.has_progressed |= matches!(
            pending,
            Some(Pending::Change { .. } | Pending::Removal { .. })
        );
        match pending {
            Some(Pending::Reply) => {
                state.answers.insert(reply.msgid, answer);
            }
            Some(Pending::Object { is_prefetch }) => {
                if is_prefetch {
                    let len = match &answer {
                        Answer::Object(object) => object.len() as u64,
                        _ => 0,
                    };
                    state.prefetch.arrived(len);
                }
                state.answers.insert(reply.msgid, answer);
            }
            Some(Pending::Change { len }) => {
                state.window -= len;
                state.changes -= 1;
                state.note_fault(answer);
            }
            Some(Pending::Removal { id, len }) => {
                state.window -= len;
                state.changes -= 1;
                state.note_removal(Some(id), answer);
            }
            Some(Pending::RepeatedRemoval { id }) if state.repeated > 0 => {
                state.repeated(Some(id), answer);
            }
            Some(Pending::Nothing) => state.prefetch.arrived(0),
            None if state.repeated > 0 => state.repeated(None, answer),
            None | Some(Pending::RepeatedRemoval { .. }) => return None,
        }
        Some(())
    }
}
