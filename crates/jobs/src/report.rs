//! What the process that works tells the one that watches: a line of JSON each, on standard output. What it says to people
//! goes to standard error, as from any command.

mod failure;

use serde::{Deserialize, Serialize};

pub use failure::{CHECK_FAILED, FailureKind, HOOK_FAILED, classify, failure};

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Told {
    /// A step begins.
    Begun {
        /// Its place in the order, from 0.
        number: usize,
        /// Its name.
        step: String,
    },
    /// A step has ended. One that there was no need for has no lines.
    Ended {
        /// Its place in the order, from 0.
        number: usize,
        /// Its name.
        step: String,
        /// Borg's exit code of it.
        code: u8,
        /// The class of the error that ended it, such as `LockTimeout` or `ConnectionClosed`; or [`HOOK_FAILED`] or
        /// [`CHECK_FAILED`].
        #[serde(skip_serializing_if = "Option::is_none", default)]
        msgid: Option<String>,
        /// That error's message.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        message: Option<String>,
        /// How long it took.
        seconds: f64,
        /// What it did.
        #[serde(default)]
        figures: Box<Figures>,
    },
}

/// What a step did, as far as it applies to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// The archive's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Number of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes of the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_size: Option<u64>,
    /// The same, compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compressed_size: Option<u64>,
    /// Bytes that were not in the repository before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deduplicated_size: Option<u64>,
    /// Bytes that are stored no longer, or need not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_size: Option<u64>,
    /// Archives that were deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_archives: Option<u64>,
    /// Bytes a restore drill has compared and found equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven_bytes: Option<u64>,
    /// Files a restore drill has compared and found equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven_files: Option<u64>,
    /// Files a restore drill has restored whole, though there is nothing left to compare them with: they have changed or
    /// are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_files: Option<u64>,
    /// Bytes of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_bytes: Option<u64>,
    /// Files that differ though they should not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub different_files: Option<u64>,
    /// Share of the archive's data that drills have proven restorable, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven_share: Option<f64>,
    /// When the oldest of these proofs was made, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven_since: Option<i64>,
}

impl Figures {
    /// Takes over what `later` knows.
    pub fn update(&mut self, later: &Self) {
        /// Names all fields, so that none can be forgotten.
        macro_rules! update {
            ($($field:ident),+) => {{
                let Self { $($field),+ } = later;
                $(if $field.is_some() {
                    self.$field.clone_from($field);
                })+
            }};
        }
        update!(
            archive,
            files,
            original_size,
            compressed_size,
            deduplicated_size,
            freed_size,
            deleted_archives,
            proven_bytes,
            proven_files,
            restored_files,
            restored_bytes,
            different_files,
            proven_share,
            proven_since
        );
    }
}
