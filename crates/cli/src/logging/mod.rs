//! Logging set up by a file (`BORG_LOGGING_CONF`), in the format of Python's `logging.config.fileConfig`.
//!
//! Loggers form a tree by the dots in their names; a record goes to the handlers of its logger and, as far as that
//! is not switched off, of those above it. What a file asks for and this does not know is refused as a whole, so that
//! messages are shown in the ordinary way instead of getting lost.

mod conf;
mod handler;
mod layout;
mod literal;

use std::path::Path;

use ironborg_types::Level;

use self::handler::Handler;
use crate::console;

/// Something to be logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// How important it is.
    pub(crate) level: Level,
    /// Which logger it belongs to.
    pub(crate) logger: &'a str,
    /// The text.
    pub(crate) message: &'a str,
    /// What it is, for programs.
    pub(crate) msgid: Option<&'a str>,
}

/// The loggers of a file.
#[derive(Debug)]
pub(crate) struct Logging {
    loggers: Vec<Logger>,
    handlers: Vec<Handler>,
}

/// One logger of the file; the root's name is empty.
#[derive(Debug)]
struct Logger {
    name: String,
    /// None for that of the next logger above.
    level: Option<Level>,
    propagates: bool,
    /// Indices of its handlers.
    handlers: Vec<usize>,
}

/// The names of a logger and of those above it; the root's is empty.
fn ancestry(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        (!name.is_empty()).then(|| name.rsplit_once('.').map_or("", |(above, _)| above))
    })
}

impl Logging {
    /// Sets up what the file says; the error is what Python would say.
    pub(crate) fn from_file(path: &Path) -> Result<Self, String> {
        conf::read(path)
    }

    fn logger(&self, name: &str) -> Option<&Logger> {
        self.loggers.iter().find(|logger| logger.name == name)
    }

    /// The level a logger has of its own.
    pub(crate) fn own_level(&self, name: &str) -> Option<Level> {
        self.logger(name)?.level
    }

    /// The level a logger has, be it from one above.
    pub(crate) fn level(&self, name: &str) -> Level {
        ancestry(name)
            .find_map(|name| self.own_level(name))
            .unwrap_or(Level::Warning)
    }

    /// Whether a logger has handlers of its own.
    pub(crate) fn has_handlers(&self, name: &str) -> bool {
        self.logger(name)
            .is_some_and(|logger| !logger.handlers.is_empty())
    }

    /// Hands a record to all handlers that are to have it.
    pub(crate) fn log(&self, record: &Record<'_>) {
        let mut handled = false;
        for logger in ancestry(record.logger).filter_map(|name| self.logger(name)) {
            for &index in &logger.handlers {
                handled = true;
                self.handlers[index].handle(record);
            }
            if !logger.propagates {
                break;
            }
        }
        // Python's last resort.
        if !handled && record.level >= Level::Warning {
            console::stderr_line(record.message);
        }
    }
}

/// A level as Python names it.
pub(crate) fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
        Level::Critical => "CRITICAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_is_below_those_its_name_begins_with() {
        let names: Vec<&str> = ancestry("borg.output.list").collect();
        assert_eq!(names, ["borg.output.list", "borg.output", "borg", ""]);
        assert_eq!(ancestry("").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_root_without_a_threshold_takes_everything() {
        let dir = tempfile::tempdir().unwrap();
        for (line, expected) in [
            ("level=NOTSET", Level::Debug),
            ("level=INFO", Level::Info),
            ("", Level::Warning),
        ] {
            let conf = format!(
                "[loggers]\nkeys=root,b\n[handlers]\nkeys=\n[formatters]\nkeys=\n\
                 [logger_root]\n{line}\nhandlers=\n\
                 [logger_b]\nqualname=borg\nlevel=NOTSET\nhandlers=\n"
            );
            let path = dir.path().join("conf");
            std::fs::write(&path, conf).unwrap();
            let logging = Logging::from_file(&path).unwrap();
            assert_eq!(logging.level("borg.archiver"), expected, "{line}");
        }
    }
}
