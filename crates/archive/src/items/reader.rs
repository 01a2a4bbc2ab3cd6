//! The items of an archive, in order.

use std::ops::ControlFlow;

use ironborg_format::item::{ChunkEntry, Item, ItemDecoder, ItemView};
use ironborg_types::{BytePath, ChunkId};

use super::fetch::{ReadAhead, Window};
use crate::ArchiveError;

/// Chunks of an item stream that may be on their way: some 3 MB compressed, what a long line holds.
const ANNOUNCED_MAX: usize = 64;

/// Whether parts of files, left by interrupted backups, count as items (`--consider-part-files`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartFiles {
    /// They are passed over.
    #[default]
    Skip,
    /// They are items like others.
    Consider,
}

/// Streams the items of one archive.
pub struct ItemReader<'a> {
    read_ahead: ReadAhead<'a>,
    ids: &'a [ChunkId],
    window: Window,
    asked: usize,
    taken: usize,
    decoder: ItemDecoder,
    archive: BytePath,
    parts: PartFiles,
    /// A chunk that was taken, with the size of its object; see [`ItemReader::metadata_chunks`].
    sizes: Option<Vec<ChunkEntry>>,
}

impl<'a> ItemReader<'a> {
    /// Reads the items in the chunks `ids`; `archive` names them in errors.
    pub(crate) fn new(
        read_ahead: ReadAhead<'a>,
        ids: &'a [ChunkId],
        archive: BytePath,
        parts: PartFiles,
    ) -> Self {
        let decoder = ItemDecoder::new();
        Self {
            read_ahead,
            ids,
            window: Window::new(ANNOUNCED_MAX),
            asked: 0,
            taken: 0,
            decoder,
            archive,
            parts,
            sizes: None,
        }
    }

    /// Also notes size and stored size of every chunk of the item stream.
    pub(crate) fn note_sizes(&mut self) {
        self.sizes = Some(Vec::with_capacity(self.ids.len()));
    }

    /// What [`ItemReader::note_sizes`] asked for, in stream order.
    pub(crate) fn metadata_chunks(&mut self) -> Vec<ChunkEntry> {
        self.sizes.take().unwrap_or_default()
    }

    /// How many chunks of the item stream were read so far.
    pub fn chunks_read(&self) -> usize {
        self.taken
    }

    /// Decodes the next item into `item`, reusing what it has allocated. False: there are no more.
    pub fn next_into(&mut self, item: &mut Item) -> Result<bool, ArchiveError> {
        loop {
            while !self.decode_into(item)? {
                if !self.feed()? {
                    return self.end().map(|()| false);
                }
            }
            if self.parts == PartFiles::Consider || item.part.is_none() {
                return Ok(true);
            }
        }
    }

    /// Hands every remaining item to `take`, without copying it, until `take` breaks off.
    pub fn for_each<E: From<ArchiveError>>(
        &mut self,
        mut take: impl FnMut(&ItemView<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        loop {
            match self.decoder.next_view() {
                Ok(Some(item)) => {
                    if (self.parts == PartFiles::Consider || item.part.is_none())
                        && take(&item)?.is_break()
                    {
                        return Ok(());
                    }
                }
                Ok(None) => {
                    if !self.feed()? {
                        return Ok(self.end()?);
                    }
                }
                Err(error) => return Err(self.damaged(&error.to_string()).into()),
            }
        }
    }

    /// Calls `use_it` with the next item that `select` lets through, without copying it. `None`: there
    /// are no more.
    pub fn next_selected<T>(
        &mut self,
        select: impl Fn(&ItemView<'_>) -> bool,
        use_it: impl FnOnce(&ItemView<'_>) -> T,
    ) -> Result<Option<T>, ArchiveError> {
        loop {
            match self.decoder.next_view() {
                Ok(Some(item)) => {
                    if (self.parts == PartFiles::Consider || item.part.is_none()) && select(&item) {
                        return Ok(Some(use_it(&item)));
                    }
                }
                Ok(None) => {
                    if !self.feed()? {
                        return self.end().map(|()| None);
                    }
                }
                Err(error) => return Err(self.damaged(&error.to_string())),
            }
        }
    }

    /// Steps over the next item if it is `encoded`, byte for byte. `encoded` is one that the other
    /// functions would hand out.
    pub fn skip_if(&mut self, encoded: &[u8]) -> Result<bool, ArchiveError> {
        loop {
            match self.decoder.skip_if(encoded) {
                Some(skipped) => return Ok(skipped),
                None if self.feed()? => {}
                None => return Ok(false),
            }
        }
    }

    fn decode_into(&mut self, item: &mut Item) -> Result<bool, ArchiveError> {
        self.decoder
            .next_into(item)
            .map_err(|error| self.damaged(&error.to_string()))
    }

    /// Gives the decoder one more chunk. False: that was all.
    fn feed(&mut self) -> Result<bool, ArchiveError> {
        let ids = self.ids;
        let object = |at: usize| (ids[at], 0);
        self.read_ahead
            .announce(&mut self.window, self.taken, ids.len(), object);
        while self.read_ahead.room() > 0
            && let Some(id) = self.ids.get(self.asked)
        {
            self.read_ahead.ask(*id);
            self.asked += 1;
        }
        let Some(outcome) = self.read_ahead.take() else {
            return Ok(false);
        };
        let fetched = outcome?;
        let id = self.ids[self.taken];
        self.taken += 1;
        if let Some(sizes) = &mut self.sizes {
            let len = |n: usize| u32::try_from(n).expect("objects are smaller than 4 GiB");
            let (size, csize) = (len(fetched.plaintext.len()), len(fetched.stored_size));
            sizes.push(ChunkEntry { id, size, csize });
        }
        self.decoder.push(&fetched.plaintext);
        self.read_ahead.recycle(fetched);
        Ok(true)
    }

    /// The stream must end with an item. (Stock Borg takes a torn last item for the end.)
    fn end(&self) -> Result<(), ArchiveError> {
        match self.decoder.pending_len() {
            0 => Ok(()),
            len => Err(self.damaged(&format!("{len} bytes are left after the last whole item"))),
        }
    }

    fn damaged(&self, detail: &str) -> ArchiveError {
        let detail = match self
            .taken
            .checked_sub(1)
            .and_then(|last| self.ids.get(last))
        {
            Some(id) => format!("{detail} (up to chunk {id})"),
            None => detail.to_owned(),
        };
        ArchiveError::Damaged {
            what: "item stream",
            name: self.archive.clone(),
            detail,
        }
    }
}
