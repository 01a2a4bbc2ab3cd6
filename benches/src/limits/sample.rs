//! A sample of a tree, and how long one core takes for what is done with it.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use ironborg_chunker::{Chunker, ChunkerParams};
use ironborg_crypto::{Key, KeyMode, Nonces, Passphrase};
use ironborg_format::item::{ChunkEntry, Item, ItemDecoder, OwnerName};
use ironborg_object::{Compression, Compressor, Decompressor};
use ironborg_types::{BytePath, ChunkId, NonceStore, NonceStoreError, RepositoryId};

use super::Rates;
use crate::sys;

/// Bytes and files of a sample at most: enough that a clock's steps and a cold start do not matter.
const SAMPLE_BYTES: usize = 96 << 20;
const SAMPLE_FILES: usize = 20_000;

/// Bytes for what does not depend on the tree.
const PLAIN_BYTES: usize = 256 << 20;

/// Bytes handed to the kernel at once.
const PIECE_LEN: usize = 1 << 20;
const PIPE_LEN: usize = 64 << 10;

/// How often a short wait for the disk is repeated.
const SYNCS: usize = 9;

/// Chunks handed to a hash that can do several side by side.
const SIDE_BY_SIDE: usize = 8;

/// Content of a tree in chunks.
#[derive(Debug)]
pub(super) struct Sample {
    /// The chunks of each file.
    files: Vec<Vec<Vec<u8>>>,
    items: Vec<Item>,
}

/// Seconds of this thread that something takes, whatever else the machine is doing.
fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = sys::thread_time();
    let outcome = work();
    let elapsed = sys::thread_time().saturating_sub(started);
    (elapsed.as_secs_f64(), outcome)
}

/// Seconds from the beginning to the end of something, waiting included.
fn seconds_on_the_clock<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let outcome = work();
    (started.elapsed().as_secs_f64(), outcome)
}

impl Sample {
    /// Walks the tree and reads a part of it, spread evenly over all of it.
    pub(super) fn take(tree: &Path, rates: &mut Rates) -> Result<Self> {
        let mut found = Vec::new();
        let (elapsed, outcome) = seconds(|| walk(tree, &mut found));
        outcome?;
        let bytes: u64 = found.iter().map(|(_, len)| len).sum();
        rates.files = found.len() as f64;
        rates.bytes = bytes as f64;
        rates.stat = elapsed / rates.files;
        let files: Vec<_> = found.into_iter().filter(|(_, len)| *len > 0).collect();
        let by_bytes = bytes / SAMPLE_BYTES as u64 + 1;
        let stride = (files.len() / SAMPLE_FILES + 1).max(usize::try_from(by_bytes)?);
        // Large files differ in kind with periods that the stride must not share.
        let stride = (stride..stride + 3).find(|stride| stride % 3 != 0 && stride % 5 != 0);
        let stride = stride.context("one of three in a row is divisible by neither")?;
        let chosen: Vec<&PathBuf> = files.iter().step_by(stride).map(|(path, _)| path).collect();
        let mut buffer = vec![0; PIECE_LEN];
        let (elapsed, outcome) = seconds(|| read_all(&chosen, &mut buffer));
        let len = outcome?;
        rates.read = elapsed / len as f64;
        let mut chunker = Chunker::new(ChunkerParams::DEFAULT, 0x1234_5678)?;
        let (mut files, mut items) = (Vec::new(), Vec::new());
        let mut cut_s = 0.0;
        for path in chosen {
            let content = fs::read(path).with_context(|| format!("{}", path.display()))?;
            let (elapsed, cuts) = seconds(|| cuts(&mut chunker, &content));
            cut_s += elapsed;
            items.push(item(path, path.strip_prefix(tree)?, &cuts)?);
            let mut rest = content.as_slice();
            let chunks = cuts.into_iter().map(|len| {
                let (chunk, after) = rest.split_at(len);
                rest = after;
                chunk.to_vec()
            });
            files.push(chunks.collect());
        }
        rates.cut = cut_s / len as f64;
        Ok(Self { files, items })
    }

    fn chunks(&self) -> Vec<&[u8]> {
        self.files.iter().flatten().map(Vec::as_slice).collect()
    }

    /// What is done to chunks and items.
    pub(super) fn measure_work(
        &self,
        mode: &str,
        compression: &str,
        rates: &mut Rates,
    ) -> Result<()> {
        let mode = KeyMode::from_argument(mode).context("not a key mode")?;
        let compression: Compression = compression.parse()?;
        let mut key = Key::generate(mode, RepositoryId([7; 32]))?;
        let passphrase = Passphrase::new(crate::tools::PASSPHRASE);
        let text = key.lock(&passphrase)?;
        let (elapsed, unlocked) = seconds(|| Key::unlock(mode, &text, &passphrase, true));
        unlocked?.context("it was locked with this passphrase")?;
        rates.key = elapsed;
        let chunks = self.chunks();
        let work = work_on(&key, &compression, &chunks)?;
        rates.id = work.id;
        rates.compress = work.compress;
        rates.decompress = work.decompress;
        rates.seal = work.seal;
        rates.open = work.open;
        rates.crc = work.crc;
        self.measure_items(&key, &compression, rates)
    }

    fn measure_items(&self, key: &Key, compression: &Compression, rates: &mut Rates) -> Result<()> {
        let mut stream = Vec::new();
        let count = self.items.len() as f64;
        let encode = || self.items.iter().for_each(|item| item.encode(&mut stream));
        rates.encode = seconds(encode).0 / count;
        rates.item_len = stream.len() as f64 / count;
        let (elapsed, outcome) = seconds(|| {
            let mut decoder = ItemDecoder::new();
            for piece in stream.chunks(128 << 10) {
                decoder.push(piece);
                while let Some(view) = decoder.next_view()? {
                    black_box(view);
                }
            }
            decoder.finish()
        });
        outcome?;
        rates.decode = elapsed / count;
        let pieces: Vec<&[u8]> = stream.chunks(128 << 10).collect();
        let work = work_on(key, compression, &pieces)?;
        rates.item_open = work.open * work.share + work.decompress;
        Ok(())
    }

    /// What it costs to make the sample's files.
    pub(super) fn measure_writing(&self, dir: &Path, rates: &mut Rates) -> Result<()> {
        let top = dir.join("rates");
        fs::create_dir_all(&top).with_context(|| format!("{}", top.display()))?;
        let len: usize = self.chunks().iter().map(|chunk| chunk.len()).sum();
        let (elapsed, outcome) = seconds(|| {
            for (number, chunks) in self.files.iter().enumerate() {
                let mut file = File::create(top.join(number.to_string()))?;
                chunks.iter().try_for_each(|chunk| file.write_all(chunk))?;
            }
            anyhow::Ok(())
        });
        outcome?;
        rates.write = elapsed / len as f64;
        fs::remove_dir_all(&top).with_context(|| format!("{}", top.display()))
    }
}

/// All files, directories and other entries below a directory, with the bytes of files; sorted, so that a sample is the same
/// every time.
fn walk(dir: &Path, found: &mut Vec<(PathBuf, u64)>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("{}", dir.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        names.push((entry.path(), entry.metadata()?));
    }
    names.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (path, meta) in names {
        if meta.is_dir() {
            walk(&path, found)?;
        }
        let len = if meta.is_file() { meta.len() } else { 0 };
        found.push((path, len));
    }
    Ok(())
}

fn read_all(paths: &[&PathBuf], buffer: &mut [u8]) -> Result<usize> {
    let mut total = 0;
    for path in paths {
        let mut file = File::open(path).with_context(|| format!("{}", path.display()))?;
        loop {
            match file.read(buffer)? {
                0 => break,
                count => total += count,
            }
        }
    }
    Ok(total)
}

fn cuts(chunker: &mut Chunker, content: &[u8]) -> Vec<usize> {
    chunker.restart();
    let (mut rest, mut cuts) = (content, Vec::new());
    while let Some(len) = chunker.next_cut(rest, true) {
        cuts.push(len);
        rest = &rest[len..];
    }
    cuts
}

/// The item of a file, with chunks of made-up ids.
fn item(path: &Path, name: &Path, cuts: &[usize]) -> Result<Item> {
    let meta = fs::metadata(path)?;
    let entry = |len: &usize| {
        let size = u32::try_from(*len)?;
        anyhow::Ok(ChunkEntry {
            id: ChunkId([9; 32]),
            size,
            csize: size,
        })
    };
    Ok(Item {
        path: BytePath::from(name.as_os_str().as_encoded_bytes()),
        mode: meta.mode(),
        uid: Some(i64::from(meta.uid())),
        gid: Some(i64::from(meta.gid())),
        user: OwnerName::Name(b"root".to_vec()),
        group: OwnerName::Name(b"root".to_vec()),
        mtime: Some(meta.mtime() * 1_000_000_000 + meta.mtime_nsec()),
        chunks: Some(cuts.iter().map(entry).collect::<Result<_>>()?),
        size: Some(meta.len()),
        ..Item::default()
    })
}

/// Seconds for a byte of chunks, of objects where objects are worked on.
#[derive(Debug, Default)]
struct WorkOn {
    id: f64,
    compress: f64,
    decompress: f64,
    seal: f64,
    open: f64,
    crc: f64,
    /// Bytes of objects for a byte of chunks.
    share: f64,
}

fn work_on(key: &Key, compression: &Compression, chunks: &[&[u8]]) -> Result<WorkOn> {
    let len = chunks.iter().map(|chunk| chunk.len()).sum::<usize>() as f64;
    let mut ids = [ChunkId([0; 32]); SIDE_BY_SIDE];
    let (id_s, ()) = seconds(|| {
        for group in chunks.chunks(SIDE_BY_SIDE) {
            key.id_hash_many(group, &mut ids[..group.len()]);
            black_box(&ids);
        }
    });
    let mut compressor = Compressor::new();
    let mut out = Vec::new();
    let (compress_s, ()) = seconds(|| {
        for chunk in chunks {
            out.clear();
            compressor.compress(compression, chunk, &mut out);
            black_box(&out);
        }
    });
    let mut objects = Vec::new();
    for chunk in chunks {
        let mut object = vec![0; key.envelope_overhead()];
        compressor.compress(compression, chunk, &mut object);
        objects.push((ChunkId([0; 32]), object));
    }
    let objects_len = objects
        .iter()
        .map(|(_, object)| object.len())
        .sum::<usize>() as f64;
    let nonces = nonces(key);
    let (seal_s, outcome) = seconds(|| {
        let mut objects = objects.iter_mut();
        objects.try_for_each(|(_, object)| key.seal_in_place(&nonces, object))
    });
    outcome?;
    let (crc_s, ()) = seconds(|| {
        for (_, object) in &objects {
            black_box(crc32fast::hash(object));
        }
    });
    let (open_s, outcome) = seconds(|| {
        open_all(key, &objects, |stored| {
            black_box(stored);
        })
    });
    outcome?;
    let mut stored = Vec::with_capacity(objects.len());
    open_all(key, &objects, |bytes| stored.push(bytes.to_vec()))?;
    let mut decompressor = Decompressor::new();
    let (decompress_s, outcome) = seconds(|| {
        for (stored, chunk) in stored.iter().zip(chunks) {
            out.clear();
            decompressor.decompress_within(stored, chunk.len(), &mut out)?;
            black_box(&out);
        }
        anyhow::Ok(())
    });
    outcome?;
    Ok(WorkOn {
        id: id_s / len,
        compress: compress_s / len,
        decompress: decompress_s / len,
        seal: seal_s / objects_len,
        open: open_s / objects_len,
        crc: crc_s / objects_len,
        share: objects_len / len,
    })
}

/// Verifies all objects, several side by side, and decrypts them.
fn open_all(key: &Key, objects: &[(ChunkId, Vec<u8>)], mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut buffer = Vec::new();
    for group in objects.chunks(SIDE_BY_SIDE) {
        let group: Vec<(ChunkId, &[u8])> = group
            .iter()
            .map(|(id, object)| (*id, object.as_slice()))
            .collect();
        for authentic in key.authenticate_many(&group) {
            take(key.decrypt(authentic?, &mut buffer));
        }
    }
    Ok(())
}

/// A counter that is kept nowhere: what is encrypted with it is thrown away.
#[derive(Debug, Default)]
struct Counter(Mutex<Option<u64>>);

impl NonceStore for Counter {
    fn next_unreserved(&self) -> Result<Option<u64>, NonceStoreError> {
        Ok(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reserve(&self, next: u64, _: Option<u64>) -> Result<(), NonceStoreError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(())
    }
}

fn nonces(key: &Key) -> Nonces {
    if key.logically_encrypted() {
        Nonces::new(
            Arc::new(Counter::default()),
            Arc::new(Counter::default()),
            None,
        )
    } else {
        Nonces::none()
    }
}

/// What does not depend on the tree: large files, a pipe, the disk.
pub(super) fn measure_machine(dir: &Path, rates: &mut Rates) -> Result<()> {
    let path = dir.join("rates-file");
    let context = || format!("{}", path.display());
    let mut piece = vec![0; PIECE_LEN];
    // A disk that compresses, or leaves zeros out, is to be given something to write.
    for (word, number) in piece.chunks_exact_mut(8).zip(1_u64..) {
        word.copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    let len = PLAIN_BYTES as f64;
    let mut file = File::create(&path).with_context(context)?;
    let started = Instant::now();
    let (elapsed, outcome) =
        seconds(|| (0..PLAIN_BYTES / PIECE_LEN).try_for_each(|_| file.write_all(&piece)));
    outcome.with_context(context)?;
    rates.append = elapsed / len;
    file.sync_data().with_context(context)?;
    rates.disk = started.elapsed().as_secs_f64() / len;
    let (elapsed, outcome) = seconds(|| read_all(&[&path], &mut piece));
    outcome?;
    rates.load = elapsed / len;
    let mut syncs = Vec::new();
    for _ in 0..SYNCS {
        file.write_all(&piece[..4096]).with_context(context)?;
        let (elapsed, outcome) = seconds_on_the_clock(|| file.sync_data());
        outcome.with_context(context)?;
        syncs.push(elapsed);
    }
    syncs.sort_by(f64::total_cmp);
    rates.sync = syncs[SYNCS / 2];
    fs::remove_file(&path).with_context(context)?;
    let (mut reader, mut writer) = std::io::pipe().context("a pipe")?;
    let piece = &mut piece[..PIPE_LEN];
    let (elapsed, outcome) = seconds(|| {
        (0..PLAIN_BYTES / PIPE_LEN).try_for_each(|_| {
            writer.write_all(piece)?;
            reader.read_exact(piece)
        })
    });
    outcome.context("a pipe")?;
    rates.pipe = elapsed / len;
    Ok(())
}
