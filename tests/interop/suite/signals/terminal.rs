//! A terminal: prompts that are interrupted give it back as it was, and its end is the program's end.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};

use ironborg_testkit::{Program, Run};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::{await_condition, left_behind, send};
use crate::scene::Scene;

/// The two ends of a terminal.
pub(crate) struct Terminal {
    /// What a person sees and types at.
    pub(crate) person: OwnedFd,
    /// What programs have.
    programs: File,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let person = person.expect("a terminal");
        grantpt(&person).expect("our own terminal");
        unlockpt(&person).expect("our own terminal");
        let name = ptsname(&person, Vec::new()).expect("our own terminal");
        let programs = rustix::fs::open(
            name.as_c_str(),
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        );
        Self {
            person,
            programs: File::from(programs.expect("our own terminal")),
        }
    }

    pub(crate) fn shows_what_is_typed(&self) -> bool {
        let modes = tcgetattr(self.programs.as_fd()).expect("a terminal");
        modes.local_modes.contains(LocalModes::ECHO)
    }

    /// Starts a program in a session of its own whose terminal this is. Standard error stays a pipe.
    pub(crate) fn start(&self, scene: &Scene, program: Program, args: &[&str]) -> Child {
        let mut words = vec!["-c".to_owned(), program.path().display().to_string()];
        words.extend(args.iter().map(|&word| word.to_owned()));
        let mut home = scene.home.clone();
        home.unset("BORG_PASSPHRASE");
        let mut invocation = home
            .tool("setsid".as_ref(), words)
            .dir(scene.scratch.path());
        let input = self.programs.try_clone().expect("descriptors to spare");
        invocation.start(Stdio::from(input))
    }
}

#[test]
fn a_prompt_that_is_interrupted_gives_the_terminal_back() {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    for signal in [Signal::TERM, Signal::HUP] {
        let runs = Program::BOTH.map(|program| {
            let terminal = Terminal::new();
            let child = terminal.start(&scene, program, &["list", scene.repo()]);
            await_condition("a hidden prompt", || !terminal.shows_what_is_typed());
            send(&child, signal);
            let run = Run::of(child);
            assert!(
                terminal.shows_what_is_typed(),
                "{} left the terminal dumb\n{run}",
                program.name()
            );
            assert_eq!(left_behind(&scene), [""; 0], "{}", program.name());
            run
        });
        assert_eq!(runs[0].code(), runs[1].code(), "{}{}", runs[0], runs[1]);
        assert_eq!(runs[0].err(), runs[1].err());
    }
}

#[test]
fn a_terminal_that_is_closed_ends_the_program() {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let runs = Program::BOTH.map(|program| {
        let terminal = Terminal::new();
        let child = terminal.start(&scene, program, &["list", scene.repo()]);
        await_condition("a hidden prompt", || !terminal.shows_what_is_typed());
        let Terminal { person, programs } = terminal;
        drop(programs);
        drop(person);
        let run = Run::of(child);
        assert_eq!(left_behind(&scene), [""; 0], "{}", program.name());
        run
    });
    assert_eq!(runs[0].code(), 129, "{}", runs[0]);
    // Stock Borg may stumble over the terminal that is gone, on its way out.
    assert!(runs[1].code() >= 2, "{}", runs[1]);
}

/// A person at a terminal is told whom the lock is waited for, and what to do when it was in vain.
#[test]
fn a_person_is_told_who_has_the_lock() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let held = scene.scratch.join("held");
    let command = format!("touch {}; exec sleep 1000", held.display());
    let args = ["with-lock", scene.repo(), "sh", "-c", &command];
    let mut holder = scene
        .home
        .invocation(Program::Ours, args)
        .start_silent(Stdio::null());
    await_condition("the lock", || held.exists());
    let terminal = Terminal::new();
    let words = [
        "-c".to_owned(),
        Program::Ours.path().display().to_string(),
        "list".to_owned(),
        "--lock-wait".to_owned(),
        "2".to_owned(),
        scene.repo().to_owned(),
    ];
    let mut invocation = scene.home.tool("setsid".as_ref(), words);
    let mut child = invocation.start_in(terminal.programs.try_clone().expect("descriptors"));
    let status = child.wait().expect("our own child");
    // It holds the programs' end too.
    drop(invocation);
    drop(terminal.programs);
    let mut shown = Vec::new();
    // Its end is an error, as with every terminal that nobody has open.
    let _ = File::from(terminal.person).read_to_end(&mut shown);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    send(&holder, Signal::TERM);
    holder.wait().expect("our own child");
    assert_eq!(status.code(), Some(2), "{shown}");
    let process = format!("process {} on this machine (", holder.id());
    for text in [
        &format!(
            "Waiting for the lock {}/lock: {process}",
            scene.repo.display()
        ),
        "Failed to create/acquire the lock",
        &format!("Hint: {process}"),
        "has it for itself",
        "break-lock",
    ] {
        assert!(shown.contains(text), "{text} is missing in {shown}");
    }
    assert_eq!(left_behind(&scene), [""; 0]);
}
