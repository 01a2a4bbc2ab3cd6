//! A writer that compresses on several threads.

use std::io::{self, Write};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::codec::{BlockCompressor, Codec, CompressedBlock, GZIP_HEAD, gzip_tail};
use super::in_order::InOrder;

/// A number, and a block or what came of it.
type Numbered<T> = (u64, T);

/// Calls `use_it` with a writer whose bytes reach `out` compressed, then finishes the file.
///
/// Memory: two blocks a thread and what came of them.
///
/// # Errors
/// What `use_it` gives; what writing the rest to `out` gives, through `failed`.
pub fn with_compressor<E>(
    codec: Codec,
    threads: usize,
    out: &mut dyn Write,
    failed: impl FnOnce(io::Error) -> E,
    use_it: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.clamp(1, codec.threads_max());
    let (job_tx, job_rx) = bounded(threads);
    let (done_tx, done_rx) = bounded(2 * threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (jobs, done) = (job_rx.clone(), done_tx.clone());
            scope.spawn(move || work(codec, &jobs, &done));
        }
        drop((job_rx, done_tx)); // Only workers may hold these ends, or nobody ever ends.
        let mut compressor = Compressor {
            codec,
            block: Vec::with_capacity(codec.block_len()),
            limit: 2 * threads as u64,
            jobs: job_tx,
            done: done_rx,
            sent: 0,
            ready: InOrder::default(),
            crc: crc32fast::Hasher::new(),
            plain_len: 0,
            has_head: false,
            out,
        };
        use_it(&mut compressor)?;
        compressor.finish().map_err(failed)
    })
}

fn work(
    codec: Codec,
    jobs: &Receiver<Numbered<Vec<u8>>>,
    done: &Sender<Numbered<io::Result<CompressedBlock>>>,
) {
    let mut compressor = BlockCompressor::new(codec);
    for (number, block) in jobs {
        let outcome = match &mut compressor {
            Ok(compressor) => compressor.compress(&block),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        if done.send((number, outcome)).is_err() {
            return; // The operation is over.
        }
    }
}

/// See [`with_compressor`].
struct Compressor<'a> {
    codec: Codec,
    /// What is being collected.
    block: Vec<u8>,
    /// So many blocks may be under way.
    limit: u64,
    jobs: Sender<Numbered<Vec<u8>>>,
    done: Receiver<Numbered<io::Result<CompressedBlock>>>,
    sent: u64,
    ready: InOrder<io::Result<CompressedBlock>>,
    crc: crc32fast::Hasher,
    plain_len: u64,
    has_head: bool,
    out: &'a mut dyn Write,
}

impl Compressor<'_> {
    fn send(&mut self) -> io::Result<()> {
        while self.sent - self.ready.taken() >= self.limit {
            self.write_next()?;
        }
        let empty = Vec::with_capacity(self.codec.block_len());
        let block = std::mem::replace(&mut self.block, empty);
        let gone = |_| io::Error::other("a thread that compresses is gone");
        self.jobs.send((self.sent, block)).map_err(gone)?;
        self.sent += 1;
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<()> {
        let block = loop {
            if let Some(block) = self.ready.next() {
                break block?;
            }
            let gone = |_| io::Error::other("a thread that compresses is gone");
            let (number, block) = self.done.recv().map_err(gone)?;
            self.ready.put(number, block);
        };
        if self.codec == Codec::Gzip && !self.has_head {
            self.out.write_all(&GZIP_HEAD)?;
            self.has_head = true;
        }
        self.crc.combine(&block.crc);
        self.plain_len += block.plain_len as u64;
        self.out.write_all(&block.bytes)
    }

    fn finish(mut self) -> io::Result<()> {
        // Nothing at all becomes one empty block, for an empty file is no compressed one.
        if !self.block.is_empty() || self.sent == 0 {
            self.send()?;
        }
        while self.ready.taken() < self.sent {
            self.write_next()?;
        }
        if self.codec == Codec::Gzip {
            let crc = self.crc.clone().finalize();
            self.out.write_all(&gzip_tail(crc, self.plain_len))?;
        }
        self.out.flush()
    }
}

impl Write for Compressor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.codec.block_len() - self.block.len();
        let len = bytes.len().min(room);
        self.block.extend_from_slice(&bytes[..len]);
        if len == room {
            self.send()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn compressed(codec: Codec, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        with_compressor(
            codec,
            3,
            &mut out,
            |error| error,
            |writer| {
                // In pieces that know nothing of blocks.
                plain
                    .chunks(70_000)
                    .try_for_each(|piece| writer.write_all(piece))
            },
        )
        .unwrap();
        out
    }

    fn plain(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        codec.reader(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_codec_gives_back_what_it_got() {
        let mut random = ironborg_testkit::Random::new(5);
        let mut content = random.bytes(400_000);
        content.extend(vec![b'z'; 4_500_000]);
        for codec in [
            Codec::Gzip,
            Codec::Bzip2,
            Codec::Xz,
            Codec::Lz4,
            Codec::Zstd,
        ] {
            for content in [&content[..], &content[..Codec::Gzip.block_len()], b""] {
                let file = compressed(codec, content);
                assert!(plain(codec, &file).unwrap() == content, "{codec:?}");
                // Two files one behind the other are both read.
                let twice = plain(codec, &[&file[..], &file].concat()).unwrap();
                assert_eq!(twice.len(), 2 * content.len(), "{codec:?}");
                let cut = plain(codec, &file[..file.len() - 3]);
                assert!(cut.is_err(), "{codec:?} takes half a file for a whole one");
            }
            assert!(plain(codec, b"no such thing, whatever it may be").is_err());
        }
    }

    #[test]
    fn names_say_what_is_in_a_file() {
        assert_eq!(Codec::of_name(b"x.tar.zst"), Some(Codec::Zstd));
        assert_eq!(Codec::of_name(b".tgz"), Some(Codec::Gzip));
        assert_eq!(Codec::of_name(b"x.gz"), None);
        assert_eq!(Codec::of_name(b"-"), None);
    }
}
