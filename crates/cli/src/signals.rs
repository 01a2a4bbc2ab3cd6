//! What signals do: the first SIGINT asks for a checkpoint, SIGTERM and SIGHUP end the program.
//!
//! The handler itself only notes that something has to end: whoever interrupts `dump | ironborg create … -` ends
//! both programs, and the end of the input must not be noticed before the signal. A thread does the rest. Operations
//! poll the [`Interrupt`]; a command that does not end in time after it was told to is ended here: its repository is
//! closed to changes, and then its lock given back. (Where a disk does not answer, the lock stays; it is a stale one then,
//! which either program recognises and removes.)

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ironborg_types::Interrupt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::console;
use crate::error::CliError;
use crate::reporter::ConsoleReporter;
use crate::sys;

pub(crate) mod last_will;

/// Requests of signals; lives as long as the process.
pub(crate) static INTERRUPT: Interrupt = Interrupt::new();

/// The signal the program is ending for; 0 for none.
static ENDING: AtomicU8 = AtomicU8::new(0);

/// A second SIGINT within this time is the same key press, passed on by a parent process.
const SAME_KEY_PRESS: Duration = Duration::from_millis(20);
/// How long a command may take to stop before it is ended.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// The same while waiting for something that does not poll: a prompt, a lock, a listing.
const QUICK_STOP_LIMIT: Duration = Duration::from_millis(800);
/// How often it is looked whether that has changed.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The signal the program is ending for, if any.
pub(crate) fn ending() -> Option<CliError> {
    match ENDING.load(Ordering::SeqCst) {
        0 => None,
        number => Some(CliError::signal(number)),
    }
}

/// Written to when the program is to end.
static WAKE: OnceLock<OwnedFd> = OnceLock::new();

/// A descriptor that becomes readable when the program is to end: for whoever waits for other descriptors too.
///
/// # Errors
/// No more descriptors, or it is asked for a second time.
pub(crate) fn wake_descriptor() -> io::Result<OwnedFd> {
    use rustix::pipe::{PipeFlags, pipe_with};
    let (wake, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    WAKE.set(write)
        .map_err(|_| io::Error::from(io::ErrorKind::AlreadyExists))?;
    Ok(wake)
}

/// Whether signals mean something else than to stop.
static DIVERTED: AtomicBool = AtomicBool::new(false);
/// Who is told of them then.
static RECEIVER: Mutex<Option<Sender<Arrived>>> = Mutex::new(None);

/// The signal wanted the program to end, and that is how it ends: well.
pub(crate) fn has_ended() {
    ENDING.store(0, Ordering::SeqCst);
}

/// A signal that came while they are diverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// SIGINT: somebody has pressed ^C.
    Interrupt,
    /// SIGTERM.
    End,
    /// SIGHUP: the terminal is gone, or a service is to read its configuration again.
    HangUp,
    /// SIGUSR1: how far is it?
    Report,
}

/// From now on a signal stops nothing by itself: whoever receives decides. Does so for the rest of the process.
///
/// # Errors
/// A signal came before, and the program is to end for it.
pub(crate) fn divert(to: Sender<Arrived>) -> Result<(), CliError> {
    *RECEIVER.lock().unwrap_or_else(PoisonError::into_inner) = Some(to);
    DIVERTED.store(true, Ordering::SeqCst);
    if INTERRUPT.stop_requested() {
        // The one that was pressed before there was anything to unmount.
        return Err(ending().unwrap_or_else(|| CliError::signal(2)));
    }
    check()
}

/// Passes a signal on, if they are diverted.
fn passed_on(signal: i32) -> bool {
    if !DIVERTED.load(Ordering::SeqCst) {
        return false;
    }
    let arrived = match signal {
        SIGINT => Arrived::Interrupt,
        SIGTERM => Arrived::End,
        SIGHUP => Arrived::HangUp,
        SIGUSR1 => Arrived::Report,
        _ => return false,
    };
    let receiver = RECEIVER.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody receives any more when the command is about to end anyway.
    let _ = receiver.as_ref().map(|receiver| receiver.send(arrived));
    true
}

/// Ends a loop of the command line when a signal wants that.
pub(crate) fn check() -> Result<(), CliError> {
    ending().map_or(Ok(()), Err)
}

/// Starts waiting for signals. Without a thread for it the defaults of the system stay in place.
pub(crate) fn install(finish: impl Fn(&CliError) + Send + 'static) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2]) else {
        return;
    };
    // If one of these fails, so did the line above.
    let _ = sys::note_signal(SIGINT, || {
        if !DIVERTED.load(Ordering::SeqCst) {
            INTERRUPT.request_stop();
        }
    });
    let _ = sys::note_signal(SIGTERM, || note_end(15));
    let _ = sys::note_signal(SIGHUP, || note_end(1));
    // A file that may not become as large is an error of the write that tried, not the end of the program.
    let _ = sys::note_signal(SIGXFSZ, || {});
    let wait = move || {
        let mut last_interrupt: Option<Instant> = None;
        for signal in signals.forever() {
            if passed_on(signal) {
                continue;
            }
            match signal {
                SIGUSR1 => INTERRUPT.request_report(),
                SIGUSR2 => console::stderr_line("Received SIGUSR2."),
                SIGINT => {
                    let now = Instant::now();
                    let first = last_interrupt.is_none();
                    let same = last_interrupt.is_some_and(|last| now - last < SAME_KEY_PRESS);
                    if same {
                        continue;
                    }
                    last_interrupt = Some(now);
                    // A prompt waits for a person, who has just answered.
                    if !first || PROMPTS.load(Ordering::SeqCst) > 0 {
                        end(2, QUICK_STOP_LIMIT, &finish);
                    }
                }
                SIGTERM | SIGHUP => {
                    let number = if signal == SIGTERM { 15 } else { 1 };
                    end(number, STOP_LIMIT, &finish);
                }
                _ => {}
            }
        }
    };
    let _ = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait);
}

/// Notes that the program is to end for a signal; called inside of its handler.
fn note_end(number: u8) {
    if DIVERTED.load(Ordering::SeqCst) {
        return;
    }
    ENDING.store(number, Ordering::SeqCst);
    INTERRUPT.request_stop();
}

/// Lets the command end by itself for a while, then ends the process.
fn end(number: u8, limit: Duration, finish: &impl Fn(&CliError)) {
    ENDING.store(number, Ordering::SeqCst);
    if let Some(wake) = WAKE.get() {
        // A pipe that is full wakes as well.
        let _ = rustix::io::write(wake, &[0]);
    }
    let asked = Instant::now();
    loop {
        let saves_its_work = POLLED.load(Ordering::SeqCst) > 0
            && PROMPTS.load(Ordering::SeqCst) == 0
            && OUTPUTS.load(Ordering::SeqCst) == 0;
        let limit = if saves_its_work {
            limit
        } else {
            limit.min(QUICK_STOP_LIMIT)
        };
        if asked.elapsed() >= limit {
            break;
        }
        // A command that stops in time ends the process under this thread.
        std::thread::sleep(LOOK_INTERVAL);
    }
    finish(&CliError::signal(number));
}

/// How many operations are running that poll the [`Interrupt`] and stop by themselves.
static POLLED: AtomicU8 = AtomicU8::new(0);

/// How many prompts wait for a person.
static PROMPTS: AtomicU8 = AtomicU8::new(0);

/// How many writes to standard output are under way.
static OUTPUTS: AtomicU8 = AtomicU8::new(0);

/// Marks a write to standard output, which may wait for somebody who never reads: nothing of that can be saved.
pub(crate) struct Output(());

impl Output {
    /// Begins.
    pub(crate) fn begin() -> Self {
        OUTPUTS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        OUTPUTS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Marks the time of an operation that polls: it is given long to save its work.
pub(crate) struct PolledOperation(());

impl PolledOperation {
    /// Begins.
    pub(crate) fn begin() -> Self {
        POLLED.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for PolledOperation {
    fn drop(&mut self) {
        POLLED.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Marks the time of a prompt: nothing is lost when the process ends meanwhile.
pub(crate) struct Prompt(());

impl Prompt {
    /// Begins.
    pub(crate) fn begin() -> Self {
        PROMPTS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        PROMPTS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Ends the process at once, from the thread that waits for signals.
pub(crate) fn ender(
    reporter: Arc<ConsoleReporter>,
    show_rc: bool,
) -> impl Fn(&CliError) + Send + 'static {
    move |error| {
        use ironborg_types::Level;
        last_will::execute();
        reporter.record(
            Level::Error,
            crate::reporter::ARCHIVER,
            &error.message,
            error.msgid(),
        );
        let code = error.exit_code(crate::exit::ExitCodes::Legacy);
        if show_rc {
            reporter.show_rc(code);
        }
        #[allow(clippy::exit)] // The main thread is stuck in something that cannot be interrupted.
        std::process::exit(i32::from(code));
    }
}
