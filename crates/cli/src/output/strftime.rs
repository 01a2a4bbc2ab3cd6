//! Dates and times by a format string, as C's `strftime` in the C locale (names are always English).

use std::fmt::Write as _;

use ironborg_types::{civil_from_days, days_from_civil};

/// A point in time, taken apart in some time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CivilTime {
    /// Year, such as 2024.
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// 0 to 23.
    pub(crate) hour: i64,
    /// 0 to 59.
    pub(crate) minute: i64,
    /// 0 to 59.
    pub(crate) second: i64,
    /// Microseconds within the second.
    pub(crate) micros: i64,
    /// Seconds since 1970 this local time stands for (`%s`).
    pub(crate) unix_seconds: i64,
    /// Distance to UTC in seconds where the time knows it (`%z`, `%Z`); naive times do not.
    pub(crate) utc_offset: Option<i64>,
}

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl CivilTime {
    /// Takes seconds since 1970 apart that were already shifted by the zone's offset.
    pub(crate) fn from_local_seconds(local_seconds: i64, micros: i64, unix_seconds: i64) -> Self {
        let days = local_seconds.div_euclid(86_400);
        let of_day = local_seconds.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Self {
            year,
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            micros,
            unix_seconds,
            utc_offset: None,
        }
    }

    fn days(&self) -> i64 {
        days_from_civil(self.year, self.month, self.day)
    }

    /// 0 is Sunday.
    fn weekday(&self) -> i64 {
        (self.days() + 4).rem_euclid(7)
    }

    /// `Mon`
    pub(crate) fn weekday_short(&self) -> &'static str {
        &WEEKDAYS[index(self.weekday())][..3]
    }

    /// 1 to 366.
    fn day_of_year(&self) -> i64 {
        self.days() - days_from_civil(self.year, 1, 1) + 1
    }

    /// Year and week of ISO 8601.
    fn iso_week(&self) -> (i64, i64) {
        let weekday = (self.weekday() + 6) % 7;
        let thursday = self.days() - weekday + 3;
        let (year, _, _) = civil_from_days(thursday);
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    }

    /// Appends the time by `format`.
    pub(crate) fn format_into(&self, format: &str, out: &mut String) {
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                out.push(character);
                continue;
            }
            let mut directive = characters.next();
            let mut pad = None;
            while let Some(flag @ ('-' | '_' | '0' | '^' | '#' | 'E' | 'O')) = directive {
                pad = Some(flag);
                directive = characters.next();
            }
            match directive {
                Some(letter) => self.push_directive(letter, pad, out),
                None => out.push('%'),
            }
        }
    }

    fn push_directive(&self, letter: char, flag: Option<char>, out: &mut String) {
        let number = |value: i64, width: usize, fill: char, out: &mut String| {
            let text = value.to_string();
            let fill = match flag {
                Some('-') => None,
                Some('_') => Some(' '),
                Some('0') => Some('0'),
                _ => Some(fill),
            };
            if let Some(fill) = fill {
                out.extend(std::iter::repeat_n(fill, width.saturating_sub(text.len())));
            }
            out.push_str(&text);
        };
        let name = |text: &str, out: &mut String| {
            if flag == Some('^') {
                out.push_str(&text.to_uppercase());
            } else {
                out.push_str(text);
            }
        };
        let weekday = WEEKDAYS[index(self.weekday())];
        let month = MONTHS[index(self.month - 1)];
        let hour12 = (self.hour + 11) % 12 + 1;
        match letter {
            'a' => name(&weekday[..3], out),
            'A' => name(weekday, out),
            'b' | 'h' => name(&month[..3], out),
            'B' => name(month, out),
            'c' => self.format_into("%a %b %e %H:%M:%S %Y", out),
            'C' => number(self.year / 100, 2, '0', out),
            'd' => number(self.day, 2, '0', out),
            'D' | 'x' => self.format_into("%m/%d/%y", out),
            'e' => number(self.day, 2, ' ', out),
            'f' => number(self.micros, 6, '0', out),
            'F' => self.format_into("%Y-%m-%d", out),
            'g' => number(self.iso_week().0 % 100, 2, '0', out),
            'G' => number(self.iso_week().0, 4, '0', out),
            'H' => number(self.hour, 2, '0', out),
            'I' => number(hour12, 2, '0', out),
            'j' => number(self.day_of_year(), 3, '0', out),
            'k' => number(self.hour, 2, ' ', out),
            'l' => number(hour12, 2, ' ', out),
            'm' => number(self.month, 2, '0', out),
            'M' => number(self.minute, 2, '0', out),
            'n' => out.push('\n'),
            'p' => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            'P' => out.push_str(if self.hour < 12 { "am" } else { "pm" }),
            'r' => self.format_into("%I:%M:%S %p", out),
            'R' => self.format_into("%H:%M", out),
            's' => number(self.unix_seconds, 1, '0', out),
            'S' => number(self.second, 2, '0', out),
            't' => out.push('\t'),
            'T' | 'X' => self.format_into("%H:%M:%S", out),
            'u' => number((self.weekday() + 6) % 7 + 1, 1, '0', out),
            'U' => number((self.day_of_year() + 6 - self.weekday()) / 7, 2, '0', out),
            'V' => number(self.iso_week().1, 2, '0', out),
            'w' => number(self.weekday(), 1, '0', out),
            'W' => {
                number(
                    (self.day_of_year() + 6 - (self.weekday() + 6) % 7) / 7,
                    2,
                    '0',
                    out,
                );
            }
            'y' => number(self.year % 100, 2, '0', out),
            'Y' => number(self.year, 1, '0', out),
            'z' => self.push_offset(out),
            'Z' => {
                if self.utc_offset == Some(0) {
                    out.push_str("UTC");
                } else {
                    self.push_offset(out);
                }
            }
            '%' => out.push('%'),
            other => {
                out.push('%');
                out.push(other);
            }
        }
    }

    /// `+0100`; nothing for a time that does not know its zone.
    fn push_offset(&self, out: &mut String) {
        if let Some(offset) = self.utc_offset {
            let sign = if offset < 0 { '-' } else { '+' };
            let minutes = offset.abs() / 60;
            let _ = write!(out, "{sign}{:02}{:02}", minutes / 60, minutes % 60);
        }
    }
}

fn index(value: i64) -> usize {
    usize::try_from(value).expect("a weekday or month number is small and not negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, format: &str, expected: &str) {
        let mut out = String::new();
        CivilTime::from_local_seconds(seconds, 123_456, seconds).format_into(format, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn directives_are_those_of_c() {
        check(
            1_704_164_645,
            "%a, %Y-%m-%d %H:%M:%S",
            "Tue, 2024-01-02 03:04:05",
        );
        check(
            1_704_164_645,
            "%A %B %e %I %p %j %s %f %%",
            "Tuesday January  2 03 AM 002 1704164645 123456 %",
        );
        check(
            1_704_164_645,
            "%-d.%-m.%y %D %T %R %F",
            "2.1.24 01/02/24 03:04:05 03:04 2024-01-02",
        );
        check(
            1_704_164_645,
            "%G-%V %U %W %u %w %C",
            "2024-01 00 01 2 2 20",
        );
        check(1_609_588_800, "%G-%V %U %W", "2020-53 00 00");
        check(0, "%c|%z|%Q|%", "Thu Jan  1 00:00:00 1970||%Q|%");
    }
}
