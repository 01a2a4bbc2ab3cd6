//! Translates Python's regular expressions into a form that the engine reads alike.
//!
//! Sets and escapes are spelled out, flags other than `i` resolved, `$`, `\b` and `\Z` replaced by what
//! they stand for. What Python refuses is mostly refused here as well.
//! Source: Python 3.11, `re` documentation, "Regular Expression Syntax".

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use crate::error::PatternError;

/// For which texts a translation is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    /// Those that [`super::python_regex`] calls ordinary.
    Ordinary,
    /// Every one.
    All,
}

/// Flags in force. The engine, too, keeps track of `i`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) multi_line: bool,
    pub(super) dot_all: bool,
    pub(super) verbose: bool,
    pub(super) ascii: bool,
}

impl Flags {
    /// Whether all forms of the letter i are one.
    pub(super) fn joins_forms_of_i(self) -> bool {
        self.ignore_case && !self.ascii
    }
}

/// Large and small i, with and without dot: all the same to Python where case does not count, while to the
/// engine the Turkish ones are letters of their own.
pub(super) const FORMS_OF_I: [u32; 4] = [0x49, 0x69, 0x130, 0x131];

/// What stands before a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing, or a place such as `^`: cannot be repeated.
    Nothing,
    /// Something that can be repeated.
    Atom,
    /// Something that is repeated already.
    Repeated,
}

/// A parenthesis that is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    /// Flags to return to.
    pub(super) flags: Flags,
    /// What closes it in the translation.
    pub(super) close: &'static str,
    /// Number of the group, if it captures.
    pub(super) group: Option<usize>,
    /// Whether it is known to match places only, never a character.
    pub(super) is_empty: bool,
    /// Whether it is a condition that has no second branch yet; `None`: it is no condition.
    pub(super) takes_branch: Option<bool>,
}

/// What closes a look-around and the group put around it.
pub(super) const ASSERTION_CLOSE: &str = "))";
/// Something that never matches.
const NOTHING: &str = r"[^\x{0}-\x{10ffff}]";

/// Reads an expression character by character and writes its translation.
pub(super) struct Translator<'p> {
    pub(super) chars: Peekable<Chars<'p>>,
    pub(super) texts: Texts,
    pub(super) out: String,
    pub(super) flags: Flags,
    pub(super) before: Before,
    pub(super) open: Vec<Open>,
    /// Of each capturing group, whether it is complete, from number 1 on.
    pub(super) groups: Vec<bool>,
    pub(super) names: Vec<(String, usize)>,
    /// Highest group a condition asks for.
    pub(super) condition_max: usize,
}

pub(super) fn bad(message: impl Into<String>) -> PatternError {
    PatternError::BadRegex(message.into())
}

impl<'p> Translator<'p> {
    pub(super) fn new(pattern: &'p str, texts: Texts) -> Self {
        Self {
            chars: pattern.chars().peekable(),
            texts,
            out: String::with_capacity(pattern.len() + 16),
            flags: Flags::default(),
            before: Before::Nothing,
            open: Vec::new(),
            groups: Vec::new(),
            names: Vec::new(),
            condition_max: 0,
        }
    }

    /// The translation.
    pub(super) fn run(mut self) -> Result<String, PatternError> {
        let mut at_start = true;
        while let Some(c) = self.chars.next() {
            let was_start = std::mem::replace(&mut at_start, false);
            match c {
                '\\' => self.escape()?,
                '[' => self.set()?,
                '(' => at_start = self.group(was_start)? && was_start,
                ')' => self.close()?,
                '{' => self.brace()?,
                '*' | '+' | '?' => self.repeat(c.encode_utf8(&mut [0; 4]))?,
                '|' => self.branch()?,
                '.' if self.flags.dot_all => self.atom("(?s:.)"),
                '.' => self.atom(r"[^\n]"),
                '^' if self.flags.multi_line => self.place("(?m:^)"),
                '^' => self.place(r"\A"),
                '$' if self.flags.multi_line => self.place("(?m:$)"),
                '$' if self.texts == Texts::All => self.place(r"(?=\n?\z)"),
                '$' => self.place(r"\z"),
                '#' if self.flags.verbose => {
                    self.skip_comment('\n');
                }
                ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' if self.flags.verbose => {
                    at_start = was_start;
                }
                _ => self.literal(u32::from(c)),
            }
        }
        if !self.open.is_empty() {
            return Err(bad("missing ), unterminated subpattern"));
        }
        if self.condition_max > self.groups.len() {
            return Err(bad("invalid group reference"));
        }
        Ok(self.out)
    }

    /// Steps over a comment and what ends it; false if nothing does. What a backslash precedes does not.
    pub(super) fn skip_comment(&mut self, end: char) -> bool {
        while let Some(c) = self.chars.next() {
            if c == '\\' {
                self.chars.next();
            } else if c == end {
                return true;
            }
        }
        false
    }

    pub(super) fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.before = Before::Atom;
        self.mark_not_empty();
    }

    /// Something in the innermost group takes a character, or may.
    fn mark_not_empty(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.is_empty = false;
        }
    }

    pub(super) fn place(&mut self, text: &str) {
        self.out.push_str(text);
        self.before = Before::Nothing;
    }

    /// A repetition, with the sign behind it that makes it lazy or possessive.
    fn repeat(&mut self, text: &str) -> Result<(), PatternError> {
        match self.before {
            Before::Nothing => return Err(bad("nothing to repeat")),
            Before::Repeated => return Err(bad("multiple repeat")),
            Before::Atom => {}
        }
        self.out.push_str(text);
        if let Some(sign) = self.chars.next_if(|c| matches!(c, '?' | '+')) {
            self.out.push(sign);
        }
        self.before = Before::Repeated;
        Ok(())
    }

    fn branch(&mut self) -> Result<(), PatternError> {
        if let Some(takes_branch) = self.open.last_mut().and_then(|o| o.takes_branch.as_mut())
            && !std::mem::replace(takes_branch, false)
        {
            return Err(bad("conditional backref with more than two branches"));
        }
        self.place("|");
        Ok(())
    }

    fn close(&mut self) -> Result<(), PatternError> {
        let open = self
            .open
            .pop()
            .ok_or_else(|| bad("unbalanced parenthesis"))?;
        self.flags = open.flags;
        if let Some(group) = open.group {
            self.groups[group - 1] = true;
        }
        let is_assertion = open.close == ASSERTION_CLOSE;
        if !is_assertion && !open.is_empty {
            self.mark_not_empty();
        }
        // The engine repeats neither assertions nor groups of nothing else.
        // Comments may stand between them and the repetition.
        let is_repeated = self
            .chars
            .peek()
            .is_some_and(|c| "*+?{(# \t\n".contains(*c));
        if is_repeated && (is_assertion || open.is_empty) {
            let inner = if is_assertion { ")" } else { "" };
            let _ = write!(self.out, "{inner}|{NOTHING})"); // Writing to a string cannot fail.
        } else {
            self.out.push_str(open.close);
        }
        self.before = Before::Atom;
        Ok(())
    }

    /// One character that stands for itself. Lone surrogates in escapes mean undecodable bytes, which
    /// paths have as private-use characters.
    fn literal(&mut self, code: u32) {
        self.before = Before::Atom;
        self.mark_not_empty();
        match char::from_u32(code) {
            Some(_) if self.flags.joins_forms_of_i() && FORMS_OF_I.contains(&code) => {
                self.out.push_str(r"[i\x{130}\x{131}]");
            }
            Some(c) if c.is_ascii_alphanumeric() || !c.is_ascii() => self.out.push(c),
            None if !(0xdc80..=0xdcff).contains(&code) => self.out.push_str(NOTHING),
            _ => push_code(&mut self.out, code),
        }
    }

    fn hex(&mut self, digits: usize) -> Result<u32, PatternError> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.chars.next().and_then(|c| c.to_digit(16));
            code = code << 4 | digit.ok_or_else(|| bad("incomplete escape"))?;
        }
        if code > 0x10_ffff {
            return Err(bad("bad escape"));
        }
        Ok(code)
    }

    /// An escape that means one character, inside and outside of sets; None: another kind.
    pub(super) fn character_escape(&mut self, c: char) -> Result<Option<u32>, PatternError> {
        Ok(Some(match c {
            'a' => 7,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'x' => self.hex(2)?,
            'u' => self.hex(4)?,
            'U' => self.hex(8)?,
            '0' => self.octal(0, 2)?,
            _ if c.is_ascii_alphanumeric() => return Ok(None),
            _ => u32::from(c),
        }))
    }

    /// Up to `count` further octal digits.
    pub(super) fn octal(&mut self, mut code: u32, count: usize) -> Result<u32, PatternError> {
        for _ in 0..count {
            let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(8)) else {
                break;
            };
            self.chars.next();
            code = code << 3 | digit;
        }
        if code > 0o377 {
            return Err(bad("octal escape value outside of range 0-0o377"));
        }
        Ok(code)
    }

    /// The set a class escape (`\d`, `\S` ...) stands for, without brackets; negated ones have their own.
    pub(super) fn class(&self, c: char) -> Option<&'static str> {
        Some(match (c, self.flags.ascii) {
            ('d', false) => r"\p{Nd}",
            ('D', false) => r"\P{Nd}",
            ('s', false) => r"\s\x{1c}-\x{1f}",
            ('S', false) => r"[^\s\x{1c}-\x{1f}]",
            ('w', false) => r"\p{L}\p{N}_",
            ('W', false) => r"[^\p{L}\p{N}_]",
            ('d', true) => "0-9",
            ('D', true) => "[^0-9]",
            ('s', true) => r"\x{9}-\x{d}\x{20}",
            ('S', true) => r"[^\x{9}-\x{d}\x{20}]",
            ('w', true) => "0-9A-Za-z_",
            ('W', true) => "[^0-9A-Za-z_]",
            _ => return None,
        })
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let c = self
            .chars
            .next()
            .ok_or_else(|| bad("bad escape (end of pattern)"))?;
        if let Some(class) = self.class(c) {
            self.atom(&format!("[{class}]"));
            return Ok(());
        }
        match c {
            'A' => self.place(r"\A"),
            'Z' => self.place(r"\z"),
            'b' | 'B' => self.boundary(c),
            '1'..='9' => self.reference_or_octal(c)?,
            _ => match self.character_escape(c)? {
                Some(code) => self.literal(code),
                None => return Err(bad(format!("bad escape \\{c}"))),
            },
        }
        Ok(())
    }

    /// `\b` is where one side is a word and the other is not; `\B` all other places of a text that has any.
    fn boundary(&mut self, c: char) {
        if self.texts == Texts::Ordinary {
            self.place(if c == 'b' { r"\b" } else { r"\B" });
            return;
        }
        let word = self.class('w').expect("w is a class");
        self.place(&if c == 'b' {
            format!("(?:(?<=[{word}])(?![{word}])|(?<![{word}])(?=[{word}]))")
        } else {
            format!(r"(?!\A\z)(?:(?<=[{word}])(?=[{word}])|(?<![{word}])(?![{word}]))")
        });
    }

    /// `\1` to `\99` refer to a group; three octal digits are a character.
    fn reference_or_octal(&mut self, first: char) -> Result<(), PatternError> {
        let mut digits = String::from(first);
        if let Some(&second) = self.chars.peek()
            && second.is_ascii_digit()
        {
            self.chars.next();
            digits.push(second);
            if let Ok(code) = u32::from_str_radix(&digits, 8)
                && self.chars.peek().is_some_and(|c| c.is_digit(8))
            {
                let code = self.octal(code, 1)?;
                self.literal(code);
                return Ok(());
            }
        }
        let group = digits.parse().expect("one or two digits");
        self.refer(group)
    }

    pub(super) fn refer(&mut self, group: usize) -> Result<(), PatternError> {
        match self.groups.get(group.wrapping_sub(1)) {
            None => Err(bad("invalid group reference")),
            Some(false) => Err(bad("cannot refer to an open group")),
            Some(true) => {
                // In a group of its own, or a digit behind it would become part of the number.
                self.atom(&format!(r"(?:\{group})"));
                Ok(())
            }
        }
    }

    /// A brace is a repetition only if it looks like one.
    fn brace(&mut self) -> Result<(), PatternError> {
        let mut ahead = self.chars.clone();
        let mut number = || {
            let mut digits = String::new();
            while let Some(c) = ahead.next_if(char::is_ascii_digit) {
                digits.push(c);
            }
            let comma = ahead.next_if_eq(&',').is_some();
            (digits, comma)
        };
        let (low, comma) = number();
        let high = if comma {
            number()
        } else {
            (String::new(), false)
        };
        let closed = !high.1 && ahead.next() == Some('}');
        if !closed || (low.is_empty() && !comma) {
            self.literal(u32::from('{'));
            return Ok(());
        }
        self.chars = ahead;
        let low = if low.is_empty() { "0" } else { &low };
        let repetition = match (comma, high.0) {
            (false, _) => format!("{{{low}}}"),
            (true, high) => format!("{{{low},{high}}}"),
        };
        self.repeat(&repetition)
    }
}

pub(super) fn push_code(out: &mut String, code: u32) {
    // Undecodable bytes: lone surrogates in Python, private-use characters here.
    let code = if (0xdc80..=0xdcff).contains(&code) {
        code + 0x10_0000
    } else {
        code
    };
    let _ = match char::from_u32(code) {
        Some(_) => write!(out, "\\x{{{code:x}}}"),
        None => write!(out, "\\x{{ffff}}"),
    };
}
