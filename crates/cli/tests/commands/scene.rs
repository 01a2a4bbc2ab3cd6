//! A throw-away machine: a home directory, a working directory, and the program under stock Borg's name.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A throw-away machine.
pub(crate) struct Scene {
    root: tempfile::TempDir,
    program: PathBuf,
}

impl Scene {
    /// With the program called `borg`.
    pub(crate) fn new() -> Self {
        Self::with_program("borg")
    }

    /// With the program called by another name.
    pub(crate) fn with_program(name: &str) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let program = root.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ironborg"), &program).unwrap();
        std::fs::create_dir(root.path().join("home")).unwrap();
        Self { root, program }
    }

    /// The directory everything is in.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The home directory, in which commands run.
    pub(crate) fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// A command of the program.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.home())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("TZ", "UTC")
            .env("LANG", "C.UTF-8")
            .env("BORG_PASSPHRASE", "secret")
            .env("BORG_HOSTNAME", "host")
            .env("BORG_USERNAME", "root")
            .env("BORG_SHOW_SYSINFO", "no");
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(self.command(arguments), b"")
    }

    /// Runs the program, which must succeed.
    #[track_caller]
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{ran:#?}");
        ran
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code; -1 for a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Ran {
    /// Runs a command with an input.
    pub(crate) fn of(mut command: Command, input: &[u8]) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        // A program that does not read its input is no error.
        let _ = child.stdin.take().expect("it is a pipe").write_all(input);
        Self::wait(child)
    }

    /// Waits for a command that was started with pipes.
    pub(crate) fn wait(child: Child) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().expect("it can be waited for");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: status.code().unwrap_or(-1),
            out: text(stdout),
            err: text(stderr),
        }
    }
}
