//! What a line of a log looks like: Python's `%`-style formats.

use std::fmt::Write as _;

use ironborg_types::{Level, Timestamp};

use super::{Record, level_name};
use crate::output::time;

/// The format of lines.
#[derive(Debug, Clone)]
pub(super) enum Layout {
    /// A format string and that of times.
    Percent {
        pieces: Vec<Piece>,
        times: Option<String>,
    },
    /// One JSON object a line, as with `--log-json`.
    Json,
}

/// A part of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Field {
        name: String,
        flags: String,
        width: usize,
        precision: Option<usize>,
        kind: char,
    },
}

/// Fields of a record that are known here.
const FIELDS: &[&str] = &[
    "name",
    "levelname",
    "levelno",
    "message",
    "asctime",
    "created",
    "msecs",
    "process",
    "processName",
    "thread",
    "threadName",
    "pathname",
    "filename",
    "module",
    "lineno",
    "funcName",
    "relativeCreated",
];

/// Widest field.
const WIDTH_MAX: usize = 1000;

/// Reads a format. The error is Python's.
pub(super) fn parse(format: &str) -> Result<Vec<Piece>, String> {
    let invalid = || format!("Invalid format '{format}' for '%' style");
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        pieces.push(Piece::Text(before.to_owned()));
        if let Some(behind) = after.strip_prefix('%') {
            pieces.push(Piece::Text("%".to_owned()));
            rest = behind;
            continue;
        }
        let inner = after.strip_prefix('(').ok_or_else(invalid)?;
        let (name, spec) = inner.split_once(')').ok_or_else(invalid)?;
        if !FIELDS.contains(&name) {
            return Err(format!("Formatting field not found in record: '{name}'"));
        }
        let end = spec.find(|c: char| c.is_ascii_alphabetic());
        let (spec, behind) = spec.split_at(end.ok_or_else(invalid)?);
        let mut letters = behind.chars();
        let kind = letters.next().filter(|c| "sdifr".contains(*c));
        let (width, precision) = match spec.split_once('.') {
            Some((width, precision)) => (width, Some(precision)),
            None => (spec, None),
        };
        let digits = width.trim_start_matches(['-', '0', '#', '+', ' ']);
        let flags = &width[..width.len() - digits.len()];
        let number = |text: &str| text.parse().ok().filter(|&n: &usize| n <= WIDTH_MAX);
        pieces.push(Piece::Field {
            name: name.to_owned(),
            flags: flags.to_owned(),
            width: if digits.is_empty() {
                Some(0)
            } else {
                number(digits)
            }
            .ok_or_else(invalid)?,
            precision: match precision {
                Some(digits) => Some(number(digits).ok_or_else(invalid)?),
                None => None,
            },
            kind: kind.ok_or_else(invalid)?,
        });
        rest = letters.as_str();
    }
    pieces.push(Piece::Text(rest.to_owned()));
    let is_field = |piece: &Piece| matches!(piece, Piece::Field { .. });
    if pieces.iter().any(is_field) {
        Ok(pieces)
    } else {
        Err(invalid())
    }
}

impl Layout {
    /// Only the message.
    pub(super) fn plain() -> Self {
        let pieces = parse("%(message)s").expect("it has a field and nothing else");
        Self::Percent {
            pieces,
            times: None,
        }
    }

    /// A record as a line, without its end.
    pub(super) fn line(&self, record: &Record<'_>, now: Timestamp) -> String {
        match self {
            Self::Json => crate::reporter::log_record(record),
            Self::Percent { pieces, times } => {
                let mut out = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.push_str(text),
                        Piece::Field { .. } => {
                            push_field(piece, record, times.as_deref(), now, &mut out);
                        }
                    }
                }
                out
            }
        }
    }
}

fn level_number(level: Level) -> u32 {
    match level {
        Level::Debug => 10,
        Level::Info => 20,
        Level::Warning => 30,
        Level::Error => 40,
        Level::Critical => 50,
    }
}

/// A time in the format asked for, or Python's own with milliseconds.
fn shown_time(now: Timestamp, format: Option<&str>) -> String {
    let local = time::local_time_exact(now);
    let mut out = String::new();
    if let Some(format) = format {
        local.format_into(format, &mut out);
        return out;
    }
    local.format_into("%Y-%m-%d %H:%M:%S", &mut out);
    let milliseconds = now.0.rem_euclid(1_000_000) / 1000;
    let _ = write!(out, ",{milliseconds:03}");
    out
}

fn push_field(
    piece: &Piece,
    record: &Record<'_>,
    times: Option<&str>,
    now: Timestamp,
    out: &mut String,
) {
    let Piece::Field {
        name,
        flags,
        width,
        precision,
        kind,
    } = piece
    else {
        return;
    };
    let module = record.logger.rsplit('.').next().unwrap_or_default();
    let text = match name.as_str() {
        "name" => record.logger.to_owned(),
        "levelname" => level_name(record.level).to_owned(),
        "levelno" => level_number(record.level).to_string(),
        "message" => record.message.to_owned(),
        "asctime" => shown_time(now, times),
        "created" => format!("{:.1$}", now.0 as f64 / 1e6, precision.unwrap_or(6)),
        "msecs" => format!(
            "{:.1$}",
            (now.0.rem_euclid(1_000_000) / 1000) as f64,
            precision.unwrap_or(if *kind == 'f' { 6 } else { 0 })
        ),
        "process" => std::process::id().to_string(),
        "processName" => "MainProcess".to_owned(),
        "threadName" => "MainThread".to_owned(),
        "pathname" | "filename" => format!("{module}.py"),
        "module" => module.to_owned(),
        // There is no Python thread, line or function to name.
        "thread" | "lineno" | "relativeCreated" => "0".to_owned(),
        _ => String::new(),
    };
    let text: String = match (precision, kind) {
        (Some(len), 's' | 'r') => text.chars().take(*len).collect(),
        _ => text,
    };
    let missing = width.saturating_sub(text.chars().count());
    let fill = |c| std::iter::repeat_n(c, missing);
    if flags.contains('-') {
        out.push_str(&text);
        out.extend(fill(' '));
    } else {
        let zeros = flags.contains('0') && *kind != 's';
        out.extend(fill(if zeros { '0' } else { ' ' }));
        out.push_str(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, expected: &str) {
        let record = Record {
            level: Level::Warning,
            logger: "borg.archiver",
            message: "text",
            msgid: None,
        };
        let pieces = parse(format).unwrap();
        let layout = Layout::Percent {
            pieces,
            times: Some("%Y".into()),
        };
        assert_eq!(
            layout.line(&record, Timestamp(1_000_042_000)),
            expected,
            "{format}"
        );
    }

    #[test]
    fn fields_are_filled_in_as_python_does() {
        check(
            "%(levelname)s:%(name)s:%(message)s",
            "WARNING:borg.archiver:text",
        );
        check(
            "[%(levelname)-9s] 100%% %(message)6s",
            "[WARNING  ] 100%   text",
        );
        check("%(levelno)05d %(msecs)03d %(message).2s", "00030 042 te");
        check("%(asctime)s %(module)s", "1970 archiver");
    }

    #[test]
    fn what_python_refuses_is_refused() {
        let invalid = |text: &str| format!("Invalid format '{text}' for '%' style");
        for bad in ["no field", "%(message)", "%(message)y", "50%"] {
            assert_eq!(parse(bad), Err(invalid(bad)));
        }
        assert_eq!(
            parse("%(nosuch)s"),
            Err("Formatting field not found in record: 'nosuch'".to_owned())
        );
    }
}
