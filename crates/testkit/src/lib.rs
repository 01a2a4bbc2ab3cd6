//! Fixtures for tests: throw-away machines, stock Borg and ours, file trees and their comparison, sample repositories.
//!
//! A development dependency only. Everything here panics with a full account of what went wrong, because its callers
//! are tests: there is nobody to handle an error.

mod compare;
mod desktop;
mod fault_proxy;
mod generate;
mod home;
mod mount;
mod mount_view;
mod object_server;
mod other_user;
mod program;
mod run;
mod samples;
mod scratch;
mod snapshot;
mod sshd;
mod stock_host;
mod sys;
mod tally;
pub mod tree;
mod weak_key;
mod wire;
mod wire_proxy;

pub use compare::{Compare, assert_restored, assert_same_tree};
pub use desktop::{DesktopSession, FIRST_POPUP, Popup, Screen};
pub use fault_proxy::{Fault, FaultProxy};
pub use generate::{Random, generated};
pub use home::Home;
pub use mount::Mount;
pub use mount_view::{Seen, View, ViewEntry};
pub use object_server::ObjectServer;
pub use other_user::OtherUser;
pub use program::{OldStock, Program, borgmatic, testdata, workspace};
pub use run::{Invocation, Run};
pub use samples::{Sample, SampleArchive, sample, sample_names, sample_passphrase};
pub use scratch::Scratch;
pub use snapshot::{Node, NodeKind, Snapshot};
pub use sshd::Sshd;
pub use stock_host::{Blow, StockHost};
pub use sys::{Allocated, CountingAllocator};
pub use tally::{TALLY_VARIABLE, Tried, tally};
pub use weak_key::weak_key;
pub use wire::{Server, Wire};
pub use wire_proxy::{WireMessage, WireProxy};
