//! The requests of the kernel: a tree is mounted, and answers until it is unmounted.
//!
//! The mount is left as it is when this process ends of a signal or a crash: who looks there gets an error then, and
//! not an empty directory, which a program that mirrors it would take for the truth.

mod device;
mod errno;
mod pages;
mod requests;
mod words;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use fuser::{Config, Session};

use self::device::{Device, Watch};
use self::pages::KernelPages;
use self::requests::Requests;
use self::words::MountRequest;
use crate::MountError;
use crate::tree::Tree;

/// Threads that take requests: one that waits for the network keeps no one else from listing a directory.
const THREADS: usize = 8;
/// How long requests that are being answered may take after it was unmounted.
const END_MAX: Duration = Duration::from_secs(1);
/// What a mount holds is given back when nobody has used it for so long, unless something else is said.
pub const IDLE: Duration = Duration::from_mins(1);

/// A mounted tree. Unmounted when it is dropped without having been run.
pub struct Mounted {
    session: Option<Session<Requests>>,
    tree: Arc<Tree>,
    unmounter: Unmounter,
    ends: Receiver<End>,
    _watch: Option<Watch>,
}

/// Unmounts; from any thread, while the tree answers.
#[derive(Clone)]
pub struct Unmounter {
    mountpoint: PathBuf,
    over: Arc<AtomicBool>,
    tell: SyncSender<End>,
}

enum End {
    /// Nobody asks any more.
    Unmounted(io::Result<()>),
    /// It was unmounted here; somebody may still have files open.
    Asked,
}

/// Mounts a tree. `words` are those of `-o` that are not about archives; what nobody has used for `idle` is given back.
///
/// # Errors
/// [`MountError::Kernel`]: words nobody knows; no right to mount; no such directory.
pub fn mount(
    tree: Tree,
    mountpoint: &Path,
    words: &[String],
    idle: Duration,
) -> Result<Mounted, MountError> {
    let mountpoint = std::path::absolute(mountpoint).unwrap_or_else(|_| mountpoint.to_owned());
    let failed = |reason: String| MountError::Kernel {
        mountpoint: mountpoint.clone(),
        reason,
    };
    let request = MountRequest::parse(words).map_err(failed)?;
    let Device { fd, watch } = device::mount(&request, &mountpoint).map_err(failed)?;
    let tree = Arc::new(tree);
    let mut config = Config::default();
    config.n_threads = Some(THREADS);
    let session = Session::from_fd(Requests::new(Arc::clone(&tree)), fd, acl(&request), config);
    let session = match session {
        Ok(session) => session,
        Err(error) => {
            // What it was is worth more than whether the rest of it could be removed.
            let _ = device::unmount(&mountpoint);
            return Err(failed(format!("fuse: {error}")));
        }
    };
    tree.deliver_to(Arc::new(KernelPages::new(session.notifier())));
    tree.rest_when_idle(idle);
    let (tell, ends) = sync_channel(2);
    Ok(Mounted {
        session: Some(session),
        tree,
        unmounter: Unmounter {
            mountpoint,
            over: Arc::default(),
            tell,
        },
        ends,
        _watch: watch,
    })
}

/// Who may use it is decided by the kernel; only what it cannot decide is left.
fn acl(request: &MountRequest) -> fuser::SessionACL {
    match request.access {
        fuser::SessionACL::RootAndOwner => fuser::SessionACL::RootAndOwner,
        _ => fuser::SessionACL::All,
    }
}

impl Mounted {
    /// What is mounted.
    pub fn tree(&self) -> Arc<Tree> {
        Arc::clone(&self.tree)
    }

    /// Something to unmount it with while it runs.
    pub fn unmounter(&self) -> Unmounter {
        self.unmounter.clone()
    }

    /// Answers requests until it is unmounted, by whomever.
    ///
    /// # Errors
    /// The connection to the kernel broke.
    pub fn run(mut self) -> Result<(), MountError> {
        let session = self.session.take().expect("it is run once");
        let unmounter = self.unmounter.clone();
        let failed = |error: io::Error| MountError::Kernel {
            mountpoint: self.unmounter.mountpoint.clone(),
            reason: format!("fuse: {error}"),
        };
        std::thread::Builder::new()
            .name("mount".to_owned())
            .spawn(move || {
                let ended = session.run();
                unmounter.over.store(true, Ordering::Release);
                // Nobody listens any more if the wait below was over first.
                let _ = unmounter.tell.try_send(End::Unmounted(ended));
            })
            .map_err(failed)?;
        let end = match self.ends.recv() {
            Ok(End::Asked) => self.ends.recv_timeout(END_MAX).unwrap_or(End::Asked),
            Ok(end) => end,
            Err(_) => End::Asked,
        };
        match end {
            End::Unmounted(Err(error)) => Err(failed(error)),
            End::Unmounted(Ok(())) | End::Asked => Ok(()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.session.take().is_some() {
            // There is nobody to tell.
            let _ = device::unmount(&self.unmounter.mountpoint);
        }
    }
}

impl Unmounter {
    /// Unmounts, also if somebody still looks at it; [`Mounted::run`] returns then.
    ///
    /// # Errors
    /// It could not be unmounted.
    pub fn unmount(&self) -> Result<(), MountError> {
        if self.over.load(Ordering::Acquire) {
            return Ok(());
        }
        let unmounted = device::unmount(&self.mountpoint);
        let _ = self.tell.try_send(End::Asked);
        unmounted.map_err(|reason| MountError::Kernel {
            mountpoint: self.mountpoint.clone(),
            reason: format!("failed to unmount {}: {reason}", self.mountpoint.display()),
        })
    }
}
