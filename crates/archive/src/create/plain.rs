//! Small regular files with one name in one place: most of what there is, and mostly it is unchanged.
//!
//! The walk notes them in a few buffers of the batch, where any other entry has memory of its own. A worker asks the files
//! cache about all of them at once, and the repository about all of their chunks. Of those that are unchanged and bare it
//! encodes the items behind each other; the collector has bytes to add. Whatever is not as simple as that becomes an
//! [`Entry`] like any other.

use std::ops::Range;
use std::sync::Arc;

use ironborg_cache::{FileKnown, PathHash};
use ironborg_format::ChunkEntry;
use ironborg_source::attributes::AttributeSource;
use ironborg_source::walk::OpenMode;
use ironborg_source::{FileKind, FileStat, Place};
use ironborg_types::ChunkId;

use super::items::{add_flags, describe, set_size};
use super::outcome::Outcome;
use super::shared::Over;
use super::step::{Entry, EntryKind, Linked, OpenDir};
use super::work::{Begun, Lookup, SMALL_FILE_SIZE_MAX, Worker, cache_stat};

/// What the walk has found and is no directory.
#[derive(Debug)]
pub(crate) struct Leaf<'a> {
    /// The directory it is in; `None`: the path is taken from the current directory.
    pub(super) dir: Option<&'a Arc<OpenDir>>,
    /// Path as walked.
    pub(super) path: &'a [u8],
    /// Where the last component begins in `path`, if there is a directory.
    pub(super) name_start: usize,
    /// Path as archived.
    pub(super) archived: &'a [u8],
    pub(super) stat: FileStat,
    pub(super) kind: EntryKind,
    pub(super) linked: Linked,
}

impl Leaf<'_> {
    /// With memory of its own.
    pub(super) fn into_entry(self) -> Box<Entry> {
        Box::new(Entry {
            dir: self.dir.map(Arc::clone),
            path: self.path.to_vec(),
            name_start: self.name_start,
            archived: self.archived.to_vec(),
            stat: self.stat,
            kind: self.kind,
            linked: self.linked,
        })
    }
}

/// The plain files of a batch, in walk order.
#[derive(Debug, Default)]
pub(super) struct Plain {
    files: Vec<PlainFile>,
    /// Their paths as walked, one after the other.
    paths: Vec<u8>,
    /// The directories they are in.
    dirs: Vec<Arc<OpenDir>>,
}

#[derive(Debug)]
struct PlainFile {
    /// In `paths`; as archived; and the last component.
    path: Range<usize>,
    archived_start: usize,
    name_start: usize,
    /// In `dirs`.
    dir: usize,
    stat: FileStat,
}

impl Plain {
    /// Takes a file if it is a plain one.
    pub(super) fn take(&mut self, leaf: &Leaf<'_>) -> bool {
        let is_plain = leaf.kind == EntryKind::File(OpenMode::Normal)
            && leaf.stat.kind() == FileKind::Regular
            && leaf.stat.size <= SMALL_FILE_SIZE_MAX
            && matches!(leaf.linked, Linked::Alone)
            && leaf.path.ends_with(leaf.archived);
        let Some(dir) = leaf.dir.filter(|_| is_plain) else {
            return false;
        };
        if self.dirs.last().is_none_or(|last| !Arc::ptr_eq(last, dir)) {
            self.dirs.push(Arc::clone(dir));
        }
        let start = self.paths.len();
        self.paths.extend_from_slice(leaf.path);
        let end = self.paths.len();
        self.files.push(PlainFile {
            path: start..end,
            archived_start: end - leaf.archived.len(),
            name_start: start + leaf.name_start,
            dir: self.dirs.len() - 1,
            stat: leaf.stat,
        });
        true
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Device of the first file.
    pub(super) fn device(&self) -> Option<u64> {
        self.files.first().map(|file| file.stat.dev)
    }

    fn path(&self, file: &PlainFile) -> &[u8] {
        &self.paths[file.path.clone()]
    }

    fn archived(&self, file: &PlainFile) -> &[u8] {
        &self.paths[file.archived_start..file.path.end]
    }

    fn place(&self, file: &PlainFile) -> Place<'_> {
        let name = &self.paths[file.name_start..file.path.end];
        Place::entry(&self.dirs[file.dir].dir, name, self.path(file))
    }

    fn entry(&self, file: &PlainFile) -> Box<Entry> {
        let leaf = Leaf {
            dir: Some(&self.dirs[file.dir]),
            path: self.path(file),
            name_start: file.name_start - file.path.start,
            archived: self.archived(file),
            stat: file.stat,
            kind: EntryKind::File(OpenMode::Normal),
            linked: Linked::Alone,
        };
        leaf.into_entry()
    }
}

/// What the caches know of the plain files of a batch.
#[derive(Debug, Default)]
pub(super) struct PlainKnown {
    hashes: Vec<PathHash>,
    /// What the files cache said, and how many chunks there are up to the end of this file's.
    answers: Vec<(FileKnown, usize)>,
    chunks: Vec<ChunkEntry>,
    ids: Vec<ChunkId>,
    stored: Vec<bool>,
}

impl PlainKnown {
    fn clear(&mut self) {
        self.hashes.clear();
        self.answers.clear();
        self.chunks.clear();
        self.ids.clear();
        self.stored.clear();
    }

    fn range(&self, number: usize) -> Range<usize> {
        let start = number
            .checked_sub(1)
            .map_or(0, |before| self.answers[before].1);
        start..self.answers[number].1
    }
}

/// The items of a batch that are encoded already: files that are unchanged.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    files: Vec<EncodedFile>,
    paths: Vec<u8>,
    bytes: Vec<u8>,
    chunks: Vec<ChunkEntry>,
}

#[derive(Debug)]
struct EncodedFile {
    path: Range<usize>,
    archived_start: usize,
    bytes_end: usize,
    chunks_end: usize,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unchanged<'e> {
    /// Path as walked.
    pub(super) path: &'e [u8],
    /// Path as archived.
    pub(super) archived: &'e [u8],
    /// The whole item.
    pub(super) bytes: &'e [u8],
    /// Its chunks, all of them with the lengths of their objects.
    pub(super) chunks: &'e [ChunkEntry],
}

impl Encoded {
    /// The file of this number.
    pub(super) fn get(&self, number: usize) -> Unchanged<'_> {
        let file = &self.files[number];
        let (bytes, chunks) = number.checked_sub(1).map_or((0, 0), |before| {
            let before = &self.files[before];
            (before.bytes_end, before.chunks_end)
        });
        Unchanged {
            path: &self.paths[file.path.clone()],
            archived: &self.paths[file.archived_start..file.path.end],
            bytes: &self.bytes[bytes..file.bytes_end],
            chunks: &self.chunks[chunks..file.chunks_end],
        }
    }
}

impl Worker<'_> {
    /// Asks the files cache about the plain files of a batch, and the repository about their chunks.
    pub(super) fn look_up_plain(&mut self, plain: &Plain) {
        self.known.clear();
        if plain.files.is_empty() {
            return;
        }
        let files = self.shared.files;
        let files = files.expect("without a files cache no file is taken for a plain one");
        for file in &plain.files {
            let hash = self.path_hash(plain.path(file));
            self.known.hashes.push(hash);
        }
        let PlainKnown {
            hashes,
            answers,
            chunks,
            ids,
            stored,
        } = &mut self.known;
        let stats = plain.files.iter().map(|file| cache_stat(&file.stat));
        files.lookup_each(hashes, stats, chunks, |known, chunks| {
            answers.push((known, chunks.len()));
        });
        // Most files are one chunk, or none: what counts a reference also says whether it is there. References to only some
        // of a file's chunks are not to be counted; those of more than one are asked about later.
        let mut start = 0;
        for (_, end) in answers.iter() {
            if let [chunk] = &chunks[start..*end] {
                ids.push(chunk.id);
            }
            start = *end;
        }
        self.shared.chunks.reference_each(ids, stored);
    }

    /// Whether the chunks of a file are stored, a reference to each counted if so. `singles` counts files of one chunk.
    fn are_stored(&self, number: usize, singles: &mut usize) -> bool {
        match &self.known.chunks[self.known.range(number)] {
            [_] => {
                *singles += 1;
                self.known.stored[*singles - 1]
            }
            chunks => self.refer_to_stored(chunks),
        }
    }

    /// Does `count` plain files more: adds an outcome for each, or for several that are encoded.
    pub(super) fn plain_files(
        &mut self,
        batch: &mut Begun,
        plain: &Plain,
        count: usize,
    ) -> Result<(), Over> {
        for number in batch.plain_done..batch.plain_done + count {
            let file = &plain.files[number];
            let (known, _) = self.known.answers[number];
            let is_unchanged = matches!(known, FileKnown::Unchanged | FileKnown::UnchangedBare)
                && self.are_stored(number, &mut batch.singles_done);
            if is_unchanged
                && known == FileKnown::UnchangedBare
                && self.encode_plain(plain, number, &mut batch.encoded)
            {
                let end = batch.encoded.files.len();
                match batch.outcomes.last_mut() {
                    Some(Outcome::Unchanged(files)) => files.end = end,
                    _ => batch.outcomes.push(Outcome::Unchanged(end - 1..end)),
                }
                continue;
            }
            let chunks = is_unchanged.then(|| self.known.chunks[self.known.range(number)].to_vec());
            let lookup = Lookup::of(self.known.hashes[number], known, chunks);
            self.any_entry(batch, plain.entry(file), Some(lookup))?;
        }
        batch.plain_done += count;
        Ok(())
    }

    /// Encodes the item of an unchanged file; `false` if only the collector knows the length of a chunk's object.
    fn encode_plain(&mut self, plain: &Plain, number: usize, encoded: &mut Encoded) -> bool {
        let file = &plain.files[number];
        let chunks = &self.known.chunks[self.known.range(number)];
        if chunks.iter().any(|chunk| chunk.csize == 0) {
            return false;
        }
        let item = &mut self.item;
        item.path.0.clear();
        item.path.0.extend_from_slice(plain.archived(file));
        describe(
            item,
            &file.stat,
            self.shared.options.metadata,
            &mut self.owners,
        );
        item.hardlink_master = Some(false);
        let list = item.chunks.get_or_insert_default();
        list.clear();
        list.extend_from_slice(chunks);
        set_size(item);
        let source = AttributeSource::Place(plain.place(file));
        add_flags(item, self.attributes.read_bare(source, &file.stat).flags);
        item.encode(&mut encoded.bytes);
        encoded.chunks.extend_from_slice(chunks);
        let path_start = encoded.paths.len();
        encoded.paths.extend_from_slice(plain.path(file));
        encoded.files.push(EncodedFile {
            path: path_start..encoded.paths.len(),
            archived_start: path_start + (file.archived_start - file.path.start),
            bytes_end: encoded.bytes.len(),
            chunks_end: encoded.chunks.len(),
        });
        true
    }
}
