//! Which program this is, by the name it was called with.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The version of Borg whose behaviour this is.
pub(crate) const BORG_VERSION: &str = "1.4.5";

/// Commands stock Borg does not have: under its name they are not mentioned.
const OWN_COMMANDS: &[&str] = &[
    "backup",
    "restore",
    "automount",
    "jobs",
    "repos",
    "mirror",
    "completions",
    "man",
];
/// Those about this program itself: under the name of stock Borg there are none.
const ABOUT_ITSELF: &[&str] = &["automount", "jobs", "repos", "completions", "man"];
/// The name that stands for one command, and that command.
const SINGLE: (&str, &str) = ("borgfs", "mount");
/// What mount(8) looks for to mount something of type `fuse.borgfs`, or `borgfs`.
const MOUNT_HELPERS: &[&str] = &["mount.fuse.borgfs", "mount.borgfs"];
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

    /// The one command that it is, if it has no others: its words follow the program's name at once.
    pub(crate) fn single_command(&self) -> Option<&'static str> {
        (self.name == SINGLE.0).then_some(SINGLE.1)
    }

    /// The name under which there are all commands.
    pub(crate) fn full_name(&self) -> &str {
        if self.single_command().is_some() {
            "borg"
        } else {
            &self.name
        }
    }

    /// How a command is called.
    pub(crate) fn called<S: AsRef<str>>(&self, path: &[S]) -> String {
        let words = path.iter().map(AsRef::as_ref);
        let words = words.skip_while(|word| Some(*word) == self.single_command());
        let name = std::iter::once(self.name.as_str());
        name.chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Whether mount(8) has called it, with words of its own.
    pub(crate) fn is_mount_helper(&self) -> bool {
        MOUNT_HELPERS.contains(&self.name.as_str())
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
        assert_eq!(line("/sbin/mount.fuse.borgfs"), "mount.fuse.borgfs 1.4.5");
        assert!(line("ironborg").ends_with("(borg 1.4.5 compatible)"));
    }

    #[test]
    fn borgfs_is_one_command() {
        let borgfs = Program::named("borgfs");
        assert_eq!(borgfs.single_command(), Some("mount"));
        assert_eq!(borgfs.called(&["mount"]), "borgfs");
        assert_eq!(borgfs.full_name(), "borg");
        let borg = Program::named("borg");
        assert_eq!(borg.single_command(), None);
        assert_eq!(borg.called(&["key", "export"]), "borg key export");
        assert_eq!(borg.full_name(), "borg");
    }
}
