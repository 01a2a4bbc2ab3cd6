//! Moves calls and replies: one thread writes, one reads, and whoever called waits only if it needs the answer.

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use ironborg_types::ChunkId;

use super::dial::{ServerProcess, Wire};
use super::prefetch::{Claim, Prefetch};
use super::throttle::Throttle;
use crate::message::{Call, Fault, Form, FrameBuffer, Reply, Version};

/// How much is written at once.
const WRITE_LEN: usize = 256 * 1024;
/// Bytes of unanswered calls up to which nobody has to wait, at least.
const WINDOW_MIN: usize = 16 * 1024 * 1024;
/// Answered objects nobody has taken yet are given to whoever asks; calls that nobody waits for at all have no
/// more than this many errors kept.
const FAULTS_MAX: usize = 16;
/// How much is kept of a message that is none: what is shown of it depends on all of it.
const GARBAGE_LEN_MAX: usize = 64 * 1024;

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
enum Pending {
    /// Somebody waits for the whole reply.
    Reply,
    /// An object somebody waits for or will.
    Object { is_prefetch: bool },
    /// A change nobody waits for, with the length of its message.
    Change { len: usize },
    /// The same for a removal, which may find nothing.
    Removal { id: ChunkId },
    /// Nobody wants the answer any more.
    Nothing,
}

#[derive(Debug, Default)]
struct State {
    /// The number the last call got.
    last_msgid: u64,
    outgoing: VecDeque<Vec<u8>>,
    /// Nothing more will be sent.
    ended: bool,
    pending: HashMap<u64, Pending>,
    answers: HashMap<u64, Answer>,
    prefetch: Prefetch,
    /// Bytes of changes that were not answered yet.
    window: usize,
    /// How many changes were not answered yet.
    changes: usize,
    /// Errors of changes nobody has been told yet.
    faults: Vec<Fault>,
    /// Removals of objects that were not there.
    missing: Vec<ChunkId>,
    broken: Option<Broken>,
}

struct Shared {
    state: Mutex<State>,
    /// Something was answered, or the connection broke.
    answered: Condvar,
    /// Something is to be written, or the end has come.
    to_write: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.answered
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn break_off(&self, reason: Broken) {
        let mut state = self.lock();
        state.broken.get_or_insert(reason);
        self.answered.notify_all();
        self.to_write.notify_all();
    }
}

/// A connection with its threads.
pub(super) struct Link {
    shared: Arc<Shared>,
    form: Form,
    server: Version,
    window_max: usize,
    process: Option<ServerProcess>,
    threads: Vec<JoinHandle<()>>,
}

/// Limits of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LinkOptions {
    /// Bytes a second that are sent at most.
    pub(super) rate: Option<u64>,
    /// Bytes of unanswered changes up to which nobody has to wait.
    pub(super) window: usize,
}

impl Link {
    /// Takes a connection into use; `log` gets what the server writes to its standard error.
    pub(super) fn new(
        wire: Wire,
        options: LinkOptions,
        log: impl FnMut(&[u8]) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            answered: Condvar::new(),
            to_write: Condvar::new(),
        });
        let Wire {
            to_server,
            from_server,
            log: log_source,
            process,
        } = wire;
        let throttle = Throttle::new(options.rate, Instant::now());
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run)
        };
        let threads = vec![
            start("rpc-write", {
                let shared = Arc::clone(&shared);
                Box::new(move || write_calls(&shared, to_server, throttle))
            })?,
            start("rpc-read", {
                let shared = Arc::clone(&shared);
                Box::new(move || read_replies(&shared, from_server))
            })?,
            start("rpc-log", Box::new(move || read_log(log_source, log)))?,
        ];
        Ok(Self {
            shared,
            form: Form::Positional,
            server: Version::assumed(),
            window_max: options.window.max(WINDOW_MIN),
            process,
            threads,
        })
    }

    /// Decides how calls are made from now on.
    pub(super) fn speak(&mut self, form: Form, server: Version) {
        self.form = form;
        self.server = server;
    }

    /// How calls are made.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// The server's version.
    pub(super) fn server(&self) -> &Version {
        &self.server
    }

    fn push(
        &self,
        state: &mut State,
        call: &Call<'_>,
        pending: impl FnOnce(usize) -> Pending,
    ) -> u64 {
        state.last_msgid += 1;
        let msgid = state.last_msgid;
        let mut frame = Vec::new();
        call.encode(self.form, msgid, &self.server, &mut frame);
        state.pending.insert(msgid, pending(frame.len()));
        state.outgoing.push_back(frame);
        self.shared.to_write.notify_one();
        msgid
    }

    /// Makes a call and waits for its answer.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Answer, Broken> {
        let mut state = self.shared.lock();
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        let msgid = self.push(&mut state, call, |_| Pending::Reply);
        self.answer(state, msgid)
    }

    fn answer(&self, mut state: MutexGuard<'_, State>, msgid: u64) -> Result<Answer, Broken> {
        loop {
            if let Some(answer) = state.answers.remove(&msgid) {
                return Ok(answer);
            }
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            state = self.shared.wait(state);
        }
    }

    /// Reads an object, which may have been asked for before.
    pub(super) fn get(&self, id: &ChunkId) -> Result<Answer, Broken> {
        let mut state = self.shared.lock();
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        let msgid = match state.prefetch.claim(id) {
            Claim::Asked(msgid) => msgid,
            Claim::Unknown => {
                let call = Call::Get { id: *id };
                return {
                    let msgid = self.push(&mut state, &call, |_| Pending::Object {
                        is_prefetch: false,
                    });
                    self.answer(state, msgid)
                };
            }
        };
        let answer = self.answer(state, msgid)?;
        let len = match &answer {
            Answer::Object(object) => object.len() as u64,
            _ => 0,
        };
        let mut state = self.shared.lock();
        state.prefetch.taken(len);
        self.prefetch_more(&mut state);
        Ok(answer)
    }

    /// Asks for objects that will be needed.
    pub(super) fn will_need(&self, objects: impl IntoIterator<Item = (ChunkId, u32)>) {
        let mut state = self.shared.lock();
        for msgid in state.prefetch.abandon() {
            match state.answers.remove(&msgid) {
                Some(Answer::Object(object)) => state.prefetch.taken(object.len() as u64),
                Some(_) => {}
                None => {
                    state.pending.insert(msgid, Pending::Nothing);
                }
            }
        }
        state.prefetch.wish(objects);
        self.prefetch_more(&mut state);
    }

    fn prefetch_more(&self, state: &mut State) {
        while let Some(id) = state.prefetch.next() {
            let msgid = self.push(state, &Call::Get { id }, |_| Pending::Object {
                is_prefetch: true,
            });
            state.prefetch.asked(id, msgid);
        }
    }

    /// Makes a change without waiting for its answer, but for room in the window.
    pub(super) fn change(&self, call: &Call<'_>) -> Result<(), Broken> {
        let mut state = self.shared.lock();
        while state.broken.is_none() && state.window > self.window_max {
            state = self.shared.wait(state);
        }
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        let mut sent = 0;
        self.push(&mut state, call, |len| {
            sent = len;
            match call {
                Call::Delete { id } => Pending::Removal { id: *id },
                _ => Pending::Change { len },
            }
        });
        if !matches!(call, Call::Delete { .. }) {
            state.window += sent;
        }
        state.changes += 1;
        Ok(())
    }

    /// Waits until all changes were answered.
    pub(super) fn settle(&self) -> Result<(), Broken> {
        let mut state = self.shared.lock();
        while state.changes > 0 {
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            state = self.shared.wait(state);
        }
        Ok(())
    }

    /// The first error of a change that nobody was told yet; later ones are forgotten with it.
    pub(super) fn take_fault(&self) -> Option<Fault> {
        let faults = std::mem::take(&mut self.shared.lock().faults);
        faults.into_iter().next()
    }

    /// The removals of objects that were not there.
    pub(super) fn take_missing(&self) -> Vec<ChunkId> {
        std::mem::take(&mut self.shared.lock().missing)
    }

    /// Ends the connection: what was not written yet is not written any more unless `flush`.
    pub(super) fn close(&mut self, flush: bool) {
        {
            let mut state = self.shared.lock();
            if !flush {
                state.outgoing.clear();
            }
            state.ended = true;
            self.shared.to_write.notify_all();
        }
        if let Some(mut process) = self.process.take() {
            // Its input ends when the writing thread does.
            process.wait();
        }
        for thread in self.threads.drain(..) {
            // A panic there has been shown; there is nothing else to be done about it here.
            let _ = thread.join();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close(false);
    }
}

/// Writes what is to be sent until there is no more.
fn write_calls(
    shared: &Shared,
    mut to_server: Box<dyn Write + Send>,
    mut throttle: Option<Throttle>,
) {
    let mut buffer = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.outgoing.is_empty() && !state.ended && state.broken.is_none() {
            state = shared
                .to_write
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.broken.is_some() || state.outgoing.is_empty() {
            return;
        }
        let first = state.outgoing.pop_front().unwrap_or_default();
        if first.len() >= WRITE_LEN {
            buffer = first;
        } else {
            buffer.clear();
            buffer.extend_from_slice(&first);
            while let Some(next) = state.outgoing.front()
                && buffer.len() + next.len() <= WRITE_LEN
            {
                buffer.extend_from_slice(next);
                state.outgoing.pop_front();
            }
        }
        drop(state);
        if write_all(&mut to_server, &buffer, &mut throttle).is_err() {
            shared.break_off(Broken::Pipe);
            return;
        }
    }
}

fn write_all(
    to_server: &mut dyn Write,
    mut bytes: &[u8],
    throttle: &mut Option<Throttle>,
) -> std::io::Result<()> {
    let Some(throttle) = throttle else {
        to_server.write_all(bytes)?;
        return to_server.flush();
    };
    while !bytes.is_empty() {
        match throttle.allow(bytes.len(), Instant::now()) {
            Ok(len) => {
                to_server.write_all(&bytes[..len])?;
                to_server.flush()?;
                bytes = &bytes[len..];
            }
            Err(wait) => std::thread::sleep(wait),
        }
    }
    Ok(())
}

/// Reads replies until there are no more.
fn read_replies(shared: &Shared, mut from_server: Box<dyn Read + Send>) {
    let mut frames = FrameBuffer::new();
    loop {
        match from_server.read(frames.room()) {
            Ok(0) => return shared.break_off(Broken::Closed),
            Ok(len) => frames.received(len),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return shared.break_off(Broken::Closed),
        }
        loop {
            let mut garbage = match frames.next_frame() {
                Ok(Some(frame)) if accept(shared, frame).is_some() => continue,
                Ok(None) => break,
                Ok(Some(frame)) => frame[..frame.len().min(GARBAGE_LEN_MAX)].to_vec(),
                Err(_) => Vec::new(),
            };
            let rest = frames.rest();
            let room = GARBAGE_LEN_MAX - garbage.len();
            garbage.extend_from_slice(&rest[..rest.len().min(room)]);
            return shared.break_off(Broken::Garbage(garbage));
        }
    }
}

/// Gives a reply to whom it is for; `None` if it is none, or for nobody.
fn accept(shared: &Shared, frame: &[u8]) -> Option<()> {
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
        (Ok(_), Some(bytes)) => Answer::Object(bytes.to_vec()),
        (Ok(_), None) => Answer::Frame(frame.to_vec()),
    };
    let mut state = shared.lock();
    let pending = state.pending.remove(&reply.msgid)?;
    match pending {
        Pending::Reply => {
            state.answers.insert(reply.msgid, answer);
        }
        Pending::Object { is_prefetch } => {
            if is_prefetch {
                let len = match &answer {
                    Answer::Object(object) => object.len() as u64,
                    _ => 0,
                };
                state.prefetch.arrived(len);
            }
            state.answers.insert(reply.msgid, answer);
        }
        Pending::Change { len } => {
            state.window -= len;
            state.changes -= 1;
            note_fault(&mut state, answer);
        }
        Pending::Removal { id } => {
            state.changes -= 1;
            match answer {
                Answer::Fault(fault) if fault.class == b"ObjectNotFound" => state.missing.push(id),
                answer => note_fault(&mut state, answer),
            }
        }
        Pending::Nothing => state.prefetch.arrived(0),
    }
    drop(state);
    shared.answered.notify_all();
    Some(())
}

fn note_fault(state: &mut State, answer: Answer) {
    if let Answer::Fault(fault) = answer
        && state.faults.len() < FAULTS_MAX
    {
        state.faults.push(fault);
    }
}

/// Hands on what the server writes to its standard error.
fn read_log(mut source: Box<dyn Read + Send>, mut log: impl FnMut(&[u8])) {
    let mut buffer = [0; 8192];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => log(&buffer[..len]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
