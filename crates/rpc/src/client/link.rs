//! One connection: whoever calls waits only if it needs the answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ironborg_types::ChunkId;

use super::dial::{ServerProcess, Wire};
use super::patience::Patience;
use super::prefetch::Claim;
use super::pump;
pub(super) use super::state::{Answer, Broken, Estate};
use super::state::{Pending, Shared, State};
use super::throttle::Throttle;
use crate::message::{Call, Fault, Form, Version};

/// Bytes of unanswered calls up to which nobody has to wait, at least.
const WINDOW_MIN: usize = 16 * 1024 * 1024;
/// Bytes that are not even on their way up to which nobody has to wait, at least: the line is kept busy with fewer.
const UNSENT_MIN: usize = 4 * 1024 * 1024;
/// How far ahead of the line changes are queued that are sent once more.
const REPEATED_LEN_MAX: usize = 4 * 1024 * 1024;
/// The writing thread is woken for changes when so much of them waits.
const WAKE_LEN: usize = 64 * 1024;
/// How long threads may take to notice the end. A program that outlives the one that was started may hold the
/// other end of the pipes for ever: a shared connection of `ssh` does.
const THREAD_WAIT: Duration = Duration::from_secs(1);
/// How often that is looked at.
const THREAD_POLL: Duration = Duration::from_millis(1);

/// A connection with its threads.
pub(super) struct Link {
    shared: Arc<Shared>,
    form: Form,
    server: Version,
    has_snapshots: bool,
    window_max: usize,
    unsent_max: usize,
    process: Mutex<Option<ServerProcess>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Limits of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LinkOptions {
    /// Bytes a second that are sent at most.
    pub(super) rate: Option<u64>,
    /// Bytes of unanswered changes up to which nobody has to wait.
    pub(super) window: usize,
}

/// A change with its message, not sent yet.
pub(super) struct Prepared {
    msgid: u64,
    pub(super) frame: Vec<u8>,
    removed: Option<ChunkId>,
}

impl Link {
    /// Takes a connection into use; `log` gets what the server writes to its standard error.
    pub(super) fn new(
        wire: Wire,
        options: LinkOptions,
        log: impl FnMut(&[u8]) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new());
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
                Box::new(move || pump::write_calls(&shared, to_server, throttle))
            })?,
            start("rpc-read", {
                let shared = Arc::clone(&shared);
                Box::new(move || pump::read_replies(&shared, from_server))
            })?,
            start("rpc-log", Box::new(move || pump::read_log(log_source, log)))?,
        ];
        Ok(Self {
            shared,
            form: Form::Positional,
            server: Version::assumed(),
            has_snapshots: false,
            window_max: options.window.max(WINDOW_MIN),
            unsent_max: options.window.max(UNSENT_MIN),
            process: Mutex::new(process),
            threads: Mutex::new(threads),
        })
    }

    /// Decides how calls are made from now on.
    pub(super) fn speak(&mut self, form: Form, server: Version) {
        self.form = form;
        self.server = server;
    }

    /// Notes whether the server lets one read without a lock.
    pub(super) fn offers_snapshots(&mut self, offered: bool) {
        self.has_snapshots = offered;
    }

    /// Whether the server lets one read without a lock.
    pub(super) fn has_snapshots(&self) -> bool {
        self.has_snapshots
    }

    /// The form calls are made in.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// The server's version.
    pub(super) fn server(&self) -> &Version {
        &self.server
    }

    fn push(&self, state: &mut State, call: &Call<'_>, pending: Pending) -> u64 {
        state.last_msgid += 1;
        let msgid = state.last_msgid;
        let mut frame = Vec::new();
        call.encode(self.form, msgid, &self.server, &mut frame);
        Self::push_frame(state, msgid, frame, pending);
        self.shared.to_write.notify_one();
        msgid
    }

    fn push_frame(state: &mut State, msgid: u64, frame: Vec<u8>, pending: Pending) {
        state.pending.insert(msgid, pending);
        state.outgoing_len += frame.len();
        state.outgoing.push_back(frame);
    }

    /// Makes a call and waits for its answer.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Answer, Broken> {
        self.call_within(call, &Patience::endless())
    }

    /// The same; when patience is over that is the end of the connection.
    pub(super) fn call_within(
        &self,
        call: &Call<'_>,
        patience: &Patience,
    ) -> Result<Answer, Broken> {
        let mut state = self.shared.lock();
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        let msgid = self.push(&mut state, call, Pending::Reply);
        self.answer(state, msgid, patience)
    }

    fn answer(
        &self,
        mut state: MutexGuard<'_, State>,
        msgid: u64,
        patience: &Patience,
    ) -> Result<Answer, Broken> {
        loop {
            if let Some(answer) = state.answers.remove(&msgid) {
                state.has_progressed = true;
                return Ok(answer);
            }
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            if patience.is_over() {
                drop(state);
                self.shared.break_off(Broken::Closed);
                return Err(Broken::Closed);
            }
            state = patience.wait(&self.shared.answered, state);
        }
    }

    /// Reads an object, which may have been asked for before.
    pub(super) fn get(&self, id: &ChunkId) -> Result<Answer, Broken> {
        let mut state = self.shared.lock();
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        let endless = Patience::endless();
        let msgid = match state.prefetch.claim(id) {
            Claim::Asked(msgid) => {
                if !state.answers.contains_key(&msgid) {
                    state.prefetch.waited();
                    self.prefetch_more(&mut state);
                }
                msgid
            }
            Claim::Unknown => {
                let pending = Pending::Object { is_prefetch: false };
                let msgid = self.push(&mut state, &Call::Get { id: *id }, pending);
                return self.answer(state, msgid, &endless);
            }
        };
        let answer = self.answer(state, msgid, &endless)?;
        let len = match &answer {
            Answer::Object(object) => object.len() as u64,
            _ => 0,
        };
        let mut state = self.shared.lock();
        state.prefetch.taken(len);
        self.prefetch_more(&mut state);
        Ok(answer)
    }

    /// Takes back the buffer of an object.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.shared.spare.give_back(buffer);
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
            let msgid = self.push(
                state,
                &Call::Get { id },
                Pending::Object { is_prefetch: true },
            );
            state.prefetch.asked(id, msgid);
        }
    }

    /// Waits until there is room for a change.
    pub(super) fn wait_for_room(&self) -> Result<(), Broken> {
        let mut state = self.shared.lock();
        while state.broken.is_none() {
            if state.window > self.window_max {
                self.shared.to_write.notify_one();
                state = self.shared.wait(state);
            } else if state.outgoing_len > self.unsent_max {
                self.shared.to_write.notify_one();
                let has_room = &self.shared.has_room;
                state = has_room.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                break;
            }
        }
        state.broken.clone().map_or(Ok(()), Err)
    }

    /// Makes the message of a change.
    pub(super) fn prepare(&self, call: &Call<'_>) -> Prepared {
        let msgid = {
            let mut state = self.shared.lock();
            state.last_msgid += 1;
            state.last_msgid
        };
        let mut frame = Vec::new();
        call.encode(self.form, msgid, &self.server, &mut frame);
        let removed = match call {
            Call::Delete { id } => Some(*id),
            _ => None,
        };
        Prepared {
            msgid,
            frame,
            removed,
        }
    }

    /// Sends a change, which nobody waits for.
    pub(super) fn send(&self, change: Prepared) -> Result<(), Broken> {
        let Prepared {
            msgid,
            frame,
            removed,
        } = change;
        let len = frame.len();
        let mut state = self.shared.lock();
        if let Some(broken) = &state.broken {
            // It may be sent again through another connection, and then this is who waits for the answer.
            let broken = broken.clone();
            if let Some(id) = removed {
                state.pending.insert(msgid, Pending::Removal { id, len });
            }
            return Err(broken);
        }
        let pending = match removed {
            Some(id) => Pending::Removal { id, len },
            None => Pending::Change { len },
        };
        Self::push_frame(&mut state, msgid, frame, pending);
        state.window += len;
        state.changes += 1;
        // Nobody waits for it, so the writing thread may sleep until there is something worth a write.
        if state.outgoing_len >= WAKE_LEN {
            self.shared.to_write.notify_one();
        }
        Ok(())
    }

    /// Waits until all changes were answered.
    pub(super) fn settle(&self) -> Result<(), Broken> {
        let mut state = self.shared.lock();
        self.shared.to_write.notify_one();
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

    /// Whether it was of any use.
    pub(super) fn has_progressed(&self) -> bool {
        self.shared.lock().has_progressed
    }

    /// Gives up what the next connection needs.
    pub(super) fn take_estate(&self) -> Estate {
        self.shared.lock().take_estate()
    }

    /// Takes over from a connection that broke; so many changes are going to be sent again.
    pub(super) fn adopt(&self, estate: Estate, repeated: u64) {
        let mut state = self.shared.lock();
        state.adopt(estate, repeated);
    }

    /// Sends messages of changes once more, as fast as the line takes them.
    pub(super) fn repeat(&self, frames: &[u8], patience: &Patience) -> Result<(), Broken> {
        let mut state = self.shared.lock();
        while state.broken.is_none() && state.outgoing_len > REPEATED_LEN_MAX {
            if patience.is_over() {
                return Err(Broken::Closed);
            }
            state = patience.wait(&self.shared.has_room, state);
        }
        if let Some(broken) = &state.broken {
            return Err(broken.clone());
        }
        state.outgoing_len += frames.len();
        state.outgoing.push_back(frames.to_vec());
        self.shared.to_write.notify_one();
        Ok(())
    }

    /// Asks again for the objects that will be needed.
    pub(super) fn resume_prefetch(&self) {
        self.prefetch_more(&mut self.shared.lock());
    }

    /// Ends the connection: what was not written yet is not written any more, and if it is broken nothing is waited
    /// for.
    pub(super) fn close(&self) {
        let is_broken = {
            let mut state = self.shared.lock();
            state.outgoing.clear();
            state.outgoing_len = 0;
            state.ended = true;
            self.shared.to_write.notify_all();
            state.broken.is_some()
        };
        let process = lock(&self.process).take();
        if let Some(mut process) = process {
            if is_broken {
                process.kill();
            } else {
                // Its input ends when the writing thread does.
                process.wait();
            }
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        let deadline = Instant::now() + THREAD_WAIT;
        for thread in threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(THREAD_POLL);
            }
            if thread.is_finished() {
                // A panic there has been shown; there is nothing else to be done about it here.
                let _ = thread.join();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}
