//! The threads of a connection: one writes, one reads, one listens to what the server has to tell.

use std::io::{Read, Write};
use std::sync::PoisonError;
use std::time::Instant;

use super::state::{Broken, Shared};
use super::throttle::Throttle;
use crate::message::FrameBuffer;

/// How much is written at once.
const WRITE_LEN: usize = 256 * 1024;
/// How much is kept of a message that is none: what is shown of it depends on all of it.
const GARBAGE_LEN_MAX: usize = 64 * 1024;

/// Writes what is to be sent until there is no more.
pub(super) fn write_calls(
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
        state.outgoing_len -= buffer.len();
        drop(state);
        shared.has_room.notify_all();
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
pub(super) fn read_replies(shared: &Shared, mut from_server: Box<dyn Read + Send>) {
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
                Ok(Some(frame)) if shared.accept(frame).is_some() => continue,
                Ok(None) => {
                    shared.answered.notify_all();
                    break;
                }
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

/// Hands on what the server writes to its standard error.
pub(super) fn read_log(mut source: Box<dyn Read + Send>, mut log: impl FnMut(&[u8])) {
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
