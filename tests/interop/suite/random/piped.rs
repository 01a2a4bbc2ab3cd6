//! Backups of what comes through a pipe: standard input, the output of a command, a named pipe.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ironborg_testkit::{Random, Snapshot, tree};
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat};

use super::model::Archived;
use super::operations::{carry_out, content_options, new_name};
use super::world::World;
use crate::scene::text;

/// Backs up words that come through some pipe.
#[track_caller]
pub(super) fn create(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let name = new_name(world, random);
    let archive = world.archive(&who, &name);
    let len = random.below(400_000);
    let content = tree::text(random, len);
    let file = world.scratch.join("content");
    fs::write(&file, &content).expect("room on the disk");
    let mut args = vec!["create"];
    args.extend(content_options(random));
    let mut writer = None;
    let (order, path) = match random.below(3) {
        0 => {
            // Killed it would leave the command behind.
            let command = ["--content-from-command", &archive, "--", "cat", text(&file)];
            args.extend(["--stdin-name", "dir/dump"].iter().chain(&command));
            (world.begin(&who, &args), "dir/dump")
        }
        1 => {
            args.extend(["--stdin-name", "dir/dump", &archive, "-"]);
            let order = world.begin(&who, &args).input(content);
            (order.perhaps_killed(world, random), "dir/dump")
        }
        _ => {
            // Stock Borg cannot cut a named pipe into blocks: it seeks.
            args.truncate(1);
            let top = world.empty_dir("pipes");
            args.extend(["--read-special", &archive, "pipe"]);
            let order = world.begin(&who, &args).dir(&top);
            writer = Some(Writer::start(top.join("pipe"), content));
            (order.perhaps_killed(world, random), "pipe")
        }
    };
    // The same file, as if it had been found in a tree.
    let found = Snapshot::of(&file).nodes.remove(b"".as_slice());
    let files = Snapshot {
        nodes: [(path.into(), found.expect("the top"))].into(),
    };
    let mut after = world.archives.clone();
    after.insert(name, Archived::content(files));
    carry_out(world, random, order, after);
    drop(writer);
}

/// Feeds a named pipe as soon as somebody reads it.
struct Writer {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn start(pipe: PathBuf, content: Vec<u8>) -> Self {
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, &pipe, FileType::Fifo, mode, 0).expect("a new name");
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            // Waiting for a reader would be waiting forever if the program is killed before it reads.
            let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a small flag");
            while !seen.load(Ordering::Acquire) {
                let opened = OpenOptions::new()
                    .write(true)
                    .custom_flags(flags)
                    .open(&pipe);
                let Ok(mut file) = opened else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                fcntl_setfl(&file, OFlags::empty()).expect("an open pipe");
                // A reader that was killed is no fault of the test.
                let _ = file.write_all(&content);
                return;
            }
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
