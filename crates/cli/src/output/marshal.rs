//! Values the way Python's `marshal` module reads them, version 2 of its format.

use ironborg_format::msgpack::Value;

/// Integers outside of 32 bits are written in digits of this many bits.
const DIGIT_BITS: u32 = 15;

/// Appends a value: text as `str`, lists as tuples, maps as dictionaries; bytes that are no text as `bytes`.
pub(crate) fn push(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.push(b'N'),
        Value::Bool(true) => out.push(b'T'),
        Value::Bool(false) => out.push(b'F'),
        Value::Int(value) => push_int(i128::from(*value), out),
        Value::Uint(value) => push_int(i128::from(*value), out),
        Value::Float(value) => {
            out.push(b'g');
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Raw(bytes) => {
            let is_text = std::str::from_utf8(bytes).is_ok();
            out.push(if is_text { b'u' } else { b's' });
            push_len(bytes.len(), out);
            out.extend_from_slice(bytes);
        }
        Value::Array(elements) => {
            out.push(b'(');
            push_len(elements.len(), out);
            for element in elements {
                push(element, out);
            }
        }
        Value::Map(pairs) => {
            out.push(b'{');
            for (key, value) in pairs {
                push(key, out);
                push(value, out);
            }
            out.push(b'0');
        }
        Value::Ext(kind, bytes) => push(
            &Value::Array(vec![Value::Int((*kind).into()), Value::raw(bytes.as_ref())]),
            out,
        ),
    }
}

fn push_int(value: i128, out: &mut Vec<u8>) {
    if let Ok(small) = i32::try_from(value) {
        out.push(b'i');
        out.extend_from_slice(&small.to_le_bytes());
        return;
    }
    let mut digits = Vec::new();
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        let digit = rest & ((1 << DIGIT_BITS) - 1);
        digits.push(u16::try_from(digit).expect("15 bits"));
        rest >>= DIGIT_BITS;
    }
    let count = i32::try_from(digits.len()).expect("five digits at most");
    out.push(b'l');
    out.extend_from_slice(&(if value < 0 { -count } else { count }).to_le_bytes());
    for digit in digits {
        out.extend_from_slice(&digit.to_le_bytes());
    }
}

fn push_len(len: usize, out: &mut Vec<u8>) {
    let len = u32::try_from(len).expect("read from a file far smaller than 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &Value<'_>, expected: &[u8]) {
        let mut out = Vec::new();
        push(value, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn values_are_those_python_reads() {
        // `marshal.dumps(value, 2)`, but that Python would write short texts in other ways too.
        check(&Value::Int(-2), b"i\xfe\xff\xff\xff");
        check(&Value::Int(1 << 31), b"l\x03\0\0\0\0\0\0\0\x02\0");
        check(
            &Value::Int(-(1 << 31) - 1),
            b"l\xfd\xff\xff\xff\x01\0\0\0\x02\0",
        );
        check(&Value::Float(0.5), b"g\0\0\0\0\0\0\xe0?");
        check(&Value::raw(*b"\xff"), b"s\x01\0\0\0\xff");
        check(
            &Value::Map(vec![(
                Value::Array(vec![Value::raw(*b"f"), Value::Nil]),
                Value::Bool(true),
            )]),
            b"{(\x02\0\0\0u\x01\0\0\0fNT0",
        );
    }
}
