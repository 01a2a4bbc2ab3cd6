//! Processes that have stock Borg loaded and fork for each run of it.
//!
//! Starting stock Borg takes longer than most of what it is asked to do. A fork of a process that has loaded it and has run
//! nothing yet is what a new process would be, but for what was read from the environment while loading: so there is
//! a host for each of those environments. Whole runs ([`crate::Invocation::run`]) go through hosts that are kept for the
//! next one; a test that sends signals, or leaves runs going beside others, has a [`StockHost`] of its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::run::Invocation;
use crate::{Home, Program, Run};

/// Takes a job, forks and says the process id; asked to wait for that id, it says the status.
///
/// A job is a line `run` with the length of what follows: directory, three files, number of arguments, arguments, variables;
/// each ended by a zero byte. The files are opened before the process id is said.
const SCRIPT: &str = "
import gc, os, sys, time
import borg.archiver, borg.helpers, borg.platform
sys.path[0] = os.path.dirname(sys.argv[1])
# What is loaded is not looked at for garbage, and so not copied for each run.
gc.collect()
gc.freeze()
kill = os.kill
def kill_who_waits(pid, number):
    # A mount tells the one it leaves in the foreground, which can take that only while it sleeps: earlier, it ends by the
    # signal, or does not notice it at all, depending on where Python is. On a busy machine that happens.
    if number:
        for _ in range(400):
            with open(f'/proc/{pid}/syscall') as call:
                if call.read().startswith(NANOSLEEP):
                    break
            time.sleep(0.01)
    kill(pid, number)
os.kill = kill_who_waits
# Of clock_nanosleep.
NANOSLEEP = {'x86_64': '230 ', 'aarch64': '115 '}.get(os.uname().machine, '')
jobs, answers = os.fdopen(os.dup(0), 'rb'), os.fdopen(os.dup(1), 'w')
def work():
    for line in jobs:
        word, _, rest = line.partition(b' ')
        if word == b'load':
            __import__(os.fsdecode(rest.strip()))
            answer = 0
        elif word == b'wait':
            answer = os.waitpid(int(rest), 0)[1]
        else:
            job = jobs.read(int(rest)).split(b'\\0')
            write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            files = [os.open(name, flags, 0o600) for name, flags in zip(job[1:4], (os.O_RDONLY, write, write))]
            answer = os.fork()
            if answer == 0:
                for number, file in enumerate(files):
                    os.dup2(file, number)
                    os.close(file)
                jobs.close()
                answers.close()
                return job
            for file in files:
                os.close(file)
        print(answer, file=answers, flush=True)
job = work()
if job is None:
    os._exit(0)
count = int(job[4])
os.environ.clear()
os.environb.update(variable.split(b'=', 1) for variable in job[5 + count:-1])
os.chdir(job[0])
sys.argv = [sys.argv[1]] + [os.fsdecode(word) for word in job[5:5 + count]]
sys.exit(borg.archiver.main())
";

/// Variables that stock Borg, not Python or a library, reads while it is loaded.
const READ_WHILE_LOADING: [&str; 4] = [
    "BORG_EXIT_CODES",
    "BORG_FUSE_IMPL",
    "BORG_HOST_ID",
    "BORG_WORKAROUNDS",
];

/// Longest time any one run may take; past it the program counts as hanging.
pub(crate) const TIME_LIMIT: Duration = Duration::from_mins(10);

type Variables = BTreeMap<OsString, OsString>;

/// Hosts that wait for work, with what they were loaded with.
static IDLE: Mutex<Vec<Host>> = Mutex::new(Vec::new());

/// A process that has loaded stock Borg; ends when dropped.
#[derive(Debug)]
struct Host {
    /// What it found in its environment while loading.
    loaded_with: Variables,
    child: Child,
    jobs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// One run of stock Borg.
pub(crate) struct Job<'a> {
    pub(crate) shown: &'a str,
    pub(crate) dir: &'a Path,
    pub(crate) args: &'a [&'a OsStr],
    pub(crate) variables: &'a Variables,
    pub(crate) input: Vec<u8>,
}

impl Job<'_> {
    /// Runs to the end, in a host that is idle or a new one.
    #[track_caller]
    pub(crate) fn run(self) -> Run {
        let wanted = read_while_loading(self.variables);
        let idle = {
            let mut hosts = IDLE.lock().expect("nothing panics in here");
            let place = hosts.iter().position(|host| host.loaded_with == wanted);
            place.map(|place| hosts.swap_remove(place))
        };
        let mut host = idle.unwrap_or_else(|| Host::start(wanted));
        let run = host.run(self, None);
        IDLE.lock().expect("nothing panics in here").push(host);
        run
    }

    /// The form the script reads.
    fn message(&self, files: [&Path; 3]) -> Vec<u8> {
        let mut body = Vec::new();
        let mut push = |parts: &[&[u8]]| {
            for part in parts {
                assert!(!part.contains(&0), "a zero byte ends a word");
                body.extend_from_slice(part);
            }
            body.push(0);
        };
        push(&[self.dir.as_os_str().as_bytes()]);
        for file in files {
            push(&[file.as_os_str().as_bytes()]);
        }
        push(&[self.args.len().to_string().as_bytes()]);
        for arg in self.args {
            push(&[arg.as_bytes()]);
        }
        for (name, value) in self.variables {
            push(&[name.as_bytes(), b"=", value.as_bytes()]);
        }
        let mut message = format!("run {}\n", body.len()).into_bytes();
        message.append(&mut body);
        message
    }
}

/// What has to be the same when stock Borg is loaded: all but what is known to be looked at later.
fn read_while_loading(variables: &Variables) -> Variables {
    let matters = |name: &[u8]| {
        let later = [b"BORG_" as &[u8], b"XDG_", b"SSH_"];
        let later = later.iter().any(|prefix| name.starts_with(prefix))
            || [b"HOME" as &[u8], b"PATH", b"USER", b"COLUMNS"].contains(&name);
        !later || READ_WHILE_LOADING.iter().any(|it| it.as_bytes() == name)
    };
    let chosen = variables
        .iter()
        .filter(|(name, _)| matters(name.as_bytes()));
    chosen.map(|(n, v)| (n.clone(), v.clone())).collect()
}

impl Host {
    fn start(loaded_with: Variables) -> Self {
        let program = Program::Stock.path();
        let mut invocation = Invocation::with_stock_library(SCRIPT, &loaded_with, [program]);
        let mut child = invocation.start(Stdio::piped());
        let jobs = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            loaded_with,
            child,
            jobs,
            answers,
        }
    }

    #[track_caller]
    fn run(&mut self, job: Job<'_>, blow: Option<Blow>) -> Run {
        let started = Instant::now();
        let pipe = || std::io::pipe().expect("descriptors to spare");
        let [(stdin, input), (stdout, output), (stderr, errors)] = [pipe(), pipe(), pipe()];
        let ours = std::process::id();
        let opened = |fd: i32| PathBuf::from(format!("/proc/{ours}/fd/{fd}"));
        let files = [
            if job.input.is_empty() {
                PathBuf::from("/dev/null")
            } else {
                opened(stdin.as_raw_fd())
            },
            opened(output.as_raw_fd()),
            opened(errors.as_raw_fd()),
        ];
        let [first, second, third] = &files;
        let pid = self.begin(&job, [first, second, third]);
        // It has them open now; while we have them too, they would not end with it.
        drop((stdin, output, errors));
        // A program that ends without reading is an outcome, not a fault of the test.
        let writer = thread::spawn(move || drop({ input }.write_all(&job.input)));
        let [stdout, stderr] = [stdout, stderr].map(read_all);
        if let Some(blow) = blow {
            thread::sleep(blow.after);
            // Not waited for yet: the id is still its own, whether it has ended or not.
            kill_process(pid, blow.signal).expect("a child of our own child");
        }
        let status = self.wait(job.shown, pid);
        writer.join().expect("the writing thread does not panic");
        let streams =
            [stdout, stderr].map(|it| it.join().expect("the reading thread does not panic"));
        Run::from_parts(job.shown, status, streams, started.elapsed())
    }

    #[track_caller]
    fn begin(&mut self, job: &Job<'_>, files: [&Path; 3]) -> Pid {
        self.tell(&job.message(files));
        Pid::from_raw(self.answer(job.shown, None)).expect("a process id")
    }

    #[track_caller]
    fn wait(&mut self, shown: &str, pid: Pid) -> ExitStatus {
        self.tell(format!("wait {}\n", pid.as_raw_nonzero()).as_bytes());
        ExitStatus::from_raw(self.answer(shown, Some(pid)))
    }

    fn tell(&mut self, message: &[u8]) {
        let jobs = self.jobs.as_mut().expect("open until dropped");
        jobs.write_all(message).expect("the host reads");
    }

    /// The number the host says next; a run that does not end in time is killed.
    #[track_caller]
    fn answer(&mut self, shown: &str, running: Option<Pid>) -> i32 {
        let limit = Timespec::try_from(TIME_LIMIT).expect("minutes");
        let mut waited_for = [PollFd::new(self.answers.get_ref(), PollFlags::IN)];
        if poll(&mut waited_for, Some(&limit)).expect("a pipe can be waited for") == 0 {
            if let Some(pid) = running {
                kill_process(pid, Signal::KILL).expect("a child of our own child");
            }
            panic!("still running after {TIME_LIMIT:?}: {shown}");
        }
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .expect("the host answers");
        answer.trim().parse().unwrap_or_else(|error| {
            let mut words = String::new();
            let errors = self.child.stderr.take().expect("a pipe");
            let _ = { errors }.read_to_string(&mut words);
            panic!("the host of stock Borg said {answer:?}: {error}\n{words}")
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.child.wait();
    }
}

fn read_all(mut pipe: PipeReader) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

/// A loaded stock Borg of one test; ends when dropped.
#[derive(Debug)]
pub struct StockHost(Host);

/// A signal, and how long after the start of a run it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    /// The signal.
    pub signal: Signal,
    /// Since the start.
    pub after: Duration,
}

impl StockHost {
    /// Loads stock Borg, as it is loaded on this machine; those it is run on may differ in what is looked at later.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(home: &Home) -> Self {
        Self(Host::start(read_while_loading(&home.environment())))
    }

    /// Loads what a mount needs, which every mount would load again otherwise.
    ///
    /// # Panics
    /// When stock Borg was built without it.
    pub fn load_mounts(&mut self) {
        self.0.tell(b"load borg.fuse\n");
        self.0.answer("loading what mounts need", None);
    }

    /// Starts stock Borg on a machine and leaves it running; `files` are its input and its outputs.
    ///
    /// Its id stays its own until [`StockHost::wait`] is called.
    ///
    /// # Panics
    /// When the host itself fails.
    #[track_caller]
    pub fn begin(&mut self, place: (&Home, &Path), args: &[String], files: [&Path; 3]) -> Pid {
        on_machine(place, args, |job| self.0.begin(&job, files))
    }

    /// Waits for the end of what was begun.
    ///
    /// # Panics
    /// When the host itself fails.
    #[track_caller]
    pub fn wait(&mut self, pid: Pid) -> ExitStatus {
        self.0.wait("what was begun", pid)
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
        on_machine((home, dir), args, |job| {
            self.0.run(
                Job {
                    input: input.to_vec(),
                    ..job
                },
                blow,
            )
        })
    }
}

/// Runs stock Borg with an empty input, in a host that is idle or a new one.
#[track_caller]
pub(crate) fn run(place: (&Home, &Path), args: &[String]) -> Run {
    on_machine(place, args, |job| job.run())
}

#[track_caller]
fn on_machine<T>(
    (home, dir): (&Home, &Path),
    args: &[String],
    run: impl FnOnce(Job<'_>) -> T,
) -> T {
    run(Job {
        shown: &format!("[stock] borg {}", args.join(" ")),
        dir,
        args: &args.iter().map(OsStr::new).collect::<Vec<_>>(),
        variables: &home.environment(),
        input: Vec::new(),
    })
}
