//! What the commands on single objects share: ids as people type them, and files of what was found.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use ironborg_archive::Client;
use ironborg_archive::debug::ObjectDump;
use ironborg_repository::Repository;
use ironborg_source::named_file::{self, NamedFileError, OutputFile};
use ironborg_types::{ChunkId, hex, text};

use crate::console::Stdout;
use crate::error::CliError;
use crate::signals;

/// An id as typed.
#[derive(Debug, Clone)]
pub(super) struct TypedId {
    /// As messages repeat it.
    pub(super) shown: String,
    /// The id, or why it is none.
    pub(super) id: Result<ChunkId, String>,
}

impl TypedId {
    pub(super) fn new(word: &OsStr) -> Self {
        Self {
            shown: text::display(word.as_bytes()).into_owned(),
            id: parse(word.as_bytes()),
        }
    }

    /// The id.
    ///
    /// # Errors
    /// For what is none, with the reason.
    pub(super) fn required(&self) -> Result<ChunkId, CliError> {
        self.id.clone().map_err(|reason| {
            CliError::command(format!("object id {} is invalid [{reason}].", self.shown))
        })
    }
}

fn parse(word: &[u8]) -> Result<ChunkId, String> {
    let bytes = unhexlify(word)?;
    ChunkId::from_slice(&bytes).ok_or_else(|| {
        format!(
            "Expected 32 bytes (64 hex digits), got {} bytes.",
            bytes.len()
        )
    })
}

/// Bytes written as hexadecimal digits, or what Python says of words that are none.
pub(super) fn unhexlify(word: &[u8]) -> Result<Vec<u8>, String> {
    // Undecodable bytes are as little ASCII as what is shown for them.
    let text = String::from_utf8_lossy(word);
    hex::decode(&text).map_err(|error| error.to_string())
}

/// What stock Borg does not expect of a file the user named.
// Taken by value because that is what `map_err` hands over.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn file_error(error: NamedFileError) -> CliError {
    CliError::unexpected(error.to_string())
}

/// A file the user named could not be written to its end.
// Taken by value because that is what `map_err` hands over.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn write_error(error: io::Error) -> CliError {
    CliError::unexpected(error.to_string())
}

/// Writes a file the user could do again: it is not made durable.
pub(super) fn write(path: &OsStr, content: &[u8]) -> Result<(), CliError> {
    let mut file = named_file::create(path).map_err(file_error)?;
    file.write_all(content).map_err(write_error)
}

/// Writes one file of a dump into the current directory and says so.
pub(super) fn dump(stdout: &mut Stdout, name: &str, content: &[u8]) -> Result<(), CliError> {
    stdout.text(&format!("Dumping {name}\n"))?;
    write(OsStr::new(name), content)
}

/// A text that goes to a file the user named, or to standard output for `-`.
pub(super) enum TextTarget {
    Stdout(Stdout),
    File(OutputFile),
}

impl TextTarget {
    pub(super) fn open(path: &OsString) -> Result<Self, CliError> {
        if path == "-" {
            return Ok(Self::Stdout(Stdout::new()));
        }
        named_file::create(path).map(Self::File).map_err(file_error)
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), CliError> {
        match self {
            Self::Stdout(stdout) => stdout.text(text),
            Self::File(file) => file.write_all(text.as_bytes()).map_err(write_error),
        }
    }

    pub(super) fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Stdout(stdout) => stdout.finish(),
            Self::File(_) => Ok(()),
        }
    }
}

/// How many ids are asked for at once.
const PAGE_LEN: usize = 100_000;

/// Hands all objects to `take`, in storage order: number, id and plaintext. The key is found by the first
/// object of the index, as the manifest may be lost.
pub(super) fn for_each_object(
    client: &Client,
    repository: &dyn Repository,
    mut take: impl FnMut(u64, &ChunkId, &[u8]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let first = repository.list(Some(1), None)?;
    let first = first
        .first()
        .ok_or_else(|| CliError::unexpected("there are no objects in the repository"))?;
    let (mut object, mut plaintext) = (Vec::new(), Vec::new());
    repository.get(first, &mut object)?;
    let mut opener = ObjectDump::detect(client, repository, &object)?;
    let mut number = 0;
    let mut marker: Option<ChunkId> = None;
    loop {
        let ids = repository.scan(PAGE_LEN, marker.as_ref())?;
        let Some(last) = ids.last() else {
            return Ok(());
        };
        marker = Some(*last);
        for id in &ids {
            signals::check()?;
            repository.get(id, &mut object)?;
            opener.open(id, &object, &mut plaintext)?;
            take(number, id, &plaintext)?;
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: &str) {
        assert_eq!(TypedId::new(OsStr::new(word)).id, Err(expected.to_owned()));
    }

    #[test]
    fn ids_that_are_none_are_refused_in_pythons_words() {
        check("abc", "Odd-length string");
        check("zz", "Non-hexadecimal digit found");
        check("+1", "Non-hexadecimal digit found");
        check(
            "\u{e9}",
            "string argument should contain only ASCII characters",
        );
        check("", "Expected 32 bytes (64 hex digits), got 0 bytes.");
        check("00", "Expected 32 bytes (64 hex digits), got 1 bytes.");
        let id = TypedId::new(OsStr::new(&"aB".repeat(32))).id;
        assert_eq!(id, Ok(ChunkId([0xab; 32])));
    }
}
