//! The generated trees: the same names and bytes on every machine, so that results can be compared.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use ironborg_testkit::{Random, tree};

use crate::options::Options;
use crate::rows::Tree;

/// Bytes in the large files at scale 1.
const LARGE_TOTAL: usize = 4_000_000_000;

/// Large files at scale 1.
const LARGE_COUNT: usize = 2_000;

/// Small files at scale 1.
const SMALL_COUNT: usize = 200_000;

/// Files of the tree that changes, at scale 1.
const CHANGING_COUNT: usize = 100_000;

/// Bytes and files of the random tree at scale 1.
const RANDOM_TOTAL: usize = 250_000_000;
const RANDOM_COUNT: usize = 100;

/// Files of the tree of a million at scale 1.
const MILLION_COUNT: usize = 1_000_000;

/// Bytes of the one file at scale 1, and stretches of one kind of content in it.
const ONE_FILE_LEN: usize = 1_000_000_000;
const ONE_FILE_PARTS: usize = 300;

/// Files of the tree for a long line at scale 1.
const FEW_COUNT: usize = 20_000;

/// One in so many files of the tree that changes is another from one backup to the next.
const CHANGING_STRIDE: usize = 200;

/// Makes the files of a setting, unless they are there.
pub(crate) fn of(options: &Options, tree: Tree) -> Result<PathBuf> {
    match tree {
        Tree::Large => large(options),
        Tree::Small => small(options),
        Tree::Changing => changing(options),
        Tree::FewSmall => few_small(options),
        Tree::Random => random(options),
        Tree::Million => million(options),
        Tree::OneFile => one_file(options),
        Tree::Usr => usr(options),
        Tree::None => Ok(options.dir.clone()),
    }
}

/// The large files: a third incompressible, a third text, a third binaries and duplicates.
fn large(options: &Options) -> Result<PathBuf> {
    make(options, "large", |top| {
        let (count, mut left) = (options.scaled(LARGE_COUNT), options.scaled(LARGE_TOTAL));
        let mut random = Random::new(4);
        for index in 0..count {
            let files_left = count - index;
            let mean = left / files_left;
            // From a tenth of the mean to nearly twice the mean; the last one takes what is left.
            let len = if files_left == 1 {
                left
            } else {
                mean / 10 + random.below(mean * 18 / 10 + 1)
            };
            let len = len.min(left);
            left -= len;
            let dir = top.join(format!("d{:03}", index / 50));
            fs::create_dir_all(&dir)?;
            let mut file = File::create_new(dir.join(format!("f{index:05}")))?;
            // A fifth of the third kind repeats an earlier file of its kind whole.
            let seed = if index % 3 == 2 && index % 5 == 0 {
                2
            } else {
                index as u64
            };
            write_content(&mut file, index % 3, len, seed)?;
        }
        Ok(())
    })
}

/// Piece by piece: the runner's own memory counts as its children's until they have started.
fn write_content(file: &mut File, kind: usize, len: usize, seed: u64) -> Result<()> {
    const PIECE: usize = 1 << 20;
    let mut random = Random::new(seed);
    let mut left = len;
    while left > 0 {
        let part = left.min(PIECE);
        let bytes = match kind {
            0 => random.bytes(part),
            1 => tree::text(&mut random, part),
            _ => binary(&mut random, part),
        };
        file.write_all(&bytes)?;
        left -= part;
    }
    Ok(())
}

/// Something like machine code and tables: short patterns from a small set, addresses that count up, runs of zeros.
fn binary(random: &mut Random, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 64);
    let mut address = random.next_u64() & 0xff_ffff;
    let patterns = random.bytes(256 * 8);
    while bytes.len() < len {
        match random.below(8) {
            0..5 => {
                let at = random.below(256) * 8;
                let width = 2 + random.below(6);
                bytes.extend_from_slice(&patterns[at..at + width]);
            }
            5 | 6 => {
                address += 4 + random.next_u64() % 60;
                bytes.extend_from_slice(&address.to_le_bytes());
            }
            _ => bytes.resize(bytes.len() + 1 + random.below(24), 0),
        }
    }
    bytes.truncate(len);
    bytes
}

/// The small files: 0 to 6 KB, a hundred to a directory.
fn small(options: &Options) -> Result<PathBuf> {
    make(options, "small", |top| {
        small_files(top, options.scaled(SMALL_COUNT))
    })
}

/// The directory of the last of the small files, below their top.
pub(crate) fn deep_small(options: &Options) -> PathBuf {
    let last = small_file(Path::new(""), options.scaled(SMALL_COUNT) - 1);
    last.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Files of a few bytes, named and spread as the small ones.
fn million(options: &Options) -> Result<PathBuf> {
    make(options, "million", |top| {
        for index in 0..options.scaled(MILLION_COUNT) {
            let path = small_file(top, index);
            if index % 100 == 0 {
                fs::create_dir_all(path.parent().context("files are in directories")?)?;
            }
            File::create_new(path)?.write_all(format!("{index}\n").as_bytes())?;
        }
        Ok(())
    })
}

/// One file, of every kind of content in turn.
fn one_file(options: &Options) -> Result<PathBuf> {
    make(options, "one-file", |top| {
        let mut file = File::create_new(top.join("file"))?;
        let part = options.scaled(ONE_FILE_LEN) / ONE_FILE_PARTS;
        for index in 0..ONE_FILE_PARTS {
            write_content(&mut file, index % 3, part, index as u64)?;
        }
        Ok(())
    })
}

/// A tenth of the small files.
fn few_small(options: &Options) -> Result<PathBuf> {
    make(options, "few-small", |top| {
        small_files(top, options.scaled(FEW_COUNT))
    })
}

/// Nothing that could be compressed: what is in the files is what has to cross a line.
fn random(options: &Options) -> Result<PathBuf> {
    make(options, "random", |top| {
        let len = options.scaled(RANDOM_TOTAL) / RANDOM_COUNT;
        for index in 0..RANDOM_COUNT {
            let mut file = File::create_new(top.join(format!("f{index:03}")))?;
            write_content(&mut file, 0, len, index as u64)?;
        }
        Ok(())
    })
}

/// Half as many small files, to be changed by [`change`].
fn changing(options: &Options) -> Result<PathBuf> {
    make(options, "changing", |top| {
        small_files(top, options.scaled(CHANGING_COUNT))
    })
}

/// Changes some files, all over the tree, to what they are in backup number `generation`.
pub(crate) fn change(options: &Options, top: &Path, generation: usize) -> Result<()> {
    let mut random = Random::new(generation as u64);
    let first = generation % CHANGING_STRIDE;
    for index in (first..options.scaled(CHANGING_COUNT)).step_by(CHANGING_STRIDE) {
        let len = 1 + random.below(6_000);
        fs::write(small_file(top, index), random.bytes(len))?;
    }
    Ok(())
}

/// Files of the small tree that are changed for a while: from the first to the last change the tree counts as not whole.
#[derive(Debug)]
pub(crate) struct Changes {
    top: PathBuf,
    count: usize,
    /// Where the files are as they were.
    originals: PathBuf,
    whole: PathBuf,
}

impl Changes {
    pub(crate) fn begin(options: &Options, top: &Path) -> Result<Self> {
        let changes = Self {
            top: top.to_path_buf(),
            count: options.scaled(SMALL_COUNT),
            originals: top.with_extension("originals"),
            whole: top.with_added_extension("whole"),
        };
        fs::remove_file(&changes.whole).with_context(|| format!("{}", changes.whole.display()))?;
        if changes.originals.exists() {
            fs::remove_dir_all(&changes.originals)?;
        }
        fs::create_dir_all(&changes.originals)?;
        Ok(changes)
    }

    /// Gives one file in a hundred other content, others for each of a hundred repetitions; all are small.
    pub(crate) fn change_hundredth(&self, repetition: usize) -> Result<()> {
        let mut random = Random::new(1_000 + repetition as u64);
        for index in (repetition % 100..self.count).step_by(100) {
            let path = small_file(&self.top, index);
            let original = self.originals.join(index.to_string());
            if !original.exists() {
                fs::copy(&path, original)?;
            }
            let len = 1 + random.below(6_000);
            fs::write(path, random.bytes(len))?;
        }
        Ok(())
    }

    /// Gives all files the content they had.
    pub(crate) fn undo(self) -> Result<()> {
        for entry in fs::read_dir(&self.originals)? {
            let entry = entry?;
            let name = entry.file_name();
            let index = name.to_str().and_then(|name| name.parse().ok());
            let index = index.context("originals are named by their numbers")?;
            fs::copy(entry.path(), small_file(&self.top, index))?;
        }
        fs::remove_dir_all(&self.originals)?;
        File::create(&self.whole)?;
        Ok(())
    }
}

fn small_files(top: &Path, count: usize) -> Result<()> {
    let mut random = Random::new(200);
    for index in 0..count {
        let path = small_file(top, index);
        if index % 100 == 0 {
            fs::create_dir_all(path.parent().context("files are in directories")?)?;
        }
        let len = random.below(3_000) + random.below(3_000);
        let bytes = if index % 2 == 0 {
            tree::text(&mut random, len)
        } else {
            random.bytes(len)
        };
        File::create_new(path)?.write_all(&bytes)?;
    }
    Ok(())
}

fn small_file(top: &Path, index: usize) -> PathBuf {
    top.join(format!("d{:02}", index / 10_000))
        .join(format!("d{:04}", index / 100))
        .join(format!("f{index:06}"))
}

/// A copy of this machine's `/usr`: real files, but not the same everywhere.
fn usr(options: &Options) -> Result<PathBuf> {
    make(options, "usr", |top| {
        let status = Command::new("cp")
            .args(["-a", "--one-file-system", "/usr"])
            .arg(top)
            .status()?;
        if !status.success() {
            bail!("cp: {status}");
        }
        Ok(())
    })
}

/// Makes a tree unless a whole one is there from an earlier run, and reads it once so that it is in memory.
fn make(options: &Options, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let top = options.dir.join(format!("tree-{name}-{}", options.scale));
    let whole = options
        .dir
        .join(format!("tree-{name}-{}.whole", options.scale));
    if !whole.exists() {
        eprintln!("making the tree {name}");
        if top.exists() {
            fs::remove_dir_all(&top).with_context(|| format!("{}", top.display()))?;
        }
        fs::create_dir_all(&top).with_context(|| format!("{}", top.display()))?;
        fill(&top).with_context(|| format!("cannot make {}", top.display()))?;
        File::create(&whole).with_context(|| format!("{}", whole.display()))?;
    }
    let mut command = Command::new("tar");
    command
        .args(["-cf", "-", "."])
        .current_dir(&top)
        .stdout(Stdio::piped());
    let mut tar = command.spawn().context("tar")?;
    // Straight into /dev/null tar would not read the files at all.
    let mut pipe = tar.stdout.take().context("a pipe was asked for")?;
    std::io::copy(&mut pipe, &mut std::io::sink()).context("reading the tree")?;
    tar.wait().context("tar")?;
    Ok(top)
}
