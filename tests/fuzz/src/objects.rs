//! Stored objects: envelopes and compressed data.

use ironborg_crypto::{Key, KeyMode};
use ironborg_format::KeyMap;
use ironborg_object::{Decompressor, Opener};
use ironborg_types::{ChunkId, RepositoryId};
use zeroize::Zeroizing;

/// Longest plaintext a target asks for: enough to see the limit work, too little to slow fuzzing down.
const PLAINTEXT_LEN_MAX: usize = 1 << 20;

/// The key modes, as the first byte of an input of [`object`] selects them.
pub(crate) const MODES: [KeyMode; 6] = [
    KeyMode::Repokey,
    KeyMode::RepokeyBlake2,
    KeyMode::Keyfile,
    KeyMode::KeyfileBlake2,
    KeyMode::Authenticated,
    KeyMode::AuthenticatedBlake2,
];

pub(crate) fn plaintext_key() -> Key {
    Key::plaintext()
}

/// A key of always the same secrets.
pub(crate) fn key_of(mode: KeyMode) -> Key {
    let is_blake2 = matches!(
        mode,
        KeyMode::RepokeyBlake2 | KeyMode::KeyfileBlake2 | KeyMode::AuthenticatedBlake2
    );
    let long = if is_blake2 { 128 } else { 32 };
    let secrets = KeyMap {
        repository_id: RepositoryId([1; 32]),
        enc_key: Zeroizing::new(vec![2; 32]),
        enc_hmac_key: Zeroizing::new(vec![3; long]),
        id_key: Zeroizing::new(vec![4; long]),
        chunk_seed: 5,
        tam_required: Some(true),
    };
    Key::from_key_map(mode, secrets).expect("secrets of the right lengths")
}

/// The first byte selects the key, an id follows, then the object.
pub(crate) fn object(bytes: &[u8]) {
    let Some((&selector, rest)) = bytes.split_first() else {
        return;
    };
    let Some((id, object)) = rest.split_first_chunk::<32>() else {
        return;
    };
    let key = MODES
        .get(usize::from(selector))
        .map_or_else(plaintext_key, |mode| key_of(*mode));
    let mut opener = Opener::with_limit(PLAINTEXT_LEN_MAX);
    let mut chunk = Vec::new();
    for id in [ChunkId(*id), ChunkId::MANIFEST] {
        if opener.open(&key, &id, object, &mut chunk).is_ok() {
            assert!(chunk.len() <= PLAINTEXT_LEN_MAX);
            assert!(key.id_hash(&chunk) == id);
        } else {
            assert!(chunk.is_empty(), "nothing of a bad object is handed out");
        }
    }
    let _ = ironborg_crypto::envelope::envelope_nonce(object);
}

pub(crate) fn stored_form(bytes: &[u8]) {
    let mut out = b"before".to_vec();
    let mut decompressor = Decompressor::with_limit(PLAINTEXT_LEN_MAX);
    match decompressor.decompress(bytes, &mut out) {
        Ok(()) => assert!(out.len() <= b"before".len() + PLAINTEXT_LEN_MAX),
        Err(_) => assert_eq!(out, b"before"),
    }
}
