//! Files on a server that answers each request after a while, many at once: one directory of small ones, mounted.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData,
    ReplyDirectoryPlus, ReplyEntry, ReplyOpen, Request,
};
use ironborg_testkit::generated;

/// How long the kernel may remember what it was told: longer than any test takes.
const REMEMBERED: Duration = Duration::from_mins(10);
/// Bytes of each file.
pub(crate) const FILE_LEN: usize = 700;
/// Number of the first file: 1 is the directory.
const FIRST: u64 = 2;

/// What is asked of a server, counted.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Requests that take their time.
    pub(crate) requests: AtomicUsize,
    now: AtomicUsize,
    /// The most that were waited for at once.
    pub(crate) most: AtomicUsize,
}

type Answer = Box<dyn FnOnce() + Send>;

/// The server.
struct Distant {
    files: usize,
    latency: Duration,
    asked: Arc<Asked>,
    answers: Sender<(Instant, Answer)>,
}

/// Mounts `files` files of a server that takes `latency` to open one, and to read from it. Names and attributes come
/// together and at once, as those of NFS do.
pub(crate) fn mount(
    files: usize,
    latency: Duration,
    mountpoint: &Path,
) -> (BackgroundSession, Arc<Asked>) {
    let (answers, queue) = channel();
    thread::spawn(move || answer(&queue));
    let asked = Arc::<Asked>::default();
    let distant = Distant {
        files,
        latency,
        asked: Arc::clone(&asked),
        answers,
    };
    let session = fuser::spawn_mount(distant, mountpoint, &Config::default());
    (session.expect("file systems can be mounted here"), asked)
}

/// Answers each request when its time has come: all take equally long, so they come in order.
fn answer(queue: &Receiver<(Instant, Answer)>) {
    for (due, answer) in queue {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        answer();
    }
}

impl Distant {
    fn later(&self, answer: impl FnOnce() + Send + 'static) {
        let asked = Arc::clone(&self.asked);
        asked.requests.fetch_add(1, Ordering::Relaxed);
        let now = asked.now.fetch_add(1, Ordering::Relaxed) + 1;
        asked.most.fetch_max(now, Ordering::Relaxed);
        let answer = Box::new(move || {
            asked.now.fetch_sub(1, Ordering::Relaxed);
            answer();
        });
        let due = Instant::now() + self.latency;
        self.answers.send((due, answer)).expect("it answers");
    }

    fn number_of(&self, name: &OsStr) -> Option<u64> {
        let number: u64 = name.to_str()?.strip_prefix("file")?.parse().ok()?;
        usize::try_from(number)
            .is_ok_and(|n| n < self.files)
            .then_some(FIRST + number)
    }
}

fn attributes(inode: u64) -> FileAttr {
    let is_dir = inode < FIRST;
    FileAttr {
        ino: INodeNo(inode),
        size: if is_dir { 0 } else { FILE_LEN as u64 },
        blocks: 2,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if is_dir {
            FileType::Directory
        } else {
            FileType::RegularFile
        },
        perm: if is_dir { 0o755 } else { 0o644 },
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        flags: 0,
        blksize: 4096,
    }
}

/// What is in a file.
fn content(inode: u64) -> Vec<u8> {
    generated(&format!("distant {inode}"), FILE_LEN)
}

impl Filesystem for Distant {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let wanted = InitFlags::FUSE_DO_READDIRPLUS;
        config
            .add_capabilities(wanted)
            .expect("kernels have had it for long");
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.number_of(name) {
            Some(inode) => reply.entry(&REMEMBERED, &attributes(inode), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&REMEMBERED, &attributes(inode.0));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.later(move || reply.opened(FileHandle(0), FopenFlags::empty()));
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.later(move || {
            let content = content(inode.0);
            let from = usize::try_from(offset).map_or(FILE_LEN, |offset| offset.min(FILE_LEN));
            let len = (size as usize).min(FILE_LEN - from);
            reply.data(&content[from..from + len]);
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        for number in offset..self.files as u64 {
            let inode = FIRST + number;
            let (name, attributes) = (format!("file{number}"), attributes(inode));
            let inode = INodeNo(inode);
            if reply.add(
                inode,
                number + 1,
                name,
                &REMEMBERED,
                &attributes,
                Generation(0),
            ) {
                break;
            }
        }
        reply.ok();
    }
}
