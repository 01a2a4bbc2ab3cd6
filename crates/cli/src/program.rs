//! Which program this is, by the name it was called with.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The version of Borg whose behaviour this is.
pub(crate) const BORG_VERSION: &str = "1.4.5";

/// The program as called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Last component of the name it was called with.
    pub(crate) name: String,
}

impl Program {
    /// Looks at the first argument of the process.
    pub(crate) fn from_argument(argument: Option<&OsStr>) -> Self {
        let bytes = argument.map_or(&b"ironborg"[..], OsStr::as_bytes);
        let last = bytes.rsplit(|&byte| byte == b'/').next().unwrap_or(bytes);
        Self {
            name: String::from_utf8_lossy(last).into_owned(),
        }
    }

    /// Whether it was called under a name of its own, not one of stock Borg's.
    pub(crate) fn is_ironborg(&self) -> bool {
        self.name.starts_with("ironborg")
    }

    /// What `--version` prints: wrappers parse the line of `borg`.
    pub(crate) fn version_line(&self) -> String {
        if self.is_ironborg() {
            let version = env!("CARGO_PKG_VERSION");
            format!("{} {version} (borg {BORG_VERSION} compatible)", self.name)
        } else {
            format!("{} {BORG_VERSION}", self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_line_depends_on_the_name() {
        let line = |name: &str| Program::from_argument(Some(OsStr::new(name))).version_line();
        assert_eq!(line("/usr/bin/borg"), "borg 1.4.5");
        assert_eq!(line("borgfs"), "borgfs 1.4.5");
        assert!(line("target/debug/ironborg").starts_with("ironborg "));
        assert!(line("ironborg").ends_with("(borg 1.4.5 compatible)"));
    }
}
