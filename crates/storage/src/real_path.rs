//! Where a path really leads: symlinks followed, as far as there is something.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::StorageError;

/// The kernel follows no more symlinks than this in one path.
const LINKS_MAX: usize = 40;

/// The path without symlinks, `.` and `..`; what does not exist is taken as it is written.
///
/// `..` behind something that does not exist takes it away again. Source: Python, `os.path.realpath`.
///
/// # Errors
/// More symlinks than the kernel would follow: a path that could not be opened, and must not be taken for
/// one that was looked at.
///
/// # Panics
/// If the path is not absolute.
pub fn real_path(path: &Path) -> Result<PathBuf, StorageError> {
    assert!(
        path.is_absolute(),
        "callers know what a path is relative to"
    );
    let mut resolved = PathBuf::from("/");
    let mut left = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        resolved.push(&part);
        // Whatever is no symlink, cannot be looked at or does not exist stays as it is written.
        let Ok(target) = fs::read_link(&resolved) else {
            continue;
        };
        links += 1;
        if links > LINKS_MAX {
            let error = io::Error::from_raw_os_error(libc::ELOOP);
            return Err(StorageError::io("resolve", path, error));
        }
        if target.is_absolute() {
            resolved = PathBuf::from("/");
        } else {
            resolved.pop();
        }
        left.extend(parts(&target));
    }
    Ok(resolved)
}

/// The path without `.` and `..`, whatever its parts are.
///
/// # Panics
/// If the path is not absolute.
pub fn normal_path(path: &Path) -> PathBuf {
    assert!(
        path.is_absolute(),
        "callers know what a path is relative to"
    );
    let mut normal = PathBuf::from("/");
    for part in parts(path).into_iter().rev() {
        if part == ".." {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

/// The parts of a path, last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn symlinks_are_followed_as_far_as_there_are_any() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        symlink("b", at("a/relative")).unwrap();
        symlink(at("a"), at("absolute")).unwrap();
        symlink("../absolute/relative/../new", at("a/chain")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for (path, expected) in [
            ("a/b", "a/b"),
            ("a/./b//", "a/b"),
            ("absolute/relative", "a/b"),
            ("absolute/relative/../../x", "x"),
            ("a/chain/y", "a/new/y"),
            ("nosuch/../a/relative", "a/b"),
            ("nosuch/x/y", "nosuch/x/y"),
        ] {
            assert_eq!(real_path(&at(path)).unwrap(), at(expected), "{path}");
        }
        assert_eq!(
            real_path(Path::new("/../../etc/..")).unwrap(),
            Path::new("/")
        );
        assert!(real_path(&at("loop/x")).is_err());
        assert_eq!(normal_path(&at("loop/../x/.")), at("x"));
    }

    #[test]
    fn more_links_than_the_kernel_follows_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        symlink("/etc", root.join("0")).unwrap();
        for number in 1..=LINKS_MAX {
            symlink(format!("{}", number - 1), root.join(number.to_string())).unwrap();
        }
        let last = |number: usize| real_path(&root.join(number.to_string()));
        assert_eq!(last(LINKS_MAX - 1).unwrap(), Path::new("/etc"));
        assert!(last(LINKS_MAX).is_err());
    }
}
