//! Values as TOML writes them.

use std::fmt::Write as _;

/// A text in quotes.
pub fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of texts: on a line if it is short.
pub fn list(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| text(value)).collect();
    let line = format!("[{}]", quoted.join(", "));
    if line.chars().count() <= LINE_LEN_MAX {
        return line;
    }
    let mut out = String::from("[\n");
    for value in quoted {
        let _ = writeln!(out, "  {value},");
    }
    out.push(']');
    out
}

/// Longest list that stays on one line.
const LINE_LEN_MAX: usize = 80;

/// A key, in quotes if it needs them.
pub fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        text(name)
    }
}

/// A comment; lines of the text are lines of it.
pub fn comment(value: &str) -> String {
    let mut out = String::new();
    for line in value.lines() {
        let shown: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let _ = writeln!(out, "# {}", shown.trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for value in ["", "plain", "a\"b\\c\n\t\r\u{7f}\u{1}é\u{85}", "'", "#{x}"] {
            let document = format!(
                "{} = {}\nlist = {}",
                key(value),
                text(value),
                list(&[value.to_owned()])
            );
            let parsed = toml::de::DeTable::parse(&document).unwrap();
            let entry = |name: &str| {
                parsed
                    .get_ref()
                    .iter()
                    .find(|(key, _)| key.get_ref() == name)
            };
            assert_eq!(entry(value).unwrap().1.get_ref().as_str(), Some(value));
            let items = entry("list").unwrap().1.get_ref().as_array().unwrap();
            assert_eq!(items[0].get_ref().as_str(), Some(value));
        }
    }
}
