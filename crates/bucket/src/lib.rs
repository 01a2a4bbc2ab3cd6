//! Repositories on object stores: every file of a repository is an object of the same name and content.
//!
//! [`BucketUrl`] says where, [`connect`] opens a store with the credentials it finds, and [`BucketStorage`] is the
//! [`ironborg_storage::Storage`] the segment log works with. What a request costs is counted in [`Traffic`]. Protocols,
//! signatures and retries are `object_store`'s; nothing here knows what a segment is.

mod ahead;
mod asking;
mod conditions;
mod connect;
mod copies;
mod credentials;
mod error;
mod known;
mod leftovers;
mod requests;
mod retention;
mod settings;
mod storage;
mod traffic;
mod upload;
mod url;

pub use conditions::Conditions;
pub use connect::{Connection, connect};
pub use credentials::profile;
pub use error::BucketError;
pub use storage::BucketStorage;
pub use traffic::{Figures, Traffic};
pub use url::{BucketUrl, Scheme};
