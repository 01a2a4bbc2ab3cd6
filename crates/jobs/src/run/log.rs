//! The end of a log, and passing it on.

use std::collections::VecDeque;

use ironborg_types::Level;

use super::world::Voice;
use crate::history::LOG_LEN_MAX;

/// Keeps the last of what is said.
pub(super) struct Log<'a> {
    lines: VecDeque<String>,
    len: usize,
    prefix: &'a str,
}

impl<'a> Log<'a> {
    /// An empty one; `prefix` precedes the supervisor's own lines.
    pub(super) fn new(prefix: &'a str) -> Self {
        Self {
            lines: VecDeque::new(),
            len: 0,
            prefix,
        }
    }

    /// Takes a piece of what was passed on already.
    pub(super) fn pass(&mut self, piece: &str) {
        self.len += piece.len();
        self.lines.push_back(piece.to_owned());
        while self.len > LOG_LEN_MAX {
            let Some(first) = self.lines.pop_front() else {
                break;
            };
            self.len -= first.len();
        }
    }

    /// Says a line and takes it.
    pub(super) fn say(&mut self, voice: &dyn Voice, level: Level, line: &str) {
        let line = format!("{}: {line}", self.prefix);
        voice.say(level, &line);
        self.pass(&format!("{line}\n"));
    }

    /// All that is kept.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_end_is_kept() {
        let mut log = Log::new("job");
        for number in 0..100_000 {
            log.pass(&format!("line {number}\n"));
        }
        let text = log.text();
        assert!(text.len() <= LOG_LEN_MAX && text.len() > LOG_LEN_MAX - 20);
        assert!(text.starts_with("line ") && text.ends_with("line 99999\n"));
        // A line that is longer than everything is left out, rather than cut anywhere.
        log.pass(&"x".repeat(LOG_LEN_MAX + 1));
        assert_eq!(log.text(), "");
        log.pass("end\n");
        assert_eq!(log.text(), "end\n");
    }
}
