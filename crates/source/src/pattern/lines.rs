//! Patterns as they are written: on the command line and in files.

use ironborg_types::{BytePath, text};

use super::{Action, Pattern, Style};
use crate::error::PatternError;

/// One line of a pattern file, or the value of `--pattern`.
#[derive(Debug, Clone)]
pub enum PatternLine {
    /// `R path`: a root.
    Root(BytePath),
    /// `P style`: the style of the lines that follow in this file.
    Style(Style),
    /// `+`, `-` or `!` and a pattern.
    Rule(Pattern, Action),
}

impl PatternLine {
    /// Reads one line. Source: Borg 1.4, `parse_inclexcl_command`.
    pub fn parse(line: &[u8], default: Style) -> Result<Self, PatternError> {
        let (&command, rest) = line.split_first().ok_or(PatternError::Empty)?;
        if !matches!(command, b'-' | b'!' | b'+' | b'R' | b'r' | b'P' | b'p') {
            return Err(PatternError::UnknownCommand);
        }
        let value = trim_start(rest);
        if value.is_empty() {
            return Err(PatternError::NoValue);
        }
        let action = match command {
            b'R' | b'r' => return Ok(Self::Root(value.into())),
            b'P' | b'p' => {
                let selector = text::display(value);
                return Style::from_selector(&selector)
                    .map(Self::Style)
                    .ok_or_else(|| PatternError::InvalidStyle(selector.into_owned()));
            }
            b'+' => Action::Include,
            b'-' => Action::Exclude,
            _ => Action::ExcludeNoRecurse,
        };
        Ok(Self::Rule(Pattern::parse(value, default)?, action))
    }
}

/// All patterns of a command line, in the order the options stand there, with the roots among them.
///
/// Files are read by the caller, who knows the exact words for one that is missing.
#[derive(Debug, Clone, Default)]
pub struct PatternSet {
    /// Roots from `R` lines.
    pub roots: Vec<BytePath>,
    /// Patterns and what to do with their matches; the first match decides.
    pub rules: Vec<(Pattern, Action)>,
}

impl PatternSet {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// `-e`, `--exclude`: a pattern of default style `fm`, not entered.
    pub fn add_exclude(&mut self, pattern: &[u8]) -> Result<(), PatternError> {
        let pattern = Pattern::parse(pattern, Style::Fnmatch)?;
        self.rules.push((pattern, Action::ExcludeNoRecurse));
        Ok(())
    }

    /// `--exclude-from`: one such pattern a line.
    pub fn add_exclude_from(&mut self, content: &[u8]) -> Result<(), PatternError> {
        clean_lines(content).try_for_each(|line| self.add_exclude(line))
    }

    /// `--pattern`: one line of a pattern file, default style `sh`.
    pub fn add_pattern(&mut self, line: &[u8]) -> Result<(), PatternError> {
        self.add_line(line, Style::Shell).map(|_| ())
    }

    /// `--patterns-from`: a pattern file.
    pub fn add_patterns_from(&mut self, content: &[u8]) -> Result<(), PatternError> {
        let mut style = Style::Shell;
        for line in clean_lines(content) {
            style = self.add_line(line, style)?;
        }
        Ok(())
    }

    /// Adds a line and returns the default style of the next one.
    fn add_line(&mut self, line: &[u8], style: Style) -> Result<Style, PatternError> {
        match PatternLine::parse(line, style)? {
            PatternLine::Root(root) => self.roots.push(root),
            PatternLine::Style(style) => return Ok(style),
            PatternLine::Rule(pattern, action) => self.rules.push((pattern, action)),
        }
        Ok(style)
    }
}

/// Lines stripped of white space on both sides, without empty ones and those that begin with `#`.
///
/// Source: Borg 1.4, `clean_lines`; Python ends a line at `\n`, `\r` or both.
fn clean_lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split(|&b| b == b'\n' || b == b'\r')
        .map(|line| trim_end(trim_start(line)))
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// What `str.strip` of Python removes.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn trim_start(line: &[u8]) -> &[u8] {
    let Some(valid) = line.utf8_chunks().next().map(|chunk| chunk.valid()) else {
        return line;
    };
    &line[valid.len() - valid.trim_start_matches(is_space).len()..]
}

fn trim_end(line: &[u8]) -> &[u8] {
    let Some(last) = line.utf8_chunks().last() else {
        return line;
    };
    if !last.invalid().is_empty() {
        return line;
    }
    let kept = last.valid().trim_end_matches(is_space).len();
    &line[..line.len() - (last.valid().len() - kept)]
}
