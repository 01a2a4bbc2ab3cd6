//! Waiting for a child together with what it used, and the time of one thread, which the standard library does not offer.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// What a finished process used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Largest resident set, in bytes.
    pub(crate) peak: u64,
    /// Exit code; 128 + signal for one that was ended.
    pub(crate) code: i32,
}

/// Processor time this thread has used, in the kernel or not; zero if the kernel does not tell.
pub(crate) fn thread_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is valid for writes for the duration of the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid timespec, whether the call has filled it in or not.
    let time = unsafe { time.assume_init() };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// Whether the child `pid` has ended; it is still to be waited for.
pub(crate) fn has_ended(pid: u32) -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is valid for writes for the duration of the call.
    let result = unsafe { libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), flags) };
    // SAFETY: all-zero bytes are a valid siginfo, and its process id stays zero while the child runs.
    result != 0 || unsafe { info.assume_init().si_pid() } != 0
}

/// Has all threads of this process share one heap, as what it takes counts as its children's until they have started.
pub(crate) fn share_heap() {
    // SAFETY: it only sets a parameter, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Ends the child `pid`, which has not been waited for.
pub(crate) fn kill(pid: u32) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: a call without pointers; the id still is the child's own.
        let _ = unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// Waits for the child `pid`, which nobody else waits for.
pub(crate) fn wait(pid: u32) -> io::Result<Usage> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are valid for writes for the duration of the call.
        let result = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if result == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: all-zero bytes are a valid rusage, and the successful call has filled it in.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let micros = u64::try_from(time.tv_usec).unwrap_or_default();
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    let code = if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        128 + libc::WTERMSIG(status)
    };
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024;
    Ok(Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        peak,
        code,
    })
}
