//! The calls to the operating system, on real files. Some need root and say so when it is missing.

mod attributes;
mod hostile;
mod restore;
mod selection;
mod walk;

use std::path::Path;
use std::sync::{Arc, Mutex};

use ironborg_source::{Dir, Names, Place, RestoreOptions, RestoreRoot};
use ironborg_types::{Event, Reporter};

/// A temporary directory on a real file system.
fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes()
}

fn open_dir(path: &Path) -> Dir {
    Place::path(bytes(path)).open_dir().expect("a directory")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

const EVERYTHING: RestoreOptions = RestoreOptions {
    numeric_ids: false,
    acls: true,
    xattrs: true,
    flags: true,
};

fn restore_root(path: &Path, options: RestoreOptions) -> RestoreRoot {
    RestoreRoot::open(bytes(path), options, Arc::new(Names::new())).expect("a directory")
}

/// Keeps the text of log records.
#[derive(Default)]
struct Messages(Mutex<Vec<String>>);

impl Messages {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

impl Reporter for Messages {
    fn report(&self, event: Event<'_>) {
        if let Event::Log { message, .. } = event {
            self.0.lock().expect("no panic").push(message.into_owned());
        }
    }
}
