//! The first words with a server: versions, and which repository to open.

use ironborg_format::msgpack::Value;
use ironborg_repository::RepositoryError;
use ironborg_types::{ErrorKind, Event, Level, Reporter, RepositoryId, text};

use super::answers::{self, broken};
use super::link::{Answer, Broken, Link};
use super::patience::Patience;
use super::{faults, since};
use crate::message::{Call, Form, Open, Payload, Reply, SNAPSHOTS, Version};

/// Logger of the client.
pub(super) const LOGGER: &str = "borg.remote";
/// Said of the error by which a server before 1.0.7 is recognised, whose own words are in its log.
const TYPE_ERROR_NOTE: &str = "\
Please note:
If you see a TypeError complaining about the number of positional arguments
given to open(), you can ignore it if it comes from a borg version < 1.0.7.
This TypeError is a cosmetic side effect of the compatibility code borg
clients >= 1.0.7 have to support older borg servers.
This problem will go away as soon as the server has been upgraded to 1.0.7+.";

/// Exchanges versions. Asks whether the server can read without a lock if that is wanted.
pub(super) fn negotiate(
    link: &mut Link,
    location: &str,
    snapshots: bool,
    patience: Option<&Patience>,
) -> Result<(), RepositoryError> {
    let hello = Call::Negotiate {
        client: Some(Version::own()),
        snapshots,
    };
    let answer = match link.call_within(&hello, patience.unwrap_or(&Patience::endless())) {
        Err(Broken::Closed) => {
            return Err(RepositoryError::Remote {
                kind: ErrorKind::ConnectionClosedWithHint,
                message: "Connection closed by remote host. Is borg working on the server?"
                    .to_owned(),
            });
        }
        other => other.map_err(broken)?,
    };
    let unsupported = |shown: String| RepositoryError::Remote {
        kind: ErrorKind::Exception,
        message: format!("The server uses an unsupported version of the protocol: {shown}"),
    };
    let frame = match answer {
        Answer::Frame(frame) => frame,
        Answer::Fault(fault) => return Err(faults::error(&fault, location)),
        Answer::Object(bytes) => return Err(unsupported(text::display(&bytes).into_owned())),
    };
    let payload = Reply::decode(&frame).and_then(|reply| reply.outcome.ok());
    let value = payload.and_then(Payload::small_value);
    match value {
        Some(value) if value.as_u64() == Some(2) => Ok(()),
        Some(value) => {
            let version = value.get(b"server_version").and_then(Version::from_value);
            let version = version.ok_or_else(|| unsupported(format!("{value:?}")))?;
            link.speak(Form::Named, version);
            let snapshots = value.get(SNAPSHOTS);
            link.offers_snapshots(snapshots.is_some_and(Value::is_truthy));
            Ok(())
        }
        None => Err(unsupported("(unknown)".to_owned())),
    }
}

/// Opens the repository for reading what is committed in it, without a lock.
pub(super) fn open_snapshot(
    link: &Link,
    path: &[u8],
    location: &str,
    patience: Option<&Patience>,
) -> Result<RepositoryId, RepositoryError> {
    let path = path.to_vec();
    opened(link, &Call::OpenSnapshot { path }, location, patience)
}

/// Opens the repository, the way the oldest servers want it if this is one of them.
pub(super) fn open(
    link: &mut Link,
    open: Open,
    location: &str,
    patience: Option<&Patience>,
    reporter: &dyn Reporter,
) -> Result<RepositoryId, RepositoryError> {
    let is_unnamed = link.form() == Form::Positional;
    match open_as_said(link, open.clone(), location, patience) {
        Err(RepositoryError::Foreign(error)) if is_unnamed && error.class == "TypeError" => {
            reporter.report(Event::log(Level::Warning, LOGGER, TYPE_ERROR_NOTE));
            link.speak(Form::Positional, Version::release(1, 0, 6));
            open_as_said(link, open, location, patience)
        }
        other => other,
    }
}

fn open_as_said(
    link: &Link,
    open: Open,
    location: &str,
    patience: Option<&Patience>,
) -> Result<RepositoryId, RepositoryError> {
    let call = Call::Open(open);
    if let Some(error) = since::refusal(&call, link.server()) {
        return Err(error);
    }
    opened(link, &call, location, patience)
}

fn opened(
    link: &Link,
    call: &Call<'_>,
    location: &str,
    patience: Option<&Patience>,
) -> Result<RepositoryId, RepositoryError> {
    let answer = link.call_within(call, patience.unwrap_or(&Patience::endless()));
    let id = answers::bytes(answer.map_err(broken)?, location)?;
    RepositoryId::from_slice(&id).ok_or_else(|| broken(Broken::Garbage(id)))
}
