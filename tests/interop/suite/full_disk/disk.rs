//! Small disks, and the namespace they are mounted in.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use ironborg_testkit::Scratch;

use crate::scene::{Scene, text};

/// Set inside of the namespace.
const INSIDE: &str = "IRONBORG_INTEROP_NAMESPACE";
/// How namespaces are asked for: by root, by anybody.
const WAYS: [&str; 2] = ["-m", "-Urm"];
/// What room is counted in.
pub(super) const BLOCK: u64 = 4096;
/// What fills a disk.
const FILLER: &str = "filler";

/// Runs the calling test once more, in a process that may mount disks nobody else sees, which are gone with it.
#[track_caller]
pub(super) fn with_disks(test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        test();
        return;
    }
    let Some(way) = WAYS.into_iter().find(|way| can_mount(way)) else {
        let note = "SKIPPED: no file system can be mounted here, not even in a namespace";
        let _ = writeln!(std::io::stderr(), "{note}");
        return;
    };
    let name = std::thread::current().name().map(str::to_owned);
    let name = name.expect("tests run in threads with their names");
    let output = Command::new("unshare")
        .arg(way)
        .arg(env::current_exe().expect("we are running"))
        .args(["--exact", &name, "--nocapture"])
        .env(INSIDE, "1")
        // What is behind a server is tried apart.
        .env_remove("IRONBORG_INTEROP_WIRE")
        .output()
        .expect("unshare has just been there");
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy);
    let is_one = said[0].contains("1 passed");
    assert!(
        output.status.success() && is_one,
        "{}\n{}",
        said[0],
        said[1]
    );
}

fn can_mount(way: &str) -> bool {
    let scratch = Scratch::new();
    let mut command = Command::new("unshare");
    command.args([way, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
    let output = command.arg(scratch.path()).output();
    output.is_ok_and(|output| output.status.success())
}

/// A file system of a few megabytes.
pub(super) struct Disk {
    pub(super) dir: PathBuf,
}

impl Disk {
    pub(super) fn new(scene: &Scene, kilobytes: u64) -> Self {
        let disk = Self {
            dir: scene.empty_dir("disk"),
        };
        disk.mount(&format!("size={kilobytes}k"));
        disk
    }

    #[track_caller]
    fn mount(&self, options: &str) {
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&self.dir);
        let output = command.output().expect("mount was there before");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mount -o {options}: {said}");
    }

    /// From now on it can only be read, or be written again.
    #[track_caller]
    pub(super) fn make_read_only(&self, read_only: bool) {
        self.mount(if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        });
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Bytes that may still be written.
    pub(super) fn free(&self) -> u64 {
        let figures = rustix::fs::statvfs(&self.dir).expect("it is mounted");
        figures.f_bavail * figures.f_frsize
    }

    /// Leaves room for so many blocks only.
    #[track_caller]
    pub(super) fn leave(&self, blocks: u64) {
        self.empty();
        let filled = self.free() - blocks * BLOCK;
        let mut filler = File::create(self.path(FILLER)).expect("no room is needed for a name");
        let zeros = vec![0; usize::try_from(filled).expect("a few megabytes")];
        filler.write_all(&zeros).expect("there was room");
        assert_eq!(self.free(), blocks * BLOCK);
    }

    /// Takes away what fills it.
    pub(super) fn empty(&self) {
        let path = self.path(FILLER);
        if path.exists() {
            fs::remove_file(path).expect("a file of this test");
        }
    }

    /// Puts a copy of a directory there, with nothing else beside it.
    #[track_caller]
    pub(super) fn hold(&self, original: &Path, name: &str) -> PathBuf {
        for entry in fs::read_dir(&self.dir).expect("it is mounted") {
            let path = entry.expect("an entry").path();
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.expect("a file of this test");
        }
        let copy = self.path(name);
        let output = Command::new("cp")
            .arg("-a")
            .arg(original)
            .arg(&copy)
            .output();
        assert!(output.is_ok_and(|output| output.status.success()));
        copy
    }
}

/// Names of files below a directory that show that somebody still has a lock, or has left something unfinished.
pub(super) fn litter(top: &Path) -> Vec<String> {
    let files = crate::same_output::files(top);
    let names = files.into_keys().filter(|name| {
        let last = name
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(name);
        last.starts_with("lock.") || last.rsplit('.').next() == Some("tmp")
    });
    names.collect()
}

/// The scene with its repository on a disk.
pub(super) fn on(scene: &Scene, repo: &Path) -> Scene {
    let mut there = scene.beside("repo");
    there.moved_to(repo.to_owned());
    there
}

/// A file of incompressible bytes.
pub(super) fn random_file(scene: &Scene, name: &str, len: usize) {
    let path = scene.scratch.join(name);
    let dir = path.parent().expect("below the scratch directory");
    fs::create_dir_all(dir).expect("room on the disk");
    let seed = name.bytes().map(u64::from).sum();
    let bytes = ironborg_testkit::Random::new(seed).bytes(len);
    fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", text(&path)));
}
