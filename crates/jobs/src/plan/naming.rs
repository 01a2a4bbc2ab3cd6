//! What archives are called, and which glob finds those of a job again.

use std::fmt::Write as _;

use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::job::ArchiveNaming;

/// What `{now}` and `{utcnow}` stand for if nothing else is said.
const ISO_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";

/// A date cannot be written as wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the date format \"{format}\" cannot be used: {reason}")]
pub struct NamingError {
    /// The format.
    pub format: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What an archive made now is called. Placeholders of the base are left to be replaced, but for those of the time: the
/// archive is meant by that name in every step of a run.
///
/// # Errors
/// A date format with something in it that is not one of strftime's.
pub fn archive_name(naming: &ArchiveNaming, now: &Zoned) -> Result<String, NamingError> {
    let base = with_time(&naming.base, now)?;
    let Some(format) = &naming.date_format else {
        return Ok(base);
    };
    let date = written(format, &zoned(now, naming.utc))?;
    Ok(joined(&base, &date))
}

fn zoned(now: &Zoned, utc: bool) -> Zoned {
    if utc {
        now.with_time_zone(TimeZone::UTC)
    } else {
        now.clone()
    }
}

/// The time in a format, as a part of a name with placeholders.
fn written(format: &str, now: &Zoned) -> Result<String, NamingError> {
    let failed = |reason: String| NamingError {
        format: format.to_owned(),
        reason,
    };
    let date =
        jiff::fmt::strtime::format(format, now).map_err(|error| failed(error.to_string()))?;
    if date.contains('/') || date.contains("::") {
        return Err(failed(format!(
            "\"{date}\" cannot be part of an archive's name"
        )));
    }
    // What the date says is meant as it is: it has no placeholders.
    Ok(date.replace('{', "{{").replace('}', "}}"))
}

/// A base whose `{now}`, `{utcnow}` and `{unixtime}` have been replaced.
fn with_time(base: &str, now: &Zoned) -> Result<String, NamingError> {
    let mut name = String::new();
    for piece in Piece::all(base) {
        match piece {
            Piece::Literal(text) => name.push_str(text),
            Piece::Field {
                name: field,
                format,
                whole,
            } => match field {
                "now" | "utcnow" => {
                    let format = if format.is_empty() {
                        ISO_FORMAT
                    } else {
                        format
                    };
                    name.push_str(&written(format, &zoned(now, field == "utcnow"))?);
                }
                "unixtime" if format.is_empty() => {
                    let _ = write!(name, "{}", now.timestamp().as_second());
                }
                _ => name.push_str(whole),
            },
        }
    }
    Ok(name)
}

/// A piece of a text with placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'t> {
    /// Text, or what stands for one brace.
    Literal(&'t str),
    /// A placeholder: its name, what follows the colon, and all of it with its braces.
    Field {
        name: &'t str,
        format: &'t str,
        whole: &'t str,
    },
}

impl<'t> Piece<'t> {
    /// The pieces of a text. A brace that is not closed is text: that it is wrong is found where it is replaced.
    fn all(text: &'t str) -> impl Iterator<Item = Self> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let second = rest
                .get(first.len_utf8()..)
                .and_then(|rest| rest.chars().next());
            let end = match (first, second) {
                ('{', Some('{')) | ('}', Some('}')) => 2,
                ('{', _) => rest.find('}').map_or(1, |end| end + 1),
                ('}', _) => 1,
                _ => rest.find(['{', '}']).unwrap_or(rest.len()),
            };
            let (piece, after) = rest.split_at(end);
            rest = after;
            let field = piece
                .strip_prefix('{')
                .and_then(|field| field.strip_suffix('}'));
            Some(field.map_or(Self::Literal(piece), |field| {
                let (name, format) = field.split_once(':').unwrap_or((field, ""));
                Self::Field {
                    name,
                    format,
                    whole: piece,
                }
            }))
        })
    }
}

fn joined(base: &str, date: &str) -> String {
    if base.is_empty() {
        date.to_owned()
    } else {
        format!("{base}-{date}")
    }
}

/// The glob, with placeholders, of the archives that have been made under this naming, unfinished ones included.
///
/// It spells the date out, digit by digit: those of a job `home` are not those of a job `home-music`, though their
/// names begin alike, and pruning must not mix them up.
pub fn own_archives(naming: &ArchiveNaming) -> String {
    let mut glob = String::new();
    push_base(&naming.base, &mut glob);
    if let Some(format) = &naming.date_format {
        if !naming.base.is_empty() {
            glob.push('-');
        }
        push_date(format, &mut glob);
    }
    push_any(&mut glob);
    glob
}

/// The glob, with placeholders, of names that begin so.
pub(super) fn beginning_with(prefix: &str) -> String {
    let mut glob = String::new();
    for c in prefix.chars() {
        push_literal(c, &mut glob);
    }
    push_any(&mut glob);
    glob
}

/// Any characters; none more than once in a row, as two of them are something else.
fn push_any(glob: &mut String) {
    if !glob.ends_with('*') {
        glob.push('*');
    }
}

fn push_literal(c: char, glob: &mut String) {
    match c {
        '*' | '?' | '[' => {
            glob.push('[');
            glob.push(c);
            glob.push(']');
        }
        _ => glob.push(c),
    }
}

/// A base with placeholders: those that differ from run to run become what they may be.
fn push_base(base: &str, glob: &mut String) {
    for piece in Piece::all(base) {
        match piece {
            Piece::Literal(text @ ("{{" | "}}")) => glob.push_str(text),
            Piece::Literal(text) => text.chars().for_each(|c| push_literal(c, glob)),
            Piece::Field {
                name,
                format,
                whole,
            } => match (name, format) {
                ("now" | "utcnow", "") => push_date(ISO_FORMAT, glob),
                ("now" | "utcnow", format) => push_date(format, glob),
                ("pid" | "unixtime" | "uuid4", _) => push_any(glob),
                // What it stands for is known by then only.
                _ => glob.push_str(whole),
            },
        }
    }
}

/// What strftime may make of a format. What is not known to be of a certain shape may be anything.
fn push_date(format: &str, glob: &mut String) {
    const DIGIT: &str = "[0-9]";
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            match c {
                '{' | '}' => glob.extend([c, c]),
                _ => push_literal(c, glob),
            }
            continue;
        }
        let (digits, after) = match chars.next() {
            Some('Y' | 'G') => (4, ""),
            Some('m' | 'd' | 'H' | 'I' | 'M' | 'S' | 'y' | 'g' | 'C' | 'U' | 'V' | 'W') => (2, ""),
            Some('j') => (3, ""),
            Some('u' | 'w') => (1, ""),
            Some('F') => {
                push_date("%Y-%m-%d", glob);
                continue;
            }
            Some('T') => {
                push_date("%H:%M:%S", glob);
                continue;
            }
            Some('R') => {
                push_date("%H:%M", glob);
                continue;
            }
            Some('s') => (1, "*"),
            Some('%') => {
                glob.push('%');
                continue;
            }
            // Flags, widths, names of months: letters up to the one that ends it belong to it.
            Some(first) => {
                let mut last = first;
                while !last.is_ascii_alphabetic() {
                    match chars.next() {
                        Some(next) => last = next,
                        None => break,
                    }
                }
                push_any(glob);
                continue;
            }
            None => continue,
        };
        for _ in 0..digits {
            glob.push_str(DIGIT);
        }
        glob.push_str(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(base: &str, date_format: &str) -> ArchiveNaming {
        ArchiveNaming {
            base: base.to_owned(),
            date_format: (!date_format.is_empty()).then(|| date_format.to_owned()),
            utc: false,
            failed_suffix: false,
        }
    }

    fn now() -> Zoned {
        "2020-06-10T00:00:46+03:00[Europe/Kyiv]".parse().unwrap()
    }

    #[test]
    fn a_name_is_base_and_date() {
        let check = |base: &str, format: &str, expected: &str| {
            assert_eq!(
                archive_name(&naming(base, format), &now()).unwrap(),
                expected
            );
        };
        check(
            "host-home-danbst",
            "%Y-%m-%dT%H:%M:%S",
            "host-home-danbst-2020-06-10T00:00:46",
        );
        check("", "%F", "2020-06-10");
        check("{hostname}-x", "", "{hostname}-x");
        check("a", "{%y}", "a-{{20}}");
        check(
            "{now:%F}-{{now}}-{pid}",
            "%y",
            "2020-06-10-{{now}}-{pid}-20",
        );
        check("a{utcnow}{unixtime}", "", "a2020-06-09T21:00:461591736446");
        check("a{now", "", "a{now");
    }

    #[test]
    fn a_date_that_cannot_be_in_a_name_is_refused() {
        for format in ["%D", "%Y::%m", "%!"] {
            let error = archive_name(&naming("a", format), &now()).unwrap_err();
            assert!(error.to_string().contains(format), "{error}");
        }
    }

    #[test]
    fn the_glob_of_a_job_spells_the_date_out() {
        let check = |base: &str, format: &str, expected: &str| {
            assert_eq!(own_archives(&naming(base, format)), expected);
        };
        let digits = |count: usize| "[0-9]".repeat(count);
        let (two, four) = (digits(2), digits(4));
        check(
            "home",
            "%Y-%m-%dT%H:%M:%S",
            &format!("home-{four}-{two}-{two}T{two}:{two}:{two}*"),
        );
        check("home", "%F", &format!("home-{four}-{two}-{two}*"));
        check("", "%F", &format!("{four}-{two}-{two}*"));
        check("home", "", "home*");
        check("home", "%s", "home-[0-9]*");
        check("home", "%-d.%b{%%", "home-*.*{{%*");
        check("home[1]?", "%j", &format!("home[[]1][?]-{}*", digits(3)));
        check(
            "{hostname}-{now:%Y}{{x}}",
            "",
            &format!("{{hostname}}-{four}{{{{x}}}}*"),
        );
        check(
            "{now}{pid}",
            "",
            &format!("{four}-{two}-{two}T{two}:{two}:{two}*"),
        );
        // A brace that is not closed is an error where it is replaced; here it is only kept.
        check("a{b", "", "a{b*");
    }

    #[test]
    fn a_prefix_is_no_glob() {
        assert_eq!(beginning_with("a*[{user}"), "a[*][[]{user}*");
    }
}
