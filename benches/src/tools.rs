//! The programs that are timed, and the words each is told things in.

mod borg;
mod bupstash;
mod restic;
mod rustic;

use std::ffi::OsString;
use std::path::Path;

use ironborg_testkit::Program;

use crate::contestant::Contestant;

/// The passphrase every contestant has in its environment.
pub(crate) const PASSPHRASE: &str = "a passphrase for measuring";

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// This project's.
    Ours,
    /// BorgBackup 1.4.5.
    Stock,
    /// The packaged restic.
    Restic,
    /// rustic, which writes restic's format.
    Rustic,
    /// bupstash.
    Bupstash,
}

/// What any backup program can be asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed<'a> {
    /// An encrypted repository is made; of Borg's modes the one given.
    Init { mode: &'a str },
    /// The working directory is backed up under a name, compressed as nearly so as it can be.
    Backup { name: &'a str, compression: &'a str },
    /// A backup is restored into the working directory.
    Extract { name: &'a str },
    /// All that is in a backup is listed.
    List { name: &'a str },
    /// Backups are listed.
    Archives,
    /// Two backups are compared.
    Diff { from: &'a str, to: &'a str },
    /// All that is stored is read and verified.
    CheckData,
}

impl From<Program> for Tool {
    fn from(program: Program) -> Self {
        match program {
            Program::Ours => Self::Ours,
            Program::Stock => Self::Stock,
        }
    }
}

impl Tool {
    /// All, in the order of columns.
    pub(crate) const ALL: [Self; 5] = [
        Self::Ours,
        Self::Stock,
        Self::Restic,
        Self::Rustic,
        Self::Bupstash,
    ];

    /// The name of the column, of directories and in the raw results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Stock => "stock",
            Self::Restic => "restic",
            Self::Rustic => "rustic",
            Self::Bupstash => "bupstash",
        }
    }

    /// The column of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Whether it is one of the two that share a format.
    pub(crate) fn is_borg(self) -> bool {
        matches!(self, Self::Ours | Self::Stock)
    }

    /// Whether it can compress nearly as a row does in a way it does not in another row already: restic and rustic
    /// know zstd only, and restic none at all.
    pub(crate) fn compresses(self, compression: &str, is_large: bool) -> bool {
        match (self, compression) {
            (Self::Restic | Self::Rustic, "lz4") => !is_large,
            (Self::Rustic, "none") => false,
            _ => true,
        }
    }

    /// The words after the program's name; none if it cannot do that.
    pub(crate) fn words(self, contestant: &Contestant, deed: Deed<'_>) -> Option<Vec<OsString>> {
        match self {
            Self::Ours | Self::Stock => Some(borg::words(contestant, deed)),
            Self::Restic => restic::words(contestant, deed),
            Self::Rustic => rustic::words(contestant, deed),
            Self::Bupstash => bupstash::words(deed),
        }
    }

    /// What is done once before a repository is made: a key that is not in the repository.
    pub(crate) fn words_before_init(self, contestant: &Contestant) -> Option<Vec<OsString>> {
        (self == Self::Bupstash).then(|| bupstash::new_key(contestant))
    }

    /// The environment all of them are given: each reads its own.
    pub(crate) fn environment(contestant: &Contestant) -> Vec<(&'static str, OsString)> {
        let repository = contestant.repository().into_os_string();
        let place: &Path = &contestant.beside("");
        vec![
            ("HOME", place.into()),
            ("BORG_BASE_DIR", place.into()),
            ("BORG_PASSPHRASE", PASSPHRASE.into()),
            ("RESTIC_REPOSITORY", repository.clone()),
            ("RESTIC_PASSWORD", PASSPHRASE.into()),
            ("RUSTIC_REPOSITORY", repository.clone()),
            ("RUSTIC_PASSWORD", PASSPHRASE.into()),
            ("RUSTIC_NO_PROGRESS", "true".into()),
            ("BUPSTASH_REPOSITORY", repository),
            ("BUPSTASH_KEY", bupstash::key(contestant).into_os_string()),
            ("LC_ALL", "C.UTF-8".into()),
        ]
    }
}

/// Words of a slice.
fn words_of<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).to_vec()
}

/// The id a program of restic's kind said it has saved a snapshot under: `snapshot 1a2b3c4d saved`, or
/// `snapshot 1a2b3c4d successfully saved`.
fn snapshot_id(said: &str) -> Option<&str> {
    let mut lines = said.lines().rev().filter(|line| line.contains("saved"));
    lines.find_map(|line| {
        let id = line.split("snapshot ").nth(1)?.split(' ').next()?;
        id.bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then_some(id)
    })
}

/// The id of a backup of that name, from what was said when it was made.
fn remembered_id(contestant: &Contestant, name: &str) -> Option<String> {
    let said = std::fs::read_to_string(contestant.said(name)).ok()?;
    snapshot_id(&said).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_known_by_what_was_said() {
        let restic = "processed 3 files\nsnapshot 0a1b2c3d saved\n";
        assert_eq!(snapshot_id(restic), Some("0a1b2c3d"));
        let rustic = "[INFO] snapshot 42deadbeef successfully saved.\n[INFO] backup of x done.";
        assert_eq!(snapshot_id(rustic), Some("42deadbeef"));
        assert_eq!(snapshot_id("snapshot of a saved tree\n"), None);
    }

    #[test]
    fn a_column_has_one_name() {
        for tool in Tool::ALL {
            assert_eq!(Tool::from_name(tool.name()), Some(tool));
        }
        assert_eq!(Tool::from_name("limit"), None);
    }
}
