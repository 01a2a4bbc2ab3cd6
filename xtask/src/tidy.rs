//! `cargo xtask tidy`: the house rules that neither rustfmt nor clippy can check.
//!
//! Findings are collected over the whole tree and printed together, each with file and line. Errors fail the run;
//! warnings (a file that asks for a split) do not.

mod layers;
mod sources;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process;

/// One violation of a rule.
pub(crate) struct Finding {
    place: String,
    text: String,
    fails: bool,
}

impl Finding {
    fn error(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
            fails: true,
        }
    }

    fn warning(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
            fails: false,
        }
    }
}

/// A text file of the tree: its path relative to the workspace, and what it holds.
pub(crate) struct SourceFile {
    path: String,
    text: String,
}

/// Checks everything; an error when any rule is broken.
pub(crate) fn run() -> Result<()> {
    let files = collect()?;
    let mut findings = layers::check(&files);
    findings.extend(sources::check(&files));
    findings.extend(words::check(&files));
    for Finding { place, text, fails } in &findings {
        println!(
            "{} {place}: {text}",
            if *fails { "error  " } else { "warning" }
        );
    }
    let errors = findings.iter().filter(|finding| finding.fails).count();
    if errors > 0 {
        bail!("tidy: {errors} errors in {} files", files.len());
    }
    println!("tidy: {} files in order", files.len());
    Ok(())
}

impl SourceFile {
    fn is_rust(&self) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|ext| ext == "rs")
    }
}

/// Every text file that belongs to the project, in order of path.
fn collect() -> Result<Vec<SourceFile>> {
    const SKIPPED: &[&str] = &[
        "target",
        ".git",
        "testdata",
        "corpus",
        "artifacts",
        "Cargo.lock",
    ];
    let top = process::workspace();
    let mut files = Vec::new();
    let mut pending: Vec<PathBuf> = vec![top.clone()];
    while let Some(dir) = pending.pop() {
        let entries =
            fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
            if SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
                continue;
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(path);
            } else if is_text(&path) {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                files.push(SourceFile {
                    path: relative(&top, &path),
                    text,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn is_text(path: &Path) -> bool {
    const EXTENSIONS: &[&str] = &["rs", "toml", "md", "yml", "yaml", "nix", "sh"];
    let in_ci = path
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|dir| dir == ".ci");
    let extension = path.extension().and_then(|ext| ext.to_str());
    in_ci || extension.is_some_and(|ext| EXTENSIONS.contains(&ext))
}

fn relative(top: &Path, path: &Path) -> String {
    path.strip_prefix(top)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}
