//! Sizes and durations for people, and sizes as people type them.

use std::fmt::Write as _;

/// Units of sizes: powers of 1000, or of 1024 with `--iec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SizeUnits {
    /// kB, MB, GB ...
    #[default]
    Decimal,
    /// KiB, MiB, GiB ...
    Iec,
}

impl SizeUnits {
    /// The units `--iec` asks for.
    pub(crate) fn from_iec(iec: bool) -> Self {
        if iec { Self::Iec } else { Self::Decimal }
    }

    fn power(self) -> f64 {
        match self {
            Self::Decimal => 1000.0,
            Self::Iec => 1024.0,
        }
    }

    fn prefixes(self) -> [&'static str; 9] {
        match self {
            Self::Decimal => ["", "k", "M", "G", "T", "P", "E", "Z", "Y"],
            Self::Iec => ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"],
        }
    }
}

/// `1.50 kB`: two decimals, none for plain bytes; the next unit as soon as the rounded number fills it.
///
/// Source: Borg 1.4, `format_file_size`.
pub(crate) fn format_size(size: i128, units: SizeUnits) -> String {
    format_size_precisely(size, units, 2, false)
}

/// [`format_size`] for the counters, which are never negative.
pub(crate) fn format_count(size: u64, units: SizeUnits) -> String {
    format_size(i128::from(size), units)
}

/// [`format_size`] with a choice of decimals and a `+` in front of positive numbers.
pub(crate) fn format_size_precisely(
    size: i128,
    units: SizeUnits,
    precision: usize,
    sign: bool,
) -> String {
    let plus = if sign && size > 0 { "+" } else { "" };
    let mut number = size as f64;
    let mut decimals = 0;
    let prefixes = units.prefixes();
    let mut prefix = prefixes[8];
    for candidate in &prefixes[..8] {
        if round(number, precision).abs() < units.power() {
            prefix = candidate;
            break;
        }
        number /= units.power();
        decimals = precision;
    }
    let mut text = String::with_capacity(24);
    let _ = write!(text, "{plus}{number:.decimals$} {prefix}B");
    text
}

/// Rounds to a number of decimals the way a decimal printout of the exact value would.
fn round(number: f64, decimals: usize) -> f64 {
    format!("{number:.decimals$}").parse().unwrap_or(number)
}

/// Reads `1234`, `55G`, `1.7T`: decimal powers, upper-case suffixes K M G T P.
///
/// Source: Borg 1.4, `parse_file_size`. `None` for anything else.
pub(crate) fn parse_size(text: &str) -> Option<i64> {
    let (number, factor) = match text.char_indices().next_back()? {
        (at, 'K') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        (at, 'G') => (&text[..at], 1e9),
        (at, 'T') => (&text[..at], 1e12),
        (at, 'P') => (&text[..at], 1e15),
        _ => (text, 1.0),
    };
    let value = parse_float(number)? * factor;
    // Beyond 2^63 nothing could be stored anyway.
    if value.is_nan() || value.abs() >= 9.2e18 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation)] // Rounds towards zero, as Borg does.
    Some(value as i64)
}

/// Reads a number as Python's `float` does, but for its words for infinity and "not a number".
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let plausible = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-._eE".contains(&b));
    if !plausible || text.is_empty() || text.starts_with('_') || text.ends_with('_') {
        return None;
    }
    if text.contains("__") {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// `1 days 1 hours 1 minutes 1.50 seconds`; zero parts are left out, seconds never.
///
/// Source: Borg 1.4, `format_timedelta`.
pub(crate) fn format_duration(micros: i64) -> String {
    let total = micros as f64 / 1e6;
    let seconds = total.rem_euclid(60.0);
    // Python truncates towards zero, then takes a remainder with the sign of the divisor.
    let part = |unit: i64, modulo: i64| (micros / (unit * 1_000_000)).rem_euclid(modulo);
    let days = micros.div_euclid(86_400 * 1_000_000);
    let mut text = String::new();
    if days != 0 {
        let _ = write!(text, "{days} days ");
    }
    for (unit, modulo, name) in [(3600, 24, "hours"), (60, 60, "minutes")] {
        let value = part(unit, modulo);
        if value != 0 {
            let _ = write!(text, "{value} {name} ");
        }
    }
    let _ = write!(text, "{seconds:.2} seconds");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_vectors::strings;

    #[test]
    fn sizes_look_as_borg_prints_them() {
        for case in strings()["format_file_size"].as_array().unwrap() {
            let args = &case["args"];
            let value: i128 = case["value"].to_string().parse().unwrap_or_else(|_| {
                #[allow(clippy::cast_possible_truncation)]
                let value = case["value"].as_f64().unwrap() as i128;
                value
            });
            let units = SizeUnits::from_iec(args["iec"].as_bool().unwrap_or(false));
            let precision = args["precision"].as_u64().unwrap_or(2);
            let sign = args["sign"].as_bool().unwrap_or(false);
            let text =
                format_size_precisely(value, units, usize::try_from(precision).unwrap(), sign);
            assert_eq!(text, case["out"].as_str().unwrap(), "{case}");
        }
    }

    #[test]
    fn sizes_are_read_as_borg_reads_them() {
        for case in strings()["parse_file_size"].as_array().unwrap() {
            let parsed = parse_size(case["in"].as_str().unwrap());
            assert_eq!(parsed, case["out"].as_i64(), "{case}");
        }
    }

    #[test]
    fn durations_look_as_borg_prints_them() {
        for case in strings()["format_timedelta"].as_array().unwrap() {
            let seconds = case["seconds"].as_f64().unwrap();
            #[allow(clippy::cast_possible_truncation)]
            let micros = (seconds * 1e6).round() as i64;
            assert_eq!(
                format_duration(micros),
                case["out"].as_str().unwrap(),
                "{case}"
            );
        }
    }
}
