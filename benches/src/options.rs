//! What the user asked for.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Printed for `--help`.
pub(crate) const USAGE: &str = "\
Usage: cargo xtask bench [-- OPTION…]

  --rows NAME,…      only these rows (default: all but usr); names are in the table's first column; pipe-* stands for
                     all that begin so
  --repetitions N    how often each command is run by each program (default 3)
  --scale X          size of the generated trees, 1 = 4 GB and 200,000 files (default 1)
  --dir DIR          where trees and repositories go (default: target/bench); needs about 20 GB at scale 1
  --keep             leave repositories behind (trees are kept anyway and used again)
  --markdown FILE    replace the table between the markers of this file
  --raw FILE         append every single measurement as CSV
  --ours FILE        our binary (set by xtask)
  --stock FILE       stock Borg (set by xtask)
  --wire-proxy FILE  the line between client and server (set by xtask)";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) ours: PathBuf,
    pub(crate) stock: PathBuf,
    pub(crate) wire_proxy: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) scale: f64,
    pub(crate) repetitions: usize,
    pub(crate) rows: Option<Vec<String>>,
    pub(crate) keep: bool,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) raw: Option<PathBuf>,
}

impl Options {
    /// None: help was asked for.
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut options = Self {
            ours: PathBuf::new(),
            stock: PathBuf::new(),
            wire_proxy: PathBuf::new(),
            dir: ironborg_testkit::workspace().join("target/bench"),
            scale: 1.0,
            repetitions: 3,
            rows: None,
            keep: false,
            markdown: None,
            raw: None,
        };
        while let Some(name) = args.next() {
            if name == "--help" || name == "-h" {
                return Ok(None);
            }
            if name == "--keep" {
                options.keep = true;
                continue;
            }
            let value = args
                .next()
                .with_context(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--ours" => options.ours = value.into(),
                "--stock" => options.stock = value.into(),
                "--wire-proxy" => options.wire_proxy = value.into(),
                "--dir" => options.dir = value.into(),
                "--markdown" => options.markdown = Some(value.into()),
                "--raw" => options.raw = Some(value.into()),
                "--rows" => options.rows = Some(value.split(',').map(str::to_owned).collect()),
                "--scale" => options.scale = value.parse().context("--scale takes a number")?,
                "--repetitions" => {
                    options.repetitions = value.parse().context("--repetitions takes a number")?;
                }
                _ => bail!("unknown option {name}\n\n{USAGE}"),
            }
        }
        for (name, path) in [
            ("--ours", &options.ours),
            ("--stock", &options.stock),
            ("--wire-proxy", &options.wire_proxy),
        ] {
            if !path.is_file() {
                bail!(
                    "{name}: no file at {:?}; use `cargo xtask bench`",
                    path.display()
                );
            }
        }
        if options.scale <= 0.0 || options.repetitions == 0 {
            bail!("--scale and --repetitions must be positive");
        }
        Ok(Some(options))
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
