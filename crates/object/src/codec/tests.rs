//! The captured vectors and their inputs, for the tests of all of this crate.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// `testdata/vectors/compression.json`
pub(crate) fn vectors() -> Value {
    load("compression")
}

/// `testdata/vectors/NAME.json`
pub(crate) fn load(name: &str) -> Value {
    let path = format!(
        "{}/../../testdata/vectors/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).expect("the captured vectors are there");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

/// The bytes that `digits` writes in hexadecimal.
pub(crate) fn from_hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "whole bytes");
    let pairs = (0..digits.len() / 2).map(|i| &digits[2 * i..2 * i + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
        .collect()
}

/// The first `len` bytes of SHA-256(label, 0), SHA-256(label, 1), ..., as the vectors' inputs are
/// made.
pub(crate) fn generated(label: &str, len: usize) -> Vec<u8> {
    let block = |i: u64| {
        Sha256::new()
            .chain_update(label)
            .chain_update(i.to_be_bytes())
            .finalize()
    };
    (0..).flat_map(block).take(len).collect()
}

/// The input of the vectors with that name.
pub(crate) fn input(name: &str) -> Vec<u8> {
    match name {
        "empty" => Vec::new(),
        "a" => b"a".to_vec(),
        "text1500" => {
            let line = b"The quick brown fox jumps over the lazy dog. ";
            line.iter().copied().cycle().take(1500).collect()
        }
        "zeros4096" => vec![0; 4096],
        "random1000" => generated("rnd", 1000),
        "half" => [generated("rnd", 500), vec![0; 20], generated("rnd2", 500)].concat(),
        other => panic!("unknown input {other}"),
    }
}

/// Data of every kind: empty, short, repetitive, random, mixed, longer than a compressor's window
/// of 64 KiB.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut samples: Vec<_> = ["empty", "a", "text1500", "zeros4096", "random1000", "half"]
        .into_iter()
        .map(input)
        .collect();
    let random = generated("long", 300_000);
    samples.push(random.iter().map(|byte| byte % 7).collect());
    samples.push([random.as_slice(), &vec![9; 200_000], &random].concat());
    samples
}
