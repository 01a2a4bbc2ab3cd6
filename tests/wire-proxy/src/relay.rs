//! Between the client's pipes and the server's: six threads that pass on what comes, and the end of them all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::gate::{Direction, Gate};
use crate::line::{Line, LineOptions, Parcel};
use crate::options::Options;
use crate::record::Record;

/// What ssh exits with when the connection fails.
const FAILED: u8 = 255;

/// Something that may end the run.
enum Event {
    /// The server has ended its output, or its errors, and the client has all of it.
    Ended,
    /// The connection was cut.
    Cut,
    /// The client reads no more.
    ClientGone,
}

/// Makes the connection and passes on everything until it ends; returns the exit code.
pub(crate) fn run(options: &Options) -> Result<u8, String> {
    let shown = |what: &Path, error: io::Error| format!("{}: {error}", what.display());
    // Open until the end, here and in the server.
    let state = match &options.state {
        Some(path) => Some(State::open(path).map_err(|error| shown(path, error))?),
        None => None,
    };
    let dial = state.as_ref().map_or(1, |state| state.dial);
    if options.refuse_dials.contains(&dial) {
        return Err("connection refused".to_owned());
    }
    let record = |direction| match &options.log {
        Some(path) => Record::open(path, dial, direction)
            .map(Some)
            .map_err(|error| shown(path, error)),
        None => Ok(None),
    };
    let records = [record(Direction::ToServer)?, record(Direction::ToClient)?];
    let connection = Connection::open(options).map_err(|error| format!("no server: {error}"))?;
    let gate = Arc::new(Mutex::new(Gate::new(options.cut_of(dial))));
    let (events, ends) = mpsc::channel();
    let child = connection
        .relay(options.line, &gate, records, &events)
        .map_err(|error| format!("cannot pass on anything: {error}"))?;
    child
        .wait(&ends, options.hold)
        .map_err(|error| error.to_string())
}

/// The file that counts connections.
struct State {
    /// The number of this one.
    dial: u64,
    /// Locked, and inherited by the server: whoever can lock it alone knows that all servers have ended.
    _file: File,
}

impl State {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.lock_shared()?;
        fcntl_setfd(&file, FdFlags::empty())?;
        file.write_all(b".")?;
        let dial = file.metadata()?.len();
        Ok(Self { dial, _file: file })
    }
}

/// The server and the three pipes to it.
struct Connection {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

/// The server, and its pipes.
struct Running {
    child: Child,
    pipes: Pipes,
}

/// Copies of the server's pipes, for when they are to outlive this process; none once the client has closed its end.
type Pipes = Arc<Mutex<Option<[OwnedFd; 3]>>>;

impl Connection {
    fn open(options: &Options) -> io::Result<Self> {
        let command = options.server.as_ref().unwrap_or(&options.command);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command);
        if options.server.is_some() {
            shell.env("SSH_ORIGINAL_COMMAND", &options.command);
        }
        let mut child = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let asked = "a pipe was asked for";
        Ok(Self {
            stdin: child.stdin.take().expect(asked),
            stdout: child.stdout.take().expect(asked),
            stderr: child.stderr.take().expect(asked),
            child,
        })
    }

    /// Starts the threads. They end with the process.
    fn relay(
        self,
        options: LineOptions,
        gate: &Arc<Mutex<Gate>>,
        [requests, replies]: [Option<Record>; 2],
        events: &Sender<Event>,
    ) -> io::Result<Running> {
        let pipes: Pipes = Arc::new(Mutex::new(Some([
            self.stdin.as_fd().try_clone_to_owned()?,
            self.stdout.as_fd().try_clone_to_owned()?,
            self.stderr.as_fd().try_clone_to_owned()?,
        ])));
        // One clock for all, or a reply could be older than its request in the log.
        let started = Instant::now();
        // Not through the standard library's buffers.
        let own = [
            File::from(io::stdin().as_fd().try_clone_to_owned()?),
            File::from(io::stdout().as_fd().try_clone_to_owned()?),
            File::from(io::stderr().as_fd().try_clone_to_owned()?),
        ];
        let [client_input, client_output, client_errors] = own;
        let guarded = |direction| Guard {
            gate: Arc::clone(gate),
            direction,
            pipes: Arc::clone(&pipes),
            events: events.clone(),
        };
        start(
            Shared::new(options, started),
            (client_input, requests),
            (self.stdin, None),
            guarded(Direction::ToServer),
        );
        start(
            Shared::new(options, started),
            (self.stdout, None),
            (client_output, replies),
            guarded(Direction::ToClient),
        );
        // Errors travel as far as everything else, but are no part of the streams that are cut.
        let uncut = Guard {
            gate: Arc::new(Mutex::new(Gate::new(None))),
            direction: Direction::ToClient,
            pipes: Arc::clone(&pipes),
            events: events.clone(),
        };
        let options = LineOptions {
            rate: None,
            ..options
        };
        start(
            Shared::new(options, started),
            (self.stderr, None),
            (client_errors, None),
            uncut,
        );
        Ok(Running {
            child: self.child,
            pipes,
        })
    }
}

impl Running {
    /// Waits for the end of the connection, however it comes.
    fn wait(mut self, ends: &Receiver<Event>, hold: Duration) -> io::Result<u8> {
        for _ in ["output", "errors"] {
            match ends.recv() {
                Ok(Event::Ended) => {}
                Ok(Event::ClientGone) => return Ok(FAILED),
                Ok(Event::Cut) => {
                    if let Some(pipes) = lock(&self.pipes).take_if(|_| !hold.is_zero()) {
                        hold_open(pipes, hold)?;
                    }
                    return Ok(FAILED);
                }
                Err(_) => unreachable!("the caller keeps a sender"),
            }
        }
        let code = self.child.wait()?.code();
        Ok(code
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(FAILED))
    }
}

/// Leaves the server's pipes open in a process that does nothing else, while this one ends.
fn hold_open([stdin, stdout, stderr]: [OwnedFd; 3], hold: Duration) -> io::Result<()> {
    Command::new("sleep")
        .arg(hold.as_secs().to_string())
        .stdin(stdout)
        .stdout(stdin)
        .stderr(stderr)
        .spawn()
        .map(drop)
}

/// One direction of the line, used by the thread at either end of it.
struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
    started: Instant,
}

impl Shared {
    fn new(options: LineOptions, started: Instant) -> Arc<Self> {
        Arc::new(Self {
            line: Mutex::new(Line::new(options)),
            changed: Condvar::new(),
            started,
        })
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until something can be sent; returns how many bytes at most.
    fn room(&self) -> usize {
        let mut line = lock(&self.line);
        while line.room() == 0 {
            line = self
                .changed
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
        line.room()
    }

    fn accept(&self, parcel: Parcel) {
        lock(&self.line).accept(self.now(), parcel);
        self.changed.notify_all();
    }

    /// Waits until something arrives.
    fn take(&self) -> Parcel {
        let mut line = lock(&self.line);
        loop {
            let now = self.now();
            if let Some(parcel) = line.take(now) {
                self.changed.notify_all();
                return parcel;
            }
            line = match line.next_due() {
                None => self
                    .changed
                    .wait(line)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let wait = self.changed.wait_timeout(line, due.saturating_sub(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// What decides on the bytes of one direction, and is told of its end.
struct Guard {
    gate: Arc<Mutex<Gate>>,
    direction: Direction,
    pipes: Pipes,
    events: Sender<Event>,
}

/// Starts the two threads of one direction.
fn start(
    shared: Arc<Shared>,
    (from, sent): (impl Read + Send + 'static, Option<Record>),
    (to, received): (impl Write + Send + 'static, Option<Record>),
    guard: Guard,
) {
    let sender = Arc::clone(&shared);
    thread::spawn(move || send_all(&sender, from, sent));
    thread::spawn(move || {
        if let Some(event) = receive_all(&shared, to, received, &guard) {
            // The main thread may have seen another end first.
            let _ = guard.events.send(event);
        }
    });
}

/// Puts everything from one end onto the line.
fn send_all(shared: &Shared, mut from: impl Read, mut record: Option<Record>) {
    loop {
        let mut buf = vec![0; shared.room()];
        let len = match from.read(&mut buf) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        if len == 0 {
            return shared.accept(Parcel::End);
        }
        buf.truncate(len);
        note(&mut record, shared.now(), &buf);
        shared.accept(Parcel::Bytes(buf));
    }
}

/// Hands everything that arrives to the other end; returns how that came to its end, if it concerns the connection.
fn receive_all(
    shared: &Shared,
    mut to: impl Write,
    mut record: Option<Record>,
    guard: &Guard,
) -> Option<Event> {
    let is_client = guard.direction == Direction::ToClient;
    // A server that reads no more will be seen at its other end.
    let refused = || is_client.then_some(Event::ClientGone);
    loop {
        let Parcel::Bytes(bytes) = shared.take() else {
            let rest = lock(&guard.gate).end(guard.direction);
            let written = to.write_all(&rest).and_then(|()| to.flush());
            if !is_client {
                lock(&guard.pipes).take();
            }
            return match written {
                Ok(()) => is_client.then_some(Event::Ended),
                Err(_) => refused(),
            };
        };
        let passage = lock(&guard.gate).pass(guard.direction, bytes);
        note(&mut record, shared.now(), &passage.bytes);
        if to.write_all(&passage.bytes).is_err() {
            return refused();
        }
        if passage.cut {
            return Some(Event::Cut);
        }
    }
}

/// Without a log there is nothing to tell, and an incomplete one is the reader's to find out.
fn note(record: &mut Option<Record>, now: Duration, bytes: &[u8]) {
    if let Some(open) = record
        && open.note(now, bytes).is_err()
    {
        *record = None;
    }
}

/// No thread leaves anything half done in what it has locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
