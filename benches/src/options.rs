//! What the user asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::tools::Tool;

/// Printed for `--help`.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask bench [--install-others] [--micro] [-- OPTION…]

  --install-others   build and install rustic and bupstash into target/others, and end; restic is the distribution's
  --micro            run the micro-benchmarks of single stages instead

  --rows NAME,…      only these rows (default: those of the table in docs/performance.md); names are in the table's
                     first column; pipe-* stands for all that begin so; * for all there are
  --repetitions N    how often each command is run by each program (default 2); what takes less than a second is run 5
                     times at least
  --long SECONDS     what took longer is not repeated (default 45)
  --scale X          size of the generated trees, 1 = 4 GB and 200,000 files (default 1)
  --quick            --scale 0.05 --repetitions 1
  --dir DIR          where trees and repositories go (default: target/bench); needs about 25 GB at scale 1
  --stores           backups on an object store instead: ours, restic and rclone, as far as they are installed (20 minutes;
                     needs another 25 GB in the directory for temporary files)
  --keep             leave repositories behind (trees are kept anyway and used again)
  --markdown FILE    replace the table between the markers of this file
  --raw FILE         write every single measurement as CSV (with --markdown: beside that file by default)
  --merge            rows that are not run now are taken from the CSV, and kept in it
  --without-others   do not run other programs than stock Borg, even if they are installed
  --ours FILE        our binary (set by xtask)
  --stock FILE       stock Borg (set by xtask)
  --wire-proxy FILE  the line between client and server (set by xtask)
  --restic FILE, --rustic FILE, --bupstash FILE
                     other programs, on rows they can do (set by xtask to those in target/others/bin and PATH)";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) ours: PathBuf,
    pub(crate) stock: PathBuf,
    pub(crate) wire_proxy: PathBuf,
    /// The other programs that are there.
    pub(crate) others: BTreeMap<Tool, PathBuf>,
    pub(crate) dir: PathBuf,
    pub(crate) scale: f64,
    pub(crate) repetitions: usize,
    /// Seconds after which something is not repeated.
    pub(crate) long_s: f64,
    pub(crate) rows: Option<Vec<String>>,
    pub(crate) stores: bool,
    pub(crate) keep: bool,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) raw: Option<PathBuf>,
    pub(crate) merge: bool,
}

impl Options {
    /// None: help was asked for.
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut options = Self {
            ours: PathBuf::new(),
            stock: PathBuf::new(),
            wire_proxy: PathBuf::new(),
            others: BTreeMap::new(),
            dir: ironborg_testkit::workspace().join("target/bench"),
            scale: 1.0,
            repetitions: 2,
            long_s: 45.0,
            rows: None,
            stores: false,
            keep: false,
            markdown: None,
            raw: None,
            merge: false,
        };
        let mut with_others = true;
        while let Some(name) = args.next() {
            if name == "--help" || name == "-h" {
                return Ok(None);
            }
            match name.as_str() {
                "--stores" => options.stores = true,
                "--keep" => options.keep = true,
                "--merge" => options.merge = true,
                "--without-others" => with_others = false,
                "--quick" => (options.scale, options.repetitions) = (0.05, 1),
                _ => options.take(&name, args.next())?,
            }
        }
        if !with_others {
            options.others.clear();
        }
        if options.raw.is_none() {
            let beside = |path: &PathBuf| path.with_file_name("performance-raw.csv");
            options.raw = options.markdown.as_ref().map(beside);
        }
        options.validate()?;
        Ok(Some(options))
    }

    /// An option that has a value.
    fn take(&mut self, name: &str, value: Option<String>) -> Result<()> {
        let value = value.with_context(|| format!("{name} needs a value"))?;
        match name {
            "--ours" => self.ours = value.into(),
            "--stock" => self.stock = value.into(),
            "--wire-proxy" => self.wire_proxy = value.into(),
            "--dir" => self.dir = value.into(),
            "--markdown" => self.markdown = Some(value.into()),
            "--raw" => self.raw = Some(value.into()),
            "--rows" => self.rows = Some(value.split(',').map(str::to_owned).collect()),
            "--scale" => self.scale = value.parse().context("--scale takes a number")?,
            "--long" => self.long_s = value.parse().context("--long takes a number")?,
            "--repetitions" => {
                self.repetitions = value.parse().context("--repetitions takes a number")?;
            }
            _ => {
                let tool = name.strip_prefix("--").and_then(Tool::from_name);
                let Some(tool) = tool else {
                    bail!("unknown option {name}\n\n{USAGE}");
                };
                self.others.insert(tool, value.into());
            }
        }
        Ok(())
    }

    fn validate(&self) -> Result<()> {
        for (name, path) in [
            ("--ours", &self.ours),
            ("--stock", &self.stock),
            ("--wire-proxy", &self.wire_proxy),
        ] {
            if !path.is_file() {
                bail!(
                    "{name}: no file at {:?}; use `cargo xtask bench`",
                    path.display()
                );
            }
        }
        if self.scale <= 0.0 || self.repetitions == 0 {
            bail!("--scale and --repetitions must be positive");
        }
        Ok(())
    }

    /// The columns.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        let others = self.others.keys().copied();
        [Tool::Ours, Tool::Stock]
            .into_iter()
            .chain(others)
            .collect()
    }

    /// The program of a column.
    pub(crate) fn binary(&self, tool: Tool) -> Result<PathBuf> {
        let path = match tool {
            Tool::Ours => &self.ours,
            Tool::Stock => &self.stock,
            other => self.others.get(&other).context("not among the programs")?,
        };
        path.canonicalize()
            .with_context(|| format!("{}", path.display()))
    }

    /// A number of things at the wanted scale, at least one.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "sizes of trees are far below 2^52"
    )]
    pub(crate) fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.scale) as usize).max(1)
    }
}
