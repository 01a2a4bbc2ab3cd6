//! Power failures and failing disks in the middle of operations on archives.

mod aftermath;
mod client_directories;
mod faults;
mod harness;
mod nonces;
mod replay;
