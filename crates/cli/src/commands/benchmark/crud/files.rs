//! The files a benchmark works with, and their removal.

use std::path::{Path, PathBuf};

use ironborg_source::named_file;

use crate::error::CliError;
use crate::signals;

/// The directory they are in, below the one the user names.
const DIRECTORY: &str = "borg-test-data";

/// What is in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// What compresses and deduplicates best.
    Zeros,
    /// What does not at all.
    Random,
}

/// Files that are removed on drop, however the benchmark ends.
pub(super) struct TestFiles {
    directory: PathBuf,
    count: usize,
}

impl TestFiles {
    /// Writes `count` files of `size` bytes below `path`.
    ///
    /// # Errors
    /// A directory of that name, which is left alone; a failed write; a wish to stop.
    pub(super) fn create(
        path: &Path,
        count: usize,
        size: usize,
        content: Content,
    ) -> Result<Self, CliError> {
        let failed = |error: named_file::NamedFileError| CliError::unexpected(error.to_string());
        let directory = path.join(DIRECTORY);
        if named_file::exists(&directory) {
            return Err(CliError::generic(format!(
                "{} is there already.",
                directory.display()
            )));
        }
        named_file::make_directories(&directory, 0o777).map_err(failed)?;
        let files = Self { directory, count };
        let mut data = vec![0; size];
        for number in 0..count {
            if signals::INTERRUPT.stop_requested() {
                return Err(CliError::signal(2));
            }
            if content == Content::Random {
                getrandom::fill(&mut data)
                    .map_err(|error| CliError::generic(format!("no random numbers: {error}")))?;
            }
            named_file::write(files.file(number).as_os_str(), &data).map_err(failed)?;
        }
        Ok(files)
    }

    /// Where they are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn file(&self, number: usize) -> PathBuf {
        self.directory.join(format!("file_{number}"))
    }
}

impl Drop for TestFiles {
    fn drop(&mut self) {
        for number in 0..self.count {
            let _ = named_file::remove(&self.file(number));
        }
        let _ = named_file::remove_directory(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_there_until_they_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/place");
        let files = TestFiles::create(&path, 3, 1000, Content::Random).unwrap();
        let read = |number| named_file::read(files.file(number).as_os_str()).unwrap();
        assert_eq!(read(2).len(), 1000);
        assert_ne!(read(0), read(1));
        let directory = files.directory().to_owned();
        drop(files);
        assert!(!named_file::exists(&directory));
        assert!(named_file::exists(&path));
    }

    /// Stock Borg removes such a directory with all that is in it.
    #[test]
    fn a_directory_of_that_name_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join(DIRECTORY);
        named_file::make_directories(&mine, 0o777).unwrap();
        assert!(TestFiles::create(dir.path(), 1, 1, Content::Zeros).is_err());
        assert!(named_file::exists(&mine));
    }
}
