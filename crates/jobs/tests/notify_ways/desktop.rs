//! Desktops: a real session bus, and somebody on it who shows notices.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use ironborg_jobs::notify::Kind;
use ironborg_jobs::notify::ways::desktop::Desktop;
use zbus::connection::Builder;
use zbus::export::futures_core::Stream as _;
use zbus::message::Type;
use zbus::{Message, MessageStream, OwnedVariant};

use super::{Told, failure, notice};

/// What somebody was shown.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    replaces: u32,
    icon: String,
    subject: String,
    text: String,
    urgency: u8,
}

/// A session: a bus, and perhaps a desktop on it.
struct Session {
    daemon: Child,
    bus: String,
}

impl Session {
    fn new() -> Self {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon: `cargo xtask setup` installs it");
        let stdout = daemon.stdout.take().unwrap();
        let mut bus = String::new();
        BufReader::new(stdout).read_line(&mut bus).unwrap();
        Self {
            daemon,
            bus: bus.trim_end().to_owned(),
        }
    }

    fn desktop(&self, user: &str, uid: u32) -> Desktop {
        Desktop {
            user: user.to_owned(),
            uid,
            bus: self.bus.clone(),
        }
    }

    /// Somebody who shows notices, and what is shown. Gone when nobody looks any more.
    fn shows(&self, capabilities: &'static [&'static str]) -> Receiver<Seen> {
        let (seen, shown) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let bus = self.bus.clone();
        thread::spawn(move || {
            zbus::block_on(async {
                let connection = Builder::address(bus.as_str()).build().await.unwrap();
                let mut calls = MessageStream::from(&connection);
                connection
                    .request_name("org.freedesktop.Notifications")
                    .await
                    .unwrap();
                ready.send(()).unwrap();
                let mut last = 41_u32;
                while let Some(Ok(call)) = next(&mut calls).await {
                    let header = call.header();
                    if header.message_type() != Type::MethodCall {
                        continue;
                    }
                    match header.member().unwrap().as_str() {
                        "GetCapabilities" => {
                            connection.reply(&header, &capabilities).await.unwrap();
                        }
                        "Notify" => {
                            last += 1;
                            connection.reply(&header, &last).await.unwrap();
                            if seen.send(read(&call)).is_err() {
                                return;
                            }
                        }
                        other => panic!("{other}"),
                    }
                }
            });
        });
        is_ready.recv().unwrap();
        shown
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

async fn next(calls: &mut MessageStream) -> Option<zbus::Result<Message>> {
    std::future::poll_fn(|context| Pin::new(&mut *calls).poll_next(context)).await
}

/// The words of a call as the specification has them.
fn read(call: &Message) -> Seen {
    type Words = (
        String,
        u32,
        String,
        String,
        String,
        Vec<String>,
        HashMap<String, OwnedVariant>,
        i32,
    );
    let body = call.body();
    let words: Words = body.deserialize().unwrap();
    let (app, replaces, icon, subject, text, actions, hints, expires) = words;
    assert_eq!((app.as_str(), actions.len(), expires), ("IronBorg", 0, -1));
    Seen {
        replaces,
        icon,
        subject,
        text,
        urgency: u8::try_from(&*hints["urgency"]).unwrap(),
    }
}

fn told(users: &str, desktops: Vec<Desktop>) -> Told {
    let told = Told::by(&format!("type = \"desktop\"\n{users}"));
    *told.bench.desktops.lock().unwrap() = desktops;
    told
}

fn soon(shown: &Receiver<Seen>) -> Seen {
    shown.recv_timeout(Duration::from_mins(1)).unwrap()
}

#[test]
fn a_failure_stays_on_the_screen_and_its_end_takes_its_place() {
    let session = Session::new();
    let shown = session.shows(&["body", "body-markup"]);
    let mut told = told("", vec![session.desktop("danbst", 1000)]);
    told.tell(failure()).unwrap();
    let seen = soon(&shown);
    assert_eq!(seen.subject, "Backup home on station failed");
    assert_eq!((seen.urgency, seen.replaces), (2, 0));
    assert_eq!(seen.icon, "dialog-error");
    assert!(
        seen.text
            .contains("Error: Repository \"/backup/home\" does not exist.\n"),
        "{seen:?}"
    );
    assert!(
        seen.text.contains("Details: ironborg jobs status home"),
        "{seen:?}"
    );
    assert!(!seen.text.contains("end of the log"), "{seen:?}");
    told.tell(notice(Kind::Success)).unwrap();
    let seen = soon(&shown);
    assert_eq!((seen.urgency, seen.replaces), (1, 42));
    assert_eq!(seen.subject, "Backup home on station works again");
}

#[test]
fn markup_is_escaped_where_markup_is_read() {
    for (capabilities, expected) in [
        (
            &["body", "body-markup"][..],
            "a &lt;b&gt;bold&lt;/b&gt; &amp;amp; word",
        ),
        (&["body"][..], "a <b>bold</b> &amp; word"),
    ] {
        let session = Session::new();
        let shown = session.shows(capabilities);
        let desktops = vec![session.desktop("danbst", 1000)];
        let mut told = told("body = \"{message}\"", desktops);
        let mut failure = failure();
        failure.message = Some("a <b>bold</b> &amp; word".to_owned());
        told.tell(failure).unwrap();
        assert_eq!(soon(&shown).text, expected);
    }
}

#[test]
fn who_logs_in_later_is_told_then_and_nobody_twice() {
    let (first, second) = (Session::new(), Session::new());
    let shown_first = first.shows(&["body"]);
    let mut told = told("users = [\"ann\", \"bob\"]", Vec::new());
    let reason = told.tell(failure()).unwrap_err();
    assert!(
        reason.contains("ann is not logged in") && reason.contains("bob is not"),
        "{reason}"
    );
    *told.bench.desktops.lock().unwrap() = vec![first.desktop("ann", 1001)];
    assert!(told.deliveries(&[])[0].outcome.is_err());
    assert_eq!(soon(&shown_first).urgency, 2);
    // An hour later, with a session that does not show anything yet.
    told.bench
        .desktops
        .lock()
        .unwrap()
        .push(second.desktop("bob", 1002));
    let reason = told.deliveries(&[])[0].outcome.clone().unwrap_err();
    assert!(
        reason.contains("bob: no desktop in this session shows notices"),
        "{reason}"
    );
    let shown_second = second.shows(&["body"]);
    assert_eq!(told.deliveries(&[])[0].outcome, Ok(()));
    assert_eq!(soon(&shown_second).subject, "Backup home on station failed");
    assert!(shown_first.try_recv().is_err(), "ann was told already");
    assert!(told.deliveries(&[]).is_empty());
    // What comes next is for both.
    told.tell(notice(Kind::Success)).unwrap();
    assert_eq!(soon(&shown_first).replaces, 42);
    assert_eq!(soon(&shown_second).replaces, 42);
}

#[test]
fn another_desktop_does_not_know_the_numbers_of_the_last_one() {
    let (first, second) = (Session::new(), Session::new());
    let (shown_first, shown_second) = (first.shows(&["body"]), second.shows(&["body"]));
    let mut told = told("", vec![first.desktop("ann", 1001)]);
    told.tell(failure()).unwrap();
    soon(&shown_first);
    *told.bench.desktops.lock().unwrap() = vec![second.desktop("ann", 1001)];
    told.tell(notice(Kind::Success)).unwrap();
    assert_eq!(
        soon(&shown_second).replaces,
        0,
        "42 may be somebody else's notice"
    );
}

#[test]
fn a_bus_that_hangs_up_or_says_nothing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("bus");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
        }
    });
    let desktop = |path: &std::path::Path| Desktop {
        user: "ann".to_owned(),
        uid: 1001,
        bus: format!("unix:path={}", path.display()),
    };
    let reason = told("", vec![desktop(&socket)])
        .tell(failure())
        .unwrap_err();
    assert!(reason.starts_with("ann: "), "{reason}");
    let reason = told("", vec![desktop(&dir.path().join("none"))])
        .tell(failure())
        .unwrap_err();
    assert!(reason.starts_with("ann: "), "{reason}");
    let silent = dir.path().join("silent");
    let _listening = UnixListener::bind(&silent).unwrap();
    let mut told = told("", vec![desktop(&silent)]).within(Duration::from_millis(300));
    let begun = Instant::now();
    let reason = told.tell(failure()).unwrap_err();
    assert_eq!(reason, "ann: no answer in time");
    assert!(begun.elapsed() < Duration::from_secs(20));
}
