//! What is put in order when the process is ended from outside of the thread that works: locks are given back, programs
//! that were started end too, and the terminal shows what is typed again.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ironborg_repository::{Fence, LocalRepository, LockOwner};
use ironborg_source::terminal::controlling_terminal;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// How long a change of a repository may take that is under way.
const CHANGE_PATIENCE: Duration = Duration::from_secs(5);

/// A repository that was opened, and by whom.
struct Opened {
    path: PathBuf,
    owner: LockOwner,
    fence: Arc<Fence>,
}

static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());
static CHILDREN: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());
static TERMINAL: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// The fence of a repository that is going to be opened.
pub(crate) fn fence(path: &Path, owner: &LockOwner) -> Arc<Fence> {
    let fence = Arc::new(Fence::default());
    let opened = Opened {
        path: path.to_owned(),
        owner: owner.clone(),
        fence: Arc::clone(&fence),
    };
    let mut all = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(opened);
    fence
}

/// Puts things in order; the process has to end now.
pub(super) fn execute() {
    let mut terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((terminal, before)) = terminal.take() {
        // Nobody is left to be told that it failed; the same holds below.
        let _ = tcsetattr(terminal, OptionalActions::Now, &before);
    }
    let children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    for child in &*children {
        let _ = pidfd_send_signal(child, Signal::KILL);
    }
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    for opened in &*opened {
        if opened.fence.close(CHANGE_PATIENCE) {
            let _ = LocalRepository::release_lock(&opened.path, &opened.owner);
        }
    }
}

/// Marks the time of a program that must not outlive this one.
pub(crate) struct Dependent(());

impl Dependent {
    /// Begins, given the number of a process that nobody has waited for yet.
    pub(crate) fn begin(process: u32) -> Self {
        let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
        let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
        children.extend(handle);
        Self(())
    }
}

impl Drop for Dependent {
    fn drop(&mut self) {
        // There is one at a time.
        let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
        children.clear();
    }
}

/// Marks the time in which the terminal may not show what is typed.
pub(crate) struct Hidden(());

impl Hidden {
    /// Begins, before anything is changed.
    pub(crate) fn begin() -> Self {
        let found = controlling_terminal().ok().and_then(|terminal| {
            let before = tcgetattr(&terminal).ok()?;
            Some((terminal, before))
        });
        let mut terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
        *terminal = found;
        Self(())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let mut terminal = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
        *terminal = None;
    }
}
