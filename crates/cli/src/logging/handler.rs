//! Where records go.

use std::io::Write as _;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ironborg_source::named_file::{self, OutputFile};
use ironborg_types::{Level, Timestamp};

use super::Record;
use super::layout::Layout;
use crate::console;

/// One handler of the file.
#[derive(Debug)]
pub(super) struct Handler {
    /// Records of less importance are left out.
    pub(super) level: Option<Level>,
    pub(super) layout: Layout,
    pub(super) target: Target,
}

/// What a handler writes to.
#[derive(Debug)]
pub(super) enum Target {
    Nothing,
    Stderr,
    Stdout,
    File(Mutex<LogFile>),
    Syslog { socket: Socket, facility: u8 },
}

/// A file, opened at once or with the first record.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) appends: bool,
    pub(super) file: Option<OutputFile>,
}

impl LogFile {
    /// Opens it; the error is shown as Python's.
    pub(super) fn open(&mut self) -> Result<&mut OutputFile, String> {
        if self.file.is_none() {
            let file = named_file::open_log(&self.path, self.appends);
            self.file = Some(file.map_err(|error| error.to_string())?);
        }
        Ok(self.file.as_mut().expect("it was opened above"))
    }
}

/// The way to the system's log.
#[derive(Debug)]
pub(super) enum Socket {
    Local(UnixDatagram),
    Network(UdpSocket),
}

impl Handler {
    /// Writes a record. What cannot be written is lost: there is nowhere to say so but where it was to be said.
    pub(super) fn handle(&self, record: &Record<'_>) {
        if self.level.is_some_and(|level| record.level < level) {
            return;
        }
        if matches!(self.target, Target::Nothing) {
            return;
        }
        let line = self.layout.line(record, Timestamp::now());
        match &self.target {
            Target::Nothing => {}
            Target::Stderr => console::stderr_line(&line),
            Target::Stdout => console::stdout_line(&line),
            Target::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                if let Ok(file) = file.open() {
                    let _ = file.write_all(format!("{line}\n").as_bytes());
                }
            }
            Target::Syslog { socket, facility } => {
                let priority = u32::from(*facility) * 8 + severity(record.level);
                let packet = format!("<{priority}>{line}\0");
                let _ = match socket {
                    Socket::Local(socket) => socket.send(packet.as_bytes()),
                    Socket::Network(socket) => socket.send(packet.as_bytes()),
                };
            }
        }
    }
}

/// A level as the system's log counts it.
fn severity(level: Level) -> u32 {
    match level {
        Level::Debug => 7,
        Level::Info => 6,
        Level::Warning => 4,
        Level::Error => 3,
        Level::Critical => 2,
    }
}
