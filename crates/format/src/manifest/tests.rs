//! Tests of the manifest.

use proptest::prelude::*;

use super::*;
use crate::golden::{shake, signed_documents};
use crate::tam::{TAM_KIND, find_tam};

#[test]
fn manifests_are_the_bytes_borg_writes() {
    let golden = signed_documents("manifest");
    assert_eq!(golden.len(), 4);
    for (signed, unsigned, salt) in golden {
        let manifest = Manifest::decode(&signed).expect("a golden manifest");
        let tam = find_tam(&signed, Document::Manifest)
            .expect("well-formed")
            .expect("there is one");
        assert_eq!((tam.kind, tam.salt), (TAM_KIND.as_bytes(), Some(&salt[..])));
        let hmac = tam.hmac.expect("a raw").try_into().expect("64 bytes");
        assert_eq!(manifest.encode(Some(&TamFields::unsigned(&salt))), unsigned);
        assert_eq!(
            manifest.encode(Some(&TamFields::signed(hmac, &salt))),
            signed
        );

        assert!(manifest.requires_tam());
        assert_eq!(
            manifest.archives[&b"arch"[..]].time,
            "2024-01-02T03:04:05.000006"
        );
        assert_eq!(
            manifest.timestamp.as_deref(),
            Some("2024-01-02T03:04:06.000007")
        );
        assert_eq!(manifest.item_keys, [&b"acl_access"[..], b"path", b"mtime"]);
        let bare = manifest.encode(None);
        assert_eq!(find_tam(&bare, Document::Manifest), Ok(None));
        assert_eq!(Manifest::decode(&bare), Ok(manifest));
    }
}

fn manifest_value(extra: Vec<(&str, Value<'static>)>) -> Vec<u8> {
    let mut pairs = vec![
        (Value::raw("archives"), Value::Map(vec![])),
        (Value::raw("config"), Value::Map(vec![])),
        (Value::raw("version"), Value::Int(1)),
    ];
    for (key, value) in extra {
        pairs.push((Value::raw(key), value));
    }
    Value::Map(pairs).to_bytes()
}

#[test]
fn only_versions_1_and_2_are_read() {
    assert!(Manifest::decode(&manifest_value(vec![])).is_ok());
    assert!(Manifest::decode(&manifest_value(vec![("version", Value::Int(2))])).is_ok());
    for version in [Value::Int(3), Value::raw("1"), Value::Nil] {
        let bytes = manifest_value(vec![("version", version)]);
        assert_eq!(
            Manifest::decode(&bytes),
            Err(MetadataError::ManifestVersion)
        );
    }
    let future = [&[0xc1; 4][..], b"anything"].concat();
    assert_eq!(
        Manifest::decode(&future),
        Err(MetadataError::UnsupportedManifest)
    );
}

#[test]
fn what_a_newer_version_added_is_kept_and_sorted() {
    let newer = Value::Map(vec![
        (Value::raw("time"), Value::raw("2024-01-02T03:04:05")),
        (Value::raw("id"), Value::raw([7; 32])),
        (Value::raw("host"), Value::raw("h")),
    ]);
    let bytes = manifest_value(vec![
        (
            "zeta",
            Value::Map(vec![
                (Value::raw("b"), Value::Nil),
                (Value::raw("a"), Value::Nil),
            ]),
        ),
        ("archives", Value::Map(vec![(Value::raw([0xff]), newer)])),
        (
            "config",
            Value::Map(vec![(Value::raw("quux"), Value::Int(3))]),
        ),
        ("item_keys", Value::Array(vec![])),
    ]);
    let manifest = Manifest::decode(&bytes).expect("a manifest");
    let entry = &manifest.archives[&[0xff][..]];
    assert_eq!(entry.timestamp(), Ok(Timestamp(1_704_164_645_000_000)));
    let mut expected = Value::decode(&bytes).expect("one value");
    expected.sort_maps();
    assert_eq!(Value::decode(&manifest.encode(None)), Ok(expected));
}

#[test]
fn the_timestamp_only_grows() {
    let mut manifest = Manifest::new();
    let noon = Timestamp(1_704_164_645_000_000);
    manifest.stamp(noon, false).expect("within limits");
    assert_eq!(manifest.last_timestamp(), Ok(Some(noon)));
    manifest
        .stamp(Timestamp(noon.0 - 5), false)
        .expect("within limits");
    assert_eq!(manifest.last_timestamp(), Ok(Some(Timestamp(noon.0 + 1))));
    assert!(!manifest.requires_tam());
    manifest
        .stamp(Timestamp(noon.0 + 9), true)
        .expect("within limits");
    assert_eq!(manifest.last_timestamp(), Ok(Some(Timestamp(noon.0 + 9))));
    assert!(manifest.requires_tam());
    assert_eq!(manifest.item_keys.len(), ITEM_KEYS.len());
    manifest.timestamp = Some("yesterday".to_owned());
    let invalid = MetadataError::InvalidTime {
        document: Document::Manifest,
        key: "timestamp",
    };
    assert_eq!(manifest.stamp(noon, false), Err(invalid));
}

#[test]
fn item_keys_of_the_repository_stay_known() {
    let mut manifest = Manifest::new();
    manifest.item_keys = vec![b"novel".to_vec(), b"path".to_vec()];
    manifest.stamp(Timestamp(0), false).expect("within limits");
    assert_eq!(manifest.item_keys.len(), ITEM_KEYS.len() + 1);
    assert!(manifest.item_keys.is_sorted());
}

#[test]
fn what_stock_borg_would_not_read_is_not_stamped() {
    let entry = ArchiveEntry::new(ArchiveId([1; 32]), Timestamp(0));
    let mut manifest = Manifest::new();
    // Characters count, not bytes; undecodable bytes one each.
    manifest
        .archives
        .insert("\u{e4}".repeat(255).into_bytes(), entry.clone());
    manifest.archives.insert(vec![0xff; 255], entry.clone());
    assert_eq!(manifest.stamp(Timestamp(0), false), Ok(()));
    manifest.archives.insert(vec![b'n'; 256], entry);
    assert!(matches!(
        manifest.stamp(Timestamp(0), false),
        Err(MetadataError::Limit { .. })
    ));
}

#[test]
fn mandatory_features_are_found_per_operation() {
    let flags = |mandatory: Value<'static>| {
        let requirements = Value::Map(vec![(Value::raw("mandatory"), mandatory)]);
        let flags = Value::Map(vec![(Value::raw("write"), requirements)]);
        manifest_value(vec![(
            "config",
            Value::Map(vec![(Value::raw("feature_flags"), flags)]),
        )])
    };
    let names = Value::Array(vec![Value::raw("zip"), Value::raw("teleport")]);
    let manifest = Manifest::decode(&flags(names)).expect("a manifest");
    let write = manifest.mandatory_features(Operation::Write);
    assert_eq!(write, Ok(vec!["teleport".to_owned(), "zip".to_owned()]));
    assert_eq!(manifest.mandatory_features(Operation::Read), Ok(vec![]));
    let manifest = Manifest::decode(&flags(Value::Int(1))).expect("a manifest");
    assert!(manifest.mandatory_features(Operation::Write).is_err());
    assert_eq!(
        Manifest::new().mandatory_features(Operation::Check),
        Ok(vec![])
    );
}

#[test]
fn a_tam_that_is_no_map_is_told_apart_from_none() {
    let found = |tam| {
        let bytes = manifest_value(vec![("tam", tam)]);
        find_tam(&bytes, Document::Manifest).map(|tam| tam.map(|tam| tam.kind.to_vec()))
    };
    let no_map = MetadataError::TamNotAMap {
        document: Document::Manifest,
    };
    assert_eq!(found(Value::Nil), Err(no_map));
    assert_eq!(found(Value::Map(vec![])), Ok(Some(b"<none>".to_vec())));
    let other = Value::Map(vec![(Value::raw("type"), Value::raw("ROT13"))]);
    assert_eq!(found(other), Ok(Some(b"ROT13".to_vec())));
}

#[test]
fn broken_manifests_never_panic() {
    let (signed, _, _) = signed_documents("manifest").swap_remove(0);
    shake(&signed, |bytes| {
        if let Ok(manifest) = Manifest::decode(bytes) {
            assert_eq!(Manifest::decode(&manifest.encode(None)), Ok(manifest));
        }
        // Found or refused; both are fine.
        let _ = find_tam(bytes, Document::Manifest);
    });
}

proptest! {
    #[test]
    fn manifests_survive_a_round_trip(
        archives in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 0..40),
            (any::<[u8; 32]>(), "[ -~]{0,40}"),
            0..20,
        ),
        timestamp in prop::option::of("[ -~]{0,40}"),
        flags in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..9), any::<i64>(), 0..5),
        item_keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..5),
    ) {
        let entry = |(id, time)| ArchiveEntry { id: ArchiveId(id), time, unknown: UnknownEntries::new() };
        let manifest = Manifest {
            archives: archives.into_iter().map(|(name, fields)| (name, entry(fields))).collect(),
            timestamp,
            config: flags.into_iter().map(|(key, n)| (key, Value::Int(n))).collect(),
            item_keys,
            unknown: UnknownEntries::new(),
        };
        prop_assert_eq!(Manifest::decode(&manifest.encode(None)), Ok(manifest));
    }
}
