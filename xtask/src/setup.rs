//! What the tests need and cargo does not bring: system packages, stock Borg and borgmatic in virtual environments.
//!
//! Packages are installed through apt when that exists and we are root; otherwise what is missing is listed and the
//! set-up fails, because a test that silently did not run is worse than one that failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The release of stock Borg everything is compared with.
const STOCK_VERSION: &str = "1.4.5";

/// Environment variable that names a stock Borg to use instead of building one.
pub(crate) const STOCK_VARIABLE: &str = "IRONBORG_STOCK_BORG";

/// The release of borgmatic that drives both programs: the one whose demands on Borg were written down.
///
/// It comes from PyPI because distributions have older ones; it is the most used wrapper that needs no desktop.
const BORGMATIC: &str = "borgmatic==2.1.10";

/// Environment variable that names a borgmatic to use instead of installing one.
pub(crate) const BORGMATIC_VARIABLE: &str = "IRONBORG_BORGMATIC";

/// One thing the tests need, how to see whether it is there, and the Debian package that brings it.
struct Need {
    package: &'static str,
    why: &'static str,
    present: fn() -> bool,
}

/// Where the programs to compare with are.
pub(crate) struct Programs {
    pub(crate) stock_borg: PathBuf,
    pub(crate) borgmatic: PathBuf,
}

/// Needed to run the tests.
const TOOLS: &[Need] = &[
    Need {
        package: "gcc",
        why: "C compiler",
        present: || on_path("cc"),
    },
    Need {
        package: "acl",
        why: "getfacl and setfacl",
        present: || on_path("setfacl"),
    },
    Need {
        package: "attr",
        why: "getfattr and setfattr",
        present: || on_path("setfattr"),
    },
    Need {
        package: "tar",
        why: "unpacking the sample repositories, exchanging tarballs",
        present: || on_path("tar"),
    },
    Need {
        package: "gzip",
        why: "compressed tarballs",
        present: || on_path("gzip"),
    },
    Need {
        package: "bzip2",
        why: "compressed tarballs",
        present: || on_path("bzip2"),
    },
    Need {
        package: "xz-utils",
        why: "compressed tarballs",
        present: || on_path("xz"),
    },
    Need {
        package: "zstd",
        why: "compressed tarballs",
        present: || on_path("zstd"),
    },
    Need {
        package: "lz4",
        why: "compressed tarballs",
        present: || on_path("lz4"),
    },
];

/// Needed in addition when Python programs have to be installed.
const FOR_PYTHON: &[Need] = &[Need {
    package: "python3-venv",
    why: "virtual environments",
    present: python_venv,
}];

/// Needed in addition when stock Borg has to be built.
const FOR_STOCK: &[Need] = &[
    Need {
        package: "pkg-config",
        why: "finding the libraries",
        present: || on_path("pkg-config"),
    },
    Need {
        package: "python3-dev",
        why: "Python headers",
        present: python_headers,
    },
    Need {
        package: "libacl1-dev",
        why: "libacl",
        present: || library("libacl"),
    },
    Need {
        package: "libssl-dev",
        why: "OpenSSL",
        present: || library("libcrypto"),
    },
    Need {
        package: "liblz4-dev",
        why: "lz4",
        present: || library("liblz4"),
    },
    Need {
        package: "libzstd-dev",
        why: "zstd",
        present: || library("libzstd"),
    },
    Need {
        package: "libxxhash-dev",
        why: "xxHash",
        present: || library("libxxhash"),
    },
];

/// Sets everything up.
pub(crate) fn run() -> Result<Programs> {
    install_missing(TOOLS)?;
    Ok(Programs {
        stock_borg: stock_borg()?,
        borgmatic: borgmatic()?,
    })
}

/// borgmatic as the environment names it, or the one installed under `target/`.
fn borgmatic() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(BORGMATIC_VARIABLE) {
        return Ok(PathBuf::from(given));
    }
    let venv = process::target().join("borgmatic");
    let program = venv.join("bin/borgmatic");
    let version = process::output(Command::new(&program).arg("--version"));
    if version.is_some_and(|text| BORGMATIC.ends_with(text.trim()) && !text.trim().is_empty()) {
        return Ok(program);
    }
    install_missing(FOR_PYTHON)?;
    install_python(&venv, BORGMATIC)?;
    Ok(program)
}

/// Makes a virtual environment that holds one requirement.
fn install_python(venv: &Path, requirement: &str) -> Result<()> {
    // A half-made environment of an interrupted run must not be mistaken for a whole one.
    if venv.exists() {
        fs::remove_dir_all(venv).with_context(|| format!("cannot remove {}", venv.display()))?;
    }
    process::run(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    process::run(Command::new(venv.join("bin/python")).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        requirement,
    ]))
}

/// Stock Borg as the environment names it, or the one built under `target/`.
fn stock_borg() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(STOCK_VARIABLE) {
        let path = PathBuf::from(given);
        check_version(&path).with_context(|| format!("{STOCK_VARIABLE} is set"))?;
        return Ok(path);
    }
    let venv = process::target().join("stock-borg");
    let borg = venv.join("bin/borg");
    if check_version(&borg).is_ok() {
        return Ok(borg);
    }
    install_missing(FOR_PYTHON)?;
    install_missing(FOR_STOCK)?;
    install_python(&venv, &format!("borgbackup=={STOCK_VERSION}"))?;
    check_version(&borg)?;
    Ok(borg)
}

fn check_version(borg: &Path) -> Result<()> {
    let expected = format!("borg {STOCK_VERSION}");
    match process::output(Command::new(borg).arg("--version")) {
        Some(text) if text.trim() == expected => Ok(()),
        Some(text) => bail!("{} is {:?}, not {expected:?}", borg.display(), text.trim()),
        None => bail!("{} does not run", borg.display()),
    }
}

fn install_missing(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = missing
        .iter()
        .map(|need| format!("  {:<16} {}", need.package, need.why))
        .collect();
    let list = list.join("\n");
    if !on_path("apt-get") {
        bail!("missing on this system (names as in Debian):\n{list}");
    }
    if !is_root() {
        let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
        bail!(
            "missing:\n{list}\ninstall with: sudo apt-get install {}",
            names.join(" ")
        );
    }
    eprintln!("installing:\n{list}");
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    process::run(apt().args(["update", "-q"]))?;
    let names = missing.iter().map(|need| need.package);
    process::run(
        apt()
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(names),
    )?;
    let still: Vec<&str> = missing
        .iter()
        .filter(|need| !(need.present)())
        .map(|need| need.package)
        .collect();
    if !still.is_empty() {
        bail!("still missing after the installation: {}", still.join(" "));
    }
    Ok(())
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_some_and(|uid| uid.trim() == "0")
}

fn on_path(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn library(name: &str) -> bool {
    process::succeeds(Command::new("pkg-config").args(["--exists", name]))
}

fn python_headers() -> bool {
    const SCRIPT: &str = "import os, sys, sysconfig; \
        sys.exit(not os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')))";
    process::succeeds(Command::new("python3").args(["-c", SCRIPT]))
}

fn python_venv() -> bool {
    process::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}
