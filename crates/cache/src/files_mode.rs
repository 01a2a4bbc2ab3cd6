//! What of a file's status decides whether it is unchanged (`--files-cache`).

use std::fmt;
use std::str::FromStr;

/// Which time is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareTime {
    /// Change of the inode.
    Ctime,
    /// Change of the content, as far as programs tell the truth.
    Mtime,
}

/// A mode of the files cache; only the combinations Borg knows exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilesCacheMode {
    time: Option<CompareTime>,
    size: bool,
    inode: bool,
    rechunk: bool,
    disabled: bool,
}

/// Why a text is no mode; displays as Borg's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidFilesCacheMode {
    /// A word that is none of the known ones.
    UnknownWord,
    /// Words that make no sense together, or too few of them.
    Combination,
}

impl fmt::Display for InvalidFilesCacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownWord => {
                "cache mode must be a comma-separated list of: ctime,disabled,inode,mtime,rechunk,size"
            }
            Self::Combination => "cache mode short must be one of: cis,ims,cs,ms,cr,mr,d,s",
        })
    }
}

impl std::error::Error for InvalidFilesCacheMode {}

impl FilesCacheMode {
    /// `ctime,size,inode`: what `create` does when nothing else is asked for.
    pub const DEFAULT: Self = Self {
        time: Some(CompareTime::Ctime),
        size: true,
        inode: true,
        rechunk: false,
        disabled: false,
    };

    /// Neither read nor written.
    pub const DISABLED: Self = Self {
        time: None,
        size: false,
        inode: false,
        rechunk: false,
        disabled: true,
    };

    /// Whether there is no files cache at all.
    pub fn is_disabled(self) -> bool {
        self.disabled
    }

    /// Whether every file is read again, the files cache only being written.
    pub fn rechunks(self) -> bool {
        self.rechunk
    }

    /// Whether sizes are compared.
    pub(crate) fn compares_size(self) -> bool {
        self.size
    }

    /// Whether inode numbers are compared.
    pub(crate) fn compares_inode(self) -> bool {
        self.inode
    }

    /// Which time is compared, if any.
    pub(crate) fn compared_time(self) -> Option<CompareTime> {
        self.time
    }

    /// Which time is remembered.
    pub(crate) fn remembered_time(self) -> CompareTime {
        self.time.unwrap_or(CompareTime::Ctime)
    }

    /// Borg's internal name: one letter a word, sorted.
    pub fn letters(self) -> String {
        [
            ('c', self.time == Some(CompareTime::Ctime)),
            ('d', self.disabled),
            ('i', self.inode),
            ('m', self.time == Some(CompareTime::Mtime)),
            ('r', self.rechunk),
            ('s', self.size),
        ]
        .into_iter()
        .filter_map(|(letter, set)| set.then_some(letter))
        .collect()
    }
}

impl Default for FilesCacheMode {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Source: Borg 1.4, `FilesCacheMode` in `helpers/parseformat.py`.
impl FromStr for FilesCacheMode {
    type Err = InvalidFilesCacheMode;

    fn from_str(text: &str) -> Result<Self, InvalidFilesCacheMode> {
        let words: Vec<&str> = text.trim().split(',').collect();
        let known = ["ctime", "mtime", "size", "inode", "rechunk", "disabled"];
        if !words.iter().all(|word| known.contains(word)) {
            return Err(InvalidFilesCacheMode::UnknownWord);
        }
        let has = |word| words.contains(&word);
        let time = match (has("ctime"), has("mtime")) {
            (true, true) => return Err(InvalidFilesCacheMode::Combination),
            (true, false) => Some(CompareTime::Ctime),
            (false, true) => Some(CompareTime::Mtime),
            (false, false) => None,
        };
        let mode = Self {
            time,
            size: has("size"),
            inode: has("inode"),
            rechunk: has("rechunk"),
            disabled: has("disabled"),
        };
        let valid = ["cis", "ims", "cs", "ms", "cr", "mr", "d", "s"];
        if valid.contains(&mode.letters().as_str()) {
            Ok(mode)
        } else {
            Err(InvalidFilesCacheMode::Combination)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, InvalidFilesCacheMode>) {
        let letters = text.parse::<FilesCacheMode>().map(FilesCacheMode::letters);
        assert_eq!(letters, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn the_named_modes_are_what_their_words_say() {
        assert_eq!("ctime,size,inode".parse(), Ok(FilesCacheMode::DEFAULT));
        assert_eq!("disabled".parse(), Ok(FilesCacheMode::DISABLED));
    }

    #[test]
    fn modes_are_read_as_borg_reads_them() {
        check("ctime,size,inode", Ok("cis"));
        check("inode,size,ctime", Ok("cis"));
        check(" mtime,size,inode,inode", Ok("ims"));
        check("ctime,size", Ok("cs"));
        check("mtime,size", Ok("ms"));
        check("rechunk,ctime", Ok("cr"));
        check("rechunk,mtime", Ok("mr"));
        check("disabled", Ok("d"));
        check("size", Ok("s"));
        for text in [
            "ctime",
            "mtime,ctime",
            "inode",
            "ctime,inode",
            "disabled,size",
        ] {
            check(text, Err(InvalidFilesCacheMode::Combination));
        }
        for text in ["x", "", "ctime, size"] {
            check(text, Err(InvalidFilesCacheMode::UnknownWord));
        }
    }
}
