//! Keys that open at once: the hundred thousand rounds that make guessing passphrases slow make tests slow too.

use aes::Aes256Enc;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use ironborg_format::EncryptedKeyBlob;
use sha2::Sha256;

/// The text of the same key under the same passphrase, derived in one round.
///
/// # Panics
/// If the text is no key, or the passphrase not the one it is kept with.
pub fn weak_key(text: &str, passphrase: &[u8]) -> String {
    let mut blob = EncryptedKeyBlob::from_text(text).expect("the text of a key");
    let map = with_keystream(&blob, passphrase, &blob.data);
    assert_eq!(
        keyed_hash(&blob, passphrase, &map),
        blob.hash,
        "the passphrase is wrong"
    );
    blob.iterations = 1;
    blob.hash = keyed_hash(&blob, passphrase, &map);
    blob.data = with_keystream(&blob, passphrase, &map);
    blob.to_text()
}

fn derived(blob: &EncryptedKeyBlob, passphrase: &[u8]) -> [u8; 32] {
    let mut derived = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase, &blob.salt, blob.iterations, &mut derived);
    derived
}

fn with_keystream(blob: &EncryptedKeyBlob, passphrase: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let key = derived(blob, passphrase);
    Ctr128BE::<Aes256Enc>::new(&key.into(), &[0; 16].into()).apply_keystream(&mut bytes);
    bytes
}

fn keyed_hash(blob: &EncryptedKeyBlob, passphrase: &[u8], map: &[u8]) -> Vec<u8> {
    let key = derived(blob, passphrase);
    let hmac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).expect("a key of any length");
    hmac.chain_update(map).finalize().into_bytes().to_vec()
}
