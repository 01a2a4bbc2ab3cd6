//! What is mounted on a directory now, and taking away what a dead process left there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

use ironborg_source::named_file;

use crate::subprocess;

/// The kernel's list of mounts.
const MOUNTS: &str = "/proc/self/mountinfo";
/// What takes a mount away, the best first; all of them wait for nobody who uses it.
const WAYS: &[(&str, &[&str])] = &[
    ("fusermount3", &["-u", "-z", "-q", "--"]),
    ("fusermount", &["-u", "-z", "-q", "--"]),
    ("umount", &["-l", "--"]),
];

/// What is on a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnIt {
    /// Nothing.
    Nothing,
    /// A file system of a program that answers.
    Alive,
    /// One whose program is no more ("Transport endpoint is not connected").
    Dead,
    /// Something that is none of ours.
    Other,
}

impl OnIt {
    /// Looks.
    pub(super) fn look(directory: &Path) -> Self {
        let mounts = named_file::read(OsStr::new(MOUNTS)).unwrap_or_default();
        match topmost(&mounts, directory.as_os_str().as_bytes()) {
            None => Self::Nothing,
            Some(kind) if kind != b"fuse" && !kind.starts_with(b"fuse.") => Self::Other,
            Some(_) => match named_file::names_in(directory) {
                Err(error) if error.is_disconnected() => Self::Dead,
                _ => Self::Alive,
            },
        }
    }

    /// As users of scripts read it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "not mounted",
            Self::Alive => "mounted",
            Self::Dead => "dead",
            Self::Other => "something else",
        }
    }
}

/// The type of the file system on a directory, the last that was mounted there.
///
/// Source: proc(5), `/proc/pid/mountinfo`: the fifth field is the place, the one after `-` the type.
fn topmost<'a>(mounts: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let lines = mounts.split(|&byte| byte == b'\n').rev();
    lines.into_iter().find_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let place = fields.nth(4)?;
        if unescaped(place) != directory {
            return None;
        }
        fields.find(|field| *field == b"-")?;
        fields.next()
    })
}

/// Without the octal escapes of blanks and backslashes.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escape = (*first == b'\\')
            .then(|| tail.split_at_checked(3))
            .flatten();
        match escape.and_then(|(digits, after)| Some((octal(digits)?, after))) {
            Some((byte, after)) => {
                out.push(byte);
                rest = after;
            }
            None => out.push(*first),
        }
    }
    out
}

fn octal(digits: &[u8]) -> Option<u8> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'7');
    let text = std::str::from_utf8(digits).ok()?;
    let number = digits
        .iter()
        .all(is_digit)
        .then(|| u8::from_str_radix(text, 8));
    number?.ok()
}

/// Takes away what is mounted on a directory, whoever uses it. Whether that worked is seen by looking.
pub(super) fn take_away(directory: &Path) {
    for (program, arguments) in WAYS {
        let mut command = subprocess::command(OsStr::new(program));
        command.args(*arguments).arg(directory);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if command.status().is_ok_and(|status| status.success()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        99 22 0:50 / /home/me/My\\040Backups rw,nosuid,nodev - fuse.ironborg ironborg ro,user_id=1000\n\
        100 22 0:51 / /mnt ro - fuse x ro\n\
        101 22 0:52 / /mnt rw - tmpfs none rw\n";

    #[test]
    fn the_topmost_mount_counts() {
        let check = |directory: &str, expected: Option<&[u8]>| {
            assert_eq!(topmost(LIST, directory.as_bytes()), expected, "{directory}");
        };
        check("/home/me/My Backups", Some(b"fuse.ironborg"));
        check("/mnt", Some(b"tmpfs"));
        check("/home/me", None);
        check("/", Some(b"ext4"));
    }

    #[test]
    fn escapes_are_octal() {
        assert_eq!(unescaped(b"a\\040b\\134c\\011"), b"a b\\c\t");
        assert_eq!(unescaped(b"\\"), b"\\");
        assert_eq!(unescaped(b"\\04"), b"\\04");
        assert_eq!(unescaped(b"\\999x"), b"\\999x");
    }

    #[test]
    fn a_plain_directory_has_nothing_on_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(OnIt::look(dir.path()), OnIt::Nothing);
    }
}
