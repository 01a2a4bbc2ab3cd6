//! The one thing about starting a program that the standard library has no word for.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the program ignore Ctrl-C at the terminal, and the end of the terminal.
///
/// The connection is needed for ending cleanly: for the last checkpoint, and for giving the lock back. It is needed as well
/// by who leaves the terminal and works on in the background. The program ends when its input does.
pub(super) fn ignore_terminal(command: &mut Command) {
    // SAFETY: between fork and exec only `signal` is called, which is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGHUP] {
                if libc::signal(signal, libc::SIG_IGN) == libc::SIG_ERR {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}
