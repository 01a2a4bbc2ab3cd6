//! The words of `-o` as they stand in fstab, and what becomes of each.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::FstabError;
use crate::credential::PassphraseOrigin;

/// Words that tell mount(8), init and desktops what to do, or that mean nothing to what cannot be written to.
const NOT_OURS: &[&str] = &[
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "defaults",
    "_netdev",
    "nofail",
    "rw",
    "ro",
    "async",
    "sync",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "iversion",
    "noiversion",
    "mand",
    "nomand",
    "silent",
    "loud",
    "comment",
    "uhelper",
    "helper",
];
/// How words begin that are for others.
const PREFIXES_NOT_OURS: &[&str] = &["x-", "X-"];
/// Words that would change a mount there is, which cannot be done.
const IMPOSSIBLE: &[&str] = &[
    "remount",
    "bind",
    "rbind",
    "move",
    "loop",
    "shared",
    "private",
    "slave",
    "unbindable",
];
/// Options of `mount` that take a value, without their dashes.
const WITH_VALUE: &[&str] = &[
    "rsh",
    "remote-path",
    "glob-archives",
    "first",
    "last",
    "sort-by",
    "oldest",
    "newest",
    "older",
    "newer",
    "strip-components",
    "exclude",
    "pattern",
    "exclude-from",
    "patterns-from",
    "lock-wait",
    "threads",
    "max-memory",
    "upload-ratelimit",
    "upload-buffer",
];
/// Options of `mount` that are switches.
const SWITCHES: &[&str] = &[
    "numeric-ids",
    "consider-checkpoints",
    "consider-part-files",
    "bypass-lock",
];
/// How variables of Borg's begin.
const VARIABLE_PREFIX: &[u8] = b"BORG_";

/// What the words ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Options of the command `mount`.
    pub(super) arguments: Vec<OsString>,
    /// Words for its `-o`.
    pub(super) words: Vec<OsString>,
    /// Paths to show.
    pub(super) paths: Vec<OsString>,
    /// Variables to set.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// A key for ssh.
    pub(super) identity: Option<OsString>,
    /// Where the passphrase comes from.
    pub(super) passphrase: Option<PassphraseOrigin>,
    /// Who is to mount.
    pub(super) user: Option<OsString>,
    /// Whether others must not get at it.
    pub(super) for_mounter_only: bool,
}

/// Splits the value of `-o` into words.
///
/// A comma separates them unless a backslash precedes it or it is between double quotes, which is how mount(8) reads
/// them; the quotes and those backslashes are taken away.
fn split(value: &[u8]) -> Result<Vec<Vec<u8>>, FstabError> {
    let mut words = vec![Vec::new()];
    let mut quoted = false;
    let mut rest = value.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let word = words.last_mut().expect("there is one from the beginning");
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => words.push(Vec::new()),
            b'\\' => match rest.next_if(|next| matches!(next, b',' | b'"' | b'\\')) {
                Some(next) => word.push(next),
                None => word.push(byte),
            },
            _ => word.push(byte),
        }
    }
    if quoted {
        return Err(FstabError::Quotation);
    }
    Ok(words)
}

impl Options {
    /// Takes the words of one `-o`.
    pub(super) fn add(&mut self, value: &OsStr) -> Result<(), FstabError> {
        for word in split(value.as_bytes())? {
            if !word.is_empty() {
                self.take(&word)?;
            }
        }
        Ok(())
    }

    /// Whether a word of this name is for `-o`.
    pub(super) fn has_word(&self, name: &str) -> bool {
        self.words.iter().any(|word| {
            let rest = word.as_bytes().strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
        })
    }

    fn take(&mut self, word: &[u8]) -> Result<(), FstabError> {
        let equals = word.iter().position(|&byte| byte == b'=');
        let (raw, value) = match equals {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        let shown = || ironborg_types::text::display(raw).into_owned();
        let name = String::from_utf8_lossy(raw);
        if is_for_others(&name) {
            return Ok(());
        }
        if IMPOSSIBLE.contains(&name.as_ref()) {
            return Err(FstabError::Impossible(shown()));
        }
        // The words of fstab have underscores, the options of a command line dashes.
        let option = name.replace('_', "-");
        let needed = || match value {
            Some(value) if !value.is_empty() => Ok(OsString::from_vec(value.to_vec())),
            _ => Err(FstabError::NoValue(shown())),
        };
        match option.as_str() {
            "passcommand" => self.passphrase = Some(PassphraseOrigin::Command(needed()?)),
            "passphrase-file" => self.passphrase = Some(PassphraseOrigin::File(needed()?.into())),
            "credential" => self.passphrase = Some(PassphraseOrigin::Credential(needed()?)),
            "identity" => self.identity = Some(needed()?),
            "setuid" => self.user = Some(needed()?),
            "path" => self.paths.push(needed()?),
            "noallow-other" | "no-allow-other" => self.for_mounter_only = true,
            name if WITH_VALUE.contains(&name) => {
                let mut argument = OsString::from(format!("--{name}="));
                argument.push(needed()?);
                self.arguments.push(argument);
            }
            name if SWITCHES.contains(&name) && value.is_none() => {
                self.arguments.push(format!("--{name}").into());
            }
            _ if raw.starts_with(VARIABLE_PREFIX) => {
                let value = value.ok_or_else(|| FstabError::NoValue(shown()))?;
                let variable = OsString::from_vec(raw.to_vec());
                self.variables
                    .push((variable, OsString::from_vec(value.to_vec())));
            }
            _ if word.contains(&b',') => return Err(FstabError::Comma(shown())),
            _ => self.words.push(OsString::from_vec(word.to_vec())),
        }
        Ok(())
    }
}

fn is_for_others(name: &str) -> bool {
    NOT_OURS.contains(&name)
        || PREFIXES_NOT_OURS
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(value: &str) -> Options {
        let mut options = Options::default();
        options.add(value.as_ref()).unwrap();
        options
    }

    #[test]
    fn words_for_others_are_dropped_and_ours_are_kept() {
        let options = options(
            "rw,noauto,user,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=60,x-gvfs-show,comment=hi,\
             uid=1000,umask=0022,noexec,,versions",
        );
        assert_eq!(
            options.words,
            ["uid=1000", "umask=0022", "noexec", "versions"]
        );
        assert!(options.has_word("uid") && !options.has_word("gid") && !options.has_word("ui"));
        assert!(options.arguments.is_empty() && options.variables.is_empty());
    }

    #[test]
    fn words_become_options_and_variables() {
        let options = options(
            "remote_path=/opt/borg,rsh=ssh -p 23,strip-components=2,numeric_ids,path=home/me,path=etc,\
             BORG_RELOCATED_REPO_ACCESS_IS_OK=yes,setuid=me,identity=/k,no_allow_other",
        );
        assert_eq!(
            options.arguments,
            [
                "--remote-path=/opt/borg",
                "--rsh=ssh -p 23",
                "--strip-components=2",
                "--numeric-ids"
            ]
        );
        assert_eq!(options.paths, ["home/me", "etc"]);
        let variable = ("BORG_RELOCATED_REPO_ACCESS_IS_OK".into(), "yes".into());
        assert_eq!(options.variables, [variable]);
        assert_eq!(options.user, Some("me".into()));
        assert_eq!(options.identity, Some("/k".into()));
        assert!(options.for_mounter_only);
    }

    #[test]
    fn a_comma_can_be_part_of_a_value() {
        for value in [
            r#"passcommand="cat '/a,b'",uid=1"#,
            r"passcommand=cat '/a\,b',uid=1",
            r#""passcommand=cat '/a,b'",uid=1"#,
        ] {
            let options = options(value);
            let command = PassphraseOrigin::Command("cat '/a,b'".into());
            assert_eq!(options.passphrase, Some(command), "{value}");
            assert_eq!(options.words, ["uid=1"], "{value}");
        }
        let kept = options(r"path=a\b\\c\x");
        assert_eq!(kept.paths, [r"a\b\c\x"]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |value: &str| Options::default().add(value.as_ref()).unwrap_err();
        assert_eq!(
            refused("remount,ro"),
            FstabError::Impossible("remount".into())
        );
        assert_eq!(
            refused("passcommand="),
            FstabError::NoValue("passcommand".into())
        );
        assert_eq!(refused("setuid"), FstabError::NoValue("setuid".into()));
        assert_eq!(refused("a=\"b"), FstabError::Quotation);
        assert_eq!(refused(r"fsname=a\,b"), FstabError::Comma("fsname".into()));
    }
}
