//! A JSON object on one line, taken apart only as far as needed to change it and pass it on.

use std::fmt::Write;

use serde_json::value::RawValue;

/// The members of an object in their order, each value as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonLine<'a>(Vec<(String, &'a str)>);

impl<'a> JsonLine<'a> {
    /// Takes a line apart; `None` if it is not one JSON object.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        // Checked as a whole first: from there on it is enough to count quotes and brackets.
        let text = serde_json::from_str::<&RawValue>(line).ok()?.get();
        let mut rest = text.strip_prefix('{')?.trim_start();
        let mut members: Vec<(String, &str)> = Vec::new();
        while rest.starts_with('"') {
            let (key, after) = rest.split_at(string_len(rest));
            let after = after.trim_start().strip_prefix(':')?.trim_start();
            let (value, after) = after.split_at(value_len(after));
            let key = unescape(key);
            match members.iter_mut().find(|(known, _)| *known == key) {
                Some(member) => member.1 = value.trim_end(),
                None => members.push((key, value.trim_end())),
            }
            rest = after.strip_prefix(',').unwrap_or(after).trim_start();
        }
        Some(Self(members))
    }

    fn raw(&self, key: &str) -> Option<&'a str> {
        let member = self.0.iter().find(|(known, _)| known == key);
        member.map(|(_, value)| *value)
    }

    /// Whether there is such a member.
    pub(super) fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// A text; `None` if there is none or it is something else.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let value = self.raw(key)?;
        value.starts_with('"').then(|| unescape(value))
    }

    /// The object again, as Python writes it, with something put before the text of one member.
    pub(super) fn with_prefix(&self, key: &str, prefix: &str) -> String {
        let mut out = String::from("{");
        for (index, (known, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.push_str(&serde_json::Value::from(known.as_str()).to_string());
            out.push_str(": ");
            match value.strip_prefix('"') {
                Some(text) if known == key => {
                    out.push('"');
                    out.push_str(prefix);
                    out.push_str(text);
                }
                _ => out.push_str(value),
            }
        }
        out.push('}');
        ascii(&out)
    }
}

/// Length of the string a text begins with, quotes included.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the value a text begins with, up to the comma or bracket behind it.
fn value_len(text: &str) -> usize {
    let (mut at, mut depth) = (0_usize, 0_usize);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                at += string_len(&text[at..]);
                continue;
            }
            b',' | b'}' | b']' if depth == 0 => return at,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// The text of a string with its quotes; half of a surrogate pair becomes a question mark, as when printed.
fn unescape(string: &str) -> String {
    if let Ok(text) = serde_json::from_str(string) {
        return text;
    }
    let mut cleaned = String::with_capacity(string.len());
    let mut rest = string;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        cleaned.push_str(before);
        let pair = surrogate(escape);
        let len = match pair {
            Some(0xd800..0xdc00) if is_low(escape.get(6..)) => 12,
            Some(_) => {
                cleaned.push('?');
                rest = &escape[6..];
                continue;
            }
            None => 2,
        };
        cleaned.push_str(&escape[..len]);
        rest = &escape[len..];
    }
    cleaned.push_str(rest);
    serde_json::from_str(&cleaned).unwrap_or_default()
}

fn is_low(text: Option<&str>) -> bool {
    text.and_then(surrogate).is_some_and(|code| code >= 0xdc00)
}

/// The surrogate an escape stands for.
fn surrogate(escape: &str) -> Option<u32> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    (0xd800..0xe000).contains(&code).then_some(code)
}

/// The same JSON in ASCII. What is not ASCII can only be inside of strings.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            write!(out, "\\u{unit:04x}").expect("a String takes everything");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_keep_their_order_and_spelling() {
        let line =
            r#" {"a" : [1, {"b": "},{"}], "message": "x \"\ud83d\ude00é", "t": 1.50, "a": 2e5} "#;
        let parsed = JsonLine::parse(line).unwrap();
        assert_eq!(parsed.text("message").unwrap(), "x \"😀é");
        assert_eq!(parsed.text("t"), None);
        assert!(parsed.has("t") && !parsed.has("b"));
        let again = r#"{"a": 2e5, "message": "Remote: x \"\ud83d\ude00\u00e9", "t": 1.50}"#;
        assert_eq!(parsed.with_prefix("message", "Remote: "), again);
    }

    #[test]
    fn half_a_character_is_a_question_mark_but_passed_on() {
        let line = r#"{"m": "a\udcff\ud83d\\\ud83d\ude00"}"#;
        let parsed = JsonLine::parse(line).unwrap();
        assert_eq!(parsed.text("m").unwrap(), "a??\\😀");
        assert_eq!(parsed.with_prefix("x", ""), line);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in [
            "",
            "{",
            "{}x",
            "[]",
            "1",
            r#"{"a"}"#,
            r#"{"a": }"#,
            "{'a': 1}",
            r#"{"a": NaN}"#,
        ] {
            assert_eq!(JsonLine::parse(line), None, "{line}");
        }
        assert!(JsonLine::parse("{ }").unwrap().0.is_empty());
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(JsonLine::parse(&deep).unwrap().has("a"));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in r#"\{"[\\"ud8cf0é,:{}\[\]1 ]{0,30}"?: ?["\\ud8cf0é,:{}\[\]1 ]{0,40}\}?"#) {
            if let Some(parsed) = JsonLine::parse(&line) {
                let again = parsed.with_prefix("", "");
                prop_assert!(JsonLine::parse(&again).is_some(), "{again}");
            }
        }
    }
}
