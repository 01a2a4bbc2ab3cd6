//! Leaving the terminal: nothing of it is kept, nothing that was read for it is lost, and nothing of it leaks.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ironborg_testkit::{Program, Run};
use rustix::process::{Pid, Signal, kill_process};

use super::{PASSPHRASE, Setting, await_condition};
use crate::signals::terminal::Terminal;

/// The processes that work for the setting: those who have its directory in their environment, or its repository open
/// (one that was forked has the environment of the process it comes from).
fn processes(setting: &Setting) -> Vec<Pid> {
    let base = format!("BORG_BASE_DIR={}\0", setting.scene.home.base().display());
    let works_here = |pid: &Pid| {
        let environment = fs::read(process_file(*pid, "environ")).unwrap_or_default();
        let descriptors = fs::read_dir(process_file(*pid, "fd"));
        let mut targets = descriptors
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        String::from_utf8_lossy(&environment).contains(&base)
            || targets.any(|target| target.starts_with(&setting.scene.repo))
    };
    let entries = fs::read_dir("/proc").expect("every Linux has it");
    let pids = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        Pid::from_raw(name.to_str()?.parse().ok()?)
    });
    pids.filter(works_here).collect()
}

fn process_file(pid: Pid, name: &str) -> PathBuf {
    Path::new("/proc")
        .join(pid.as_raw_nonzero().to_string())
        .join(name)
}

/// The one process behind the mount.
#[track_caller]
fn daemon(setting: &Setting) -> Pid {
    let mut found = Vec::new();
    // The first process of stock Borg's is gone a little later than it says.
    await_condition("the other processes to end", || {
        found = processes(setting);
        found.len() == 1
    });
    found[0]
}

/// The session of a process and its controlling terminal, as `/proc/PID/stat` gives them.
fn session_and_terminal(stat: &Path) -> (String, String) {
    let stat = fs::read_to_string(stat).expect("a live process");
    // Behind the name in brackets: state, parent, group, session, terminal.
    let (_, facts) = stat.rsplit_once(") ").expect("a name");
    let facts: Vec<&str> = facts.split(' ').collect();
    (facts[3].to_owned(), facts[4].to_owned())
}

#[test]
fn a_mount_keeps_nothing_of_where_it_was_started() {
    let setting = Setting::new("none");
    let _guard = setting.guard();
    let one = setting.scene.archive("one");
    for program in Program::BOTH {
        let run = setting.scene.run(program, &["mount", &one, "mnt"]);
        assert_eq!(run.ok().err(), "");
        let pid = daemon(&setting);
        let link = |name: &str| fs::read_link(process_file(pid, name)).expect("a live process");
        assert_eq!(link("cwd"), Path::new("/"), "{program:?}");
        // Stock Borg leaves standard error after it has said that it is done: first it is closed, then opened again.
        for stream in 0..3 {
            let stream = process_file(pid, &format!("fd/{stream}"));
            await_condition("streams that lead nowhere", || {
                fs::read_link(&stream).is_ok_and(|target| target == Path::new("/dev/null"))
            });
        }
        let (session, terminal) = session_and_terminal(&process_file(pid, "stat"));
        // Ours may be led from outside this container; its number is 0 then.
        let (this, _) = session_and_terminal("/proc/self/stat".as_ref());
        assert_ne!(session, this, "{program:?}");
        assert_ne!(session, "0", "{program:?} is led by a stranger");
        assert_eq!(terminal, "0", "{program:?} has a terminal");
        setting.scene.run(program, &["umount", "mnt"]).ok();
        await_condition("the end of the mount", || processes(&setting).is_empty());
    }
}

#[test]
fn a_prompt_is_answered_before_and_the_end_of_the_terminal_changes_nothing() {
    let setting = Setting::new("repokey-blake2");
    let _guard = setting.guard();
    let one = setting.scene.archive("one");
    let terminal = Terminal::new();
    let child = terminal.start(&setting.scene, Program::Ours, &["mount", &one, "mnt"]);
    await_condition("a hidden prompt", || !terminal.shows_what_is_typed());
    let answer = format!("{PASSPHRASE}\n");
    let mut person = fs::File::from(terminal.person.try_clone().expect("descriptors to spare"));
    person.write_all(answer.as_bytes()).expect("a terminal");
    Run::of(child).ok();
    drop(person);
    drop(terminal);
    setting.assert_shown();
    let pid = daemon(&setting);
    setting.scene.run(Program::Ours, &["umount", "mnt"]).ok();
    await_condition("the end of the mount", || {
        !process_file(pid, "exe").exists()
    });
}

#[test]
fn what_can_be_read_once_is_read_by_the_one_that_needs_it() {
    let setting = Setting::new("repokey-blake2");
    let guard = setting.guard();
    let scene = &setting.scene;
    fs::write(scene.scratch.join("tree/other"), b"").expect("room on the disk");
    scene.create(Program::Ours, "three", &[], "tree");
    let mut home = scene.home.clone();
    home.unset("BORG_PASSPHRASE");
    home.set("BORG_PASSPHRASE_FD", "7");
    home.set("BORG", Program::Ours.path());
    home.set("ARCHIVE", scene.archive("three"));
    home.set("GIVEN", PASSPHRASE);
    let script = "exec \"$BORG\" mount --patterns-from /dev/stdin \"$ARCHIVE\" mnt 7< <(printf %s \"$GIVEN\")";
    let run = home
        .tool("bash".as_ref(), ["-c", script])
        .dir(scene.scratch.path())
        .input("- tree/other\n")
        .run();
    assert_eq!(run.ok().err(), "");
    setting.assert_shown();
    assert!(!setting.mountpoint.join("tree/other").exists());
    assert!(guard.is_mounted());
}

/// A command that gives the passphrase, after it has noted its environment.
fn passcommand(setting: &Setting, and: &str) -> (ironborg_testkit::Home, PathBuf) {
    let scene = &setting.scene;
    let script = scene.scratch.join("passcommand");
    let noted = scene.scratch.join("noted");
    let text = format!(
        "#!/bin/sh\nenv > {0}.new; mv {0}.new {0}\n{and}\necho '{PASSPHRASE}'\n",
        noted.display()
    );
    fs::write(&script, text).expect("room on the disk");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own file");
    let mut home = scene.home.clone();
    home.unset("BORG_PASSPHRASE");
    home.set("BORG_PASSCOMMAND", script.display().to_string());
    (home, noted)
}

#[test]
fn programs_it_starts_know_nothing_of_how_it_goes_to_the_background() {
    let setting = Setting::new("repokey-blake2");
    let _guard = setting.guard();
    let one = setting.scene.archive("one");
    let (home, noted) = passcommand(&setting, "ls -l /proc/self/fd > descriptors");
    let run = setting
        .scene
        .run_on(&home, Program::Ours, &["mount", &one, "mnt"])
        .ok();
    let environment = fs::read_to_string(noted).expect("it was asked");
    assert!(environment.contains("BORG_VERSION=1.4.5"), "{environment}");
    assert!(!environment.contains("IRONBORG_"), "{environment}");
    assert_eq!(run.err(), "");
    // Of the command that lists them all but standard error are its own.
    let descriptors = fs::read_to_string(setting.scene.scratch.join("descriptors"));
    let descriptors = descriptors.expect("they were listed");
    assert_eq!(descriptors.matches("pipe:").count(), 1, "{descriptors}");
    setting.assert_shown();
}

#[test]
fn who_ends_the_command_ends_all_of_it() {
    let setting = Setting::new("repokey-blake2");
    let guard = setting.guard();
    let one = setting.scene.archive("one");
    let (home, noted) = passcommand(&setting, "exec sleep 1000");
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut invocation = home
            .invocation(Program::Ours, ["mount", one.as_str(), "mnt"])
            .dir(setting.scene.scratch.path());
        let child = invocation.start(Stdio::null());
        await_condition("the command that asks", || noted.exists());
        kill_process(Pid::from_child(&child), signal).expect("our own child");
        if signal == Signal::INT {
            // The first is a wish, as in every command; the second is an order.
            std::thread::sleep(std::time::Duration::from_millis(100));
            kill_process(Pid::from_child(&child), signal).expect("our own child");
        }
        let run = Run::of(child).exits(code);
        await_condition("the end of all", || processes(&setting).is_empty());
        assert!(!guard.is_mounted(), "{run}");
        fs::remove_file(&noted).expect("it was noted");
    }
}

#[test]
fn one_that_is_killed_before_it_is_in_the_background_is_told_of() {
    let setting = Setting::new("repokey-blake2");
    let one = setting.scene.archive("one");
    let (home, noted) = passcommand(&setting, "exec sleep 1000");
    let mut invocation = home
        .invocation(Program::Ours, ["mount", one.as_str(), "mnt"])
        .dir(setting.scene.scratch.path());
    let child = invocation.start(Stdio::null());
    await_condition("the command that asks", || noted.exists());
    let first = Pid::from_child(&child);
    let mut others = processes(&setting);
    others.retain(|pid| *pid != first);
    for pid in others {
        kill_process(pid, Signal::KILL).expect("a process of this setting");
    }
    let run = Run::of(child).exits(2);
    let said = "The background process was ended by signal 9.\n";
    assert_eq!(run.err(), said, "{run}");
}

#[test]
fn a_log_in_a_file_goes_on() {
    let setting = Setting::new("none");
    let _guard = setting.guard();
    let scratch = &setting.scene.scratch;
    let log = scratch.join("log");
    let conf = format!(
        "[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=\n\
         [logger_root]\nlevel=NOTSET\nhandlers=file\n\
         [handler_file]\nclass=FileHandler\nlevel=NOTSET\nargs=('{}', 'a')\n",
        log.display()
    );
    fs::write(scratch.join("logging.conf"), conf).expect("room on the disk");
    let one = setting.scene.archive("one");
    let scene = setting
        .scene
        .with("BORG_LOGGING_CONF", scratch.join("logging.conf"));
    let run = scene.run(Program::Ours, &["mount", "--show-rc", &one, "mnt"]);
    assert_eq!(run.ok().err(), "");
    let said = |text: &str| {
        let lines = fs::read_to_string(&log).expect("a log");
        lines.matches(text).count()
    };
    assert_eq!(said("Mounting filesystem"), 1);
    assert_eq!(said("terminating with success status, rc 0"), 1);
    setting.assert_shown();
    kill_process(daemon(&setting), Signal::USR1).expect("a process of this setting");
    await_condition("a report", || said("fuse: data cache: ") == 1);
    assert_eq!(said("fuse: 3 nodes in 1 open archives\n"), 1);
    assert_eq!(said("fuse: 0 pending archives\n"), 1);
    setting.scene.run(Program::Ours, &["umount", "mnt"]).ok();
    await_condition("the end of the mount", || {
        said("terminating with success status, rc 0") == 2
    });
}
