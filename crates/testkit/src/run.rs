//! Running a program to its end and looking at what it said.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Program;
use crate::stock_host::{Job, TIME_LIMIT};

/// When set, every run of stock Borg is a process of its own from the start, as users start it.
const FULL_VARIABLE: &str = "IRONBORG_INTEROP_FULL";

/// A run being prepared.
#[derive(Debug)]
pub struct Invocation {
    /// Who is running, for messages.
    name: String,
    command: Command,
    input: Vec<u8>,
    /// A whole run may be left to a process that has stock Borg loaded.
    hosted: bool,
}

impl Invocation {
    pub(crate) fn new<I, S>(
        program: Program,
        variables: &BTreeMap<OsString, OsString>,
        args: I,
    ) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(program.path());
        // Ours behaves as Borg when it is called so. The name is recorded in archives: with the same name
        // both programs write the same bytes.
        command.arg0(Program::Stock.path()).args(args);
        command.env_clear().envs(variables);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Self {
            name: program.name().to_owned(),
            command,
            input: Vec::new(),
            hosted: program == Program::Stock && std::env::var_os(FULL_VARIABLE).is_none(),
        }
    }

    /// Some other program, such as one that starts Borg itself.
    pub(crate) fn of_tool<I, S>(
        program: &Path,
        variables: &BTreeMap<OsString, OsString>,
        args: I,
    ) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(program);
        command.args(args).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(variables);
        Self {
            name: program.display().to_string(),
            command,
            input: Vec::new(),
            hosted: false,
        }
    }

    /// A Python script that may use stock Borg's library; its arguments follow.
    pub(crate) fn with_stock_library<I, S>(
        script: &str,
        variables: &BTreeMap<OsString, OsString>,
        args: I,
    ) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let bin = Program::Stock
            .path()
            .parent()
            .expect("an executable is in a directory");
        let mut command = Command::new(bin.join("python"));
        command.arg("-c").arg(script).args(args);
        command.env_clear().envs(variables);
        Self {
            name: Program::Stock.name().to_owned(),
            command,
            input: Vec::new(),
            hosted: false,
        }
    }

    /// Runs with the rights of an ordinary user: still the same user, but without what makes root root.
    ///
    /// (Becoming another user would need every directory above the programs to be open to it.)
    #[must_use]
    pub fn without_privileges(mut self) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps=-all", "--bounding-set=-all", "--"]);
        command
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .env_clear();
        let set = self
            .command
            .get_envs()
            .filter_map(|(name, value)| value.map(|value| (name, value)));
        command.envs(set);
        self.command = command;
        self.hosted = false;
        self
    }

    /// Runs as another user, with that user's rights only. Needs root.
    ///
    /// Every directory above the program and above what it works on has to be open to that user; see
    /// [`crate::OtherUser`].
    #[must_use]
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
        command.args(["--clear-groups", "--inh-caps=-all", "--"]);
        command
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .env_clear();
        let variables = self.command.get_envs();
        let set = variables.filter_map(|(name, value)| value.map(|value| (name, value)));
        command.envs(set);
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        self.hosted = false;
        self.command = command;
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets what the program reads from standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Sets one more environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn without(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs to the end.
    ///
    /// # Panics
    /// When the program cannot be started or does not end in time.
    #[track_caller]
    pub fn run(mut self) -> Run {
        let shown = format!("[{}] {}", self.name, show(&self.command));
        if self.hosted {
            return self.run_hosted(&shown);
        }
        let started = Instant::now();
        let mut child = self.start(if self.input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        let input = std::mem::take(&mut self.input);
        let writer = child.stdin.take().map(|mut pipe| {
            // A program that ends without reading is an outcome, not a fault of the test.
            thread::spawn(move || drop(pipe.write_all(&input)))
        });
        let stdout = read_all(child.stdout.take());
        let stderr = read_all(child.stderr.take());
        let status = wait(&mut child, &shown);
        if let Some(writer) = writer {
            writer.join().expect("the writing thread does not panic");
        }
        let stdout = stdout.join().expect("the reading thread does not panic");
        let stderr = stderr.join().expect("the reading thread does not panic");
        Run {
            command: shown,
            status,
            stdout,
            stderr,
            elapsed: started.elapsed(),
        }
    }

    #[track_caller]
    fn run_hosted(self, shown: &str) -> Run {
        let here = || std::env::current_dir().expect("tests run somewhere");
        let dir = self.command.get_current_dir();
        let set = self.command.get_envs();
        let set = set.filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let job = Job {
            shown,
            dir: &dir.map_or_else(here, Path::to_path_buf),
            args: &self.command.get_args().collect::<Vec<_>>(),
            variables: &set.collect(),
            input: self.input,
        };
        job.run()
    }

    /// Starts the program with pipes for output, for tests that do something while it runs.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[track_caller]
    pub fn start(&mut self, stdin: Stdio) -> Child {
        let command = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", show(command)))
    }

    /// Starts the program with one file for all three streams, such as a terminal.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[track_caller]
    pub fn start_in(&mut self, file: std::fs::File) -> Child {
        let copy = || Stdio::from(file.try_clone().expect("descriptors to spare"));
        let (input, output) = (copy(), copy());
        let command = self.command.stdin(input).stdout(output).stderr(file);
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", show(command)))
    }

    /// Starts the program with empty input and a file for both outputs.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[track_caller]
    pub fn start_logging(&mut self, log: &std::fs::File) -> Child {
        let copy = || Stdio::from(log.try_clone().expect("descriptors to spare"));
        let (stdout, stderr) = (copy(), copy());
        let command = self.command.stdin(Stdio::null());
        let command = command.stdout(stdout).stderr(stderr);
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", show(command)))
    }

    /// Starts the program without looking at its output.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[track_caller]
    pub fn start_silent(&mut self, stdin: Stdio) -> Child {
        let command = self
            .command
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", show(command)))
    }
}

/// What a finished program left.
#[derive(Debug, Clone)]
pub struct Run {
    command: String,
    status: ExitStatus,
    /// All of standard output.
    pub stdout: Vec<u8>,
    /// All of standard error.
    pub stderr: Vec<u8>,
    /// From start to end.
    pub elapsed: Duration,
}

impl Run {
    /// Collects a child started with [`Invocation::start`].
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn of(mut child: Child) -> Self {
        let started = Instant::now();
        let stdout = read_all(child.stdout.take());
        let stderr = read_all(child.stderr.take());
        drop(child.stdin.take());
        let command = format!("process {}", child.id());
        let status = wait(&mut child, &command);
        let stdout = stdout.join().expect("the reading thread does not panic");
        let stderr = stderr.join().expect("the reading thread does not panic");
        Self {
            command,
            status,
            stdout,
            stderr,
            elapsed: started.elapsed(),
        }
    }

    /// A run something else has watched; `streams` are standard output and standard error.
    pub(crate) fn from_parts(
        command: &str,
        status: ExitStatus,
        streams: [Vec<u8>; 2],
        elapsed: Duration,
    ) -> Self {
        let [stdout, stderr] = streams;
        Self {
            command: command.to_owned(),
            status,
            stdout,
            stderr,
            elapsed,
        }
    }

    /// The exit code; for a program ended by a signal 128 + its number, as a shell says it.
    ///
    /// # Panics
    /// Never: a finished process has one or the other.
    pub fn code(&self) -> i32 {
        let by_signal = || self.status.signal().map(|signal| 128 + signal);
        self.status
            .code()
            .or_else(by_signal)
            .expect("a finished process has a code or a signal")
    }

    /// Checks the exit code and gives the run back.
    ///
    /// # Panics
    /// When the code is another one.
    #[track_caller]
    #[must_use]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "exit code\n{self}");
        self
    }

    /// Checks for exit code 0.
    ///
    /// # Panics
    /// When the code is another one.
    #[track_caller]
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use)]
    pub fn ok(self) -> Self {
        assert_eq!(self.code(), 0, "exit code\n{self}");
        self
    }

    /// Checks that the program ended in one of its own ways: exit code below 128 and no panic.
    ///
    /// # Panics
    /// When a panic or a signal ended it.
    #[track_caller]
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use)]
    pub fn in_control(self) -> Self {
        let panicked = self.err().contains("panicked at");
        assert!(
            !panicked && self.status.signal().is_none(),
            "out of control\n{self}"
        );
        self
    }

    /// Standard output as text, undecodable bytes replaced.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text, undecodable bytes replaced.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as one JSON document.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// Standard output as JSON lines.
    ///
    /// # Panics
    /// When a line is not JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let lines = self
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_slice(line).unwrap_or_else(|error| {
                    panic!("{error} in {:?}\n{self}", String::from_utf8_lossy(line))
                })
            })
            .collect()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} -> {} in {:.2?}",
            self.command, self.status, self.elapsed
        )?;
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            let shown: String = text.chars().take(2500).collect();
            writeln!(f, "--- {name}, {} bytes\n{shown}", bytes.len())?;
        }
        Ok(())
    }
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        bytes
    })
}

#[track_caller]
fn wait(child: &mut Child, shown: &str) -> ExitStatus {
    let deadline = Instant::now() + TIME_LIMIT;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().expect("our own child can be waited for") {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().expect("our own child can be killed");
            panic!("still running after {TIME_LIMIT:?}: {shown}");
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn show(command: &Command) -> String {
    let args = command.get_args().map(OsStr::to_string_lossy);
    format!("borg {}", args.collect::<Vec<_>>().join(" "))
}
