//! Authentication against captured metadata, and every way in which it can be missing or wrong.

use super::*;
use crate::tests::vectors;
use ironborg_format::msgpack::Value;
use ironborg_types::ErrorKind;

fn context(case: &serde_json::Value) -> TamContext {
    match vectors::text(case, "context") {
        "manifest" => TamContext::Manifest,
        "archive" => TamContext::Archive,
        other => panic!("unknown context {other}"),
    }
}

/// Packs `metadata` with the entry, for [`sign`].
fn pack(metadata: &[(&str, &str)], tam: Option<&TamFields<'_>>) -> Vec<u8> {
    let raw = |bytes: &[u8]| Value::raw(bytes);
    let mut map: Vec<_> = metadata
        .iter()
        .map(|(k, v)| (raw(k.as_bytes()), raw(v.as_bytes())))
        .collect();
    if let Some(tam) = tam {
        let entry = vec![
            (raw(b"hmac"), raw(&tam.hmac)),
            (raw(b"salt"), raw(tam.salt)),
            (raw(b"type"), raw(tam.kind.as_bytes())),
        ];
        map.push((raw(b"tam"), Value::Map(entry)));
    }
    Value::Map(map).to_bytes()
}

fn verify_as(
    context: TamContext,
    key: &Key,
    packed: &[u8],
    demand: TamDemand,
) -> Result<Authentication, CryptoError> {
    match context {
        TamContext::Manifest => verify_manifest(key, packed, demand),
        TamContext::Archive => verify_archive(key, packed, demand),
    }
}

#[test]
fn captured_metadata_verifies_and_is_signed_again_to_the_same_bytes() {
    let captured = vectors::load("tam");
    let cases = vectors::list(&captured, "cases");
    assert_eq!(cases.len(), 8);
    for case in cases {
        let (context, key) = (context(case), vectors::key(vectors::mode(case, "mode")));
        let salt = vectors::bytes(case, "salt");
        assert_eq!(
            tam_key(&key, context, &salt).as_slice(),
            vectors::bytes(case, "tam_key")
        );
        let packed = vectors::bytes(case, "packed_with_tam");
        let verified = Ok(Authentication::Verified { salt: salt.clone() });
        assert_eq!(
            verify_as(context, &key, &packed, TamDemand::Required),
            verified
        );
        assert_eq!(case["id_hash_of_packed"], key.id_hash(&packed).to_string());

        let unsigned = vectors::bytes(case, "packed_with_zeroed_hmac");
        let zeros = [0; TAM_HMAC_LEN];
        let at = unsigned
            .windows(64)
            .position(|w| w == zeros)
            .expect("the HMAC's place");
        let signed = sign(&key, context, &salt, |tam| {
            [&unsigned[..at], &tam.hmac, &unsigned[at + TAM_HMAC_LEN..]].concat()
        });
        assert_eq!(signed, Ok(packed.clone()));

        let other = match context {
            TamContext::Manifest => TamContext::Archive,
            TamContext::Archive => TamContext::Manifest,
        };
        let swapped = verify_as(other, &key, &packed, TamDemand::Optional);
        assert_eq!(
            swapped,
            Err(other.invalid()),
            "one role cannot stand in for the other"
        );
    }
}

#[test]
fn captured_key_derivations_agree() {
    let captured = vectors::load("tam");
    for case in vectors::list(&captured, "hkdf_hmac_sha512") {
        let salt = case["salt"]
            .is_string()
            .then(|| vectors::bytes(case, "salt"));
        let expected = vectors::bytes(case, "okm");
        let mut derived = vec![0; expected.len()];
        Hkdf::<Sha512>::new(salt.as_deref(), &vectors::bytes(case, "ikm"))
            .expand(&vectors::bytes(case, "info"), &mut derived)
            .expect("short enough");
        assert_eq!(derived, expected);
    }
}

#[test]
fn any_changed_bit_is_noticed() {
    let key = vectors::key(KeyMode::RepokeyBlake2);
    let salt = [5; 64];
    let metadata = [("archives", "none"), ("version", "1")];
    let packed = sign(&key, TamContext::Manifest, &salt, |tam| {
        pack(&metadata, Some(tam))
    });
    let packed = packed.expect("has secrets");
    assert!(verify_manifest(&key, &packed, TamDemand::Optional).is_ok_and(|a| a.is_verified()));
    for bit in 0..8 * packed.len() {
        let mut flipped = packed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = verify_manifest(&key, &flipped, TamDemand::Required);
        assert!(outcome.is_err(), "bit {bit}: {outcome:?}");
    }
    for len in 0..packed.len() {
        assert!(
            verify_manifest(&key, &packed[..len], TamDemand::Optional).is_err(),
            "{len}"
        );
    }
    let stranger = Key::generate(
        KeyMode::RepokeyBlake2,
        ironborg_types::RepositoryId([0; 32]),
    );
    let refused = verify_manifest(&stranger.expect("random"), &packed, TamDemand::Optional);
    assert_eq!(refused, Err(CryptoError::TamInvalid));
}

#[test]
fn missing_or_foreign_authentication_passes_only_where_none_is_demanded() {
    let key = vectors::key(KeyMode::Repokey);
    let missing = pack(&[("name", "caf\u{e9}"), ("version", "1")], None);
    let kind = "MD5";
    let foreign = pack(
        &[],
        Some(&TamFields {
            hmac: [1; 64],
            salt: &[2; 64],
            kind,
        }),
    );
    for packed in [&missing, &foreign] {
        for context in [TamContext::Manifest, TamContext::Archive] {
            let outcome = verify_as(context, &key, packed, TamDemand::Optional);
            assert_eq!(outcome, Ok(Authentication::Unauthenticated));
        }
    }
    let message = |context, packed| {
        verify_as(context, &key, packed, TamDemand::Required)
            .map(|_| ())
            .map_err(|error| (error.kind(), error.to_string()))
    };
    assert_eq!(
        message(TamContext::Manifest, &missing),
        Err((
            ErrorKind::TAMRequiredError,
            "Manifest is unauthenticated, but it is required for this repository.".to_owned()
        ))
    );
    assert_eq!(
        message(TamContext::Archive, &missing),
        Err((
            ErrorKind::ArchiveTAMRequiredError,
            "Archive 'caf\u{fffd}\u{fffd}' is unauthenticated, but it is required for this \
             repository."
                .to_owned()
        ))
    );
    assert_eq!(
        message(TamContext::Manifest, &foreign),
        Err((
            ErrorKind::TAMUnsupportedSuiteError,
            "Could not verify manifest: Unsupported suite \"'MD5'\"; a newer version is needed."
                .to_owned()
        ))
    );
}

#[test]
fn malformed_entries_are_invalid_whatever_is_demanded() {
    let key = vectors::key(KeyMode::Repokey);
    let tam = |value: Value<'static>| Value::Map(vec![(Value::raw(*b"tam"), value)]).to_bytes();
    let entry = |fields: &[(&[u8], Value<'static>)]| {
        let fields = fields
            .iter()
            .map(|(k, v)| (Value::raw(*k), v.clone()))
            .collect();
        tam(Value::Map(fields))
    };
    let kind = || (b"type".as_slice(), Value::raw(TAM_KIND));
    for packed in [
        tam(Value::Int(1)),
        entry(&[kind()]),
        entry(&[
            kind(),
            (b"hmac", Value::raw([1; 64])),
            (b"salt", Value::Int(1)),
        ]),
        entry(&[kind(), (b"hmac", Value::raw([])), (b"salt", Value::raw([]))]),
        entry(&[
            kind(),
            (b"hmac", Value::raw([1; 63])),
            (b"salt", Value::raw([2; 64])),
        ]),
        entry(&[
            kind(),
            (b"hmac", Value::raw([1; 65])),
            (b"salt", Value::raw([2; 64])),
        ]),
        entry(&[(b"type", Value::Int(7))]),
    ] {
        for demand in [TamDemand::Optional, TamDemand::Required] {
            assert_eq!(
                verify_manifest(&key, &packed, demand),
                Err(CryptoError::TamInvalid)
            );
            let archive = verify_archive(&key, &packed, demand);
            assert_eq!(archive, Err(CryptoError::ArchiveTamInvalid));
        }
    }
    let future = verify_manifest(&key, b"\xc1\xc1\xc1\xc1", TamDemand::Optional);
    assert_eq!(future, Err(CryptoError::UnsupportedManifest));
    let list = verify_archive(
        &key,
        &Value::Array(Vec::new()).to_bytes(),
        TamDemand::Optional,
    );
    assert_eq!(list.map_err(|e| e.kind()), Err(ErrorKind::IntegrityError));
}

#[test]
fn a_key_without_secrets_verifies_nothing_and_signs_nothing() {
    let key = Key::without_secrets(KeyMode::AuthenticatedBlake2);
    let packed = pack(&[("version", "1")], None);
    let outcome = verify_manifest(&key, &packed, TamDemand::Required);
    assert_eq!(outcome, Ok(Authentication::NotChecked));
    let signed = sign(&key, TamContext::Manifest, &[0; 64], |tam| {
        pack(&[], Some(tam))
    });
    assert_eq!(signed, Err(CryptoError::NoSecrets));
}
