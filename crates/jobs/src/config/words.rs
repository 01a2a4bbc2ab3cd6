//! Texts with a form of their own: lengths of time, command lines.

use std::time::Duration;

use super::document::shorten;

/// Units of lengths of time, in seconds, by the names that systemd has for them.
const UNITS: &[(&[&str], u64)] = &[
    (&["s", "sec", "second", "seconds"], 1),
    (&["m", "min", "minute", "minutes"], 60),
    (&["h", "hr", "hour", "hours"], 3600),
    (&["d", "day", "days"], 86_400),
    (&["w", "week", "weeks"], 7 * 86_400),
    (&["M", "month", "months"], 2_629_800),
    (&["y", "year", "years"], 31_557_600),
];

/// Reads a length of time: numbers, each with its unit.
///
/// # Errors
/// What is expected instead.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let refuse = || {
        format!(
            "\"{}\" is not a length of time; expected numbers with units, such as \"90s\", \"10min\", \"2h\", \"1 day\", \
             \"4 weeks\", \"1 month\"",
            shorten(text)
        )
    };
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let known = UNITS.iter().find(|(names, _)| names.contains(&unit));
        let (_, length) = known.ok_or_else(refuse)?;
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let part = number.checked_mul(*length);
        seconds = part
            .and_then(|part| seconds.checked_add(part))
            .filter(|&seconds| seconds <= SECONDS_MAX)
            .ok_or_else(|| format!("\"{}\" is too long", shorten(text)))?;
        rest = after.trim_start();
    }
    if text.trim().is_empty() {
        return Err(refuse());
    }
    Ok(Duration::from_secs(seconds))
}

/// A hundred years: sums with a date stay dates.
const SECONDS_MAX: u64 = 100 * 31_557_600;

/// Splits a text into words as a shell does, without replacing anything.
///
/// # Errors
/// A quotation does not end.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => {
                let next = rest
                    .next()
                    .ok_or("nothing follows the backslash at the end")?;
                word.get_or_insert_default().push(next);
            }
            '\'' | '"' => quoted(c, &mut rest, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    let unfinished = || format!("a quotation does not end: {quote} is missing");
    loop {
        match rest.next().ok_or_else(unfinished)? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => {
                let next = rest.next().ok_or_else(unfinished)?;
                if !matches!(next, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(next);
            }
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_sums() {
        let check =
            |text, seconds| assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        check("90s", 90);
        check("1h 30min", 5400);
        check("1h30m", 5400);
        check(" 1 day ", 86_400);
        check("4 weeks", 4 * 7 * 86_400);
        check("1 month", 2_629_800);
        check("1M", 2_629_800);
        check("0", 0);
        for bad in [
            "",
            " ",
            "5",
            "h",
            "1 fortnight",
            "-1h",
            "1.5h",
            "99999999999999999999d",
            "1 h h",
            "200 years",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        let check = |text, words: &[&str]| assert_eq!(split(text).unwrap(), words, "{text}");
        check("--stats  --verbose", &["--stats", "--verbose"]);
        check(
            r#"-o 'a b' "c \"d\" \n" e\ f '' "#,
            &["-o", "a b", r#"c "d" \n"#, "e f", ""],
        );
        check("", &[]);
        assert!(split("'a").is_err());
        assert!(split("a\\").is_err());
    }
}
