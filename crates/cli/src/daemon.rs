//! Going to the background, with everything that can go wrong being seen before.
//!
//! The program runs itself once more, with the same words and the same terminal, and that one does everything: it asks,
//! complains, mounts. When there is nothing left that could be complained of, it leaves the terminal and says so
//! through a pipe; whoever started the program waits for nothing else. (A process with threads cannot be divided in
//! two, and a process without threads does not know yet whether it will work.)

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

use ironborg_source::named_file;
use rustix::io::{Errno, FdFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{console, exit, sys};

/// Tells the one that works where to say that it is in the background.
const VARIABLE: &str = "IRONBORG_BACKGROUND_FD";
/// The program as it is now, whatever has become of its file.
const OWN_IMAGE: &str = "/proc/self/exe";

/// Runs the same command line again; returns the exit code when that one is in the background, or has ended.
pub(crate) fn launch(command_line: &[OsString]) -> u8 {
    match run_again(command_line) {
        Ok((told, child)) => wait(&told, child),
        Err(error) => {
            console::stderr_line(&format!("Cannot start the background process: {error}"));
            exit::ERROR
        }
    }
}

fn run_again(command_line: &[OsString]) -> std::io::Result<(OwnedFd, Child)> {
    let (told, tell) = rustix::pipe::pipe()?;
    rustix::io::fcntl_setfd(&told, FdFlags::CLOEXEC)?;
    // By its own name, so that it is not shown as `exe` in lists of processes.
    let named = std::env::current_exe().ok().filter(|path| path.exists());
    let image = named.as_deref().unwrap_or(Path::new(OWN_IMAGE));
    let mut command = Command::new(image);
    if let Some((name, words)) = command_line.split_first() {
        command.arg0(name).args(words);
    }
    command.env(VARIABLE, tell.as_raw_fd().to_string());
    let child = command.spawn()?;
    Ok((told, child))
}

fn wait(told: &OwnedFd, mut child: Child) -> u8 {
    pass_signals_on(&child);
    let mut code = [0];
    loop {
        match rustix::io::read(told, &mut code) {
            Ok(0) => break,
            Ok(_) => return code[0],
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    let status = match child.wait() {
        Ok(status) => status,
        Err(error) => {
            console::stderr_line(&format!("Cannot wait for the background process: {error}"));
            return exit::ERROR;
        }
    };
    if let Some(code) = status.code().and_then(|code| u8::try_from(code).ok()) {
        return code;
    }
    let signal = status.signal().unwrap_or(0);
    if let SIGINT | SIGTERM | SIGHUP = signal {
        // Before it could say anything about it.
        return u8::try_from(128 + signal).unwrap_or(exit::ERROR);
    }
    console::stderr_line(&format!(
        "The background process was ended by signal {signal}."
    ));
    exit::ERROR
}

/// Who ends this process means the other one. Without the thread only this one ends.
fn pass_signals_on(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(handle) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return;
    };
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else {
        return;
    };
    let pass = move || {
        for signal in signals.forever() {
            let signal = match signal {
                SIGINT => Signal::INT,
                SIGTERM => Signal::TERM,
                _ => Signal::HUP,
            };
            // It may have ended already.
            let _ = pidfd_send_signal(&handle, signal);
        }
    };
    let _ = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(pass);
}

/// The way to the background of a process that was started to go there; nothing for any other.
#[derive(Debug, Default)]
pub(crate) struct Background(Mutex<Option<OwnedFd>>);

impl Background {
    /// Looks whether this is the one that works, and keeps it from the programs that it starts. Call it before there are
    /// threads.
    pub(crate) fn inherited() -> Self {
        let value = sys::take_variable(OsStr::new(VARIABLE));
        let number = value.and_then(|value| value.to_str()?.parse().ok());
        Self(Mutex::new(number.and_then(sys::inherited_pipe)))
    }

    /// Whether this process was started to go to the background.
    pub(crate) fn is_wanted(&self) -> bool {
        let pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pipe.is_some()
    }

    /// Leaves terminal, session and current directory, and tells whoever waits that this is done.
    ///
    /// # Errors
    /// One of these cannot be left; then nobody was told.
    pub(crate) fn enter(&self) -> std::io::Result<()> {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pipe) = pipe.take() else {
            return Ok(());
        };
        let null = named_file::null_device()?;
        match rustix::process::setsid() {
            // Then it is alone already.
            Ok(_) | Err(Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        rustix::process::chdir("/")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        // Whoever has started this may have been ended in the meantime.
        let _ = rustix::io::write(&pipe, &[exit::SUCCESS]);
        Ok(())
    }
}
