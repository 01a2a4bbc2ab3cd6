//! The compressors tarballs come in.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::{Compress, Compression, FlushCompress};

/// A compressed form that files are recognised by, by the ending of their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// `.tar.gz`, `.tgz`
    Gzip,
    /// `.tar.bz2`, `.tbz`
    Bzip2,
    /// `.tar.xz`, `.txz`
    Xz,
    /// `.tar.lz4`
    Lz4,
    /// `.tar.zstd`, `.tar.zst`
    Zstd,
}

/// Endings of names and what they stand for.
const ENDINGS: [(&str, Codec); 9] = [
    (".tar.gz", Codec::Gzip),
    (".tgz", Codec::Gzip),
    (".tar.bz2", Codec::Bzip2),
    (".tbz", Codec::Bzip2),
    (".tar.xz", Codec::Xz),
    (".txz", Codec::Xz),
    (".tar.lz4", Codec::Lz4),
    (".tar.zstd", Codec::Zstd),
    (".tar.zst", Codec::Zstd),
];

/// Memory an xz stream may ask of its reader.
const XZ_MEMORY_MAX: u64 = 1 << 30;
/// Levels: those the programs have as their own.
const XZ_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// More threads than this gain nothing but need a dictionary of 100 MB each.
const XZ_THREADS_MAX: usize = 4;

impl Codec {
    /// The codec a file of this name is in, if its ending is one of those stock Borg knows.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        let found = ENDINGS
            .iter()
            .find(|(end, _)| name.ends_with(end.as_bytes()));
        found.map(|(_, codec)| *codec)
    }

    /// The program stock Borg compresses with.
    pub fn program(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// How many bytes are compressed at once, by themselves: less would cost much of the ratio.
    pub(super) fn block_len(self) -> usize {
        match self {
            Self::Gzip => 1 << 20,
            Self::Bzip2 => 4 * 900_000,
            Self::Xz => 16 << 20,
            Self::Lz4 | Self::Zstd => 4 << 20,
        }
    }

    /// On how many threads, at most.
    pub(super) fn threads_max(self) -> usize {
        match self {
            Self::Xz => XZ_THREADS_MAX,
            _ => usize::MAX,
        }
    }

    /// What reads a compressed stream, all of the streams one behind the other.
    pub fn reader<'a>(self, input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        let input = BufReader::with_capacity(256 << 10, input);
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Self::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, flags)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Self::Lz4 => Box::new(Lz4Frames(lz4_flex::frame::FrameDecoder::new(input))),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        })
    }
}

/// All frames of an lz4 file: the decoder stops behind each.
struct Lz4Frames<R: Read>(lz4_flex::frame::FrameDecoder<R>);

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(out)? {
                0 if !out.is_empty() && !self.0.get_mut().fill_buf()?.is_empty() => {}
                count => return Ok(count),
            }
        }
    }
}

/// Compresses blocks on one thread.
pub(super) struct BlockCompressor {
    codec: Codec,
    deflate: Option<Compress>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

/// A compressed block, and what has to be known of the plain one.
pub(super) struct CompressedBlock {
    pub(super) bytes: Vec<u8>,
    pub(super) crc: crc32fast::Hasher,
    pub(super) plain_len: usize,
}

impl BlockCompressor {
    pub(super) fn new(codec: Codec) -> io::Result<Self> {
        let mut zstd = None;
        if codec == Codec::Zstd {
            let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
            compressor.include_checksum(true)?;
            zstd = Some(compressor);
        }
        let deflate = (codec == Codec::Gzip).then(|| Compress::new(Compression::default(), false));
        Ok(Self {
            codec,
            deflate,
            zstd,
        })
    }

    /// Compresses a block; the results of all, one behind the other and between head and tail, are a file.
    pub(super) fn compress(&mut self, block: &[u8]) -> io::Result<CompressedBlock> {
        let mut crc = crc32fast::Hasher::new();
        let bytes = match self.codec {
            Codec::Gzip => {
                crc.update(block);
                let deflate = self.deflate.as_mut().expect("made for this codec");
                deflate_block(deflate, block)?
            }
            Codec::Zstd => {
                let zstd = self.zstd.as_mut().expect("made for this codec");
                zstd.compress(block)?
            }
            Codec::Bzip2 => {
                let level = bzip2::Compression::best();
                let mut writer = bzip2::write::BzEncoder::new(Vec::new(), level);
                writer.write_all(block)?;
                writer.finish()?
            }
            Codec::Xz => {
                let mut writer = liblzma::write::XzEncoder::new(Vec::new(), XZ_LEVEL);
                writer.write_all(block)?;
                writer.finish()?
            }
            Codec::Lz4 => {
                let frame = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max4MB)
                    .content_checksum(true);
                let mut writer = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
                writer.write_all(block)?;
                writer.finish().map_err(io::Error::other)?
            }
        };
        Ok(CompressedBlock {
            bytes,
            crc,
            plain_len: block.len(),
        })
    }
}

/// Deflates a block so that others can follow: it ends at a byte, and is not marked as the last.
fn deflate_block(deflate: &mut Compress, block: &[u8]) -> io::Result<Vec<u8>> {
    deflate.reset();
    let mut out = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let taken = usize::try_from(deflate.total_in()).expect("no more than the block has");
        deflate
            .compress_vec(&block[taken..], &mut out, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        // Room that is left says that everything is out.
        if deflate.total_in() == block.len() as u64 && out.len() < out.capacity() {
            return Ok(out);
        }
        out.reserve(block.len() / 4 + 1024);
    }
}

/// The first bytes of a gzip file: no name, no time, made on Unix.
pub(super) const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
/// An empty last block of deflate.
const DEFLATE_END: [u8; 2] = [3, 0];

/// The last bytes of a gzip file.
pub(super) fn gzip_tail(crc: u32, len: u64) -> [u8; 10] {
    let mut tail = [0; 10];
    tail[..2].copy_from_slice(&DEFLATE_END);
    tail[2..6].copy_from_slice(&crc.to_le_bytes());
    // The format has the low 32 bits of the length.
    tail[6..].copy_from_slice(&len.to_le_bytes()[..4]);
    tail
}
