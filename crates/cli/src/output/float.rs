//! Floating point numbers as Python writes them.

use std::fmt::Write as _;

/// Appends `value` as Python's `repr` does: the shortest digits that read back as the same number,
/// in scientific notation below 1e-4 and from 1e16 on, always with `.0` or an exponent.
pub(crate) fn push_float(value: f64, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
        return;
    }
    if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
        return;
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let scientific = format!("{value:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(rest) => ('-', rest),
            None => ('+', exponent),
        };
        let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
        return;
    }
    let start = out.len();
    let _ = write!(out, "{value}");
    if !out[start..].contains('.') {
        out.push_str(".0");
    }
}

/// `12%`: a share without decimals.
pub(crate) fn percent(value: f64) -> String {
    format!("{:.0}%", value * 100.0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn floats_look_as_python_prints_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.100_029, "0.100029"),
            (2.617_841_116_499_222_6e-05, "2.6178411164992226e-05"),
            (1e16, "1e+16"),
            (123_456_789.0, "123456789.0"),
            (0.0001, "0.0001"),
            (-1.5, "-1.5"),
            (1_700_000_000.123_456, "1700000000.123456"),
            (1.5e300, "1.5e+300"),
        ] {
            let mut text = String::new();
            super::push_float(value, &mut text);
            assert_eq!(text, expected);
        }
        assert_eq!(super::percent(0.125), "12%");
    }
}
