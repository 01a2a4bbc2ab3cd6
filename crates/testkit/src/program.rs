//! Where the two programs are: ours as cargo built it, stock Borg as `cargo xtask test` installed it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// One of the two programs that must be indistinguishable by what they leave on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// `ironborg`, called as `borg`.
    Ours,
    /// BorgBackup 1.4.5.
    Stock,
}

impl Program {
    /// Both, ours first.
    pub const BOTH: [Self; 2] = [Self::Ours, Self::Stock];

    /// The pairs (writer, reader) in which each meets the other.
    pub const DIRECTIONS: [(Self, Self); 2] =
        [(Self::Ours, Self::Stock), (Self::Stock, Self::Ours)];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Ours => Self::Stock,
            Self::Stock => Self::Ours,
        }
    }

    /// A short name for messages and paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Stock => "stock",
        }
    }

    /// The executable.
    ///
    /// `IRONBORG_BIN` and `IRONBORG_STOCK_BORG` override the places where cargo and `cargo xtask test` put them.
    ///
    /// # Panics
    /// When it is missing or stock Borg is not 1.4.5: a comparison that was not made must not pass.
    pub fn path(self) -> &'static Path {
        static PATHS: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
        match self {
            Self::Ours => PATHS[0].get_or_init(find_ours),
            Self::Stock => {
                PATHS[1].get_or_init(|| find_stock("IRONBORG_STOCK_BORG", "stock-borg", "1.4.5"))
            }
        }
    }
}

/// Stock Borg as it still answers on servers nobody has upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OldStock {
    /// BorgBackup 1.1.18, the last of its line.
    V1_1,
    /// BorgBackup 1.2.9, the last of its line.
    V1_2,
}

impl OldStock {
    /// All of them, oldest first.
    pub const ALL: [Self; 2] = [Self::V1_1, Self::V1_2];

    /// The version as `--version` gives it.
    pub fn version(self) -> &'static str {
        match self {
            Self::V1_1 => "1.1.18",
            Self::V1_2 => "1.2.9",
        }
    }

    /// The executable.
    ///
    /// `IRONBORG_STOCK_BORG_1_1` and `IRONBORG_STOCK_BORG_1_2` override the place where `cargo xtask test` puts it.
    ///
    /// # Panics
    /// When it is missing or another version: a comparison that was not made must not pass.
    pub fn path(self) -> &'static Path {
        static PATHS: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
        let (place, variable) = match self {
            Self::V1_1 => (&PATHS[0], "IRONBORG_STOCK_BORG_1_1"),
            Self::V1_2 => (&PATHS[1], "IRONBORG_STOCK_BORG_1_2"),
        };
        let venv = format!("stock-borg-{}", self.version());
        place.get_or_init(|| find_stock(variable, &venv, self.version()))
    }
}

/// borgmatic, as `cargo xtask test` installed it or `IRONBORG_BORGMATIC` names it.
///
/// # Panics
/// When it is missing: a comparison that was not made must not pass.
pub fn borgmatic() -> PathBuf {
    let path = env::var_os("IRONBORG_BORGMATIC")
        .map_or_else(|| target().join("borgmatic/bin/borgmatic"), PathBuf::from);
    assert!(
        path.is_file(),
        "borgmatic is missing: {} (`cargo xtask test` installs it; IRONBORG_BORGMATIC overrides)",
        path.display()
    );
    path
}

/// The workspace's top directory.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .expect("crates/testkit is two levels down")
        .to_path_buf()
}

/// The directory of golden vectors and sample repositories.
pub fn testdata() -> PathBuf {
    workspace().join("testdata")
}

fn find_ours() -> PathBuf {
    let path =
        env::var_os("IRONBORG_BIN").map_or_else(|| build_dir().join("ironborg"), PathBuf::from);
    assert!(
        path.is_file(),
        "the program under test is missing: {} (built by `cargo build --bins`; IRONBORG_BIN overrides)",
        path.display()
    );
    path
}

/// The profile directory this test was built into: `target/debug` of `target/debug/deps/suite-1234`.
pub(crate) fn build_dir() -> PathBuf {
    let test = env::current_exe().expect("a running test knows its executable");
    let deps = test.parent().expect("an executable is in a directory");
    let inner = deps.file_name().is_some_and(|name| name == "deps");
    if inner {
        deps.parent().expect("deps has a parent").to_path_buf()
    } else {
        deps.to_path_buf()
    }
}

/// cargo's target directory.
pub(crate) fn target() -> PathBuf {
    let profile = build_dir();
    let target = profile.parent().expect("a profile is inside target");
    target.to_path_buf()
}

fn find_stock(variable: &str, venv: &str, version: &str) -> PathBuf {
    let path =
        env::var_os(variable).map_or_else(|| target().join(venv).join("bin/borg"), PathBuf::from);
    let text = format!("`cargo xtask test` installs it; {variable} overrides");
    assert!(
        path.is_file(),
        "stock Borg is missing: {} ({text})",
        path.display()
    );
    if is_installed_beside(&path, version) {
        return path;
    }
    let output = Command::new(&path)
        .arg("--version")
        .output()
        .expect("stock Borg starts");
    let found = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        found.trim(),
        format!("borg {version}"),
        "not the stock Borg that is wanted ({text})"
    );
    path
}

/// Whether this is the program of a virtual environment that has that version: starting it takes longer than looking.
fn is_installed_beside(program: &Path, version: &str) -> bool {
    let lib = program
        .parent()
        .and_then(Path::parent)
        .map(|dir| dir.join("lib"));
    let entries = lib.and_then(|lib| fs::read_dir(lib).ok());
    let record = format!("site-packages/borgbackup-{version}.dist-info/RECORD");
    let mut dirs = entries.into_iter().flatten().filter_map(Result::ok);
    dirs.any(|dir| dir.path().join(&record).is_file())
}
