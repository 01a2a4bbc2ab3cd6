//! The stream a tarball is read from: waiting for it can be given up, and it is decompressed on its own thread.

use std::io::{self, Read};

use crossbeam_channel::{Receiver, Sender};
use ironborg_source::SourceFile;

use super::codec::Codec;

/// Plain bytes travel in blocks of this size,
const BLOCK_LEN: usize = 256 << 10;
/// of which so many may wait.
pub(super) const BLOCKS_IN_FLIGHT: usize = 8;
/// How often somebody who waits for a pipe looks whether anybody still wants it.
const POLL_MS: u32 = 100;

/// A file whose reading ends once nobody wants it any more.
pub(super) struct PolledFile<'a, F> {
    file: &'a SourceFile,
    unwanted: F,
}

impl<'a, F: Fn() -> bool> PolledFile<'a, F> {
    pub(super) fn new(file: &'a SourceFile, unwanted: F) -> Self {
        file.advise_sequential();
        Self { file, unwanted }
    }
}

impl<F: Fn() -> bool> Read for PolledFile<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.file.wait_ready(POLL_MS) {
            if (self.unwanted)() {
                return Err(io::Error::other("nobody wants it any more"));
            }
        }
        let failed = |error| io::Error::other(format!("cannot be read: {error}"));
        self.file.read(buffer).map_err(failed)
    }
}

/// A block of plain bytes, or what became of the stream. An empty block is its end.
pub(super) type Block = io::Result<Vec<u8>>;

/// Reads all of a stream, through a codec if there is one, and hands it on.
pub(super) fn pump(input: impl Read + Send, codec: Option<Codec>, blocks: &Sender<Block>) {
    let opened: io::Result<Box<dyn Read + Send>> = match codec {
        Some(codec) => codec.reader(input),
        None => Ok(Box::new(input)),
    };
    let mut reader = match opened {
        Ok(reader) => reader,
        Err(error) => {
            let _ = blocks.send(Err(error));
            return;
        }
    };
    loop {
        let block = read_block(reader.as_mut());
        let last = !block.as_ref().is_ok_and(|block| !block.is_empty());
        if blocks.send(block).is_err() || last {
            return;
        }
    }
}

/// What the reader gives until a block is full; it may have to wait for more only while it has nothing.
fn read_block(reader: &mut dyn Read) -> Block {
    let mut block = vec![0; BLOCK_LEN];
    loop {
        match reader.read(&mut block) {
            Ok(len) => {
                block.truncate(len);
                return Ok(block);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads what [`pump`] hands on.
pub(super) struct TarStream {
    blocks: Receiver<Block>,
    block: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl TarStream {
    pub(super) fn new(blocks: Receiver<Block>) -> Self {
        Self {
            blocks,
            block: Vec::new(),
            taken: 0,
            ended: false,
        }
    }

    /// Adds up to `len` bytes to `out`; fewer only at the end of the stream.
    pub(super) fn read(&mut self, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let mut left = len;
        while left > 0 && self.fill()? {
            let rest = &self.block[self.taken..];
            let now = &rest[..rest.len().min(left)];
            out.extend_from_slice(now);
            self.taken += now.len();
            left -= now.len();
        }
        Ok(())
    }

    /// Passes over bytes; says whether there were as many.
    pub(super) fn skip(&mut self, len: u64) -> io::Result<bool> {
        let mut left = len;
        while left > 0 {
            if !self.fill()? {
                return Ok(false);
            }
            let rest = (self.block.len() - self.taken) as u64;
            let now = rest.min(left);
            self.taken += usize::try_from(now).expect("no more than a block has");
            left -= now;
        }
        Ok(true)
    }

    /// Reads the rest, which nobody needs: only its end says whether all was well.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        while self.fill()? {
            self.taken = self.block.len();
        }
        Ok(())
    }

    /// Sees to it that there are bytes in the block; `false`: there are no more.
    fn fill(&mut self) -> io::Result<bool> {
        if self.taken < self.block.len() {
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        let gone = |_| io::Error::other("the thread that reads the tarball is gone");
        self.block = self.blocks.recv().map_err(gone)??;
        self.taken = 0;
        self.ended = self.block.is_empty();
        Ok(!self.ended)
    }
}
