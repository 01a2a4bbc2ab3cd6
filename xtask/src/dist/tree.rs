//! A directory that becomes a package: files, links and directories with the modes they are to have.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::process;

/// Mode of files everybody may read.
const READABLE: u32 = 0o644;
/// Mode of programs and directories.
const USABLE: u32 = 0o755;

/// A directory below which a package is put together.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Makes the directory.
    pub(super) fn new(root: PathBuf) -> Result<Self> {
        super::recreate(&root)?;
        let tree = Self { root };
        tree.allow(&tree.root, USABLE)?;
        Ok(tree)
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a directory, and those above it, and says where it is.
    pub(super) fn dir(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let mut dir = self.root.clone();
        for part in path.as_ref() {
            dir.push(part);
            if !dir.exists() {
                fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
                self.allow(&dir, USABLE)?;
            }
        }
        Ok(dir)
    }

    /// Where a file is to be put; its directory is made.
    pub(super) fn place(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        if let Some(above) = path.parent() {
            self.dir(above)?;
        }
        Ok(self.root.join(path))
    }

    /// Writes a file everybody may read.
    pub(super) fn file(&self, path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        self.write(path.as_ref(), content, READABLE)
    }

    /// Writes a program.
    pub(super) fn script(&self, path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        self.write(path.as_ref(), content, USABLE)
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let place = self.place(path)?;
        fs::write(&place, content).with_context(|| format!("cannot write {}", place.display()))?;
        self.allow(&place, mode)
    }

    /// Puts a program there, stripped.
    pub(super) fn program(&self, path: impl AsRef<Path>, binary: &Path) -> Result<()> {
        let place = self.place(path)?;
        super::binary::strip(binary, &place)?;
        self.allow(&place, USABLE)
    }

    /// Makes a symbolic link.
    pub(super) fn link(&self, path: impl AsRef<Path>, to: &str) -> Result<()> {
        let place = self.place(path)?;
        symlink(to, &place).with_context(|| format!("cannot create {}", place.display()))
    }

    fn allow(&self, path: &Path, mode: u32) -> Result<()> {
        debug_assert!(path.starts_with(&self.root));
        fs::set_permissions(path, Permissions::from_mode(mode))
            .with_context(|| format!("cannot set the mode of {}", path.display()))
    }

    /// Everything below, directories too, in the order of the names, without what is a directory of `except`.
    pub(super) fn list(&self, except: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut dirs = vec![self.root.clone()];
        while let Some(dir) = dirs.pop() {
            let entries = fs::read_dir(&dir);
            for entry in entries.with_context(|| format!("cannot read {}", dir.display()))? {
                let path = entry?.path();
                if path
                    .strip_prefix(&self.root)
                    .is_ok_and(|below| below.starts_with(except))
                {
                    continue;
                }
                if fs::symlink_metadata(&path)?.is_dir() {
                    dirs.push(path.clone());
                }
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Compresses files, without saying when or from what.
    pub(super) fn compress(&self, paths: &[PathBuf]) -> Result<()> {
        let mut command = Command::new("gzip");
        command.args(["-9", "--no-name", "--quiet", "--"]);
        process::run(command.args(paths).current_dir(&self.root))
    }

    /// Gives everything the same time. Links keep theirs: what packs them has to see to that.
    pub(super) fn set_times(&self, time: SystemTime) -> Result<()> {
        let all = self.list("/")?;
        for path in all.iter().chain([&self.root]) {
            if fs::symlink_metadata(path)?.is_symlink() {
                continue;
            }
            let file =
                File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            file.set_modified(time)
                .with_context(|| format!("cannot set the time of {}", path.display()))?;
        }
        Ok(())
    }
}
