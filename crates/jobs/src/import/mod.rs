//! Configurations of other programs → one of ours. What cannot be translated is named, with the reason.
//!
//! ```text
//! yaml       YAML → values
//! borgmatic  borgmatic's keys, one by one
//! job        what they come to, written as TOML
//! ```

pub mod borgmatic;
mod hooks;
mod job;
mod storage;
mod tell;
mod yaml;

/// A translated configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The TOML.
    pub toml: String,
    /// Keys that are not in it, or not just as they were, and why.
    pub left: Vec<Left>,
}

/// Something that could not be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The key, with those around it.
    pub key: String,
    /// Why, and what to do instead.
    pub reason: String,
}

/// Why nothing can be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is not YAML.
    #[error("line {line}, column {column}: {message}")]
    Yaml {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// It is larger or deeper than any configuration.
    #[error("this is too large or too deep for a configuration")]
    TooLarge,
    /// It is YAML, but not a table of settings.
    #[error("a table of settings is expected")]
    NoTable,
}
