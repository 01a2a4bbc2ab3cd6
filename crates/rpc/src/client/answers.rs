//! Answers as values, and what stands in their place as errors.

use ironborg_repository::RepositoryError;
use ironborg_types::ErrorKind;

use super::faults;
use super::link::{Answer, Broken};
use crate::message::{Payload, Reply};

/// How much of a message that is none is shown.
const SHOWN_LEN: usize = 128;

/// Reads a result.
pub(super) fn value<T>(
    answer: Answer,
    location: &str,
    read: impl FnOnce(Payload<'_>) -> Option<T>,
) -> Result<T, RepositoryError> {
    let garbage = |frame: Vec<u8>| broken(Broken::Garbage(frame));
    match answer {
        Answer::Fault(fault) => Err(faults::error(&fault, location)),
        Answer::Object(bytes) => Err(garbage(bytes)),
        Answer::Frame(frame) => Reply::decode(&frame)
            .and_then(|reply| reply.outcome.ok())
            .and_then(read)
            .ok_or_else(|| garbage(frame.clone())),
    }
}

/// The bytes that were asked for.
pub(super) fn bytes(answer: Answer, location: &str) -> Result<Vec<u8>, RepositoryError> {
    match answer {
        Answer::Fault(fault) => Err(faults::error(&fault, location)),
        Answer::Object(bytes) => Ok(bytes),
        Answer::Frame(frame) => Err(broken(Broken::Garbage(frame))),
    }
}

/// Whether it was done.
pub(super) fn nothing(answer: Answer, location: &str) -> Result<(), RepositoryError> {
    match answer {
        Answer::Fault(fault) => Err(faults::error(&fault, location)),
        Answer::Object(_) | Answer::Frame(_) => Ok(()),
    }
}

/// The error for a connection that cannot be used any more.
pub(super) fn broken(reason: Broken) -> RepositoryError {
    let (kind, message) = match reason {
        Broken::Closed => (
            ErrorKind::ConnectionClosed,
            ErrorKind::ConnectionClosed.row().message.to_owned(),
        ),
        Broken::Pipe => (
            ErrorKind::ConnectionBrokenWithHint,
            "Connection to remote host is broken. Broken Pipe".to_owned(),
        ),
        Broken::Garbage(bytes) => (
            ErrorKind::UnexpectedRPCDataFormatFromServer,
            format!(
                "Got unexpected RPC data format from server:\n{}",
                shown(&bytes)
            ),
        ),
    };
    RepositoryError::Remote { kind, message }
}

/// The beginning of bytes as text, or in hexadecimal, 16 in a line.
fn shown(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.chars().take(SHOWN_LEN).collect();
    }
    let lines = bytes[..bytes.len().min(SHOWN_LEN)].chunks(16).map(|line| {
        let bytes: Vec<String> = line.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}
