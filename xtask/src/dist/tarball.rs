//! The tarball: for machines without a package, and for the day when all that is left is a rescue system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Release;
use super::content::Content;
use super::tree::Tree;
use crate::process;

/// Where completions go below a prefix.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/ironborg"),
    ("zsh", "share/zsh/site-functions/_ironborg"),
    ("fish", "share/fish/vendor_completions.d/ironborg.fish"),
];

/// Makes it.
pub(super) fn make(
    program: &Path,
    content: &Content,
    work: &Path,
    output: &Path,
    release: &Release,
) -> Result<PathBuf> {
    let name = format!(
        "ironborg-{}-{}-linux",
        release.version,
        std::env::consts::ARCH
    );
    let tree = Tree::new(work.join("tarball").join(&name))?;
    tree.program("bin/ironborg", program)?;
    for (page, text) in content.man.iter().chain(&content.man_as_borg) {
        tree.file(Path::new("share/man/man1").join(page), text)?;
    }
    for (shell, script) in &content.completions {
        let place = COMPLETIONS.iter().find(|(name, _)| name == shell);
        let (_, place) = place.with_context(|| format!("where do completions of {shell} go?"))?;
        tree.file(place, script)?;
    }
    tree.file("share/ironborg/jobs.schema.json", &content.schema)?;
    let documents = Path::new("share/doc/ironborg");
    for (document, text) in &content.documents {
        tree.file(documents.join(document), text)?;
    }
    for (example, text) in &content.examples {
        tree.file(documents.join("examples").join(example), text)?;
    }
    tree.file(documents.join("CHANGELOG.md"), &content.changes)?;
    tree.file(documents.join("LICENSE"), &content.licence)?;
    tree.file(documents.join("third-party.txt"), &content.third_parties)?;
    let script = process::workspace().join("packaging/install.sh");
    let script = fs::read(&script).with_context(|| format!("cannot read {}", script.display()))?;
    tree.script("install.sh", &script)?;
    tree.set_times(release.time)?;
    pack(&tree, &name, output, release)
}

fn pack(tree: &Tree, name: &str, output: &Path, release: &Release) -> Result<PathBuf> {
    let plain = output.join(format!("{name}.tar"));
    let above = tree
        .root()
        .parent()
        .context("a tree is below a directory")?;
    process::run(
        Command::new("tar")
            .args(["--create", "--format=gnu", "--sort=name"])
            .args(["--owner=root:0", "--group=root:0", "--numeric-owner"])
            .arg(format!("--mtime=@{}", release.epoch()))
            .arg("--file")
            .arg(&plain)
            .arg("--directory")
            .args([above, Path::new(name)]),
    )?;
    let level = if release.quick { "-1" } else { "-9" };
    process::run(
        Command::new("gzip")
            .args([level, "--no-name", "--force"])
            .arg(&plain),
    )?;
    Ok(output.join(format!("{name}.tar.gz")))
}
