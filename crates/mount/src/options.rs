//! What a mount shows and how: the words of `-o`, and what the command line says besides.

use ironborg_archive::items::PartFiles;
use ironborg_archive::selection::ArchiveSelection;
use ironborg_source::Pattern;
use ironborg_source::pattern::Action;
use ironborg_types::BytePath;

/// What is shown of archives, and how.
#[derive(Debug, Clone)]
pub struct ViewOptions {
    /// Patterns of `-e` and its like; the first match decides.
    pub rules: Vec<(Pattern, Action)>,
    /// The PATH arguments: without any everything is shown.
    pub paths: Vec<BytePath>,
    /// So many leading components of each path are left out.
    pub strip_components: usize,
    /// Whether parts of files are shown.
    pub parts: PartFiles,
    /// Which archives of a repository are shown.
    pub selection: ArchiveSelection,
    /// Whether owners are the numbers that are stored, whatever the names.
    pub numeric_ids: bool,
    /// Owner of directories nobody stored, and of what has no owner.
    pub default_owner: MountOwner,
    /// What `-o` says.
    pub words: MountWords,
}

/// The user who mounts; [`MountWords::uid`] and [`MountWords::gid`] come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountOwner {
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
}

/// The words of `-o` that are about archives; what is left is for the kernel.
///
/// Source: Borg 1.4, `FuseOperations.mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountWords {
    /// The owner of everything (`uid=`).
    pub uid: Option<i128>,
    /// The group of everything (`gid=`).
    pub gid: Option<i128>,
    /// Bits that modes do not get (`umask=`).
    pub umask: u32,
    /// Whether files can be read that a repair has put zeros into.
    pub allow_damaged_files: bool,
    /// Whether all archives are shown as one tree, each file as a directory of its versions.
    pub versions: bool,
    /// The options of the mount itself, in order: those that are always there, then those that were typed.
    pub kernel: Vec<String>,
}

impl MountWords {
    /// The number everything belongs to, if one is given and can be one.
    pub fn forced_uid(&self) -> Option<u32> {
        self.uid.and_then(|uid| u32::try_from(uid).ok())
    }

    /// The same for the group.
    pub fn forced_gid(&self) -> Option<u32> {
        self.gid.and_then(|gid| u32::try_from(gid).ok())
    }
}

/// A word of `-o` whose value is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unsupported value in option: {0}")]
pub struct WordError(pub String);

impl MountWords {
    /// Reads the value of `-o`.
    ///
    /// # Errors
    /// The first word, in the order stock Borg looks for them, that has a value it cannot have.
    pub fn parse(given: Option<&str>) -> Result<Self, WordError> {
        // Without `default_permissions` owners and modes would mean nothing to other users.
        let mut words = Words(vec![
            "fsname=borgfs".to_owned(),
            "ro".to_owned(),
            "default_permissions".to_owned(),
        ]);
        let given = given.filter(|given| !given.is_empty());
        let given = given.into_iter().flat_map(|given| given.split(','));
        words.0.extend(given.map(str::to_owned));
        if words.take_switch("ignore_permissions")? {
            words.take_switch("default_permissions")?;
        }
        Ok(Self {
            allow_damaged_files: words.take_switch("allow_damaged_files")?,
            versions: words.take_switch("versions")?,
            uid: words.take_number("uid", None)?,
            gid: words.take_number("gid", None)?,
            umask: words.take_number("umask", Some(8))?.map_or(0, low_bits),
            kernel: words.0,
        })
    }
}

/// All that modes have bits for; a negative number is one with all higher bits set.
fn low_bits(number: i128) -> u32 {
    let low = number & i128::from(u32::MAX);
    u32::try_from(low).expect("it was cut to 32 bits")
}

/// Words that nobody has asked for yet.
struct Words(Vec<String>);

impl Words {
    /// Takes the first word of this name out, with its value if it has one.
    fn take(&mut self, name: &str) -> Option<(String, Option<String>)> {
        let found = self.0.iter().position(|word| {
            let rest = word.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })?;
        let word = self.0.remove(found);
        let value = word.split_once('=').map(|(_, value)| value.to_owned());
        Some((word, value))
    }

    fn take_switch(&mut self, name: &str) -> Result<bool, WordError> {
        match self.take(name) {
            None => Ok(false),
            Some((_, None)) => Ok(true),
            Some((word, Some(value))) => match value.to_lowercase().as_str() {
                "y" | "yes" | "true" | "1" => Ok(true),
                "n" | "no" | "false" | "0" => Ok(false),
                _ => Err(WordError(word)),
            },
        }
    }

    /// A word without a value is as good as none.
    fn take_number(&mut self, name: &str, base: Option<u32>) -> Result<Option<i128>, WordError> {
        match self.take(name) {
            Some((word, Some(value))) => match python_integer(&value, base) {
                Some(number) => Ok(Some(number)),
                None => Err(WordError(word)),
            },
            _ => Ok(None),
        }
    }
}

/// A number as Python's `int` reads it: `base` 8, or, without one, what the number's prefix says.
fn python_integer(text: &str, base: Option<u32>) -> Option<i128> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\x1c'..='\x1f'));
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find(|(prefix, of)| {
            let start = digits.get(..2);
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
                && base.is_none_or(|base| base == *of)
        });
    let (digits, radix) = match prefixed {
        // One `_` may stand between the prefix and the first digit.
        Some((_, radix)) => {
            let digits = &digits[2..];
            (digits.strip_prefix('_').unwrap_or(digits), radix)
        }
        None => (digits, base.unwrap_or(10)),
    };
    let mut plain = String::with_capacity(digits.len());
    let mut after_digit = false;
    for c in digits.chars() {
        if c == '_' {
            if !after_digit {
                return None;
            }
            after_digit = false;
            continue;
        }
        c.to_digit(radix)?;
        plain.push(c);
        after_digit = true;
    }
    if !after_digit {
        return None;
    }
    let number = i128::from_str_radix(&plain, radix).ok()?;
    // Without a prefix a leading zero would mean the octal numbers of old.
    if base.is_none() && prefixed.is_none() && plain.starts_with('0') && number != 0 {
        return None;
    }
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &str) -> MountWords {
        MountWords::parse(Some(given)).unwrap()
    }

    #[test]
    fn what_is_not_ours_is_left_for_the_kernel() {
        let words = MountWords::parse(None).unwrap();
        assert_eq!(words.kernel, ["fsname=borgfs", "ro", "default_permissions"]);
        assert_eq!(MountWords::parse(Some("")).unwrap(), words);
        let words = parse("allow_other,uid=0x10,versions,umask=0222,foo=,,gid=5");
        assert_eq!(words.uid, Some(16));
        assert_eq!(words.gid, Some(5));
        assert_eq!(words.umask, 0o222);
        assert!(words.versions && !words.allow_damaged_files);
        let kernel = [
            "fsname=borgfs",
            "ro",
            "default_permissions",
            "allow_other",
            "foo=",
            "",
        ];
        assert_eq!(words.kernel, kernel);
    }

    #[test]
    fn permissions_are_ignored_by_not_telling_the_kernel_of_them() {
        assert_eq!(parse("ignore_permissions").kernel, ["fsname=borgfs", "ro"]);
        let twice = parse("default_permissions,ignore_permissions");
        assert_eq!(twice.kernel, ["fsname=borgfs", "ro", "default_permissions"]);
        let not = parse("ignore_permissions=NO");
        assert_eq!(not.kernel, ["fsname=borgfs", "ro", "default_permissions"]);
    }

    #[test]
    fn only_the_first_of_a_name_is_ours() {
        let words = parse("uid=1,uid=2,versions=0,versions=1");
        assert_eq!((words.uid, words.versions), (Some(1), false));
        assert_eq!(words.kernel[3..], ["uid=2", "versions=1"]);
        assert_eq!(parse("uid").uid, None);
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (text, base, expected) in [
            ("0", None, Some(0)),
            ("000", None, Some(0)),
            ("012", None, None),
            ("12", None, Some(12)),
            (" +1_000 ", None, Some(1000)),
            ("-1", None, Some(-1)),
            ("--1", None, None),
            ("1__0", None, None),
            ("_1", None, None),
            ("1_", None, None),
            ("", None, None),
            ("0x", None, None),
            ("0x_1F", None, Some(31)),
            ("0B11", None, Some(3)),
            ("0o17", None, Some(15)),
            ("0o17", Some(8), Some(15)),
            ("0x17", Some(8), None),
            ("0777", Some(8), Some(0o777)),
            ("8", Some(8), None),
            ("-22", Some(8), Some(-18)),
            ("é", None, None),
            ("99999999999999999999999999999999999999999", None, None),
        ] {
            assert_eq!(python_integer(text, base), expected, "{text:?} {base:?}");
        }
        assert_eq!(parse("umask=-1").umask, u32::MAX);
    }

    #[test]
    fn a_value_that_is_none_is_refused_with_its_word() {
        for (given, word) in [
            ("umask=9,uid=x", "uid=x"),
            ("umask=9", "umask=9"),
            (
                "versions=maybe,allow_damaged_files=x",
                "allow_damaged_files=x",
            ),
            ("gid=", "gid="),
        ] {
            let error = MountWords::parse(Some(given)).unwrap_err();
            let expected = format!("unsupported value in option: {word}");
            assert_eq!(error.to_string(), expected, "{given}");
        }
    }
}
