//! The rows of the table: what is set up before, what is timed.

mod across;
mod job;
mod local;
mod mounts;

use std::path::Path;

use anyhow::{Result, bail};
use ironborg_testkit::Program;

use crate::measure::{Contestant, Measurement, settle, size_of};
use crate::mounting::{self, Use};
use crate::options::Options;
use crate::trees;
use crate::wire::{Line, Wire};

/// One row's measurements.
#[derive(Debug)]
pub(crate) struct RowResult {
    pub(crate) row: &'static Row,
    pub(crate) ours: Vec<Measurement>,
    pub(crate) stock: Vec<Measurement>,
    /// Bytes of the tree's files, where they are what has to cross a line.
    pub(crate) payload: Option<u64>,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Wall time over stock Borg's that is aimed at.
    pub(crate) aim: Option<f64>,
    tree: Tree,
    kind: Kind,
    /// The repository is on the other side of it.
    wire: Option<Wire>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tree {
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
enum Kind {
    /// A first backup into a new repository: key mode, compression.
    First(&'static str, &'static str),
    /// A backup of what was backed up just before.
    Unchanged(&'static str, &'static str),
    Extract(&'static str, &'static str),
    List(&'static str, &'static str),
    ExportTar(&'static str, &'static str),
    ImportTar(&'static str, &'static str),
    /// One archive of the changing tree listed.
    ListChanging,
    /// Two archives of the changing tree compared.
    Diff,
    /// One archive of many deleted.
    Delete,
    /// Most of many archives deleted.
    Prune,
    /// The space of those given back.
    Compact,
    /// What is stored checked, without a finding: key mode, compression, how much of it.
    Check(&'static str, &'static str, CheckPart),
    /// An archive mounted and used: key mode, compression, how, with what.
    Mount(&'static str, &'static str, Use, Index),
    /// A job run, or the commands of it.
    Job(job::Rival),
    Version,
}

/// Whether the archive has been mounted before, so that an index of its paths may be in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Index {
    Absent,
    Present,
}

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckPart {
    /// Segments, index, archives, and every object opened.
    AllData,
    /// Archives.
    Archives,
    /// Segments and index. In place of stock Borg's column: reading the files and checksumming them, as with `cat`.
    Repository,
}

impl CheckPart {
    fn option(self) -> &'static str {
        match self {
            Self::AllData => "--verify-data",
            Self::Archives => "--archives-only",
            Self::Repository => "--repository-only",
        }
    }
}

/// Key mode and compression of the rows on large, and on small files.
const LARGE: (&str, &str) = ("repokey-blake2", "zstd,3");
const SMALL: (&str, &str) = ("repokey", "lz4");

/// Archives of the rows on many archives, and how many of them stay.
const MANY: usize = 50;
const KEPT: &str = "10";

fn rows() -> impl Iterator<Item = &'static Row> {
    let here = local::ROWS.iter().chain(job::ROWS);
    here.chain(mounts::ROWS).chain(across::ROWS)
}

impl Row {
    /// Whether the row is meant by a name, or by the beginning of one and a star.
    fn is_called(&self, name: &str) -> bool {
        match name.strip_suffix('*') {
            Some(beginning) => self.name.starts_with(beginning),
            None => self.name == name,
        }
    }
}

/// Runs every wanted row, ours and stock Borg in turn.
pub(crate) fn run_all(options: &Options) -> Result<Vec<RowResult>> {
    let by_default = |row: &&Row| row.name != "usr" && row.tree != Tree::Million;
    let wanted: Vec<&'static Row> = match &options.rows {
        None => rows().filter(by_default).collect(),
        Some(names) => {
            if let Some(unknown) = names
                .iter()
                .find(|name| !rows().any(|row| row.is_called(name)))
            {
                let known: Vec<&str> = rows().map(|row| row.name).collect();
                bail!("no row {unknown:?}; there are {}", known.join(", "));
            }
            rows()
                .filter(|row| names.iter().any(|name| row.is_called(name)))
                .collect()
        }
    };
    wanted
        .into_iter()
        .map(|row| run_row(options, row))
        .collect()
}

fn run_row(options: &Options, row: &'static Row) -> Result<RowResult> {
    let tree = match row.tree {
        Tree::Large => trees::large(options)?,
        Tree::Small => trees::small(options)?,
        Tree::Changing => trees::changing(options)?,
        Tree::FewSmall => trees::few_small(options)?,
        Tree::Random => trees::random(options)?,
        Tree::Million => trees::million(options)?,
        Tree::OneFile => trees::one_file(options)?,
        Tree::Usr => trees::usr(options)?,
        Tree::None => options.dir.clone(),
    };
    let contestants =
        Program::BOTH.map(|program| Contestant::new(options, program, row.wire, row.name));
    let [ours, stock] = contestants;
    let mut contestants = [ours?, stock?];
    if row.kind == Kind::Job(job::Rival::Ours) {
        contestants[1].play_with(&contestants[0].clone());
    }
    let contestants = contestants;
    let taking_part = if row.tree == Tree::Million { 1 } else { 2 };
    if row.tree == Tree::Changing {
        prepare_many(options, &contestants, row.kind, &tree)?;
    } else {
        for contestant in &contestants[..taking_part] {
            prepare(&contestant.on_a_fast_line(options)?, row.kind, &tree)?;
        }
    }
    let mut results = [Vec::new(), Vec::new()];
    for repetition in 0..options.repetitions {
        // Who begins changes, so that what warms up or fills up is shared fairly.
        let order = if repetition % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order.into_iter().filter(|index| *index < taking_part) {
            let contestant = &contestants[index];
            let measurement = match row.kind {
                Kind::Mount(.., usage, index) => mount(options, contestant, usage, index)?,
                kind => run_once(contestant, kind, &tree, repetition)?,
            };
            eprintln!(
                "{} {} {:.3} s, {:.1} MB",
                row.name,
                contestants[index].program.name(),
                measurement.wall.as_secs_f64(),
                measurement.peak as f64 / 1e6
            );
            results[index].push(measurement);
        }
    }
    if !options.keep {
        contestants.iter().try_for_each(Contestant::clear)?;
    }
    let [ours, stock] = results;
    let payload = match row.wire {
        Some(Wire {
            line: Line::Long, ..
        }) => Some(size_of(&tree)?),
        _ => None,
    };
    Ok(RowResult {
        row,
        ours,
        stock,
        payload,
    })
}

/// What is there before the first timed run.
fn prepare(contestant: &Contestant, kind: Kind, tree: &Path) -> Result<()> {
    match kind {
        Kind::First(..) | Kind::Version => Ok(()),
        Kind::ListChanging | Kind::Diff | Kind::Delete | Kind::Prune | Kind::Compact => {
            unreachable!("rows on the changing tree are prepared together")
        }
        Kind::Job(_) => {
            contestant.init(SMALL.0)?;
            // The newest files of a run are read once more in the next; those two are not timed.
            create(contestant, "a", SMALL.1, tree)?;
            create(contestant, "b", SMALL.1, tree)?;
            job::configure(contestant, tree)
        }
        Kind::Unchanged(mode, compression)
        | Kind::Extract(mode, compression)
        | Kind::List(mode, compression)
        | Kind::ExportTar(mode, compression)
        | Kind::Check(mode, compression, _)
        | Kind::Mount(mode, compression, ..)
        | Kind::ImportTar(mode, compression) => {
            contestant.init(mode)?;
            create(contestant, "a", compression, tree)?;
            if matches!(kind, Kind::Unchanged(..)) {
                // The newest files of a run are read once more in the next; that one is not timed.
                create(contestant, "b", compression, tree)?;
            }
            if matches!(kind, Kind::ImportTar(..)) {
                export_tar(contestant, tree)?;
            }
            Ok(())
        }
    }
}

/// Has ours make a repository with many archives, gives stock Borg a copy, and lets each get to know it.
fn prepare_many(
    options: &Options,
    contestants: &[Contestant; 2],
    kind: Kind,
    tree: &Path,
) -> Result<()> {
    let [ours, stock] = contestants;
    ours.init(SMALL.0)?;
    let count = match kind {
        Kind::ListChanging | Kind::Diff => 2,
        _ => MANY,
    };
    for generation in 0..count {
        trees::change(options, tree, generation)?;
        create(ours, &format!("a{generation:02}"), SMALL.1, tree)?;
    }
    stock.take_repository(ours)?;
    for contestant in contestants {
        let repository = contestant.repository();
        contestant.run(tree, ["info".as_ref(), repository.as_os_str()])?;
        if kind == Kind::Compact {
            prune(contestant, tree)?;
        }
        contestant.save()?;
    }
    Ok(())
}

fn prune(contestant: &Contestant, tree: &Path) -> Result<Measurement> {
    let repository = contestant.repository();
    let rule = ["prune", "--keep-last", KEPT].map(std::ffi::OsStr::new);
    contestant.run(tree, [rule.as_slice(), &[repository.as_os_str()]].concat())
}

fn run_once(
    contestant: &Contestant,
    kind: Kind,
    tree: &Path,
    repetition: usize,
) -> Result<Measurement> {
    match kind {
        Kind::First(mode, compression) => {
            contestant.init(mode)?;
            settle();
            contestant.with_size(create(contestant, "a", compression, tree)?)
        }
        Kind::Unchanged(_, compression) => {
            settle();
            let name = format!("again{repetition}");
            contestant.with_size(create(contestant, &name, compression, tree)?)
        }
        Kind::Extract(..) => {
            let dir = contestant.empty_dir("out")?;
            settle();
            let measurement = contestant.run(&dir, ["extract", &contestant.archive("a")])?;
            contestant.empty_dir("out")?;
            Ok(measurement)
        }
        Kind::List(..) => contestant.run(tree, ["list", "--json-lines", &contestant.archive("a")]),
        Kind::ExportTar(..) => {
            settle();
            export_tar(contestant, tree)
        }
        Kind::ImportTar(_, compression) => {
            settle();
            let archive = contestant.archive(&format!("again{repetition}"));
            let tarball = tarball(contestant);
            let words = ["import-tar", "--compression", compression, &archive];
            let words = words.map(std::ffi::OsStr::new);
            let words = [words.as_slice(), &[tarball.as_os_str()]].concat();
            contestant.with_size(contestant.run(tree, words)?)
        }
        Kind::Check(_, _, part) => {
            settle();
            let repository = contestant.repository();
            if part == CheckPart::Repository && contestant.program == Program::Stock {
                return contestant.read_and_checksum(&repository.join("data"));
            }
            let words = ["check", part.option()].map(std::ffi::OsStr::new);
            contestant.run(tree, [words.as_slice(), &[repository.as_os_str()]].concat())
        }
        Kind::ListChanging => {
            contestant.run(tree, ["list", "--json-lines", &contestant.archive("a01")])
        }
        Kind::Diff => contestant.run(tree, ["diff", &contestant.archive("a00"), "a01"]),
        Kind::Delete | Kind::Prune | Kind::Compact => {
            contestant.restore()?;
            settle();
            let measurement = match kind {
                Kind::Delete => contestant.run(tree, ["delete", &contestant.archive("a20")]),
                Kind::Prune => prune(contestant, tree),
                _ => {
                    let repository = contestant.repository();
                    contestant.run(tree, ["compact".as_ref(), repository.as_os_str()])
                }
            };
            contestant.with_size(measurement?)
        }
        Kind::Mount(..) => unreachable!("measured by a mount"),
        Kind::Job(_) => job::run(contestant, tree, repetition),
        Kind::Version => contestant.run(tree, ["--version"]),
    }
}

/// Mounts the archive, and uses it, as something its machine has seen before, or not.
fn mount(
    options: &Options,
    contestant: &Contestant,
    usage: Use,
    index: Index,
) -> Result<Measurement> {
    let archive = contestant.archive("a");
    let deep = trees::deep_small(options);
    match index {
        Index::Absent => contestant.forget()?,
        Index::Present => drop(mounting::measure(contestant, &archive, Use::List, &deep)?),
    }
    settle();
    mounting::measure(contestant, &archive, usage, &deep)
}

/// Where tarballs are written.
fn tarball(contestant: &Contestant) -> std::path::PathBuf {
    contestant.repository().with_file_name("out.tar")
}

fn export_tar(contestant: &Contestant, tree: &Path) -> Result<Measurement> {
    let archive = contestant.archive("a");
    let words = ["export-tar", &archive].map(std::ffi::OsStr::new);
    let tarball = tarball(contestant);
    contestant.run(tree, [words.as_slice(), &[tarball.as_os_str()]].concat())
}

fn create(
    contestant: &Contestant,
    name: &str,
    compression: &str,
    tree: &Path,
) -> Result<Measurement> {
    contestant.run(
        tree,
        [
            "create",
            "--compression",
            compression,
            &contestant.archive(name),
            ".",
        ],
    )
}
