//! The program: building it, taking away what only debuggers read, and what it needs to run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Libraries the program may need, and the Debian packages they are in.
const LIBRARIES: &[(&str, &str)] = &[
    ("libc.so.6", "libc6"),
    ("libm.so.6", "libc6"),
    ("libdl.so.2", "libc6"),
    ("libpthread.so.0", "libc6"),
    ("ld-linux-x86-64.so.2", "libc6"),
    ("ld-linux-aarch64.so.1", "libc6"),
    ("libgcc_s.so.1", "libgcc-s1"),
];

/// Builds it as distributions do: with the C library of the machine it will be on.
pub(super) fn build() -> Result<PathBuf> {
    process::run(process::cargo().args([
        "build",
        "--release",
        "--locked",
        "--package",
        "ironborg",
    ]))?;
    Ok(process::target().join("release/ironborg"))
}

/// Builds it with everything in it. Look-ups of names that the machine's own services would answer fall back to
/// `/etc/passwd` and `/etc/group` then.
pub(super) fn build_static() -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    // With a target named, what runs while building is not affected by the flags.
    process::run(
        process::cargo()
            .args(["build", "--release", "--locked", "--package", "ironborg"])
            .args(["--target", &target])
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    let binary = process::target().join(target).join("release/ironborg");
    if !needed(&binary)?.is_empty() {
        bail!("{} is not static", binary.display());
    }
    Ok(binary)
}

/// Copies it without what only debuggers read.
pub(super) fn strip(from: &Path, to: &Path) -> Result<()> {
    process::run(
        Command::new("strip")
            .args(["--strip-all", "-o"])
            .arg(to)
            .arg(from),
    )
}

/// The libraries it needs.
fn needed(binary: &Path) -> Result<Vec<String>> {
    let text = readelf(binary, "--dynamic")?;
    let library = |line: &str| {
        let (_, name) = line.split_once("(NEEDED)")?.1.split_once('[')?;
        Some(name.split_once(']')?.0.to_owned())
    };
    Ok(text.lines().filter_map(library).collect())
}

/// The packages it needs, as `Depends` has them.
pub(super) fn depends(binary: &Path) -> Result<String> {
    let mut packages: Vec<String> = Vec::new();
    for library in needed(binary)? {
        let known = LIBRARIES.iter().find(|(name, _)| *name == library);
        let (_, package) = known.with_context(|| format!("which package is {library} in?"))?;
        let wanted = if *package == "libc6" {
            format!(
                "libc6 (>= {})",
                newest_glibc(&readelf(binary, "--version-info")?)?
            )
        } else {
            (*package).to_owned()
        };
        if !packages.contains(&wanted) {
            packages.push(wanted);
        }
    }
    packages.sort();
    Ok(packages.join(", "))
}

/// The newest version of the C library that any of its symbols is from.
fn newest_glibc(text: &str) -> Result<String> {
    let versions = text.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let text = &rest[..end.unwrap_or(rest.len())];
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        numbers
    });
    let newest = versions
        .max()
        .context("it needs no version of the C library")?;
    let parts: Vec<String> = newest.iter().map(u32::to_string).collect();
    Ok(parts.join("."))
}

fn readelf(binary: &Path, what: &str) -> Result<String> {
    process::output(Command::new("readelf").args(["--wide", what]).arg(binary))
        .with_context(|| format!("cannot read {}", binary.display()))
}

#[cfg(test)]
mod tests {
    use super::newest_glibc;

    #[test]
    fn the_newest_version_is_by_number() {
        let text = "Name: GLIBC_2.9  Flags: none\n 0x0010: Name: GLIBC_2.34\n GLIBC_2.4 GLIBC_2.2.5 GLIBC_PRIVATE";
        assert_eq!(newest_glibc(text).unwrap(), "2.34");
        assert!(newest_glibc("nothing").is_err());
    }
}
