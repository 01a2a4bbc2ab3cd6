//! Repositories reached over ssh: which program answers, and how a machine is told to reach it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Home, OldStock, Program, Sshd};

/// Environment variable that sends a whole test suite over the wire; its value names the server.
const VARIABLE: &str = "IRONBORG_INTEROP_WIRE";

/// A program that serves repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// One of the two programs that are compared.
    Current(Program),
    /// Stock Borg as some hosting companies still run it.
    Old(OldStock),
}

impl Server {
    /// The executable.
    ///
    /// # Panics
    /// When it is missing.
    pub fn path(self) -> &'static Path {
        match self {
            Self::Current(program) => program.path(),
            Self::Old(release) => release.path(),
        }
    }

    /// A short name for messages and paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current(program) => program.name(),
            Self::Old(release) => release.version(),
        }
    }

    fn by_name(name: &str) -> Self {
        let programs = Program::BOTH.map(Self::Current);
        let old = OldStock::ALL.map(Self::Old);
        let mut all = programs.into_iter().chain(old);
        all.find(|server| server.name() == name)
            .unwrap_or_else(|| panic!("{VARIABLE}: no server is called {name}"))
    }
}

/// An ssh server and the program it starts.
#[derive(Debug)]
pub struct Wire {
    server: Server,
    rsh: String,
    // Before the directory it uses: fields are dropped in this order.
    sshd: Sshd,
    dir: TempDir,
}

impl Wire {
    /// Starts the ssh server, in a directory of its own.
    ///
    /// # Panics
    /// When there is no sshd.
    pub fn new(server: Server) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("ironborg-wire-")
            .tempdir()
            .expect("a temporary directory");
        let base = dir.path().join("base");
        fs::create_dir(&base).expect("room on the disk");
        let base = base
            .to_str()
            .expect("temporary directories have plain names");
        // Stock Borg tests its own libraries at every start; that is not what is under test here.
        let variables = [
            ("BORG_BASE_DIR", base),
            ("BORG_SELFTEST", "disabled"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
        ];
        let sshd = Sshd::start(dir.path(), &variables);
        let rsh = sshd.key("any", "");
        Self {
            server,
            rsh,
            sshd,
            dir,
        }
    }

    /// A new one, if the environment says that the whole suite uses one.
    pub fn of_environment() -> Option<Self> {
        let name = std::env::var(VARIABLE).ok()?;
        Some(Self::new(Server::by_name(&name)))
    }

    /// Which program answers.
    pub fn server(&self) -> Server {
        self.server
    }

    /// The ssh server, for keys that may do less and for cutting connections.
    pub fn sshd(&self) -> &Sshd {
        &self.sshd
    }

    /// The server's base directory (`BORG_BASE_DIR`), which `~` is to it.
    pub fn base(&self) -> PathBuf {
        self.dir.path().join("base")
    }

    /// The location of a repository, given its path.
    pub fn url(&self, path: &Path) -> String {
        self.sshd.url(path)
    }

    /// Tells a machine how to log in here, and what to start.
    pub fn lead(&self, home: &mut Home) {
        home.set("BORG_RSH", &self.rsh);
        home.set("BORG_REMOTE_PATH", self.server.path());
    }
}
