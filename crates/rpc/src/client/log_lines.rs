//! What a server writes to its standard error, line by line.

use std::sync::Arc;

use ironborg_types::{Event, Level, Reporter, text};

/// Longest line kept while its end has not come.
const LINE_LEN_MAX: usize = 1024 * 1024;

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

    /// Takes bytes as they come.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.begun.extend_from_slice(piece);
            if matches!(piece.last(), Some(b'\n' | b'\r')) || self.begun.len() > LINE_LEN_MAX {
                let line = std::mem::take(&mut self.begun);
                self.line(&line);
            }
        }
    }

    fn line(&self, line: &[u8]) {
        let shown = format!("Remote: {}", text::display(line.trim_ascii_end()));
        self.reporter
            .report(Event::log(Level::Warning, "root", shown));
    }
}
