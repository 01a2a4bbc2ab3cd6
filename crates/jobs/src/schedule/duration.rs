//! Lengths of time as systemd writes them: `90min`, `1h 30min`, `2 weeks`.
//!
//! Source: systemd.time(7), "Parsing Time Spans". A number needs a unit: what is every 30 of something?

use std::time::Duration;

/// What is wrong with a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is nothing.
    #[error("expected a length of time such as 90min or 2 weeks")]
    Empty,
    /// There is something else than a number.
    #[error("expected a number at {at:?}, as in 90min or 2 weeks")]
    NoNumber {
        /// What is there.
        at: String,
    },
    /// A number has no unit.
    #[error("{number} of what? A unit is missing, one of {UNIT_NAMES}")]
    NoUnit {
        /// The number.
        number: String,
    },
    /// There is no such unit.
    #[error("there is no unit {unit:?}, but {UNIT_NAMES}")]
    UnknownUnit {
        /// What is there instead.
        unit: String,
    },
    /// It is too long.
    #[error("{text:?} is too long")]
    TooLong {
        /// The whole.
        text: String,
    },
}

/// Short for messages.
const UNIT_NAMES: &str = "s, min, h, days, weeks, months, years";
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// As systemd has it: 365.25 days.
const YEAR: u64 = 31_557_600 * SECOND;
/// As systemd has it: a twelfth of a year.
const MONTH: u64 = YEAR / 12;
/// Units and how many nanoseconds they have.
const UNITS: [(&str, u64); 28] = [
    ("ms", MILLISECOND),
    ("msec", MILLISECOND),
    ("s", SECOND),
    ("sec", SECOND),
    ("second", SECOND),
    ("seconds", SECOND),
    ("m", MINUTE),
    ("min", MINUTE),
    ("minute", MINUTE),
    ("minutes", MINUTE),
    ("h", HOUR),
    ("hr", HOUR),
    ("hour", HOUR),
    ("hours", HOUR),
    ("d", DAY),
    ("day", DAY),
    ("days", DAY),
    ("w", 7 * DAY),
    ("week", 7 * DAY),
    ("weeks", 7 * DAY),
    ("M", MONTH),
    ("month", MONTH),
    ("months", MONTH),
    ("y", YEAR),
    ("year", YEAR),
    ("years", YEAR),
    ("us", 1000),
    ("usec", 1000),
];
/// Digits behind the point that count: nanoseconds of a second.
const FRACTION_DIGITS: usize = 9;
/// The longest time that is accepted: a century. Points in time with that added or taken away exist.
const LONGEST: Duration = Duration::from_hours(876_600);

/// Understands a length of time: numbers with units, which are added up; `0` needs none.
///
/// # Errors
/// What is wrong with it; at most a century is accepted.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let too_long = || DurationError::TooLong {
        text: text.to_owned(),
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let len = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, behind) = rest.split_at(len);
        let Some((whole, fraction)) = parts(number) else {
            return Err(DurationError::NoNumber {
                at: rest.to_owned(),
            });
        };
        let behind = behind.trim_start();
        let len = behind
            .find(|c: char| c.is_ascii_digit() || c.is_whitespace())
            .unwrap_or(behind.len());
        let (name, behind) = behind.split_at(len);
        rest = behind.trim_start();
        let unit = match UNITS.iter().find(|(unit, _)| *unit == name) {
            Some((_, unit)) => u128::from(*unit),
            None if !name.is_empty() => {
                return Err(DurationError::UnknownUnit {
                    unit: name.to_owned(),
                });
            }
            None if number == "0" && rest.is_empty() => 0,
            None => {
                return Err(DurationError::NoUnit {
                    number: number.to_owned(),
                });
            }
        };
        let whole = whole.parse::<u64>().map_err(|_| too_long())?;
        let scaled = u128::from(whole) * unit;
        let fraction = u128::from(fraction) * unit / u128::from(SECOND);
        nanoseconds = nanoseconds.saturating_add(scaled + fraction);
    }
    let nanoseconds = u64::try_from(nanoseconds).map_err(|_| too_long())?;
    Some(Duration::from_nanos(nanoseconds))
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(too_long)
}

/// What is before the point, and billionths of one.
fn parts(number: &str) -> Option<(&str, u64)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let has_digits = !whole.is_empty() && !fraction.contains('.');
    if !has_digits || (fraction.is_empty() && number.contains('.')) {
        return None;
    }
    let digit = |at: usize| {
        fraction
            .as_bytes()
            .get(at)
            .map_or(0, |c| u64::from(c - b'0'))
    };
    let billionths = (0..FRACTION_DIGITS).fold(0, |value, at| value * 10 + digit(at));
    // 00012 are twelve.
    let whole = whole.trim_start_matches('0');
    Some((if whole.is_empty() { "0" } else { whole }, billionths))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: f64) {
        let found = parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(
            (found.as_secs_f64() - seconds).abs() < 1e-6,
            "{text}: {found:?}"
        );
    }

    #[test]
    fn lengths_are_those_of_systemd() {
        check("0", 0.0);
        check("90min", 5400.0);
        check(" 1h 30min ", 5400.0);
        check("1h30min", 5400.0);
        check("1.5 hours", 5400.0);
        check("2 weeks", 1_209_600.0);
        check("1 month", 2_629_800.0);
        check("1M", 2_629_800.0);
        check("1m", 60.0);
        check("1y", 31_557_600.0);
        check("250ms", 0.25);
        check("26h", 93_600.0);
        check("0007s", 7.0);
    }

    #[test]
    fn what_is_no_length_says_so() {
        let error = |text| parse_duration(text).unwrap_err().to_string();
        assert_eq!(
            error("  "),
            "expected a length of time such as 90min or 2 weeks"
        );
        assert_eq!(
            error("soon"),
            "expected a number at \"soon\", as in 90min or 2 weeks"
        );
        assert_eq!(
            error("30"),
            "30 of what? A unit is missing, one of s, min, h, days, weeks, months, years"
        );
        assert_eq!(
            error("3 fortnights"),
            "there is no unit \"fortnights\", but s, min, h, days, weeks, months, years"
        );
        assert_eq!(error("101 years"), "\"101 years\" is too long");
        assert_eq!(
            error("99999999999999999999s"),
            "\"99999999999999999999s\" is too long"
        );
        for text in [
            "-1s", "1.s", ".5s", "1..5s", "1,5h", "h", "1h-", "1.2.3h", "ä",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
