//! What the machine allows: the time below which no program of this kind could do what a row is about.
//!
//! [`rates`] measures what one core needs for each kind of work, on the row's own files and with this project's own crates: they
//! are what the hardware allows in our hands. Here these are added up: what waits for nobody can be shared by all cores, the disk
//! writes meanwhile, and only the key has to be there before anything else. docs/performance.md says the same in words.

pub(crate) mod rates;
mod sample;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::mounting::Use;
use crate::rows::{CheckPart, Kind, Many, Setting};
pub(crate) use rates::Rates;

/// The limit of one row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Seconds from beginning to end.
    pub(crate) wall_s: f64,
    /// Seconds of work for one core.
    pub(crate) cpu_s: f64,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Amounts {
    /// Bytes of content that are different, before compression.
    pub(crate) unique: f64,
    /// Bytes of the objects of these.
    pub(crate) stored: f64,
    /// Bytes that a compaction wrote.
    pub(crate) compacted: f64,
}

/// Share of the files that has changed between two archives.
const CHANGED: f64 = 0.01;

/// Waits for the disk that a commit cannot do without: what was written, the entry that says so, and where to find it.
const COMMIT_SYNCS: f64 = 3.0;

/// The limit of a row; none if nothing but starting a program is asked.
pub(crate) fn limit(
    kind: Kind,
    setting: &Setting,
    rates: &Rates,
    amounts: &Amounts,
) -> Option<Limit> {
    let work = Work { rates, amounts };
    let over_pipe = if setting.wire.is_some() {
        amounts.stored * rates.pipe
    } else {
        0.0
    };
    let commit = COMMIT_SYNCS * rates.sync;
    // Seconds of one core, seconds of the disk.
    let (cpu_s, disk_s) = match kind {
        Kind::Version => return None,
        Kind::First => (
            work.walk() + work.identify() + work.store(1.0) + over_pipe,
            commit + amounts.stored * rates.disk,
        ),
        Kind::Unchanged => (work.walk(), commit),
        Kind::Changed => {
            let changed = CHANGED * work.identify() + work.store(CHANGED);
            (
                work.walk() + changed,
                commit + CHANGED * amounts.stored * rates.disk,
            )
        }
        Kind::ImportTar => (work.identify(), commit),
        Kind::Extract => (
            work.open() + work.items() + work.write_files() + over_pipe,
            0.0,
        ),
        Kind::ExportTar => (work.open() + work.items() + rates.bytes * rates.append, 0.0),
        Kind::List => (work.items(), 0.0),
        Kind::Archives | Kind::Info | Kind::Many(Many::InfoOfAll) => (0.0, 0.0),
        Kind::Diff => (2.0 * work.items(), 0.0),
        Kind::Check(CheckPart::AllData) => (work.read_segments() + work.open() + work.items(), 0.0),
        Kind::Check(CheckPart::Archives) => (work.items(), 0.0),
        Kind::Check(CheckPart::Repository) => (work.read_segments(), 0.0),
        Kind::Mount(Use::List | Use::Find, _) => (work.items(), 0.0),
        Kind::Mount(Use::Cat | Use::Tar, _) => (work.items() + work.open(), 0.0),
        Kind::Many(Many::CachesGone) => (work.walk() + work.identify(), commit),
        Kind::Many(Many::Compact) => (0.0, commit + amounts.compacted * rates.disk),
        Kind::Many(Many::Delete | Many::Prune | Many::PruneUnseen) => (0.0, commit),
        Kind::Job(_) => (work.walk(), 2.0 * commit),
    };
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    Some(Limit {
        wall_s: rates.key + disk_s.max(cpu_s / cores),
        cpu_s: rates.key + cpu_s,
    })
}

/// Seconds of one core.
struct Work<'a> {
    rates: &'a Rates,
    amounts: &'a Amounts,
}

impl Work<'_> {
    /// Every directory listed, every file's attributes asked for and written as an item, the items cut and identified.
    fn walk(&self) -> f64 {
        let Rates {
            files,
            stat,
            encode,
            item_len,
            cut,
            id,
            ..
        } = *self.rates;
        files * (stat + encode + item_len * (cut + id))
    }

    /// All content read, cut, and given ids.
    fn identify(&self) -> f64 {
        let Rates {
            bytes,
            read,
            cut,
            id,
            ..
        } = *self.rates;
        bytes * (read + cut + id)
    }

    /// A share of what is different compressed and made into entries of segments.
    fn store(&self, share: f64) -> f64 {
        let Rates {
            compress,
            seal,
            crc,
            ..
        } = *self.rates;
        share * (self.amounts.unique * compress + self.amounts.stored * (seal + crc))
    }

    /// All objects read, verified and decrypted, decompressed, and the ids of what is in them checked.
    fn open(&self) -> f64 {
        let Rates {
            load,
            open,
            decompress,
            id,
            ..
        } = *self.rates;
        self.amounts.stored * (load + open) + self.amounts.unique * (decompress + id)
    }

    /// The items of an archive opened and decoded.
    fn items(&self) -> f64 {
        let Rates {
            files,
            item_len,
            decode,
            id,
            ..
        } = *self.rates;
        files * (decode + item_len * (id + self.rates.item_open))
    }

    /// All segments read and their checksums compared.
    fn read_segments(&self) -> f64 {
        self.amounts.stored * (self.rates.load + self.rates.crc)
    }

    /// All files made.
    fn write_files(&self) -> f64 {
        self.rates.bytes * self.rates.write
    }
}

/// Has another process measure the rates for the files of a setting: its memory would count as that of programs this one starts.
pub(crate) fn measure(setting: &Setting, tree: &Path, dir: &Path) -> Result<Rates> {
    let program = std::env::current_exe().context("this program's path")?;
    let mut command = Command::new(program);
    command.arg(rates::WORD).args([tree, dir]);
    command.args([setting.mode, setting.compression]);
    let output = command.output().context("measuring rates")?;
    if !output.status.success() {
        anyhow::bail!("rates: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Rates::decode(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn every_row_of_the_table_but_the_start_has_a_limit() {
        let lines: Vec<String> = rates::NAMES
            .iter()
            .map(|name| format!("{name} 1e-6"))
            .collect();
        let rates = Rates::decode(&lines.join("\n")).expect("all are there");
        let amounts = Amounts {
            unique: 2e6,
            stored: 1e6,
            compacted: 1e6,
        };
        for row in rows::all() {
            match limit(row.kind, &row.setting, &rates, &amounts) {
                Some(limit) => assert!(limit.wall_s > 0.0 && limit.cpu_s > 0.0, "{}", row.name),
                None => assert_eq!(row.kind, Kind::Version),
            }
        }
    }
}
