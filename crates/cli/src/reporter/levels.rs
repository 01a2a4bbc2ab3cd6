//! Which log records are shown.

use std::sync::Arc;

use ironborg_types::Level;

use crate::logging::Logging;

/// Loggers with a threshold of their own: INFO where their option is given, else WARNING.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OutputLoggers {
    /// `--list`
    pub(crate) list: bool,
    /// `--show-version`
    pub(crate) show_version: bool,
    /// `--show-rc`
    pub(crate) show_rc: bool,
    /// `--stats`, `--quick-stats`
    pub(crate) stats: bool,
    /// `--progress`
    pub(crate) progress: bool,
}

/// Thresholds of all loggers. Source: Borg 1.4, `setup_logging` and `_setup_implied_logging`.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    /// Of every logger without its own.
    pub(crate) root: Level,
    /// The `borg.output.*` loggers.
    pub(crate) output: OutputLoggers,
    /// Loggers switched to DEBUG, full names.
    pub(crate) topics: Vec<String>,
    /// Loggers set up by a file, which then decides in place of `root`.
    pub(crate) logging: Option<Arc<Logging>>,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            root: Level::Warning,
            output: OutputLoggers::default(),
            topics: Vec::new(),
            logging: None,
        }
    }
}

impl Levels {
    /// Whether a record of this importance is shown.
    pub(crate) fn enabled(&self, logger: &str, level: Level) -> bool {
        level >= self.threshold(logger)
    }

    fn threshold(&self, logger: &str) -> Level {
        let covers = |topic: &String| {
            logger
                .strip_prefix(topic.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if self.topics.iter().any(covers) {
            return Level::Debug;
        }
        let option = match logger {
            "borg.output.list" => self.output.list,
            "borg.output.show-version" => self.output.show_version,
            "borg.output.show-rc" => self.output.show_rc,
            "borg.output.stats" => self.output.stats,
            "borg.output.progress" => self.output.progress,
            _ => {
                let logging = self.logging.as_deref();
                let own = logging.and_then(|logging| logging.own_level(logger));
                return match (own, logging) {
                    (Some(level), _) => level,
                    _ if logger.starts_with("borg.debug.") => Level::Warning,
                    (None, Some(logging)) => logging.level(logger),
                    (None, None) => self.root,
                };
            }
        };
        if option { Level::Info } else { Level::Warning }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_follow_options_and_topics() {
        let mut levels = Levels::default();
        assert!(levels.enabled("borg.archiver", Level::Warning));
        assert!(!levels.enabled("borg.archiver", Level::Info));
        assert!(!levels.enabled("borg.output.list", Level::Info));
        levels.root = Level::Debug;
        assert!(
            !levels.enabled("borg.output.stats", Level::Info),
            "its own threshold counts"
        );
        assert!(!levels.enabled("borg.debug.files_cache", Level::Debug));
        levels.topics.push("borg.debug.files_cache".into());
        assert!(levels.enabled("borg.debug.files_cache", Level::Debug));
        assert!(!levels.enabled("borg.debug.files_cache2", Level::Debug));
        levels.output.list = true;
        assert!(levels.enabled("borg.output.list", Level::Info));
    }
}
