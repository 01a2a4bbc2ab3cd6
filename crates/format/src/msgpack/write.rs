//! Appends MessagePack values to a caller's buffer, in the encodings Borg uses.
//!
//! Integers take their smallest encoding; raws are never written with the newer str8 or bin markers.

/// Appends nil.
#[inline]
pub fn push_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Appends a boolean.
#[inline]
pub fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// Appends a signed integer in its smallest encoding; from 0 upwards that is an unsigned one.
#[inline]
pub fn push_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        push_uint(out, value);
    } else if value >= -32 {
        out.push(value.to_le_bytes()[0]);
    } else if let Ok(value) = i8::try_from(value) {
        out.push(0xd0);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends an unsigned integer in its smallest encoding.
#[inline]
pub fn push_uint(out: &mut Vec<u8>, value: u64) {
    if let Ok(small) = u8::try_from(value) {
        if small >= 0x80 {
            out.push(0xcc);
        }
        out.push(small);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xcd);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a timestamp: an integer, or a raw of little-endian two's complement where the magnitude needs
/// more than 63 bits. Source: Borg 1.4, `int_to_bigint`.
#[inline]
pub fn push_bigint(out: &mut Vec<u8>, value: i128) {
    let bit_count = 128 - value.unsigned_abs().leading_zeros();
    match i64::try_from(value) {
        Ok(small) if bit_count <= 63 => push_int(out, small),
        _ => {
            // One byte more than Rust's 16 may be asked for; the sign fills it.
            let len = (bit_count as usize + 9) / 8;
            let sign = if value < 0 { 0xff } else { 0 };
            let mut bytes = [sign; 17];
            bytes[..16].copy_from_slice(&value.to_le_bytes());
            push_raw(out, &bytes[..len]);
        }
    }
}

/// Appends a double.
#[inline]
pub fn push_float64(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends text or bytes.
///
/// # Panics
/// If `bytes` are longer than 2^32 - 1, which no document of ours can be.
#[inline]
pub fn push_raw(out: &mut Vec<u8>, bytes: &[u8]) {
    push_raw_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the header of text or bytes; `len` bytes must follow.
///
/// # Panics
/// If `len` exceeds 2^32 - 1.
#[inline]
pub fn push_raw_len(out: &mut Vec<u8>, len: usize) {
    if let Ok(small) = u8::try_from(len)
        && small < 32
    {
        out.push(0xa0 | small);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(0xda);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(0xdb);
        out.extend_from_slice(&len_32(len).to_be_bytes());
    }
}

/// Appends the header of an array; `len` values must follow.
///
/// # Panics
/// If `len` exceeds 2^32 - 1.
#[inline]
pub fn push_array_len(out: &mut Vec<u8>, len: usize) {
    push_collection_len(out, len, 0x90, 0xdc);
}

/// Appends the header of a map; `len` keys, each with its value, must follow.
///
/// # Panics
/// If `len` exceeds 2^32 - 1.
#[inline]
pub fn push_map_len(out: &mut Vec<u8>, len: usize) {
    push_collection_len(out, len, 0x80, 0xde);
}

/// `marker_16 + 1` is the marker of the form with four length bytes.
#[inline]
fn push_collection_len(out: &mut Vec<u8>, len: usize, fix_marker: u8, marker_16: u8) {
    if let Ok(small) = u8::try_from(len)
        && small < 16
    {
        out.push(fix_marker | small);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(marker_16);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(marker_16 + 1);
        out.extend_from_slice(&len_32(len).to_be_bytes());
    }
}

fn len_32(len: usize) -> u32 {
    u32::try_from(len).expect("what is written was bounded far below 4 GiB by its document")
}
