//! Reading files of a mounted archive through the kernel: from front to back, here and there, mapped, by several at once,
//! over a long line, and around damage.
//!
//! What was backed up is what must be read. `IRONBORG_MOUNT_SEED` chooses other reads, `IRONBORG_INTEROP_FULL` ten times as
//! many.

mod damage;
mod far;
mod healthy;
mod sys;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use ironborg_testkit::{Mount, Program};
use rustix::fs::{Advice, OFlags, fadvise};

use crate::scene::Scene;

fn seed() -> u64 {
    match std::env::var("IRONBORG_MOUNT_SEED") {
        Ok(text) => text.parse().expect("IRONBORG_MOUNT_SEED is a number"),
        Err(_) => 7,
    }
}

fn is_full() -> bool {
    std::env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

impl Scene {
    /// Mounts something with ours, in the foreground; `name` is that of the mountpoint.
    #[track_caller]
    fn mounted(&self, location: &str, options: &[&str], name: &str) -> Mount {
        let mountpoint = self.scratch.join(name);
        let args = [
            &["mount", "-f"],
            options,
            &[location, crate::scene::text(&mountpoint)],
        ];
        let mut invocation = self.home.invocation(Program::Ours, args.concat());
        invocation = invocation.dir(self.scratch.path());
        Mount::start(invocation, &mountpoint)
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through the kernel's page cache, which asks for more than is wanted.
    Cached,
    /// As it is asked for (`O_DIRECT`).
    Direct,
}

#[track_caller]
fn open(path: &Path, way: Way) -> File {
    let mut options = OpenOptions::new();
    options.read(true);
    if way == Way::Direct {
        let flags = i32::try_from(OFlags::DIRECT.bits()).expect("a flag");
        options.custom_flags(flags);
    }
    let file = options.open(path);
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Has the kernel forget the pages of a file, so that it asks for them again.
fn forget(file: &File) {
    fadvise(file, 0, None, Advice::DontNeed).expect("the kernel takes advice");
}

/// Up to `size` bytes at an offset, as far as the file goes.
fn read_at(file: &File, offset: u64, size: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The part of what was backed up that a read should give.
fn part(content: &[u8], offset: u64, size: usize) -> &[u8] {
    let from = usize::try_from(offset).map_or(content.len(), |from| from.min(content.len()));
    &content[from..from.saturating_add(size).min(content.len())]
}
