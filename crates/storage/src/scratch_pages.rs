//! Pages of a table that may be larger than the memory there is for it: some are in memory, the others in a file without a
//! name.
//!
//! What is in them is no secret where the repository is: ids and places of objects. Nothing of it outlives the process.

use std::path::PathBuf;

use ironborg_format::hashindex::{PagedTable, Pages};

use crate::{Spool, StorageError};

/// Not in memory.
const OUT: u32 = u32::MAX;
/// Pages that are in memory at least: whoever looks at one and changes another does not wait for either.
const RESIDENT_MIN: usize = 4;

/// A table that takes little memory however large it is.
pub type ScratchTable<const V: usize> = PagedTable<V, ScratchPages>;

/// Room for tables outside of memory.
#[derive(Debug, Clone)]
pub struct ScratchSpace {
    /// Where files may be; made if it is missing.
    pub directory: PathBuf,
    /// Bytes that may be in memory of one table.
    pub memory_len: u64,
}

impl ScratchSpace {
    /// Pages of a table to be made, to tell it where they are kept.
    pub fn pages(&self) -> ScratchPages {
        ScratchPages {
            space: self.clone(),
            blank: Vec::new(),
            resident_max: 0,
            places: Vec::new(),
            is_written: Vec::new(),
            resident: Vec::new(),
            hand: 0,
            out: Out::Unopened,
        }
    }
}

/// The pages of one table.
#[derive(Debug)]
pub struct ScratchPages {
    space: ScratchSpace,
    blank: Vec<u8>,
    resident_max: usize,
    /// Where each page is in `resident`, or [`OUT`].
    places: Vec<u32>,
    /// A bit for each page: the file has it.
    is_written: Vec<u64>,
    resident: Vec<Resident>,
    /// Which page in memory is looked at next when one has to go.
    hand: usize,
    out: Out,
}

#[derive(Debug)]
struct Resident {
    number: usize,
    bytes: Box<[u8]>,
    is_used: bool,
    is_dirty: bool,
}

#[derive(Debug)]
enum Out {
    Unopened,
    Spool(Spool),
    /// There is no room: everything stays in memory.
    Nowhere,
}

impl Pages for ScratchPages {
    type Error = StorageError;

    fn anew(&self, count: usize, blank: Vec<u8>) -> Self {
        // While a table is made larger there are two.
        let share = self.space.memory_len / 2 / blank.len().max(1) as u64;
        Self {
            resident_max: usize::try_from(share)
                .unwrap_or(usize::MAX)
                .max(RESIDENT_MIN),
            places: vec![OUT; count],
            is_written: vec![0; count.div_ceil(64)],
            blank,
            ..self.space.pages()
        }
    }

    fn page(&mut self, number: usize) -> Result<&[u8], StorageError> {
        Ok(&self.resident(number)?.bytes)
    }

    fn page_mut(&mut self, number: usize) -> Result<&mut [u8], StorageError> {
        let resident = self.resident(number)?;
        resident.is_dirty = true;
        Ok(&mut resident.bytes)
    }
}

impl ScratchPages {
    fn resident(&mut self, number: usize) -> Result<&mut Resident, StorageError> {
        if self.places[number] == OUT {
            self.bring(number)?;
        }
        let resident = &mut self.resident[self.places[number] as usize];
        resident.is_used = true;
        Ok(resident)
    }

    /// Brings a page into memory, in the place of another one if need be.
    fn bring(&mut self, number: usize) -> Result<(), StorageError> {
        let is_written = self.is_written[number / 64] >> (number % 64) & 1 == 1;
        let place = if self.resident.len() >= self.resident_max {
            self.give_up_one()
        } else {
            None
        };
        let place = place.unwrap_or_else(|| {
            self.resident.push(Resident {
                number,
                bytes: self.blank.clone().into_boxed_slice(),
                is_used: false,
                is_dirty: false,
            });
            self.resident.len() - 1
        });
        let resident = &mut self.resident[place];
        if is_written {
            let Out::Spool(spool) = &self.out else {
                unreachable!("what was written is in a spool");
            };
            let len = self.blank.len();
            spool.read_exact_at(number as u64 * len as u64, &mut resident.bytes)?;
        } else {
            resident.bytes.copy_from_slice(&self.blank);
        }
        (resident.number, resident.is_dirty) = (number, false);
        self.places[number] = u32::try_from(place).expect("fewer pages than a table has buckets");
        Ok(())
    }

    /// Sends one page out that was not used for a while, and gives its place; `None` if there is no room for it elsewhere.
    fn give_up_one(&mut self) -> Option<usize> {
        loop {
            if matches!(self.out, Out::Nowhere) {
                return None;
            }
            self.hand = (self.hand + 1) % self.resident.len();
            let Resident {
                number,
                bytes,
                is_used,
                is_dirty,
            } = &mut self.resident[self.hand];
            if std::mem::take(is_used) {
                continue;
            }
            let number = *number;
            if *is_dirty {
                if matches!(self.out, Out::Unopened) {
                    let created = Spool::create(&self.space.directory);
                    self.out = created.map_or(Out::Nowhere, Out::Spool);
                }
                let Out::Spool(spool) = &mut self.out else {
                    return None;
                };
                if spool
                    .write_at(number as u64 * bytes.len() as u64, bytes)
                    .is_err()
                {
                    // A full disk: it stays in memory, as all that comes. What is out already can be read.
                    self.resident_max = usize::MAX;
                    return None;
                }
                self.is_written[number / 64] |= 1 << (number % 64);
            }
            self.places[number] = OUT;
            return Some(self.hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use ironborg_format::hashindex::HashIndex;

    use super::*;

    fn key(number: u32) -> [u8; 32] {
        let mut key = [5; 32];
        key[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_le_bytes());
        key[4..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn a_table_is_the_same_however_little_of_it_is_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        // The last one has no directory to write to.
        let missing = dir.path().join("file");
        std::fs::write(&missing, b"").unwrap();
        for (directory, memory_len) in [
            (dir.path().join("made"), 0),
            (dir.path().to_owned(), 40_000),
            (dir.path().to_owned(), 1 << 30),
            (missing, 0),
        ] {
            let space = ScratchSpace {
                directory,
                memory_len,
            };
            let mut plain = HashIndex::<8>::new();
            let mut table = ScratchTable::<8>::with_capacity(&space.pages(), 0);
            for number in 0..6000_u32 {
                let mut value = [1; 8];
                value[..4].copy_from_slice(&number.to_le_bytes());
                plain.insert(&key(number), &value);
                assert_eq!(table.insert(&key(number), &value).unwrap(), None);
                if number % 3 == 0 {
                    plain.remove(&key(number / 2));
                    table.remove(&key(number / 2)).unwrap();
                }
            }
            let mut file = table.header().to_vec();
            let mut number = 0;
            while let Some(buckets) = table.buckets_of(number).unwrap() {
                file.extend_from_slice(buckets);
                number += 1;
            }
            assert!(file == plain.as_bytes(), "{space:?}");
        }
    }
}
