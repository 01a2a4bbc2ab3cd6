//! What one core needs for each kind of work, in seconds for a byte or a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::sample::{Sample, measure_machine};

/// The first argument of a process of this program that measures.
pub(crate) const WORD: &str = "measure-rates";

macro_rules! rates {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Seconds for one of each, and how much there is of it.
        #[derive(Debug, Clone, Copy, Default)]
        pub(crate) struct Rates {
            $($(#[$doc])* pub(crate) $name: f64,)*
        }

        /// The names of all of them.
        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Rates {
            /// What [`Self::encode`] has written.
            pub(crate) fn decode(text: &str) -> Result<Self> {
                let mut rates = Self::default();
                let mut count = 0;
                for line in text.lines() {
                    let (name, value) = line.split_once(' ').with_context(|| line.to_owned())?;
                    let value: f64 = value.parse().with_context(|| line.to_owned())?;
                    match name {
                        $(stringify!($name) => rates.$name = value,)*
                        _ => bail!("no rate {name}"),
                    }
                    count += 1;
                }
                if count != [$(stringify!($name)),*].len() {
                    bail!("not all rates were measured");
                }
                Ok(rates)
            }

            pub(crate) fn encode(&self) -> String {
                let mut text = String::new();
                $(text.push_str(&format!("{} {:e}\n", stringify!($name), self.$name));)*
                text
            }
        }
    };
}

rates! {
    /// Files and directories of the tree; no time.
    files,
    /// Bytes of content in the tree; no time.
    bytes,
    /// Bytes of an item; no time.
    item_len,
    /// The key made of a passphrase.
    key,
    /// A file found in its directory and its attributes asked for.
    stat,
    /// A byte of files read that are in memory, opening and closing included.
    read,
    /// A byte of a new file written, creating and closing included; not waiting for the disk.
    write,
    /// A byte searched for cut points.
    cut,
    /// A byte of a chunk's id.
    id,
    /// A byte compressed.
    compress,
    /// A byte decompressed, counted after decompression.
    decompress,
    /// A stored byte encrypted and authenticated.
    seal,
    /// A stored byte authenticated and decrypted.
    open,
    /// A stored byte's checksum.
    crc,
    /// A stored byte read out of a large file in memory.
    load,
    /// A byte appended to a large file, not waiting for the disk.
    append,
    /// A byte through a pipe, written and read.
    pipe,
    /// An item encoded.
    encode,
    /// An item decoded.
    decode,
    /// A byte of items authenticated, decrypted and decompressed.
    item_open,
    /// A byte written and synced, in a long row.
    disk,
    /// A few bytes written and synced.
    sync,
}

/// Measures as a process of its own: the tree, where to write, key mode and compression.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<Rates> {
    let mut next = || args.next().context("four arguments are needed");
    let (tree, dir) = (PathBuf::from(next()?), PathBuf::from(next()?));
    let (mode, compression) = (next()?, next()?);
    let mut rates = Rates::default();
    let sample = Sample::take(&tree, &mut rates)?;
    sample.measure_work(&mode, &compression, &mut rates)?;
    sample.measure_writing(&dir, &mut rates)?;
    measure_machine(Path::new(&dir), &mut rates)?;
    Ok(rates)
}
