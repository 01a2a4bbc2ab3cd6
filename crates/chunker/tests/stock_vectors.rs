//! The cut points stock Borg made of generated inputs.
#![allow(clippy::unwrap_used, reason = "a test that meets a surprise fails")]

use ironborg_chunker::{Buzhash, Chunker, ChunkerParams, Extent, buzhash, fixed_blocks, is_zero};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/vectors/chunker.json"
    );
    let text = std::fs::read_to_string(path).expect("testdata is part of the project");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

/// The first `len` bytes of SHA256(label, 0), SHA256(label, 1), ...
fn generate(label: &str, len: usize) -> Vec<u8> {
    let blocks = (0_u64..).flat_map(|n| {
        let mut hash = Sha256::new();
        hash.update(label.as_bytes());
        hash.update(n.to_be_bytes());
        let block: [u8; 32] = hash.finalize().into();
        block
    });
    blocks.take(len).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn hex_number(value: &Value) -> u32 {
    u32::from_str_radix(value.as_str().unwrap(), 16).unwrap()
}

/// Seeds are written signed or unsigned.
fn seed(value: &Value) -> u32 {
    let seed = value.as_i64().unwrap();
    u32::try_from(seed.rem_euclid(1 << 32)).unwrap()
}

fn input(spec: &Value) -> Vec<u8> {
    match spec[0].as_str().unwrap() {
        "gen" => generate(spec[1].as_str().unwrap(), number(&spec[2])),
        "zeros" => vec![0; number(&spec[1])],
        "repeat" => {
            let unit = unhex(spec[1].as_str().unwrap());
            unit.into_iter().cycle().take(number(&spec[2])).collect()
        }
        "concat" => spec[1].as_array().unwrap().iter().flat_map(input).collect(),
        other => panic!("unknown kind of input: {other}"),
    }
}

fn params(value: &Value) -> ChunkerParams {
    let text: Vec<String> = value
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field.to_string().replace('"', ""))
        .collect();
    text.join(",").parse().unwrap()
}

/// Cuts `input`, handed over in reads of at most `read_len` bytes.
fn cut(params: ChunkerParams, seed: u32, input: &[u8], read_len: usize) -> Vec<Vec<u8>> {
    let mut chunker = Chunker::new(params, seed).unwrap();
    let (mut chunks, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        let eof = end == input.len();
        match chunker.next_cut(&input[start..end], eof) {
            Some(len) => {
                chunks.push(input[start..start + len].to_vec());
                start += len;
            }
            None if eof => return chunks,
            None => {
                assert!(end - start < chunker.buffer_len());
                end = (end + read_len).min(input.len());
            }
        }
    }
}

#[test]
fn the_hash_is_borgs() {
    let vectors = vectors();
    for case in vectors["buzhash"].as_array().unwrap() {
        let data = match &case["data"] {
            Value::String(hex) => unhex(hex),
            spec if spec["gen"] == "zeros" => vec![0; number(&spec["len"])],
            spec => generate(spec["gen"].as_str().unwrap(), number(&spec["len"])),
        };
        assert_eq!(
            buzhash(&data, seed(&case["seed"])),
            hex_number(&case["hash"])
        );
        let hash = Buzhash::new(seed(&case["seed"]), data.len());
        assert_eq!(hash.hash(&data), hex_number(&case["hash"]));
    }
    for case in vectors["buzhash_update"].as_array().unwrap() {
        let byte = |name: &str| u8::try_from(number(&case[name])).unwrap();
        let hash = Buzhash::new(seed(&case["seed"]), number(&case["window"]));
        let updated = hash.update(hex_number(&case["sum"]), byte("remove"), byte("add"));
        assert_eq!(updated, hex_number(&case["result"]), "{case}");
    }
}

#[test]
fn content_defined_cuts_are_borgs_however_the_stream_is_sliced() {
    let vectors = vectors();
    for case in vectors["content_defined"].as_array().unwrap() {
        let input = input(&case["input"]);
        let expected: Vec<usize> = case["sizes"]
            .as_array()
            .unwrap()
            .iter()
            .map(number)
            .collect();
        for read_len in [usize::MAX / 2, 1 << 20, 65536, 10_007] {
            let chunks = cut(
                params(&case["params"]),
                seed(&case["seed"]),
                &input,
                read_len,
            );
            let lens: Vec<usize> = chunks.iter().map(Vec::len).collect();
            assert_eq!(lens, expected, "{} {}", case["params"], case["input"]);
            assert!(chunks.concat() == input);
            if let Some(zero_indexes) = case["alloc_chunk_indexes"].as_array() {
                let zero: Vec<usize> = (0..chunks.len()).filter(|&n| is_zero(&chunks[n])).collect();
                assert_eq!(zero, zero_indexes.iter().map(number).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn fixed_blocks_are_borgs() {
    let vectors = vectors();
    for case in vectors["fixed"].as_array().unwrap() {
        if case["sparse"] == true {
            check_sparse(case);
            continue;
        }
        let input = input(&case["input"]);
        for read_len in [usize::MAX / 2, 4096, 100] {
            let chunks = cut(params(&case["params"]), 0, &input, read_len);
            let expected = case["chunks"].as_array().unwrap();
            assert_eq!(chunks.len(), expected.len());
            for (chunk, expected) in chunks.iter().zip(expected) {
                assert_eq!(chunk.len(), number(&expected[0]));
                assert_eq!(is_zero(chunk), expected[1] == "alloc");
            }
            assert_eq!(chunks.concat(), input);
        }
    }
}

fn check_sparse(case: &Value) {
    let ChunkerParams::Fixed { block, header } = params(&case["params"]) else {
        panic!("sparse maps are for fixed blocks");
    };
    let map: Vec<Extent> = case["sparsemap(start,len,is_data)"]
        .as_array()
        .unwrap()
        .iter()
        .map(|extent| Extent {
            offset: number(&extent[0]) as u64,
            len: number(&extent[1]) as u64,
            is_data: extent[2].as_bool().unwrap(),
        })
        .collect();
    let expected: Vec<(usize, bool)> = case["chunks_run_length [[size,alloc],count]"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|run| {
            let block = (number(&run[0][0]), run[0][1] != "hole");
            std::iter::repeat_n(block, number(&run[1]))
        })
        .collect();
    let blocks: Vec<(usize, bool)> = fixed_blocks(block, header, &map)
        .map(|block| (block.len, block.is_data))
        .collect();
    assert_eq!(blocks, expected, "{}", case["params"]);
}
