//! Backslash escapes in `--paths-delimiter`.
//!
//! Source: Borg 1.4, `eval_escapes`; Python, `unicode-escape`.

use std::iter::Peekable;
use std::str::Chars;

/// Evaluates the escapes; `None` for one that is cut off or stands for no character.
pub(crate) fn evaluate(text: &str) -> Option<Vec<u8>> {
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next()? {
            '\n' => {}
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            plain @ ('\\' | '\'' | '"') => out.push(plain),
            'x' => out.push(hexadecimal(&mut characters, 2)?),
            'u' => out.push(hexadecimal(&mut characters, 4)?),
            'U' => out.push(hexadecimal(&mut characters, 8)?),
            digit @ '0'..='7' => out.push(octal(digit, &mut characters)?),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    Some(out.into_bytes())
}

/// Exactly `len` hexadecimal digits.
fn hexadecimal(characters: &mut Peekable<Chars<'_>>, len: usize) -> Option<char> {
    let mut code = 0;
    for _ in 0..len {
        code = code * 16 + characters.next()?.to_digit(16)?;
    }
    char::from_u32(code)
}

/// Up to three octal digits, the first of which was read.
fn octal(first: char, characters: &mut Peekable<Chars<'_>>) -> Option<char> {
    let mut code = first.to_digit(8)?;
    for _ in 0..2 {
        let Some(digit) = characters.peek().and_then(|next| next.to_digit(8)) else {
            break;
        };
        characters.next();
        code = code * 8 + digit;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::evaluate;

    #[test]
    fn escapes_are_those_of_python() {
        assert_eq!(evaluate("\\0").as_deref(), Some(&b"\0"[..]));
        assert_eq!(evaluate("\\x00").as_deref(), Some(&b"\0"[..]));
        assert_eq!(
            evaluate("a\\tb\\n\\\\\\q").as_deref(),
            Some(&b"a\tb\n\\\\q"[..])
        );
        assert_eq!(
            evaluate("\\u00e9\\101").as_deref(),
            Some("\u{e9}A".as_bytes())
        );
        assert_eq!(evaluate("\\"), None);
        assert_eq!(evaluate("\\x1"), None);
    }
}
