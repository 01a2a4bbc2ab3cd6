//! Files of a repository: segments, index, hints, integrity, config, roster.

use ironborg_format::config::{Config, parse_boolean, parse_integer, parse_size};
use ironborg_format::hashindex::HashIndex;
use ironborg_format::hints::HintsFile;
use ironborg_format::integrity::{self, IntegrityFile};
use ironborg_format::roster::{LockOwner, Roster};
use ironborg_format::segment::{Entry, Header, decode_entry};

pub(crate) fn segment(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok((entry, size)) = decode_entry(rest) {
        assert!(size <= rest.len());
        if let Entry::Put { object, .. } = entry {
            assert!(object.len() < size);
        }
        rest = &rest[size..];
    }
    let _ = Header::decode(bytes, 9);
    let _ = Header::decode(bytes, 41);
    // No fuzzer guesses a checksum: the same bytes once more as one entry with the right one.
    if let (Some((_, tail)), Ok(size)) =
        (bytes.split_first_chunk::<8>(), u32::try_from(bytes.len()))
    {
        let checked = [&size.to_le_bytes(), tail].concat();
        let crc = crc32fast::hash(&checked).to_le_bytes();
        let _ = decode_entry(&[&crc, &checked[..]].concat());
    }
}

pub(crate) fn hashindex(bytes: &[u8]) {
    const PROBES: [[u8; 32]; 3] = [[0; 32], [0xff; 32], [0x42; 32]];
    let Ok(mut index) = HashIndex::<8>::from_bytes(bytes.to_vec()) else {
        return;
    };
    let before = index.iter().count();
    assert!(before <= index.bucket_count());
    for (key, _) in index.iter().take(20) {
        let _ = index.get(key);
        let _ = index.iter_after(key).map(Iterator::count);
    }
    for key in &PROBES {
        index.insert(key, &[1; 8]);
        assert_eq!(index.get(key), Some(&[1; 8]));
    }
    for key in &PROBES {
        assert!(index.remove(key).is_some());
    }
    assert!(HashIndex::<8>::from_bytes(index.as_bytes().to_vec()).is_ok());
}

pub(crate) fn hints(bytes: &[u8]) {
    if let Ok(HintsFile::Version2(hints)) = HintsFile::decode(bytes) {
        let again = HintsFile::decode(&hints.encode()).expect("just written");
        assert_eq!(again, HintsFile::Version2(hints));
    }
}

pub(crate) fn integrity(bytes: &[u8]) {
    if let Ok(file) = IntegrityFile::decode(bytes) {
        assert_eq!(IntegrityFile::decode(&file.encode()).as_ref(), Ok(&file));
        let _ = integrity::verify("hints.1", bytes, None, &file.hints);
        let _ = integrity::verify("index.1", bytes, Some(18), &file.index);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = integrity::verify("index.1", b"content", Some(3), text);
    }
}

pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = (parse_boolean(text), parse_size(text), parse_integer(text));
    if let Ok(config) = Config::parse(text) {
        let written = config.to_text();
        let again = Config::parse(&written).expect("what was written can be read");
        assert_eq!(again.to_text(), written);
    }
}

pub(crate) fn roster(bytes: &[u8]) {
    let roster = Roster::decode(bytes);
    assert_eq!(Roster::decode(&roster.encode()), roster);
    if let Ok(name) = std::str::from_utf8(bytes)
        && let Some(owner) = LockOwner::from_file_name(name)
    {
        assert_eq!(LockOwner::from_file_name(&owner.file_name()), Some(owner));
    }
}
