//! The client: the trait [`Repository`](ironborg_repository::Repository) over the pipes of a server process.
//!
//! `dial` starts a server, `link` moves messages without anybody waiting for one that is not needed yet,
//! `remote` is the repository on top, `faults` turns a server's errors into our own, `throttle` limits the rate of
//! sending.

mod dial;
mod faults;
mod json_line;
mod known;
mod link;
mod log_lines;
mod prefetch;
mod remote;
mod since;
mod sys;
mod throttle;

pub use dial::{Dial, ServerCommand, ServerProcess, Wire};
pub use remote::{RemoteOptions, RemoteRepository};
