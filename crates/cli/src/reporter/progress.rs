//! Progress: which steps are shown, and as what.
//!
//! Source: Borg 1.4, `helpers/progress.py` and `Statistics.show_progress`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ironborg_types::{ArchiveProgress, Level, text};

use super::{PROGRESS, ReportOptions, records};
use crate::console;
use crate::output::json::Json;
use crate::output::size::{SizeUnits, format_count};
use crate::output::width;

/// Least time between two lines about an archive being made.
const ARCHIVE_INTERVAL: Duration = Duration::from_millis(200);

/// What is known about the terminal, if there is one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terminal {
    /// Whether standard error is one.
    pub(super) stderr: bool,
    /// Columns of the terminal on standard output, or what `COLUMNS` says.
    pub(super) columns: Option<usize>,
}

impl Terminal {
    /// Looks at standard output and error; `columns` is the variable `COLUMNS`.
    pub(super) fn detect(columns: Option<usize>) -> Self {
        let size = |result: rustix::io::Result<rustix::termios::Winsize>| {
            result
                .ok()
                .map(|size| usize::from(size.ws_col))
                .filter(|&columns| columns > 0)
        };
        let stderr = console::stderr_is_terminal();
        let columns = columns
            .filter(|&columns| columns > 0)
            .or_else(|| size(rustix::termios::tcgetwinsize(rustix::stdio::stdout())))
            .or_else(|| {
                size(rustix::termios::tcgetwinsize(rustix::stdio::stderr())).filter(|_| stderr)
            });
        Self { stderr, columns }
    }

    /// The message filled up with blanks to the width of the terminal.
    fn justify(self, message: &str) -> String {
        let mut line = message.to_owned();
        if let Some(columns) = self.columns {
            line.extend(std::iter::repeat_n(
                ' ',
                columns.saturating_sub(message.chars().count()),
            ));
        }
        line
    }
}

/// A step of a counted operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    /// Steps done, this one included.
    pub(super) current: u64,
    /// Steps in all; 0 where not known yet.
    pub(super) total: u64,
    /// As shown.
    pub(super) message: &'a str,
    /// `info` in JSON; its last element ends the message.
    pub(super) info: Option<&'a [Cow<'a, str>]>,
}

/// The operations in progress.
#[derive(Debug, Default)]
pub(super) struct Progress {
    running: Vec<Running>,
    percent_count: u64,
    message_count: u64,
    extract_seen: bool,
    /// What ended last; stock Borg ends the contents of a dry run twice.
    ended: Option<records::Operation>,
    /// Stock Borg keeps the indicator of what ended last: what follows is nested in it.
    lingering: bool,
    archive_shown: Option<Instant>,
    archive_started: Option<Instant>,
    /// Whether a line without a line feed stands on the terminal.
    pub(super) line_shown: bool,
}

#[derive(Debug)]
struct Running {
    operation: records::Operation,
    /// Began while another one was running: stock Borg then logs its plain text.
    nested: bool,
    /// Never shown.
    silent: bool,
    /// The share, in percent, from which on the next step is shown.
    trigger_at: f64,
}

/// Percent between two steps that are shown.
fn step_width(msgid: &str) -> f64 {
    match msgid {
        "cache.sync" | "extract" | "check.rebuild_refcounts" | "repository.check" => 0.1,
        "check.verify_data" | "check.rebuild_manifest" => 0.01,
        "repository.compact_segments" => 1.0,
        _ => 5.0,
    }
}

impl Progress {
    /// An operation begins.
    pub(super) fn start(&mut self, msgid: &'static str) {
        let (class, count) = match msgid {
            "cache.begin_transaction" | "cache.commit" => {
                ("progress_message", &mut self.message_count)
            }
            _ => ("progress_percent", &mut self.percent_count),
        };
        *count += 1;
        let operation = records::Operation {
            id: *count,
            msgid,
            class,
        };
        self.running.push(Running {
            operation,
            nested: self.lingering || !self.running.is_empty(),
            // After "extract" stock Borg has taken the logger's output away from its successor.
            silent: msgid == "extract.permissions" && self.extract_seen,
            trigger_at: 0.0,
        });
        self.extract_seen |= msgid == "extract";
    }

    /// A step of a counted operation: shown when the share done has reached the next mark.
    pub(super) fn percent(
        &mut self,
        msgid: &'static str,
        step: &Step<'_>,
        options: &ReportOptions,
        terminal: &Terminal,
    ) {
        let running = self.find(msgid);
        if step.total > 0 {
            // Senders that choose the steps themselves go by the share before the step was counted, so
            // everything they send passes here too.
            let share = step.current as f64 * 100.0 / step.total as f64;
            if share < running.trigger_at {
                return;
            }
            running.trigger_at += step_width(msgid);
        }
        if options.json_progress() {
            let info = step.info.map_or(Json::Null, |info| {
                Json::List(info.iter().map(|text| text.as_ref().into()).collect())
            });
            let members = vec![
                ("message", step.message.into()),
                ("current", step.current.into()),
                ("total", step.total.into()),
                ("info", info),
            ];
            self.show_json(msgid, members, step.message);
        } else {
            let line = match (step.info.and_then(<[_]>::last), terminal.columns) {
                (Some(last), Some(columns)) => {
                    let head = step
                        .message
                        .strip_suffix(last.as_ref())
                        .unwrap_or(step.message);
                    let space = columns.saturating_sub(width::width(head));
                    format!("{head}{}", width::truncate(last, space))
                }
                (Some(_), None) => step.message.to_owned(),
                (None, _) => terminal.justify(step.message),
            };
            self.show_text(msgid, &line, options);
        }
    }

    /// A step of an operation without a count.
    pub(super) fn message(
        &mut self,
        msgid: &'static str,
        message: &str,
        options: &ReportOptions,
        terminal: &Terminal,
    ) {
        self.find(msgid);
        if options.json_progress() {
            self.show_json(msgid, vec![("message", message.into())], message);
        } else {
            self.show_text(msgid, &terminal.justify(message), options);
        }
    }

    /// An operation ends.
    pub(super) fn end(
        &mut self,
        msgid: &'static str,
        options: &ReportOptions,
        terminal: &Terminal,
    ) {
        let Some(at) = self
            .running
            .iter()
            .rposition(|running| running.operation.msgid == msgid)
        else {
            self.end_again(msgid, options, terminal);
            return;
        };
        if options.json_progress() {
            let running = &self.running[at];
            if running.nested {
                console::stderr_line(&records::log_message(Level::Info, PROGRESS, "", None));
            } else if !running.silent {
                console::stderr_line(&records::progress(running.operation, Vec::new(), true));
            }
        } else {
            self.show_text(msgid, &terminal.justify(""), options);
            self.line_shown = false;
        }
        self.ended = Some(self.running.remove(at).operation);
        self.lingering = msgid == "prune";
    }

    /// An operation ends that has ended already.
    fn end_again(&self, msgid: &'static str, options: &ReportOptions, terminal: &Terminal) {
        let Some(ended) = self.ended.filter(|ended| ended.msgid == msgid) else {
            return;
        };
        if options.json_progress() {
            console::stderr_line(&records::progress(ended, Vec::new(), true));
        } else {
            let mark = options.progress_mark();
            console::write_stderr(&format!("{mark}{}\r", terminal.justify("")));
        }
    }

    fn find(&mut self, msgid: &'static str) -> &mut Running {
        let known = self
            .running
            .iter()
            .rposition(|running| running.operation.msgid == msgid);
        let at = known.unwrap_or_else(|| {
            self.start(msgid);
            self.running.len() - 1
        });
        &mut self.running[at]
    }

    fn show_json(&mut self, msgid: &'static str, members: Vec<(&'static str, Json)>, plain: &str) {
        let running = self.find(msgid);
        if running.silent {
            return;
        }
        console::stderr_line(&if running.nested {
            records::log_message(Level::Info, PROGRESS, plain, None)
        } else {
            records::progress(running.operation, members, false)
        });
    }

    fn show_text(&mut self, msgid: &'static str, line: &str, options: &ReportOptions) {
        if !self.find(msgid).silent {
            let mark = options.progress_mark();
            console::write_stderr(&format!("{mark}{line}\r"));
            self.line_shown = !line.trim_end().is_empty();
        }
    }

    /// Figures of an archive being made, at most every 0.2 s; `None` ends them and is always shown.
    pub(super) fn archive(
        &mut self,
        figures: Option<&ArchiveProgress<'_>>,
        options: &ReportOptions,
        terminal: &Terminal,
    ) {
        let now = Instant::now();
        let started = *self.archive_started.get_or_insert(now);
        let recent = self
            .archive_shown
            .is_some_and(|shown| now - shown <= ARCHIVE_INTERVAL);
        if figures.is_some() && recent {
            return;
        }
        self.archive_shown = Some(now);
        let plain = options.plain_archive_progress;
        if options.json() && !plain {
            console::stderr_line(&records::archive_progress(figures));
            return;
        }
        let columns = terminal.columns.unwrap_or(80);
        let Some(figures) = figures else {
            let line = if terminal.stderr {
                " ".repeat(columns) + "\r"
            } else {
                "\n".to_owned()
            };
            console::write_stderr(&line);
            self.line_shown = false;
            return;
        };
        let units = if plain {
            SizeUnits::Decimal
        } else {
            options.units
        };
        let size = |size| format_count(size, units);
        let mut line = format!(
            "{} O {} C {} D {} N ",
            size(figures.original_size),
            size(figures.compressed_size),
            size(figures.deduplicated_size),
            figures.nfiles
        );
        let path = text::display(figures.path);
        if !terminal.stderr {
            console::stderr_line(&format!("{line}{path}"));
            return;
        }
        let seconds = (now - started).as_secs_f64();
        if seconds > 0.5 {
            #[allow(clippy::cast_possible_truncation)] // A rate is far below 2^64, and only shown.
            let rate = (figures.original_size as f64 / seconds) as u64;
            let _ = write!(line, "{}/s ", size(rate));
        }
        let mut space = columns.saturating_sub(width::width(&line));
        if space < 12 {
            line.clear();
            space = columns;
        }
        if space >= 8 {
            line.push_str(&width::truncate(&path, space));
        }
        console::write_stderr(&format!("{line}\r"));
        self.line_shown = true;
    }
}
