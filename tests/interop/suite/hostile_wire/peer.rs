//! A client that can say anything, and looks at the server from outside while it does.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use ironborg_rpc::message::{Call, Fault, Form, FrameBuffer, Open, Reply, Version};
use ironborg_testkit::{Program, Run};

use crate::scene::Scene;

/// The other end of a server's pipes.
pub(super) struct Peer {
    child: Child,
    pub(super) to_server: Option<ChildStdin>,
    pub(super) from_server: ChildStdout,
    frames: FrameBuffer,
    last_msgid: u64,
}

impl Peer {
    /// Starts our server in the scratch directory.
    pub(super) fn new(scene: &Scene, options: &[&str]) -> Self {
        let args = [&["serve"], options].concat();
        let mut invocation = scene
            .home
            .invocation(Program::Ours, args)
            .dir(scene.scratch.path());
        let mut child = invocation.start(Stdio::piped());
        Self {
            to_server: child.stdin.take(),
            from_server: child.stdout.take().expect("a pipe"),
            child,
            frames: FrameBuffer::new(),
            last_msgid: 0,
        }
    }

    /// A server that has the scene's repository open for writing.
    pub(super) fn with_repository(scene: &Scene, options: &[&str]) -> Self {
        let mut peer = Self::new(scene, options);
        peer.greet();
        peer.ask(&open(&scene.repo, false)).expect("it is there");
        assert!(is_locked(&scene.repo), "it is open for writing");
        peer
    }

    /// Exchanges versions.
    pub(super) fn greet(&mut self) {
        let hello = Call::Negotiate {
            client: Some(Version::own()),
            snapshots: false,
        };
        self.ask(&hello).expect("a version");
    }

    /// Sends bytes; false if the server takes no more.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        let pipe = self.to_server.as_mut().expect("not closed yet");
        pipe.write_all(bytes).is_ok()
    }

    /// Makes a call and takes its answer, a whole message.
    pub(super) fn ask(&mut self, call: &Call<'_>) -> Result<Vec<u8>, Box<Fault>> {
        self.last_msgid += 1;
        let mut frame = Vec::new();
        call.encode(Form::Named, self.last_msgid, &Version::own(), &mut frame);
        assert!(self.send(&frame), "the server takes calls");
        let answer = self.answer();
        let reply = Reply::decode(&answer).expect("a reply");
        assert_eq!(reply.msgid, self.last_msgid, "replies come in order");
        match reply.outcome {
            Ok(_) => Ok(answer.clone()),
            Err(fault) => Err(Box::new(fault)),
        }
    }

    /// The next message of the server.
    pub(super) fn answer(&mut self) -> Vec<u8> {
        loop {
            if let Some(frame) = self.frames.next_frame().expect("the server is sound") {
                return frame.to_vec();
            }
            let room = self.frames.room();
            let len = self.from_server.read(room).expect("a pipe can be read");
            assert!(len > 0, "the server ended");
            self.frames.received(len);
        }
    }

    /// Ends the server by ending its input, unless it has ended by itself.
    pub(super) fn end(mut self) -> Run {
        drop(self.to_server.take());
        self.child.stdout = Some(self.from_server);
        Run::of(self.child)
    }

    /// Waits for the server to end by itself while its input stays open.
    pub(super) fn ends_by_itself(mut self) -> Run {
        self.child.stdout = Some(self.from_server);
        let run = Run::of(self.child);
        drop(self.to_server);
        run
    }

    /// Ends the server without warning.
    pub(super) fn kill(mut self) {
        self.child.kill().expect("our own child");
        self.child.wait().expect("our own child");
    }

    /// The most memory the server ever had, in bytes.
    pub(super) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        let kib: u64 = number.and_then(|text| text.parse().ok()).expect("a number");
        kib * 1024
    }

    /// How much the server has worked so far, in the clock's ticks.
    pub(super) fn work(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the server runs");
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
        ticks(12) + ticks(13)
    }
}

/// A call that opens a repository for writing.
pub(super) fn open(path: &Path, create: bool) -> Call<'static> {
    use std::os::unix::ffi::OsStrExt;
    open_bytes(path.as_os_str().as_bytes(), create)
}

/// The same with any bytes for a path.
pub(super) fn open_bytes(path: &[u8], create: bool) -> Call<'static> {
    Call::Open(Open {
        path: path.to_vec(),
        create,
        lock_wait: Some(1.0),
        lock: true,
        exclusive: Some(true),
        append_only: false,
        make_parent_dirs: create,
    })
}

/// Whether somebody holds a lock of the repository.
pub(super) fn is_locked(repo: &Path) -> bool {
    let roster = fs::read(repo.join("lock.roster")).unwrap_or_default();
    let named = |name: &str| {
        roster
            .windows(name.len())
            .any(|bytes| bytes == name.as_bytes())
    };
    repo.join("lock.exclusive").exists() || (named("shared") && !roster.ends_with(b"[]}"))
}
