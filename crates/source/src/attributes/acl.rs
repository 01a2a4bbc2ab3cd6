//! POSIX access control lists: the kernel's bytes and Borg's text.

use std::fmt::Write as _;

use crate::users::Names;

/// Version of the extended attribute's format. Source: `linux/posix_acl_xattr.h`.
const VERSION: u32 = 2;
const HEADER_LEN: usize = 4;
const ENTRY_LEN: usize = 8;
/// Number of entries that have no user or group.
const NO_ID: u32 = u32::MAX;

/// Whom an entry is about; the numbers are the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    UserObj = 0x01,
    User = 0x02,
    GroupObj = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Other = 0x20,
}

impl Tag {
    fn from_number(number: u16) -> Option<Self> {
        [
            Self::UserObj,
            Self::User,
            Self::GroupObj,
            Self::Group,
            Self::Mask,
            Self::Other,
        ]
        .into_iter()
        .find(|&tag| tag as u16 == number)
    }

    fn has_id(self) -> bool {
        matches!(self, Self::User | Self::Group)
    }
}

/// Ordered as libacl orders them: by tag, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    tag: Tag,
    id: u32,
    /// Read 4, write 2, execute 1.
    permissions: u16,
}

/// One access control list, in libacl's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessList(Vec<Entry>);

/// A text that is no access control list, or names a user who does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParseAclError;

impl AccessList {
    /// Reads the value of the extended attribute; None if it is malformed.
    pub(crate) fn from_binary(value: &[u8]) -> Option<Self> {
        let (header, rest) = value.split_first_chunk::<HEADER_LEN>()?;
        if u32::from_le_bytes(*header) != VERSION || rest.len() % ENTRY_LEN != 0 {
            return None;
        }
        let mut entries = rest
            .chunks_exact(ENTRY_LEN)
            .map(|entry| {
                let &[t0, t1, p0, p1, i0, i1, i2, i3] = entry else {
                    return None;
                };
                let tag = Tag::from_number(u16::from_le_bytes([t0, t1]))?;
                let id = u32::from_le_bytes([i0, i1, i2, i3]);
                Some(Entry {
                    tag,
                    id: if tag.has_id() { id } else { NO_ID },
                    permissions: u16::from_le_bytes([p0, p1]) & 7,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        entries.sort();
        Some(Self(entries))
    }

    /// The value of the extended attribute.
    pub(crate) fn to_binary(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + ENTRY_LEN * self.0.len());
        out.extend_from_slice(&VERSION.to_le_bytes());
        for entry in &self.0 {
            out.extend_from_slice(&(entry.tag as u16).to_le_bytes());
            out.extend_from_slice(&entry.permissions.to_le_bytes());
            out.extend_from_slice(&entry.id.to_le_bytes());
        }
        out
    }

    /// The three entries that say what a mode says.
    pub(crate) fn from_mode(mode: u32) -> Self {
        let entry = |tag, shift: u32| Entry {
            tag,
            id: NO_ID,
            permissions: u16::try_from(mode >> shift & 7).expect("three bits"),
        };
        Self(vec![
            entry(Tag::UserObj, 6),
            entry(Tag::GroupObj, 3),
            entry(Tag::Other, 0),
        ])
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Borg's text: `user:NAME:rwx:UID` and so on, a line for each entry, no newline at the end. With
    /// `numeric_ids` the number takes the place of the name.
    ///
    /// Source: Borg 1.4, `acl_append_numeric_ids`, `acl_numeric_ids`; libacl, `acl_to_text`.
    pub(crate) fn to_text(&self, names: &Names, numeric_ids: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mask = self.0.iter().find(|entry| entry.tag == Tag::Mask);
        let mask = mask.map_or(7, |entry| entry.permissions);
        for entry in &self.0 {
            if !out.is_empty() {
                out.push(b'\n');
            }
            out.extend_from_slice(match entry.tag {
                Tag::UserObj | Tag::User => b"user:",
                Tag::GroupObj | Tag::Group => b"group:",
                Tag::Mask => b"mask:",
                Tag::Other => b"other:",
            });
            let name = match entry.tag {
                Tag::User if !numeric_ids => names.user_name(entry.id),
                Tag::Group if !numeric_ids => names.group_name(entry.id),
                _ => None,
            };
            match name {
                Some(name) => quote(&name, &mut out),
                None if entry.tag.has_id() => {
                    out.extend_from_slice(entry.id.to_string().as_bytes());
                }
                None => {}
            }
            out.push(b':');
            for (bit, letter) in [(4, b'r'), (2, b'w'), (1, b'x')] {
                out.push(if entry.permissions & bit != 0 {
                    letter
                } else {
                    b'-'
                });
            }
            // Where the mask takes rights away libacl adds a tab and a comment; Borg removes the comment.
            let is_masked = matches!(entry.tag, Tag::User | Tag::GroupObj | Tag::Group);
            if is_masked && entry.permissions & !mask != 0 {
                out.push(b'\t');
            }
            if entry.tag.has_id() {
                out.push(b':');
                out.extend_from_slice(entry.id.to_string().as_bytes());
            }
        }
        out
    }

    /// Reads Borg's text. A user or group is who has the name here, else the number in the fourth
    /// field; with `numeric_ids` always the latter.
    ///
    /// Source: Borg 1.4, `acl_use_local_uid_gid`, `posix_acl_use_stored_uid_gid`; libacl, `acl_from_text`.
    pub(crate) fn from_text(
        text: &[u8],
        names: &Names,
        numeric_ids: bool,
    ) -> Result<Self, ParseAclError> {
        let mut entries = text
            .split(|&b| b == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
            .map(|line| parse_entry(line, names, numeric_ids))
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort();
        Ok(Self(entries))
    }
}

/// The value of the kernel's extended attribute for Borg's text of an access control list. Names count more than
/// numbers, unless `numeric_ids`.
///
/// `None` if it is no such text, names somebody who does not exist, or says only what the mode says: no file system
/// has an attribute for that.
pub fn access_acl_value(text: &[u8], names: &Names, numeric_ids: bool) -> Option<Vec<u8>> {
    let list = AccessList::from_text(text, names, numeric_ids).ok()?;
    let says_more = |entry: &Entry| matches!(entry.tag, Tag::User | Tag::Group | Tag::Mask);
    list.0.iter().any(says_more).then(|| list.to_binary())
}

/// As [`access_acl_value`], for what new files in a directory get.
pub fn default_acl_value(text: &[u8], names: &Names, numeric_ids: bool) -> Option<Vec<u8>> {
    let list = AccessList::from_text(text, names, numeric_ids).ok()?;
    (list.len() > 0).then(|| list.to_binary())
}

fn parse_entry(line: &[u8], names: &Names, numeric_ids: bool) -> Result<Entry, ParseAclError> {
    let mut fields = line.split(|&b| b == b':');
    let mut field = || fields.next().unwrap_or_default();
    let (who, name, permissions, number) = (field(), field(), field(), field());
    let tag = match (who, name.is_empty()) {
        (b"user" | b"u", true) => Tag::UserObj,
        (b"user" | b"u", false) => Tag::User,
        (b"group" | b"g", true) => Tag::GroupObj,
        (b"group" | b"g", false) => Tag::Group,
        (b"mask" | b"m", true) => Tag::Mask,
        (b"other" | b"o", true) => Tag::Other,
        _ => return Err(ParseAclError),
    };
    let look_up = |name: &[u8]| match tag {
        Tag::User => names.user_id(name),
        _ => names.group_id(name),
    };
    let id = if !tag.has_id() {
        NO_ID
    } else if numeric_ids && !number.is_empty() {
        id_or_name(number, look_up).ok_or(ParseAclError)?
    } else {
        look_up(&unquote(name))
            .or_else(|| id_or_name(number, look_up))
            .or_else(|| parse_number(name))
            .ok_or(ParseAclError)?
    };
    Ok(Entry {
        tag,
        id,
        permissions: parse_permissions(permissions.trim_ascii_end()).ok_or(ParseAclError)?,
    })
}

/// The fourth field is a number, except where stock Borg could not find one and wrote the name again.
fn id_or_name(field: &[u8], look_up: impl Fn(&[u8]) -> Option<u32>) -> Option<u32> {
    parse_number(field).or_else(|| look_up(&unquote(field)))
}

fn parse_number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn parse_permissions(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 3 {
        return None;
    }
    text.iter().try_fold(0, |permissions, letter| {
        let bit = match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => 0,
            _ => return None,
        };
        (bit == 0 || permissions & bit == 0).then_some(permissions | bit)
    })
}

/// libacl writes characters that would break its text as `\` and three octal digits.
fn quote(name: &[u8], out: &mut Vec<u8>) {
    for &byte in name {
        if b":, \t\n\r\\".contains(&byte) {
            let mut escape = String::new();
            let _ = write!(escape, "\\{byte:03o}");
            out.extend_from_slice(escape.as_bytes());
        } else {
            out.push(byte);
        }
    }
}

fn unquote(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'\\'
            && let [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ] = after
        {
            out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            out.push(first);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
            .collect()
    }

    #[test]
    fn texts_are_those_of_stock_borg() {
        let golden = include_str!("../../tests/golden/acls.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("JSON");
        let names = Names::new();
        let mut count = 0;
        for case in golden["cases"].as_array().expect("a list") {
            for (attribute, text, numeric) in [
                ("access_xattr", "acl_access", "numeric_access"),
                ("default_xattr", "acl_default", "numeric_default"),
            ] {
                let (Some(hex), Some(text), Some(numeric)) = (
                    case[attribute].as_str(),
                    case[text].as_str(),
                    case[numeric].as_str(),
                ) else {
                    continue;
                };
                let binary = unhex(hex);
                let list = AccessList::from_binary(&binary).expect("the kernel made it");
                let written =
                    |numeric| String::from_utf8(list.to_text(&names, numeric)).expect("ASCII");
                assert_eq!(written(false), text);
                assert_eq!(written(true), numeric);
                for (text, numeric_ids) in [(text, false), (text, true), (numeric, true)] {
                    let list = AccessList::from_text(text.as_bytes(), &names, numeric_ids);
                    assert_eq!(
                        list.expect("stock wrote it").to_binary(),
                        binary,
                        "{text:?}"
                    );
                }
                count += 1;
            }
        }
        assert!(count >= 8, "only {count} lists");
    }

    #[test]
    fn a_list_that_says_what_the_mode_says_is_no_attribute() {
        let names = Names::new();
        let mode = b"user::rw-\ngroup::r--\nother::---";
        let more = b"user::rw-\nuser:root:r--:0\ngroup::r--\nmask::r--\nother::---";
        assert_eq!(access_acl_value(mode, &names, false), None);
        let value = default_acl_value(mode, &names, false).expect("new files get it");
        assert_eq!(value, AccessList::from_mode(0o640).to_binary());
        let value = access_acl_value(more, &names, false).expect("it names root");
        let list = AccessList::from_binary(&value).expect("it is one");
        assert_eq!(list.len(), 5);
        for text in [&b""[..], b"user::rw-\nnonsense"] {
            assert_eq!(access_acl_value(text, &names, false), None);
            assert_eq!(default_acl_value(text, &names, false), None);
        }
    }

    #[track_caller]
    fn check(line: &str, numeric_ids: bool, expected: Option<u32>) {
        let text = format!("user::rw-\ngroup::r--\nmask::rw-\nother::---\n{line}");
        let list = AccessList::from_text(text.as_bytes(), &Names::new(), numeric_ids);
        assert_eq!(list.ok().map(|list| list.0[1].id), expected, "{line:?}");
    }

    #[test]
    fn users_are_found_by_name_and_else_by_number() {
        check("user:root:rw-:9999", false, Some(0));
        check("user:root:rw-:9999", true, Some(9999));
        check("user:no such user:rw-:9999", false, Some(9999));
        check("user:no\\040such:rw-:ro\\157t", false, Some(0));
        check("user:9999:r--:9998", false, Some(9998));
        check("user:9999:r--", true, Some(9999));
        check(" u:9999:xr:9999", true, Some(9999));
        check("user:no such user:rw-:no such user", false, None);
        check("user:root:rwxr:9", false, None);
        check("user:root:rr:9", false, None);
        check("user:root::9", false, None);
        check("bogus:x:rw-:1", false, None);
        check("x", false, None);
    }

    #[test]
    fn names_that_would_break_the_text_are_quoted() {
        let mut out = Vec::new();
        quote(b"a b:c\\d", &mut out);
        assert_eq!(out, b"a\\040b\\072c\\134d");
        assert_eq!(unquote(&out), b"a b:c\\d");
    }

    proptest! {
        #[test]
        fn no_bytes_make_us_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let names = Names::new();
            let _ = AccessList::from_text(&bytes, &names, true);
            if let Some(list) = AccessList::from_binary(&bytes) {
                let text = list.to_text(&names, true);
                prop_assert_eq!(AccessList::from_text(&text, &names, true), Ok(list));
            }
        }
    }
}
