//! The Python expressions that arguments of handlers are written as: literals and names.

use std::iter::Peekable;
use std::str::Chars;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    /// A dotted name, such as `sys.stderr`.
    Name(String),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
}

/// How deep values may be nested.
const DEPTH_MAX: usize = 8;

/// Reads an expression; `None` for what is no literal.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader {
        chars: text.chars().peekable(),
    };
    let value = reader.value(0)?;
    reader.blanks();
    reader.chars.next().is_none().then_some(value)
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.chars.next_if(|c| c.is_whitespace()).is_some() {}
    }

    /// Takes one of these characters.
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        self.blanks();
        self.chars.next_if(|c| wanted.contains(c))
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        if let Some(quote) = self.take(&['\'', '"']) {
            return self.string(quote);
        }
        if let Some(open) = self.take(&['(', '[']) {
            return self.sequence(if open == '(' { ')' } else { ']' }, depth);
        }
        if self.take(&['{']).is_some() {
            return self.dict(depth);
        }
        let mut word = String::new();
        while let Some(c) = self
            .chars
            .next_if(|c| c.is_alphanumeric() || "_.-".contains(*c))
        {
            word.push(c);
        }
        match word.chars().next()? {
            '0'..='9' | '-' => word.parse().ok().map(Value::Number),
            _ => Some(Value::Name(word)),
        }
    }

    fn string(&mut self, quote: char) -> Option<Value> {
        let mut out = String::new();
        loop {
            match self.chars.next()? {
                c if c == quote => return Some(Value::Text(out)),
                '\\' => match self.chars.next()? {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    c @ ('\\' | '\'' | '"') => out.push(c),
                    other => out.extend(['\\', other]),
                },
                c => out.push(c),
            }
        }
    }

    fn sequence(&mut self, close: char, depth: usize) -> Option<Value> {
        let mut values = Vec::new();
        let mut comma = false;
        loop {
            if self.take(&[close]).is_some() {
                break;
            }
            if !values.is_empty() && !comma {
                return None;
            }
            values.push(self.value(depth + 1)?);
            comma = self.take(&[',']).is_some();
        }
        // Parentheses around one value without a comma are no tuple.
        if close == ')' && values.len() == 1 && !comma {
            return values.pop();
        }
        Some(Value::Tuple(values))
    }

    fn dict(&mut self, depth: usize) -> Option<Value> {
        let mut entries = Vec::new();
        let mut comma = true;
        while self.take(&['}']).is_none() {
            if !comma {
                return None;
            }
            let key = self.value(depth + 1)?;
            self.take(&[':'])?;
            entries.push((key, self.value(depth + 1)?));
            comma = self.take(&[',']).is_some();
        }
        Some(Value::Dict(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_tuples_of_literals_and_names() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(parse("()"), Some(Value::Tuple(Vec::new())));
        assert_eq!(
            parse("(sys.stderr,)"),
            Some(Value::Tuple(vec![Value::Name("sys.stderr".into())]))
        );
        assert_eq!(
            parse(" ('a\\'b', \"w\", -5) "),
            Some(Value::Tuple(vec![
                text("a'b"),
                text("w"),
                Value::Number(-5)
            ]))
        );
        assert_eq!(
            parse("(('localhost', 514), handlers.SysLogHandler.LOG_USER)"),
            Some(Value::Tuple(vec![
                Value::Tuple(vec![text("localhost"), Value::Number(514)]),
                Value::Name("handlers.SysLogHandler.LOG_USER".into())
            ]))
        );
        assert_eq!(
            parse("{'mode': 'w',}"),
            Some(Value::Dict(vec![(text("mode"), text("w"))]))
        );
        for bad in [
            "",
            "(",
            "('a' 'b')",
            "open('x')",
            "('a'",
            "{'a'}",
            "1x",
            &"(".repeat(99),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
