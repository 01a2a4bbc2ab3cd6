//! What the program is made of, and under which conditions: a text that goes with every copy of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process;

/// How files begin that hold conditions.
const CONDITIONS: &[&str] = &[
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// Lists the crates of the program and every text of conditions that comes with one, each text once.
pub(super) fn collect() -> Result<Vec<u8>> {
    let listing = process::output(process::cargo().args([
        "tree",
        "--offline",
        "--package",
        "ironborg",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ]))
    .context("cargo does not list the dependencies")?;
    let crates: BTreeSet<(String, String)> = listing.lines().filter_map(parse).collect();
    if crates.is_empty() {
        bail!("cargo lists no dependencies");
    }
    let mut text = "The program is made of its own source and of these crates:\n\n".to_owned();
    let mut conditions: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, licence) in &crates {
        writeln!(text, "  {name}: {licence}").expect("a string takes everything");
        for content in texts(name)? {
            let users = conditions.entry(content).or_default();
            if users.last() != Some(&name.as_str()) {
                users.push(name);
            }
        }
    }
    let mut ordered: Vec<(Vec<&str>, String)> = conditions
        .into_iter()
        .map(|(content, users)| (users, content))
        .collect();
    ordered.sort();
    for (users, content) in ordered {
        let line = "-".repeat(100);
        write!(
            text,
            "\n{line}\n{}\n{line}\n\n{}\n",
            users.join(", "),
            content.trim_end()
        )
        .expect("a string takes everything");
    }
    Ok(text.into_bytes())
}

/// `name v1.2.3 (proc-macro)|MIT` → `name-1.2.3` and what it is under; nothing for our own.
fn parse(line: &str) -> Option<(String, String)> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    if package.contains("(/") {
        return None;
    }
    // Lines that say the same again end so.
    let licence = licence.trim_end_matches(" (*)");
    Some((format!("{name}-{version}"), licence.to_owned()))
}

/// The conditions that lie beside the source of a crate.
fn texts(name: &str) -> Result<Vec<String>> {
    let Some(dir) = source(name)? else {
        bail!("the source of {name} is not there");
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let shown = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_uppercase();
        if path.is_file() && CONDITIONS.iter().any(|start| shown.starts_with(start)) {
            files.push(path);
        }
    }
    files.sort();
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    files.iter().map(read).collect()
}

/// Where cargo has unpacked a crate.
fn source(name: &str) -> Result<Option<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let sources = home
        .context("neither CARGO_HOME nor HOME is set")?
        .join("registry/src");
    let entries = fs::read_dir(&sources);
    for registry in entries.with_context(|| format!("cannot read {}", sources.display()))? {
        let dir = registry?.path().join(name);
        if dir.is_dir() {
            return Ok(Some(dir));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn own_crates_are_left_out() {
        assert_eq!(
            parse("ironborg v0.1.0 (/src/crates/cli)|BSD-3-Clause"),
            None
        );
        let found = parse("clap_derive v4.5.1 (proc-macro)|MIT OR Apache-2.0 (*)").unwrap();
        assert_eq!(
            found,
            ("clap_derive-4.5.1".into(), "MIT OR Apache-2.0".into())
        );
    }
}
