//! Amounts in words: times, lengths of time, sizes, ordinal numbers.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// 1st, 2nd and so on.
pub(super) fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// A time where the reader is.
pub(super) fn time_text(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.to_zoned(zone.clone());
    local.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long ago something is.
pub(super) fn age_text(since: Timestamp, until: Timestamp) -> String {
    span_text(until.duration_since(since).as_secs_f64().max(0.0))
}

/// A length of time in the one or two units that matter.
pub(super) fn span_text(seconds: f64) -> String {
    const UNITS: [(f64, &str, f64); 3] = [
        (86_400.0, "day", 3600.0),
        (3600.0, "hour", 60.0),
        (60.0, "minute", 1.0),
    ];
    const SMALLER: [&str; 3] = ["hour", "minute", "second"];
    let count = |number: f64, unit: &str| match number {
        1.0 => format!("1 {unit}"),
        _ => format!("{number:.0} {unit}s"),
    };
    let seconds = seconds.max(0.0);
    for ((unit, name, smaller), smaller_name) in UNITS.iter().zip(SMALLER) {
        if seconds >= *unit {
            let whole = (seconds / unit).floor();
            let rest = ((seconds - whole * unit) / smaller).floor();
            // Nobody counts the hours of a week.
            return if whole < 7.0 && rest > 0.0 {
                format!("{} {}", count(whole, name), count(rest, smaller_name))
            } else {
                count(whole, name)
            };
        }
    }
    if seconds < 10.0 && seconds.fract() >= 0.05 {
        return format!("{seconds:.1} seconds");
    }
    count(seconds.round(), "second")
}

/// A size in Borg's units.
pub(super) fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().expect("there are six");
    while size >= 1000.0 {
        let Some(larger) = units.next() else { break };
        (size, unit) = (size / 1000.0, larger);
    }
    format!("{size:.2} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_as_people_say_them() {
        let spans = [
            0.0,
            0.31,
            1.0,
            59.4,
            60.0,
            61.0,
            3600.0,
            90_000.0,
            7.0 * 86_400.0 + 3601.0,
            -5.0,
        ];
        let words = spans.map(span_text);
        let expected = [
            "0 seconds",
            "0.3 seconds",
            "1 second",
            "59 seconds",
            "1 minute",
            "1 minute 1 second",
            "1 hour",
            "1 day 1 hour",
            "7 days",
            "0 seconds",
        ];
        assert_eq!(words, expected);
        let sizes = [0, 999, 1000, 1_234_567, u64::MAX].map(size_text);
        assert_eq!(sizes, ["0 B", "999 B", "1.00 kB", "1.23 MB", "18.45 EB"]);
        let ordinals = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        let expected = [
            "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th",
        ];
        assert_eq!(ordinals, expected);
    }
}
