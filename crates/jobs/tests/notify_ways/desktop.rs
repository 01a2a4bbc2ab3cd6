//! Desktops: real session buses, and somebody on them who shows notices.

use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use ironborg_jobs::notify::Kind;
use ironborg_jobs::notify::ways::desktop::Desktop;
use ironborg_testkit::{DesktopSession, FIRST_POPUP};

use super::{Told, failure, notice};

fn desktop(session: &DesktopSession, user: &str, uid: u32) -> Desktop {
    Desktop {
        user: user.to_owned(),
        uid,
        bus: session.address().to_owned(),
    }
}

fn told(users: &str, desktops: Vec<Desktop>) -> Told {
    let told = Told::by(&format!("type = \"desktop\"\n{users}"));
    *told.bench.desktops.lock().unwrap() = desktops;
    told
}

#[test]
fn a_failure_stays_on_the_screen_and_its_end_takes_its_place() {
    let session = DesktopSession::new();
    let shown = session.screen(&["body", "body-markup"]);
    let mut told = told("", vec![desktop(&session, "danbst", 1000)]);
    told.tell(failure()).unwrap();
    let seen = shown.popup();
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
    let seen = shown.popup();
    assert_eq!((seen.urgency, seen.replaces), (1, FIRST_POPUP));
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
        let session = DesktopSession::new();
        let shown = session.screen(capabilities);
        let desktops = vec![desktop(&session, "danbst", 1000)];
        let mut told = told("body = \"{message}\"", desktops);
        let mut failure = failure();
        failure.message = Some("a <b>bold</b> &amp; word".to_owned());
        told.tell(failure).unwrap();
        assert_eq!(shown.popup().text, expected);
    }
}

#[test]
fn who_logs_in_later_is_told_then_and_nobody_twice() {
    let (first, second) = (DesktopSession::new(), DesktopSession::new());
    let shown_first = first.screen(&["body"]);
    let mut told = told("users = [\"ann\", \"bob\"]", Vec::new());
    let reason = told.tell(failure()).unwrap_err();
    assert!(
        reason.contains("ann is not logged in") && reason.contains("bob is not"),
        "{reason}"
    );
    *told.bench.desktops.lock().unwrap() = vec![desktop(&first, "ann", 1001)];
    assert!(told.deliveries(&[])[0].outcome.is_err());
    assert_eq!(shown_first.popup().urgency, 2);
    // An hour later, with a session that does not show anything yet.
    told.bench
        .desktops
        .lock()
        .unwrap()
        .push(desktop(&second, "bob", 1002));
    let reason = told.deliveries(&[])[0].outcome.clone().unwrap_err();
    assert!(
        reason.contains("bob: no desktop in this session shows notices"),
        "{reason}"
    );
    let shown_second = second.screen(&["body"]);
    assert_eq!(told.deliveries(&[])[0].outcome, Ok(()));
    assert_eq!(
        shown_second.popup().subject,
        "Backup home on station failed"
    );
    assert!(shown_first.is_empty(), "ann was told already");
    assert!(told.deliveries(&[]).is_empty());
    // What comes next is for both.
    told.tell(notice(Kind::Success)).unwrap();
    assert_eq!(shown_first.popup().replaces, FIRST_POPUP);
    assert_eq!(shown_second.popup().replaces, FIRST_POPUP);
}

#[test]
fn another_desktop_does_not_know_the_numbers_of_the_last_one() {
    let (first, second) = (DesktopSession::new(), DesktopSession::new());
    let (shown_first, shown_second) = (first.screen(&["body"]), second.screen(&["body"]));
    let mut told = told("", vec![desktop(&first, "ann", 1001)]);
    told.tell(failure()).unwrap();
    shown_first.popup();
    *told.bench.desktops.lock().unwrap() = vec![desktop(&second, "ann", 1001)];
    told.tell(notice(Kind::Success)).unwrap();
    assert_eq!(
        shown_second.popup().replaces,
        0,
        "that number may be somebody else's notice"
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
    let at = |path: &std::path::Path| Desktop {
        user: "ann".to_owned(),
        uid: 1001,
        bus: format!("unix:path={}", path.display()),
    };
    let reason = told("", vec![at(&socket)]).tell(failure()).unwrap_err();
    assert!(reason.starts_with("ann: "), "{reason}");
    let reason = told("", vec![at(&dir.path().join("none"))])
        .tell(failure())
        .unwrap_err();
    assert!(reason.starts_with("ann: "), "{reason}");
    let silent = dir.path().join("silent");
    let _listening = UnixListener::bind(&silent).unwrap();
    let mut told = told("", vec![at(&silent)]).within(Duration::from_millis(300));
    let begun = Instant::now();
    let reason = told.tell(failure()).unwrap_err();
    assert_eq!(reason, "ann: no answer in time");
    assert!(begun.elapsed() < Duration::from_secs(20));
}
