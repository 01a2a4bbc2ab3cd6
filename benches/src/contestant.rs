//! A program with its own machine and repository, and how its commands are run.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::measure::{Measurement, READ_LEN, checksum, size_of};
use crate::options::Options;
use crate::sys;
use crate::tools::{Deed, Tool};
use crate::wire::{Far, Line, Wire};

/// A program with its own machine (base directory) and repository.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    /// The column: ours, or what it is compared with.
    pub(crate) tool: Tool,
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
        tool: Tool,
        wire: Option<Wire>,
        dir: &str,
    ) -> Result<Self> {
        let (client, server) = match (tool, wire) {
            (Tool::Ours, Some(wire)) => (wire.client.into(), wire.server.into()),
            _ => (tool, tool),
        };
        let server = options.binary(server)?;
        let far = wire
            .map(|wire| Far::new(server, wire.line, options))
            .transpose()?;
        let place = std::path::absolute(options.dir.join(dir).join(tool.name()))?;
        remove(&place)?;
        std::fs::create_dir_all(&place).with_context(|| format!("{}", place.display()))?;
        Ok(Self {
            tool,
            binary: options.binary(client)?,
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
    pub(crate) fn location(&self) -> String {
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

    /// Removes everything of this program, copies included.
    pub(crate) fn clear(&self) -> Result<()> {
        remove(&self.aside(""))?;
        remove(&self.place)
    }

    /// Copies everything of this program aside under a name, in place of an earlier copy.
    pub(crate) fn save(&self, state: &str) -> Result<()> {
        let aside = self.aside(state);
        remove(&aside)?;
        std::fs::create_dir_all(self.aside(""))?;
        copy(&self.place, &aside)
    }

    /// Puts everything back as it was saved under that name.
    pub(crate) fn restore(&self, state: &str) -> Result<()> {
        remove(&self.place)?;
        copy(&self.aside(state), &self.place)
    }

    /// Whether something was saved under that name.
    pub(crate) fn has_saved(&self, state: &str) -> bool {
        self.aside(state).exists()
    }

    /// Takes a copy of the other program's repository for its own.
    pub(crate) fn take_repository(&self, other: &Self) -> Result<()> {
        remove(&self.repository())?;
        copy(&other.repository(), &self.repository())
    }

    fn aside(&self, state: &str) -> PathBuf {
        self.place.with_extension("saved").join(state)
    }

    /// Makes a new repository, forgetting an old one and everything known about it.
    pub(crate) fn init(&self, mode: &str) -> Result<()> {
        self.clear()?;
        std::fs::create_dir_all(&self.place)
            .with_context(|| format!("{}", self.place.display()))?;
        if let Some(words) = self.tool.words_before_init(self) {
            self.run(&self.place, words)?;
        }
        self.perform(&self.place, Deed::Init { mode }).map(drop)
    }

    /// Has it do what any program can, and measures that.
    pub(crate) fn perform(&self, dir: &Path, deed: Deed<'_>) -> Result<Measurement> {
        let words = self.tool.words(self, deed);
        let words = words.ok_or_else(|| anyhow!("{} cannot do {deed:?}", self.tool.name()))?;
        let measurement = self.run(dir, words)?;
        if let (Deed::Backup { name, .. }, false) = (deed, self.tool.is_borg()) {
            std::fs::write(self.said(name), self.output() + &self.errors())?;
        }
        Ok(measurement)
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
                "{} exits with {}: {:?}\n{}",
                self.tool.name(),
                usage.code,
                command.get_args().collect::<Vec<_>>(),
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
        command.envs(Tool::environment(self));
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

    /// What the last command said on standard output.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.beside("output")).unwrap_or_default()
    }

    /// A path beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Where it is kept what was said when a backup was made, by programs that choose names of their own.
    pub(crate) fn said(&self, name: &str) -> PathBuf {
        self.beside(&format!("said-{name}"))
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
        measurement.repository = size_of(&self.repository())?;
        Ok(measurement)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto"]).args([from, to]);
    let status = command.status()?;
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
