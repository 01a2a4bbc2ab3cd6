//! What is known of one run of one command.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

/// Bytes read at once for a checksum.
pub(crate) const READ_LEN: usize = 1 << 20;

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

/// Adds the content of all files below a directory to a checksum.
pub(crate) fn checksum(dir: &Path, hasher: &mut crc32fast::Hasher) -> Result<()> {
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

/// Reads all files below a directory, so that they are in memory: programs advise the system to forget what they have
/// read or written, and a machine at rest may forget by itself.
pub(crate) fn warm(dir: &Path) -> Result<()> {
    const READ_ALL: &str = r#"find "$1" -type f -print0 | xargs -0 -r -n 500 -P 4 cat > /dev/null"#;
    let status = Command::new("sh")
        .args(["-c", READ_ALL, "sh"])
        .arg(dir)
        .status()?;
    anyhow::ensure!(status.success(), "cannot read {}", dir.display());
    Ok(())
}

/// Writes out what is still in memory, so that one program does not pay for the other's writing.
pub(crate) fn settle() {
    // Without the program there is only more noise.
    let _ = Command::new("sync").status();
}
