//! Tests of archive metadata.

use proptest::prelude::*;

use super::*;
use crate::golden::{shake, signed_documents};
use crate::tam::{TAM_KIND, find_tam};

#[test]
fn archives_are_the_bytes_borg_writes() {
    let golden = signed_documents("archive");
    assert_eq!(golden.len(), 4);
    for (signed, unsigned, salt) in golden {
        let archive = ArchiveMetadata::decode(&signed).expect("a golden archive");
        let tam = find_tam(&signed, Document::Archive)
            .expect("well-formed")
            .expect("there is one");
        assert_eq!((tam.kind, tam.salt), (TAM_KIND.as_bytes(), Some(&salt[..])));
        let hmac = tam.hmac.expect("a raw").try_into().expect("64 bytes");
        assert_eq!(archive.encode(Some(&TamFields::unsigned(&salt))), unsigned);
        assert_eq!(
            archive.encode(Some(&TamFields::signed(hmac, &salt))),
            signed
        );

        assert_eq!((&archive.name[..], archive.items.len()), (&b"arch"[..], 1));
        assert_eq!(archive.cmdline, [&b"borg"[..], b"create"]);
        assert_eq!(archive.start().map(|t| t.0), Ok(1_704_164_645_000_006));
        assert_eq!(archive.end().map(|t| t.0), Ok(1_704_164_645_500_006));
        let params = archive.chunker_params.as_deref().expect("given");
        assert_eq!(
            (params[0].as_raw(), params[4].as_u64()),
            (Some(&b"buzhash"[..]), Some(4095))
        );
        let bare = archive.encode(None);
        assert_eq!(find_tam(&bare, Document::Archive), Ok(None));
        assert_eq!(ArchiveMetadata::decode(&bare), Ok(archive));
    }
}

fn minimal() -> Vec<(Value<'static>, Value<'static>)> {
    vec![
        (Value::raw("cmdline"), Value::Array(vec![])),
        (Value::raw("items"), Value::Array(vec![])),
        (Value::raw("name"), Value::raw("a")),
        (Value::raw("time"), Value::raw("2016-01-02T03:04:05")),
        (Value::raw("version"), Value::Int(1)),
    ]
}

#[test]
fn archives_of_borg_1_0_have_less_and_keep_it_so() {
    let bytes = Value::Map(minimal()).to_bytes();
    let archive = ArchiveMetadata::decode(&bytes).expect("all that is required");
    assert_eq!(archive.end(), archive.start());
    assert_eq!(archive.encode(None), bytes);
}

#[test]
fn required_keys_are_required() {
    for at in 0..5 {
        let mut pairs = minimal();
        let (key, _) = pairs.remove(at);
        let bytes = Value::Map(pairs).to_bytes();
        match ArchiveMetadata::decode(&bytes) {
            Err(MetadataError::MissingKey { key: named, .. }) => {
                assert_eq!(Some(named.as_bytes()), key.as_raw());
            }
            other => panic!("{key:?}: {other:?}"),
        }
    }
}

#[test]
fn other_versions_are_refused() {
    let mut pairs = minimal();
    pairs[4].1 = Value::Int(2);
    let bytes = Value::Map(pairs).to_bytes();
    assert_eq!(
        ArchiveMetadata::decode(&bytes),
        Err(MetadataError::ArchiveVersion)
    );
}

#[test]
fn what_this_version_does_not_know_is_kept() {
    let mut pairs = minimal();
    pairs.push((Value::raw("recreate_source_id"), Value::raw([1; 32])));
    pairs.push((
        Value::raw("mood"),
        Value::Map(vec![(Value::raw("x"), Value::Nil)]),
    ));
    let mut tree = Value::Map(pairs);
    let archive = ArchiveMetadata::decode(&tree.to_bytes()).expect("an archive");
    assert_eq!(archive.unknown.len(), 2);
    tree.sort_maps();
    assert_eq!(archive.encode(None), tree.to_bytes());
}

#[test]
fn what_follows_the_map_is_ignored_as_stock_borg_ignores_it() {
    let mut bytes = Value::Map(minimal()).to_bytes();
    bytes.push(0xc0);
    assert!(ArchiveMetadata::decode(&bytes).is_ok());
}

#[test]
fn broken_archives_never_panic() {
    let (signed, _, _) = signed_documents("archive").swap_remove(0);
    shake(&signed, |bytes| {
        if let Ok(archive) = ArchiveMetadata::decode(bytes) {
            assert_eq!(ArchiveMetadata::decode(&archive.encode(None)), Ok(archive));
        }
    });
}

#[test]
fn archive_keys_are_sorted_and_all_accepted() {
    assert!(ARCHIVE_KEYS.is_sorted());
}

fn raw() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..50)
}

proptest! {
    #[test]
    fn archives_survive_a_round_trip(
        (name, comment, hostname, username, cwd) in
            (raw(), prop::option::of(raw()), prop::option::of(raw()), prop::option::of(raw()), prop::option::of(raw())),
        items in prop::collection::vec(any::<[u8; 32]>(), 0..40),
        (cmdline, recreate_cmdline) in
            (prop::collection::vec(raw(), 0..5), prop::option::of(prop::collection::vec(raw(), 0..5))),
        (time, time_end) in ("[ -~]{0,30}", prop::option::of("[ -~]{0,30}")),
        counts in any::<[Option<u64>; 6]>(),
        params in prop::option::of(prop::collection::vec(any::<i64>(), 0..6)),
    ) {
        let [size, csize, nfiles, size_parts, csize_parts, nfiles_parts] = counts;
        let archive = ArchiveMetadata {
            name, comment, hostname, username, cwd, cmdline, recreate_cmdline, time, time_end,
            items: items.into_iter().map(ChunkId).collect(),
            chunker_params: params.map(|p| p.into_iter().map(Value::Int).collect()),
            size, csize, nfiles, size_parts, csize_parts, nfiles_parts,
            unknown: UnknownEntries::new(),
        };
        prop_assert_eq!(ArchiveMetadata::decode(&archive.encode(None)), Ok(archive));
    }
}
