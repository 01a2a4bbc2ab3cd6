//! Patterns that select files: five styles, with stock Borg's exact meaning.
//!
//! Patterns and paths are bytes; stock Borg matches text in which every undecodable byte is one
//! character (a lone surrogate). Here such a byte becomes U+10DC00 plus its value, a private-use
//! character no real name holds, in patterns and paths alike: it is one character, equal only to itself.
//!
//! Source: Borg 1.4, `patterns.py`, and the table in `docs/compat.md`, "Patterns".

mod glob;
mod lines;
mod matcher;
mod python_regex;

mod python_groups;
mod python_sets;
mod python_syntax;

pub use lines::{PatternLine, PatternSet};
pub use matcher::{Decision, PatternMatcher};

use std::borrow::Cow;

use ironborg_types::{BytePath, text};

use crate::error::PatternError;
use crate::path::normpath;
use glob::{Glob, Syntax};
use python_regex::PythonRegex;

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// `fm`: wildcards that cross `/`.
    Fnmatch,
    /// `sh`: wildcards that stop at `/`, and `**/`.
    Shell,
    /// `re`: a Python regular expression, searched anywhere in the path.
    Regex,
    /// `pp`: a path and everything below it.
    PathPrefix,
    /// `pf`: one path.
    PathFull,
}

impl Style {
    /// The style a selector names (`fm`, without the colon).
    pub fn from_selector(selector: &str) -> Option<Self> {
        Some(match selector {
            "fm" => Self::Fnmatch,
            "sh" => Self::Shell,
            "re" => Self::Regex,
            "pp" => Self::PathPrefix,
            "pf" => Self::PathFull,
            _ => return None,
        })
    }

    /// The selector that names the style.
    pub fn selector(self) -> &'static str {
        match self {
            Self::Fnmatch => "fm",
            Self::Shell => "sh",
            Self::Regex => "re",
            Self::PathPrefix => "pp",
            Self::PathFull => "pf",
        }
    }
}

/// What is done with what a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `+`: include.
    Include,
    /// `-`: exclude, but look below a directory for what is included.
    Exclude,
    /// `!`: exclude, and do not look below.
    ExcludeNoRecurse,
}

impl Action {
    /// Whether a directory that matches is entered.
    pub fn recurses(self) -> bool {
        self != Self::ExcludeNoRecurse
    }
}

/// One pattern, ready to match.
#[derive(Debug, Clone)]
pub struct Pattern {
    original: BytePath,
    engine: Engine,
}

#[derive(Debug, Clone)]
enum Engine {
    Glob(Style, Glob),
    Regex(Box<PythonRegex>),
    /// Ends with `/`, or is empty: every path plus `/` that starts with it.
    Prefix(Vec<u8>),
    Full(Vec<u8>),
}

impl Pattern {
    /// Reads a pattern with an optional selector (`re:...`); without one it is of the `default` style.
    pub fn parse(pattern: &[u8], default: Style) -> Result<Self, PatternError> {
        let text = decode(pattern);
        let mut chars = text.char_indices();
        let (first, second, third) = (chars.next(), chars.next(), chars.next());
        if let (Some((_, a)), Some((_, b)), Some((at, ':'))) = (first, second, third)
            && a.is_alphanumeric()
            && b.is_alphanumeric()
        {
            // The first two characters are letters or digits, so they are as long here as in the input.
            let style = Style::from_selector(&text[..at])
                .ok_or_else(|| PatternError::UnknownStyle(text[..at].to_owned()))?;
            return Self::new(&pattern[at + 1..], style);
        }
        Self::new(pattern, default)
    }

    /// A pattern of the given style, without selector.
    pub fn new(pattern: &[u8], style: Style) -> Result<Self, PatternError> {
        let engine = match style {
            Style::Fnmatch => Engine::Glob(
                style,
                Glob::new(&glob_text(pattern, b"/*", b"/*/"), Syntax::Fnmatch)?,
            ),
            Style::Shell => Engine::Glob(
                style,
                Glob::new(&glob_text(pattern, b"/**/*", b"/**/*/"), Syntax::Shell)?,
            ),
            Style::Regex => Engine::Regex(Box::new(PythonRegex::new(&decode(pattern))?)),
            Style::PathPrefix => {
                let mut prefix = normpath(pattern);
                while prefix.last() == Some(&b'/') {
                    prefix.pop();
                }
                prefix.push(b'/');
                Engine::Prefix(without_leading_slashes(&prefix).to_vec())
            }
            Style::PathFull => Engine::Full(without_leading_slashes(&normpath(pattern)).to_vec()),
        };
        Ok(Self {
            original: pattern.into(),
            engine,
        })
    }

    /// The pattern as it was given, without selector.
    pub fn original(&self) -> &BytePath {
        &self.original
    }

    /// Its style.
    pub fn style(&self) -> Style {
        match &self.engine {
            Engine::Glob(style, _) => *style,
            Engine::Regex(_) => Style::Regex,
            Engine::Prefix(_) => Style::PathPrefix,
            Engine::Full(_) => Style::PathFull,
        }
    }

    /// Whether a path (without leading slash) matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.matches_text(path, &PathText::new(path))
    }

    fn matches_text(&self, path: &[u8], text: &PathText<'_>) -> bool {
        match &self.engine {
            Engine::Glob(_, glob) => glob.matches(text.with_slash()),
            Engine::Regex(regex) => regex.is_match(text.plain()),
            Engine::Prefix(prefix) => match prefix.strip_suffix(b"/") {
                Some(directory) => path
                    .strip_prefix(directory)
                    .is_some_and(|rest| rest.is_empty() || rest[0] == b'/'),
                None => true,
            },
            Engine::Full(full) => path == full,
        }
    }

    fn full_path(&self) -> Option<&[u8]> {
        match &self.engine {
            Engine::Full(full) => Some(full),
            _ => None,
        }
    }
}

/// A shell pattern for archive names (`--glob-archives`): matches the whole name.
#[derive(Debug, Clone)]
pub struct NameGlob(Glob);

impl NameGlob {
    /// Compiles the pattern (style `sh`, without selector and without treating it as a path).
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        Glob::new(pattern, Syntax::Shell).map(Self)
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

/// A path as text, once bare and once with the `/` that globs are matched against.
struct PathText<'a> {
    decoded: Cow<'a, str>,
    with_slash: std::cell::OnceCell<String>,
}

impl<'a> PathText<'a> {
    fn new(path: &'a [u8]) -> Self {
        Self {
            decoded: decode(path),
            with_slash: std::cell::OnceCell::new(),
        }
    }

    fn plain(&self) -> &str {
        &self.decoded
    }

    fn with_slash(&self) -> &str {
        self.with_slash.get_or_init(|| {
            let mut text = String::with_capacity(self.decoded.len() + 1);
            text.push_str(&self.decoded);
            text.push('/');
            text
        })
    }
}

/// Text of a path or pattern: see the module's comment for undecodable bytes.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    text::decode(bytes, |byte, out| {
        let code = 0x10_dc00 + u32::from(byte);
        out.push(char::from_u32(code).expect("U+10DC80 to U+10DCFF are characters"));
    })
}

/// A glob pattern as text with the tail that makes it match everything below as well.
fn glob_text(pattern: &[u8], tail: &[u8], tail_of_directory: &[u8]) -> String {
    let mut path = normpath(pattern);
    if pattern.ends_with(b"/") {
        while path.last() == Some(&b'/') {
            path.pop();
        }
        path.extend_from_slice(tail_of_directory);
    } else {
        path.extend_from_slice(tail);
    }
    decode(without_leading_slashes(&path)).into_owned()
}

fn without_leading_slashes(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|&&b| b == b'/').count();
    &path[slashes..]
}

#[cfg(test)]
mod tests;
