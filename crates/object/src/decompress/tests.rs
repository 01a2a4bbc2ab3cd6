//! Stored forms of stock Borg, and what nobody should have written.

use super::*;
use crate::codec::tests::{from_hex, input, samples, vectors};
use crate::{Compression, Compressor};
use proptest::prelude::*;

fn decompress(stored: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = b"before".to_vec();
    let outcome = Decompressor::new().decompress(stored, &mut out);
    assert!(out.starts_with(b"before"), "what was there stays");
    outcome.map_err(|error| {
        assert_eq!(out, b"before", "nothing is left of a failure");
        error.to_string()
    })?;
    Ok(out.split_off(6))
}

fn compress(spec: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let spec: Compression = spec.parse().expect("allowed");
    Compressor::new().compress(&spec, data, &mut out);
    out
}

#[test]
fn captured_forms_decompress() {
    let captured = vectors();
    for case in captured["cases"].as_array().expect("a list") {
        let data = input(case["input"].as_str().expect("text"));
        let stored = from_hex(case["stored"].as_str().expect("text"));
        assert_eq!(decompress(&stored), Ok(data), "{case}");
    }
    for case in captured["obfuscate"].as_array().expect("a list") {
        let data = input(case["input"].as_str().expect("text"));
        let mut stored = from_hex(case["prefix"].as_str().expect("text"));
        stored.extend_from_slice(&[0; 1000]);
        assert_eq!(decompress(&stored), Ok(data), "{case}");
    }
}

/// What stock Borg 1.4.5 says to each of these, except where it ends with a Python error.
#[test]
fn malformed_forms_get_borgs_message() {
    let zstd = compress("zstd,3", &b"hello".repeat(100));
    let lz4 = compress("lz4", &b"hello".repeat(100));
    let zlib = compress("zlib,6", &b"hello".repeat(100));
    let lzma = compress("lzma,6", &b"hello".repeat(100));
    let mut lzma_damaged = lzma.clone();
    lzma_damaged[32] ^= 0xff;
    let with_marker = |marker, data: &str| [vec![marker, 0], from_hex(data)].concat();
    let cases: &[(&[u8], &str)] = &[
        (b"", "data is too short"),
        (b"\0", "data is too short"),
        (b"\x04\0\0\0\0", "data is too short"),
        (b"\x04\0\0\0\0\x01\0\0", "data is too short"),
        (b"\x05\0", "No decompressor for this data found: 0500"),
        (b"\0\x01", "No decompressor for this data found: 0001"),
        (b"\x01\0", "lz4 decompress failed"),
        (b"\x01\0\xff", "lz4 decompress failed"),
        (&lz4[..lz4.len() - 1], "lz4 decompress failed"),
        (
            b"\x03\0",
            "zstd get size failed: data was not compressed by zstd",
        ),
        (
            b"\x03\0abc",
            "zstd get size failed: data was not compressed by zstd",
        ),
        (
            &with_marker(3, "28b52ffd004829000068656c6c6f"),
            "zstd get size failed: original size unknown",
        ),
        (
            &zstd[..zstd.len() - 1],
            "zstd decompress failed: Src size is incorrect",
        ),
        (
            &[&zstd[..], &zstd[2..]].concat(),
            "zstd decompress failed: Destination buffer is too small",
        ),
        (
            b"x\x9c",
            "Error -5 while decompressing data: incomplete or truncated stream",
        ),
        (
            &zlib[..zlib.len() - 1],
            "Error -5 while decompressing data: incomplete or truncated stream",
        ),
        (
            b"\x02\0",
            "Compressed data ended before the end-of-stream marker was reached",
        ),
        (
            &lzma[..lzma.len() - 1],
            "Compressed data ended before the end-of-stream marker was reached",
        ),
        (b"\x02\0abc", "Input format not supported by decoder"),
        (&lzma_damaged, "Corrupt input data"),
    ];
    for (stored, message) in cases {
        let expected = Err(format!("Decompression error: {message}"));
        assert_eq!(decompress(stored), expected, "{stored:02x?}");
    }
}

#[test]
fn what_borg_ignores_is_ignored() {
    let data = b"hello".repeat(100);
    let lzma = compress("lzma,6", &data);
    let twice = [&lzma[..], &lzma[2..]].concat();
    for (stored, expected) in [
        (
            [&compress("zlib,6", &data)[..], b"junk"].concat(),
            data.clone(),
        ),
        ([&lzma[..], b"junkjunk"].concat(), data.clone()),
        (twice, data.repeat(2)),
        (b"\x04\0\0\0\0\x05\0\0a".to_vec(), b"a".to_vec()),
        (b"\x04\0\0\0\0\x08\x04\0\0\0\0\x02\0\0".to_vec(), Vec::new()),
        (from_hex("030028b52ffd2000010000"), Vec::new()),
    ] {
        assert_eq!(decompress(&stored), Ok(expected), "{stored:02x?}");
    }
}

/// A few bytes can stand for gigabytes. None of them may make us allocate more than the limit.
#[test]
fn bombs_stop_at_the_limit() {
    const LIMIT: usize = 100_000;
    let bomb = vec![0; 1_000_000];
    let endless_zstd = from_hex("030028b52ffde0ffffffffffffff7f010000");
    let mut stored = vec![endless_zstd, compress("none", &bomb)];
    for spec in ["lz4", "zstd,3", "zlib,6", "lzma,6", "obfuscate,1,lz4"] {
        stored.push(compress(spec, &bomb));
        let exact = compress(spec, &bomb[..LIMIT]);
        let mut out = Vec::new();
        Decompressor::with_limit(LIMIT)
            .decompress(&exact, &mut out)
            .expect("just at the limit");
        assert_eq!(out, bomb[..LIMIT]);
        stored.push(compress(spec, &bomb[..=LIMIT]));
    }
    for stored in stored {
        let mut out = Vec::new();
        let outcome = Decompressor::with_limit(LIMIT).decompress(&stored, &mut out);
        assert!(outcome.is_err());
        assert!(out.capacity() < 2 * LIMIT, "{}", out.capacity());
    }
    let nested = (0..20).fold(vec![0, 0], |inner, _| {
        let size = u32::try_from(inner.len()).expect("short").to_be_bytes();
        [&[4, 0], &size[..], &inner].concat()
    });
    assert_eq!(
        decompress(&nested),
        Err("Decompression error: obfuscated too many times".into())
    );
}

/// An .xz header can ask for a dictionary of 4 GiB.
#[test]
fn a_container_that_wants_too_much_memory_is_refused() {
    let mut stored = compress("lzma,6", &vec![7; 5000]);
    // The block header: size, flags, filter id 0x21, size of its properties 1, dictionary size.
    let header = stored
        .windows(2)
        .position(|pair| pair == [0x21, 1])
        .expect("the LZMA2 filter");
    stored[header + 2] = 40;
    let block_start = header - 2;
    let len = (usize::from(stored[block_start]) + 1) * 4;
    let crc = crc32(&stored[block_start..block_start + len - 4]);
    stored[block_start + len - 4..block_start + len].copy_from_slice(&crc.to_le_bytes());
    let refused = Err("Decompression error: Memory usage limit exceeded".to_owned());
    assert_eq!(decompress(&stored), refused);
}

/// CRC-32 bit by bit: here a single header needs one.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 1 == 0 {
            crc >> 1
        } else {
            crc >> 1 ^ 0xedb8_8320
        }
    };
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    })
}

#[test]
fn truncated_forms_are_no_different_data() {
    for data in samples().into_iter().filter(|data| data.len() < 5000) {
        for spec in ["lz4", "zstd,3", "zlib,6", "lzma,0"] {
            let stored = compress(spec, &data);
            if stored[..2] == [0, 0] {
                continue;
            }
            for len in 0..stored.len() {
                assert_ne!(decompress(&stored[..len]), Ok(data.clone()), "{spec} {len}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_input_panics(
        stored in prop::collection::vec(any::<u8>(), 0..200),
        marker in prop::sample::select(vec![[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [0x78, 0x9c]]),
    ) {
        let mut out = Vec::new();
        let mut decompressor = Decompressor::with_limit(1 << 20);
        let _ = decompressor.decompress(&stored, &mut out);
        let _ = decompressor.decompress(&[&marker[..], &stored].concat(), &mut out);
        prop_assert!(out.len() <= 2 << 20);
    }

    #[test]
    fn flipped_bits_never_panic(
        which in any::<prop::sample::Index>(),
        bits in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        for spec in ["lz4", "zstd,3", "zlib,6", "lzma,0", "obfuscate,1,zstd,3"] {
            let samples = ["a", "text1500", "zeros4096", "half"].map(input);
            let mut stored = compress(spec, &samples[which.index(samples.len())]);
            for bit in &bits {
                let bit = bit.index(8 * stored.len());
                stored[bit / 8] ^= 1 << (bit % 8);
            }
            let mut out = Vec::new();
            let _ = Decompressor::with_limit(1 << 20).decompress(&stored, &mut out);
            prop_assert!(out.len() <= 1 << 20);
        }
    }
}
