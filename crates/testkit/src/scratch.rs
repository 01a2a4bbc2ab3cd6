//! A throw-away directory that can be removed even if a test left immutable files in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use tempfile::TempDir;

use crate::Wire;

/// A directory that is removed, with everything in it, when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: Option<TempDir>,
    path: PathBuf,
    /// How everything here is reached, where the environment says that it is reached over ssh.
    wire: OnceLock<Option<Wire>>,
}

impl Scratch {
    /// A new, empty directory.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("ironborg-")
            .tempdir()
            .expect("a temporary directory");
        // Borg stores canonical paths; a symlinked temporary directory would show in every comparison.
        let path = dir.path().canonicalize().expect("a directory just made");
        Self {
            dir: Some(dir),
            path,
            wire: OnceLock::new(),
        }
    }

    /// The ssh server that repositories here are behind, if the whole suite is sent over the wire.
    pub fn wire(&self) -> Option<&Wire> {
        self.wire.get_or_init(Wire::of_environment).as_ref()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside; nothing is created.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// A new directory inside.
    ///
    /// # Panics
    /// When it exists or cannot be made.
    pub fn dir(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Leaves the directory behind for a look at it and tells where it is.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.dir
            .take()
            .map_or_else(|| self.path.clone(), TempDir::keep)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(dir) = self.dir.take() else { return };
        let keep = std::env::var_os("IRONBORG_KEEP_SCRATCH").is_some();
        if keep && std::thread::panicking() {
            let _ = dir.keep();
            return;
        }
        if fs::remove_dir_all(dir.path()).is_err() {
            clear_flags(dir.path());
            // What still cannot be removed is left to the system; a drop must not panic.
            let _ = fs::remove_dir_all(dir.path());
        }
    }
}

/// Removes the flags that forbid deletion from everything below `dir`.
fn clear_flags(dir: &Path) {
    if let Ok(handle) = File::open(dir) {
        clear(&handle);
    }
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => clear_flags(&entry.path()),
            Ok(kind) if kind.is_file() => {
                if let Ok(handle) = File::open(entry.path()) {
                    clear(&handle);
                }
            }
            _ => {}
        }
    }
}

fn clear(handle: &File) {
    let Ok(flags) = ioctl_getflags(handle) else {
        return;
    };
    let forbidding = IFlags::IMMUTABLE | IFlags::APPEND;
    if flags.intersects(forbidding) {
        let _ = ioctl_setflags(handle, flags - forbidding);
    }
}
