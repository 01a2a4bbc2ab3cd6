//! The supervisor's own words.

use ironborg_jobs::run::Voice;
use ironborg_types::Level;

use crate::console;
use crate::context::Context;
use crate::reporter::ROOT;

/// Says them on standard error.
pub(in crate::commands::jobs) struct ConsoleVoice<'a> {
    pub(in crate::commands::jobs) context: &'a Context,
}

impl Voice for ConsoleVoice<'_> {
    fn say(&self, level: Level, line: &str) {
        let reporter = &self.context.reporter;
        // What a run is waiting for is for whoever reads its log later, and that is usually at the default level.
        if level == Level::Info && !reporter.json() && reporter.shows(Level::Warning, ROOT) {
            console::stderr_line(line);
        } else {
            reporter.log(level, line);
        }
    }
}
