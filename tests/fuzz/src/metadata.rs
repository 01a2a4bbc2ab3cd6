//! MessagePack, items, manifests, archives, keys: decoded, encoded, and decoded again to the same value.

use ironborg_format::key::{check_key_file, decode_key_text, parse_key_file};
use ironborg_format::msgpack::{Reader, Value};
use ironborg_format::{
    ArchiveMetadata, Document, EncryptedKeyBlob, Item, ItemDecoder, ItemError, KeyMap, Manifest,
    Operation, find_tam,
};
use ironborg_types::RepositoryId;

use crate::objects::plaintext_key;

pub(crate) fn msgpack(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let skipped = Reader::new(bytes).skip_value();
    if let Ok(value) = reader.read_value() {
        assert_eq!(
            skipped.map(<[u8]>::len),
            Ok(bytes.len() - reader.remaining())
        );
        let encoded = value.to_bytes();
        let again = Value::decode(&encoded).expect("what was written can be read");
        // As bytes: a float may be no number, which equals nothing.
        assert_eq!(again.to_bytes(), encoded);
        let mut sorted = again.into_owned();
        sorted.sort_maps();
        let once = sorted.to_bytes();
        sorted.sort_maps();
        assert_eq!(sorted.to_bytes(), once);
    }
    if let Ok(number) = Reader::new(bytes).read_bigint() {
        let mut encoded = Vec::new();
        ironborg_format::msgpack::push_bigint(&mut encoded, number);
        assert_eq!(Reader::new(&encoded).read_bigint(), Ok(number));
    }
}

/// The first byte is the length of the pieces the stream comes in.
pub(crate) fn item_stream(bytes: &[u8]) {
    let Some((&piece_len, stream)) = bytes.split_first() else {
        return;
    };
    let whole = decode_items(stream, stream.len().max(1));
    let pieces = decode_items(stream, usize::from(piece_len).max(1));
    assert_eq!(pieces.0, whole.0, "where the stream is cut does not matter");
    assert_eq!(pieces.1.is_ok(), whole.1.is_ok());
    for mut item in whole.0 {
        let mut encoded = Vec::new();
        item.encode(&mut encoded);
        let mut again = Item::decode(&mut Reader::new(&encoded)).expect("just written");
        for item in [&mut item, &mut again] {
            item.xattrs.iter_mut().for_each(|xattrs| xattrs.sort());
            item.unknown.sort();
        }
        assert_eq!(again, item);
    }
}

fn decode_items(stream: &[u8], piece_len: usize) -> (Vec<Item>, Result<(), ItemError>) {
    let mut decoder = ItemDecoder::new();
    let mut items = Vec::new();
    let mut item = Item::default();
    for piece in stream.chunks(piece_len) {
        decoder.push(piece);
        loop {
            match decoder.next_into(&mut item) {
                Ok(true) => items.push(item.clone()),
                Ok(false) => break,
                Err(error) => return (items, Err(error)),
            }
        }
    }
    (items, decoder.finish())
}

pub(crate) fn manifest(bytes: &[u8]) {
    // Accepted or refused: both are fine, as for all results that are not looked at here.
    let _ = ironborg_crypto::tam::verify_manifest(
        &plaintext_key(),
        bytes,
        ironborg_crypto::tam::TamDemand::Required,
    );
    let _ = find_tam(bytes, Document::Manifest);
    let Ok(manifest) = Manifest::decode(bytes) else {
        return;
    };
    let _ = manifest.mandatory_features(Operation::Write);
    let _ = manifest.last_timestamp();
    let encoded = manifest.encode(None);
    let again = Manifest::decode(&encoded).expect("what was written can be read");
    assert_eq!(again.encode(None), encoded);
    assert_eq!(again.archives.len(), manifest.archives.len());
}

pub(crate) fn archive(bytes: &[u8]) {
    let _ = ironborg_crypto::tam::verify_archive(
        &plaintext_key(),
        bytes,
        ironborg_crypto::tam::TamDemand::Required,
    );
    let Ok(archive) = ArchiveMetadata::decode(bytes) else {
        return;
    };
    let _ = (archive.start(), archive.end());
    let encoded = archive.encode(None);
    let again = ArchiveMetadata::decode(&encoded).expect("what was written can be read");
    assert_eq!(again.encode(None), encoded);
    assert_eq!(again.items, archive.items);
}

pub(crate) fn key(bytes: &[u8]) {
    if let Ok(map) = KeyMap::decode(bytes) {
        assert_eq!(KeyMap::decode(&map.encode()).as_ref(), Ok(&map));
    }
    if let Ok(blob) = EncryptedKeyBlob::decode(bytes) {
        assert_eq!(EncryptedKeyBlob::decode(&blob.encode()).as_ref(), Ok(&blob));
    }
    let _ = check_key_file(bytes, &RepositoryId([0xab; 32]));
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(file) = parse_key_file(text) {
            let _ = check_key_file(bytes, &file.repository_id);
        }
        if let Some(blob) = decode_key_text(text) {
            assert!(blob.len() <= text.len());
        }
        let _ = EncryptedKeyBlob::from_text(text);
    }
}
