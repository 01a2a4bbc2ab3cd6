//! Character sets of Python's regular expressions.

use super::python_syntax::{FORMS_OF_I, Translator, bad, push_code};
use crate::error::PatternError;

impl Translator<'_> {
    /// `[...]`
    pub(super) fn set(&mut self) -> Result<(), PatternError> {
        self.atom("[");
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut has_i = false;
        let mut first = true;
        loop {
            let c = self.set_char()?;
            if c == ']' && !std::mem::replace(&mut first, false) {
                break;
            }
            first = false;
            let Some(start) = self.set_member(c)? else {
                continue;
            };
            push_code(&mut self.out, start);
            has_i |= FORMS_OF_I.contains(&start);
            if self.chars.next_if_eq(&'-').is_none() {
                continue;
            }
            let c = self.set_char()?;
            if c == ']' {
                self.out.push_str(r"\-");
                break;
            }
            match self.set_member(c)? {
                Some(end) if end >= start => {
                    self.out.push('-');
                    push_code(&mut self.out, end);
                    has_i |= FORMS_OF_I.iter().any(|i| (start..=end).contains(i));
                }
                _ => return Err(bad("bad character range")),
            }
        }
        if has_i && self.flags.joins_forms_of_i() {
            for form in FORMS_OF_I {
                push_code(&mut self.out, form);
            }
        }
        self.out.push(']');
        Ok(())
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
}
