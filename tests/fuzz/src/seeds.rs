//! Inputs to start from: what stock Borg wrote, as far as it is small, and what exercises rare branches.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironborg_crypto::{KeyMode, Nonces};
use ironborg_object::Sealer;
use ironborg_types::{NonceStore, NonceStoreError};
use serde_json::Value;

use crate::objects::{MODES, key_of, plaintext_key};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The vectors of one file. Lone surrogates, which are no JSON, become question marks.
fn vectors(name: &str) -> Value {
    let path = top().join("testdata/vectors").join(name);
    let text = std::fs::read_to_string(path).expect("the vectors are part of the source tree");
    serde_json::from_str(&text.replace("\\udc", "\\u00")).expect("the vectors are JSON")
}

/// Metadata with one ending that stock Borg wrote.
fn golden(ending: &str) -> Vec<Vec<u8>> {
    let dir = top().join("crates/format/tests/golden");
    let entries = std::fs::read_dir(dir).expect("part of the source tree");
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    paths.sort();
    let read = |path| std::fs::read(path).expect("a readable file");
    paths.into_iter().map(read).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

/// Every string in a JSON tree that stands under `key`, or all of them.
fn strings<'a>(tree: &'a Value, key: Option<&str>, found: &mut Vec<&'a str>) {
    match tree {
        Value::Object(map) => {
            for (k, value) in map {
                match value {
                    Value::String(text) if key.is_none_or(|key| k == key) => found.push(text),
                    other => strings(other, key, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| match value {
            Value::String(text) if key.is_none() => found.push(text),
            other => strings(other, key, found),
        }),
        _ => {}
    }
}

/// The hexadecimal strings under `key` of one file of vectors.
fn hex_vectors(name: &str, key: &str) -> Vec<Vec<u8>> {
    let tree = vectors(name);
    let mut found = Vec::new();
    strings(&tree, Some(key), &mut found);
    found.into_iter().filter_map(unhex).collect()
}

/// All strings of one section of a file of vectors.
fn text_vectors(name: &str, section: &str) -> Vec<Vec<u8>> {
    let tree = vectors(name);
    let section = tree.as_object().and_then(|map| {
        let mut sections = map.iter();
        sections.find(|(key, _)| key.starts_with(section))
    });
    let mut found = Vec::new();
    strings(section.expect("the section is there").1, None, &mut found);
    found
        .into_iter()
        .map(|text| text.as_bytes().to_vec())
        .collect()
}

pub(crate) fn msgpack() -> Vec<Vec<u8>> {
    let mut seeds = hex_vectors("items.json", "hex");
    seeds.extend(hex_vectors("items.json", "msgpack"));
    seeds.push(vec![0xdf, 0, 0, 0, 1, 0xc4, 1, 0, 0xd4, 1, 2]);
    seeds
}

pub(crate) fn item_stream() -> Vec<Vec<u8>> {
    let mut streams = hex_vectors("items.json", "msgpack");
    streams.push(streams.concat());
    streams.extend(
        golden("items")
            .into_iter()
            .filter(|items| items.len() < 2000),
    );
    let in_pieces = |stream: &Vec<u8>| [&[50][..], stream].concat();
    streams.iter().map(in_pieces).collect()
}

pub(crate) fn manifest() -> Vec<Vec<u8>> {
    golden("manifest")
}

pub(crate) fn archive() -> Vec<Vec<u8>> {
    golden("archive")
}

pub(crate) fn key() -> Vec<Vec<u8>> {
    let tree = vectors("keyblobs.json");
    let mut seeds = hex_vectors("keyblobs.json", "key_msgpack");
    seeds.extend(hex_vectors("keyblobs.json", "blob_msgpack"));
    let mut texts = Vec::new();
    strings(&tree, Some("text_form"), &mut texts);
    strings(&tree, Some("key_file_content"), &mut texts);
    seeds.extend(texts.into_iter().map(|text| text.as_bytes().to_vec()));
    seeds
}

pub(crate) fn segment() -> Vec<Vec<u8>> {
    let mut seeds = hex_vectors("segment_entries.json", "entry");
    seeds.retain(|entry| entry.len() < 2000);
    seeds.push(seeds.concat());
    seeds
}

/// A small index with a collision, a deleted entry and an empty bucket.
pub(crate) fn hashindex() -> Vec<Vec<u8>> {
    let mut index = b"BORG_IDX\x02\0\0\0\x04\0\0\0\x20\x08".to_vec();
    for (key, segment) in [(0_u8, 7_u32), (4, 9), (1, u32::MAX - 1), (0, u32::MAX)] {
        index.push(key);
        index.extend_from_slice(&[0; 31]);
        index.extend_from_slice(&segment.to_le_bytes());
        index.extend_from_slice(&8_u32.to_le_bytes());
    }
    let mut one = b"BORG_IDX\x01\0\0\0\x01\0\0\0\x20\x08".to_vec();
    one.extend_from_slice(&[5; 40]);
    vec![index, one]
}

pub(crate) fn hints() -> Vec<Vec<u8>> {
    repository_files("hints.")
}

pub(crate) fn integrity() -> Vec<Vec<u8>> {
    let mut seeds = repository_files("integrity.");
    let tree = vectors("integrity.json");
    let mut texts = Vec::new();
    strings(&tree, Some("integrity_data"), &mut texts);
    seeds.extend(texts.into_iter().map(|text| text.as_bytes().to_vec()));
    seeds
}

/// Files of the vectors' repositories whose names begin with `prefix`.
fn repository_files(prefix: &str) -> Vec<Vec<u8>> {
    let tree = vectors("repository.json");
    let repositories = tree["repos"].as_array().expect("a list").iter();
    let files = repositories.flat_map(|repository| repository["files"].as_object().expect("files"));
    let wanted = files.filter(|(name, _)| name.starts_with(prefix));
    let seeds: Vec<_> = wanted
        .filter_map(|(_, file)| unhex(file["hex"].as_str()?))
        .collect();
    assert!(!seeds.is_empty(), "{prefix}");
    seeds
}

pub(crate) fn config() -> Vec<Vec<u8>> {
    let tree = vectors("repository.json");
    let mut texts = Vec::new();
    strings(&tree, Some("config"), &mut texts);
    let mut seeds: Vec<_> = texts
        .into_iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    seeds.push(
        b"; note\n[repository]\nKey: a\n\tb\n\n# x\n[other]\nempty =\n= none\nbare\n".to_vec(),
    );
    seeds.extend([&b"500M"[..], b"-1", b"1.5T", b"yes"].map(<[u8]>::to_vec));
    seeds
}

pub(crate) fn roster() -> Vec<Vec<u8>> {
    [
        &br#"{"shared": [["host.example.org@1", 4711, 0]], "exclusive": [["h@2", 1, 0]]}"#[..],
        b"{}",
        b"host.example.org@1.4711-0",
        b"h.1-fF",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// One object of each key mode and compressor, found under its right id.
pub(crate) fn object() -> Vec<Vec<u8>> {
    let chunk = b"The quick brown fox jumps over the lazy dog. ".repeat(20);
    let mut seeds = Vec::new();
    for (selector, mode) in MODES.iter().map(Some).chain([None]).enumerate() {
        let key = mode.map_or_else(plaintext_key, |mode| key_of(*mode));
        for spec in [
            "none",
            "lz4",
            "zstd,3",
            "zlib,1",
            "lzma,0",
            "obfuscate,250,lz4",
        ] {
            let mut sealer = Sealer::new(spec.parse().expect("a valid specification"));
            let nonces = Nonces::new(Arc::new(FirstNonces), Arc::new(FirstNonces), None);
            let mut object = Vec::new();
            sealer
                .seal(&key, &nonces, &chunk, &mut object)
                .expect("a short chunk");
            let mut seed = vec![u8::try_from(selector).expect("few modes")];
            seed.extend_from_slice(key.id_hash(&chunk).as_bytes());
            seed.extend_from_slice(&object);
            seeds.push(seed);
        }
    }
    seeds
}

/// Nobody has encrypted anything before, and nobody will later.
struct FirstNonces;

impl NonceStore for FirstNonces {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        Ok(None)
    }

    fn reserve(&self, _next: u64, _expected: Option<u64>) -> Result<(), NonceStoreError> {
        Ok(())
    }
}

pub(crate) fn stored_form() -> Vec<Vec<u8>> {
    let mut seeds = hex_vectors("compression.json", "stored");
    seeds.extend(hex_vectors("compression.json", "prefix"));
    seeds.retain(|stored| stored.len() < 3000);
    assert!(seeds.len() > 10);
    seeds
}

pub(crate) fn patterns() -> Vec<Vec<u8>> {
    let mut seeds = text_vectors("patterns.json", "pattern_command_lines");
    let tree = vectors("patterns.json");
    let mut found = Vec::new();
    strings(&tree["matcher"], None, &mut found);
    let lines = found.iter().map(|line| line.as_bytes().to_vec());
    seeds.extend(lines);
    let with_path = |line: Vec<u8>| [b"home/user/.cache/x\n", &line[..]].concat();
    let mut seeds: Vec<_> = seeds.into_iter().map(with_path).collect();
    seeds.push(
        b"a/b\nP re\n- (?P<x>a|b)+(?=c)\\d{2,3}[^z]*?$\n! sh:**/x?[!a-c]/\n+ fm:*x*\n".to_vec(),
    );
    seeds
}

/// The replies of the recorded sessions with stock Borg's server.
pub(crate) fn recorded_replies() -> Vec<Vec<u8>> {
    let tree = vectors("rpc.json");
    let mut found = Vec::new();
    strings(&tree, Some("response_hex"), &mut found);
    found.into_iter().filter_map(unhex).collect()
}

pub(crate) fn location() -> Vec<Vec<u8>> {
    text_vectors("strings.json", "locations")
}

pub(crate) fn parameters() -> Vec<Vec<u8>> {
    let mut seeds = text_vectors("strings.json", "chunker_params");
    seeds.extend(text_vectors("compression.json", "spec_parsing"));
    seeds.push(b"2024-01-02T03:04:05.123456".to_vec());
    seeds
}

pub(crate) fn paths() -> Vec<Vec<u8>> {
    let mut seeds = text_vectors("strings.json", "make_path_safe");
    seeds.extend(text_vectors("strings.json", "slashdot"));
    seeds
}

/// The mode the first seeds of [`object`] are for; keeps the table and the seeds in step.
const _: () = assert!(matches!(MODES[0], KeyMode::Repokey));
