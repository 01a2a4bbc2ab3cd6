//! Progress in percent, at the steps stock Borg shows.

use std::borrow::Cow;

use crate::event::{Event, Reporter};

/// Counts towards a total and says when the next step is due.
///
/// Source: Borg 1.4, `ProgressIndicatorPercent`. The percentage is that before the step was counted;
/// `current` in the event is the count after it.
#[derive(Debug)]
pub struct PercentProgress {
    msgid: &'static str,
    total: u64,
    current: u64,
    trigger_at: f64,
    step: f64,
}

impl PercentProgress {
    /// Begins an operation of `total` units that is shown every `step` percent.
    pub fn start(reporter: &dyn Reporter, msgid: &'static str, total: u64, step: f64) -> Self {
        reporter.report(Event::ProgressStart { msgid });
        Self {
            msgid,
            total,
            current: 0,
            trigger_at: 0.0,
            step,
        }
    }

    /// Sets the total once it is known.
    pub fn set_total(&mut self, total: u64) {
        self.total = total;
    }

    /// Shows a message without counting.
    pub fn announce(&self, reporter: &dyn Reporter, message: &str) {
        reporter.report(Event::ProgressPercent {
            msgid: self.msgid,
            current: self.current,
            total: self.total,
            message: message.into(),
            info: None,
        });
    }

    /// Counts `units` more, and shows the step if it is due; `message` makes its text from the
    /// percentage and `info`.
    pub fn advance(
        &mut self,
        reporter: &dyn Reporter,
        units: u64,
        info: Option<&str>,
        message: impl FnOnce(f64) -> String,
    ) {
        let percent = if self.total == 0 {
            100.0
        } else {
            self.current as f64 * 100.0 / self.total as f64
        };
        self.current = self.current.saturating_add(units);
        if percent >= self.trigger_at {
            self.trigger_at += self.step;
            reporter.report(Event::ProgressPercent {
                msgid: self.msgid,
                current: self.current,
                total: self.total,
                message: message(percent).into(),
                info: info.map(|text| vec![Cow::Borrowed(text)]),
            });
        }
    }

    /// Sets the count to `current` before it counts one more.
    pub fn advance_to(
        &mut self,
        reporter: &dyn Reporter,
        current: u64,
        info: Option<&str>,
        message: impl FnOnce(f64) -> String,
    ) {
        self.current = current;
        self.advance(reporter, 1, info, message);
    }

    /// Ends the operation.
    pub fn finish(&self, reporter: &dyn Reporter) {
        reporter.report(Event::ProgressEnd { msgid: self.msgid });
    }
}
