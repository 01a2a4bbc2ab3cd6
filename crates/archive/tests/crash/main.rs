//! Power failures and failing disks in the middle of operations on archives.

mod harness;
mod nonces;
mod replay;
