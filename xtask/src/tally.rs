//! What the tests of a run have tried, added up: crash points, faults, damages and the like.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Where tests note what they have tried; the variable that the test kit looks for.
const VARIABLE: &str = "IRONBORG_TALLY";

/// A directory that the tests of one run note their counts in.
pub(crate) struct Tally {
    dir: PathBuf,
}

impl Tally {
    /// Begins with nothing counted.
    pub(crate) fn begin() -> Result<Self> {
        let dir = process::target().join("tally");
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        Ok(Self { dir })
    }

    /// Has the tests started by a command count.
    pub(crate) fn pass_to(&self, command: &mut Command) {
        command.env(VARIABLE, &self.dir);
    }

    /// Prints the sum of each count.
    pub(crate) fn print(&self) -> Result<()> {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for entry in fs::read_dir(&self.dir).with_context(|| self.dir.display().to_string())? {
            let path = entry?.path();
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            for line in text.lines() {
                let (count, what) = line.split_once(' ').context("a line of a tally")?;
                *sums.entry(what.to_owned()).or_default() += count.parse::<u64>()?;
            }
        }
        eprintln!("Tried by the tests that passed, with nothing lost:");
        for (what, count) in sums {
            eprintln!("{count:>10}  {what}");
        }
        Ok(())
    }
}
