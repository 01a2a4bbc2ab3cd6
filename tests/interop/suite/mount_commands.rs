//! `mount`, `umount` and `borgfs` as commands: what they say, how they end, and how they go to the background.
//!
//! What is seen in a mount is looked at elsewhere.

mod background;
mod ends;

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use ironborg_testkit::{Mount, Program, Run};

use crate::same_output::assert_same_run;
use crate::scene::Scene;

/// Of the repositories here.
const PASSPHRASE: &str = "open sesame";

/// A repository with two archives, and a directory to mount on.
struct Setting {
    scene: Scene,
    mountpoint: PathBuf,
}

impl Setting {
    fn new(mode: &str) -> Self {
        let scene = Scene::new().with("BORG_PASSPHRASE", PASSPHRASE);
        scene.init(Program::Ours, mode);
        let tree = scene.scratch.dir("tree");
        std::fs::write(tree.join("file"), b"content").expect("room on the disk");
        scene.create(Program::Ours, "one", &[], "tree");
        scene.create(Program::Ours, "two", &[], "tree");
        let mountpoint = scene.scratch.dir("mnt");
        Self { scene, mountpoint }
    }

    /// Unmounts at the end of the test, whatever happens.
    fn guard(&self) -> Mount {
        Mount::watch(&self.mountpoint)
    }

    /// What is mounted shows the archive.
    #[track_caller]
    fn assert_shown(&self) {
        let file = self.mountpoint.join("tree/file");
        let content = std::fs::read(&file);
        assert_eq!(content.expect("a file of the archive"), b"content");
    }
}

/// Waits until something has become true; panics if it does not.
#[track_caller]
fn await_condition(what: &str, mut is_met: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_met() {
        assert!(begun.elapsed().as_secs() < 60, "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn what_is_wrong_is_said_in_the_same_words() {
    let setting = Setting::new("none");
    let _guard = setting.guard();
    let scene = &setting.scene;
    std::fs::write(scene.scratch.join("a file"), b"").expect("room on the disk");
    let repo = scene.repo();
    let (one, two, no) = (
        scene.archive("one"),
        scene.archive("two"),
        scene.archive("none of these"),
    );
    let (one, two, no) = (one.as_str(), two.as_str(), no.as_str());
    let lists: &[&[&str]] = &[
        // The directory is looked at first, then the repository, then the words of -o, then the archive.
        &["mount", "no repository", "no directory"],
        &["mount", "-f", "no repository", "a file"],
        &["mount", "no repository", "mnt"],
        &["mount", "--log-json", "-o", "uid=x", "no repository", "mnt"],
        &["mount", "-o", "uid=x,gid=y", no, "mnt"],
        &["mount", "-f", "-o", "umask=9", repo, "mnt"],
        &["mount", "-o", "versions=perhaps", repo, "mnt"],
        &["mount", "-o", "uid=54321", no, "mnt"],
        &["mount", "-o", "uid=-1", repo, "mnt"],
        &["mount", "-o", "gid=0x7fffffff,foo", repo, "mnt"],
        &["mount", "-o", "uid=99999999999999999999", repo, "mnt"],
        &["mount", "-o", "versions,foo", one, "mnt"],
        &["mount", "-f", "-o", "versions", no, "mnt"],
        &["mount", "-o", "foo", no, "mnt"],
        &["mount", "--log-json", "--show-rc", no, "mnt"],
        &["mount", "-o", "foo=1,allow_other,bar", one, "mnt"],
        &["mount", "-f", "-o", "uid=0,uid=1", repo, "mnt"],
        &["mount", "-o", ",,", repo, "mnt"],
        &["mount", "--log-json", "-o", "foo", repo, "mnt"],
        &["mount", "-o", "max_read=much", repo, "mnt"],
        // The command line itself.
        &["mount", "-o", "ro", "-o", "rw", repo, "mnt"],
        &["mount", repo],
        &["mount"],
        &["mount", "--first", "1", "--last", "1", repo, "mnt"],
        &["umount"],
        // And when nothing is wrong.
        &["mount", "--show-rc", "-v", one, "mnt"],
        &["mount", two, "mnt"],
        &["mount", "-f", repo, "mnt/tree"],
        &["umount", "--show-rc", "mnt"],
        &["umount", "mnt"],
        &["umount", "--log-json", "--show-rc", "no directory"],
        &["mount", "--log-json", "--info", "--show-rc", repo, "mnt"],
        &["umount", "-v", "mnt"],
        &["mount", "-o", "", "--numeric-owner", repo, "mnt"],
        &["--bypass-lock", "umount", "mnt"],
        &["mount", "-a", "none*", repo, "mnt", "nowhere"],
        &["umount", "mnt"],
    ];
    scene.assert_same_outputs(lists);
    assert!(!setting.guard().is_mounted());
}

#[test]
fn passphrases_and_modern_exit_codes() {
    let setting = Setting::new("repokey-blake2");
    let _guard = setting.guard();
    let scene = setting.scene.with("BORG_EXIT_CODES", "modern");
    let one = scene.archive("one");
    let lists: &[&[&str]] = &[
        &["mount", "--show-rc", &one, "nowhere"],
        &["mount", "--show-rc", "no repository", "mnt"],
        &["mount", "--show-rc", "-o", "foo", &one, "mnt"],
    ];
    scene.assert_same_outputs(lists);
    let wrong = scene.with("BORG_PASSPHRASE", "wrong");
    let lists: &[&[&str]] = &[
        &["mount", "--log-json", "--show-rc", &one, "mnt"],
        &["mount", "-f", &one, "mnt"],
    ];
    let (runs, _) = wrong.assert_same_outputs(lists);
    assert_eq!(runs[0].code(), 52, "{}", runs[0]);
    let entries = scene.with("BORG_MOUNT_DATA_CACHE_ENTRIES", "many");
    entries.assert_same_outputs(&[&["mount", &one, "mnt"]]);
    let entries = scene.with("BORG_MOUNT_DATA_CACHE_ENTRIES", "3");
    let run = entries.run(Program::Ours, &["mount", &one, "mnt"]).ok();
    assert_eq!(run.err(), "", "{run}");
    setting.assert_shown();
}

#[test]
fn each_unmounts_what_the_other_has_mounted() {
    let setting = Setting::new("none");
    let _guard = setting.guard();
    let one = setting.scene.archive("one");
    for program in Program::BOTH {
        setting.scene.run(program, &["mount", &one, "mnt"]).ok();
        setting.assert_shown();
        let run = setting.scene.run(program.other(), &["umount", "mnt"]);
        assert_eq!(run.ok().err(), "");
        assert!(!setting.guard().is_mounted());
    }
}

/// The two programs under the name of one command.
fn borgfs(setting: &Setting, program: Program, args: &[&str]) -> Run {
    let stock = Program::Stock.path().with_file_name("borgfs");
    let path = match program {
        Program::Stock => stock,
        Program::Ours => {
            let link = setting.scene.scratch.join("borgfs");
            if !link.is_symlink() {
                symlink(Program::Ours.path(), &link).expect("a link of our own");
            }
            link
        }
    };
    let invocation = setting.scene.home.tool(&path, args);
    invocation.dir(setting.scene.scratch.path()).run()
}

#[test]
fn borgfs_is_mount_under_a_name_of_its_own() {
    let setting = Setting::new("none");
    let guard = setting.guard();
    let repo = setting.scene.repo();
    let one = setting.scene.archive("one");
    for (args, code) in [
        (&["-V"][..], 0),
        (&["--bogus", repo, "mnt"], 2),
        (&["mount", repo, "mnt"], 2),
        (&["--foreground", "--show-rc", repo], 2),
        (&["-o", "versions", &one, "mnt"], 2),
        (&["--show-rc", "-o", "uid=0", &one, "mnt"], 0),
        (&["--log-json", &one, "mnt"], 2),
    ] {
        let ours = borgfs(&setting, Program::Ours, args);
        if guard.is_mounted() && code == 0 {
            setting.assert_shown();
            setting.scene.run(Program::Ours, &["umount", "mnt"]).ok();
        }
        let mut stock = borgfs(&setting, Program::Stock, args);
        for _ in 0..10 {
            if code != 0 || !guard.is_mounted() || stock.err().contains("rc 0") {
                break;
            }
            // On a busy machine what its background process tells the one in the foreground comes too early: that ends by
            // the signal, or does not notice it at all.
            setting.scene.run(Program::Ours, &["umount", "mnt"]).ok();
            stock = borgfs(&setting, Program::Stock, args);
        }
        assert_same_run(&ours, &stock);
        assert_eq!(ours.code(), code, "{ours}");
    }
    // Without a word it shows what it is for; every program in words of its own.
    for program in Program::BOTH {
        let run = borgfs(&setting, program, &[]).ok();
        assert!(run.out().contains("borgfs"), "{run}");
        assert!(run.out().contains("MOUNTPOINT"), "{run}");
    }
}
