//! Times as they are shown: in the local zone, with English names.

use std::sync::OnceLock;

use ironborg_types::Timestamp;
use ironborg_types::limits::TIMESTAMP_NS_MAX;
use jiff::tz::TimeZone;

use super::strftime::CivilTime;

/// The zone of this process (`TZ`, else the system's). It cannot change while the program runs.
fn local_zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(TimeZone::system)
}

/// Seconds to add to UTC at a point in time.
pub(crate) fn local_offset(unix_seconds: i64) -> i64 {
    jiff::Timestamp::from_second(unix_seconds)
        .map_or(0, |at| i64::from(local_zone().to_offset(at).seconds()))
}

/// A time of an archive or manifest: local, its fraction dropped as Borg drops it when it converts.
pub(crate) fn local_time(time: Timestamp) -> CivilTime {
    local_from_parts(time.seconds(), 0)
}

/// A time that keeps its microseconds, such as the current one.
pub(crate) fn local_time_exact(time: Timestamp) -> CivilTime {
    local_from_parts(time.seconds(), time.subsec_micros())
}

/// UTC, for `{utcnow}`.
pub(crate) fn utc_time(time: Timestamp) -> CivilTime {
    let seconds = time.seconds();
    // Python asks the C library, which takes the broken-down time for a local one.
    let as_if_local = seconds - local_offset(seconds);
    let mut civil = CivilTime::from_local_seconds(seconds, time.subsec_micros(), as_if_local);
    civil.utc_offset = Some(0);
    civil
}

/// A time of an item, in nanoseconds: clamped, through a double, to microseconds, half to even.
pub(crate) fn item_time(nanoseconds: i64) -> CivilTime {
    let clamped = nanoseconds.clamp(0, TIMESTAMP_NS_MAX);
    let seconds = clamped as f64 / 1e9;
    let whole = seconds.trunc();
    let micros = ((seconds - whole) * 1e6).round_ties_even();
    #[allow(clippy::cast_possible_truncation)] // Clamped to 31 bits of seconds above.
    let (mut whole, mut micros) = (whole as i64, micros as i64);
    if micros >= 1_000_000 {
        whole += 1;
        micros -= 1_000_000;
    }
    local_from_parts(whole, micros)
}

fn local_from_parts(seconds: i64, micros: i64) -> CivilTime {
    let offset = local_offset(seconds);
    CivilTime::from_local_seconds(seconds + offset, micros, seconds)
}

/// The local time as seconds since 1970; where clocks are set back the earlier one.
pub(crate) fn unix_from_local(local_seconds: i64) -> i64 {
    let civil = CivilTime::from_local_seconds(local_seconds, 0, 0);
    let narrow = |value: i64| i8::try_from(value).unwrap_or(1);
    let date_time = jiff::civil::DateTime::new(
        i16::try_from(civil.year).unwrap_or(1970),
        narrow(civil.month),
        narrow(civil.day),
        narrow(civil.hour),
        narrow(civil.minute),
        narrow(civil.second),
        0,
    );
    date_time
        .and_then(|at| local_zone().to_ambiguous_zoned(at).compatible())
        .map_or(local_seconds, |zoned| zoned.timestamp().as_second())
}

/// `Tue, 2024-01-02 03:04:05`
pub(crate) fn text(time: CivilTime) -> String {
    let mut out = String::with_capacity(24);
    push_text(time, &mut out);
    out
}

/// Appends [`text`]: the format of most listings, so without interpreting a format string.
pub(crate) fn push_text(time: CivilTime, out: &mut String) {
    out.push_str(time.weekday_short());
    out.push_str(", ");
    push_date(time, out);
    out.push(' ');
    push_clock(time, out);
}

/// `2024-01-02T03:04:05.000000`
pub(crate) fn iso(time: CivilTime) -> String {
    let mut out = String::with_capacity(26);
    push_iso(time, &mut out);
    out
}

/// Appends [`iso`].
pub(crate) fn push_iso(time: CivilTime, out: &mut String) {
    push_date(time, out);
    out.push('T');
    push_clock(time, out);
    out.push('.');
    push_digits(time.micros, 6, out);
}

fn push_date(time: CivilTime, out: &mut String) {
    push_digits(time.year, 4, out);
    out.push('-');
    push_digits(time.month, 2, out);
    out.push('-');
    push_digits(time.day, 2, out);
}

fn push_clock(time: CivilTime, out: &mut String) {
    push_digits(time.hour, 2, out);
    out.push(':');
    push_digits(time.minute, 2, out);
    out.push(':');
    push_digits(time.second, 2, out);
}

/// Appends the last `count` decimal digits of a number that is not negative.
fn push_digits(value: i64, count: u32, out: &mut String) {
    for place in (0..count).rev() {
        let digit = (value / 10_i64.pow(place)).rem_euclid(10);
        out.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_forms_agree_with_their_format_strings() {
        for seconds in [0, 1_704_164_645, 253_402_300_799] {
            let time = CivilTime::from_local_seconds(seconds, 7, seconds);
            let mut slow = String::new();
            time.format_into("%a, %Y-%m-%d %H:%M:%S", &mut slow);
            assert_eq!(text(time), slow);
            slow.clear();
            time.format_into("%Y-%m-%dT%H:%M:%S.%f", &mut slow);
            assert_eq!(iso(time), slow);
        }
    }

    #[test]
    fn item_times_go_through_a_double_as_in_borg() {
        // 2023-11-14T22:13:20.999999999: the double nearest to it rounds up to the next second.
        let time = item_time(1_700_000_000_999_999_999);
        assert_eq!((time.unix_seconds, time.micros), (1_700_000_001, 0));
        assert_eq!(item_time(-5).unix_seconds, 0);
        assert_eq!(
            item_time(i64::MAX).unix_seconds,
            TIMESTAMP_NS_MAX / 1_000_000_000
        );
        assert_eq!(item_time(1_700_000_000_123_456_789).micros, 123_457);
    }
}
