//! A desktop: a session's bus, and somebody on it who shows notices.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Gid, Uid};
use zbus::connection::Builder;
use zbus::export::futures_core::Stream as _;
use zbus::message::Type;
use zbus::{Message, MessageStream, OwnedVariant};

/// Longest wait for something to be shown.
const WAIT: Duration = Duration::from_mins(1);
/// The number of the first notice that is shown.
pub const FIRST_POPUP: u32 = 42;

/// A session's bus.
#[derive(Debug)]
pub struct DesktopSession {
    daemon: Child,
    address: String,
    owner: Option<(u32, u32)>,
}

/// What somebody was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Popup {
    /// Which one it takes the place of; 0: none.
    pub replaces: u32,
    /// The icon's name.
    pub icon: String,
    /// The heading.
    pub subject: String,
    /// The text.
    pub text: String,
    /// 0 to 2.
    pub urgency: u8,
}

/// What is shown on a desktop.
#[derive(Debug)]
pub struct Screen(Receiver<Popup>);

impl DesktopSession {
    /// A session of whoever runs this.
    ///
    /// # Panics
    /// There is no `dbus-daemon`.
    pub fn new() -> Self {
        Self::start(None, &mut Command::new("dbus-daemon"))
    }

    /// A session of another user, whose bus is at this socket. Needs root.
    ///
    /// # Panics
    /// There is no `dbus-daemon`.
    pub fn of_user(uid: u32, gid: u32, socket: &Path) -> Self {
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--address=unix:path={}", socket.display()));
        command.uid(uid).gid(gid).current_dir("/");
        Self::start(Some((uid, gid)), &mut command)
    }

    fn start(owner: Option<(u32, u32)>, command: &mut Command) -> Self {
        let mut daemon = command
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon: `cargo xtask setup` installs it");
        let stdout = daemon.stdout.take().expect("it is a pipe");
        let mut address = String::new();
        let read = BufReader::new(stdout).read_line(&mut address);
        assert!(matches!(read, Ok(1..)), "dbus-daemon has not started");
        Self {
            daemon,
            address: address.trim_end().to_owned(),
            owner,
        }
    }

    /// The address of its bus.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Has somebody show notices, who can do these things (`body-markup` and so on).
    ///
    /// # Panics
    /// The bus does not take it.
    pub fn screen(&self, capabilities: &'static [&'static str]) -> Screen {
        let (seen, shown) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let (address, owner) = (self.address.clone(), self.owner);
        thread::spawn(move || {
            if let Some((uid, gid)) = owner {
                become_user(uid, gid);
            }
            zbus::block_on(async {
                let connection = Builder::address(address.as_str()).build().await;
                let connection = connection.expect("a bus that is there");
                let mut calls = MessageStream::from(&connection);
                let named = connection.request_name("org.freedesktop.Notifications");
                named.await.expect("nobody else on this bus");
                ready.send(()).expect("somebody waits");
                let mut last = FIRST_POPUP;
                while let Some(Ok(call)) = next(&mut calls).await {
                    let header = call.header();
                    if header.message_type() != Type::MethodCall {
                        continue;
                    }
                    match header.member().map(ToString::to_string).as_deref() {
                        Some("GetCapabilities") => connection.reply(&header, &capabilities).await,
                        Some("Notify") => {
                            if seen.send(read(&call)).is_err() {
                                return;
                            }
                            last += 1;
                            connection.reply(&header, &(last - 1)).await
                        }
                        other => panic!("called for {other:?}"),
                    }
                    .expect("a caller who waits");
                }
            });
        });
        is_ready.recv().expect("it gets ready or panics");
        Screen(shown)
    }
}

impl Default for DesktopSession {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for DesktopSession {
    fn drop(&mut self) {
        // It may have fallen over, which whoever used it has seen.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Screen {
    /// Waits for the next notice.
    ///
    /// # Panics
    /// None is shown.
    #[track_caller]
    pub fn popup(&self) -> Popup {
        self.0.recv_timeout(WAIT).expect("something is shown")
    }

    /// Whether nothing more was shown.
    pub fn is_empty(&self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// Makes this one thread another user's: the bus asks the kernel who connects.
fn become_user(uid: u32, gid: u32) {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).expect("root may");
    rustix::thread::set_thread_res_uid(uid, uid, uid).expect("root may");
}

async fn next(calls: &mut MessageStream) -> Option<zbus::Result<Message>> {
    std::future::poll_fn(|context| Pin::new(&mut *calls).poll_next(context)).await
}

/// The words of a call, as the specification has them.
fn read(call: &Message) -> Popup {
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
    let words: Words = body.deserialize().expect("what Notify takes");
    let (app, replaces, icon, subject, text, actions, hints, expires) = words;
    assert_eq!((app.as_str(), actions.len(), expires), ("IronBorg", 0, -1));
    Popup {
        replaces,
        icon,
        subject,
        text,
        urgency: u8::try_from(&*hints["urgency"]).expect("a byte"),
    }
}
