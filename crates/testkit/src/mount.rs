//! Mounts of tests: live when a test gets them, gone when it lets go of them, whatever happened in between.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Home, Invocation, StockHost};

/// Longest time anything about a mount may take: to become live, to end.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// A mounted directory and the process behind it. Unmounted, and the process ended, when dropped.
#[derive(Debug)]
pub struct Mount {
    mountpoint: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

#[derive(Debug)]
enum Process {
    Child(Child),
    /// Forked by a host of stock Borg, which alone can wait for it.
    Hosted(Pid, Rc<RefCell<StockHost>>),
}

impl Mount {
    /// Starts a program that mounts and stays in the foreground, and waits until the mount is live.
    ///
    /// # Panics
    /// When it does not come up; the message has what the program said.
    #[track_caller]
    pub fn start(mut invocation: Invocation, mountpoint: &Path) -> Self {
        let (mut mount, log) = Self::at(mountpoint);
        mount.process = Some(Process::Child(invocation.start_logging(&log)));
        mount.wait_until_live();
        mount
    }

    /// The same for stock Borg, by a host that has it loaded.
    ///
    /// # Panics
    /// When it does not come up; the message has what it said.
    #[track_caller]
    pub fn start_stock(
        host: &Rc<RefCell<StockHost>>,
        place: (&Home, &Path),
        args: &[String],
        mountpoint: &Path,
    ) -> Self {
        let (mut mount, _) = Self::at(mountpoint);
        let files = [Path::new("/dev/null"), &mount.log, &mount.log];
        let pid = host.borrow_mut().begin(place, args, files);
        mount.process = Some(Process::Hosted(pid, Rc::clone(host)));
        mount.wait_until_live();
        mount
    }

    /// Watches over a mount some other process made or will make: only unmounts it at the end.
    pub fn watch(mountpoint: &Path) -> Self {
        Self::at(mountpoint).0
    }

    fn at(mountpoint: &Path) -> (Self, File) {
        // What is dead cannot be looked at, but something may be about to take its place.
        if !is_mounted(mountpoint) {
            fs::create_dir_all(mountpoint).expect("a directory to mount on");
        }
        let mut log = mountpoint.as_os_str().to_owned();
        log.push(".log");
        let log = PathBuf::from(log);
        let file = File::create(&log).expect("room on the disk");
        let mount = Self {
            mountpoint: mountpoint.to_path_buf(),
            log,
            process: None,
        };
        (mount, file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.mountpoint
    }

    /// The process behind it.
    ///
    /// # Panics
    /// When that is not ours ([`Mount::watch`]) or has been waited for.
    pub fn pid(&self) -> Pid {
        match self.process.as_ref().expect("a process of our own") {
            Process::Child(child) => Pid::from_child(child),
            Process::Hosted(pid, _) => *pid,
        }
    }

    /// What the program has said so far, on both of its outputs.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("({error})"),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Whether something is mounted there, be it alive or not.
    pub fn is_mounted(&self) -> bool {
        is_mounted(&self.mountpoint)
    }

    /// Unmounts with `fusermount3 -u`, and returns how the program ended and what it said.
    ///
    /// # Panics
    /// When it cannot be unmounted, or the program does not end.
    #[track_caller]
    pub fn unmount(mut self) -> (ExitStatus, String) {
        let output = Command::new("fusermount3")
            .arg("-u")
            .arg(&self.mountpoint)
            .output()
            .expect("fusermount3 starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}: {said}",
            self.mountpoint.display()
        );
        let status = self.wait();
        assert!(!self.is_mounted(), "still mounted\n{}", self.log());
        (status, self.log())
    }

    /// Sends a signal to the process and waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn end_by(&mut self, signal: Signal) -> ExitStatus {
        // Not waited for yet: the id is still its own, whether it has ended or not.
        kill_process(self.pid(), signal).expect("a process of our own");
        self.wait()
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIME_LIMIT;
        loop {
            if let Some(status) = self.try_wait() {
                return status;
            }
            if Instant::now() > deadline {
                let log = self.log();
                panic!(
                    "{}: the process does not end\n{log}",
                    self.mountpoint.display()
                );
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// How the process ended, if it has.
    fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = match self.process.as_mut().expect("a process of our own") {
            Process::Child(child) => child.try_wait().expect("our own child can be waited for"),
            Process::Hosted(pid, host) => {
                has_ended(*pid).then(|| host.try_borrow_mut().map_or(lost(), |mut h| h.wait(*pid)))
            }
        };
        if status.is_some() {
            self.process = None;
        }
        status
    }

    #[track_caller]
    fn wait_until_live(&mut self) {
        let deadline = Instant::now() + TIME_LIMIT;
        while !self.is_mounted() {
            let ended = self.try_wait();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{}: no mount, {ended:?}\n{}",
                self.mountpoint.display(),
                self.log()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if thread::panicking() {
            let shown = format!("{}: {}\n", self.mountpoint.display(), self.log());
            let _ = std::io::stderr().write_all(shown.as_bytes());
        }
        // More than once if more than one was made there.
        for _ in 0..8 {
            if !self.is_mounted() {
                break;
            }
            let _ = Command::new("fusermount3")
                .args(["-u", "-z", "-q"])
                .arg(&self.mountpoint)
                .stderr(Stdio::null())
                .status();
        }
        match self.process.take() {
            Some(Process::Child(mut child)) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Some(Process::Hosted(pid, host)) => {
                let _ = kill_process(pid, Signal::KILL);
                if let Ok(mut host) = host.try_borrow_mut() {
                    host.wait(pid);
                }
            }
            None => {}
        }
    }
}

/// A status for a process whose host is busy: nobody asks for it then.
fn lost() -> ExitStatus {
    ExitStatus::from_raw(0x7f00)
}

/// Whether the process has ended: it is a zombie until it is waited for.
fn has_ended(pid: Pid) -> bool {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    // The state is the word behind the name, which is in brackets and may hold anything.
    fs::read_to_string(path).map_or(true, |stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
    })
}

/// Whether a directory is where something is mounted. Does not touch the mount, which may be dead.
fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read("/proc/self/mountinfo").expect("every Linux has it");
    let wanted = path.as_os_str().as_bytes();
    mounts.split(|byte| *byte == b'\n').any(|line| {
        let point = line.split(|byte| *byte == b' ').nth(4);
        point.is_some_and(|point| unescaped(point) == wanted)
    })
}

/// Blanks, tabs, newlines and backslashes are written as `\` and three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let value = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[3..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_list_of_mounts_are_unescaped() {
        assert_eq!(unescaped(br"/a\040b\134\012"), b"/a b\\\n");
        assert_eq!(unescaped(br"/a\04"), br"/a\04");
    }

    #[test]
    fn what_is_mounted_is_known() {
        assert!(is_mounted(Path::new("/proc")));
        assert!(!is_mounted(Path::new("/proc/self")));
    }
}
