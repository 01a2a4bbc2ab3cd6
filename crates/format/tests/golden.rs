//! Plaintext of manifests, archives and item streams that stock Borg 1.0 to 1.4 wrote.
//!
//! `tests/golden/SAMPLE.manifest`, `SAMPLE.ARCHIVE.archive` and `SAMPLE.ARCHIVE.items` are the decrypted
//! objects of the repositories in `testdata/samples`, got with stock Borg 1.4.5:
//! `key_factory(repository, manifest).decrypt(id, repository.get(id))`, item chunks concatenated.

use std::path::PathBuf;

use ironborg_format::msgpack::Value;
use ironborg_format::tam::{TAM_HMAC_LEN, TAM_KIND};
use ironborg_format::{
    ArchiveMetadata, Document, Item, ItemDecoder, Manifest, Operation, TamFields, find_tam,
};

/// Name and content of all files with one ending.
fn golden(ending: &str) -> Vec<(String, Vec<u8>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("part of the source tree") {
        let path = entry.expect("readable").path();
        if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            files.push((name, std::fs::read(path).expect("readable")));
        }
    }
    assert!(files.len() > 4, "{ending}");
    files
}

/// Encodes with the authentication the bytes came with.
fn encode_again(
    bytes: &[u8],
    document: Document,
    encode: impl Fn(Option<&TamFields<'_>>) -> Vec<u8>,
) -> Vec<u8> {
    let Some(tam) = find_tam(bytes, document).expect("well-formed") else {
        return encode(None);
    };
    assert_eq!(tam.kind, TAM_KIND.as_bytes());
    let hmac: [u8; TAM_HMAC_LEN] = tam.hmac.expect("a raw").try_into().expect("64 bytes");
    encode(Some(&TamFields::signed(hmac, tam.salt.expect("a raw"))))
}

#[test]
fn manifests_of_all_versions_come_out_as_they_went_in() {
    for (name, bytes) in golden("manifest") {
        let manifest = Manifest::decode(&bytes).expect(&name);
        let again = encode_again(&bytes, Document::Manifest, |tam| manifest.encode(tam));
        assert_eq!(Value::decode(&again), Value::decode(&bytes), "{name}");
        assert_eq!(again, bytes, "{name}");
        assert!(
            manifest.last_timestamp().expect("a time").is_some(),
            "{name}"
        );
        for entry in manifest.archives.values() {
            entry.timestamp().expect("a time");
        }
        let mandatory = manifest
            .mandatory_features(Operation::Write)
            .expect("well-formed");
        assert_eq!(mandatory.is_empty(), name != "feature-flags", "{name}");
    }
}

#[test]
fn archives_of_all_versions_come_out_as_they_went_in() {
    for (name, bytes) in golden("archive") {
        let archive = ArchiveMetadata::decode(&bytes).expect(&name);
        let again = encode_again(&bytes, Document::Archive, |tam| archive.encode(tam));
        assert_eq!(again, bytes, "{name}");
        assert!(archive.unknown.is_empty(), "{name}");
        assert!(
            archive.start().expect("a time") <= archive.end().expect("a time"),
            "{name}"
        );
    }
}

#[test]
fn items_of_all_versions_come_out_as_they_went_in() {
    for (name, bytes) in golden("items") {
        let mut decoder = ItemDecoder::new();
        decoder.push(&bytes);
        let (mut item, mut again, mut count) = (Item::default(), Vec::new(), 0);
        while decoder.next_into(&mut item).expect(&name) {
            item.encode(&mut again);
            assert!(item.unknown.is_empty(), "{name}: {item:?}");
            count += 1;
        }
        decoder.finish().expect(&name);
        assert_eq!(again, bytes, "{name}");
        assert!(count > 0, "{name}");
        if name.contains(".rich") {
            assert!(count > 20, "{name}: {count}");
        }
    }
}
