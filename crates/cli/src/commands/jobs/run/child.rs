//! A program that does part of a run: it is started, listened to, and told to end when this one is.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ironborg_jobs::report::Told;
use ironborg_jobs::run::{Clock, End};
use rustix::process::{Pid, Signal, kill_process};

use crate::sys::Priority;

/// How often it is looked whether it is still there, and whether this one is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// ^C reaches it from the terminal. It is told to end if it did not.
const KEY_PRESS_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to save its work: it gives itself less.
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// What it left running may still hold its outputs; they are read for so long.
const DRAIN_LIMIT: Duration = Duration::from_millis(300);
/// Longest line that is kept in one piece.
const LINE_LEN_MAX: usize = 256 * 1024;
/// Lines on their way to who watches.
const PENDING_COUNT_MAX: usize = 256;

/// What it says.
enum Said {
    /// A line of its record.
    Told(Told),
    /// A line of its log.
    Line(String),
}

/// Runs a program to its end. What it writes on standard error, and what of its standard output is not for us, is passed
/// on and given to `log`.
pub(super) fn follow(
    mut command: Command,
    input: Option<&[u8]>,
    priority: Priority,
    clock: &dyn Clock,
    told: &mut dyn FnMut(Told),
    log: &mut dyn FnMut(&str),
) -> End {
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    crate::sys::start_as_dependent(&mut command, priority);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return End::NotStarted(error.to_string()),
    };
    let (said, heard) = sync_channel(PENDING_COUNT_MAX);
    let readers = listen(&mut child, &said);
    drop(said);
    if let Err(error) = readers {
        // Nothing is known of what it does: it must not do it.
        let _ = child.kill();
        let _ = child.wait();
        return End::NotStarted(error.to_string());
    }
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // If it does not take it, it says why.
        let _ = stdin.write_all(input);
    }
    let mut hear = |said| match said {
        Said::Told(line) => told(line),
        Said::Line(line) => log(&line),
    };
    match wait(&mut child, &heard, clock, &mut hear) {
        Ok(status) => end_of(status),
        Err(error) => End::NotStarted(error.to_string()),
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Code(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => End::Signal(signal.unwrap_or(0)),
    }
}

fn wait(
    child: &mut Child,
    heard: &Receiver<Said>,
    clock: &dyn Clock,
    hear: &mut dyn FnMut(Said),
) -> io::Result<ExitStatus> {
    let mut stopper = Stopper::default();
    loop {
        match heard.recv_timeout(LOOK_INTERVAL) {
            Ok(said) => {
                hear(said);
                if clock.ending().is_none() {
                    continue;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // It has closed its outputs, which it does by ending; if not, it is waited for.
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if let Some(status) = child.try_wait()? {
            drain(heard, hear);
            return Ok(status);
        }
        stopper.look(clock, child);
    }
}

/// What was said before the end.
fn drain(heard: &Receiver<Said>, hear: &mut dyn FnMut(Said)) {
    let end = Instant::now() + DRAIN_LIMIT;
    while let Ok(said) = heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
        hear(said);
    }
}

/// Ends it when this program is to end.
#[derive(Default)]
struct Stopper {
    since: Option<Instant>,
    told: Option<Instant>,
}

impl Stopper {
    fn look(&mut self, clock: &dyn Clock, child: &mut Child) {
        let Some(code) = clock.ending() else { return };
        let since = *self.since.get_or_insert_with(Instant::now);
        let by_key = code == 130;
        match self.told {
            None if !by_key || since.elapsed() > KEY_PRESS_LIMIT => {
                self.told = Some(Instant::now());
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                // It has not been waited for: the number is still its own.
                let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
            Some(told) if told.elapsed() > STOP_LIMIT => {
                let _ = child.kill();
            }
            _ => {}
        }
    }
}

/// Starts a thread for each of its outputs. They end with them, and are waited for by nobody: what a program leaves
/// running in the background may keep them open for ever.
fn listen(child: &mut Child, said: &SyncSender<Said>) -> io::Result<()> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    if let Some(stdout) = stdout {
        let said = said.clone();
        thread("told").spawn(move || read_record(stdout, &said))?;
    }
    if let Some(stderr) = stderr {
        let said = said.clone();
        thread("log").spawn(move || read_log(stderr, &said))?;
    }
    Ok(())
}

fn read_record(stdout: impl Read, said: &SyncSender<Said>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    while let Ok(len) = read_line(&mut reader, &mut line)
        && len > 0
    {
        let told = serde_json::from_slice(&line).map(Said::Told);
        let next = told.unwrap_or_else(|_| {
            pass_on(&line);
            Said::Line(String::from_utf8_lossy(&line).into_owned())
        });
        if said.send(next).is_err() {
            return;
        }
        line.clear();
    }
}

/// One line, or as much of it as is taken in one piece.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let limit = u64::try_from(LINE_LEN_MAX).unwrap_or(u64::MAX);
    reader.take(limit).read_until(b'\n', line)
}

/// Passes everything on at once, as it may be progress that is written over. What stays of that is the last of it.
fn read_log(mut stderr: impl Read, said: &SyncSender<Said>) {
    let mut buffer = [0; 8192];
    let mut line: Vec<u8> = Vec::new();
    loop {
        let len = match stderr.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        pass_on(&buffer[..len]);
        for &byte in &buffer[..len] {
            line.push(byte);
            if byte == b'\n' || line.len() >= LINE_LEN_MAX {
                if said.send(Said::Line(kept(&line))).is_err() {
                    return;
                }
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        // Nobody may be listening any more.
        let _ = said.send(Said::Line(kept(&line)));
    }
}

/// A line without what was written over.
fn kept(line: &[u8]) -> String {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let last = text.rsplit(|&byte| byte == b'\r').next().unwrap_or(text);
    let mut kept = String::from_utf8_lossy(last).into_owned();
    kept.push('\n');
    kept
}

fn pass_on(bytes: &[u8]) {
    // Nobody could be told that nobody can be told.
    let _ = io::stderr().lock().write_all(bytes);
}

#[cfg(test)]
mod tests {
    use super::kept;

    #[test]
    fn of_what_is_written_over_the_last_is_kept() {
        assert_eq!(kept(b"10%\r20%\r30%\r\n"), "30%\n");
        assert_eq!(kept(b"a line\n"), "a line\n");
        assert_eq!(kept(b"\xff"), "\u{fffd}\n");
        assert_eq!(kept(b"\n"), "\n");
    }
}
