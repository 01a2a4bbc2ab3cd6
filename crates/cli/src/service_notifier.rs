//! Telling the service manager how things are.
//!
//! Source: sd_notify(3). Messages are lines `NAME=VALUE` in a datagram to the socket that `NOTIFY_SOCKET` names, which is
//! a path or, after `@`, a name in the kernel's own space.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

/// Whom the service manager has told where to report to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifier(Option<Arc<(UnixDatagram, SocketAddr)>>);

impl Notifier {
    /// Reports to the socket; to nobody if there is none.
    pub(crate) fn new(socket: Option<&OsStr>) -> Self {
        let found = socket.and_then(|name| connection(name.as_bytes()).ok());
        Self(found.map(Arc::new))
    }

    /// It has begun to work.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", in_a_line(status)));
    }

    /// It is about to end.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// What it does, for people.
    pub(crate) fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", in_a_line(status)));
    }

    fn send(&self, message: &str) {
        if let Some(connection) = &self.0 {
            // There is nobody to tell that there is nobody to tell.
            let _ = connection.0.send_to_addr(message.as_bytes(), &connection.1);
        }
    }
}

fn connection(name: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
        _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
    };
    Ok((UnixDatagram::unbound()?, address))
}

fn in_a_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn heard(socket: &UnixDatagram) -> String {
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut buffer = [0; 200];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn both_kinds_of_sockets_are_spoken_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        Notifier::new(Some(path.as_os_str())).ready("2 repositories\nin /x");
        assert_eq!(heard(&by_path), "READY=1\nSTATUS=2 repositories in /x");
        let name = format!("ironborg-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::new(Some(format!("@{name}").as_ref())).stopping();
        assert_eq!(heard(&by_name), "STOPPING=1");
    }

    #[test]
    fn without_a_socket_nothing_happens() {
        for socket in [
            None,
            Some(OsStr::new("")),
            Some(OsStr::new("vsock:2:1")),
            Some(OsStr::new("/no/such")),
        ] {
            Notifier::new(socket).status("unheard");
        }
    }
}
