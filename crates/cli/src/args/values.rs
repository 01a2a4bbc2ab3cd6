//! Values of options, with the words stock Borg's errors have for bad ones.

use ironborg_storage::Retention;
use ironborg_types::text;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::output::pyformat::repr;
use crate::output::size::parse_size;

/// A whole number as Python's `int` reads it: blanks around it, a sign, underscores between digits.
fn python_int(text: &str, radix: u32) -> Option<i64> {
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.strip_prefix(['-', '+']) {
        Some(digits) => (trimmed.starts_with('-'), digits),
        None => (false, trimmed),
    };
    let digits = if radix == 8 {
        digits
            .strip_prefix("0o")
            .or_else(|| digits.strip_prefix("0O"))
            .unwrap_or(digits)
    } else {
        digits
    };
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if misplaced || digits.starts_with(['-', '+']) {
        return None;
    }
    let digits = digits.replace('_', "");
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    // Python's numbers have no end; for every option the largest is as good as infinite.
    let magnitude = i64::from_str_radix(&digits, radix).unwrap_or(i64::MAX);
    Some(if negative { -magnitude } else { magnitude })
}

/// A whole number.
pub(crate) fn int(text: &str) -> Result<i64, String> {
    python_int(text, 10).ok_or_else(|| format!("invalid int value: {}", repr(text)))
}

/// A whole number in octal.
pub(crate) fn octal(text: &str) -> Result<u32, String> {
    python_int(text, 8)
        .and_then(|value| u32::try_from(value).ok())
        .ok_or_else(|| format!("invalid <lambda> value: {}", repr(text)))
}

/// A number of archives: at least one.
pub(crate) fn positive(text: &str) -> Result<usize, String> {
    let value = python_int(text, 10)
        .ok_or_else(|| format!("invalid positive_int_validator value: {}", repr(text)))?;
    usize::try_from(value)
        .ok()
        .filter(|&value| value > 0)
        .ok_or_else(|| format!("A positive integer is required: {text}"))
}

/// Smallest storage quota but none, in bytes.
const QUOTA_MIN: i64 = 10_000_000;

/// A number of bytes, with decimal suffixes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    parse_size(text)
        .and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| format!("invalid size: {}", repr(text)))
}

/// A storage quota in bytes: 0 for none, or at least 10M.
pub(crate) fn storage_quota(text: &str) -> Result<u64, String> {
    let value = parse_size(text)
        .ok_or_else(|| format!("invalid parse_storage_quota value: {}", repr(text)))?;
    if value != 0 && value < QUOTA_MIN {
        return Err(format!(
            "quota is too small ({text}). At least 10M are required."
        ));
    }
    Ok(value.unsigned_abs())
}

/// Units of intervals, in hours.
const INTERVAL_UNITS: [(char, i64); 5] = [
    ('H', 1),
    ('d', 24),
    ('w', 24 * 7),
    ('m', 24 * 31),
    ('y', 24 * 365),
];

/// A length of time such as `7d`, in hours.
pub(crate) fn interval(text: &str) -> Result<i64, String> {
    let last = text.chars().next_back();
    let unit = INTERVAL_UNITS
        .iter()
        .find(|(letter, _)| last == Some(*letter));
    let Some((letter, hours)) = unit else {
        let known = INTERVAL_UNITS.map(|(letter, _)| format!("'{letter}'"));
        let last = last.map(String::from).unwrap_or_default();
        return Err(format!(
            "Unexpected interval time unit \"{last}\": expected one of [{}]",
            known.join(", ")
        ));
    };
    let number = &text[..text.len() - letter.len_utf8()];
    python_int(number, 10)
        .map(|count| count.saturating_mul(*hours))
        .filter(|hours| *hours > 0)
        .ok_or_else(|| {
            format!("Unexpected interval number \"{number}\": expected an integer greater than 0")
        })
}

/// For how long something cannot be removed.
pub(crate) fn retention(text: &str) -> Result<Retention, String> {
    Retention::parse(text).ok_or_else(|| {
        format!("\"{text}\": expected a time such as 30d, 4w, 6m or 1y, and governance or compliance after a comma")
    })
}

/// An interval in seconds; none if it is zero or less, which means "never".
pub(crate) fn seconds(value: i64) -> Option<std::time::Duration> {
    u64::try_from(value)
        .ok()
        .filter(|&value| value > 0)
        .map(std::time::Duration::from_secs)
}

/// A path that is not empty.
pub(crate) fn path(value: &OsStr) -> Result<OsString, String> {
    if value.is_empty() {
        return Err("Empty strings are not accepted as paths.".to_owned());
    }
    Ok(value.to_owned())
}

/// One of a few words.
pub(crate) fn choice(value: &OsStr, choices: &[&str]) -> Result<String, String> {
    let text = text::display(value.as_bytes());
    if choices.contains(&text.as_ref()) {
        return Ok(text.into_owned());
    }
    let known: Vec<String> = choices.iter().map(|choice| repr(choice)).collect();
    Err(format!(
        "invalid choice: {} (choose from {})",
        repr(&text),
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        assert_eq!(int(" -1_000 "), Ok(-1000));
        assert_eq!(int("x"), Err("invalid int value: 'x'".into()));
        assert_eq!(int("1__0"), Err("invalid int value: '1__0'".into()));
        assert_eq!(octal("077"), Ok(0o77));
        assert_eq!(octal("0o22"), Ok(0o22));
        assert_eq!(octal("9"), Err("invalid <lambda> value: '9'".into()));
        assert_eq!(
            positive("-1"),
            Err("A positive integer is required: -1".into())
        );
    }

    #[test]
    fn numbers_too_large_for_a_word_count_as_its_largest() {
        assert_eq!(int("99999999999999999999"), Ok(i64::MAX));
        assert_eq!(int("-99999999999999999999"), Ok(-i64::MAX));
        assert!(int("9999999999999999999x").is_err());
        assert!(octal("99999999999999999999999").is_err());
    }

    #[test]
    fn intervals_are_read_as_borg_reads_them() {
        let vectors = crate::test_vectors::load("vectors/prune.json");
        let cases = vectors["intervals"].as_array().unwrap();
        assert!(cases.len() > 10);
        for case in cases {
            let found = interval(case["interval"].as_str().unwrap());
            assert_eq!(
                found.as_ref().ok(),
                case["hours"].as_i64().as_ref(),
                "{case}"
            );
            // For an empty text stock Borg only has a traceback.
            if let Some(error) = case["error"].as_str().filter(|_| case["interval"] != "") {
                let expected = error.strip_prefix("ArgumentTypeError: ").unwrap();
                assert_eq!(found.unwrap_err(), expected, "{case}");
            }
        }
        assert_eq!(interval("99999999999999999999y"), Ok(i64::MAX));
    }

    #[test]
    fn quotas_are_bounded() {
        assert_eq!(storage_quota("0"), Ok(0));
        assert_eq!(storage_quota("10M"), Ok(10_000_000));
        assert_eq!(
            storage_quota("1M"),
            Err("quota is too small (1M). At least 10M are required.".into())
        );
        assert_eq!(
            storage_quota("x"),
            Err("invalid parse_storage_quota value: 'x'".into())
        );
    }
}
