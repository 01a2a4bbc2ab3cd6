//! Regular expressions as Python reads them.

use std::sync::OnceLock;

use fancy_regex::Regex;

use super::python_syntax::{Texts, Translator};
use crate::error::PatternError;

/// A compiled Python regular expression.
#[derive(Debug, Clone)]
pub(super) struct PythonRegex {
    /// Right for ordinary texts, see [`is_ordinary`].
    regex: Regex,
    /// For all others, where `$`, `\b` and `\B` need looking around, which is slow. None: the same.
    exact_source: Option<String>,
    exact: OnceLock<Option<Regex>>,
}

impl PythonRegex {
    /// Compiles an expression.
    pub(super) fn new(pattern: &str) -> Result<Self, PatternError> {
        let source = Translator::new(pattern, Texts::Ordinary).run()?;
        let exact_source = Translator::new(pattern, Texts::All).run()?;
        Ok(Self {
            regex: Regex::new(&source).map_err(|e| PatternError::BadRegex(e.to_string()))?,
            exact_source: (exact_source != source).then_some(exact_source),
            exact: OnceLock::new(),
        })
    }

    /// Whether the expression matches anywhere in the text. A search that explodes (more than a million
    /// steps back) ends without a match.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let regex = match &self.exact_source {
            Some(source) if !is_ordinary(text) => self
                .exact
                .get_or_init(|| Regex::new(source).ok())
                .as_ref()
                .unwrap_or(&self.regex),
            _ => &self.regex,
        };
        regex.is_match(text).unwrap_or(false)
    }
}

/// Whether nothing in a text makes `$` match before its end (a last newline), word boundaries differ
/// between Python and the engine (combining characters), or `\B` fail for no reason (no text at all).
fn is_ordinary(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii() && byte != b'\n')
}
