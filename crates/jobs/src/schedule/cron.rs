//! Cron's expressions: `MINUTE HOUR DAY-OF-MONTH MONTH DAY-OF-WEEK`, and `@daily` and the like.
//!
//! Source: crontab(5) of Vixie's cron. If both days are given, either makes a day count, unless one begins with `*`.

use super::Wrong;
use super::calendar::{Calendar, Days, Numbers, WEEKDAYS, every, ranges};

/// Words for whole expressions.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const SUNDAY: u32 = 0;
/// It has two numbers.
const SUNDAY_TOO: u32 = 7;

/// What a number may be.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of the numbers, and the number of the first.
    names: (&'static [&'static str], u32),
}

const FIELDS: [Field; 5] = [
    field("minute", 0, 59, (&[], 0)),
    field("hour", 0, 23, (&[], 0)),
    field("day of the month", 1, 31, (&[], 0)),
    field("month", 1, 12, (&MONTHS, 1)),
    field("day of the week", 0, SUNDAY_TOO, (&WEEKDAYS, 1)),
];

const fn field(
    name: &'static str,
    min: u32,
    max: u32,
    names: (&'static [&'static str], u32),
) -> Field {
    Field {
        name,
        min,
        max,
        names,
    }
}

/// Whether it is one of cron's: nothing of systemd's has five words, or begins so.
pub(super) fn is_cron(text: &str) -> bool {
    let is_word = text
        .strip_prefix('@')
        .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    is_word || text.split_ascii_whitespace().count() == FIELDS.len()
}

/// Understands an expression that [`is_cron`].
pub(super) fn parse(text: &str) -> Result<Vec<Calendar>, Wrong> {
    if text.starts_with('@') {
        let found = WORDS
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text));
        let Some((_, meaning)) = found else {
            let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
            return Wrong::at(text, format!("expected one of {}", words.join(", ")));
        };
        return parse(meaning);
    }
    let mut rest = text;
    let mut parsed = [(Numbers::default(), false); FIELDS.len()];
    for (field, (numbers, is_star)) in FIELDS.iter().zip(&mut parsed) {
        rest = rest.trim_ascii_start();
        *is_star = rest.starts_with('*');
        (*numbers, rest) = list(rest, field)?;
    }
    let [minutes, hours, days, months, weekdays] = parsed;
    let either = !days.1 && !weekdays.1;
    let calendar = Calendar {
        weekdays: from_monday(weekdays.0),
        months: months.0,
        days: Days::FromStart(days.0),
        hours: hours.0,
        minutes: minutes.0,
        ..Calendar::daily()
    };
    if !either || calendar.is_any_weekday() || calendar.is_any_day() {
        let mut calendar = calendar;
        if either {
            // One of them is every day.
            calendar.weekdays = Numbers::range(0, 6);
            calendar.days = Days::all();
        }
        return Ok(vec![calendar]);
    }
    let by_month = Calendar {
        weekdays: Numbers::range(0, 6),
        ..calendar.clone()
    };
    let by_week = Calendar {
        days: Days::all(),
        ..calendar
    };
    Ok(vec![by_month, by_week])
}

/// Cron counts from Sunday.
fn from_monday(days: Numbers) -> Numbers {
    days.iter().map(|day| (day + 6) % 7).collect()
}

/// A field; also returns what is behind.
fn list<'t>(text: &'t str, field: &Field) -> Result<(Numbers, &'t str), Wrong> {
    let mut found = Numbers::default();
    let mut rest = text;
    loop {
        let numbers;
        (numbers, rest) = element(rest, field)?;
        found = found.union(numbers);
        match rest.as_bytes().first() {
            None | Some(b' ' | b'\t') => return Ok((found, rest)),
            Some(b',') => rest = &rest[1..],
            Some(_) => {
                return Wrong::at(
                    rest,
                    format!("expected , - / or the next field behind a {}", field.name),
                );
            }
        }
    }
}

/// `*`, `*/2`, `1`, `1-5` or `1-5/2`.
fn element<'t>(text: &'t str, field: &Field) -> Result<(Numbers, &'t str), Wrong> {
    let (first, last, mut rest) = if let Some(rest) = text.strip_prefix('*') {
        (field.min, field.max, rest)
    } else {
        let (first, rest) = number(text, field)?;
        match rest.strip_prefix('-') {
            None if rest.starts_with('/') => {
                return Wrong::at(rest, "only * and ranges are taken in steps");
            }
            None => (first, first, rest),
            Some(behind) => {
                let (last, rest) = number(behind, field)?;
                // A range up to Sunday may call it either.
                let is_sunday = field.max == SUNDAY_TOO && last == SUNDAY && first > last;
                (first, if is_sunday { SUNDAY_TOO } else { last }, rest)
            }
        }
    };
    if last < first {
        return Wrong::at(text, format!("the last {} is before the first", field.name));
    }
    let mut step = 1;
    if let Some(behind) = rest.strip_prefix('/') {
        let after;
        (step, after) = digits(behind);
        if step == 0 {
            return Wrong::at(behind, "expected how large the steps are");
        }
        rest = after;
    }
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    Ok(((first..=last).step_by(step).collect(), rest))
}

fn number<'t>(text: &'t str, field: &Field) -> Result<(u32, &'t str), Wrong> {
    let len = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (word, behind) = text.split_at(len);
    let (names, first) = field.names;
    let is_name = |name: &&str| name.eq_ignore_ascii_case(word);
    if let Some(at) = names.iter().position(is_name) {
        let number = first + u32::try_from(at).unwrap_or(0);
        return Ok((if number == SUNDAY_TOO { SUNDAY } else { number }, behind));
    }
    let (number, rest) = digits(text);
    let (name, min, max) = (field.name, field.min, field.max);
    if rest.len() == text.len() {
        return Wrong::at(text, format!("expected * or the {name}, {min} to {max}"));
    }
    if !(min..=max).contains(&number) {
        return Wrong::at(text, format!("the {name} is from {min} to {max}"));
    }
    Ok((number, rest))
}

/// A number, too large rather than wrong if it has too many digits; also returns what is behind.
fn digits(text: &str) -> (u32, &str) {
    let len = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(len);
    let value = if digits.is_empty() {
        Ok(0)
    } else {
        digits.parse()
    };
    (value.unwrap_or(u32::MAX), rest)
}

/// The fields that mean the same; nothing if there are none.
pub(super) fn fields(calendar: &Calendar) -> Option<String> {
    let Days::FromStart(days) = calendar.days else {
        return None;
    };
    let has_one_kind_of_days = calendar.is_any_weekday() || calendar.is_any_day();
    let is_of_every_year = calendar.years.is_none() && calendar.zone.is_none();
    if !has_one_kind_of_days || !is_of_every_year || calendar.seconds != Numbers::range(0, 0) {
        return None;
    }
    let weekdays: Numbers = calendar.weekdays.iter().map(|day| (day + 1) % 7).collect();
    let all = [
        shown(calendar.minutes, 0, 59),
        shown(calendar.hours, 0, 23),
        shown(days, 1, 31),
        shown(calendar.months, 1, 12),
        shown(weekdays, 0, 6),
    ];
    Some(all.join(" "))
}

fn shown(numbers: Numbers, min: u32, max: u32) -> String {
    if numbers == Numbers::range(min, max) {
        return "*".to_owned();
    }
    match every(numbers, max) {
        Some((first, step)) if first == min => format!("*/{step}"),
        Some((first, step)) => format!("{first}-{max}/{step}"),
        None => ranges(numbers, "-", |number| number.to_string()),
    }
}
