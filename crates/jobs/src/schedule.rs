//! When a job is due: calendar expressions of systemd and of cron, what was missed, delays, and a scheduler for any clock.
//!
//! An expression is one of cron's if it is five fields with blanks between, or `@daily` and the like; no calendar expression of systemd
//! is either. A time of day that does not exist where clocks are set forward is left out, and one that exists twice counts
//! once, the first time: as systemd has it, so that it does not matter who watches the clock.

mod calendar;
mod calendar_text;
mod cron;
pub mod due;
mod duration;
mod elapse;
pub mod scheduler;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::calendar::Calendar;
pub use self::due::{ON_TIME, Record, Timing};
pub use self::duration::{DurationError, parse_duration};

/// When something is to be done: whenever one of its expressions says so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedule {
    expressions: Vec<Expression>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
struct Expression {
    /// As systemd takes it, if it was one of its own.
    on_calendar: Option<String>,
    /// Any of these; two if cron's days of the month and days of the week both count.
    calendars: Vec<Calendar>,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expression:?}, character {column}: {wrong}")]
pub struct ScheduleError {
    /// The whole expression.
    pub expression: String,
    /// The character it is about, counted from 1.
    pub column: usize,
    /// What is wrong with it, and what is expected instead.
    pub wrong: String,
}

/// What is wrong, and how many bytes are left behind the place where it is.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    left: usize,
    message: String,
}

impl Wrong {
    fn at<T>(rest: &str, message: impl Into<String>) -> Result<T, Self> {
        Err(Self {
            left: rest.len(),
            message: message.into(),
        })
    }
}

impl Schedule {
    /// Understands expressions such as `daily`, `Mon..Fri *-*-* 02:30`, `0 4 * * *`; none of them is a schedule that never elapses.
    ///
    /// # Errors
    /// The first that cannot be understood.
    pub fn parse(expressions: &[String]) -> Result<Self, ScheduleError> {
        let parsed = expressions.iter().map(|text| {
            parse_expression(text).map_err(|wrong| {
                let before = text.len().saturating_sub(wrong.left);
                ScheduleError {
                    expression: text.clone(),
                    column: text.char_indices().filter(|(at, _)| *at < before).count() + 1,
                    wrong: wrong.message,
                }
            })
        });
        Ok(Self {
            expressions: parsed.collect::<Result<_, _>>()?,
        })
    }

    /// Whether it has no expressions.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// The first time after `now`, in the zone of this place unless an expression names another; nothing: never again.
    pub fn next_after(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.calendars()
            .filter_map(|calendar| elapse::next_after(calendar, now, zone))
            .min()
    }

    /// The last time before `now`; nothing: never since 1970.
    pub fn last_before(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        self.calendars()
            .filter_map(|calendar| elapse::last_before(calendar, now, zone))
            .max()
    }

    /// What systemd's `OnCalendar=` is given, a line each.
    pub fn as_on_calendar(&self) -> Vec<String> {
        let lines = self.expressions.iter().flat_map(|expression| {
            let said = |calendar: &Calendar| match &expression.on_calendar {
                Some(own) if !calendar.repeats_days() => own.clone(),
                _ => calendar.to_string(),
            };
            expression.calendars.iter().map(said).collect::<Vec<_>>()
        });
        lines.collect()
    }

    /// Minute, hour, day of the month, month and day of the week for crontabs, a line each; nothing if cron cannot say it exactly.
    pub fn as_cron(&self) -> Option<Vec<String>> {
        self.calendars().map(cron::fields).collect()
    }

    fn calendars(&self) -> impl Iterator<Item = &Calendar> {
        self.expressions
            .iter()
            .flat_map(|expression| &expression.calendars)
    }
}

fn parse_expression(text: &str) -> Result<Expression, Wrong> {
    let blanks = |c: char| c == ' ' || c == '\t';
    let start = text.trim_start_matches(blanks);
    let own = start.trim_end_matches(blanks);
    // What is behind it is left as well.
    let behind = start.len() - own.len();
    let parsed = if cron::is_cron(own) {
        cron::parse(own).map(|calendars| Expression {
            on_calendar: None,
            calendars,
        })
    } else {
        calendar_text::parse(own).map(|(calendar, on_calendar)| Expression {
            on_calendar: Some(on_calendar),
            calendars: vec![calendar],
        })
    };
    parsed.map_err(|wrong| Wrong {
        left: wrong.left + behind,
        ..wrong
    })
}

#[cfg(test)]
mod tests;
