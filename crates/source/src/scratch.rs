//! A private directory for files that are restored, looked at and thrown away.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::named_file::{NamedFileError, make_directories, remove_directory};
use crate::restore::chmod_entry;

/// A directory that only its owner can look into. It goes when this goes.
#[derive(Debug)]
pub struct ScratchDirectory {
    path: PathBuf,
    dir: OwnedFd,
}

impl ScratchDirectory {
    /// Makes it, and those above that are missing; what a killed process has left in it is removed.
    ///
    /// # Errors
    /// It cannot be made, or something is in it that cannot be removed.
    pub fn create(path: &Path) -> Result<Self, NamedFileError> {
        make_directories(path, 0o700)?;
        let fail = |errno| NamedFileError::new(errno, path.as_os_str());
        let dir = open_directory(CWD, path).map_err(fail)?;
        rustix::fs::fchmod(&dir, Mode::RWXU).map_err(fail)?;
        let scratch = Self {
            path: path.to_owned(),
            dir,
        };
        scratch.clear()?;
        Ok(scratch)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes the file system has left for who runs this.
    pub fn free_bytes(&self) -> u64 {
        rustix::fs::fstatvfs(&self.dir)
            .map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Removes everything in it, however deep and whatever its modes say.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn clear(&self) -> Result<(), NamedFileError> {
        self.remove_all()
            .map_err(|errno| NamedFileError::new(errno, self.path.as_os_str()))
    }

    /// Directories are moved up to be emptied: no depth needs more than one descriptor.
    fn remove_all(&self) -> Result<(), Errno> {
        let mut moved = 0_u64;
        loop {
            let names = names_in(self.dir.as_fd())?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                if is_directory(self.dir.as_fd(), &name)? {
                    self.empty(&name, &mut moved)?;
                    rustix::fs::unlinkat(&self.dir, &name[..], AtFlags::REMOVEDIR)?;
                } else {
                    rustix::fs::unlinkat(&self.dir, &name[..], AtFlags::empty())?;
                }
            }
        }
    }

    /// Takes everything out of a directory in this one.
    fn empty(&self, name: &[u8], moved: &mut u64) -> Result<(), Errno> {
        chmod_entry(self.dir.as_fd(), name, 0o700)?;
        let directory = open_directory(self.dir.as_fd(), name)?;
        for child in names_in(directory.as_fd())? {
            if is_directory(directory.as_fd(), &child)? {
                // Its entry for the directory above is written to.
                chmod_entry(directory.as_fd(), &child, 0o700)?;
                self.move_up(directory.as_fd(), &child, moved)?;
            } else {
                rustix::fs::unlinkat(&directory, &child[..], AtFlags::empty())?;
            }
        }
        Ok(())
    }

    fn move_up(
        &self,
        directory: BorrowedFd<'_>,
        child: &[u8],
        moved: &mut u64,
    ) -> Result<(), Errno> {
        loop {
            *moved += 1;
            let name = format!(".removed-{moved}");
            match rustix::fs::renameat(directory, child, &self.dir, name.as_str()) {
                // Something is called like that: another number.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                result => return result,
            }
        }
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // What is left is removed when it is made again.
        let _ = self.clear();
        let _ = remove_directory(&self.path);
    }
}

fn open_directory(at: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn is_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    let found = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

fn names_in(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn everything_in_it_goes_whatever_its_modes_and_depth() {
        let temp = tempfile::tempdir().unwrap();
        let outside = temp.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), b"x").unwrap();
        let path = temp.path().join("a/scratch");
        // What a killed process has left.
        fs::create_dir_all(path.join("d/e")).unwrap();
        fs::write(path.join("d/e/f"), b"x").unwrap();
        fs::set_permissions(path.join("d/e"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(path.join("d"), fs::Permissions::from_mode(0o500)).unwrap();
        let scratch = ScratchDirectory::create(&path).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(scratch.free_bytes() > 0);
        symlink(&outside, path.join("link")).unwrap();
        fs::create_dir_all(path.join("x/.removed-1/y")).unwrap();
        fs::create_dir_all(path.join(".removed-1/z")).unwrap();
        symlink(&outside, path.join("x/.removed-1/y/link")).unwrap();
        let mut deep = path.clone();
        for _ in 0..300 {
            deep.push("deep");
        }
        fs::create_dir_all(&deep).unwrap();
        scratch.clear().unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::write(path.join("f"), b"x").unwrap();
        drop(scratch);
        assert!(!path.exists() && outside.join("kept").exists());
    }
}
