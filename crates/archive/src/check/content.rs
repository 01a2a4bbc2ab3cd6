//! The content of files: whether it is there, zeros in the place of what is lost, and what is there again.
//!
//! Source: Borg 1.4, `ArchiveChecker.rebuild_refcounts`, `verify_file_chunks`.

use std::collections::HashMap;
use std::ops::Range;

use ironborg_format::msgpack::{Kind, Reader};
use ironborg_types::{BytePath, ChunkId, FindingKind, Level, Place, RepairAction, text};

use super::chunk_list::{Chunk, Chunks, NewList, Odd, shown};
use super::inspector::Inspector;
use super::item::{ItemForm, python_text};
use super::place_of;
use crate::ArchiveError;

/// Longest chunk that there are zeros for. Source: Borg 1.4, `MAX_DATA_SIZE`.
const ZEROS_LEN_MAX: u32 = 20 * 1024 * 1024 - 41;

/// Chunks of a file that are looked up at once.
const GROUP: usize = 16;

const CHUNKS: &[u8] = b"chunks";
const CHUNKS_HEALTHY: &[u8] = b"chunks_healthy";

/// What zeros of some length are stored as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zeros {
    id: ChunkId,
    csize: usize,
}

/// The zeros that were needed so far, by their length.
pub(super) type KnownZeros = HashMap<u32, Zeros>;

/// A file whose content is looked at.
struct File<'i> {
    archive: &'i BytePath,
    form: &'i ItemForm,
    item: &'i [u8],
    is_repair: bool,
}

impl File<'_> {
    fn path(&self) -> Option<&[u8]> {
        Reader::new(self.form.value(self.item, b"path")?)
            .read_raw()
            .ok()
    }

    fn shown_path(&self) -> String {
        let path = self.path().map(|path| text::display(path).into_owned());
        path.unwrap_or_else(|| "None".to_owned())
    }

    /// The beginning of a message.
    fn named(&self) -> String {
        format!("{}: {}", self.archive, self.shown_path())
    }

    fn place(&self) -> Place {
        Place {
            archive: Some(self.archive.clone()),
            path: self.path().map(BytePath::from),
            ..Place::default()
        }
    }

    fn place_of_bytes(&self, offset: i128, chunk: &Chunk<'_>) -> Place {
        let end = offset.saturating_add(chunk.size);
        let bytes = u64::try_from(offset)
            .ok()
            .zip(u64::try_from(end).ok())
            .map(|(start, end)| Range { start, end });
        Place {
            bytes,
            chunk: Some(chunk.id),
            ..self.place()
        }
    }

    fn if_repair<'t>(&self, done: &'t str, would: &'t str) -> &'t str {
        if self.is_repair { done } else { would }
    }
}

/// Why the content of a file was not verified.
enum Trouble {
    Odd,
    Failed(ArchiveError),
}

impl From<Odd> for Trouble {
    fn from(Odd: Odd) -> Self {
        Self::Odd
    }
}

impl From<ArchiveError> for Trouble {
    fn from(error: ArchiveError) -> Self {
        Self::Failed(error)
    }
}

/// What changes in an item: encoded lists.
struct NewContent {
    chunks: Vec<u8>,
    healthy: Option<Vec<u8>>,
}

impl Inspector<'_> {
    /// Makes sure that the content of an item is there, and counts the references to it. If the item has to be
    /// changed for that, appends it to `out`, changed; says whether.
    pub(super) fn verify_content(
        &mut self,
        archive: &BytePath,
        form: &ItemForm,
        item: &[u8],
        zeros: &mut KnownZeros,
        out: &mut Vec<u8>,
    ) -> Result<bool, ArchiveError> {
        let Some(chunks) = form.value(item, CHUNKS) else {
            return Ok(false);
        };
        let file = File {
            archive,
            form,
            item,
            is_repair: self.changes.is_repair(),
        };
        match self.verify_lists(&file, chunks, zeros) {
            Ok(None) => Ok(false),
            Ok(Some(NewContent { chunks, healthy })) => {
                let changes = [
                    (CHUNKS, Some(chunks.as_slice())),
                    (CHUNKS_HEALTHY, healthy.as_deref()),
                ];
                form.write_with(item, &changes, out);
                Ok(true)
            }
            Err(Trouble::Odd) => {
                self.note_uncounted();
                let message = format!(
                    "{}: The list of chunks cannot be understood, it is left as it is.",
                    file.named()
                );
                self.error(FindingKind::ItemInvalid, file.place(), message);
                Ok(false)
            }
            Err(Trouble::Failed(error)) => Err(error),
        }
    }

    fn verify_lists(
        &mut self,
        file: &File<'_>,
        chunks: &[u8],
        zeros: &mut KnownZeros,
    ) -> Result<Option<NewContent>, Trouble> {
        let mut healthy = file.form.value(file.item, CHUNKS_HEALTHY);
        let had_healthy = healthy.is_some();
        let mut counted = 0;
        if healthy.is_none() {
            let (count, size) = self.count_present(chunks)?;
            if count == Chunks::read(chunks)?.left {
                self.compare_size(file, size);
                return Ok(None);
            }
            counted = count;
        }
        let current: Vec<Chunk<'_>> = Chunks::read(chunks)?.collect::<Result<_, _>>()?;
        if let Some(list) = healthy
            && Chunks::read(list)?.left != current.len()
        {
            self.tell_invalid_healthy(file);
            healthy = None;
        }
        let wanted: Vec<Chunk<'_>> =
            Chunks::read(healthy.unwrap_or(chunks))?.collect::<Result<_, _>>()?;
        let mut list = NewList::default();
        for (at, (current, wanted)) in current.iter().zip(&wanted).enumerate() {
            if at < counted {
                list.push(current.encoded, current.size);
            } else {
                self.verify_chunk(file, current, wanted, &mut list, zeros)?;
            }
        }
        let new = list.to_value();
        let healthy = match healthy {
            None if list.replaced => Some(chunks),
            Some(healthy) if *healthy == *new => {
                self.tell_healed(file);
                None
            }
            healthy => healthy,
        };
        self.compare_size(file, list.size);
        let is_changed = new != chunks || healthy.is_some() != had_healthy;
        Ok(is_changed.then(|| NewContent {
            chunks: new,
            healthy: healthy.map(<[u8]>::to_vec),
        }))
    }

    /// Counts references until a chunk is missing: how many there were before, and their size.
    fn count_present(&self, chunks: &[u8]) -> Result<(usize, i128), Odd> {
        let (mut count, mut sum) = (0, 0_i128);
        let mut left = Chunks::read(chunks)?;
        loop {
            let mut group = [(ChunkId::MANIFEST, 0_i128); GROUP];
            let (mut len, mut odd) = (0, None);
            while len < GROUP
                && let Some(chunk) = left.next()
            {
                match chunk {
                    Ok(Chunk { id, size, .. }) => group[len] = (id, size),
                    Err(error) => {
                        odd = Some(error);
                        break;
                    }
                }
                len += 1;
            }
            let ids = group.map(|(id, _)| id);
            let present = self.objects.reference_all(&ids[..len]);
            count += present;
            sum += group[..present].iter().map(|(_, size)| size).sum::<i128>();
            match odd {
                _ if present < len => return Ok((count, sum)),
                Some(odd) => return Err(odd),
                None if len < GROUP => return Ok((count, sum)),
                None => {}
            }
        }
    }

    /// One place in a file: `current` is what it has there, `wanted` what it should have.
    fn verify_chunk(
        &mut self,
        file: &File<'_>,
        current: &Chunk<'_>,
        wanted: &Chunk<'_>,
        list: &mut NewList,
        zeros: &mut KnownZeros,
    ) -> Result<(), ArchiveError> {
        let is_damaged = current.encoded != wanted.encoded;
        let offset = list.size;
        if self.objects.reference(&wanted.id) {
            if is_damaged {
                self.tell_back(file, offset, current, wanted);
                self.mark_superseded(&current.id);
            }
            list.push(wanted.encoded, wanted.size);
            return Ok(());
        }
        if !is_damaged {
            let message = format!(
                "New missing file chunk detected {}. {}",
                shown(offset, wanted),
                file.if_repair(
                    "Replacing with all-zero chunk.",
                    "Would replace it with all-zero chunk with --repair."
                )
            );
            self.tell_missing(file, Missing::New, offset, wanted, &message);
            return self.push_zeros(file, wanted, list, zeros);
        }
        let message = format!(
            "{}: Previously missing file chunk is still missing {}. It has an all-zero replacement chunk already.",
            file.named(),
            shown(offset, wanted)
        );
        let place = self.located(file.place_of_bytes(offset, wanted));
        let kind = FindingKind::ChunkStillMissing;
        self.findings.tell(Level::Info, kind, place, message);
        if self.objects.reference(&current.id) {
            list.push(current.encoded, current.size);
            return Ok(());
        }
        let message = format!(
            "Missing all-zero replacement chunk detected {}. {}",
            shown(offset, current),
            file.if_repair(
                "Generating new replacement chunk.",
                "Would generate new replacement chunk with --repair."
            )
        );
        self.tell_missing(file, Missing::Replacement, offset, current, &message);
        self.push_zeros(file, current, list, zeros)
    }

    /// Puts zeros in the place of a chunk.
    fn push_zeros(
        &mut self,
        file: &File<'_>,
        lost: &Chunk<'_>,
        list: &mut NewList,
        known: &mut KnownZeros,
    ) -> Result<(), ArchiveError> {
        let offset = list.size;
        let len = u32::try_from(lost.size).ok();
        let Some(len) = len.filter(|len| *len <= ZEROS_LEN_MAX) else {
            // It is no chunk that Borg could have stored; it stays what it is, lost.
            self.note_uncounted();
            let message = format!(
                "{}: A chunk of {} bytes cannot be replaced, the file is left as it is there.",
                file.named(),
                lost.size
            );
            self.error(
                FindingKind::ItemInvalid,
                file.place_of_bytes(offset, lost),
                message,
            );
            list.push(lost.encoded, lost.size);
            return Ok(());
        };
        let place = file.place_of_bytes(offset, lost);
        let zeros = vec![0; len as usize];
        let Zeros { id, csize } = if let Some(zeros) = known.get(&len) {
            *zeros
        } else {
            let id = self.key.id_hash(&zeros);
            let csize = self.change(|changes, session| changes.sealed_len(session, &zeros))?;
            known.insert(len, Zeros { id, csize });
            Zeros { id, csize }
        };
        let detail = format!(
            "put {len} bytes of zeros in the place of chunk {}, bytes {offset}-{} of {} in archive {}",
            lost.id,
            offset.saturating_add(lost.size),
            file.shown_path(),
            file.archive,
        );
        self.tell(RepairAction::ReplaceChunk, place, detail);
        self.reference_or_store(&id, &zeros, "zeros in the place of a lost chunk")?;
        list.replace(&id, len, csize);
        Ok(())
    }

    /// Stock Borg only warns: extracting the file will warn, too.
    fn compare_size(&mut self, file: &File<'_>, chunks_size: i128) {
        let Some(encoded) = file.form.value(file.item, b"size") else {
            return;
        };
        let Some(chunks_size) = size_by_chunks(file, chunks_size) else {
            return;
        };
        let size = Reader::new(encoded).read_bigint();
        let is_number = Kind::of_marker(encoded[0]) == Kind::Int;
        if is_number && size == Ok(chunks_size) {
            return;
        }
        let message = format!(
            "{}: size inconsistency detected: size {}, chunks size {chunks_size}",
            file.named(),
            python_text(encoded),
        );
        let kind = FindingKind::SizeMismatch;
        self.findings
            .tell(Level::Warning, kind, file.place(), message);
    }

    fn tell_missing(
        &mut self,
        file: &File<'_>,
        missing: Missing,
        offset: i128,
        chunk: &Chunk<'_>,
        message: &str,
    ) {
        let (level, kind) = match missing {
            Missing::New => (Level::Error, FindingKind::ChunkMissing),
            Missing::Replacement => (Level::Warning, FindingKind::ReplacementMissing),
        };
        let place = file.place_of_bytes(offset, chunk);
        let message = format!("{}: {message}", file.named());
        self.findings.problem(level, kind, place, message);
    }

    fn tell_invalid_healthy(&mut self, file: &File<'_>) {
        let what = file.if_repair(
            "Invalid chunks_healthy metadata removed!",
            "Invalid chunks_healthy metadata would be removed with --repair!",
        );
        let message = format!("{}: {what}", file.named());
        let kind = FindingKind::HealthyListInvalid;
        self.findings
            .tell(Level::Warning, kind, file.place(), message);
    }

    fn tell_back(
        &mut self,
        file: &File<'_>,
        offset: i128,
        current: &Chunk<'_>,
        wanted: &Chunk<'_>,
    ) {
        let what = file.if_repair(
            "Healed previously missing file chunk!",
            "Missing file chunk would be healed with --repair!",
        );
        let message = format!("{}: {what} {}", file.named(), shown(offset, wanted));
        let place = self.located(file.place_of_bytes(offset, wanted));
        let detail = format!(
            "put chunk {} in the place of {}, bytes {offset}-{} of {} in archive {}",
            wanted.id,
            current.id,
            offset.saturating_add(wanted.size),
            file.shown_path(),
            file.archive,
        );
        self.tell(RepairAction::HealChunk, place.clone(), detail);
        self.findings
            .tell(Level::Info, FindingKind::ChunkBack, place, message);
    }

    fn tell_healed(&mut self, file: &File<'_>) {
        let what = file.if_repair(
            "Completely healed previously damaged file!",
            "Would completely heal damaged file with --repair!",
        );
        let message = format!("{}: {what}", file.named());
        self.findings
            .tell(Level::Info, FindingKind::FileBack, file.place(), message);
    }

    /// Adds where a chunk is stored.
    fn located(&self, place: Place) -> Place {
        let stored = place
            .chunk
            .map(|id| place_of(&self.look(), &id))
            .unwrap_or_default();
        Place {
            segment: stored.segment,
            offset: stored.offset,
            ..place
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Missing {
    New,
    Replacement,
}

/// What the size of an item should be; `None` if stock Borg could not tell. Source: Borg 1.4, `Item.get_size`.
fn size_by_chunks(file: &File<'_>, chunks_size: i128) -> Option<i128> {
    let mode = Reader::new(file.form.value(file.item, b"mode")?)
        .read_i64()
        .ok()?;
    if mode & 0o170_000 != 0o120_000 {
        return Some(chunks_size);
    }
    let target = Reader::new(file.form.value(file.item, b"source")?).read_raw();
    let chars = text::display(target.ok()?).chars().count();
    i128::try_from(chars).ok()
}
