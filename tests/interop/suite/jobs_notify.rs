//! Notices as the program sends them: by programs it runs, to services it asks, and to the desktops of who is logged in,
//! whom root has to reach as that user.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use ironborg_testkit::{DesktopSession, Home, OtherUser, Program, Run, Scratch};

/// Debian's `nobody` and `nogroup`.
const NOBODY: (u32, u32) = (65_534, 65_534);
/// Where a session's sockets are.
const NOBODYS_SESSION: &str = "/run/user/65534";

/// A machine with a configuration.
struct Scene {
    scratch: Scratch,
    home: Home,
}

impl Scene {
    fn new(config: &str) -> Self {
        let scratch = Scratch::new();
        let home = Home::new(&scratch, "home");
        fs::write(scratch.join("jobs.toml"), config).expect("room for a configuration");
        Self { scratch, home }
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let config = self.scratch.join("jobs.toml");
        let state = self.scratch.join("state");
        let mut all: Vec<String> = ["jobs"]
            .iter()
            .chain(words)
            .map(ToString::to_string)
            .collect();
        all.push(format!("--config={}", config.display()));
        all.push(format!("--state={}", state.display()));
        all
    }

    fn run(&self, words: &[&str]) -> Run {
        let program = Program::Ours.path();
        self.home.tool(program, self.words(words)).run()
    }
}

/// A program of the user's, for everybody.
fn script(path: &Path, lines: &str) -> PathBuf {
    fs::write(path, format!("#!/bin/sh\n{lines}\n")).expect("room for a script");
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("our own file");
    path.to_owned()
}

/// A web service that takes everything, and the lines it was asked with.
fn service() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it has an address").port();
    let (asked, lines) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut read = Vec::new();
            let mut buffer = [0; 4096];
            while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(len @ 1..) => read.extend_from_slice(&buffer[..len]),
                    _ => break,
                }
            }
            let line = String::from_utf8_lossy(&read)
                .lines()
                .next()
                .unwrap_or("")
                .to_owned();
            // Whoever asks may not wait for the answer.
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK");
            if asked.send(line).is_err() {
                return;
            }
        }
    });
    (port, lines)
}

fn soon(lines: &Receiver<String>) -> String {
    lines
        .recv_timeout(Duration::from_mins(1))
        .expect("it is asked")
}

#[test]
fn a_test_goes_every_way_and_says_which_work() {
    let (port, lines) = service();
    let scene = Scene::new("");
    let mailed = scene.scratch.join("mailed");
    let told = scene.scratch.join("told");
    let sendmail = script(
        &scene.scratch.join("sendmail"),
        &format!("{{ echo \"$@\"; cat; }} >'{}'", mailed.display()),
    );
    let config = format!(
        r#"
        [notify.by-command]
        type = "command"
        command = '''echo "$IRONBORG_NOTICE_KIND $IRONBORG_NOTICE_HOST" >'{}'; cat >>'{}' '''
        [notify.by-mail]
        type = "mail"
        from = "backup@example.org"
        to = "me@example.org"
        sendmail = "{}"
        [notify.check]
        type = "healthchecks"
        url_file = "{}"
        [notify.not]
        type = "command"
        command = "echo hello; echo this cannot work >&2; exit 7"
        "#,
        told.display(),
        told.display(),
        sendmail.display(),
        scene.scratch.join("url").display(),
    );
    fs::write(scene.scratch.join("jobs.toml"), config).expect("room for a configuration");
    let url = format!("http://127.0.0.1:{port}/secret-uuid\n");
    fs::write(scene.scratch.join("url"), url).expect("room for an address");
    let run = scene.run(&["notify-test"]);
    let expected = "by-command: ok\nby-mail: ok\ncheck: ok\n\
                    not: failed: the command ended with exit code 7: this cannot work\n";
    assert_eq!(run.out(), expected, "{run}");
    assert_eq!(run.code(), 2, "{run}");
    assert!(run.err().contains("1 of 4 notifiers did not work"), "{run}");
    let told = fs::read_to_string(told).expect("the command has run");
    assert!(
        told.starts_with("test ") && told.contains("\"kind\":\"test\""),
        "{told}"
    );
    let mailed = fs::read_to_string(mailed).expect("the mail was taken");
    assert!(
        mailed.starts_with("-i -f backup@example.org -- me@example.org\n"),
        "{mailed}"
    );
    assert!(
        mailed.contains("\nSubject: Test: notices from "),
        "{mailed}"
    );
    assert_eq!(soon(&lines), "POST /secret-uuid/log HTTP/1.1");
    // By name.
    let run = scene.run(&["notify-test", "check"]);
    assert_eq!(
        (run.out().as_str(), run.code()),
        ("check: ok\n", 0),
        "{run}"
    );
    let run = scene.run(&["notify-test", "nobody"]);
    assert_eq!(run.code(), 2, "{run}");
    assert!(
        run.err().contains("there is no notifier \"nobody\""),
        "{run}"
    );
}

/// What people do by hand with the environment of a process that happens to run in the session.
#[test]
fn who_is_logged_in_is_told_on_the_desktop() {
    if rustix::process::geteuid().is_root() {
        root_reaches_the_desktop_of_another_user();
    } else {
        a_user_reaches_the_own_desktop();
    }
}

fn a_user_reaches_the_own_desktop() {
    let session = DesktopSession::new();
    let screen = session.screen(&["body", "body-markup"]);
    let mut scene = Scene::new("[notify.me]\ntype = \"desktop\"\n");
    scene
        .home
        .set("DBUS_SESSION_BUS_ADDRESS", session.address());
    let run = scene.run(&["notify-test"]).exits(0);
    assert_eq!(run.out(), "me: ok\n", "{run}");
    assert!(screen.popup().subject.starts_with("Test: notices from "));
}

fn root_reaches_the_desktop_of_another_user() {
    let sessions = Path::new(NOBODYS_SESSION);
    fs::create_dir_all("/run/user").expect("root may");
    // One that a test before this one has left: there is no such user to be logged in.
    let _ = fs::remove_dir_all(sessions);
    DirBuilder::new()
        .mode(0o700)
        .create(sessions)
        .expect("root may");
    chown(sessions, Some(NOBODY.0), Some(NOBODY.1)).expect("root may");
    let scene = Scene::new("[notify.me]\ntype = \"desktop\"\nusers = [\"nobody\"]\n");
    // Nobody is there yet.
    let run = scene.run(&["notify-test"]).exits(2);
    assert!(run.out().contains("nobody is not logged in"), "{run}");
    let session = DesktopSession::of_user(NOBODY.0, NOBODY.1, &sessions.join("bus"));
    let run = scene.run(&["notify-test"]).exits(2);
    assert!(
        run.out()
            .contains("no desktop in this session shows notices"),
        "{run}"
    );
    let screen = session.screen(&["body"]);
    let run = scene.run(&["notify-test"]).exits(0);
    assert_eq!(run.out(), "me: ok\n", "{run}");
    let popup = screen.popup();
    assert!(
        popup.subject.starts_with("Test: notices from "),
        "{popup:?}"
    );
    assert_eq!((popup.replaces, popup.urgency), (0, 1));
    assert!(screen.is_empty());
    // That user's own program needs nobody's help, and another's bus takes nobody else.
    let user = OtherUser::new(&scene.scratch, &scene.home);
    let ironborg = user.borg().with_file_name("ironborg");
    fs::hard_link(user.borg(), &ironborg).expect("room for a link");
    let telling = || user.tool(&ironborg, scene.words(&["notify-test"]));
    let run = telling().run().exits(0);
    assert_eq!(run.out(), "me: ok\n", "{run}");
    assert!(screen.popup().subject.starts_with("Test: notices from "));
    let own = DesktopSession::new();
    let run = telling()
        .env("DBUS_SESSION_BUS_ADDRESS", own.address())
        .run()
        .exits(2);
    assert!(run.out().starts_with("me: failed: nobody: "), "{run}");
    let _ = fs::remove_dir_all(sessions);
}
