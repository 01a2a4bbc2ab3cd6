//! What a server writes to its standard error, line by line: records of several ages, progress, and anything else.
//!
//! Source: Borg 1.4, `handle_remote_line`.

use std::borrow::Cow;
use std::sync::Arc;

use ironborg_types::{Event, Level, Reporter, text};

use super::json_line::JsonLine;

/// Longest line kept while its end has not come.
const LINE_LEN_MAX: usize = 1024 * 1024;
/// Says of a text where it comes from.
const ORIGIN: &str = "Remote: ";
/// Logger of what this module itself has to say.
const LOGGER: &str = "borg.remote";

/// Cuts the bytes into lines and hands them on.
pub(super) struct LogLines {
    reporter: Arc<dyn Reporter>,
    begun: Vec<u8>,
}

impl LogLines {
    pub(super) fn new(reporter: Arc<dyn Reporter>) -> Self {
        Self {
            reporter,
            begun: Vec::new(),
        }
    }

    /// Takes bytes as they come. A line is handed on when its end is here.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let len = match end {
                Some(at) if rest[at..].starts_with(b"\r\n") => at + 2,
                Some(at) => at + 1,
                None => rest.len(),
            };
            self.begun.extend_from_slice(&rest[..len]);
            rest = &rest[len..];
            if end.is_some() || self.begun.len() > LINE_LEN_MAX {
                let line = std::mem::take(&mut self.begun);
                self.line(&text::display(&line));
            }
        }
    }

    fn line(&self, line: &str) {
        let known = if line.starts_with('{') {
            JsonLine::parse(line).and_then(|json| self.json(&json, line))
        } else {
            line.strip_prefix("$LOG ")
                .and_then(|rest| self.marked(rest))
        };
        if known.is_none() {
            self.reporter.report(Event::RemoteLine(line.into()));
        }
    }

    /// A line of servers since 1.1; `None` if it is not what they write.
    fn json(&self, json: &JsonLine<'_>, line: &str) -> Option<()> {
        let kind = json.text("type")?;
        match kind.as_str() {
            "log_message" => {
                let message = json.text("message")?;
                let logger = json.text("name")?;
                if let Some(level) = level(&json.text("levelname")?) {
                    self.reporter.report(Event::RemoteLog {
                        level,
                        logger: &logger,
                        message: format!("{ORIGIN}{message}").into(),
                        record: Some(&json.with_prefix("message", ORIGIN)),
                    });
                }
            }
            "progress_message" | "progress_percent" => {
                let message = if json.has("message") {
                    Some(Cow::from(format!("{ORIGIN}{}", json.text("message")?)))
                } else {
                    None
                };
                self.reporter.report(Event::RemoteProgress {
                    message,
                    record: &json.with_prefix("message", ORIGIN),
                });
            }
            _ => {
                // A name that would need escapes is no name of a type, but an accident.
                let is_name = |c: char| c.is_ascii_graphic() && !matches!(c, '\'' | '\\');
                if !kind.chars().all(is_name) {
                    return None;
                }
                let text = format!("Dropped remote log message with unknown type '{kind}': {line}");
                self.reporter
                    .report(Event::log(Level::Warning, LOGGER, text));
            }
        }
        Some(())
    }

    /// A line of servers before 1.1: `LEVEL [LOGGER] Remote: TEXT`.
    fn marked(&self, rest: &str) -> Option<()> {
        let (level_name, rest) = rest.split_once(' ')?;
        let (logger, message) = if rest.starts_with("Remote:") {
            ("root", rest)
        } else {
            rest.split_once(' ')?
        };
        if let Some(level) = level(level_name) {
            self.reporter.report(Event::RemoteLog {
                level,
                logger,
                message: message.trim_end().into(),
                record: None,
            });
        }
        Some(())
    }
}

/// The level of a name, as Python's logging has them; `None` for the one nothing is ever shown at.
fn level(name: &str) -> Option<Level> {
    match name {
        "DEBUG" => Some(Level::Debug),
        "INFO" => Some(Level::Info),
        "WARNING" | "WARN" => Some(Level::Warning),
        "ERROR" => Some(Level::Error),
        "NOTSET" => None,
        _ => Some(Level::Critical),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl Reporter for Recorder {
        fn report(&self, event: Event<'_>) {
            self.0.lock().unwrap().push(match event {
                Event::Log { message, .. } => format!("own {message}"),
                Event::RemoteLog {
                    level,
                    logger,
                    message,
                    record,
                } => {
                    format!("{level:?} {logger} {message} {}", record.unwrap_or("-"))
                }
                Event::RemoteProgress { message, record } => format!("{message:?} {record}"),
                Event::RemoteLine(line) => format!("plain {line:?}"),
                other => format!("{other:?}"),
            });
        }
    }

    fn said(bytes: &[u8], pieces: usize) -> Vec<String> {
        let recorder = Arc::new(Recorder::default());
        let mut lines = LogLines::new(recorder.clone());
        for piece in bytes.chunks(pieces) {
            lines.feed(piece);
        }
        let said = recorder.0.lock().unwrap();
        said.clone()
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(said(format!("{line}\n").as_bytes(), 1000), [expected]);
        assert_eq!(said(format!("{line}\n").as_bytes(), 1), [expected]);
    }

    #[test]
    fn records_of_all_ages_are_understood() {
        check(
            r#"{"type": "log_message", "time": 1.5, "message": "a", "levelname": "INFO", "name": "borg.x"}"#,
            r#"Info borg.x Remote: a {"type": "log_message", "time": 1.5, "message": "Remote: a", "levelname": "INFO", "name": "borg.x"}"#,
        );
        check(
            "$LOG WARNING borg.y Remote: a b ",
            "Warning borg.y Remote: a b -",
        );
        check("$LOG ODD Remote: a", "Critical root Remote: a -");
        check(
            r#"{"type": "progress_percent", "message": "1%"}"#,
            r#"Some("Remote: 1%") {"type": "progress_percent", "message": "Remote: 1%"}"#,
        );
        check(
            r#"{"type": "progress_message", "finished": true}"#,
            r#"None {"type": "progress_message", "finished": true}"#,
        );
        let odd = r#"{"type": "odd"}"#;
        let dropped = "own Dropped remote log message with unknown type 'odd'";
        check(odd, &format!("{dropped}: {odd}\n"));
    }

    #[test]
    fn what_is_no_record_is_a_line() {
        for line in [
            "",
            "a",
            "{a",
            "{}",
            r#"{"type": 1}"#,
            r#"{"type": "log_message"}"#,
            "$LOG",
            "$LOG ",
            "$LOG a",
            "$LOG INFO a",
            r#"{"type": "progress_percent", "message": 1}"#,
        ] {
            check(line, &format!("plain {:?}", format!("{line}\n")));
        }
    }

    #[test]
    fn lines_end_as_they_do() {
        let expected = ["plain \"a\\r\"", "plain \"b\\r\\n\"", "plain \"?\\n\""];
        assert_eq!(said(b"a\rb\r\n\xff\nincomplete", 1000), expected);
    }

    #[test]
    fn an_endless_line_takes_bounded_memory() {
        let recorder = Arc::new(Recorder::default());
        let mut lines = LogLines::new(recorder.clone());
        for _ in 0..40 {
            lines.feed(&vec![b'x'; 64 * 1024]);
            assert!(lines.begun.len() <= LINE_LEN_MAX + 64 * 1024);
        }
        assert_eq!(recorder.0.lock().unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), begin in "(\\$LOG (INFO )?|\\{\"type\": )?") {
            said(&[begin.as_bytes(), &bytes, b"\n"].concat(), 7);
        }
    }
}
