//! The client: the trait [`Repository`](ironborg_repository::Repository) over the pipes of a server process.
//!
//! `dial` starts a server, `link` moves messages without anybody waiting for one that is not needed yet,
//! `connection` replaces links that break, with what `transaction` and `journal` know and when `redial` says, `remote` is
//! the repository on top, `faults` turns a server's errors into our own, `throttle` limits the rate of
//! sending.

mod answers;
mod connection;
mod dial;
mod faults;
mod handshake;
mod journal;
mod json_line;
mod known;
mod link;
mod log_lines;
mod nonces;
mod patience;
mod prefetch;
mod pump;
mod redial;
mod remote;
mod since;
mod spare;
mod state;
mod sys;
mod throttle;
mod transaction;

pub use dial::{Dial, ServerCommand, ServerProcess, Wire};
pub use journal::JournalOptions;
pub use redial::ReconnectOptions;
pub use remote::{RemoteOptions, RemoteRepository};
