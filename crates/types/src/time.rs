//! Times as Borg writes them: ISO 8601, UTC, six digits of microseconds, no zone.

use std::fmt;
use std::str::FromStr;

/// A point in time, microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A text that is not `YYYY-MM-DDTHH:MM:SS` with an optional fraction of up to six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTimestamp;

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a timestamp of the form YYYY-MM-DDTHH:MM:SS.ffffff")
    }
}

impl std::error::Error for InvalidTimestamp {}

impl Timestamp {
    /// Reads the system clock (the one exception to "no clock" here; callers pass times downwards).
    pub fn now() -> Self {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            Err(before) => Self(-i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX)),
        }
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Microseconds within the second.
    pub const fn subsec_micros(self) -> i64 {
        self.0.rem_euclid(1_000_000)
    }
}

/// `YYYY-MM-DDTHH:MM:SS.ffffff`
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60,
            self.subsec_micros()
        )
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let (main, fraction) = text
            .split_once('.')
            .map_or((text, None), |(m, f)| (m, Some(f)));
        let b = main.as_bytes();
        if b.len() != 19 || [b[4], b[7], b[10], b[13], b[16]] != *b"--T::" {
            return Err(InvalidTimestamp);
        }
        let number = |from: usize, to: usize| digits(&b[from..to]);
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let micros = match fraction {
            None => 0,
            Some(f) if (1..=6).contains(&f.len()) => {
                (f.len()..6).fold(digits(f.as_bytes())?, |value, _| value * 10)
            }
            Some(_) => return Err(InvalidTimestamp),
        };
        if !(1..=12).contains(&month)
            || !(1..=31).contains(&day)
            || hour > 23
            || minute > 59
            || second > 59
        {
            return Err(InvalidTimestamp);
        }
        let days = days_from_civil(year, month, day);
        if civil_from_days(days) != (year, month, day) {
            return Err(InvalidTimestamp);
        }
        Ok(Self(
            (days * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000 + micros,
        ))
    }
}

fn digits(text: &[u8]) -> Result<i64, InvalidTimestamp> {
    text.iter().try_fold(0_i64, |value, digit| {
        if digit.is_ascii_digit() {
            Ok(value * 10 + i64::from(digit - b'0'))
        } else {
            Err(InvalidTimestamp)
        }
    })
}

/// Days since 1970-01-01 of a proleptic Gregorian date.
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`]: year, month, day.
pub const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    (
        year_of_era + era * 400 + if month <= 2 { 1 } else { 0 },
        month,
        day,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_are_written_as_borg_writes_them() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000");
        assert_eq!(
            Timestamp(1_704_164_645_123_456).to_string(),
            "2024-01-02T03:04:05.123456"
        );
        assert_eq!(
            "2024-01-02T03:04:05".parse(),
            Ok(Timestamp(1_704_164_645_000_000))
        );
    }

    #[test]
    fn malformed_times_are_refused() {
        for text in [
            "",
            "2024-01-02",
            "2024-13-02T03:04:05",
            "2023-02-29T00:00:00",
            "2024-01-02T03:04:05.",
            "2024-01-02 03:04:05",
            "2024-01-02T24:00:00",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn times_survive_a_round_trip(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let time = Timestamp(micros);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
