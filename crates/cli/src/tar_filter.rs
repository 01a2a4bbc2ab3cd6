//! What a tarball goes through on its way out or in: nothing, a compressor of ours, or a program.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use ironborg_source::filter::{FilterProcess, FilterStartError};
use ironborg_source::named_file::OutputFile;
use ironborg_types::{Event, Level, Reporter};

use crate::context::Context;
use crate::error::CliError;
use crate::subprocess;

/// What a tarball goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TarFilter {
    /// It is written and read as it is.
    None,
    /// A program, by its command line.
    Program(String),
}

impl TarFilter {
    /// What `--tar-filter` asks for; `auto` goes by the ending of the tarball's name.
    pub(crate) fn choose(option: &str, tarfile: &OsStr) -> Self {
        let _ = tarfile.as_bytes();
        match option {
            "auto" | "" => Self::None,
            command => Self::Program(command.to_owned()),
        }
    }

    /// Calls `write` with what leads to `file` through the filter, and sees the filter to its end.
    pub(crate) fn write_through(
        &self,
        context: &Context,
        mut file: OutputFile,
        write: impl FnOnce(&mut dyn Write) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match self {
            Self::None => write(&mut file),
            Self::Program(command) => {
                let words = words(context, command)?;
                let environment = subprocess::environment();
                let started = FilterProcess::outbound(&words, &environment, file.into());
                let (process, mut input) =
                    started.map_err(|error| not_started(context, command, &words, error))?;
                if let Err(error) = write(&mut input) {
                    // Killed first, or it would take the end of its input for that of a whole tarball.
                    drop(process);
                    return Err(error);
                }
                drop(input);
                finish(command, process)
            }
        }
    }
}

/// The words of a filter's command line.
fn words(context: &Context, command: &str) -> Result<Vec<OsString>, CliError> {
    let message = match shell_words::split(command) {
        Ok(words) if !words.is_empty() => {
            return Ok(words.into_iter().map(OsString::from).collect());
        }
        Ok(_) => "an empty command line is not permitted",
        Err(_) if command.ends_with('\\') => "No escaped character",
        Err(_) => "No closing quotation",
    };
    Err(creation_failed(context, command, message))
}

fn not_started(
    context: &Context,
    command: &str,
    words: &[OsString],
    error: FilterStartError,
) -> CliError {
    let program = words[0].to_string_lossy();
    match error {
        FilterStartError::NotFound => creation_failed(
            context,
            command,
            &format!("executable not found: {program}"),
        ),
        FilterStartError::PermissionDenied => {
            creation_failed(context, command, &format!("permission denied: {program}"))
        }
        FilterStartError::Other(error) => CliError::unexpected(format!("{program}: {error}")),
    }
}

fn creation_failed(context: &Context, command: &str, message: &str) -> CliError {
    let message = format!("filter-process: {message}");
    let event = Event::log(Level::Error, "borg.helpers.process", message);
    context.reporter.report(event);
    CliError::generic(format!("filter {command}: process creation failed"))
}

/// Waits for a filter whose input or output is closed.
fn finish(command: &str, process: FilterProcess) -> Result<(), CliError> {
    match process.wait() {
        Ok(0) => Ok(()),
        Ok(status) => Err(CliError::generic(format!(
            "filter {command} failed, rc={status}"
        ))),
        Err(error) => Err(CliError::unexpected(error.to_string())),
    }
}
