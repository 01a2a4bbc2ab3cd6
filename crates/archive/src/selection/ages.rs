//! Choosing archives by age: `--older`, `--newer`, `--oldest`, `--newest`, with Borg 2's meaning.

use std::str::FromStr;

use ironborg_types::{Timestamp, civil_from_days, days_from_civil};

use super::ListedArchive;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// More months than lie between any two times an archive can have.
const MONTHS_MAX: i64 = 12 * 10_000;

/// A length of time such as `7d`: a number and one of `y`, `m`, `w`, `d`, `H`, `M`, `S`.
///
/// Months and years are those of the calendar: a month before 31 March is the last day of February.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeSpan {
    /// Calendar months.
    Months(i64),
    /// Microseconds.
    Micros(i64),
}

/// A text that is no [`TimeSpan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTimeSpan;

impl FromStr for TimeSpan {
    type Err = InvalidTimeSpan;

    fn from_str(text: &str) -> Result<Self, InvalidTimeSpan> {
        let unit = text.chars().next_back().ok_or(InvalidTimeSpan)?;
        let digits = &text[..text.len() - unit.len_utf8()];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidTimeSpan);
        }
        // A number too large for its type is longer than any time span there is.
        let count: i64 = digits.parse().unwrap_or(i64::MAX);
        let micros = |each: i64| Self::Micros(count.saturating_mul(each));
        match unit {
            'y' => Ok(Self::Months(count.saturating_mul(12))),
            'm' => Ok(Self::Months(count)),
            'w' => Ok(micros(7 * MICROS_PER_DAY)),
            'd' => Ok(micros(MICROS_PER_DAY)),
            'H' => Ok(micros(3600 * MICROS_PER_SECOND)),
            'M' => Ok(micros(60 * MICROS_PER_SECOND)),
            'S' => Ok(micros(MICROS_PER_SECOND)),
            _ => Err(InvalidTimeSpan),
        }
    }
}

impl TimeSpan {
    /// The time this long before `at`.
    pub fn before(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Months(months) => add_months(at, -months.min(MONTHS_MAX)),
            Self::Micros(micros) => Timestamp(at.0.saturating_sub(micros)),
        }
    }

    /// The time this long after `at`.
    pub fn after(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Months(months) => add_months(at, months.min(MONTHS_MAX)),
            Self::Micros(micros) => Timestamp(at.0.saturating_add(micros)),
        }
    }
}

fn add_months(at: Timestamp, months: i64) -> Timestamp {
    let (year, month, day) = civil_from_days(at.0.div_euclid(MICROS_PER_DAY));
    let total = year * 12 + (month - 1) + months;
    let first = |total: i64| days_from_civil(total.div_euclid(12), total.rem_euclid(12) + 1, 1);
    let last_day = first(total + 1) - first(total);
    let days = first(total) + day.min(last_day) - 1;
    let of_day = at.0.rem_euclid(MICROS_PER_DAY);
    Timestamp(days.saturating_mul(MICROS_PER_DAY).saturating_add(of_day))
}

/// Bounds on the age of archives; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArchiveAges {
    /// Made this long ago, or earlier.
    pub older: Option<TimeSpan>,
    /// Made this long ago, or later.
    pub newer: Option<TimeSpan>,
    /// Made within this time after the oldest of those left by the bounds above.
    pub oldest: Option<TimeSpan>,
    /// Made within this time before the newest of those left by the bounds above.
    pub newest: Option<TimeSpan>,
}

impl ArchiveAges {
    /// Whether there is any bound.
    pub fn is_bounded(&self) -> bool {
        *self != Self::default()
    }

    /// Drops the archives outside of the bounds; the order stays.
    pub fn retain(&self, archives: &mut Vec<ListedArchive>, now: Timestamp) {
        if let Some(span) = self.older {
            archives.retain(|archive| archive.time <= span.before(now));
        }
        if let Some(span) = self.newer {
            archives.retain(|archive| archive.time >= span.before(now));
        }
        let times = || archives.iter().map(|archive| archive.time);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return;
        };
        if let Some(span) = self.oldest {
            archives.retain(|archive| archive.time <= span.after(first));
        }
        if let Some(span) = self.newest {
            archives.retain(|archive| archive.time >= span.before(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn span(text: &str) -> TimeSpan {
        text.parse().expect("a time span")
    }

    #[test]
    fn months_end_where_the_calendar_says() {
        let check = |at: &str, length: &str, before: &str, after: &str| {
            assert_eq!(
                span(length).before(time(at)),
                time(before),
                "{at} - {length}"
            );
            assert_eq!(span(length).after(time(at)), time(after), "{at} + {length}");
        };
        check(
            "2024-03-31T12:30:00",
            "1m",
            "2024-02-29T12:30:00",
            "2024-04-30T12:30:00",
        );
        check(
            "2024-02-29T00:00:00",
            "1y",
            "2023-02-28T00:00:00",
            "2025-02-28T00:00:00",
        );
        check(
            "2024-01-15T01:02:03",
            "25m",
            "2021-12-15T01:02:03",
            "2026-02-15T01:02:03",
        );
        check(
            "2024-01-01T00:00:00",
            "1w",
            "2023-12-25T00:00:00",
            "2024-01-08T00:00:00",
        );
        check(
            "2024-01-01T00:00:00",
            "90M",
            "2023-12-31T22:30:00",
            "2024-01-01T01:30:00",
        );
        check(
            "2024-01-01T00:00:00",
            "0d",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00",
        );
    }

    #[test]
    fn very_long_spans_reach_beyond_everything() {
        for text in [
            "99999999999999999999y",
            "9223372036854775807S",
            "4611686018427387904d",
        ] {
            assert!(span(text).before(time("0001-01-01T00:00:00")) < time("0001-01-01T00:00:00"));
            assert!(span(text).after(time("9999-12-31T23:59:59")) > time("9999-12-31T23:59:59"));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "d", "7", "7D", "-1d", "1.5d", "1d2H", " 1d", "7é"] {
            assert_eq!(text.parse::<TimeSpan>(), Err(InvalidTimeSpan), "{text:?}");
        }
    }
}
