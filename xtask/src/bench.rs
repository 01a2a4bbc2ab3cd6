//! `cargo xtask bench`: builds the release binary and the runner, then times ours against stock Borg and others.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{process, setup};

/// Programs ours is compared with if they are there, and the packages of the registry that have them; restic comes with the
/// distribution.
const OTHERS: [(&str, Option<&str>); 3] = [
    ("restic", None),
    ("rustic", Some("rustic-rs")),
    ("bupstash", Some("bupstash")),
];

/// Crates with micro-benchmarks.
const MICRO: [&str; 4] = [
    "ironborg-chunker",
    "ironborg-cache",
    "ironborg-mount",
    "ironborg-benches",
];

/// Builds, then hands all options to the runner (`benches/`), which explains them under `--help`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("--install-others") if args.len() == 1 => return install_others(),
        Some("--micro") => return micro(&args[1..]),
        _ => {}
    }
    let stock = setup::run()?.stock_borg;
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    process::run(process::cargo().args([
        "build",
        "--release",
        "--package",
        "ironborg",
        "--package",
        "ironborg-benches",
        "--package",
        "ironborg-wire-proxy",
    ]))?;
    let release = process::target().join("release");
    let mut runner = Command::new(release.join("ironborg-benches"));
    runner
        .arg("--ours")
        .arg(release.join("ironborg"))
        .arg("--stock")
        .arg(stock)
        .arg("--wire-proxy")
        .arg(release.join("wire-proxy"));
    for (name, _) in OTHERS {
        if let Some(path) = find(name) {
            runner.arg(format!("--{name}")).arg(path);
        }
    }
    process::run(runner.args(args))
}

/// Where programs that are only compared with are installed.
fn others() -> PathBuf {
    process::target().join("others")
}

/// One that was installed for this, or else the machine's own.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(others().join("bin")).chain(std::env::split_paths(&path));
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Has all of them installed that the registry has; one that cannot be built does not keep the others from being.
fn install_others() -> Result<()> {
    let mut failed = Vec::new();
    for (name, package) in OTHERS {
        let Some(package) = package else {
            if find(name).is_none() {
                failed.push(format!("{name} is to be installed from the distribution"));
            }
            continue;
        };
        let mut install = process::cargo();
        install.args(["install", package, "--locked", "--root"]);
        if let Err(error) = process::run(install.arg(others())) {
            failed.push(format!("{package}: {error:#}"));
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// Runs the benchmarks of single stages, those whose names contain `args` if there are any.
fn micro(args: &[String]) -> Result<()> {
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    let mut bench = process::cargo();
    bench.arg("bench");
    for package in MICRO {
        bench.args(["--package", package]);
    }
    process::run(bench.args(["--bench", "*", "--"]).args(args))
}
