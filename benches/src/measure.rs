//! One timed command.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ironborg_testkit::Program;

use crate::options::Options;
use crate::sys;
use crate::wire::{Far, Line, Wire};

/// Bytes read at once for a checksum.
const READ_LEN: usize = 1 << 20;

/// One run of one command by one program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measurement {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Bytes.
    pub(crate) peak: u64,
    /// Bytes of the repository afterwards; 0 where that says nothing.
    pub(crate) repository: u64,
}

impl Measurement {
    /// This and then another, as one.
    pub(crate) fn then(self, next: Self) -> Self {
        Self {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            peak: self.peak.max(next.peak),
            repository: next.repository,
        }
    }
}

/// A program with its own machine (base directory) and repository.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    /// The column: ours, or what it is compared with.
    pub(crate) program: Program,
    binary: PathBuf,
    place: PathBuf,
    /// The server, if the repository is reached through one.
    far: Option<Far>,
}

impl Contestant {
    /// Makes an empty place under `dir` for the program of one column.
    ///
    /// `wire`: the repository is reached through it, by stock Borg at both ends in stock Borg's column.
    pub(crate) fn new(
        options: &Options,
        program: Program,
        wire: Option<Wire>,
        dir: &str,
    ) -> Result<Self> {
        let (client, server) = match (program, wire) {
            (Program::Ours, Some(wire)) => (wire.client, wire.server),
            _ => (program, program),
        };
        let binary = |program| {
            match program {
                Program::Ours => &options.ours,
                Program::Stock => &options.stock,
            }
            .canonicalize()
        };
        let server = binary(server)?;
        let far = wire
            .map(|wire| Far::new(server, wire.line, options))
            .transpose()?;
        let place = std::path::absolute(options.dir.join(dir).join(program.name()))?;
        remove(&place)?;
        std::fs::create_dir_all(&place).with_context(|| format!("{}", place.display()))?;
        Ok(Self {
            program,
            binary: binary(client)?,
            place,
            far,
        })
    }

    /// The same, with no more than a pipe to its server: for what is not timed.
    pub(crate) fn on_a_fast_line(&self, options: &Options) -> Result<Self> {
        let mut same = self.clone();
        if let Some(far) = same.far.take() {
            same.far = Some(Far::new(far.server, Line::Pipe, options)?);
        }
        Ok(same)
    }

    /// Runs another column's program, on its own machine and repository.
    pub(crate) fn play_with(&mut self, other: &Self) {
        self.binary.clone_from(&other.binary);
    }

    /// The repository's path.
    pub(crate) fn repository(&self) -> PathBuf {
        self.place.join("repo")
    }

    /// The repository as the program is told of it.
    fn location(&self) -> String {
        let path = self.repository();
        match &self.far {
            Some(_) => format!("ssh://far.example{}", path.display()),
            None => path.display().to_string(),
        }
    }

    /// `REPOSITORY::NAME`
    pub(crate) fn archive(&self, name: &str) -> String {
        format!("{}::{name}", self.location())
    }

    /// An empty directory of the given name.
    pub(crate) fn empty_dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.place.join(name);
        remove(&dir)?;
        std::fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
        Ok(dir)
    }

    /// Removes everything of this program.
    pub(crate) fn clear(&self) -> Result<()> {
        remove(&self.aside())?;
        remove(&self.place)
    }

    /// Copies everything of this program aside, in place of an earlier copy.
    pub(crate) fn save(&self) -> Result<()> {
        let aside = self.aside();
        remove(&aside)?;
        copy(&self.place, &aside)
    }

    /// Puts everything back as it was saved.
    pub(crate) fn restore(&self) -> Result<()> {
        remove(&self.place)?;
        copy(&self.aside(), &self.place)
    }

    /// Takes a copy of the other program's repository for its own.
    pub(crate) fn take_repository(&self, other: &Self) -> Result<()> {
        remove(&self.repository())?;
        copy(&other.repository(), &self.repository())
    }

    fn aside(&self) -> PathBuf {
        self.place.with_extension("saved")
    }

    /// Makes a new repository, forgetting an old one and everything known about it.
    pub(crate) fn init(&self, mode: &str) -> Result<()> {
        self.clear()?;
        std::fs::create_dir_all(&self.place)
            .with_context(|| format!("{}", self.place.display()))?;
        self.run(&self.place, ["init", "-e", mode, &self.location()])?;
        Ok(())
    }

    /// Runs a command to its end and measures it; its standard output goes to a file nobody reads.
    ///
    /// The processor time is that of the process and of those it has waited for, such as the server it has started; the
    /// memory is that of the largest of them. As the kernel counts a parent's memory until
    /// the child has started its program, this runner keeps its own small.
    pub(crate) fn run<I, S>(&self, dir: &Path, args: I) -> Result<Measurement>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.command(dir, args)?;
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("{}", self.binary.display()))?;
        let usage = sys::wait(child.id()).context("cannot wait for a child")?;
        let wall = started.elapsed();
        if usage.code != 0 {
            bail!(
                "{} exits with {}: {command:?}\n{}",
                self.program.name(),
                usage.code,
                self.errors()
            );
        }
        let cpu = usage.user + usage.system;
        Ok(Measurement {
            wall,
            cpu,
            peak: usage.peak,
            repository: 0,
        })
    }

    /// A command of this program that is about to be started; its outputs go to files.
    pub(crate) fn command<I, S>(&self, dir: &Path, args: I) -> Result<Command>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(&self.binary);
        command.args(args).current_dir(dir).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", &self.place)
            .env("BORG_BASE_DIR", &self.place);
        command
            .env("BORG_PASSPHRASE", "a passphrase for measuring")
            .env("LC_ALL", "C.UTF-8");
        if let Some(Far { server, rsh }) = &self.far {
            command.env("BORG_RSH", rsh).env("BORG_REMOTE_PATH", server);
        }
        command
            .stdin(Stdio::null())
            .stdout(File::create(self.beside("output"))?)
            .stderr(File::create(self.beside("errors"))?);
        Ok(command)
    }

    /// What the last command said on standard error.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(self.beside("errors")).unwrap_or_default()
    }

    /// A path beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Forgets everything that could be worked out again.
    pub(crate) fn forget(&self) -> Result<()> {
        remove(&self.place.join(".cache"))
    }

    /// Reads all files below a directory and sums their CRC-32 up, one after the other on one thread: what a check of
    /// segments cannot do without.
    pub(crate) fn read_and_checksum(&self, dir: &Path) -> Result<Measurement> {
        let started = Instant::now();
        let mut hasher = crc32fast::Hasher::new();
        checksum(dir, &mut hasher)?;
        let wall = started.elapsed();
        std::fs::write(self.place.join("output"), hasher.finalize().to_string())?;
        Ok(Measurement {
            wall,
            // One thread that hardly waits: what is read was just written.
            cpu: wall,
            peak: READ_LEN as u64,
            repository: 0,
        })
    }

    /// The measurement with the repository's size added.
    pub(crate) fn with_size(&self, mut measurement: Measurement) -> Result<Measurement> {
        measurement.repository = size_of(&self.repository().join("data"))?;
        Ok(measurement)
    }
}

/// Bytes of all files below a directory.
pub(crate) fn size_of(dir: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        let entry = entry?;
        let meta = entry.metadata()?;
        total += if meta.is_dir() {
            size_of(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(total)
}

fn checksum(dir: &Path, hasher: &mut crc32fast::Hasher) -> Result<()> {
    let mut buffer = vec![0; READ_LEN];
    for entry in std::fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        let entry = entry?;
        if entry.metadata()?.is_dir() {
            checksum(&entry.path(), hasher)?;
            continue;
        }
        let mut file = File::open(entry.path())?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").args([from, to]).status()?;
    if !status.success() {
        bail!("cannot copy {}: {status}", from.display());
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_dir_all(path)
            .with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Writes out what is still in memory, so that one program does not pay for the other's writing.
pub(crate) fn settle() {
    // Without the program there is only more noise.
    let _ = Command::new("sync").status();
}
