//! Programs that are given something to read and some time to end.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Bytes kept of each of its streams: the last ones.
const OUTPUT_LEN_MAX: usize = 64 * 1024;
/// What it has left running may keep its streams open; they are not waited for longer than this.
const STREAM_WAIT: Duration = Duration::from_millis(300);
/// Longest pause between two looks.
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(40);

/// What a program has left.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Runs it, with `input` to read. One that takes too long is killed, with all it has started.
///
/// # Errors
/// It was not started, or killed.
pub(super) fn run(mut command: Command, input: &[u8], limit: Duration) -> Result<Finished, String> {
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let give_up = Instant::now() + limit;
    let mut child = command.spawn().map_err(|error| {
        let name = command.get_program().to_string_lossy().into_owned();
        format!("{name}: {error}")
    })?;
    feed(&mut child, input.to_vec());
    let stdout = child.stdout.take().map(drained);
    let stderr = child.stderr.take().map(drained);
    let status = ended(&mut child, give_up).ok_or_else(|| {
        format!(
            "it has not ended within {} s, and was killed",
            limit.as_secs()
        )
    })?;
    Ok(Finished {
        status,
        stdout: received(stdout),
        stderr: received(stderr),
    })
}

/// Writes on another thread: a program may not read at all.
fn feed(child: &mut Child, input: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        // It is free not to read to the end.
        thread::spawn(move || stdin.write_all(&input).is_ok());
    }
}

/// Reads to the end, on another thread.
fn drained(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 8192];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..len]);
            let excess = kept.len().saturating_sub(OUTPUT_LEN_MAX);
            kept.drain(..excess);
        }
        // Nobody may be waiting any more.
        let _ = done.send(kept);
    });
    result
}

fn received(stream: Option<Receiver<Vec<u8>>>) -> Vec<u8> {
    let received = stream.and_then(|stream| stream.recv_timeout(STREAM_WAIT).ok());
    received.unwrap_or_default()
}

/// Waits for it; nothing if it had to be killed.
fn ended(child: &mut Child, give_up: Instant) -> Option<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= give_up {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                // It may have ended this very moment.
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.wait();
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK_INTERVAL_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_program_reads_and_says_and_how_it_ends() {
        let limit = Duration::from_secs(20);
        let finished = run(shell("cat; echo no >&2; exit 3"), b"hello", limit).unwrap();
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(finished.stdout, b"hello");
        assert_eq!(finished.stderr, b"no\n");
        let much = vec![b'x'; 1 << 20];
        let finished = run(shell("exit 0"), &much, limit).unwrap();
        assert!(finished.status.success());
        let missing = run(Command::new("/no/such/program"), b"", limit);
        assert!(missing.unwrap_err().contains("No such file"));
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let script = "sleep 1000 & echo $!; wait";
        let begun = Instant::now();
        let error = run(shell(script), b"", Duration::from_millis(200)).unwrap_err();
        assert!(error.contains("was killed"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(100));
    }

    #[test]
    fn what_is_left_running_is_not_waited_for() {
        let finished = run(shell("sleep 5 & exit 0"), b"", Duration::from_mins(1)).unwrap();
        assert!(finished.status.success());
    }
}
