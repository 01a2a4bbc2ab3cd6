//! Stored documents as JSON, the way `debug` shows them. Source: Borg 1.4, `prepare_dump_dict`.

use std::borrow::Cow;
use std::fmt::Write as _;

use ironborg_format::msgpack::Value;
use ironborg_types::hex;

use super::float::push_float;
use super::json;

/// Indentation of each level.
const INDENT: &str = "    ";
/// Marks bytes shown as hexadecimal digits, which are no text.
const HEX_MARK: char = '\x7f';

/// Appends a document; `margin` is put before each line but the first. Keys keep their order.
pub(crate) fn push(value: &Value<'_>, margin: &str, out: &mut String) {
    push_value(value, margin, 0, out);
}

fn push_value(value: &Value<'_>, margin: &str, depth: usize, out: &mut String) {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Uint(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Float(value) => push_float(*value, out),
        Value::Raw(bytes) => json::push_text(&shown(bytes), out),
        Value::Array(elements) => push_list(elements, margin, depth, out),
        // Python's msgpack makes a pair of type and bytes of it.
        Value::Ext(kind, bytes) => {
            let pair = [Value::Int(i64::from(*kind)), Value::raw(bytes.as_ref())];
            push_list(&pair, margin, depth, out);
        }
        Value::Map(pairs) if pairs.is_empty() => out.push_str("{}"),
        Value::Map(pairs) => {
            for (index, (key, value)) in pairs.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                push_line_end(margin, depth + 1, out);
                push_key(key, out);
                out.push_str(": ");
                push_value(value, margin, depth + 1, out);
            }
            push_line_end(margin, depth, out);
            out.push('}');
        }
    }
}

fn push_list(elements: &[Value<'_>], margin: &str, depth: usize, out: &mut String) {
    if elements.is_empty() {
        out.push_str("[]");
        return;
    }
    for (index, element) in elements.iter().enumerate() {
        out.push(if index == 0 { '[' } else { ',' });
        push_line_end(margin, depth + 1, out);
        push_value(element, margin, depth + 1, out);
    }
    push_line_end(margin, depth, out);
    out.push(']');
}

fn push_line_end(margin: &str, depth: usize, out: &mut String) {
    out.push('\n');
    out.push_str(margin);
    for _ in 0..depth {
        out.push_str(INDENT);
    }
}

/// Keys are texts in JSON, whatever they were.
fn push_key(key: &Value<'_>, out: &mut String) {
    if let Value::Raw(bytes) = key {
        json::push_bytes(bytes, out);
        return;
    }
    let mut text = String::new();
    push_value(key, "", 0, &mut text);
    json::push_text(&text, out);
}

/// Text as it is; bytes that are none, or that could be taken for what is shown of such, as digits.
fn shown(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(HEX_MARK) => Cow::Borrowed(text),
        _ => {
            let mut text = hex::encode(bytes);
            text.insert(0, HEX_MARK);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &Value<'_>, expected: &str) {
        let mut out = String::new();
        push(value, "", &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_marked_and_shown_in_hexadecimal() {
        check(&Value::raw(*b"text"), "\"text\"");
        check(&Value::raw(*b"\x01"), "\"\\u0001\"");
        check(&Value::raw(*b"\xff\x00"), "\"\\u007fff00\"");
        check(&Value::raw(*b"\x7fab"), "\"\\u007f7f6162\"");
        check(&Value::Ext(5, b"a"[..].into()), "[\n    5,\n    \"a\"\n]");
    }

    #[test]
    fn maps_and_lists_are_indented_behind_the_margin() {
        let value = Value::Map(vec![
            (
                Value::raw(*b"a"),
                Value::Array(vec![Value::Int(-1), Value::Uint(u64::MAX)]),
            ),
            (Value::Int(7), Value::Map(Vec::new())),
            (Value::raw(*b"\xff"), Value::Float(0.5)),
            (Value::Nil, Value::Array(Vec::new())),
        ]);
        let mut out = String::new();
        push(&value, "  ", &mut out);
        assert_eq!(
            out,
            "{\n      \"a\": [\n          -1,\n          18446744073709551615\n      ],\n      \
             \"7\": {},\n      \"\\udcff\": 0.5,\n      \"null\": []\n  }"
        );
    }
}
