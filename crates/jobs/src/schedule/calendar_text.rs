//! Calendar expressions as systemd writes them: `WEEKDAYS YEAR-MONTH-DAY HOUR:MINUTE:SECOND ZONE`, each part but one left out at will.
//!
//! Source: systemd.time(7), "Calendar events"; what that leaves open is as `systemd-analyze calendar` of version 252 has it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Wrong;
use super::calendar::{Calendar, Days, Numbers, WEEKDAYS, YEAR_MAX, YEAR_MIN};

/// Words for whole expressions.
const WORDS: [(&str, &str); 13] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
    ("anually", "*-01-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("semi-annually", "*-01,07-01 00:00:00"),
    ("biannually", "*-01,07-01 00:00:00"),
    ("bi-annually", "*-01,07-01 00:00:00"),
];
/// Full names of days of the week, Monday first.
const WEEKDAYS_IN_FULL: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
/// What separates words.
const BLANKS: [char; 2] = [' ', '\t'];
/// Digits of a number that are looked at; more are too many in any case.
const DIGITS_MAX: usize = 9;
/// Parts of a second that are told apart.
const MICROS: i64 = 1_000_000;

/// Understands an expression without blanks around it; also returns it as systemd takes it.
pub(super) fn parse(text: &str) -> Result<(Calendar, String), Wrong> {
    let (body, zone) = split_zone(text)?;
    // Positions are counted from the end: what was cut off there is left, too.
    let behind = text.len() - body.len();
    let parsed = parse_body(body).map_err(|wrong| Wrong {
        left: wrong.left + behind,
        ..wrong
    });
    let mut calendar = parsed?;
    let mut words: Vec<&str> = body.split(BLANKS).collect();
    words.retain(|word| !word.is_empty());
    let mut on_calendar = words.join(" ");
    if let Some(zone) = zone {
        on_calendar.push(' ');
        on_calendar.push_str(zone.iana_name().unwrap_or("UTC"));
        calendar.zone = Some(zone);
    }
    Ok((calendar, on_calendar))
}

/// The expression without the time zone it may end in.
fn split_zone(text: &str) -> Result<(&str, Option<TimeZone>), Wrong> {
    let Some((body, name)) = text.rsplit_once(BLANKS) else {
        return Ok((text, None));
    };
    // Dates and times begin with digits and the like, zones do not.
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok((text, None));
    }
    let zone = if name.eq_ignore_ascii_case("UTC") {
        TimeZone::UTC
    } else {
        match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(_) => return Wrong::at(name, format!("there is no time zone {name:?} here")),
        }
    };
    Ok((body.trim_end_matches(BLANKS), Some(zone)))
}

fn parse_body(text: &str) -> Result<Calendar, Wrong> {
    if text.is_empty() {
        return Wrong::at(
            text,
            "expected a calendar expression such as daily or 02:30",
        );
    }
    if let Some(seconds) = text.strip_prefix('@') {
        return moment(seconds);
    }
    let word = WORDS
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text));
    parts(word.map_or(text, |(_, meaning)| meaning))
}

/// A point in time, in seconds since 1970.
fn moment(text: &str) -> Result<Calendar, Wrong> {
    let seconds = text.parse::<u32>().ok().map(i64::from);
    let Some(at) = seconds.and_then(|at| Timestamp::from_second(at).ok()) else {
        return Wrong::at(text, "expected seconds since 1970 or a word such as daily");
    };
    let time = TimeZone::UTC.to_datetime(at);
    let just = |number: i8| u32::try_from(number).into_iter().collect::<Numbers>();
    Ok(Calendar {
        years: Some(vec![time.year()]),
        months: just(time.month()),
        days: Days::FromStart(just(time.day())),
        hours: just(time.hour()),
        minutes: just(time.minute()),
        seconds: just(time.second()),
        zone: Some(TimeZone::UTC),
        ..Calendar::daily()
    })
}

/// Days of the week, a date and a time of day, at least one of them.
fn parts(text: &str) -> Result<Calendar, Wrong> {
    let mut calendar = Calendar::daily();
    let mut rest = text;
    if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        (calendar.weekdays, rest) = weekdays(rest)?;
        rest = past_blanks(rest)?;
    }
    if !rest.is_empty() && !first_word(rest).contains(':') {
        rest = date(rest, &mut calendar)?;
        rest = past_blanks(rest)?;
    }
    if !rest.is_empty() {
        rest = time(rest, &mut calendar)?;
        rest = past_blanks(rest)?;
    }
    if rest.is_empty() {
        return Ok(calendar);
    }
    Wrong::at(
        rest,
        "expected the end; days of the week come first, then a date, then a time",
    )
}

fn first_word(text: &str) -> &str {
    text.split(BLANKS).next().unwrap_or_default()
}

/// What is behind the blanks that have to be there unless it is the end.
fn past_blanks(rest: &str) -> Result<&str, Wrong> {
    if rest.is_empty() || rest.starts_with(BLANKS) {
        return Ok(rest.trim_start_matches(BLANKS));
    }
    Wrong::at(rest, "expected a blank or the end")
}

/// `Mon..Fri,Sun`; also returns what is behind.
fn weekdays(text: &str) -> Result<(Numbers, &str), Wrong> {
    let mut days = Numbers::default();
    let mut rest = text;
    loop {
        let (first, behind) = weekday(rest)?;
        let range = behind.strip_prefix("..").or(behind.strip_prefix('-'));
        let (last, behind) = range.map_or(Ok((first, behind)), weekday)?;
        if last < first {
            return Wrong::at(
                rest,
                "a week begins with Monday: the last day is before the first",
            );
        }
        days = days.union(Numbers::range(first, last));
        let Some(behind_comma) = behind.strip_prefix(',') else {
            return Ok((days, behind));
        };
        // A comma may be the last thing there is.
        if behind_comma.is_empty() || behind_comma.starts_with(BLANKS) {
            return Ok((days, behind_comma));
        }
        rest = behind_comma;
    }
}

fn weekday(text: &str) -> Result<(u32, &str), Wrong> {
    let len = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(len);
    let is_it = |name: &&str| name.eq_ignore_ascii_case(word);
    let short = WEEKDAYS.iter().position(&is_it);
    let found = short.or_else(|| WEEKDAYS_IN_FULL.iter().position(is_it));
    match found.and_then(|day| u32::try_from(day).ok()) {
        Some(day) => Ok((day, rest)),
        None if word.is_empty() => Wrong::at(text, "expected a day of the week such as Mon"),
        None => Wrong::at(
            text,
            format!("{word:?} is neither a day of the week such as Mon nor a word such as daily"),
        ),
    }
}

/// `YEAR-MONTH-DAY`, the year left out at will; `~` before a day counts it from the end of the month.
fn date<'t>(text: &'t str, calendar: &mut Calendar) -> Result<&'t str, Wrong> {
    let (first, rest) = chain(text, Precision::Whole)?;
    let Some(mut separator) = rest.chars().next().filter(|c| matches!(c, '-' | '~')) else {
        return Wrong::at(
            rest,
            "expected - and more of a date, or : and more of a time",
        );
    };
    let (second, mut rest) = chain(&rest[1..], Precision::Whole)?;
    let (mut months, mut days) = (first, second);
    if separator == '-'
        && let Some(more) = rest.chars().next().filter(|c| matches!(c, '-' | '~'))
    {
        calendar.years = years(&months)?;
        separator = more;
        months = days;
        (days, rest) = chain(&rest[1..], Precision::Whole)?;
    }
    calendar.months = numbers(&months, &MONTH)?;
    calendar.days = if separator == '~' && days.is_some() {
        Days::FromEnd(numbers(&days, &DAY_FROM_END)?)
    } else {
        Days::FromStart(numbers(&days, &DAY)?)
    };
    Ok(rest)
}

/// `HOUR:MINUTE:SECOND`, the second left out at will.
fn time<'t>(text: &'t str, calendar: &mut Calendar) -> Result<&'t str, Wrong> {
    let (hours, rest) = chain(text, Precision::Whole)?;
    let Some(rest) = rest.strip_prefix(':') else {
        return Wrong::at(rest, "expected : and minutes");
    };
    let (minutes, mut rest) = chain(rest, Precision::Whole)?;
    calendar.hours = numbers(&hours, &HOUR)?;
    calendar.minutes = numbers(&minutes, &MINUTE)?;
    if let Some(behind) = rest.strip_prefix(':') {
        let seconds;
        (seconds, rest) = chain(behind, Precision::Micros)?;
        calendar.seconds = seconds_of(&seconds)?;
    }
    Ok(rest)
}

/// What a number may be.
struct Field {
    name: &'static str,
    min: i64,
    max: i64,
    order: Order,
}

/// Where repetitions go.
#[derive(PartialEq)]
enum Order {
    Up,
    /// Days are counted from the end of the month, but repeated towards it.
    Down,
}

const MONTH: Field = field("month", 1, 12, Order::Up);
const DAY: Field = field("day", 1, 31, Order::Up);
const DAY_FROM_END: Field = field("day before the end of the month", 1, 28, Order::Down);
const HOUR: Field = field("hour", 0, 23, Order::Up);
const MINUTE: Field = field("minute", 0, 59, Order::Up);
const MICROSECOND: Field = field("second", 0, 60 * MICROS - 1, Order::Up);
const YEAR: Field = field("year", YEAR_MIN as i64, YEAR_MAX as i64, Order::Up);

const fn field(name: &'static str, min: i64, max: i64, order: Order) -> Field {
    Field {
        name,
        min,
        max,
        order,
    }
}

/// Whether there may be fractions.
#[derive(Clone, Copy, PartialEq)]
enum Precision {
    Whole,
    Micros,
}

/// A number, a range, or what is repeated: `1`, `1..5`, `1/2`, `1..5/2`.
struct Component<'t> {
    start: i64,
    stop: Option<i64>,
    step: Option<i64>,
    /// The text from here on.
    text: &'t str,
}

/// Several of them; nothing: all there are.
type Chain<'t> = Option<Vec<Component<'t>>>;

fn chain(text: &str, precision: Precision) -> Result<(Chain<'_>, &str), Wrong> {
    if let Some(rest) = text.strip_prefix('*') {
        return match rest.chars().next() {
            Some('/') => Wrong::at(
                rest,
                "* is not repeated: for every second one, write 0/2 or 1/2",
            ),
            Some(',' | '.') => Wrong::at(rest, "* stands alone: it is all there are"),
            _ => Ok((None, rest)),
        };
    }
    let mut components = Vec::new();
    let mut rest = text;
    loop {
        let component;
        (component, rest) = self::component(rest, precision)?;
        components.push(component);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok((Some(components), rest)),
        }
    }
}

fn component(text: &str, precision: Precision) -> Result<(Component<'_>, &str), Wrong> {
    let (start, mut rest) = number(text, precision)?;
    let (mut stop, mut step) = (None, None);
    if let Some(behind) = rest.strip_prefix("..") {
        let (value, behind) = number(behind, precision)?;
        (stop, rest) = (Some(value), behind);
    }
    if let Some(behind) = rest.strip_prefix('/') {
        let (value, after) = number(behind, precision)?;
        if value == 0 {
            return Wrong::at(behind, "nothing is repeated in steps of 0");
        }
        (step, rest) = (Some(value), after);
    }
    let component = Component {
        start,
        stop,
        step,
        text,
    };
    Ok((component, rest))
}

/// A number; in millionths if there may be fractions.
fn number(text: &str, precision: Precision) -> Result<(i64, &str), Wrong> {
    let (digits, rest) = digits(text);
    if digits.is_empty() {
        return Wrong::at(text, "expected a number");
    }
    let significant = digits.trim_start_matches('0');
    if significant.len() > DIGITS_MAX {
        return Wrong::at(text, "the number is too large");
    }
    let whole = significant.parse::<i64>().unwrap_or(0);
    if precision == Precision::Whole {
        return Ok((whole, rest));
    }
    let micros = whole * MICROS;
    match rest.strip_prefix('.') {
        Some(fraction) if !fraction.starts_with('.') => {
            let (fraction, behind) = self::digits(fraction);
            if fraction.is_empty() {
                return Wrong::at(behind, "expected digits of a fraction");
            }
            Ok((micros + millionths(fraction), behind))
        }
        _ => Ok((micros, rest)),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

/// The digits of a fraction, rounded to millionths.
fn millionths(digits: &str) -> i64 {
    let digit = |at: usize| digits.as_bytes().get(at).map_or(0, |c| i64::from(c - b'0'));
    let cut = (0..6).fold(0, |value, at| value * 10 + digit(at));
    cut + i64::from(digit(6) >= 5)
}

/// From where in which steps to where, all within a field's bounds.
struct Progression {
    first: i64,
    last: i64,
    step: i64,
}

/// Checks a component against its field. `unit` is the step of a range that names none.
fn progression(component: &Component<'_>, field: &Field, unit: i64) -> Result<Progression, Wrong> {
    let name = field.name;
    let is_within = |value: i64| (field.min..=field.max).contains(&value);
    let start = component.start;
    if !is_within(start) || !component.stop.is_none_or(is_within) {
        let (min, max) = (field.min / unit, field.max / unit);
        return Wrong::at(component.text, format!("the {name} is from {min} to {max}"));
    }
    let step = component.step.unwrap_or(unit);
    let Some(stop) = component.stop else {
        let Some(step) = component.step else {
            return Ok(Progression {
                first: start,
                last: start,
                step: unit,
            });
        };
        let is_repeated = match field.order {
            Order::Up => start + step <= field.max,
            Order::Down => start - step >= field.min,
        };
        if !is_repeated {
            return Wrong::at(
                component.text,
                format!("there is no {name} after the first in such steps"),
            );
        }
        return Ok(match field.order {
            Order::Up => Progression {
                first: start,
                last: start + (field.max - start) / step * step,
                step,
            },
            Order::Down => Progression {
                first: start - (start - field.min) / step * step,
                last: start,
                step,
            },
        });
    };
    if stop < start {
        return Wrong::at(
            component.text,
            format!("the last {name} is before the first"),
        );
    }
    // systemd has no range of less than its step.
    if unit > 1 && component.step.is_none() && start + unit > stop {
        return Wrong::at(
            component.text,
            format!("the last {name} is not one after the first"),
        );
    }
    Ok(Progression {
        first: start,
        last: start + (stop - start) / step * step,
        step,
    })
}

fn numbers(chain: &Chain<'_>, field: &Field) -> Result<Numbers, Wrong> {
    let small = |number: i64| u32::try_from(number).expect("fields of numbers are below 64");
    let Some(components) = chain else {
        return Ok(Numbers::range(small(field.min), small(field.max)));
    };
    let mut found = Numbers::default();
    for component in components {
        let Progression { first, last, step } = progression(component, field, 1)?;
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        found = found.union((first..=last).step_by(step).map(small).collect());
    }
    Ok(found)
}

/// Whole seconds: where several fractions of one are meant, it is meant once.
fn seconds_of(chain: &Chain<'_>) -> Result<Numbers, Wrong> {
    let second = |micros: i64| u32::try_from(micros / MICROS).expect("seconds are below 60");
    let Some(components) = chain else {
        return Ok(Numbers::range(0, 59));
    };
    let mut found = Numbers::default();
    for component in components {
        let Progression { first, last, step } = progression(component, &MICROSECOND, MICROS)?;
        found = found.union(if step < MICROS {
            Numbers::range(second(first), second(last))
        } else {
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            (first..=last).step_by(step).map(second).collect()
        });
    }
    Ok(found)
}

fn years(chain: &Chain<'_>) -> Result<Option<Vec<i16>>, Wrong> {
    let Some(components) = chain else {
        return Ok(None);
    };
    let mut years = Vec::new();
    for component in components {
        let in_full = Component {
            start: year_in_full(component.start),
            stop: component.stop.map(year_in_full),
            ..*component
        };
        let Progression { first, last, step } = progression(&in_full, &YEAR, 1)?;
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        let year = |year| i16::try_from(year).expect("years are up to 2199");
        years.extend((first..=last).step_by(step).map(year));
    }
    years.sort_unstable();
    years.dedup();
    Ok(Some(years))
}

/// Two digits are of 1970 to 2069.
fn year_in_full(year: i64) -> i64 {
    match year {
        0..70 => 2000 + year,
        70..100 => 1900 + year,
        _ => year,
    }
}
