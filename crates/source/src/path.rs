//! Rules about paths as text: no call here touches a disk.

/// The path without empty and `.` components, `..` resolved where something stands before it.
///
/// Exactly two leading slashes are kept, any other number becomes one; the empty path becomes `.`.
/// Source: Python 3, `posixpath.normpath`.
pub fn normpath(path: &[u8]) -> Vec<u8> {
    let slashes = path.iter().take_while(|&&b| b == b'/').count();
    let root: &[u8] = match slashes {
        0 => b"",
        2 => b"//",
        _ => b"/",
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if parts.last().is_some_and(|last| *last != b"..") {
                    parts.pop();
                } else if root.is_empty() {
                    parts.push(part);
                }
            }
            _ => parts.push(part),
        }
    }
    let mut out = root.to_vec();
    out.extend_from_slice(&parts.join(&b'/'));
    if out.is_empty() { b".".to_vec() } else { out }
}

/// Whether [`normpath`] would give the path back unchanged; cheaper than asking it.
pub fn is_normal(path: &[u8]) -> bool {
    if path == b"." || path == b"/" {
        return true;
    }
    let rest = path.strip_prefix(b"/").unwrap_or(path);
    !rest.is_empty()
        && rest
            .split(|&b| b == b'/')
            .all(|part| !matches!(part, b"" | b"." | b".."))
}

/// Makes a path relative and local for the archive: every leading run of `/` and `../` is dropped;
/// what would be empty becomes `.`. Later `..` components stay.
///
/// Source: Borg 1.4, `make_path_safe`.
pub fn make_path_safe(path: &[u8]) -> &[u8] {
    let mut rest = path;
    loop {
        let after_dots = rest.strip_prefix(b"..").unwrap_or(rest);
        let slashes = after_dots.iter().take_while(|&&b| b == b'/').count();
        if slashes == 0 {
            break;
        }
        rest = &after_dots[slashes..];
    }
    if rest.is_empty() { b"." } else { rest }
}

/// The part of a root before its first `/./`, normalised and with one slash at its end: the levels
/// that are walked but not archived. None if there is no such mark, or it stands at the start.
///
/// Source: Borg 1.4, `get_strip_prefix`.
pub fn strip_prefix(path: &[u8]) -> Option<Vec<u8>> {
    let at = path.windows(3).position(|window| window == b"/./")?;
    if at == 0 {
        return None;
    }
    let mut prefix = normpath(&path[..at]);
    prefix.push(b'/');
    Some(prefix)
}

/// What becomes of a walked path under a [`strip_prefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archived<'a> {
    /// A level above the mark: walked, but no item is made (status `x`).
    Skipped,
    /// The path to archive; [`make_path_safe`] comes next.
    As(&'a [u8]),
}

/// Removes the stripped levels of a walked, normalised path. Source: Borg 1.4, `create_helper`.
pub fn archived_path<'a>(path: &'a [u8], strip_prefix: Option<&[u8]>) -> Archived<'a> {
    let Some(prefix) = strip_prefix else {
        return Archived::As(path);
    };
    match prefix.strip_prefix(path) {
        Some(b"/") => Archived::As(b"."),
        Some([b'/', ..]) => Archived::Skipped,
        _ => Archived::As(path.strip_prefix(prefix).unwrap_or(path)),
    }
}

/// The path without its first `count` components (split at every `/`); empty when none are left.
pub fn strip_components(path: &[u8], count: usize) -> &[u8] {
    let mut rest = path;
    for _ in 0..count {
        match rest.iter().position(|&b| b == b'/') {
            Some(at) => rest = &rest[at + 1..],
            None => return b"",
        }
    }
    rest
}

/// Joins a directory and what lies in it; an absolute second path replaces the first.
///
/// Source: Python 3, `posixpath.join`.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if name.starts_with(b"/") {
        return name.to_vec();
    }
    let mut out = Vec::with_capacity(directory.len() + 1 + name.len());
    out.extend_from_slice(directory);
    if !directory.is_empty() && !directory.ends_with(b"/") {
        out.push(b'/');
    }
    out.extend_from_slice(name);
    out
}

/// The path of an entry of a walked directory: joined and normalised (`.` and `x` give `x`), into
/// `out`, which is cleared first.
pub fn child_path(directory: &[u8], name: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if directory != b"." {
        out.extend_from_slice(directory);
        if !directory.ends_with(b"/") {
            out.push(b'/');
        }
    }
    out.extend_from_slice(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The captured strings. One section holds half a character, which is no JSON to Rust.
    fn strings() -> serde_json::Value {
        let text = include_str!("../../../testdata/vectors/strings.json");
        serde_json::from_str(&text.replace("\\udcff", "?")).expect("the vectors are JSON")
    }

    #[test]
    fn unsafe_starts_are_removed_as_stock_does() {
        let vectors = strings();
        for case in vectors["make_path_safe"].as_array().expect("a list") {
            let input = case["in"].as_str().expect("text");
            let expected = case["out"].as_str().expect("text");
            assert_eq!(
                make_path_safe(input.as_bytes()),
                expected.as_bytes(),
                "{input}"
            );
        }
    }

    #[test]
    fn the_slashdot_mark_is_found_as_stock_does() {
        let vectors = strings();
        for case in vectors["slashdot"].as_array().expect("a list") {
            let input = case["in"].as_str().expect("text").as_bytes();
            let prefix = case["strip_prefix"].as_str().map(|s| s.as_bytes().to_vec());
            assert_eq!(strip_prefix(input), prefix);
            let normal = case["normpath"].as_str().expect("text");
            assert_eq!(normpath(input), normal.as_bytes());
        }
    }

    #[track_caller]
    fn check(input: &str, expected: &str) {
        assert_eq!(normpath(input.as_bytes()), expected.as_bytes(), "{input}");
    }

    #[test]
    fn paths_are_normalised_as_python_does() {
        check("", ".");
        check("a//b/./c/../d/", "a/b/d");
        check("../../a", "../../a");
        check("a/../../b", "../b");
        check("/..", "/");
        check("//a", "//a");
        check("///a/", "/a");
        check("//..", "//");
    }

    #[test]
    fn levels_above_the_mark_are_not_archived() {
        let check = |path: &[u8], expected: Archived<'_>| {
            assert_eq!(archived_path(path, Some(b"a/b/")), expected);
        };
        check(b"a", Archived::Skipped);
        check(b"a/b", Archived::As(b"."));
        check(b"a/b/c", Archived::As(b"c"));
        check(b"a/bc", Archived::As(b"a/bc"));
        check(b"x", Archived::As(b"x"));
        assert_eq!(archived_path(b"a", None), Archived::As(b"a"));
    }

    #[test]
    fn components_are_stripped_from_the_left() {
        assert_eq!(strip_components(b"a/b/c", 0), b"a/b/c");
        assert_eq!(strip_components(b"a/b/c", 2), b"c");
        assert_eq!(strip_components(b"a/b/c", 3), b"");
        assert_eq!(strip_components(b"a", 9), b"");
        assert_eq!(strip_components(b"a//c", 1), b"/c");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "[a./]{0,12}") {
            let once = normpath(path.as_bytes());
            prop_assert_eq!(normpath(&once), once.clone());
            if is_normal(path.as_bytes()) {
                prop_assert_eq!(path.as_bytes(), once);
            }
        }

        #[test]
        fn a_child_path_is_the_normalised_join(dir in "(/?[a-c](/[a-c]){0,3}|\\.|/)", name in "[a-c.]{1,4}") {
            prop_assume!(name != "." && name != "..");
            let mut out = Vec::new();
            child_path(dir.as_bytes(), name.as_bytes(), &mut out);
            prop_assert_eq!(out, normpath(&join(dir.as_bytes(), name.as_bytes())));
        }
    }
}
