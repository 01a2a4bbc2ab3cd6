//! Tables: what the entries of a segment do, without their objects. They are kept on this machine where segments are far
//! away, so that a replay need not fetch them again.
//!
//! Layout: docs/format.md, "Copies on this machine".

use ironborg_types::{ChunkId, SegmentId};

use super::{Entries, SegmentLog};
use crate::RepositoryError;
use crate::index::EntryLocation;
use crate::replay::{Change, ChangeKind};

/// First bytes of a table.
const MAGIC: [u8; 8] = *b"IRONTAB1";
/// Kind, id, offset, size, size of what was superseded.
const ROW_LEN: usize = 1 + ChunkId::LEN + 4 + 4 + 4;

/// The changes of one segment, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
}

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) change: Change,
    /// Of a DELETE: bytes of the entry that was the current one, 0 if that is not known or there was none.
    pub(crate) superseded: u32,
}

impl Table {
    /// The table's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAGIC.len() + self.rows.len() * ROW_LEN);
        bytes.extend_from_slice(&MAGIC);
        for Row { change, superseded } in &self.rows {
            bytes.push(match change.kind() {
                ChangeKind::Put => 0,
                ChangeKind::Delete => 1,
            });
            bytes.extend_from_slice(&change.id().0);
            for number in [change.offset(), change.size(), *superseded] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads a table; `None` if it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rows = bytes.strip_prefix(&MAGIC)?;
        let (rows, rest) = rows.as_chunks::<ROW_LEN>();
        let rows: Option<Vec<Row>> = rows.iter().map(decode_row).collect();
        let rows = rows.filter(|_| rest.is_empty())?;
        Some(Self { rows })
    }
}

fn decode_row(row: &[u8; ROW_LEN]) -> Option<Row> {
    let (kind, rest) = row.split_first()?;
    let (id, rest) = rest.split_first_chunk::<{ ChunkId::LEN }>()?;
    let kind = match kind {
        0 => ChangeKind::Put,
        1 => ChangeKind::Delete,
        _ => return None,
    };
    let number = |at: usize| {
        let bytes = rest.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    Some(Row {
        change: Change::new(kind, ChunkId(*id), number(0)?, number(4)?),
        superseded: number(8)?,
    })
}

/// The tables of a transaction, as it is written.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Complete ones, and that of the segment being written.
    written: Vec<(SegmentId, Table)>,
    /// Rows that may still be added: an index is written sooner than so much is of use.
    room: usize,
}

impl Tables {
    pub(super) fn with_room(rows: usize) -> Self {
        Self {
            written: Vec::new(),
            room: rows,
        }
    }

    pub(super) fn note(&mut self, segment: SegmentId, row: Row) {
        if self.room == 0 {
            return;
        }
        self.begin(segment);
        self.room -= 1;
        if self.room == 0 {
            self.written = Vec::new();
        }
        if let Some((_, table)) = self.written.last_mut() {
            table.rows.push(row);
        }
    }

    /// The table of a segment begins, if it has not yet. One with a COMMIT only has no rows.
    pub(super) fn begin(&mut self, segment: SegmentId) {
        let is_last = self
            .written
            .last()
            .is_some_and(|(last, _)| *last == segment);
        if self.room > 0 && !is_last {
            self.written.push((segment, Table::default()));
        }
    }
}

impl SegmentLog {
    /// A transaction begins, of whose tables at most so many rows are of use.
    pub(crate) fn note_tables(&mut self, rows: usize) {
        self.tables = Tables::with_room(rows);
        self.written_len = 0;
    }

    /// Whether segments are far away.
    pub(crate) fn is_distant(&self) -> bool {
        self.storage.distant().is_some()
    }

    /// Bytes of entries the transaction has written.
    pub(crate) fn written_len(&self) -> u64 {
        self.written_len
    }

    pub(super) fn note(
        &mut self,
        at: EntryLocation,
        (kind, id, size): (ChangeKind, &ChunkId, u32),
        superseded: u32,
    ) {
        let change = Change::new(kind, *id, at.offset, size);
        self.tables.note(at.segment, Row { change, superseded });
    }

    /// The table of a segment, if it is kept here.
    pub(crate) fn kept_table(&self, segment: SegmentId) -> Option<Table> {
        let note = self.storage.distant()?.recall(&self.name(segment))?;
        Table::decode(&note)
    }

    /// Keeps the table of a segment, where that is of use.
    pub(crate) fn keep_table(&self, segment: SegmentId, table: &Table) {
        if let Some(distant) = self.storage.distant() {
            distant.remember(&self.name(segment), &table.encode());
        }
    }

    /// Keeps the tables of the transaction that was committed.
    pub(crate) fn keep_tables(&mut self) {
        for (segment, table) in std::mem::take(&mut self.tables).written {
            self.keep_table(segment, &table);
        }
    }

    /// Removes the tables of segments an index knows.
    pub(crate) fn forget_tables(&self, index: SegmentId) {
        let Some(distant) = self.storage.distant() else {
            return;
        };
        distant.forget_notes(&|name| {
            let number = name.rsplit_once('/').map(|(_, last)| last.parse::<u32>());
            matches!(number, Some(Ok(number)) if number > index.0)
        });
    }

    /// The table of a segment, read entry by entry if it is not kept; then it is kept. What was superseded is not known
    /// then.
    ///
    /// # Errors
    /// [`RepositoryError::BadEntry`] for damage anywhere in it.
    pub(crate) fn table(&self, segment: SegmentId) -> Result<Table, RepositoryError> {
        if let Some(table) = self.kept_table(segment) {
            return Ok(table);
        }
        let mut table = Table::default();
        self.for_each_change(segment, |change| {
            let superseded = 0;
            table.rows.push(Row { change, superseded });
            Ok(())
        })?;
        self.keep_table(segment, &table);
        Ok(table)
    }

    /// Reads a segment to its end, every entry checked against its checksum.
    pub(crate) fn for_each_change(
        &self,
        segment: SegmentId,
        mut take: impl FnMut(Change) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut entries = Entries::ahead(self, segment)?;
        while let Some(found) = entries.next(self)? {
            if let Some(change) = Change::of(&found) {
                take(change)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_as_it_was_written_and_a_piece_of_one_does_not() {
        let row = |kind, id, superseded| Row {
            change: Change::new(kind, ChunkId([id; 32]), 8, 1000),
            superseded,
        };
        let table = Table {
            rows: vec![row(ChangeKind::Put, 1, 0), row(ChangeKind::Delete, 2, 77)],
        };
        let bytes = table.encode();
        assert_eq!(bytes.len(), 8 + 2 * 45);
        assert_eq!(Table::decode(&bytes), Some(table));
        assert_eq!(Table::decode(&bytes[..8]), Some(Table::default()));
        for len in (0..bytes.len()).filter(|len| *len != 8 && *len != 8 + 45) {
            assert_eq!(Table::decode(&bytes[..len]), None, "{len}");
        }
        let mut odd = bytes;
        odd[8] = 2;
        assert_eq!(Table::decode(&odd), None);
    }

    #[test]
    fn no_more_is_noted_than_is_of_use() {
        let mut tables = Tables::with_room(3);
        let row = Row {
            change: Change::new(ChangeKind::Delete, ChunkId([1; 32]), 8, 41),
            superseded: 0,
        };
        tables.note(SegmentId(3), row);
        tables.note(SegmentId(4), row);
        tables.begin(SegmentId(5));
        assert_eq!(tables.written.len(), 3);
        tables.note(SegmentId(6), row);
        tables.note(SegmentId(7), row);
        tables.begin(SegmentId(8));
        assert!(tables.written.is_empty());
    }
}
