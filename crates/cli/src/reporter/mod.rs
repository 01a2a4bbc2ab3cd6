//! Turns events into lines on standard error: text, or one JSON object per line with `--log-json`.

pub(crate) mod levels;
mod progress;
mod records;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ironborg_types::{ArchiveProgress, ErrorKind, Event, Level, LockHolder, Reporter, text};

use crate::console;
use crate::exit::{ExitStatus, Severity, severity};
use crate::hints::Noticed;
use crate::lock_holders;
use crate::logging::Record;
use crate::output::check_report::{self, CheckReport};
use crate::output::size::SizeUnits;
pub(crate) use levels::Levels;
use progress::{Progress, Terminal};

/// Logger of messages about the run as a whole.
pub(crate) const ARCHIVER: &str = "borg.archiver";
/// Logger of messages about logging.
pub(crate) const LOGGER: &str = "borg.logger";
/// Logger above all others.
pub(crate) const ROOT: &str = "root";
/// Logger of `--list` lines.
pub(crate) const LIST: &str = "borg.output.list";
/// Logger of statistics.
pub(crate) const STATS: &str = "borg.output.stats";
/// Logger of the `--show-rc` line.
const SHOW_RC: &str = "borg.output.show-rc";
/// Logger of the `--show-version` line.
const SHOW_VERSION: &str = "borg.output.show-version";
/// Logger of what has to do with locks.
const LOCKING: &str = "borg.locking";
/// The `msgid` of a message about a lock that others have.
const LOCK_HELD: &str = "LockHeld";
/// Logger of progress.
const PROGRESS: &str = "borg.output.progress";

/// A record as one JSON object.
pub(crate) fn log_record(record: &Record<'_>) -> String {
    records::log_message(record.level, record.logger, record.message, record.msgid)
}

/// How a message becomes a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// For a client that may not understand JSON: `$LOG LEVEL LOGGER Remote: TEXT`.
    Marked,
}

/// The form of lines, which a server changes when it knows its client.
#[derive(Debug, Clone)]
pub(crate) struct LiveForm(Arc<AtomicU8>);

impl LiveForm {
    /// For the time being.
    pub(crate) fn new(form: Form) -> Self {
        Self(Arc::new(AtomicU8::new(form as u8)))
    }

    fn get(&self) -> Form {
        let form = self.0.load(Ordering::Relaxed);
        let known = [Form::Json, Form::Marked];
        known
            .into_iter()
            .find(|known| *known as u8 == form)
            .unwrap_or(Form::Text)
    }

    fn set(&self, form: Form) {
        self.0.store(form as u8, Ordering::Relaxed);
    }
}

impl Default for LiveForm {
    fn default() -> Self {
        Self::new(Form::Text)
    }
}

/// What is shown, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReportOptions {
    /// What lines look like.
    pub(crate) form: LiveForm,
    /// Thresholds of the loggers.
    pub(crate) levels: Levels,
    /// Status letters `--filter` lets through; `None` lets all.
    pub(crate) status_filter: Option<String>,
    /// Units of sizes.
    pub(crate) units: SizeUnits,
    /// Figures of an archive in the making are text in decimal units, whatever the above says.
    pub(crate) plain_archive_progress: bool,
}

impl ReportOptions {
    /// Whether JSON lines are wanted.
    fn json(&self) -> bool {
        self.form.get() == Form::Json
    }

    /// Whether progress is JSON: not if a file sets the loggers up, as in stock Borg.
    fn json_progress(&self) -> bool {
        self.json() && self.levels.logging.is_none()
    }

    /// What a line of progress begins with where it is text.
    fn progress_mark(&self) -> String {
        match self.form.get() {
            Form::Marked => records::mark(Level::Info, PROGRESS),
            Form::Text | Form::Json => String::new(),
        }
    }
}

/// The reporter of the command line.
#[derive(Debug)]
pub(crate) struct ConsoleReporter {
    options: ReportOptions,
    /// Collects what the events mean for the exit code.
    pub(crate) exit: ExitStatus,
    /// Collects what hints are made of.
    pub(crate) noticed: Noticed,
    /// Collects what a check finds, if it is wanted.
    pub(crate) checked: CheckReport,
    terminal: Terminal,
    progress: Mutex<Progress>,
}

impl ConsoleReporter {
    /// Prints to standard error as `options` say.
    pub(crate) fn new(options: ReportOptions, exit: ExitStatus, columns: Option<usize>) -> Self {
        Self {
            options,
            exit,
            terminal: Terminal::detect(columns),
            progress: Mutex::default(),
            noticed: Noticed::default(),
            checked: CheckReport::default(),
        }
    }

    /// Whether JSON lines are wanted.
    pub(crate) fn json(&self) -> bool {
        self.options.json()
    }

    /// Writes JSON lines from now on.
    pub(crate) fn switch_to_json(&self) {
        self.options.form.set(Form::Json);
    }

    /// Units of sizes.
    pub(crate) fn units(&self) -> SizeUnits {
        self.options.units
    }

    /// Logs a message of the command line itself.
    pub(crate) fn log(&self, level: Level, message: &str) {
        self.record(level, ARCHIVER, message, None);
    }

    /// Logs a message, if the logger's threshold lets it through.
    pub(crate) fn record(&self, level: Level, logger: &str, message: &str, msgid: Option<&str>) {
        if self.options.levels.enabled(logger, level) {
            self.emit(level, logger, message, msgid);
        }
    }

    /// Whether a logger's messages of this importance are shown.
    pub(crate) fn shows(&self, level: Level, logger: &str) -> bool {
        self.options.levels.enabled(logger, level)
    }

    /// Prints statistics: one record for each line.
    pub(crate) fn stats(&self, block: &str) {
        for line in block.lines() {
            self.record(Level::Info, STATS, line, None);
        }
    }

    /// The `--show-version` line.
    pub(crate) fn show_version(&self) {
        let message = format!("borgbackup version {}", crate::program::BORG_VERSION);
        self.record(Level::Info, SHOW_VERSION, &message, None);
    }

    /// The `--show-rc` line.
    pub(crate) fn show_rc(&self, code: u8) {
        let (word, level) = match severity(code) {
            Severity::Success => ("success", Level::Info),
            Severity::Warning => ("warning", Level::Warning),
            Severity::Error => ("error", Level::Error),
            Severity::Signal => ("signal", Level::Error),
        };
        let message = format!("terminating with {word} status, rc {code}");
        self.record(level, SHOW_RC, &message, None);
    }

    fn emit(&self, level: Level, logger: &str, message: &str, msgid: Option<&str>) {
        if let Some(logging) = &self.options.levels.logging {
            logging.log(&Record {
                level,
                logger,
                message,
                msgid,
            });
        } else if self.options.json() {
            console::stderr_line(&records::log_message(level, logger, message, msgid));
        } else if self.options.form.get() == Form::Marked {
            console::stderr_line(&format!("{}{message}", records::mark(level, logger)));
        } else {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            let mut line = String::with_capacity(message.len() + 8);
            // A live line left on the terminal would shine through behind a shorter message.
            if std::mem::take(&mut progress.line_shown) && self.terminal.stderr {
                line.push_str("\r\x1b[K");
            }
            line.push_str(message);
            line.push('\n');
            console::write_stderr(&line);
        }
    }

    fn file_status(&self, status: char, path: &[u8]) {
        if !self.wants_list() {
            return;
        }
        if self
            .options
            .status_filter
            .as_ref()
            .is_some_and(|filter| !filter.contains(status))
        {
            return;
        }
        if self.options.json() {
            console::stderr_line(&records::file_status(status, &text::display(path)));
        } else {
            self.emit(
                Level::Info,
                LIST,
                &format!("{status} {}", text::display(path)),
                None,
            );
        }
    }

    fn with_progress(&self, act: impl FnOnce(&mut Progress, &Self)) {
        if self.wants_progress() {
            act(
                &mut self.progress.lock().unwrap_or_else(PoisonError::into_inner),
                self,
            );
        }
    }

    /// A record of a server: as it came, where records are passed on, or as our own.
    fn remote_log(&self, level: Level, logger: &str, message: &str, record: Option<&str>) {
        match record.filter(|_| self.options.json()) {
            Some(record) if self.shows(level, logger) => console::stderr_line(record),
            Some(_) => {}
            None => self.record(level, logger, message, None),
        }
    }

    /// Progress of a server. In text only the message, which the next one overwrites.
    fn remote_progress(&self, message: Option<&str>, record: &str) {
        self.with_progress(|progress, this| {
            if this.options.json() {
                console::stderr_line(record);
            } else if let Some(message) = message {
                console::write_stderr(&format!("{message}\r"));
                progress.line_shown = true;
            }
        });
    }

    /// Whatever else a server has written, carriage returns included.
    fn remote_line(&self, line: &str) {
        if self.options.json() {
            let message = format!("Remote: {}", line.trim());
            self.record(Level::Warning, ROOT, &message, None);
        } else {
            console::write_stderr(&format!("Remote: {line}"));
        }
    }

    /// Says whom a lock is waited for: as an information, or to a person at a terminal. Others hear nothing of it, as
    /// of stock Borg.
    fn lock_held(&self, lock: &str, holders: &[LockHolder], given_up: bool) {
        self.noticed.lock_held(holders);
        if given_up {
            return;
        }
        let message = lock_holders::waiting(lock, holders);
        let is_text = self.options.form.get() == Form::Text;
        let is_shown = self.options.levels.enabled(LOCKING, Level::Info);
        if is_text && !is_shown && console::stderr_is_terminal() {
            console::stderr_line(&message);
        } else {
            self.record(Level::Info, LOCKING, &message, Some(LOCK_HELD));
        }
    }

    /// Whether a file has given progress handlers of its own: then every step is a message for them.
    fn progress_is_logged(&self) -> bool {
        let logging = self.options.levels.logging.as_ref();
        logging.is_some_and(|logging| logging.has_handlers(PROGRESS))
    }

    fn log_progress(&self, message: &str) {
        self.record(Level::Info, PROGRESS, message, None);
    }

    fn archive_progress(&self, figures: Option<&ArchiveProgress<'_>>) {
        self.with_progress(|progress, this| {
            progress.archive(figures, &this.options, &this.terminal);
        });
    }
}

impl Reporter for ConsoleReporter {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::Log {
                level,
                logger,
                message,
                msgid,
            } => {
                let kind = msgid
                    .filter(|_| logger == LOCKING)
                    .and_then(ErrorKind::from_class);
                if let (Level::Error, Some(kind)) = (level, kind) {
                    // A lock that was not given back as it was taken: somebody else may have worked meanwhile.
                    self.exit.set_error(kind);
                }
                self.record(level, logger, &message, msgid);
            }
            Event::Warning { kind, message } => {
                self.exit.add_warning(kind);
                self.record(Level::Warning, ARCHIVER, &message, Some(kind.class()));
            }
            Event::Finding(finding) => {
                self.record(finding.level, finding.logger, &finding.message, None);
                if let Some(place) = check_report::shown_place(&finding.place) {
                    self.record(Level::Debug, finding.logger, &place, None);
                }
                self.checked.add_finding(finding);
            }
            Event::RepairChange(change) => self.checked.add_change(change),
            Event::RemoteLog {
                level,
                logger,
                message,
                record,
            } => self.remote_log(level, logger, &message, record),
            Event::RemoteProgress { message, record } => {
                self.remote_progress(message.as_deref(), record);
            }
            Event::RemoteLine(line) => self.remote_line(&line),
            Event::NoSuchArchive { name, known } => self.noticed.no_such_archive(name, known),
            Event::LockHeld {
                lock,
                holders,
                given_up,
            } => self.lock_held(&lock, holders, given_up),
            Event::FileStatus { status, path } => self.file_status(status, path),
            Event::List(line) => self.record(Level::Info, LIST, &line, None),
            Event::ArchiveProgress(figures) => self.archive_progress(Some(&figures)),
            Event::ArchiveProgressEnd => self.archive_progress(None),
            Event::ProgressStart { .. } if self.progress_is_logged() => {}
            Event::ProgressPercent { message, .. } | Event::ProgressMessage { message, .. }
                if self.progress_is_logged() =>
            {
                self.log_progress(&message);
            }
            Event::ProgressEnd { .. } if self.progress_is_logged() => self.log_progress(""),
            Event::ProgressStart { msgid } => {
                self.with_progress(|progress, _| progress.start(msgid));
            }
            Event::ProgressPercent {
                msgid,
                current,
                total,
                message,
                info,
            } => {
                self.with_progress(|progress, this| {
                    let step = progress::Step {
                        current,
                        total,
                        message: &message,
                        info: info.as_deref(),
                    };
                    progress.percent(msgid, &step, &this.options, &this.terminal);
                });
            }
            Event::ProgressMessage { msgid, message } => self.with_progress(|progress, this| {
                progress.message(msgid, &message, &this.options, &this.terminal);
            }),
            Event::ProgressEnd { msgid } => self.with_progress(|progress, this| {
                progress.end(msgid, &this.options, &this.terminal);
            }),
        }
    }

    fn wants_progress(&self) -> bool {
        self.options.levels.enabled(PROGRESS, Level::Info)
    }

    fn wants_list(&self) -> bool {
        self.options.levels.enabled(LIST, Level::Info)
    }
}
