//! A list of patterns, asked about one path after the other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use ironborg_types::BytePath;

use super::{Action, PathText, Pattern, Style, without_leading_slashes};
use crate::error::PatternError;

/// What the patterns say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is selected.
    pub include: bool,
    /// Whether a directory that is not selected is entered all the same.
    pub recurse: bool,
}

/// Decides about paths. Shared between threads.
///
/// `pf` patterns come first, by look-up, the last one given for a path deciding; then all others in
/// order, the first match deciding; then the include paths; then the fallback.
#[derive(Debug)]
pub struct PatternMatcher {
    rules: Vec<(Pattern, Action)>,
    full: HashMap<Vec<u8>, Action>,
    includes: Vec<IncludePath>,
    fallback: bool,
}

#[derive(Debug)]
struct IncludePath {
    pattern: Pattern,
    matched: AtomicBool,
}

impl PatternMatcher {
    /// A matcher of these rules; `fallback` is the answer where none matches (`create`: true).
    pub fn new(rules: impl IntoIterator<Item = (Pattern, Action)>, fallback: bool) -> Self {
        let mut matcher = Self {
            rules: Vec::new(),
            full: HashMap::new(),
            includes: Vec::new(),
            fallback,
        };
        for (pattern, action) in rules {
            match pattern.full_path() {
                Some(path) => {
                    matcher.full.insert(path.to_vec(), action);
                }
                None => matcher.rules.push((pattern, action)),
            }
        }
        matcher
    }

    /// The matcher of `extract`, `list` and their like: rules first, then the PATH arguments
    /// (default style `pp`); without arguments everything else is included, with them nothing is.
    ///
    /// Source: Borg 1.4, `build_matcher`, `add_includepaths`.
    pub fn with_include_paths(
        rules: impl IntoIterator<Item = (Pattern, Action)>,
        paths: &[BytePath],
    ) -> Result<Self, PatternError> {
        let mut matcher = Self::new(rules, paths.is_empty());
        for path in paths {
            let pattern = Pattern::parse(path, Style::PathPrefix)?;
            match pattern.full_path() {
                Some(path) => {
                    matcher.full.insert(path.to_vec(), Action::Include);
                }
                None => matcher.includes.push(IncludePath {
                    pattern,
                    matched: AtomicBool::new(false),
                }),
            }
        }
        Ok(matcher)
    }

    /// Whether there are no patterns at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.full.is_empty() && self.includes.is_empty()
    }

    /// What the patterns say of a path; its leading slashes do not count.
    pub fn decide(&self, path: &[u8]) -> Decision {
        self.rule_for(path).unwrap_or(Decision {
            include: self.fallback,
            recurse: true,
        })
    }

    /// What the first pattern that matches says of a path; `None` if there is none and the fallback
    /// decides.
    pub fn rule_for(&self, path: &[u8]) -> Option<Decision> {
        if self.is_empty() {
            return None;
        }
        let path = without_leading_slashes(path);
        if !self.full.is_empty()
            && let Some(&action) = self.full.get(path)
        {
            return Some(decision(action));
        }
        let text = PathText::new(path);
        if let Some((_, action)) = self
            .rules
            .iter()
            .find(|(pattern, _)| pattern.matches_text(path, &text))
        {
            return Some(decision(*action));
        }
        let mut includes = self.includes.iter();
        let include = includes.find(|include| include.pattern.matches_text(path, &text));
        include.map(|include| {
            // Mostly it is known already, and then no cache line is written.
            if !include.matched.load(Ordering::Relaxed) {
                include.matched.store(true, Ordering::Relaxed);
            }
            decision(Action::Include)
        })
    }

    /// Whether a path is selected.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.decide(path).include
    }

    /// The PATH arguments nothing has matched so far, in order, as given without selector; `pf` ones
    /// are never among them.
    pub fn never_matched(&self) -> Vec<&BytePath> {
        self.includes
            .iter()
            .filter(|include| !include.matched.load(Ordering::Relaxed))
            .map(|include| include.pattern.original())
            .collect()
    }
}

fn decision(action: Action) -> Decision {
    Decision {
        include: action == Action::Include,
        recurse: action.recurses(),
    }
}
