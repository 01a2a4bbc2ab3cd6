//! `cargo xtask bench`: builds the release binary and the runner, then times ours against stock Borg.

use anyhow::Result;

use crate::{process, setup};

/// Builds, then hands all options to the runner (`benches/`), which explains them under `--help`.
pub(crate) fn run(args: &[String]) -> Result<()> {
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
    let mut runner = std::process::Command::new(release.join("ironborg-benches"));
    runner
        .arg("--ours")
        .arg(release.join("ironborg"))
        .arg("--stock")
        .arg(stock)
        .arg("--wire-proxy")
        .arg(release.join("wire-proxy"))
        .args(args);
    process::run(&mut runner)
}
