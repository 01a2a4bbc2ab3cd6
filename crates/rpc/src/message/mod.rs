//! What crosses the pipe: bare MessagePack objects one after the other, calls one way and replies the other.
//!
//! There are two forms. The named one (since 1.1) is a map with the parameters by name; the positional one is an
//! array, and is what every client sends first. A server answers in the form of the call. Nothing here does I/O.
//!
//! Source: Borg 1.4, `remote.py`; `docs/rpc.md`.

mod call;
mod frame;
mod reply;
mod request;
mod version;

pub use call::{Call, Form, Open};
pub use frame::{FRAME_LEN_MAX, FrameBuffer, FrameError};
pub use reply::{Fault, Payload, Reply};
pub use request::{BadCall, Request};
pub use version::Version;

/// Asked for in the first call of a client that would read without a lock, and in the reply of a server that lets it. Others
/// pass over it.
pub const SNAPSHOTS: &[u8] = b"snapshots";

#[cfg(test)]
mod tests;
