//! An archive mounted for a row, what is done with it, and what the mount has used. Unmounted whatever happens.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::contestant::Contestant;
use crate::measure::Measurement;
use crate::sys;

/// Longest time until an archive is mounted, and until the program has ended after it was unmounted.
const PATIENCE: Duration = Duration::from_mins(30);

/// Between two looks whether it is mounted: far below what is measured.
const LOOK: Duration = Duration::from_micros(200);

/// What is done with a mounted archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The first look at the top, and at one directory far down.
    List,
    /// `find -ls`: every name and all that `stat` says of it.
    Find,
    /// One file from its beginning to its end.
    Cat,
    /// All files, by `tar` into a pipe: into `/dev/null` it would read none.
    Tar,
}

impl Use {
    /// A shell script that does it, in the mounted directory.
    fn script(self) -> &'static str {
        match self {
            Self::List => "ls . && ls \"$DEEP\"",
            Self::Find => "find . -ls",
            Self::Cat => "cat file > /dev/null",
            Self::Tar => "set -o pipefail; tar -cf - . | cat > /dev/null",
        }
    }
}

/// Mounts an archive, uses it, unmounts it. The time is that from the start of the mount command to the end of the use;
/// processor time and memory are those of the program that mounts, to its end.
pub(crate) fn measure(
    contestant: &Contestant,
    archive: &str,
    usage: Use,
    deep: &Path,
) -> Result<Measurement> {
    let mountpoint = contestant.empty_dir("mounted")?;
    let started = Instant::now();
    let mounted = Mounted::start(contestant, archive, mountpoint)?;
    let mut command = Command::new("bash");
    command
        .args(["-c", usage.script()])
        .env("DEEP", deep)
        .current_dir(&mounted.mountpoint)
        .stdin(Stdio::null())
        .stdout(File::create(contestant.beside("seen"))?);
    let status = command.status().context("bash")?;
    let wall = started.elapsed();
    if !status.success() {
        bail!(
            "{usage:?} in a mount of {}: {status}",
            contestant.tool.name()
        );
    }
    let used = mounted.end()?;
    Ok(Measurement {
        wall,
        cpu: used.user + used.system,
        peak: used.peak,
        repository: 0,
    })
}

/// A program in the foreground that mounts.
struct Mounted {
    mountpoint: PathBuf,
    /// None when it has been waited for.
    pid: Option<u32>,
}

impl Mounted {
    /// Returns when it is mounted.
    fn start(contestant: &Contestant, archive: &str, mountpoint: PathBuf) -> Result<Self> {
        let beside = device(&mountpoint)?;
        let words = ["mount", "--foreground", archive].map(std::ffi::OsStr::new);
        let words = [words.as_slice(), &[mountpoint.as_os_str()]].concat();
        let mut command = contestant.command(&contestant.beside(""), words)?;
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let mounted = Self {
            mountpoint,
            pid: Some(child.id()),
        };
        let deadline = Instant::now() + PATIENCE;
        while device(&mounted.mountpoint)? == beside {
            if sys::has_ended(child.id()) || Instant::now() > deadline {
                bail!("not mounted: {command:?}\n{}", contestant.errors());
            }
            thread::sleep(LOOK);
        }
        Ok(mounted)
    }

    /// Unmounts it and says what the program has used.
    fn end(mut self) -> Result<sys::Usage> {
        let mut command = Command::new("fusermount3");
        command.arg("-u").arg(&self.mountpoint);
        let status = command.status().context("fusermount3")?;
        if !status.success() {
            bail!("cannot unmount {}: {status}", self.mountpoint.display());
        }
        let pid = self.pid.take().context("not waited for yet")?;
        let deadline = Instant::now() + PATIENCE;
        while !sys::has_ended(pid) {
            if Instant::now() > deadline {
                self.pid = Some(pid);
                bail!("unmounted, but the program goes on");
            }
            thread::sleep(Duration::from_millis(1));
        }
        let used = sys::wait(pid).context("cannot wait for a child")?;
        if used.code != 0 {
            bail!("the program that mounted exits with {}", used.code);
        }
        Ok(used)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            // Lazily: whoever is in there must not keep it.
            let mut command = Command::new("fusermount3");
            command
                .arg("-uz")
                .arg(&self.mountpoint)
                .stderr(Stdio::null());
            let _ = command.status();
            sys::kill(pid);
            let _ = sys::wait(pid);
        }
    }
}

/// Another one as soon as something is mounted there.
fn device(dir: &Path) -> Result<u64> {
    let meta = std::fs::metadata(dir).with_context(|| format!("{}", dir.display()))?;
    Ok(meta.dev())
}
