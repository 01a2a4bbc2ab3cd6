//! Regular expressions as Python reads them, for an engine with a slightly different syntax.
//!
//! The expression is translated character by character into a form both read alike: sets and escapes
//! spelled out, flags other than `i` resolved, `$` and `\Z` as what they stand for. What Python refuses
//! is mostly refused here as well. Source: Python 3.11, `re` documentation, "Regular Expression Syntax".

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::OnceLock;

use fancy_regex::Regex;

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

/// For which texts a translation is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    Ordinary,
    All,
}

/// Flags in force, but for `i`, which the engine keeps track of.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    multi_line: bool,
    dot_all: bool,
    verbose: bool,
    ascii: bool,
}

/// What stands before a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing, or a place such as `^`: cannot be repeated.
    Nothing,
    /// Something that can be repeated.
    Atom,
    /// Something that is repeated already.
    Repeated,
}

/// A parenthesis that is open.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Flags to return to.
    flags: Flags,
    /// What closes it in the translation.
    close: &'static str,
    /// Number of the group, if it captures.
    group: Option<usize>,
}

/// What closes a look-around and the group put around it.
const ASSERTION_CLOSE: &str = "))";
/// Something that never matches.
const NOTHING: &str = r"[^\x{0}-\x{10ffff}]";

struct Translator<'p> {
    chars: Peekable<Chars<'p>>,
    texts: Texts,
    out: String,
    flags: Flags,
    before: Before,
    open: Vec<Open>,
    /// Of each capturing group, whether it is complete, from number 1 on.
    groups: Vec<bool>,
    names: Vec<(String, usize)>,
    /// Highest group a condition asks for.
    condition_max: usize,
}

fn bad(message: impl Into<String>) -> PatternError {
    PatternError::BadRegex(message.into())
}

impl<'p> Translator<'p> {
    fn new(pattern: &'p str, texts: Texts) -> Self {
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

    fn run(mut self) -> Result<String, PatternError> {
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
                '|' => self.place("|"),
                '.' if self.flags.dot_all => self.atom("(?s:.)"),
                '.' => self.atom(r"[^\n]"),
                '^' if self.flags.multi_line => self.place("(?m:^)"),
                '^' => self.place(r"\A"),
                '$' if self.flags.multi_line => self.place("(?m:$)"),
                '$' if self.texts == Texts::All => self.place(r"(?=\n?\z)"),
                '$' => self.place(r"\z"),
                '#' if self.flags.verbose => while self.chars.next().is_some_and(|c| c != '\n') {},
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

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.before = Before::Atom;
    }

    fn place(&mut self, text: &str) {
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

    fn close(&mut self) -> Result<(), PatternError> {
        let open = self
            .open
            .pop()
            .ok_or_else(|| bad("unbalanced parenthesis"))?;
        self.flags = open.flags;
        if let Some(group) = open.group {
            self.groups[group - 1] = true;
        }
        // The engine repeats neither assertions nor groups of nothing else.
        // Comments may stand between them and the repetition.
        let is_repeated = self
            .chars
            .peek()
            .is_some_and(|c| "*+?{(# \t\n".contains(*c));
        if open.close == ASSERTION_CLOSE && is_repeated {
            self.atom(&format!(")|{NOTHING})"));
        } else {
            self.atom(open.close);
        }
        Ok(())
    }

    /// One character that stands for itself. Lone surrogates in escapes mean undecodable bytes, which
    /// paths have as private-use characters.
    fn literal(&mut self, code: u32) {
        self.before = Before::Atom;
        match char::from_u32(code) {
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
    fn character_escape(&mut self, c: char) -> Result<Option<u32>, PatternError> {
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
    fn octal(&mut self, mut code: u32, count: usize) -> Result<u32, PatternError> {
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
    fn class(&self, c: char) -> Option<&'static str> {
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

    fn refer(&mut self, group: usize) -> Result<(), PatternError> {
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

    /// `[...]`
    fn set(&mut self) -> Result<(), PatternError> {
        self.atom("[");
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.set_char()?;
            if c == ']' && !std::mem::replace(&mut first, false) {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            let Some(start) = self.set_member(c)? else {
                continue;
            };
            if self.chars.next_if_eq(&'-').is_none() {
                push_code(&mut self.out, start);
                continue;
            }
            let c = self.set_char()?;
            if c == ']' {
                push_code(&mut self.out, start);
                self.out.push_str(r"\-]");
                return Ok(());
            }
            match self.set_member(c)? {
                Some(end) if end >= start => {
                    push_code(&mut self.out, start);
                    self.out.push('-');
                    push_code(&mut self.out, end);
                }
                _ => return Err(bad("bad character range")),
            }
        }
    }

    fn set_char(&mut self) -> Result<char, PatternError> {
        self.chars
            .next()
            .ok_or_else(|| bad("unterminated character set"))
    }

    /// The character a member of a set is; None if it is a class, which is written at once.
    fn set_member(&mut self, c: char) -> Result<Option<u32>, PatternError> {
        if c != '\\' {
            return Ok(Some(u32::from(c)));
        }
        let c = self.set_char()?;
        if let Some(class) = self.class(c) {
            self.out.push_str(class);
            return Ok(None);
        }
        match c {
            'b' => return Ok(Some(8)),
            '1'..='7' => {
                let code = u32::from(c) - u32::from('0');
                return self.octal(code, 2).map(Some);
            }
            _ => {}
        }
        self.character_escape(c)?
            .map(Some)
            .ok_or_else(|| bad(format!("bad escape \\{c}")))
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

    /// What follows an opening parenthesis. Returns whether it was no group at all but a comment or
    /// flags for the whole expression.
    fn group(&mut self, at_start: bool) -> Result<bool, PatternError> {
        if self.chars.next_if_eq(&'?').is_none() {
            self.enter_capturing("(");
            return Ok(false);
        }
        let c = self
            .chars
            .next()
            .ok_or_else(|| bad("unexpected end of pattern"))?;
        match c {
            ':' | '>' => self.enter(&format!("(?{c}"), ")"),
            '=' | '!' => self.enter(&format!("(?:(?{c}"), ASSERTION_CLOSE),
            '#' => {
                if !self.chars.by_ref().any(|c| c == ')') {
                    return Err(bad("missing ), unterminated comment"));
                }
                return Ok(true);
            }
            '<' => match self.chars.next() {
                Some(c @ ('=' | '!')) => self.enter(&format!("(?:(?<{c}"), ASSERTION_CLOSE),
                c => return Err(bad(format!("unknown extension ?<{}", c.unwrap_or(' ')))),
            },
            'P' => self.named()?,
            '(' => self.conditional()?,
            _ => return self.group_flags(c, at_start),
        }
        Ok(false)
    }

    fn enter(&mut self, opening: &str, close: &'static str) {
        self.open.push(Open {
            flags: self.flags,
            close,
            group: None,
        });
        self.place(opening);
    }

    fn enter_capturing(&mut self, opening: &str) {
        self.groups.push(false);
        self.open.push(Open {
            flags: self.flags,
            close: ")",
            group: Some(self.groups.len()),
        });
        self.place(opening);
    }

    /// `(?P<name>` or `(?P=name)`; names become numbers.
    fn named(&mut self) -> Result<(), PatternError> {
        match self.chars.next() {
            Some('<') => {
                let name = self.until('>')?;
                if self.number_of(&name).is_some() {
                    return Err(bad(format!("redefinition of group name '{name}'")));
                }
                self.enter_capturing("(");
                self.names.push((name, self.groups.len()));
                Ok(())
            }
            Some('=') => {
                let name = self.until(')')?;
                let group = self.number_of(&name);
                self.refer(group.ok_or_else(|| bad(format!("unknown group name '{name}'")))?)
            }
            c => Err(bad(format!("unknown extension ?P{}", c.unwrap_or(' ')))),
        }
    }

    fn number_of(&self, name: &str) -> Option<usize> {
        let (_, number) = self.names.iter().find(|(known, _)| known == name)?;
        Some(*number)
    }

    /// `(?(1)yes|no)` or `(?(name)yes|no)`.
    fn conditional(&mut self) -> Result<(), PatternError> {
        let name = self.until(')')?;
        let group = match name.parse::<usize>() {
            Ok(number) => number,
            Err(_) => self
                .number_of(&name)
                .ok_or_else(|| bad(format!("unknown group name '{name}'")))?,
        };
        if group == 0 {
            return Err(bad("bad group number"));
        }
        self.condition_max = self.condition_max.max(group);
        self.enter(&format!("(?({group})"), ")");
        Ok(())
    }

    /// The name of a group, up to where it ends.
    fn until(&mut self, end: char) -> Result<String, PatternError> {
        let mut name = String::new();
        loop {
            match self.chars.next() {
                Some(c) if c == end && !name.is_empty() => return Ok(name),
                Some(c) if c.is_alphanumeric() || c == '_' => name.push(c),
                _ => return Err(bad("bad character in group name")),
            }
        }
    }

    /// `(?ims)` for the whole expression, or `(?i-m:` for a part.
    fn group_flags(&mut self, first: char, at_start: bool) -> Result<bool, PatternError> {
        let mut flags = self.flags;
        let (mut on, mut case) = (true, None);
        let mut c = first;
        loop {
            match c {
                'i' => case = Some(on),
                'm' => flags.multi_line = on,
                's' => flags.dot_all = on,
                'x' => flags.verbose = on,
                'a' if on => flags.ascii = true,
                'u' if on => flags.ascii = false,
                '-' if on => on = false,
                ':' => {
                    let opening = match case {
                        Some(true) => "(?i:",
                        Some(false) => "(?-i:",
                        None => "(?:",
                    };
                    self.enter(opening, ")");
                    self.flags = flags;
                    return Ok(false);
                }
                ')' if on => {
                    if !at_start {
                        return Err(bad("global flags not at the start of the expression"));
                    }
                    self.flags = flags;
                    self.out.push_str(if case.is_some() { "(?i)" } else { "" });
                    return Ok(true);
                }
                _ => return Err(bad(format!("unknown extension ?{c}"))),
            }
            c = self.chars.next().ok_or_else(|| bad("missing -, : or )"))?;
        }
    }
}

fn push_code(out: &mut String, code: u32) {
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
