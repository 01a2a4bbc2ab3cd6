//! Points in time as typed: `--timestamp`, and what people say to `restore --as-of`.

use std::ffi::OsStr;

use ironborg_source::named_file;
use ironborg_types::Timestamp;
use ironborg_types::limits::TIMESTAMP_NS_MAX;

use crate::args::ParseError;
use crate::output::pyformat::repr;
use crate::output::time;
use ironborg_types::{civil_from_days, days_from_civil};

/// Reads one of Borg's forms, all UTC: date, date and time, day of the year; no fractions, no zones.
///
/// Source: Borg 1.4, `timestamp`, without its look at the file system.
pub(crate) fn parse_utc(text: &str) -> Option<Timestamp> {
    parse_civil(text).map(|seconds| Timestamp(seconds * 1_000_000))
}

/// The value of `--timestamp`: a file whose modification time is meant, or a time.
pub(crate) fn parse_option(value: &OsStr) -> Result<Timestamp, ParseError> {
    if let Some((seconds, nanoseconds)) = named_file::modified(value) {
        return Ok(from_file_time(seconds, nanoseconds));
    }
    let text = value.to_string_lossy();
    parse_utc(&text).ok_or_else(|| {
        ParseError::argument(
            "--timestamp",
            format!("invalid timestamp value: {}", repr(&text)),
        )
    })
}

/// A file's modification time as a timestamp: clamped to what Borg can store.
pub(crate) fn from_file_time(seconds: i64, nanoseconds: i64) -> Timestamp {
    let max = TIMESTAMP_NS_MAX / 1_000_000_000;
    if seconds < 0 {
        return Timestamp(0);
    }
    if seconds >= max {
        return Timestamp(max * 1_000_000);
    }
    // Through a double, as Python's st_mtime is one.
    let exact = seconds as f64 + nanoseconds as f64 / 1e9;
    let micros = ((exact - exact.trunc()) * 1e6).round_ties_even();
    #[allow(clippy::cast_possible_truncation)] // 31 bits of seconds.
    Timestamp(exact.trunc() as i64 * 1_000_000 + micros as i64)
}

/// Seconds since 1970 of a civil time, zone left open.
fn parse_civil(text: &str) -> Option<i64> {
    let text = text
        .strip_suffix("+00:00")
        .or_else(|| text.strip_suffix('Z'))
        .map_or(
            Some((text, false)),
            // Only the full form takes a zone.
            |rest| (rest.contains('T') && rest.matches(':').count() == 2).then_some((rest, true)),
        )?;
    let (text, zoned) = text;
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    if zoned && text.contains(' ') {
        return None;
    }
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4, 1, 9999)?;
    if parts.clone().next()?.len() == 3 && clock.is_none() {
        let day = number(parts.next()?, 3, 1, 366)?;
        let days = days_from_civil(year, 1, 1) + day - 1;
        return (parts.next().is_none() && civil_from_days(days).0 == year)
            .then_some(days * 86_400);
    }
    let month = number(parts.next()?, 2, 1, 12)?;
    let day = number(parts.next()?, 2, 1, 31)?;
    let days = days_from_civil(year, month, day);
    if parts.next().is_some() || civil_from_days(days) != (year, month, day) {
        return None;
    }
    let mut seconds = days * 86_400;
    if let Some(clock) = clock {
        let mut parts = clock.split(':');
        seconds += number(parts.next()?, 2, 0, 23)? * 3600;
        seconds += number(parts.next()?, 2, 0, 59)? * 60;
        if let Some(second) = parts.next() {
            // A leap second is what strptime lets through and datetime then refuses.
            seconds += number(second, 2, 0, 59)?;
        }
        if parts.next().is_some() {
            return None;
        }
    }
    Some(seconds)
}

/// A number of one to `digits` digits (four for a year, as strptime wants) between two bounds.
fn number(text: &str, digits: usize, min: i64, max: i64) -> Option<i64> {
    let len_fits = if digits == 4 {
        text.len() == 4
    } else {
        (1..=digits).contains(&text.len())
    };
    if !len_fits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse()
        .ok()
        .filter(|value| (min..=max).contains(value))
}

/// A point in time as people say it: a date or time in the local zone, `now`, `today`, `yesterday`,
/// `2 days ago`. A date alone means its end: what there was on that day.
pub(crate) fn parse_spoken(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let seconds_now = now.seconds();
    let local_now = seconds_now + time::local_offset(seconds_now);
    let end_of_day = |days: i64| {
        let end = time::unix_from_local((days + 1) * 86_400) - 1;
        Timestamp(end * 1_000_000 + 999_999)
    };
    let today = local_now.div_euclid(86_400);
    match lower.as_str() {
        "now" => return Some(now),
        "today" => return Some(end_of_day(today)),
        "yesterday" => return Some(end_of_day(today - 1)),
        _ => {}
    }
    if let Some(span) = lower.strip_suffix("ago") {
        return ago(span.trim(), now);
    }
    if text.ends_with('Z') || text.ends_with("+00:00") {
        return parse_utc(text);
    }
    let local = parse_civil(text)?;
    if !text.contains(':') {
        return Some(end_of_day(local.div_euclid(86_400)));
    }
    let last_second = if text.matches(':').count() == 1 {
        59
    } else {
        0
    };
    Some(Timestamp(
        (time::unix_from_local(local) + last_second) * 1_000_000 + 999_999,
    ))
}

/// `2 days`, `an hour`, `1 week`: counted back from now.
fn ago(span: &str, now: Timestamp) -> Option<Timestamp> {
    let (count, unit) = span.split_once(' ')?;
    let count: i64 = match count {
        "a" | "an" | "one" => 1,
        digits => digits
            .parse()
            .ok()
            .filter(|count| (0..=1_000_000).contains(count))?,
    };
    let unit = unit.trim();
    let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" | "sec" => 1,
        "minute" | "min" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        "month" => 31 * 86_400,
        "year" => 365 * 86_400,
        _ => return None,
    };
    Some(Timestamp(now.0.checked_sub(
        count.checked_mul(seconds)?.checked_mul(1_000_000)?,
    )?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(parse_utc(text), expected, "{text}");
    }

    #[test]
    fn timestamps_are_read_as_borg_reads_them() {
        for text in [
            "2024-01-02T03:04:05",
            "2024-01-02T03:04:05Z",
            "2024-01-02T03:04:05+00:00",
            "2024-01-02 03:04:05",
        ] {
            check(text, Some("2024-01-02T03:04:05"));
        }
        for text in ["2024-01-02T03:04", "2024-01-02 03:04"] {
            check(text, Some("2024-01-02T03:04:00"));
        }
        check("2024-01-02", Some("2024-01-02T00:00:00"));
        check("2024-033", Some("2024-02-02T00:00:00"));
        check("2024-1-2", Some("2024-01-02T00:00:00"));
        for text in [
            "2024",
            "2024-01-02T03:04:05.5",
            "2024-01-02T03:04:05+01:00",
            "x",
            "",
            "2023-02-29",
            "2023-366",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn spoken_times_are_understood() {
        let now: Timestamp = "2024-03-10T12:00:00".parse().unwrap();
        let ago = |text: &str| parse_spoken(text, now).map(|time| now.0 - time.0);
        assert_eq!(ago("now"), Some(0));
        assert_eq!(ago("2 days ago"), Some(2 * 86_400_000_000));
        assert_eq!(ago("an hour ago"), Some(3_600_000_000));
        assert_eq!(ago("soon"), None);
        assert_eq!(
            parse_spoken("2024-03-01T10:00:00Z", now),
            parse_utc("2024-03-01T10:00:00")
        );
        assert!(parse_spoken("yesterday", now).unwrap() < parse_spoken("today", now).unwrap());
    }
}
