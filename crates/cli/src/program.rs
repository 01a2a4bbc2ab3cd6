//! Which program this is, by the name it was called with.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The version of Borg whose behaviour this is.
pub(crate) const BORG_VERSION: &str = "1.4.5";

/// Commands stock Borg does not have: under its name they are not mentioned.
const OWN_COMMANDS: &[&str] = &["backup", "restore", "completions", "man"];
/// Those about this program itself: under the name of stock Borg there are none.
const ABOUT_ITSELF: &[&str] = &["completions", "man"];
/// The order in which stock Borg lists its commands when it does not know one.
const STOCK_ORDER: &[&str] = &[
    "benchmark",
    "break-lock",
    "check",
    "compact",
    "config",
    "create",
    "debug",
    "delete",
    "diff",
    "export-tar",
    "extract",
    "help",
    "info",
    "version",
    "init",
    "key",
    "list",
    "mount",
    "prune",
    "recreate",
    "rename",
    "serve",
    "umount",
    "upgrade",
    "with-lock",
    "import-tar",
];

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

    /// The program under a name without directories.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// Whether it was called under a name of its own, not one of stock Borg's.
    pub(crate) fn is_ironborg(&self) -> bool {
        self.name.starts_with("ironborg")
    }

    /// Whether a command is told about.
    pub(crate) fn mentions(&self, command: &str) -> bool {
        self.is_ironborg() || !OWN_COMMANDS.contains(&command)
    }

    /// Whether a command is there.
    pub(crate) fn has(&self, command: &str) -> bool {
        self.is_ironborg() || !ABOUT_ITSELF.contains(&command)
    }

    /// The commands to be told about, in stock Borg's order; those it does not have come last.
    pub(crate) fn listed<'a>(&self, commands: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let mut listed: Vec<&str> = commands.filter(|name| self.mentions(name)).collect();
        let place = |name: &str| STOCK_ORDER.iter().position(|known| *known == name);
        listed.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
        listed
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
