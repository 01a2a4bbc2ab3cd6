//! `cargo xtask dist`: the Debian packages and the tarball.
//!
//! Both hold the same: the program, its manual, completions, documents, the schema of configurations and examples with
//! the units they become. The Debian package has the program as distributions link it; the one in the tarball needs
//! nothing but a kernel. Built twice from the same source, they are the same bytes.

mod binary;
mod content;
mod deb;
mod licences;
mod tarball;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::process;
use content::Content;

/// How things are called and when they were made.
#[derive(Debug, Clone)]
struct Release {
    /// As in the root `Cargo.toml`.
    version: String,
    /// The time of everything: `SOURCE_DATE_EPOCH`, or that of the last commit.
    time: SystemTime,
    /// Whether to be quick about it, at the expense of size.
    quick: bool,
}

/// Builds, or takes the program it is given, and packs.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut given = None;
    let mut output = process::target().join("dist");
    let mut quick = false;
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--binary" => given = Some(PathBuf::from(value()?)),
            "--output" => output = PathBuf::from(value()?),
            "--quick" => quick = true,
            other => bail!("unknown option {other:?}"),
        }
    }
    let release = Release {
        version: version()?,
        time: time()?,
        quick,
    };
    let (dynamic, whole) = match given {
        Some(binary) => (binary.clone(), binary),
        None => (binary::build()?, binary::build_static()?),
    };
    recreate(&output)?;
    let work = output.join("work");
    let content = Content::make(&dynamic, &work, &release)?;
    let mut made = deb::make(&dynamic, &content, &work, &output, &release)?;
    made.push(tarball::make(&whole, &content, &work, &output, &release)?);
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    for file in made {
        println!("{}", file.display());
    }
    Ok(())
}

/// The version all crates have.
fn version() -> Result<String> {
    let manifest = process::workspace().join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let line = text.lines().find_map(|line| {
        let value = line.strip_prefix("version = \"")?;
        value.strip_suffix('"')
    });
    let version = line.with_context(|| format!("no version in {}", manifest.display()))?;
    Ok(version.to_owned())
}

fn time() -> Result<SystemTime> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(given) => given,
        Err(_) => process::output(
            Command::new("git")
                .args(["log", "-1", "--format=%ct"])
                .current_dir(process::workspace()),
        )
        .context("neither SOURCE_DATE_EPOCH nor a commit says when this was made")?,
    };
    let seconds: u64 = seconds
        .trim()
        .parse()
        .with_context(|| format!("not a number of seconds: {seconds:?}"))?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

impl Release {
    /// Seconds since 1970.
    fn epoch(&self) -> u64 {
        let since = self.time.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}

/// Makes an empty directory.
fn recreate(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}
