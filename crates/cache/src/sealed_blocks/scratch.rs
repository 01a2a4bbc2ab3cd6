//! Bytes that are still being worked on.

use std::path::PathBuf;

use ironborg_crypto::{BLOCK_TAG_LEN, BlockAddress, BlockSeal, Key, random_block_salt};
use ironborg_storage::Spool;

use super::{SEALED_BLOCK_LEN, STORED_LEN};
use crate::CacheError;

/// An array of bytes that grows at its end and may be changed anywhere. Only so much of it is in memory; the rest is in
/// a file without a name, sealed, or in memory as well if there is no room for such a file.
pub struct ScratchBytes {
    pages: Vec<Page>,
    len: u64,
    /// How many pages are in memory, and how many may be.
    resident: usize,
    resident_max: usize,
    /// The page that is looked at next when one has to go.
    hand: usize,
    out: Out,
    seal: BlockSeal,
}

struct Page {
    bytes: Option<Box<[u8; SEALED_BLOCK_LEN]>>,
    /// How often it was written out.
    written: u32,
    is_dirty: bool,
    /// Whether it was used since the hand came by.
    is_used: bool,
}

enum Out {
    /// No page was written yet; the directory for them.
    Directory(PathBuf),
    Spool(Spool),
    /// None can be written.
    Nowhere,
}

impl ScratchBytes {
    /// Nothing yet. `memory`: how many bytes of it may be in memory; `directory`: where the rest goes.
    ///
    /// # Errors
    /// No random numbers.
    pub fn new(key: &Key, memory: usize, directory: PathBuf) -> Result<Self, CacheError> {
        let salt = random_block_salt()?;
        Ok(Self {
            pages: Vec::new(),
            len: 0,
            resident: 0,
            resident_max: (memory / SEALED_BLOCK_LEN).max(2),
            hand: 0,
            out: Out::Directory(directory),
            seal: key.block_seal(&salt, &[b"scratch"]),
        })
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// What was written out cannot be read back.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (page, at) = place(self.len);
            if page == self.pages.len() {
                self.make_room();
                self.pages.push(Page {
                    bytes: Some(empty_page()),
                    written: 0,
                    is_dirty: true,
                    is_used: true,
                });
                self.resident += 1;
            }
            let room = &mut self.page(page, true)?[at..];
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            self.len += count as u64;
        }
        Ok(())
    }

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// What was written out cannot be read back.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn read(&mut self, mut offset: u64, out: &mut [u8]) -> Result<(), CacheError> {
        self.check_range(offset, out.len());
        let mut out = out;
        while !out.is_empty() {
            let (page, at) = place(offset);
            let bytes = &self.page(page, false)?[at..];
            let count = bytes.len().min(out.len());
            out[..count].copy_from_slice(&bytes[..count]);
            out = &mut out[count..];
            offset += count as u64;
        }
        Ok(())
    }

    /// Replaces bytes from `offset` on.
    ///
    /// # Errors
    /// What was written out cannot be read back.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn write(&mut self, mut offset: u64, bytes: &[u8]) -> Result<(), CacheError> {
        self.check_range(offset, bytes.len());
        let mut rest = bytes;
        while !rest.is_empty() {
            let (page, at) = place(offset);
            let room = &mut self.page(page, true)?[at..];
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            offset += count as u64;
        }
        Ok(())
    }

    fn check_range(&self, offset: u64, len: usize) {
        let end = offset.checked_add(len as u64);
        assert!(
            end.is_some_and(|end| end <= self.len),
            "what is asked for was appended before"
        );
    }

    /// A page, brought back to memory if it is not there.
    fn page(
        &mut self,
        number: usize,
        to_write: bool,
    ) -> Result<&mut [u8; SEALED_BLOCK_LEN], CacheError> {
        if self.pages[number].bytes.is_none() {
            self.make_room();
            let bytes = self.read_back(number)?;
            self.pages[number].bytes = Some(bytes);
            self.resident += 1;
        }
        let page = &mut self.pages[number];
        page.is_used = true;
        page.is_dirty |= to_write;
        Ok(page.bytes.as_mut().expect("it was brought back"))
    }

    /// Sees to it that one more page can be in memory.
    fn make_room(&mut self) {
        while self.resident >= self.resident_max && !matches!(self.out, Out::Nowhere) {
            self.hand = (self.hand + 1) % self.pages.len();
            let page = &mut self.pages[self.hand];
            if page.bytes.is_none() || std::mem::take(&mut page.is_used) {
                continue;
            }
            if page.is_dirty && !self.write_out(self.hand) {
                // A full disk: it stays in memory, as all that comes.
                self.resident_max = usize::MAX;
                return;
            }
            self.pages[self.hand].bytes = None;
            self.resident -= 1;
        }
    }

    /// False: there is no room for it.
    fn write_out(&mut self, number: usize) -> bool {
        if let Out::Directory(directory) = &self.out {
            self.out = Spool::create(directory).map_or(Out::Nowhere, Out::Spool);
        }
        let page = &mut self.pages[number];
        let bytes = page.bytes.as_ref().expect("only such pages are written");
        let Out::Spool(spool) = &mut self.out else {
            return false;
        };
        let mut sealed = Vec::with_capacity(STORED_LEN);
        sealed.extend_from_slice(bytes.as_slice());
        page.written += 1;
        let tag = self.seal.seal(address(number, page.written), &mut sealed);
        sealed.extend_from_slice(&tag);
        page.is_dirty = spool
            .write_at(number as u64 * STORED_LEN as u64, &sealed)
            .is_err();
        !page.is_dirty
    }

    fn read_back(&mut self, number: usize) -> Result<Box<[u8; SEALED_BLOCK_LEN]>, CacheError> {
        let Out::Spool(spool) = &self.out else {
            unreachable!("pages leave memory for a spool only");
        };
        let mut sealed = vec![0; STORED_LEN];
        spool.read_exact_at(number as u64 * STORED_LEN as u64, &mut sealed)?;
        let tag: [u8; BLOCK_TAG_LEN] = *sealed[SEALED_BLOCK_LEN..]
            .first_chunk()
            .expect("the tag is what is left");
        sealed.truncate(SEALED_BLOCK_LEN);
        let address = address(number, self.pages[number].written);
        if !self.seal.open(address, &mut sealed, &tag) {
            return Err(CacheError::Damaged {
                path: "a temporary file".into(),
            });
        }
        let bytes: Box<[u8]> = sealed.into();
        Ok(bytes.try_into().expect("it was cut to this length"))
    }
}

impl std::fmt::Debug for ScratchBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScratchBytes")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

fn address(page: usize, written: u32) -> BlockAddress {
    BlockAddress {
        number: page as u64,
        generation: written,
    }
}

fn empty_page() -> Box<[u8; SEALED_BLOCK_LEN]> {
    let bytes = vec![0; SEALED_BLOCK_LEN].into_boxed_slice();
    bytes.try_into().expect("it was made so long")
}

/// The page an offset is in, and where there.
fn place(offset: u64) -> (usize, usize) {
    let block = SEALED_BLOCK_LEN as u64;
    let page = usize::try_from(offset / block).expect("what was appended fits into memory or disk");
    let at = usize::try_from(offset % block).expect("below the length of a page");
    (page, at)
}
