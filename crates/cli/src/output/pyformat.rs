//! Python's format strings: `{name}`, `{name:spec}`, `{name!r}`, `{{` and `}}`.
//!
//! Source: Python's "Format String Syntax" and "Format Specification Mini-Language".

use std::fmt::Write as _;

/// A piece of a format string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text as it is.
    Literal(String),
    /// A value to put in.
    Field(Field),
}

/// A replacement field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// What stands before `!` and `:`; may be empty.
    pub(crate) name: String,
    /// The letter after `!`.
    pub(crate) conversion: Option<char>,
    /// What stands after `:`.
    pub(crate) spec: String,
}

/// Why a format string or specification is not accepted; the text is Python's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FormatError(pub(crate) String);

fn fail<T>(message: &str) -> Result<T, FormatError> {
    Err(FormatError(message.to_owned()))
}

/// Takes a format string apart.
pub(crate) fn parse(format: &str) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = rest.as_bytes()[at];
        let after = &rest[at + 1..];
        if after.as_bytes().first() == Some(&brace) {
            literal.push(char::from(brace));
            rest = &after[1..];
            continue;
        }
        if brace == b'}' {
            return fail("Single '}' encountered in format string");
        }
        if after.is_empty() {
            return fail("Single '{' encountered in format string");
        }
        let (field, tail) = parse_field(after)?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Field(field));
        rest = tail;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Reads a field whose opening brace is gone; also returns what follows its closing brace.
fn parse_field(text: &str) -> Result<(Field, &str), FormatError> {
    let mut depth = 1_usize;
    let mut end = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            end = Some(at);
            break;
        }
    }
    let Some(end) = end else {
        return fail("expected '}' before end of string");
    };
    let (inside, tail) = (&text[..end], &text[end + 1..]);
    let name_end = inside.find(['!', ':']).unwrap_or(inside.len());
    let name = inside[..name_end].to_owned();
    let mut spec = &inside[name_end..];
    let mut conversion = None;
    if let Some(after) = spec.strip_prefix('!') {
        let mut characters = after.chars();
        conversion = characters.next();
        if conversion.is_none() {
            return fail("unmatched '{' in format spec");
        }
        spec = characters.as_str();
        if !spec.is_empty() && !spec.starts_with(':') {
            return fail("expected ':' after conversion specifier");
        }
    }
    let spec = spec.strip_prefix(':').unwrap_or("").to_owned();
    Ok((
        Field {
            name,
            conversion,
            spec,
        },
        tail,
    ))
}

/// Where a value stands in its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Centre,
    /// Padding between sign and digits.
    Inside,
}

/// A parsed specification for texts and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Spec {
    fill: Option<char>,
    align: Option<Align>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// Wider fields would only eat memory.
const WIDTH_MAX: usize = 1_000_000;

impl Spec {
    /// Reads `[[fill]align][sign][#][0][width][grouping][.precision][type]`.
    pub(crate) fn parse(text: &str) -> Result<Self, FormatError> {
        let mut spec = Self::default();
        let characters: Vec<char> = text.chars().collect();
        let mut at = 0;
        let align = |c: char| match c {
            '<' => Some(Align::Left),
            '>' => Some(Align::Right),
            '^' => Some(Align::Centre),
            '=' => Some(Align::Inside),
            _ => None,
        };
        if let Some(found) = characters.get(1).copied().and_then(align) {
            (spec.fill, spec.align, at) = (Some(characters[0]), Some(found), 2);
        } else if let Some(found) = characters.first().copied().and_then(align) {
            (spec.align, at) = (Some(found), 1);
        }
        let next = |at: usize| characters.get(at).copied();
        if let Some(sign @ ('+' | '-' | ' ')) = next(at) {
            spec.sign = Some(sign);
            at += 1;
        }
        if next(at) == Some('#') {
            spec.alternate = true;
            at += 1;
        }
        if spec.fill.is_none() && next(at) == Some('0') {
            spec.fill = Some('0');
            spec.align = spec.align.or(Some(Align::Inside));
            at += 1;
        }
        let number = |at: &mut usize| {
            let start = *at;
            let mut value = 0_usize;
            while let Some(digit) = characters.get(*at).and_then(|c| c.to_digit(10)) {
                value = value
                    .saturating_mul(10)
                    .saturating_add(digit as usize)
                    .min(usize::MAX / 2);
                *at += 1;
            }
            (*at > start).then_some(value)
        };
        spec.width = number(&mut at).unwrap_or(0);
        if let Some(grouping @ (',' | '_')) = characters.get(at).copied() {
            spec.grouping = Some(grouping);
            at += 1;
        }
        if characters.get(at) == Some(&'.') {
            at += 1;
            let Some(precision) = number(&mut at) else {
                return fail("Format specifier missing precision");
            };
            spec.precision = Some(precision);
        }
        if let Some(kind) = characters.get(at) {
            spec.kind = Some(*kind);
            at += 1;
        }
        if at != characters.len() {
            return fail("Invalid format specifier");
        }
        if spec.width > WIDTH_MAX || spec.precision.is_some_and(|p| p > WIDTH_MAX) {
            return fail("Too many decimal digits in format string");
        }
        Ok(spec)
    }

    /// Appends a text.
    pub(crate) fn push_text(&self, text: &str, out: &mut String) -> Result<(), FormatError> {
        if let Some(kind) = self.kind.filter(|&kind| kind != 's') {
            return fail(&format!(
                "Unknown format code '{kind}' for object of type 'str'"
            ));
        }
        if self.sign.is_some() {
            return fail("Sign not allowed in string format specifier");
        }
        if self.alternate {
            return fail("Alternate form (#) not allowed in string format specifier");
        }
        // A width written with a leading zero implies "=" for numbers and nothing for texts.
        let align = match self.align {
            Some(Align::Inside) if self.fill != Some('0') => {
                return fail("'=' alignment not allowed in string format specifier");
            }
            Some(Align::Inside) | None => Align::Left,
            Some(align) => align,
        };
        let cut = match self.precision {
            Some(precision) => text
                .char_indices()
                .nth(precision)
                .map_or(text, |(at, _)| &text[..at]),
            None => text,
        };
        self.pad("", cut, align, out);
        Ok(())
    }

    /// Appends a whole number.
    pub(crate) fn push_int(&self, value: i128, out: &mut String) -> Result<(), FormatError> {
        let kind = self.kind.unwrap_or('d');
        if matches!(kind, 'f' | 'F' | '%') {
            self.push_fixed(value as f64, kind, out);
            return Ok(());
        }
        if self.precision.is_some() {
            return fail("Precision not allowed in integer format specifier");
        }
        let magnitude = value.unsigned_abs();
        let (prefix, digits) = match kind {
            'd' | 'n' => ("", magnitude.to_string()),
            'b' => ("0b", format!("{magnitude:b}")),
            'o' => ("0o", format!("{magnitude:o}")),
            'x' => ("0x", format!("{magnitude:x}")),
            'X' => ("0X", format!("{magnitude:X}")),
            other => {
                return fail(&format!(
                    "Unknown format code '{other}' for object of type 'int'"
                ));
            }
        };
        let group_len = if matches!(kind, 'd' | 'n') { 3 } else { 4 };
        let digits = match self.grouping {
            Some(separator) => group(&digits, group_len, separator),
            None => digits,
        };
        let mut lead = self.sign_of(value < 0).to_owned();
        if self.alternate {
            lead.push_str(prefix);
        }
        self.pad(&lead, &digits, self.align.unwrap_or(Align::Right), out);
        Ok(())
    }

    fn push_fixed(&self, value: f64, kind: char, out: &mut String) {
        let precision = self.precision.unwrap_or(6).min(300);
        let (value, suffix) = if kind == '%' {
            (value * 100.0, "%")
        } else {
            (value, "")
        };
        let mut digits = format!("{:.precision$}", value.abs());
        if let Some(separator) = self.grouping {
            let (whole, fraction) = match digits.split_once('.') {
                Some((whole, fraction)) => (whole, format!(".{fraction}")),
                None => (digits.as_str(), String::new()),
            };
            digits = group(whole, 3, separator) + &fraction;
        }
        digits.push_str(suffix);
        self.pad(
            self.sign_of(value < 0.0),
            &digits,
            self.align.unwrap_or(Align::Right),
            out,
        );
    }

    fn sign_of(&self, negative: bool) -> &'static str {
        match self.sign {
            _ if negative => "-",
            Some('+') => "+",
            Some(' ') => " ",
            _ => "",
        }
    }

    fn pad(&self, lead: &str, body: &str, align: Align, out: &mut String) {
        let len = lead.chars().count() + body.chars().count();
        let missing = self.width.saturating_sub(len);
        let fill = self.fill.unwrap_or(' ');
        let (before, inside, after) = match align {
            Align::Left => (0, 0, missing),
            Align::Right => (missing, 0, 0),
            Align::Centre => (missing / 2, 0, missing - missing / 2),
            Align::Inside => (0, missing, 0),
        };
        out.extend(std::iter::repeat_n(fill, before));
        out.push_str(lead);
        out.extend(std::iter::repeat_n(fill, inside));
        out.push_str(body);
        out.extend(std::iter::repeat_n(fill, after));
    }
}

fn group(digits: &str, group_len: usize, separator: char) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(group_len) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

/// Appends a text as Python's `repr` (`!r`) or, with `ascii_only`, `ascii` (`!a`) does.
pub(crate) fn push_repr(text: &str, ascii_only: bool, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c < ' ' || c == '\x7f' || (ascii_only && ('\u{80}'..='\u{ff}').contains(&c)) => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if ascii_only && !c.is_ascii() => {
                let code = u32::from(c);
                let _ = if code > 0xffff {
                    write!(out, "\\U{code:08x}")
                } else {
                    write!(out, "\\u{code:04x}")
                };
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Appends bytes as Python's `repr` does.
pub(crate) fn push_bytes_repr(bytes: &[u8], out: &mut String) {
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    out.push('b');
    push_repr(&text, true, out);
}

/// [`push_repr`] as a value.
pub(crate) fn repr(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_repr(text, false, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn text(spec: &str, value: &str) -> String {
        let mut out = String::new();
        match Spec::parse(spec).and_then(|spec| spec.push_text(value, &mut out)) {
            Ok(()) => out,
            Err(error) => format!("error: {error}"),
        }
    }

    #[track_caller]
    fn int(spec: &str, value: i128) -> String {
        let mut out = String::new();
        match Spec::parse(spec).and_then(|spec| spec.push_int(value, &mut out)) {
            Ok(()) => out,
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn texts_are_padded_and_cut() {
        assert_eq!(text("<6", "ab"), "ab    ");
        assert_eq!(text("6", "ab"), "ab    ");
        assert_eq!(text(">6", "ab"), "    ab");
        assert_eq!(text("*^7", "ab"), "**ab***");
        assert_eq!(text(".1", "ab"), "a");
        assert_eq!(text("05", "ab"), "ab000");
        assert_eq!(
            text("d", "ab"),
            "error: Unknown format code 'd' for object of type 'str'"
        );
    }

    #[test]
    fn numbers_are_padded_and_grouped() {
        assert_eq!(int("8", 42), "      42");
        assert_eq!(int("08d", -42), "-0000042");
        assert_eq!(int("<5", 42), "42   ");
        assert_eq!(int("+,", 1_234_567), "+1,234,567");
        assert_eq!(int("#x", 255), "0xff");
        assert_eq!(int(".2f", 3), "3.00");
        assert_eq!(
            int("s", 3),
            "error: Unknown format code 's' for object of type 'int'"
        );
    }

    #[test]
    fn format_strings_are_taken_apart() {
        let field = |name: &str, conversion, spec: &str| {
            Piece::Field(Field {
                name: name.into(),
                conversion,
                spec: spec.into(),
            })
        };
        assert_eq!(
            parse("a{{{b:>3}}}{c!r:x}{}").unwrap(),
            [
                Piece::Literal("a{".into()),
                field("b", None, ">3"),
                Piece::Literal("}".into()),
                field("c", Some('r'), "x"),
                field("", None, ""),
            ]
        );
        for (format, message) in [
            ("{", "Single '{' encountered in format string"),
            ("}", "Single '}' encountered in format string"),
            ("{a", "expected '}' before end of string"),
        ] {
            assert_eq!(parse(format).unwrap_err().0, message);
        }
    }

    #[test]
    fn reprs_are_those_of_python() {
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("a'\"\n\x01"), "'a\\'\"\\n\\x01'");
    }
}
