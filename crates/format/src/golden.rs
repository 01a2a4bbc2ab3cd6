//! Reads the vectors that stock Borg made (`testdata/vectors`), for tests.

use serde_json::Value;

/// Items, big integers and primitives.
pub(crate) const ITEMS: &str = include_str!("../../../testdata/vectors/items.json");
/// Key maps, blobs, texts and files.
pub(crate) const KEY_BLOBS: &str = include_str!("../../../testdata/vectors/keyblobs.json");
/// Authenticated manifests and archives.
pub(crate) const TAM: &str = include_str!("../../../testdata/vectors/tam.json");

/// Private use characters that stand for the bytes 0x80 to 0xff, which JSON cannot hold.
const BYTE_CHARS: u32 = 0xf700;

/// Parses one file. Python's `\udcXX` for an undecodable byte is no valid JSON; it becomes a private
/// character that [`bytes_of`] turns back.
pub(crate) fn vectors(text: &str) -> Value {
    let mut parts = text.split("\\udc");
    let mut clean = parts
        .next()
        .expect("split gives one part at least")
        .to_owned();
    for part in parts {
        let tail = &clean[clean.floor_char_boundary(clean.len().saturating_sub(6))..];
        let is_pair = tail.len() == 6 && ["\\ud8", "\\ud9", "\\uda", "\\udb"].contains(&&tail[..4]);
        clean.push_str(if is_pair { "\\udc" } else { "\\uf7" });
        clean.push_str(part);
    }
    serde_json::from_str(&clean).expect("the vectors are JSON")
}

/// The bytes of a string, undecodable ones included.
pub(crate) fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for c in text.chars() {
        match u8::try_from(u32::from(c).wrapping_sub(BYTE_CHARS)) {
            Ok(byte) if byte >= 0x80 => bytes.push(byte),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Decodes hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| {
        u8::try_from(
            (c as char)
                .to_digit(16)
                .expect("the vectors are hexadecimal"),
        )
        .expect("less than 16")
    };
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// The bytes of a hexadecimal entry.
#[track_caller]
pub(crate) fn hex_entry(entry: &Value, key: &str) -> Vec<u8> {
    unhex(entry[key].as_str().expect(key))
}

/// Calls `decode` with every truncation and every one-bit change of `bytes`; it may fail but not panic.
pub(crate) fn shake(bytes: &[u8], mut decode: impl FnMut(&[u8])) {
    for len in 0..bytes.len() {
        decode(&bytes[..len]);
    }
    let mut changed = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        changed[bit / 8] ^= 1 << (bit % 8);
        decode(&changed);
        changed[bit / 8] ^= 1 << (bit % 8);
    }
}

/// The authenticated documents of one kind (`archive`, `manifest`) in the TAM vectors: as signed, with
/// zeroes for the HMAC, and the salt.
pub(crate) fn signed_documents(context: &str) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let vectors = vectors(TAM);
    let cases = vectors["cases"].as_array().expect("a list").iter();
    let of = |case| {
        let entry = |key| hex_entry(case, key);
        (
            entry("packed_with_tam"),
            entry("packed_with_zeroed_hmac"),
            entry("salt"),
        )
    };
    cases
        .filter(|case| case["context"] == context)
        .map(of)
        .collect()
}
