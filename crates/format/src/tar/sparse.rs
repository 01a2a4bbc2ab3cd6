//! Maps of files with holes, in the four forms GNU tar has had for them.

use super::number::{self, integer};
use super::{BLOCK_LEN, TarError};

/// Entries of a map; a file has no more extents.
const ENTRIES_MAX: usize = 1 << 23;
/// Where a header has its first entries,
const IN_HEADER: usize = 386;
const IN_HEADER_COUNT: usize = 4;
/// whether more follow,
const EXTENDED_AT: usize = 482;
/// and how long the file really is.
const REAL_SIZE: std::ops::Range<usize> = 483..495;
/// Entries of a block that follows, and where it tells whether another one does.
const IN_BLOCK_COUNT: usize = 21;
const BLOCK_EXTENDED_AT: usize = 504;
const ENTRY_LEN: usize = 24;

pub(super) type Map = Vec<(u64, u64)>;

/// The old form: a header with a few entries and blocks with more.
#[derive(Debug)]
pub(super) struct OldMap {
    pub(super) map: Map,
    pub(super) more: bool,
    pub(super) real_size: i128,
}

impl OldMap {
    pub(super) fn of_header(block: &[u8; BLOCK_LEN]) -> Result<Self, TarError> {
        let mut map = Map::new();
        for index in 0..IN_HEADER_COUNT {
            map.push(old_entry(block, IN_HEADER + index * ENTRY_LEN)?);
        }
        let real_size = number::read(&block[REAL_SIZE]);
        Ok(Self {
            map,
            more: block[EXTENDED_AT] != 0,
            real_size: real_size.ok_or(TarError::InvalidHeader("invalid header"))?,
        })
    }

    /// Takes one block more.
    pub(super) fn extend(&mut self, block: &[u8; BLOCK_LEN]) -> Result<(), TarError> {
        for index in 0..IN_BLOCK_COUNT {
            let entry = old_entry(block, index * ENTRY_LEN)?;
            if entry.0 > 0 && entry.1 > 0 {
                push(&mut self.map, entry)?;
            }
        }
        self.more = block[BLOCK_EXTENDED_AT] != 0;
        Ok(())
    }
}

fn old_entry(block: &[u8; BLOCK_LEN], at: usize) -> Result<(u64, u64), TarError> {
    let field = |at: usize| {
        let number = number::read(&block[at..at + ENTRY_LEN / 2]);
        super::member::length(number.ok_or(TarError::InvalidHeader("invalid header"))?)
    };
    Ok((field(at)?, field(at + ENTRY_LEN / 2)?))
}

fn push(map: &mut Map, entry: (u64, u64)) -> Result<(), TarError> {
    if map.len() >= ENTRIES_MAX {
        let (what, len) = ("sparse map", map.len() as u64);
        return Err(TarError::TooLarge { what, len });
    }
    map.push(entry);
    Ok(())
}

/// pax 0.0: a record for each number; only the last of them is in a list of records.
pub(super) fn of_payload(payload: &[u8]) -> Result<Map, TarError> {
    let offsets = numbers_of(payload, b"GNU.sparse.offset=")?;
    let lengths = numbers_of(payload, b"GNU.sparse.numbytes=")?;
    Ok(offsets.into_iter().zip(lengths).collect())
}

/// The numbers of all records `DIGITS KEYWORD=NUMBER\n`.
fn numbers_of(payload: &[u8], keyword: &[u8]) -> Result<Vec<u64>, TarError> {
    let mut numbers = Vec::new();
    for line in payload.split(|byte| *byte == b'\n') {
        let Some(at) = line.windows(keyword.len()).position(|part| part == keyword) else {
            continue;
        };
        let before = &line[..at];
        let has_length = before
            .strip_suffix(b" ")
            .and_then(|digits| digits.last())
            .is_some_and(u8::is_ascii_digit);
        let digits = &line[at + keyword.len()..];
        if has_length && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
            numbers.push(entry_number(digits)?);
        }
    }
    Ok(numbers)
}

/// pax 0.1: all numbers in one record.
pub(super) fn of_record(value: &[u8]) -> Result<Map, TarError> {
    let numbers: Result<Vec<u64>, TarError> = value
        .split(|byte| *byte == b',')
        .map(entry_number)
        .collect();
    Ok(pairs(&numbers?))
}

fn entry_number(text: &[u8]) -> Result<u64, TarError> {
    let what = "sparse map";
    let number = integer(text, 10).and_then(|number| super::member::length(number).ok());
    number.ok_or(TarError::InvalidNumber { what })
}

fn pairs(numbers: &[u64]) -> Map {
    numbers
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect()
}

/// pax 1.0: the map comes before the content, a number a line, in whole blocks.
#[derive(Debug, Default)]
pub(super) struct MapInData {
    line: Vec<u8>,
    numbers: Vec<u64>,
    wanted: Option<usize>,
    /// Bytes taken.
    pub(super) len: u64,
}

impl MapInData {
    /// Takes one block; gives the map once it is whole.
    pub(super) fn take(&mut self, block: &[u8; BLOCK_LEN]) -> Result<Option<Map>, TarError> {
        self.len += BLOCK_LEN as u64;
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > 2 * BLOCK_LEN {
                    return Err(TarError::InvalidSparseMap);
                }
                continue;
            }
            let number = entry_number(&self.line)?;
            self.line.clear();
            let Some(wanted) = self.wanted else {
                let count = usize::try_from(number).ok();
                let count = count.filter(|count| *count <= ENTRIES_MAX);
                let (what, len) = ("sparse map", number);
                self.wanted = Some(2 * count.ok_or(TarError::TooLarge { what, len })?);
                if number == 0 {
                    return Ok(Some(Map::new()));
                }
                continue;
            };
            self.numbers.push(number);
            if self.numbers.len() == wanted {
                return Ok(Some(pairs(&self.numbers)));
            }
        }
        Ok(None)
    }
}
