//! JSON as Python's `json` module writes it: ASCII only, sorted keys in documents, its spacing.

use std::fmt::Write as _;

use super::float::push_float;

/// A JSON value whose objects keep the order they were built in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes that should be text: undecodable ones become lone surrogates `\udcXX`.
    Bytes(Vec<u8>),
    /// `[...]`
    List(Vec<Json>),
    /// `{...}`
    Object(Vec<(&'static str, Json)>),
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Int(i128::from(number))
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Int(i128::from(number))
    }
}

/// How documents are laid out; `BORG_JSON_INDENT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonIndent {
    /// Everything on one line.
    OneLine,
    /// Each level indented by this text.
    Text(String),
}

impl JsonIndent {
    /// What the variable says; 4 blanks when it is not set.
    pub(crate) fn from_variable(value: Option<&str>) -> Self {
        let Some(value) = value else {
            return Self::Text(" ".repeat(4));
        };
        if value.eq_ignore_ascii_case("none") {
            return Self::OneLine;
        }
        // Wider than any terminal is a mistake, not a wish; it would only eat memory.
        match value.trim().parse::<i64>() {
            Ok(number) => Self::Text(" ".repeat(usize::try_from(number).unwrap_or(0).min(1000))),
            Err(_) => Self::Text(value.to_owned()),
        }
    }
}

/// A whole document: keys sorted at every level, laid out as asked, without a final line feed.
pub(crate) fn document(value: &Json, indent: &JsonIndent) -> String {
    let mut out = String::new();
    push_document(value, indent, 0, &mut out);
    out
}

fn push_document(value: &Json, indent: &JsonIndent, depth: usize, out: &mut String) {
    let new_line = |depth: usize, out: &mut String| {
        if let JsonIndent::Text(text) = indent {
            out.push('\n');
            for _ in 0..depth {
                out.push_str(text);
            }
        }
    };
    let separator = if *indent == JsonIndent::OneLine {
        ", "
    } else {
        ","
    };
    match value {
        Json::List(list) if !list.is_empty() => {
            out.push('[');
            for (index, element) in list.iter().enumerate() {
                if index > 0 {
                    out.push_str(separator);
                }
                new_line(depth + 1, out);
                push_document(element, indent, depth + 1, out);
            }
            new_line(depth, out);
            out.push(']');
        }
        Json::Object(members) if !members.is_empty() => {
            let mut sorted: Vec<&(&str, Json)> = members.iter().collect();
            sorted.sort_by_key(|member| member.0);
            out.push('{');
            for (index, (key, element)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push_str(separator);
                }
                new_line(depth + 1, out);
                push_text(key, out);
                out.push_str(": ");
                push_document(element, indent, depth + 1, out);
            }
            new_line(depth, out);
            out.push('}');
        }
        other => push_line(other, out),
    }
}

/// One value on one line, keys in the order given.
pub(crate) fn line(value: &Json) -> String {
    let mut out = String::new();
    push_line(value, &mut out);
    out
}

fn push_line(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Json::Float(value) => push_float(*value, out),
        Json::Text(text) => push_text(text, out),
        Json::Bytes(bytes) => push_bytes(bytes, out),
        Json::List(list) => {
            out.push('[');
            for (index, element) in list.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_line(element, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (index, (key, element)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_text(key, out);
                out.push_str(": ");
                push_line(element, out);
            }
            out.push('}');
        }
    }
}

/// Appends a text in quotes, everything outside of printable ASCII escaped.
pub(crate) fn push_text(text: &str, out: &mut String) {
    out.push('"');
    push_escaped(text, out);
    out.push('"');
}

/// Appends bytes as a text in quotes; undecodable ones as lone surrogates.
pub(crate) fn push_bytes(bytes: &[u8], out: &mut String) {
    out.push('"');
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                push_escaped(text, out);
                break;
            }
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                push_escaped(std::str::from_utf8(good).expect("checked up to here"), out);
                let bad_len = error.error_len().unwrap_or(bad.len());
                for byte in &bad[..bad_len] {
                    let _ = write!(out, "\\udc{byte:02x}");
                }
                rest = &bad[bad_len..];
            }
        }
    }
    out.push('"');
}

fn push_escaped(text: &str, out: &mut String) {
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        if matches!(character, ' '..='~') && character != '"' && character != '\\' {
            continue;
        }
        out.push_str(&text[plain_from..at]);
        plain_from = at + character.len_utf8();
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push_str(&text[plain_from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Json {
        Json::Object(vec![
            (
                "b",
                Json::List(vec![Json::Int(1), Json::Float(0.5), Json::Null]),
            ),
            (
                "a",
                Json::Object(vec![
                    ("z", Json::Bool(true)),
                    ("c", "caf\u{e9} \u{1f600}\"\n".into()),
                ]),
            ),
            ("e", Json::List(vec![])),
            ("f", Json::Object(vec![])),
        ])
    }

    #[test]
    fn documents_are_sorted_indented_and_ascii() {
        let text = document(&sample(), &JsonIndent::from_variable(Some("2")));
        assert_eq!(
            text,
            "{\n  \"a\": {\n    \"c\": \"caf\\u00e9 \\ud83d\\ude00\\\"\\n\",\n    \"z\": true\n  },\n  \
             \"b\": [\n    1,\n    0.5,\n    null\n  ],\n  \"e\": [],\n  \"f\": {}\n}"
        );
    }

    #[test]
    fn the_indent_variable_is_understood_as_borg_does() {
        assert_eq!(
            JsonIndent::from_variable(None),
            JsonIndent::Text("    ".into())
        );
        assert_eq!(JsonIndent::from_variable(Some("NONE")), JsonIndent::OneLine);
        assert_eq!(
            JsonIndent::from_variable(Some("")),
            JsonIndent::Text(String::new())
        );
        assert_eq!(
            JsonIndent::from_variable(Some("2")),
            JsonIndent::Text("  ".into())
        );
        assert_eq!(
            JsonIndent::from_variable(Some("--")),
            JsonIndent::Text("--".into())
        );
        let one_line = document(&sample(), &JsonIndent::OneLine);
        assert!(one_line.starts_with("{\"a\": {\"c\": "), "{one_line}");
        assert!(
            one_line.ends_with("\"b\": [1, 0.5, null], \"e\": [], \"f\": {}}"),
            "{one_line}"
        );
    }

    #[test]
    fn undecodable_bytes_become_lone_surrogates() {
        assert_eq!(line(&Json::Bytes(b"bad-\xff".to_vec())), "\"bad-\\udcff\"");
    }
}
