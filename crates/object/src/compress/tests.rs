//! What is stored, against what stock Borg stored.

use super::*;
use crate::codec::tests::{from_hex, input, samples, vectors};
use crate::{Decompressor, Obfuscation};

fn parse(spec: &str) -> Compression {
    spec.parse().expect("a specification of the vectors")
}

fn compress(spec: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new().compress(&parse(spec), data, &mut out);
    out
}

fn decompress(stored: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Decompressor::new()
        .decompress(stored, &mut out)
        .expect("it was just compressed");
    out
}

/// Compressors' output depends on the library's version, the decision between them must not. LZ4
/// and storing give stock Borg's very bytes.
#[test]
fn the_captured_decisions_are_taken() {
    let captured = vectors();
    let cases = captured["cases"].as_array().expect("a list");
    assert!(cases.len() > 70);
    for case in cases {
        let (spec, name) = (&case["spec"], &case["input"]);
        let (spec, name) = (spec.as_str().expect("text"), name.as_str().expect("text"));
        let data = input(name);
        let expected = from_hex(case["stored"].as_str().expect("text"));
        let stored = compress(spec, &data);
        assert_eq!(stored[..2], expected[..2], "{spec} {name}");
        if matches!(expected[..2], [0 | 1, 0]) {
            assert_eq!(stored, expected, "{spec} {name}");
        }
        assert_eq!(decompress(&stored), data, "{spec} {name}");
    }
}

#[test]
fn what_was_compressed_decompresses_with_contexts_used_before() {
    let mut compressor = Compressor::new();
    let mut decompressor = Decompressor::new();
    let (mut stored, mut out) = (Vec::new(), Vec::new());
    let specs = [
        "none",
        "lz4",
        "zstd,1",
        "zstd,3",
        "zstd,19",
        "zlib,0",
        "zlib,1",
        "zlib,6",
        "zlib,9",
        "lzma,0",
        "lzma,6",
        "auto,zstd,10",
        "auto,zlib",
        "auto,lzma,1",
        "auto,auto,lzma",
        "auto,none",
        "obfuscate,1,zstd,3",
        "obfuscate,110,auto,zlib,3",
        "obfuscate,250,none",
        "obfuscate,2,obfuscate,3,lz4",
    ];
    for data in samples() {
        for spec in specs {
            stored.clear();
            stored.extend_from_slice(b"before");
            compressor.compress(&spec.parse().expect("allowed"), &data, &mut stored);
            assert!(stored.starts_with(b"before"), "what was there stays");
            out.clear();
            decompressor.decompress(&stored[6..], &mut out).expect(spec);
            assert!(out == data, "{spec} {}", data.len());
        }
    }
}

#[test]
fn random_data_hardly_grows() {
    let data = crate::codec::tests::generated("random", 200_000);
    for spec in [
        "none",
        "lz4",
        "zstd,1",
        "zstd,22",
        "lzma,0",
        "lzma,9",
        "auto,lzma",
    ] {
        assert_eq!(compress(spec, &data).len(), 200_002, "{spec}");
    }
    // zlib is never replaced by storing; stock Borg's adds 41 bytes or less to 100,000.
    for level in 0..10 {
        let len = compress(&format!("zlib,{level}"), &data).len();
        assert!(len <= 200_000 + 100, "zlib,{level}: {len}");
    }
}

/// With buffers grown once, compressing allocates nothing more: neither buffer ever moves again.
#[test]
fn buffers_are_reused() {
    let mut compressor = Compressor::new();
    let mut out = Vec::new();
    for spec in ["lz4", "zstd,3", "zlib,6", "auto,zstd,3"] {
        let (spec, mut seen) = (parse(spec), None);
        for _ in 0..3 {
            for data in samples().iter().rev() {
                out.clear();
                compressor.compress(&spec, data, &mut out);
            }
            let now = (out.capacity(), compressor.candidate.capacity());
            assert_eq!(*seen.get_or_insert(now), now);
        }
    }
}

/// All captured paddings were made with the same random number, which the largest of them gives
/// away.
#[test]
fn the_captured_paddings_are_computed() {
    let captured = vectors();
    let random = 3_494_860.5 / f64::from(1 << 23);
    for case in captured["obfuscate"].as_array().expect("a list") {
        let spec = case["spec"].as_str().expect("text");
        let Compression::Obfuscate(obfuscation, _) = parse(spec) else {
            panic!("{spec} obfuscates");
        };
        let number = |key: &str| {
            usize::try_from(case[key].as_u64().expect("a number")).expect("a small one")
        };
        let trailer = case["trailer"].as_str().expect("text");
        let (padding, _) = trailer.split_once(' ').expect("a number of zero bytes");
        assert_eq!(
            obfuscation.padding(number("inner_len"), random).to_string(),
            padding,
            "{spec}"
        );
        assert_eq!(
            number("total_len"),
            6 + number("inner_len") + padding.parse().unwrap_or(0)
        );

        let data = input(case["input"].as_str().expect("text"));
        let stored = compress(spec, &data);
        let prefix = from_hex(case["prefix"].as_str().expect("text"));
        assert!(stored.starts_with(&prefix), "{spec}");
        assert!(
            stored[prefix.len()..].iter().all(|byte| *byte == 0),
            "{spec}"
        );
        if case["trailer_len_is_random"] == false {
            assert_eq!(stored.len(), number("total_len"), "{spec}");
        }
    }
}

#[test]
fn the_captured_padme_sizes_are_computed() {
    let captured = vectors();
    let table = &captured["padme [compressed_size_incl_2_byte_header, padded_size]"];
    for row in table.as_array().expect("a list") {
        let number =
            |i: usize| usize::try_from(row[i].as_u64().expect("a number")).expect("a small one");
        assert_eq!(
            number(0) + Obfuscation::Padme.padding(number(0), 0.5),
            number(1)
        );
    }
    assert_eq!(Obfuscation::Padme.padding(0, 0.5), 0);
    assert_eq!(Obfuscation::Padme.padding(1, 0.5), 0);
}

#[test]
fn padding_never_makes_an_object_too_large() {
    use ironborg_types::limits::OBJECT_SIZE_MAX;
    for level in (1..=6).chain(110..=123).chain([250]) {
        let obfuscation = Obfuscation::from_level(level).expect("a level");
        assert_eq!(i64::from(obfuscation.level()), level);
        for len in [
            0,
            1,
            1000,
            20_000_000,
            OBJECT_SIZE_MAX - 1024,
            OBJECT_SIZE_MAX,
            1 << 27,
        ] {
            for random in [0.0, 0.5, 1.0 - f64::EPSILON] {
                let padded = len + obfuscation.padding(len, random);
                assert!(
                    padded <= (OBJECT_SIZE_MAX - 1024).max(len),
                    "{level} {len} {random}"
                );
            }
        }
    }
    for level in [-1, 0, 7, 109, 124, 249, 251, 506, i64::MAX] {
        assert_eq!(Obfuscation::from_level(level), None);
    }
}

#[test]
fn random_numbers_fill_their_range_and_differ_between_workers() {
    let (mut a, mut b) = (PaddingRandom::seeded(), PaddingRandom::seeded());
    let mut counts = [0; 10];
    let mut equal_count = 0;
    for _ in 0..10_000 {
        let (x, y) = (a.next(), b.next());
        assert!((0.0..1.0).contains(&x));
        let tenth = (0..10).rev().find(|tenth| x * 10.0 >= f64::from(*tenth));
        counts[usize::try_from(tenth.expect("not negative")).expect("one digit")] += 1;
        equal_count += usize::from(x.to_bits() == y.to_bits());
    }
    assert!(
        counts.iter().all(|count| (800..1200).contains(count)),
        "{counts:?}"
    );
    assert!(equal_count < 3);
}
