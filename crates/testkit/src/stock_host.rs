//! One process that has stock Borg loaded and forks for each run of it, for tests that decide from run to run.
//!
//! Starting stock Borg takes longer than most of what it is asked to do. Unlike [`Home::stock_runs`], what is run next may
//! depend on what was found, each run may be on another machine, and a run can be killed, or left running beside others.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Home, Program, Run, Scratch};

/// Takes a line of JSON, forks and says the process id; asked to wait for that id, it says the status.
const SCRIPT: &str = "
import json, os, sys
import borg.archiver
def start(job):
    for number, (name, flags) in enumerate((
        (job['in'], os.O_RDONLY),
        (job['out'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (job['err'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    )):
        handle = os.open(name, flags, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.environ.clear()
    os.environ.update(job['env'])
    os.chdir(job['dir'])
    sys.stdin = open(0, 'r', closefd=False)
    sys.argv = [job['program']] + job['args']
    code = 0
    try:
        borg.archiver.main()
    except SystemExit as e:
        code = e.code or 0
    for stream in sys.stdout, sys.stderr:
        # A command that wrote to a file called '-' has closed it.
        if not stream.closed:
            stream.flush()
    os._exit(code)
jobs, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), 'w')
while True:
    line = jobs.readline()
    if not line:
        break
    word, _, rest = line.partition(' ')
    if word == 'load':
        __import__(rest.strip())
        answer = 0
    elif word == 'wait':
        answer = os.waitpid(int(rest), 0)[1]
    else:
        answer = os.fork()
        if answer == 0:
            start(json.loads(rest))
    print(answer, file=answers, flush=True)
";

/// A loaded stock Borg; ends when dropped.
#[derive(Debug)]
pub struct StockHost {
    child: Child,
    jobs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Input and outputs of the run at hand.
    files: [PathBuf; 3],
}

/// A signal, and how long after the start of a run it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    /// The signal.
    pub signal: Signal,
    /// Since the start.
    pub after: Duration,
}

impl StockHost {
    /// Loads stock Borg; the machine is only where it does that.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(scratch: &Scratch, home: &Home) -> Self {
        let mut invocation = home.stock_library(SCRIPT, ["--"; 0]);
        let mut child = invocation.start(Stdio::piped());
        let jobs = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let files = ["in", "out", "err"].map(|name| scratch.join(format!("stock-{name}")));
        Self {
            child,
            jobs,
            answers,
            files,
        }
    }

    /// Runs stock Borg to its end on a machine, perhaps with a signal on its way.
    ///
    /// # Panics
    /// When the host itself fails.
    #[track_caller]
    pub fn run(
        &mut self,
        (home, dir): (&Home, &Path),
        args: &[String],
        input: &[u8],
        blow: Option<Blow>,
    ) -> Run {
        let files = self.files.clone();
        let [stdin, outputs @ ..] = [&files[0], &files[1], &files[2]];
        fs::write(stdin, input).expect("room on the disk");
        for output in outputs {
            File::create(output).expect("room on the disk");
        }
        let started = Instant::now();
        let pid = self.begin((home, dir), args, [stdin, outputs[0], outputs[1]]);
        if let Some(blow) = blow {
            std::thread::sleep(blow.after);
            // Not waited for yet: the id is still its own, whether it has ended or not.
            kill_process(pid, blow.signal).expect("a child of our own child");
        }
        let status = self.wait(pid);
        let streams = outputs.map(|file| fs::read(file).expect("just written"));
        let shown = format!("[stock] borg {}", args.join(" "));
        Run::from_parts(&shown, status, streams, started.elapsed())
    }

    /// Loads what a mount needs, which every mount would load again otherwise.
    ///
    /// # Panics
    /// When stock Borg was built without it.
    pub fn load_mounts(&mut self) {
        self.ask("load borg.fuse");
    }

    /// Starts stock Borg on a machine and leaves it running; `files` are its input and its outputs.
    ///
    /// Its id stays its own until [`StockHost::wait`] is called.
    ///
    /// # Panics
    /// When the host itself fails.
    pub fn begin(
        &mut self,
        (home, dir): (&Home, &Path),
        args: &[String],
        files: [&Path; 3],
    ) -> Pid {
        let program = Program::Stock.path().to_string_lossy();
        let [stdin, stdout, stderr] = files;
        let job = serde_json::json!({
            "program": program, "args": args, "env": home.environment(), "dir": dir,
            "in": stdin, "out": stdout, "err": stderr,
        });
        let pid = self.ask(&format!("run {job}"));
        Pid::from_raw(pid).expect("a process id")
    }

    /// Waits for the end of what was begun.
    ///
    /// # Panics
    /// When the host itself fails.
    pub fn wait(&mut self, pid: Pid) -> ExitStatus {
        ExitStatus::from_raw(self.ask(&format!("wait {}", pid.as_raw_nonzero())))
    }

    fn ask(&mut self, line: &str) -> i32 {
        let jobs = self.jobs.as_mut().expect("open until dropped");
        writeln!(jobs, "{line}").expect("the host reads");
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .expect("the host answers");
        let number = answer.trim().parse();
        number.unwrap_or_else(|error| panic!("the host of stock Borg said {answer:?}: {error}"))
    }
}

impl Drop for StockHost {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.child.wait();
    }
}
