//! Small files the user names, where `-` stands for standard input or output.

use std::ffi::OsStr;

use ironborg_source::named_file::{self, NamedFileError};
use zeroize::Zeroizing;

use crate::console::Stdout;
use crate::error::CliError;

/// Reads a file whole; it may hold secrets.
pub(crate) fn read(path: &OsStr) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let content = if path == "-" {
        named_file::read_descriptor(rustix::stdio::stdin())
            .map_err(|errno| CliError::unexpected(named_file::error_text(errno.raw_os_error())))?
    } else {
        named_file::read(path).map_err(|error| CliError::unexpected(error.to_string()))?
    };
    Ok(Zeroizing::new(content))
}

/// Writes a file, durably, in the place of what was in it; without a path to standard output.
pub(crate) fn write(path: Option<&OsStr>, content: &str) -> Result<(), CliError> {
    write_or(path, content, |_, error| {
        CliError::unexpected(error.to_string())
    })
}

/// As [`write`], where a directory in the place of the file is a mistake with a name.
pub(crate) fn write_no_directory(path: Option<&OsStr>, content: &str) -> Result<(), CliError> {
    write_or(path, content, |path, error| {
        if error.is_a_directory() {
            let shown = path.to_string_lossy();
            return CliError::command(format!("'{shown}' must be a file, not a directory"));
        }
        CliError::unexpected(error.to_string())
    })
}

fn write_or(
    path: Option<&OsStr>,
    content: &str,
    failed: impl FnOnce(&OsStr, NamedFileError) -> CliError,
) -> Result<(), CliError> {
    match path {
        Some(path) if path != "-" => {
            named_file::write(path, content.as_bytes()).map_err(|error| failed(path, error))
        }
        _ => {
            let mut stdout = Stdout::new();
            stdout.text(content)?;
            stdout.finish()
        }
    }
}
