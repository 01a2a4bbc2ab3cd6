//! What happens while restoring, told to the reporter from any thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ironborg_format::item::{ChunkEntry, Item};
use ironborg_source::SourceError;
use ironborg_source::restore::AttributesSet;
use ironborg_types::{BytePath, ErrorKind, Event, Level, PercentProgress, Reporter, text};

use super::ExtractOutcome;
use crate::ArchiveError;

/// Why an item did not come out whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The error's class.
    pub(crate) kind: ErrorKind,
    /// Its message.
    pub(crate) words: String,
}

/// Shared by the threads of one extraction.
pub(crate) struct Report<'a> {
    reporter: &'a dyn Reporter,
    archive: &'a BytePath,
    progress: Option<Mutex<PercentProgress>>,
    /// The error the operation will end with: of the first item in the archive that had one.
    first_error: Mutex<Option<(u64, ArchiveError)>>,
    /// Of every item that had one: what the last was.
    faults: Mutex<BTreeMap<u64, Fault>>,
    attributes_missing: AtomicBool,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        reporter: &'a dyn Reporter,
        archive: &'a BytePath,
        progress: Option<PercentProgress>,
    ) -> Self {
        let progress = progress.map(Mutex::new);
        Self {
            reporter,
            archive,
            progress,
            first_error: Mutex::default(),
            faults: Mutex::default(),
            attributes_missing: AtomicBool::new(false),
        }
    }

    pub(crate) fn reporter(&self) -> &'a dyn Reporter {
        self.reporter
    }

    /// A warning about one file; the others go on.
    pub(crate) fn warn(&self, path: &[u8], error: &SourceError) {
        let message = error.warning(path).into();
        self.reporter.report(Event::Warning {
            kind: error.kind(),
            message,
        });
    }

    /// The file is there, but it is not what it should be. (The detail does not show: stock's
    /// template for this class has no place for it.)
    pub(crate) fn warn_backup_error(&self, path: &[u8], detail: &str) {
        let kind = ErrorKind::BackupError;
        let message = kind.message(&[&text::display(path), detail]).into();
        self.reporter.report(Event::Warning { kind, message });
    }

    /// A chunk of a file could not be had. Stock Borg ends with the first one; here the rest of the
    /// archive is restored, every chunk is named, and the operation ends with the same error.
    pub(crate) fn chunk_error(
        &self,
        number: u64,
        item: &Item,
        chunk: &ChunkEntry,
        offset: u64,
        error: ArchiveError,
    ) {
        let end = offset + u64::from(chunk.size);
        let message = format!(
            "{}::{}: bytes {offset}-{end} (chunk {}) are lost: {error}",
            self.archive, item.path, chunk.id
        );
        self.error(number, message, error);
    }

    /// An item that cannot be restored, through no fault of the file system.
    pub(crate) fn item_error(&self, number: u64, path: &[u8], error: ArchiveError) {
        let message = format!("{}::{}: {error}", self.archive, text::display(path));
        self.error(number, message, error);
    }

    /// A file whose content could not be had in full, which ends the stream.
    pub(crate) fn stream_error(&self, path: &[u8], error: &ArchiveError) {
        let message = format!("{}::{}: {error}", self.archive, text::display(path));
        self.log_error(message, error);
    }

    fn log_error(&self, message: String, error: &ArchiveError) {
        self.reporter.report(Event::Log {
            level: Level::Error,
            logger: "borg.archiver",
            message: message.into(),
            msgid: Some(error.kind().row().class),
        });
    }

    fn error(&self, number: u64, message: String, error: ArchiveError) {
        self.log_error(message, &error);
        let (kind, words) = (error.kind(), error.to_string());
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, Fault { kind, words });
        let mut first = self
            .first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(earlier, _)| number < *earlier) {
            *first = Some((number, error));
        }
    }

    /// Counts bytes of a file's content.
    pub(crate) fn progress(&self, path: &[u8], len: usize) {
        if let Some(progress) = &self.progress {
            let path = text::display(path);
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.advance(self.reporter, len as u64, Some(&path), |percent| {
                format!("{percent:5.1}% Extracting: {path}")
            });
        }
    }

    /// Ends the progress of the content.
    pub(crate) fn finish_progress(&self) {
        if let Some(progress) = &self.progress {
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.finish(self.reporter);
        }
    }

    /// Takes note of how setting a file's attributes went.
    pub(crate) fn attributes_set(&self, set: AttributesSet) {
        if set == AttributesSet::WithWarnings {
            self.attributes_missing.store(true, Ordering::Relaxed);
        }
    }

    /// What was wrong with which items; they are numbered from 1, as they were selected.
    pub(crate) fn into_faults(self) -> BTreeMap<u64, Fault> {
        self.faults
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The error the operation ends with, if there was one; else its outcome.
    pub(crate) fn into_result(self) -> Result<ExtractOutcome, ArchiveError> {
        let first = self
            .first_error
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let attributes_missing = self.attributes_missing.into_inner();
        first.map_or(Ok(ExtractOutcome { attributes_missing }), |(_, error)| {
            Err(error)
        })
    }
}
