//! A calendar expression, understood: which years, months, days, hours, minutes and seconds match.

use std::fmt::{self, Write};

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// The first year there is, as systemd has it.
pub(super) const YEAR_MIN: i16 = 1970;
/// The last year there is, as systemd has it.
pub(super) const YEAR_MAX: i16 = 2199;
/// Names of days of the week, Monday first.
pub(super) const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// 1, 8, 15 and so on: the days of a month that begins with the same day of the week.
const EVERY_SEVENTH: u64 = 1 << 1 | 1 << 8 | 1 << 15 | 1 << 22 | 1 << 29;

/// Numbers below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers(u64);

impl Numbers {
    /// All from `first` to `last`, both below 64.
    pub(super) fn range(first: u32, last: u32) -> Self {
        Self((u64::MAX << first) & (u64::MAX >> (63 - last)))
    }

    pub(super) fn contains(self, number: u32) -> bool {
        self.0 & (1 << number) != 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = u32> {
        (0..64).filter(move |number| self.contains(*number))
    }

    /// The nearest to `from` in a direction, `from` included.
    fn seek(self, from: u32, direction: Direction) -> Option<u32> {
        if from > 63 {
            return None;
        }
        match direction {
            Direction::Forward => {
                let found = (self.0 & (u64::MAX << from)).trailing_zeros();
                (found < 64).then_some(found)
            }
            Direction::Backward => {
                let above = (self.0 << (63 - from)).leading_zeros();
                (above < 64).then(|| from - above)
            }
        }
    }

    /// The first one in a direction.
    fn first(self, direction: Direction) -> Option<u32> {
        self.seek(direction.start(), direction)
    }

    /// The one that follows a number in a direction.
    fn following(self, number: u32, direction: Direction) -> Option<u32> {
        let next = match direction {
            Direction::Forward => number.checked_add(1),
            Direction::Backward => number.checked_sub(1),
        };
        next.and_then(|next| self.seek(next, direction))
    }
}

impl FromIterator<u32> for Numbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        Self(
            numbers
                .into_iter()
                .fold(0, |bits, number| bits | 1 << number),
        )
    }
}

/// Towards later or earlier times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

impl Direction {
    fn start(self) -> u32 {
        match self {
            Self::Forward => 0,
            Self::Backward => 63,
        }
    }
}

/// Which days of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    /// Counted from its beginning, 1 to 31.
    FromStart(Numbers),
    /// Counted from its end, 1 to 28.
    FromEnd(Numbers),
}

impl Days {
    pub(super) fn all() -> Self {
        Self::FromStart(Numbers::range(1, 31))
    }
}

/// An expression, understood: what matches all of these.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calendar {
    /// 0 is Monday.
    pub(super) weekdays: Numbers,
    /// In order; nothing: any.
    pub(super) years: Option<Vec<i16>>,
    pub(super) months: Numbers,
    pub(super) days: Days,
    pub(super) hours: Numbers,
    pub(super) minutes: Numbers,
    /// Whole ones: fractions are cut off.
    pub(super) seconds: Numbers,
    /// Nothing: that of this place.
    pub(super) zone: Option<TimeZone>,
}

impl Calendar {
    /// Every day at midnight.
    pub(super) fn daily() -> Self {
        Self {
            weekdays: Numbers::range(0, 6),
            years: None,
            months: Numbers::range(1, 12),
            days: Days::all(),
            hours: Numbers::range(0, 0),
            minutes: Numbers::range(0, 0),
            seconds: Numbers::range(0, 0),
            zone: None,
        }
    }

    pub(super) fn is_any_weekday(&self) -> bool {
        self.weekdays == Numbers::range(0, 6)
    }

    pub(super) fn is_any_day(&self) -> bool {
        self.days == Days::all()
    }

    /// Whether days of the month are repeated up to its end, which systemd does not get right.
    pub(super) fn repeats_days(&self) -> bool {
        match self.days {
            Days::FromStart(days) => every(days, 31).is_some(),
            Days::FromEnd(_) => false,
        }
    }

    /// What matches nearest to a time in a direction, that time included.
    pub(super) fn seek(&self, from: DateTime, direction: Direction) -> Option<DateTime> {
        let date = from.date();
        if self.has_date(date)
            && let Some(time) = self.seek_time(from.time(), direction)
        {
            return Some(date.to_datetime(time));
        }
        let next = match direction {
            Direction::Forward => date.tomorrow(),
            Direction::Backward => date.yesterday(),
        };
        let date = self.seek_date(next.ok()?, direction)?;
        let time = time_of(
            self.hours.first(direction)?,
            self.minutes.first(direction)?,
            self.seconds.first(direction)?,
        );
        Some(date.to_datetime(time))
    }

    fn has_date(&self, date: Date) -> bool {
        self.has_year(date.year())
            && self.months.contains(unsigned(date.month()))
            && self
                .days_of(date.year(), unsigned(date.month()))
                .contains(unsigned(date.day()))
    }

    fn has_year(&self, year: i16) -> bool {
        self.years
            .as_ref()
            .map_or((YEAR_MIN..=YEAR_MAX).contains(&year), |years| {
                years.contains(&year)
            })
    }

    /// The days of a month that match.
    fn days_of(&self, year: i16, month: u32) -> Numbers {
        let month = i8::try_from(month).expect("months are 1 to 12");
        let first = Date::new(year, month, 1).expect("years are 1970 to 2199, or of a date");
        let len = unsigned(first.days_in_month());
        let days = match self.days {
            Days::FromStart(days) => days.intersection(Numbers::range(1, len)),
            // Day 1 is the last, and so on.
            Days::FromEnd(Numbers(days)) => Numbers(days.reverse_bits() >> (62 - len)),
        };
        if self.is_any_weekday() {
            return days;
        }
        let offset = unsigned(first.weekday().to_monday_zero_offset());
        let wanted = (0..7).filter(|weekday| self.weekdays.contains(*weekday));
        let wanted = wanted.fold(Numbers::default(), |all, weekday| {
            all.union(Numbers(EVERY_SEVENTH << ((weekday + 7 - offset) % 7)))
        });
        days.intersection(wanted)
    }

    fn seek_time(&self, from: Time, direction: Direction) -> Option<Time> {
        let (hour, minute, second) = (
            unsigned(from.hour()),
            unsigned(from.minute()),
            unsigned(from.second()),
        );
        if self.hours.contains(hour) {
            if self.minutes.contains(minute)
                && let Some(second) = self.seconds.seek(second, direction)
            {
                return Some(time_of(hour, minute, second));
            }
            if let Some(minute) = self.minutes.following(minute, direction) {
                return Some(time_of(hour, minute, self.seconds.first(direction)?));
            }
        }
        let hour = self.hours.following(hour, direction)?;
        let minute = self.minutes.first(direction)?;
        Some(time_of(hour, minute, self.seconds.first(direction)?))
    }

    fn seek_date(&self, from: Date, direction: Direction) -> Option<Date> {
        let (year, month) = (from.year(), unsigned(from.month()));
        if self.has_year(year) {
            if self.months.contains(month)
                && let Some(day) = self
                    .days_of(year, month)
                    .seek(unsigned(from.day()), direction)
            {
                return Some(date_of(year, month, day));
            }
            let rest = self.months.following(month, direction);
            if let Some(found) = self.seek_month(year, rest, direction) {
                return Some(found);
            }
        }
        let mut year = year;
        loop {
            year = self.following_year(year, direction)?;
            let first = self.months.first(direction);
            if let Some(found) = self.seek_month(year, first, direction) {
                return Some(found);
            }
        }
    }

    /// The first day that matches in this month or those that follow it within the year.
    fn seek_month(&self, year: i16, month: Option<u32>, direction: Direction) -> Option<Date> {
        let mut next = month;
        while let Some(month) = next {
            if let Some(day) = self.days_of(year, month).first(direction) {
                return Some(date_of(year, month, day));
            }
            next = self.months.following(month, direction);
        }
        None
    }

    fn following_year(&self, year: i16, direction: Direction) -> Option<i16> {
        let Some(years) = &self.years else {
            let next = match direction {
                Direction::Forward => year.saturating_add(1).max(YEAR_MIN),
                Direction::Backward => year.saturating_sub(1).min(YEAR_MAX),
            };
            return (YEAR_MIN..=YEAR_MAX).contains(&next).then_some(next);
        };
        match direction {
            Direction::Forward => years.iter().find(|found| **found > year).copied(),
            Direction::Backward => years.iter().rev().find(|found| **found < year).copied(),
        }
    }
}

fn unsigned(number: i8) -> u32 {
    u32::try_from(number).expect("parts of a date or time are not negative")
}

fn signed(number: u32) -> i8 {
    i8::try_from(number).expect("numbers of a set are below 64")
}

fn time_of(hour: u32, minute: u32, second: u32) -> Time {
    Time::new(signed(hour), signed(minute), signed(second), 0)
        .expect("sets contain hours, minutes and seconds that exist")
}

fn date_of(year: i16, month: u32, day: u32) -> Date {
    Date::new(year, signed(month), signed(day)).expect("days were cut to those of the month")
}

/// As systemd takes it.
impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_any_weekday() {
            let name = |day: u32| WEEKDAYS[day as usize].to_owned();
            write!(f, "{} ", ranges(self.weekdays, "..", name))?;
        }
        match &self.years {
            None => f.write_char('*')?,
            Some(years) => {
                let years: Vec<String> = years.iter().map(ToString::to_string).collect();
                f.write_str(&years.join(","))?;
            }
        }
        write!(f, "-{}", component(self.months, 1, 12))?;
        match self.days {
            Days::FromStart(_) if self.is_any_day() => f.write_str("-*")?,
            // Never `01/7`: systemd 252 leaves out the first of January then.
            Days::FromStart(days) => write!(f, "-{}", ranges(days, "..", two_digits))?,
            Days::FromEnd(days) => write!(f, "~{}", ranges(days, "..", two_digits))?,
        }
        write!(f, " {}:", component(self.hours, 0, 23))?;
        write!(f, "{}:", component(self.minutes, 0, 59))?;
        f.write_str(&component(self.seconds, 0, 59))?;
        match self.zone.as_ref().and_then(TimeZone::iana_name) {
            Some(zone) => write!(f, " {zone}"),
            None => Ok(()),
        }
    }
}

fn two_digits(number: u32) -> String {
    format!("{number:02}")
}

fn component(numbers: Numbers, min: u32, max: u32) -> String {
    if numbers == Numbers::range(min, max) {
        return "*".to_owned();
    }
    match every(numbers, max) {
        Some((first, step)) => format!("{first:02}/{step}"),
        None => ranges(numbers, "..", two_digits),
    }
}

/// The first number and the step, if they are repeated to the end in steps of more than one.
pub(super) fn every(numbers: Numbers, max: u32) -> Option<(u32, u32)> {
    let all: Vec<u32> = numbers.iter().collect();
    let [first, second, .., last] = all[..] else {
        return None;
    };
    let step = second - first;
    let is_even = all.windows(2).all(|pair| pair[1] - pair[0] == step);
    (is_even && step > 1 && last + step > max).then_some((first, step))
}

/// Numbers and ranges of three or more, separated by commas.
pub(super) fn ranges(numbers: Numbers, to: &str, name: impl Fn(u32) -> String) -> String {
    let all: Vec<u32> = numbers.iter().collect();
    let mut out: Vec<String> = Vec::new();
    for run in all.chunk_by(|one, next| *next == *one + 1) {
        match *run {
            [first, _, .., last] if last - first > 1 => {
                out.push(format!("{}{to}{}", name(first), name(last)));
            }
            _ => out.extend(run.iter().map(|number| name(*number))),
        }
    }
    out.join(",")
}
