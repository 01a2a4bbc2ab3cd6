//! What can go wrong on the way to a store.

/// A store that cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// Something about how to reach it is not as it should be.
    #[error("{location}: {reason}")]
    Settings {
        /// The repository.
        location: String,
        /// What, and what to do about it.
        reason: String,
    },
}
