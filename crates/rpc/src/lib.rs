//! The repository across a pipe: the protocol of `borg serve`, its client and its server.
//!
//! `message` knows how calls and replies look, `client` is the trait
//! [`Repository`](ironborg_repository::Repository) over the pipes of a child process, `server` answers a client with
//! the repositories of this machine.

pub mod client;
pub mod message;
pub mod server;

pub use client::{RemoteOptions, RemoteRepository};
