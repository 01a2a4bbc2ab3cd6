//! Makes what is too large to be made of real files: repositories of very many chunks, archives of very many files.
//!
//! `synthesize chunks N REPOSITORY` puts N tiny objects, which no archive refers to, into a local repository and commits.
//! `synthesize tar N` writes a tarball of N files of 16 bytes, each of its own, for `import-tar REPOSITORY::ARCHIVE -`.
//!
//! Objects are no real chunks: they have the size of an entry in an index and next to nothing in a segment. What asks
//! only which ids there are and where takes as long as with 50 TB behind them.
#![allow(clippy::print_stderr, reason = "a command line tool talks to its user")]

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ironborg_repository::{LocalRepository, LockMode, OpenOptions, Repository, process_identity};
use ironborg_types::{ChunkId, NullReporter};

/// Bytes of an object: what the shortest real one has, and a little.
const OBJECT_LEN: usize = 24;
/// Block of a tarball.
const BLOCK_LEN: usize = 512;
/// Files in a directory, and directories in one above.
const FAN_OUT: u64 = 1000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("synthesize: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = |text: &str| {
        text.parse::<u64>()
            .with_context(|| format!("{text} is no number"))
    };
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["chunks", number, repository] => put_chunks(count(number)?, Path::new(repository)),
        ["tar", number] => {
            let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
            write_tar(count(number)?, &mut out)?;
            Ok(out.flush()?)
        }
        _ => bail!("usage: synthesize chunks N REPOSITORY | synthesize tar N"),
    }
}

fn put_chunks(count: u64, path: &Path) -> Result<()> {
    let path = path.canonicalize().context("no repository there")?;
    let mut repository = LocalRepository::open(
        &path,
        OpenOptions {
            lock: LockMode::Exclusive,
            lock_wait: None,
            owner: process_identity("synthesize@0"),
            append_only: false,
            storage_quota: None,
            reporter: Arc::new(NullReporter),
        },
    )?;
    let before = repository.len()? as u64;
    let mut object = [0x5a; OBJECT_LEN];
    for number in before..before.saturating_add(count) {
        object[..8].copy_from_slice(&number.to_le_bytes());
        repository.put(&id_of(number), &object)?;
    }
    repository.commit()?;
    Ok(repository.close()?)
}

/// An id nobody else has, spread evenly as those of real chunks are.
fn id_of(number: u64) -> ChunkId {
    let mut id = [0; ChunkId::LEN];
    for (part, out) in id.chunks_exact_mut(8).enumerate() {
        // SplitMix64, a different sequence for each part.
        let mut mixed = number
            .wrapping_add((part as u64) << 56)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    ChunkId(id)
}

fn write_tar(count: u64, out: &mut impl Write) -> Result<()> {
    for number in 0..count {
        let (directory, above) = (number / FAN_OUT, number / FAN_OUT / FAN_OUT);
        let name = format!(
            "files/{above:03}/{:03}/file-{number:09}",
            directory % FAN_OUT
        );
        out.write_all(&header(&name, 16))?;
        let mut content = [0; BLOCK_LEN];
        content[..16].copy_from_slice(format!("{number:016}").as_bytes());
        out.write_all(&content)?;
    }
    Ok(out.write_all(&[0; 2 * BLOCK_LEN])?)
}

/// The header of a regular file, in ustar format.
fn header(name: &str, size: u64) -> [u8; BLOCK_LEN] {
    let mut header = [0; BLOCK_LEN];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0001750\0");
    put(116, "0001750\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "14000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    put(265, "user");
    put(297, "user");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
