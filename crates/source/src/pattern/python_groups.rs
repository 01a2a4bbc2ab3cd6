//! Groups, look-arounds, conditions and flags of Python's regular expressions.

use super::python_syntax::{ASSERTION_CLOSE, Open, Translator, bad};
use crate::error::PatternError;

impl Translator<'_> {
    /// What follows an opening parenthesis. Returns whether it was no group at all but a comment or
    /// flags for the whole expression.
    pub(super) fn group(&mut self, at_start: bool) -> Result<bool, PatternError> {
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
                if !self.skip_comment(')') {
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
        let is_condition = opening.starts_with("(?(");
        self.open.push(Open {
            flags: self.flags,
            close,
            group: None,
            // A condition cannot be given one more branch.
            is_empty: !is_condition,
            takes_branch: is_condition.then_some(true),
        });
        self.place(opening);
    }

    fn enter_capturing(&mut self, opening: &str) {
        self.groups.push(false);
        self.open.push(Open {
            flags: self.flags,
            close: ")",
            group: Some(self.groups.len()),
            is_empty: true,
            takes_branch: None,
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
                'i' => {
                    case = Some(on);
                    flags.ignore_case = on;
                }
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
