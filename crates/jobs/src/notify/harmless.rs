//! What comes from elsewhere (names, errors, logs) made fit for where it is going: terminals, headers, markup, addresses.

use std::fmt::Write as _;

/// A text of several lines without anything that a terminal would obey or that would show other than it is.
pub fn text(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            '\r' => '\n',
            letter if is_invisible(letter) => '?',
            letter => letter,
        })
        .collect()
}

/// The same in one line of at most `len_max` characters.
pub fn line(line: &str, len_max: usize) -> String {
    let joined = text(line).replace(['\n', '\t'], " ");
    let joined = joined.trim();
    if joined.chars().count() <= len_max {
        return joined.to_owned();
    }
    let mut cut: String = joined.chars().take(len_max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// The last lines that make up at most `len_max` bytes; of a longer line its end.
pub fn tail(text: &str, len_max: usize) -> &str {
    let mut start = text.len().saturating_sub(len_max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let end = &text[start..];
    match end.find('\n') {
        Some(line) if start > 0 && line + 1 < end.len() => &end[line + 1..],
        _ => end,
    }
}

/// The first bytes, at most `len_max`.
pub fn head(text: &str, len_max: usize) -> &str {
    let mut end = text.len().min(len_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// As the content of an element, for services that read markup.
pub fn markup(text: &str) -> String {
    let escaped = text.replace('&', "&amp;");
    escaped.replace('<', "&lt;").replace('>', "&gt;")
}

/// As a part of an address: everything but letters, digits and `-._~` is percent-encoded.
pub fn in_url(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            byte => write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    encoded
}

/// As the inside of a text in JSON.
pub fn in_json(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("any text is a text in JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

/// Control characters, and those that turn the direction of writing or are not seen at all.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(letter, '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_for_a_terminal_to_obey() {
        assert_eq!(
            text("\x1b[2Jhello\u{9b}\u{7f}\r\nyou\x07"),
            "?[2Jhello??\nyou?"
        );
        assert_eq!(text("abc\u{202e}cba"), "abc?cba");
        assert_eq!(text("tab\tÄ日本\n"), "tab\tÄ日本\n");
    }

    #[test]
    fn a_line_is_a_line() {
        assert_eq!(line("a\r\nBcc: x@y\n", 80), "a Bcc: x@y");
        assert_eq!(line("äöüß", 3), "äö…");
        assert_eq!(line("äöü", 3), "äöü");
    }

    #[test]
    fn the_end_of_a_log_begins_with_a_line() {
        assert_eq!(tail("one\ntwo\nthree\n", 100), "one\ntwo\nthree\n");
        assert_eq!(tail("one\ntwo\nthree\n", 8), "three\n");
        assert_eq!(tail("äääää", 3), "ä");
        assert_eq!(tail("", 3), "");
        assert_eq!(head("äää", 3), "ä");
    }

    #[test]
    fn what_is_quoted_cannot_end_the_quoting() {
        assert_eq!(markup("<b>&amp;"), "&lt;b&gt;&amp;amp;");
        assert_eq!(in_url("a b/ä?#"), "a%20b%2F%C3%A4%3F%23");
        assert_eq!(in_json("say \"x\"\n\\"), "say \\\"x\\\"\\n\\\\");
    }
}
