//! Paths and words as systemd writes them in names of units and in unit files.
//!
//! Source: systemd.unit(5), "String Escaping for Inclusion in Unit Names"; systemd.syntax(7), "Quoting";
//! systemd.service(5), "Command Lines".

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Longest escaped path that becomes (a part of) the name of a file.
const ESCAPED_LEN_MAX: usize = 180;
/// Bytes of a digest that stand for the rest of a longer one.
const DIGEST_LEN: usize = 8;

/// The path of a directory as `systemd-escape --path` has it; a long one is cut and made unique again.
pub fn file_name(path: &Path) -> String {
    let escaped = escaped_path(path.as_os_str().as_bytes());
    if escaped.len() <= ESCAPED_LEN_MAX {
        return escaped;
    }
    // It is ASCII; a cut may fall into an escape, which nobody takes apart again.
    let mut name = escaped[..ESCAPED_LEN_MAX].to_owned();
    name.push_str("..");
    for byte in &Sha256::digest(escaped.as_bytes())[..DIGEST_LEN] {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn escaped_path(path: &[u8]) -> String {
    let parts: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        return "-".to_owned();
    }
    let mut out = String::new();
    for &byte in &parts.join(&b'/') {
        match byte {
            b'/' => out.push('-'),
            b'.' if out.is_empty() => out.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

/// A word of a command line or of `Environment=`, in double quotes.
///
/// `%` would begin a specifier. Bytes that are not text are written as escapes.
pub fn word(bytes: &[u8], dollar: Dollar) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '%' => out.push_str("%%"),
                '$' if dollar == Dollar::Doubled => out.push_str("$$"),
                c if c.is_control() => {
                    let mut buffer = [0; 4];
                    for byte in c.encode_utf8(&mut buffer).bytes() {
                        let _ = write!(out, "\\x{byte:02x}");
                    }
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// What a `$` has to be to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dollar {
    /// In command lines it begins a variable.
    Doubled,
    /// Elsewhere it means nothing.
    Plain,
}

/// Text of a setting such as `Description=`, in one line. A backslash at the end of that would join the next to it.
pub fn line(bytes: &[u8]) -> String {
    let shown = ironborg_types::text::display(bytes);
    shown.replace(char::is_control, "?").replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::ffi::OsStr;

    // What `systemd-escape --path` 252 made of the same paths.
    #[test]
    fn paths_are_escaped_as_systemd_escapes_them() {
        let check = |path: &str, expected: &str| assert_eq!(file_name(Path::new(path)), expected);
        check("/", "-");
        check("/home/me/Backups", "home-me-Backups");
        check("//home//me/", "home-me");
        check("/.hidden", "\\x2ehidden");
        check("/a/.b", "a-.b");
        check("/home/me/My Backups-1", "home-me-My\\x20Backups\\x2d1");
        check("/ä%\"'\\$", "\\xc3\\xa4\\x25\\x22\\x27\\x5c\\x24");
    }

    #[test]
    fn a_long_path_still_has_a_name_of_its_own() {
        let paths = ["a", "b"].map(|end| format!("/{}{end}", "long dir/".repeat(40)));
        let names: BTreeSet<String> = paths
            .iter()
            .map(|path| file_name(Path::new(path)))
            .collect();
        assert_eq!(names.len(), 2);
        assert!(names.iter().all(|name| name.len() < 200), "{names:?}");
    }

    #[test]
    fn words_mean_themselves() {
        let check = |bytes: &[u8], expected: &str| {
            assert_eq!(word(bytes, Dollar::Doubled), expected);
        };
        check(b"/a b", "\"/a b\"");
        check(b"100%", "\"100%%\"");
        check(b"\"$HOME\\", "\"\\\"$$HOME\\\\\"");
        check(b"a\n\xff\t", "\"a\\x0a\\xff\\x09\"");
        assert_eq!(word(b"$x", Dollar::Plain), "\"$x\"");
        let name = OsStr::from_bytes(b"100% \n\xff\\");
        assert_eq!(line(name.as_bytes()), "100%% ??\\");
    }
}
