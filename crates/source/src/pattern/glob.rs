//! Shell-like wildcards, in the two dialects of stock Borg.

use regex::Regex;

use crate::error::PatternError;

/// Which wildcards cross a `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `*` and `?` match `/` as well. Source: Python 3.11, `fnmatch.translate`.
    Fnmatch,
    /// They do not; `**/` stands for any number of directories. Source: Borg 1.4, `shellpattern.py`.
    Shell,
}

/// A compiled pattern that has to match the whole text.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    syntax: Syntax,
    program: Program,
}

#[derive(Debug, Clone)]
enum Program {
    /// Matched by hand, see [`is_simple`].
    Simple(Vec<Token>),
    /// Everything else.
    Regex(Regex),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Exactly this text.
    Literal(String),
    /// `?`
    Any,
    /// `*`
    Star,
    /// `**/`, style `sh` only.
    Directories,
    /// `[...]`: ranges, first and last character included.
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Compiles a pattern.
    pub(super) fn new(pattern: &str, syntax: Syntax) -> Result<Self, PatternError> {
        let tokens = parse(pattern, syntax)?;
        let program = if is_simple(&tokens) {
            Program::Simple(tokens)
        } else {
            Program::Regex(compile(&tokens, syntax)?)
        };
        Ok(Self { syntax, program })
    }

    /// Whether the whole text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        match &self.program {
            Program::Simple(tokens) => matches_simple(tokens, text, self.syntax),
            Program::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Whether [`matches_simple`] is right about a pattern: one without sets, which can match a `/` even where
/// `*` cannot, and with `**/` only at the start of a component.
fn is_simple(tokens: &[Token]) -> bool {
    tokens.iter().enumerate().all(|(at, token)| match token {
        Token::Set { .. } => false,
        Token::Directories => match at.checked_sub(1).map(|before| &tokens[before]) {
            None | Some(Token::Directories) => true,
            Some(Token::Literal(literal)) => literal.ends_with('/'),
            Some(_) => false,
        },
        _ => true,
    })
}

/// Matches a simple pattern, remembering the last `*` and the last `**/` only.
///
/// That is enough. Where `*` crosses a `/` there is no `**/`, and what stands before the last `*` is best
/// matched as early as possible. Where it does not, components of the pattern match whole components of
/// the text, so an earlier `*` has no choice left, and an earlier `**/` is best matched as early as possible.
fn matches_simple(tokens: &[Token], text: &str, syntax: Syntax) -> bool {
    let bytes = text.as_bytes();
    let stops = syntax == Syntax::Shell;
    let (mut token, mut at) = (0, 0);
    // Where to go on after a mismatch: the token after the wildcard, and the text position it took last.
    let mut star: Option<(usize, usize)> = None;
    let mut directories: Option<(usize, usize)> = None;
    loop {
        let step = match tokens.get(token) {
            None if at == bytes.len() => return true,
            None => None,
            Some(Token::Literal(literal)) => bytes[at..]
                .starts_with(literal.as_bytes())
                .then(|| at + literal.len()),
            Some(Token::Any) => match text[at..].chars().next() {
                Some('/') if stops => None,
                Some(c) => Some(at + c.len_utf8()),
                None => None,
            },
            Some(Token::Star) => {
                star = Some((token + 1, at));
                Some(at)
            }
            Some(Token::Directories) => {
                directories = Some((token + 1, at));
                star = None;
                Some(at)
            }
            Some(Token::Set { .. }) => unreachable!("patterns with sets are not matched here"),
        };
        if let Some(next) = step {
            (token, at) = (token + 1, next);
            continue;
        }
        if let Some((after, taken)) = star
            && let Some(c) = text[taken..].chars().next()
            && !(stops && c == '/')
        {
            star = Some((after, taken + c.len_utf8()));
            (token, at) = (after, taken + c.len_utf8());
        } else if let Some((after, taken)) = directories
            && let Some(slash) = bytes[taken..].iter().position(|&b| b == b'/')
        {
            directories = Some((after, taken + slash + 1));
            star = None;
            (token, at) = (after, taken + slash + 1);
        } else {
            return false;
        }
    }
}

fn parse(pattern: &str, syntax: Syntax) -> Result<Vec<Token>, PatternError> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => match rest.strip_prefix("*/") {
                Some(after) if syntax == Syntax::Shell => {
                    tokens.push(Token::Directories);
                    rest = after;
                }
                _ if tokens.last() == Some(&Token::Star) => {}
                _ => tokens.push(Token::Star),
            },
            '?' => tokens.push(Token::Any),
            '[' => match set_end(rest) {
                Some(end) => {
                    tokens.push(parse_set(&rest[..end], syntax)?);
                    rest = &rest[end + 1..];
                }
                None => push_literal(&mut tokens, '['),
            },
            _ => push_literal(&mut tokens, c),
        }
    }
    Ok(tokens)
}

fn push_literal(tokens: &mut Vec<Token>, c: char) {
    if let Some(Token::Literal(literal)) = tokens.last_mut() {
        literal.push(c);
    } else {
        tokens.push(Token::Literal(c.to_string()));
    }
}

/// Where the set that begins here ends; a `]` in the first place belongs to it.
fn set_end(rest: &str) -> Option<usize> {
    let after_not = usize::from(rest.starts_with('!'));
    let from = after_not + usize::from(rest[after_not..].starts_with(']'));
    rest[from..].find(']').map(|at| from + at)
}

/// Reads what stands between the brackets.
fn parse_set(content: &str, syntax: Syntax) -> Result<Token, PatternError> {
    let (negated, content) = match content.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, content),
    };
    let chars: Vec<char> = content.chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        // A hyphen makes a range only between two characters.
        let (first, last) = match chars[at..] {
            [first, '-', last, ..] => (first, last),
            [single, ..] => (single, single),
            [] => unreachable!("the loop ends before"),
        };
        at += if matches!(chars[at..], [_, '-', _, ..]) {
            3
        } else {
            1
        };
        if first <= last {
            ranges.push((first, last));
        } else if syntax == Syntax::Shell {
            return Err(PatternError::BadRegex(format!(
                "bad character range {first}-{last}"
            )));
        }
    }
    Ok(Token::Set { negated, ranges })
}

/// The tokens as a regular expression.
fn compile(tokens: &[Token], syntax: Syntax) -> Result<Regex, PatternError> {
    let (any, star) = match syntax {
        Syntax::Fnmatch => (".", ".*"),
        Syntax::Shell => ("[^/]", "[^/]*"),
    };
    let mut out = String::from("(?s)^");
    for token in tokens {
        match token {
            Token::Literal(literal) => out.push_str(&regex::escape(literal)),
            Token::Any => out.push_str(any),
            Token::Star => out.push_str(star),
            Token::Directories => out.push_str("(?:[^/]*/)*"),
            Token::Set { negated, ranges } => push_set(&mut out, *negated, ranges),
        }
    }
    out.push('$');
    Regex::new(&out).map_err(|error| PatternError::BadRegex(error.to_string()))
}

fn push_set(out: &mut String, negated: bool, ranges: &[(char, char)]) {
    if ranges.is_empty() {
        // Only ranges that were empty: nothing is in it, or everything is.
        out.push_str(if negated {
            "."
        } else {
            "[^\\x{0}-\\x{10ffff}]"
        });
        return;
    }
    out.push_str(if negated { "[^" } else { "[" });
    for &(first, last) in ranges {
        use std::fmt::Write as _;
        let _ = write!(
            out,
            "\\x{{{:x}}}-\\x{{{:x}}}",
            u32::from(first),
            u32::from(last)
        );
    }
    out.push(']');
}

#[cfg(test)]
impl Glob {
    /// The same pattern, matched as a regular expression.
    pub(super) fn without_fast_way(&self) -> Self {
        let program = match &self.program {
            Program::Simple(tokens) => {
                Program::Regex(compile(tokens, self.syntax).expect("no sets, no errors"))
            }
            Program::Regex(regex) => Program::Regex(regex.clone()),
        };
        Self {
            syntax: self.syntax,
            program,
        }
    }
}
