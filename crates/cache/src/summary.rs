//! What one archive refers to: every chunk with its number of references, and the archive's figures.
//!
//! Archives never change, so a summary is made once, from the archive's items, and kept in a file named
//! by the archive's id. File content and the archive's own metadata (item stream chunks and the archive
//! object) are counted apart: Borg's statistics of all archives count both, those of one archive only
//! the content.

mod build;
mod ranges;
mod sieve;
mod source;
mod tally;

use std::collections::HashSet;
use std::sync::Arc;

use ironborg_storage::Storage;
use ironborg_types::{ArchiveId, ChunkId, Reporter, RepositoryId};

use crate::CacheError;
use crate::cache_file::{BODY_OFFSET, CacheFiles, Fields, FileKind, Verified};
use crate::chunk_table::{ChunkSizes, ChunkTable, Unreferenced};

pub use build::SummaryBuilder;
pub use ranges::{IdRanges, Reference, Section, SummaryCursor};
pub use sieve::Sieve;
pub use source::{KeptSummary, SummarySource};
pub use tally::{FoundLengths, Leaving, Staying, Tallied, Tally};

const KIND: FileKind = FileKind {
    tag: *b"arch",
    version: 1,
    description: "archive summary",
};
const DIRECTORY: &str = "archives";
/// Figures and the numbers of records, in front of those.
const HEAD_LEN: usize = size_of::<[u64; 8]>();
/// id, refs, size, csize
const RECORD_LEN: usize = 44;
const WHOLE: &str = "a record is an id and three numbers";

/// Sums over an archive's items; what archives of Borg 1.2 and later have in their metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArchiveFigures {
    /// Bytes of content.
    pub size: u64,
    /// The same, stored.
    pub csize: u64,
    /// Files.
    pub nfiles: u64,
    /// Bytes of content in part files.
    pub size_parts: u64,
    /// The same, stored.
    pub csize_parts: u64,
    /// Part files.
    pub nfiles_parts: u64,
}

impl ArchiveFigures {
    fn fields(&self) -> [u64; 6] {
        [
            self.size,
            self.csize,
            self.nfiles,
            self.size_parts,
            self.csize_parts,
            self.nfiles_parts,
        ]
    }
}

/// One archive's references, 44 bytes for each chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSummary {
    figures: ArchiveFigures,
    /// Bytes of records about content; the rest is about metadata.
    content_len: usize,
    /// Where the records begin in `bytes`.
    records_at: usize,
    bytes: Vec<u8>,
}

impl ArchiveSummary {
    /// Sums over the archive's items.
    pub fn figures(&self) -> &ArchiveFigures {
        &self.figures
    }

    /// Chunks of file content with their references, by ascending id.
    pub fn content(&self) -> impl Iterator<Item = (ChunkId, u32, ChunkSizes)> {
        records(&self.records()[..self.content_len])
    }

    /// The archive object and the chunks of its item stream, likewise.
    pub fn metadata(&self) -> impl Iterator<Item = (ChunkId, u32, ChunkSizes)> {
        records(&self.records()[self.content_len..])
    }

    /// Records about content, and about metadata.
    fn counts(&self) -> [u64; 2] {
        let metadata_len = self.records().len() - self.content_len;
        [self.content_len, metadata_len].map(|len| (len / RECORD_LEN) as u64)
    }

    fn records(&self) -> &[u8] {
        &self.bytes[self.records_at..]
    }

    /// Counts all of the archive's references in `table`.
    pub fn add_to(&self, table: &ChunkTable) {
        for (id, refs, sizes) in records(self.records()) {
            table.add(&id, refs, sizes);
        }
    }

    /// Takes all of the archive's references out of `table`; `unreferenced` hears of every chunk that was
    /// in it, with the number of references taken away and what is left.
    ///
    /// Chunks the table does not know are passed over: a table made of the same summaries knows them all.
    pub fn remove_from(
        &self,
        table: &ChunkTable,
        mut unreferenced: impl FnMut(ChunkId, u32, Unreferenced),
    ) {
        for (id, refs, _) in records(self.records()) {
            if let Some(left) = table.unreference(&id, refs) {
                unreferenced(id, refs, left);
            }
        }
    }

    /// Stored bytes of content that no other archive refers to: Borg's deduplicated size.
    ///
    /// `table` must count all archives, this one included. Source: Borg 1.4, `Archive._calc_stats`.
    pub fn unique_csize(&self, table: &ChunkTable) -> u64 {
        self.content()
            .filter(|(id, refs, _)| table.refs(id) == *refs)
            .map(|(id, _, own)| {
                let known = table.get(&id).map_or(0, |sizes| sizes.csize);
                u64::from(if known == 0 { own.csize } else { known })
            })
            .sum()
    }

    /// Takes over new stored sizes of chunks; says whether anything changed. The archive's own figures
    /// stay: they are what its items say.
    pub fn renew_csizes(&mut self, renewed: impl Fn(&ChunkId) -> Option<u32>) -> bool {
        let mut changed = false;
        let records = &mut self.bytes[self.records_at..];
        for record in records.as_chunks_mut::<RECORD_LEN>().0 {
            let (id, numbers) = record.split_at_mut(ChunkId::LEN);
            let id = ChunkId(<[u8; ChunkId::LEN]>::try_from(&*id).expect(WHOLE));
            let csize = &mut numbers[2 * size_of::<u32>()..];
            if let Some(new) = renewed(&id)
                && *csize != new.to_le_bytes()
            {
                csize.copy_from_slice(&new.to_le_bytes());
                changed = true;
            }
        }
        changed
    }

    /// How many different chunks hold the archive's content.
    pub fn content_count(&self) -> usize {
        self.content_len / RECORD_LEN
    }

    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut fields = Fields(bytes.get(BODY_OFFSET..)?);
        let (figures, [content_count, metadata_count]) = decode_head(&mut fields)?;
        let content_len = fields.records(content_count, RECORD_LEN)?.len();
        let metadata_len = fields.records(metadata_count, RECORD_LEN)?.len();
        if !fields.0.is_empty() {
            return None;
        }
        Some(Self {
            figures,
            content_len,
            records_at: bytes.len() - content_len - metadata_len,
            bytes,
        })
    }
}

/// The head of a file that is as long as it says.
fn decode_whole(head: &Verified<HEAD_LEN>) -> Option<(ArchiveFigures, [u64; 2])> {
    let (figures, counts) = decode_head(&mut Fields(&head.fields))?;
    let records: u64 = counts[0].checked_add(counts[1])?;
    let body_len = records
        .checked_mul(RECORD_LEN as u64)?
        .checked_add(HEAD_LEN as u64)?;
    (body_len == head.body_len).then_some((figures, counts))
}

/// What is in front of the records.
fn decode_head(fields: &mut Fields<'_>) -> Option<(ArchiveFigures, [u64; 2])> {
    let mut number = || fields.u64();
    let figures = ArchiveFigures {
        size: number()?,
        csize: number()?,
        nfiles: number()?,
        size_parts: number()?,
        csize_parts: number()?,
        nfiles_parts: number()?,
    };
    Some((figures, [number()?, number()?]))
}

fn records(bytes: &[u8]) -> impl Iterator<Item = (ChunkId, u32, ChunkSizes)> {
    bytes.as_chunks::<RECORD_LEN>().0.iter().map(|record| {
        let mut fields = Fields(record);
        let id = ChunkId(fields.array().expect(WHOLE));
        let mut number = || fields.u32().expect(WHOLE);
        let (refs, size, csize) = (number(), number(), number());
        (id, refs, ChunkSizes { size, csize })
    })
}

/// The summaries kept for a repository.
#[derive(Clone)]
pub struct SummaryStore {
    files: CacheFiles,
}

impl SummaryStore {
    /// `storage` is the directory of [`directory_name`](crate::directory_name).
    pub fn new(storage: Arc<dyn Storage>, repository: RepositoryId) -> Self {
        Self {
            files: CacheFiles::new(storage, repository),
        }
    }

    /// The summary of an archive, if it is there and whole.
    pub fn load(&self, archive: &ArchiveId, reporter: &dyn Reporter) -> Option<ArchiveSummary> {
        let bytes = self.files.load(KIND, &file_name(archive), reporter)?;
        ArchiveSummary::decode(bytes)
    }

    /// The summary of an archive, to be read where it is, if it is there and whole.
    pub fn open(&self, archive: &ArchiveId, reporter: &dyn Reporter) -> Option<KeptSummary> {
        let name = file_name(archive);
        let head = self.files.verify::<HEAD_LEN>(KIND, &name, reporter)?;
        let (figures, counts) = decode_whole(&head)?;
        Some(self.kept(name, figures, counts))
    }

    /// Takes what an archive refers to out of `sieve`, if its summary is there and whole; says whether it is.
    pub fn sift(&self, archive: &ArchiveId, sieve: &Sieve, reporter: &dyn Reporter) -> bool {
        let mut pass = sieve.pass();
        let name = file_name(archive);
        let see = &mut |piece: &[u8]| pass.feed(piece);
        let head = self.files.verify_with(KIND, &name, see, reporter);
        let is_whole = head.as_ref().and_then(decode_whole).is_some();
        if is_whole {
            sieve.take_out(&pass);
        }
        is_whole
    }

    /// As [`SummaryStore::open`], just after [`SummaryStore::save`].
    pub fn saved(&self, archive: &ArchiveId, summary: &ArchiveSummary) -> KeptSummary {
        let counts = summary.counts();
        self.kept(file_name(archive), summary.figures, counts)
    }

    fn kept(&self, name: String, figures: ArchiveFigures, counts: [u64; 2]) -> KeptSummary {
        KeptSummary {
            storage: Arc::clone(self.files.shared_storage()),
            name,
            figures,
            counts,
            records_at: (BODY_OFFSET + HEAD_LEN) as u64,
        }
    }

    /// Keeps the summary of an archive.
    pub fn save(&self, archive: &ArchiveId, summary: &ArchiveSummary) -> Result<(), CacheError> {
        let counts = summary.counts();
        let numbers: Vec<u8> = summary
            .figures
            .fields()
            .into_iter()
            .chain(counts)
            .flat_map(u64::to_le_bytes)
            .collect();
        let body = [numbers.as_slice(), summary.records()];
        self.files.save_unsynced(KIND, &file_name(archive), &body)
    }

    /// Removes the summaries of all archives but these.
    pub fn retain(&self, archives: &HashSet<ArchiveId>) -> Result<(), CacheError> {
        let storage = self.files.storage();
        let entries = match storage.list(DIRECTORY) {
            Err(error) if error.is_not_found() => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let gone = entry.name.parse().is_ok_and(|id| !archives.contains(&id));
            if gone {
                storage.remove(&format!("{DIRECTORY}/{}", entry.name))?;
            }
        }
        Ok(())
    }
}

fn file_name(archive: &ArchiveId) -> String {
    format!("{DIRECTORY}/{archive}")
}

#[cfg(test)]
mod tests;
