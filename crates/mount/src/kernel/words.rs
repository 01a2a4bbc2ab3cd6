//! The words of `-o` that are about the mount itself, as libfuse takes them.
//!
//! Source: libfuse 3, `mount.c` (`fuse_mount_opts`, `mount_flags`) and `fuse_lowlevel.c` (`fuse_ll_opts`).

use fuser::SessionACL;
use rustix::mount::MountFlags;

/// What is asked of the kernel, or of the program that mounts for ordinary users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountRequest {
    /// Flags of mount(2).
    pub(super) flags: MountFlags,
    /// What the mount says it is mounted from.
    pub(super) source: Option<String>,
    /// The part of the file system's type behind `fuse.`.
    pub(super) subtype: Option<String>,
    /// Whether it is said to be on a block device.
    pub(super) on_block_device: bool,
    /// Whether a program unmounts it when this process has ended, however that was.
    pub(super) auto_unmount: bool,
    /// Who may use it.
    pub(super) access: SessionACL,
    /// The words the kernel's file system reads, besides those about the device.
    pub(super) data: Vec<String>,
    /// All words that `fusermount3` takes, in order.
    pub(super) helper: Vec<String>,
}

impl MountRequest {
    /// Reads words; of two that contradict each other the later one wins.
    ///
    /// # Errors
    /// What libfuse says: of a value that is no number, or of the words it does not know.
    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let mut request = Self {
            flags: MountFlags::NOSUID | MountFlags::NODEV,
            source: None,
            subtype: None,
            on_block_device: false,
            auto_unmount: false,
            access: SessionACL::Owner,
            data: Vec::new(),
            helper: Vec::new(),
        };
        let mut unknown = Vec::new();
        for word in words {
            if !(request.take_flag(word) || request.take_word(word)?) {
                // Libfuse makes one text of them, and forgets an empty one that another follows.
                if unknown == [""] {
                    unknown.clear();
                }
                unknown.push(word.as_str());
            }
        }
        if !unknown.is_empty() {
            return Err(format!(
                "fuse: unknown option(s): `-o {}'",
                unknown.join(",")
            ));
        }
        if request.access != SessionACL::Owner {
            request.data.push("allow_other".to_owned());
            request.helper.push("allow_other".to_owned());
        }
        Ok(request)
    }

    /// The file system's type.
    pub(super) fn kind(&self) -> String {
        let kind = if self.on_block_device {
            "fuseblk"
        } else {
            "fuse"
        };
        match &self.subtype {
            Some(subtype) => format!("{kind}.{subtype}"),
            None => kind.to_owned(),
        }
    }

    /// What to say the mount comes from.
    pub(super) fn source(&self) -> &str {
        let given = self.source.as_deref().or(self.subtype.as_deref());
        given.unwrap_or("/dev/fuse")
    }

    fn take_flag(&mut self, word: &str) -> bool {
        let (flag, is_set) = match word {
            "ro" => (MountFlags::RDONLY, true),
            "rw" => (MountFlags::RDONLY, false),
            "nosuid" => (MountFlags::NOSUID, true),
            "suid" => (MountFlags::NOSUID, false),
            "nodev" => (MountFlags::NODEV, true),
            "dev" => (MountFlags::NODEV, false),
            "noexec" => (MountFlags::NOEXEC, true),
            "exec" => (MountFlags::NOEXEC, false),
            "sync" => (MountFlags::SYNCHRONOUS, true),
            "async" => (MountFlags::SYNCHRONOUS, false),
            "dirsync" => (MountFlags::DIRSYNC, true),
            "noatime" => (MountFlags::NOATIME, true),
            "atime" => (MountFlags::NOATIME, false),
            _ => return false,
        };
        self.flags.set(flag, is_set);
        self.helper.push(word.to_owned());
        true
    }

    /// Whether the word is known.
    fn take_word(&mut self, word: &str) -> Result<bool, String> {
        match word {
            "allow_other" if self.access == SessionACL::Owner => self.access = SessionACL::All,
            "allow_root" => self.access = SessionACL::RootAndOwner,
            "allow_other" | "debug" => {}
            "auto_unmount" => self.auto_unmount = true,
            "blkdev" => self.on_block_device = true,
            "default_permissions" => self.pass_on(word),
            _ => return self.take_value(word),
        }
        Ok(true)
    }

    fn take_value(&mut self, word: &str) -> Result<bool, String> {
        let Some((name, value)) = word.split_once('=') else {
            return Ok(false);
        };
        match name {
            "fsname" => {
                self.source = Some(value.to_owned());
                self.helper.push(escaped(word));
            }
            "subtype" => {
                self.subtype = Some(value.to_owned());
                self.helper.push(escaped(word));
            }
            "max_read" => {
                if value.parse::<u32>().is_err() {
                    return Err(format!("fuse: invalid parameter in option `{word}'"));
                }
                self.pass_on(word);
            }
            "blksize" | "context" | "fscontext" | "defcontext" | "rootcontext" => {
                self.pass_on(word);
            }
            "user" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn pass_on(&mut self, word: &str) {
        self.data.push(word.to_owned());
        self.helper.push(word.to_owned());
    }
}

/// A word in a list that is split at commas, where a backslash takes their meaning away.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace(',', "\\,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<MountRequest, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        MountRequest::parse(&words)
    }

    #[test]
    fn the_usual_words() {
        let request = parse(&["fsname=borgfs", "ro", "default_permissions"]).unwrap();
        let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        assert_eq!(request.flags, flags);
        assert_eq!(
            (request.source(), request.kind().as_str()),
            ("borgfs", "fuse")
        );
        assert_eq!(request.data, ["default_permissions"]);
        assert_eq!(
            request.helper,
            ["fsname=borgfs", "ro", "default_permissions"]
        );
        assert_eq!(request.access, SessionACL::Owner);
    }

    #[test]
    fn the_later_word_wins() {
        let request = parse(&["ro", "dev", "rw", "suid", "nodev", "subtype=a", "subtype=b"]);
        let request = request.unwrap();
        assert_eq!(request.flags, MountFlags::NODEV);
        assert_eq!((request.source(), request.kind().as_str()), ("b", "fuse.b"));
    }

    #[test]
    fn other_users_are_let_in_by_the_kernel_and_told_apart_here() {
        for (words, access) in [
            (&["allow_other"][..], SessionACL::All),
            (&["allow_root"], SessionACL::RootAndOwner),
            (&["allow_root", "allow_other"], SessionACL::RootAndOwner),
        ] {
            let request = parse(words).unwrap();
            assert_eq!(request.access, access);
            assert_eq!(request.data, ["allow_other"]);
            assert_eq!(request.helper, ["allow_other"]);
        }
    }

    #[test]
    fn what_is_not_known_is_named_all_at_once() {
        for (words, said) in [
            (&["foo"][..], "fuse: unknown option(s): `-o foo'"),
            (
                &["ro", "foo", "rw", "bar=1"],
                "fuse: unknown option(s): `-o foo,bar=1'",
            ),
            (&[""], "fuse: unknown option(s): `-o '"),
            (&["", ""], "fuse: unknown option(s): `-o '"),
            (
                &["", "", "foo", "", ""],
                "fuse: unknown option(s): `-o foo,,'",
            ),
            (
                &["allow_other=1"],
                "fuse: unknown option(s): `-o allow_other=1'",
            ),
            (
                &["max_read=x", "foo"],
                "fuse: invalid parameter in option `max_read=x'",
            ),
        ] {
            assert_eq!(parse(words).unwrap_err(), said, "{words:?}");
        }
    }

    #[test]
    fn a_name_is_one_word_for_the_helper_too() {
        let request = parse(&[r"fsname=a\b"]).unwrap();
        assert_eq!(request.source(), r"a\b");
        assert_eq!(request.helper, [r"fsname=a\\b"]);
    }
}
