//! The loop: reads calls, has them answered in order, and writes when nothing more is waiting to be answered.

use std::io::{self, Read, Write};

use super::outgoing::Outgoing;
use super::session::Session;
use super::{Host, ServeError, ServerOptions};
use crate::message::{FrameBuffer, Request, Version};

/// Runs a whole session.
pub(super) fn run(
    mut input: impl Read,
    output: impl Write,
    options: &ServerOptions,
    host: &dyn Host,
) -> Result<(), ServeError> {
    let mut out = Outgoing::new(output);
    let mut frames = FrameBuffer::new();
    let mut session = Session::new(options, host);
    loop {
        let len = match input.read(frames.room()) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ServeError::Input(error)),
        };
        if len == 0 {
            return end(session, &mut out);
        }
        frames.received(len);
        let answered = answer_all(&mut frames, &mut session, &mut out);
        // What was answered before something went wrong has to arrive.
        out.flush()?;
        answered?;
    }
}

/// Answers all calls that have arrived whole.
fn answer_all(
    frames: &mut FrameBuffer,
    session: &mut Session<'_>,
    out: &mut Outgoing<impl Write>,
) -> Result<(), ServeError> {
    loop {
        let frame = match frames.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(_) => return Err(ServeError::UnexpectedFormat),
        };
        match Request::decode(frame) {
            Some(request) => session.take(request, out)?,
            None => return Err(ServeError::UnexpectedFormat),
        }
    }
    session.answer_waiting(out)
}

fn end(session: Session<'_>, out: &mut Outgoing<impl Write>) -> Result<(), ServeError> {
    if session.end()? {
        return Ok(());
    }
    let version = Version::own();
    let text = format!("Borg {version}: Got connection close before repository was opened.\n");
    out.buffer().extend_from_slice(text.as_bytes());
    out.flush()
}
