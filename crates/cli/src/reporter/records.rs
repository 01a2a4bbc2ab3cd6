//! The JSON records of `--log-json`; key order is stock Borg's.

use ironborg_types::{ArchiveProgress, Level, Timestamp, text};

use crate::logging::level_name;
use crate::output::json::{Json, line};

/// Seconds since 1970, now.
fn now() -> Json {
    Json::Float(Timestamp::now().0 as f64 / 1e6)
}

/// What comes before the text of a line for a client of old.
pub(super) fn mark(level: Level, logger: &str) -> String {
    format!("$LOG {} {logger} Remote: ", level_name(level))
}

/// A log record.
pub(super) fn log_message(
    level: Level,
    logger: &str,
    message: &str,
    msgid: Option<&str>,
) -> String {
    let mut members = vec![
        ("type", "log_message".into()),
        ("time", now()),
        ("message", message.into()),
        ("levelname", level_name(level).into()),
        ("name", logger.into()),
    ];
    if let Some(msgid) = msgid {
        members.push(("msgid", msgid.into()));
    }
    line(&Json::Object(members))
}

/// A line of `create --list`.
pub(super) fn file_status(status: char, path: &str) -> String {
    line(&Json::Object(vec![
        ("type", "file_status".into()),
        ("status", status.to_string().into()),
        ("path", path.into()),
    ]))
}

/// Figures of an archive being made; `None` at the end.
pub(super) fn archive_progress(figures: Option<&ArchiveProgress<'_>>) -> String {
    let mut members: Vec<(&'static str, Json)> = Vec::new();
    if let Some(figures) = figures {
        members.extend([
            ("original_size", figures.original_size.into()),
            ("compressed_size", figures.compressed_size.into()),
            ("deduplicated_size", figures.deduplicated_size.into()),
            ("nfiles", figures.nfiles.into()),
            ("path", text::display(figures.path).as_ref().into()),
        ]);
    }
    members.extend([
        ("time", now()),
        ("type", "archive_progress".into()),
        ("finished", Json::Bool(figures.is_none())),
    ]);
    line(&Json::Object(members))
}

/// What a progress record is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    /// Counts up per class of operation.
    pub(super) id: u64,
    /// Name of the operation.
    pub(super) msgid: &'static str,
    /// `progress_percent` or `progress_message`.
    pub(super) class: &'static str,
}

/// A step, or with no `members` the end, of an operation.
pub(super) fn progress(
    operation: Operation,
    mut members: Vec<(&'static str, Json)>,
    finished: bool,
) -> String {
    members.extend([
        ("operation", operation.id.into()),
        ("msgid", operation.msgid.into()),
        ("type", operation.class.into()),
        ("finished", Json::Bool(finished)),
        ("time", now()),
    ]);
    line(&Json::Object(members))
}
