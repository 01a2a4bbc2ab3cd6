//! The versions view: every file is a directory with all that archives have had under its path.
//!
//! Source: Borg 1.4, `file_version`, `make_versioned_name`.

use std::collections::HashMap;

use ironborg_crypto::Key;
use ironborg_types::ChunkId;

/// What content or a path is, in short.
pub(super) type ContentId = [u8; 16];

/// The content a file's chunks make.
pub(super) fn content_id(
    key: &Key,
    chunks: impl Iterator<Item = ChunkId>,
    buffer: &mut Vec<u8>,
) -> ContentId {
    buffer.clear();
    for id in chunks {
        buffer.extend_from_slice(id.as_bytes());
    }
    let hash = key.id_hash(buffer);
    *hash.as_bytes().first_chunk().expect("it is longer")
}

/// What a path is, in short.
pub(super) fn path_id(key: &Key, path: &[u8]) -> ContentId {
    let hash = key.id_hash(path);
    *hash.as_bytes().first_chunk().expect("it is longer")
}

/// How many versions files have, by their paths (of which only a hash is kept, as stock Borg does).
#[derive(Debug, Default)]
pub(super) struct Versions {
    files: HashMap<ContentId, FileVersion>,
    /// The archive that is being read, counted from 1.
    archive: u32,
}

#[derive(Debug)]
struct FileVersion {
    version: u32,
    content: ContentId,
    /// The archive it was seen in last.
    archive: u32,
}

impl Versions {
    /// Goes on to the next archive.
    pub(super) fn next_archive(&mut self) {
        self.archive += 1;
    }

    /// The version of a file with this content. It is a new one only if the one before was different.
    pub(super) fn of(&mut self, path: ContentId, content: ContentId) -> u32 {
        let archive = self.archive;
        let known = self.files.entry(path).or_insert(FileVersion {
            version: 0,
            content,
            archive,
        });
        if known.version == 0 || known.content != content {
            known.version = known.version.saturating_add(1);
            known.content = content;
        }
        known.archive = archive;
        known.version
    }

    /// Version and content of a file of this archive that was seen before.
    pub(super) fn seen(&self, path: &ContentId) -> Option<(u32, ContentId)> {
        let known = self.files.get(path)?;
        (known.archive == self.archive).then_some((known.version, known.content))
    }
}

/// The name of a version: its number goes before the extension.
pub(super) fn versioned_name(name: &[u8], version: u32) -> Vec<u8> {
    let (stem, extension) = name.split_at(extension_at(name));
    let number = format!(".{version:05}");
    [stem, number.as_bytes(), extension].concat()
}

/// Where the extension begins. Dots at the beginning of a name begin none. Source: Python 3, `posixpath.splitext`.
fn extension_at(name: &[u8]) -> usize {
    let leading = name.iter().take_while(|&&b| b == b'.').count();
    match name.iter().rposition(|&b| b == b'.') {
        Some(dot) if dot > leading => dot,
        _ => name.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_named_as_stock_names_them() {
        for (name, version, expected) in [
            ("f.txt", 1, "f.00001.txt"),
            ("f", 12, "f.00012"),
            (".bashrc", 1, ".bashrc.00001"),
            ("..x.y", 1, "..x.00001.y"),
            (".a.b", 3, ".a.00003.b"),
            ("a.tar.gz", 1, "a.tar.00001.gz"),
            ("dot.", 1, "dot.00001."),
            ("...", 1, "....00001"),
            ("big", 123_456, "big.123456"),
        ] {
            let found = versioned_name(name.as_bytes(), version);
            assert_eq!(String::from_utf8(found).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_version_is_new_if_the_one_before_was_different() {
        let mut versions = Versions::default();
        let mut seen = Vec::new();
        for content in [1, 1, 2, 1, 1, 3] {
            versions.next_archive();
            seen.push(versions.of([7; 16], [content; 16]));
        }
        assert_eq!(seen, [1, 1, 2, 3, 3, 4]);
        assert_eq!(versions.seen(&[7; 16]), Some((4, [3; 16])));
        versions.next_archive();
        assert_eq!(versions.seen(&[7; 16]), None, "not in this archive");
    }
}
