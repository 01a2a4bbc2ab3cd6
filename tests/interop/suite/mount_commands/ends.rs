//! How a mount ends: by being unmounted, by ^C, by other signals.

use std::fs;
use std::io::ErrorKind;

use ironborg_testkit::{Mount, Program, Tried, tally};
use rustix::process::Signal;
use serde_json::Value;

use super::Setting;

fn in_foreground(setting: &Setting) -> Mount {
    let one = setting.scene.archive("one");
    let args = ["mount", "-f", "--show-rc", &one, "mnt"];
    let invocation = setting.scene.home.invocation(Program::Ours, args);
    let invocation = invocation.dir(setting.scene.scratch.path());
    Mount::start(invocation, &setting.mountpoint)
}

#[test]
fn one_that_is_unmounted_ends_well() {
    let setting = Setting::new("none");
    let mount = in_foreground(&setting);
    setting.assert_shown();
    let (status, log) = mount.unmount();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(log, "terminating with success status, rc 0\n");
}

#[test]
fn a_person_who_presses_the_key_unmounts() {
    let setting = Setting::new("none");
    let mut mount = in_foreground(&setting);
    setting.assert_shown();
    let status = mount.end_by(Signal::INT);
    assert_eq!(status.code(), Some(0), "{}", mount.log());
    assert_eq!(mount.log(), "terminating with success status, rc 0\n");
    assert!(!mount.is_mounted());
}

/// An open file does not keep the program from ending, nor does whoever has it open wait for ever.
#[test]
fn a_person_who_presses_the_key_while_files_are_open_unmounts() {
    let setting = Setting::new("none");
    let mut mount = in_foreground(&setting);
    let open = std::fs::File::open(setting.mountpoint.join("tree/file")).expect("it is shown");
    let status = mount.end_by(Signal::INT);
    assert_eq!(status.code(), Some(0), "{}", mount.log());
    assert!(!mount.is_mounted());
    drop(open);
}

#[test]
fn a_program_that_is_ended_leaves_no_empty_directory_behind() {
    let setting = Setting::new("none");
    let program = [Program::Ours, Program::Stock, Program::Ours];
    for (signal, unmounts) in [Signal::TERM, Signal::HUP, Signal::KILL]
        .into_iter()
        .zip(program)
    {
        let mut mount = in_foreground(&setting);
        setting.assert_shown();
        let status = mount.end_by(signal);
        let expected = (signal != Signal::KILL).then_some(0);
        assert_eq!(status.code(), expected, "{}", mount.log());
        assert!(mount.is_mounted());
        let error = std::fs::read_dir(&setting.mountpoint).expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        let run = setting.scene.run(unmounts, &["umount", "mnt"]);
        assert_eq!(run.ok().err(), "");
        assert!(!mount.is_mounted());
    }
    // The repository is as it was, and can be written to at once.
    let options = ["--lock-wait", "0"];
    setting
        .scene
        .create(Program::Stock, "three", &options, "tree");
    tally(Tried::Kills, 3);
}

#[test]
fn an_archive_that_cannot_be_read_is_not_mounted() {
    let setting = Setting::new("none");
    let guard = setting.guard();
    let (scene, one) = (&setting.scene, setting.scene.archive("one"));
    let dumped = scene.run(Program::Ours, &["debug", "dump-archive", &one, "dump"]);
    dumped.ok();
    let dump = fs::read(scene.scratch.join("dump")).expect("what was written just now");
    let dump: Value = serde_json::from_slice(&dump).expect("JSON");
    let items = dump["_meta"]["items"][0]
        .as_str()
        .expect("a chunk of items")
        .trim_start_matches('\u{7f}');
    let deleted = scene.run(Program::Ours, &["debug", "delete-obj", scene.repo(), items]);
    deleted.ok();
    for options in [&["mount"][..], &["mount", "-f"]] {
        let words = [options, &[one.as_str(), "mnt"]].concat();
        let run = scene.run(Program::Ours, &words);
        assert_eq!(run.code(), 2, "{run}");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(said.contains(items), "{run}");
        assert!(!guard.is_mounted(), "{run}");
    }
}
