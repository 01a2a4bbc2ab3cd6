//! A job in the making, and how it is written as TOML.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Imported, Left};
use crate::config::written::{comment, key, list, text};

/// A repository.
#[derive(Debug, Clone, Default)]
pub(super) struct Repository {
    pub(super) url: String,
    pub(super) label: Option<String>,
    pub(super) mode: Option<String>,
}

/// What is known of the job so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) paths: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) patterns: Vec<String>,
    pub(super) repositories: Vec<Repository>,
    /// Keys of `encryption`.
    pub(super) encryption: Vec<(&'static str, String)>,
    /// Keys with a text.
    pub(super) texts: Vec<(&'static str, String)>,
    /// Keys with a value that is written as it is.
    pub(super) plain: Vec<(&'static str, String)>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) keep: Vec<(String, String)>,
    pub(super) prefix: Option<String>,
    /// Words, by key.
    pub(super) words: BTreeMap<&'static str, Vec<String>>,
    /// Lines of scripts, by key.
    pub(super) scripts: BTreeMap<&'static str, Vec<String>>,
    /// Lengths of time, by check.
    pub(super) checks: BTreeMap<&'static str, String>,
    /// Tables of notifiers: names, and keys with values as they are written.
    pub(super) notifiers: Vec<(&'static str, Vec<(&'static str, String)>)>,
    /// Whether success is told too.
    pub(super) tells_success: bool,
    pub(super) skips_prune: bool,
    pub(super) skips_check: bool,
    pub(super) left: Vec<Left>,
}

impl Draft {
    /// Notes something that is not translated, or not just so.
    pub(super) fn leave(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        self.left.push(Left {
            key: key.into(),
            reason: reason.into(),
        });
    }

    /// Adds words to a command's.
    pub(super) fn add_words(&mut self, key: &'static str, words: &[&str]) {
        let words = words.iter().map(|word| (*word).to_owned());
        self.words.entry(key).or_default().extend(words);
    }

    /// Adds lines to a script.
    pub(super) fn add_script(&mut self, key: &'static str, lines: Vec<String>) {
        self.scripts.entry(key).or_default().extend(lines);
    }

    /// Writes it.
    pub(super) fn finish(self, name: &str) -> Imported {
        let mut out = self.head();
        let _ = writeln!(out, "[jobs.{}]", key(name));
        let mut line = |name: &str, value: String| {
            let _ = writeln!(out, "{name} = {value}");
        };
        line("paths", list(&self.paths));
        if !self.exclude.is_empty() {
            line("exclude", list(&self.exclude));
        }
        if !self.patterns.is_empty() {
            line("patterns", list(&self.patterns));
        }
        self.write_repositories(&mut line);
        for (name, value) in &self.encryption {
            line(&format!("encryption.{name}"), text(value));
        }
        for (name, value) in &self.texts {
            line(name, text(value));
        }
        for (name, value) in &self.plain {
            line(name, value.clone());
        }
        if !self.keep.is_empty() && !self.skips_prune {
            let rules = self.keep.iter().map(|(rule, value)| {
                let value = value
                    .parse::<i64>()
                    .map_or_else(|_| text(value), |it| it.to_string());
                format!("{rule} = {value}")
            });
            line(
                "prune.keep",
                format!("{{ {} }}", rules.collect::<Vec<_>>().join(", ")),
            );
            if let Some(prefix) = &self.prefix {
                line("prune.prefix", text(prefix));
            }
        }
        if !self.skips_check {
            for (name, value) in &self.checks {
                line(&format!("checks.{name}"), text(value));
            }
        }
        for (name, words) in &self.words {
            line(name, list(words));
        }
        for (name, lines) in &self.scripts {
            line(name, text(&lines.join("\n")));
        }
        if !self.notifiers.is_empty() {
            let names: Vec<String> = self
                .notifiers
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect();
            line("notify.by", list(&names));
            if self.tells_success {
                line("notify.success", "true".to_owned());
            }
        }
        if !self.environment.is_empty() {
            let _ = writeln!(out, "\n[jobs.{}.environment]", key(name));
            for (name, value) in &self.environment {
                let _ = writeln!(out, "{} = {}", key(name), text(value));
            }
        }
        for (name, keys) in &self.notifiers {
            let _ = writeln!(out, "\n[notify.{name}]");
            for (name, value) in keys {
                let _ = writeln!(out, "{name} = {value}");
            }
        }
        Imported {
            toml: out,
            left: self.left,
        }
    }

    fn head(&self) -> String {
        let mut out = comment("Made from a configuration of borgmatic.");
        if !self.left.is_empty() {
            out.push_str("#\n");
            out.push_str(&comment("What is not the same:"));
            for left in &self.left {
                out.push_str(&comment(&format!("  {}: {}", left.key, left.reason)));
            }
        }
        out.push('\n');
        out
    }

    fn write_repositories(&self, line: &mut impl FnMut(&str, String)) {
        if let [only] = self.repositories.as_slice()
            && only.label.is_none()
        {
            line("repo", text(&only.url));
            if let Some(mode) = &only.mode {
                line("encryption.mode", text(mode));
            }
            return;
        }
        let mut out = String::from("[\n");
        for repository in &self.repositories {
            let _ = write!(out, "  {{ url = {}", text(&repository.url));
            if let Some(label) = &repository.label {
                let _ = write!(out, ", label = {}", text(label));
            }
            if let Some(mode) = &repository.mode {
                let _ = write!(out, ", encryption = {{ mode = {} }}", text(mode));
            }
            out.push_str(" },\n");
        }
        out.push(']');
        line("repos", out);
    }
}
