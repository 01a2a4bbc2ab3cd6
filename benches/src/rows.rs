//! The rows of the table: what is set up for each, what is timed, what is aimed at.

mod across;
mod job;
mod local;
mod many;
mod mounts;

use anyhow::{Result, bail};

use crate::mounting::Use;
use crate::options::Options;
use crate::tools::Tool;
use crate::wire::Wire;

pub(crate) use job::{configure as configure_job, run as run_job};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Wall time over stock Borg's that is aimed at.
    pub(crate) aim: Option<f64>,
    /// Whether it is run if no rows are named.
    pub(crate) by_default: bool,
    pub(crate) setting: Setting,
    pub(crate) kind: Kind,
}

/// What rows can share: the same files, in a repository of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) tree: Tree,
    /// Borg's key mode, and its compression.
    pub(crate) mode: &'static str,
    pub(crate) compression: &'static str,
    /// The repository is on the other side of it.
    pub(crate) wire: Option<Wire>,
    /// Ours is in stock Borg's column too.
    pub(crate) ours_twice: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    Large,
    Small,
    Changing,
    FewSmall,
    Random,
    /// What is done with it is asked of ours only: stock Borg takes many minutes and much memory.
    Million,
    OneFile,
    Usr,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A first backup into a new repository.
    First,
    /// A backup of what was backed up just before.
    Unchanged,
    /// A backup after one file in a hundred has changed.
    Changed,
    Extract,
    /// The items of an archive.
    List,
    /// The archives of a repository.
    Archives,
    /// The repository itself.
    Info,
    ExportTar,
    ImportTar,
    /// Two archives compared, between which one file in a hundred has changed.
    Diff,
    /// What is stored checked, without a finding.
    Check(CheckPart),
    /// A repository of many archives.
    Many(Many),
    /// An archive mounted and used.
    Mount(Use, Index),
    /// A job run, or the commands of it.
    Job(job::Rival),
    Version,
}

/// What is done with many archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Many {
    /// One more made after the local caches are gone.
    CachesGone,
    Delete,
    Prune,
    /// Ours has not seen any of the archives; stock Borg's cache is in step.
    PruneUnseen,
    /// The space of what was pruned given back.
    Compact,
    InfoOfAll,
}

/// Whether the archive has been mounted before, so that an index of its paths may be in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    Absent,
    Present,
}

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckPart {
    /// Segments, index, archives, and every object opened.
    AllData,
    /// Archives.
    Archives,
    /// Segments and index. In place of stock Borg's column: reading the files and checksumming them, as with `cat`.
    Repository,
}

impl CheckPart {
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::AllData => "--verify-data",
            Self::Archives => "--archives-only",
            Self::Repository => "--repository-only",
        }
    }
}

/// The setting most rows on large files have, and that of most rows on small files.
const LARGE: Setting = Setting {
    tree: Tree::Large,
    mode: "repokey-blake2",
    compression: "zstd,3",
    wire: None,
    ours_twice: false,
};
const SMALL: Setting = Setting {
    tree: Tree::Small,
    mode: "repokey",
    compression: "lz4",
    ..LARGE
};

/// Archives of the rows on many archives, and how many of them stay.
pub(crate) const MANY: usize = 50;
pub(crate) const KEPT: &str = "10";

impl Setting {
    /// A directory's name.
    pub(crate) fn name(&self) -> String {
        let wire = match self.wire {
            Some(wire) => format!(
                "-{}-{}-{:?}",
                wire.client.name(),
                wire.server.name(),
                wire.line
            ),
            None => String::new(),
        };
        let twice = if self.ours_twice { "-twice" } else { "" };
        let name = format!(
            "{:?}-{}-{}{wire}{twice}",
            self.tree, self.mode, self.compression
        );
        name.to_lowercase().replace(',', "")
    }
}

impl Kind {
    /// Rows of a setting are run by ascending rank: first what makes the repository, then what only reads it, then what adds
    /// to it, at last what forgets the caches.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::First => 0,
            Self::Many(many) => many as u8,
            Self::Version
            | Self::Extract
            | Self::List
            | Self::Archives
            | Self::Info
            | Self::ExportTar
            | Self::Check(_)
            | Self::Job(_) => 1,
            Self::Unchanged => 2,
            Self::Changed => 3,
            Self::Diff => 4,
            Self::ImportTar => 5,
            Self::Mount(..) => 6,
        }
    }
}

impl Row {
    /// A row that is run unless others are asked for.
    const fn new(
        name: &'static str,
        aim: f64,
        what: &'static str,
        setting: Setting,
        kind: Kind,
    ) -> Self {
        Self {
            name,
            what,
            aim: Some(aim),
            by_default: true,
            setting,
            kind,
        }
    }

    /// A row that is run on request.
    const fn on_request(
        name: &'static str,
        aim: Option<f64>,
        what: &'static str,
        setting: Setting,
        kind: Kind,
    ) -> Self {
        Self {
            name,
            what,
            aim,
            by_default: false,
            setting,
            kind,
        }
    }

    /// Whether the row is meant by a name, or by the beginning of one and a star.
    fn is_called(&self, name: &str) -> bool {
        match name.strip_suffix('*') {
            Some(beginning) => self.name.starts_with(beginning),
            None => self.name == name,
        }
    }

    /// Whether a program can do what the row is about, in a way that can be compared.
    pub(crate) fn takes(&self, tool: Tool) -> bool {
        let setting = &self.setting;
        match tool {
            Tool::Ours => true,
            Tool::Stock => setting.tree != Tree::Million,
            _ if setting.wire.is_some() || setting.ours_twice => false,
            _ if !tool.compresses(setting.compression, setting.tree == Tree::Large) => false,
            Tool::Bupstash if matches!(self.kind, Kind::Check(_)) => false,
            _ => matches!(
                self.kind,
                Kind::First
                    | Kind::Unchanged
                    | Kind::Changed
                    | Kind::Extract
                    | Kind::List
                    | Kind::Archives
                    | Kind::Diff
                    | Kind::Check(CheckPart::AllData)
            ),
        }
    }
}

/// All rows, in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    let here = local::ROWS.iter().chain(many::ROWS).chain(mounts::ROWS);
    here.chain(across::ROWS).chain(job::ROWS)
}

/// The rows that were asked for.
pub(crate) fn wanted(options: &Options) -> Result<Vec<&'static Row>> {
    let Some(names) = &options.rows else {
        return Ok(all().filter(|row| row.by_default).collect());
    };
    let unknown = |name: &&String| !all().any(|row| row.is_called(name));
    if let Some(unknown) = names.iter().find(unknown) {
        let known: Vec<&str> = all().map(|row| row.name).collect();
        bail!("no row {unknown:?}; there are {}", known.join(", "));
    }
    Ok(all()
        .filter(|row| names.iter().any(|name| row.is_called(name)))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_rows_have_one_name() {
        let names: HashSet<&str> = all().map(|row| row.name).collect();
        assert_eq!(names.len(), all().count());
    }

    #[test]
    fn rows_run_by_default_have_an_aim() {
        assert!(
            all()
                .filter(|row| row.by_default)
                .all(|row| row.aim.is_some())
        );
    }
}
