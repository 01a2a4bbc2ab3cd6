//! What a tarball goes through on its way out or in: nothing, a compressor of ours, or a program.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use ironborg_archive::ArchiveError;
use ironborg_archive::tar::{Codec, ImportOptions, with_compressor};
use ironborg_source::SourceFile;
use ironborg_source::filter::{FilterProcess, FilterStartError};
use ironborg_source::named_file::OutputFile;
use ironborg_types::{Event, Level, Reporter};

use crate::context::Context;
use crate::error::CliError;
use crate::signals::Output;
use crate::signals::last_will::Dependent;
use crate::{shell_words, subprocess};

/// What a tarball goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TarFilter {
    /// It is written and read as it is.
    None,
    /// A compressor of ours.
    Codec(Codec),
    /// A program, by its command line.
    Program(String),
}

impl TarFilter {
    /// What `--tar-filter` asks for; `auto` goes by the ending of the tarball's name.
    pub(crate) fn choose(option: &str, tarfile: &OsStr) -> Self {
        match option {
            "auto" => Codec::of_name(tarfile.as_bytes()).map_or(Self::None, Self::Codec),
            "" => Self::None,
            command => Self::Program(command.to_owned()),
        }
    }

    /// Calls `write` with what leads to `file` through the filter, and sees the filter to its end.
    pub(crate) fn write_through(
        &self,
        context: &Context,
        file: OutputFile,
        write: impl FnOnce(&mut dyn Write) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match self {
            Self::None => write(&mut Marked(file)),
            Self::Codec(codec) => {
                let failed = |error: std::io::Error| CliError::unexpected(error.to_string());
                let mut file = Marked(file);
                with_compressor(*codec, context.threads(), &mut file, failed, write)
            }
            Self::Program(command) => {
                let words = words(context, command)?;
                let environment = subprocess::environment();
                let started = FilterProcess::outbound(&words, &environment, file.into());
                let (process, input) =
                    started.map_err(|error| not_started(context, command, &words, error))?;
                let _dependent = Dependent::begin(process.id());
                let mut input = Marked(input);
                if let Err(error) = write(&mut input) {
                    // Killed first, or it would take the end of its input for that of a whole tarball.
                    drop(process);
                    return Err(error);
                }
                drop(input);
                Ok(wait(command, process)?)
            }
        }
    }

    /// What leads from `file` through the filter.
    pub(crate) fn read_through(
        &self,
        context: &Context,
        file: SourceFile,
    ) -> Result<TarInput, CliError> {
        Ok(match self {
            Self::None => TarInput::File(file, None),
            Self::Codec(codec) => TarInput::File(file, Some(*codec)),
            Self::Program(command) => {
                let words = words(context, command)?;
                let environment = subprocess::environment();
                let started = FilterProcess::inbound(&words, &environment, file.into());
                let (process, output) =
                    started.map_err(|error| not_started(context, command, &words, error))?;
                let command = command.clone();
                TarInput::Program {
                    command,
                    process,
                    output,
                }
            }
        })
    }
}

/// What a tarball is written to. Whoever reads there may not do so for a long time.
struct Marked<W>(W);

impl<W: Write> Write for Marked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _output = Output::begin();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A tarball that is read through its filter.
pub(crate) enum TarInput {
    /// As it is, or decompressed on the way.
    File(SourceFile, Option<Codec>),
    /// What a program makes of it.
    Program {
        /// Its command line.
        command: String,
        /// The running program.
        process: FilterProcess,
        /// What it gives.
        output: SourceFile,
    },
}

impl TarInput {
    /// Calls `read` with all it takes to read it.
    pub(crate) fn with<T>(
        self,
        ignore_zeros: bool,
        read: impl FnOnce(ImportOptions<'_>) -> Result<T, ArchiveError>,
    ) -> Result<T, CliError> {
        let options = |input, codec, finish| ImportOptions {
            input,
            codec,
            finish,
            ignore_zeros,
        };
        Ok(match self {
            Self::File(file, codec) => read(options(&file, codec, None))?,
            Self::Program {
                command,
                process,
                output,
            } => {
                // If reading fails the process is killed together with this.
                let finish = Box::new(move || wait(&command, process));
                read(options(&output, None, Some(finish)))?
            }
        })
    }
}

/// The words of a filter's command line.
fn words(context: &Context, command: &str) -> Result<Vec<OsString>, CliError> {
    let message = match shell_words::split(command.as_bytes()) {
        Ok(words) if !words.is_empty() => {
            return Ok(words.into_iter().map(OsString::from_vec).collect());
        }
        Ok(_) => "an empty command line is not permitted".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(creation_failed(context, command, &message))
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

/// Waits for a filter whose input or output has come to its end.
fn wait(command: &str, process: FilterProcess) -> Result<(), ArchiveError> {
    let _output = Output::begin();
    match process.wait() {
        Ok(0) => Ok(()),
        Ok(status) => Err(ArchiveError::other(format!(
            "filter {command} failed, rc={status}"
        ))),
        Err(error) => Err(ArchiveError::other(format!("filter {command}: {error}"))),
    }
}
