//! Desktops of who is logged in. The bus of a session takes nobody but its user, root included: so root has this program
//! started again, which becomes that user before it goes near the bus.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ironborg_jobs::notify::ways::desktop::{self, Desktop, Popup, Shown};
use ironborg_source::named_file;
use ironborg_types::text;
use serde_json::json;

use super::program;
use crate::sys;

/// Where sessions have their sockets, below the user's number.
const SESSIONS: &str = "/run/user";
/// The bus's socket in there.
const SOCKET: &str = "bus";

/// The desktops that can be reached: as root those of all who are logged in, otherwise one's own.
pub(super) fn found() -> Vec<Desktop> {
    let own = sys::effective_uid();
    if own != 0 {
        return mine(own).into_iter().collect();
    }
    let sessions = Path::new(SESSIONS);
    let mut users: Vec<u32> = named_file::names_in(sessions)
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect();
    users.sort_unstable();
    let desktops = users.into_iter().filter_map(|uid| {
        let socket = sessions.join(uid.to_string()).join(SOCKET);
        named_file::exists(&socket).then_some(())?;
        Some(Desktop {
            user: name_of(uid)?,
            uid,
            bus: address(&socket),
        })
    });
    desktops.collect()
}

/// That of the session this belongs to, or of any other of the same user.
fn mine(uid: u32) -> Option<Desktop> {
    let named = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok();
    let bus = named.filter(|bus| !bus.is_empty()).or_else(|| {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime = runtime.filter(|path| path.is_absolute());
        let usual = || Path::new(SESSIONS).join(uid.to_string());
        let socket = runtime.unwrap_or_else(usual).join(SOCKET);
        named_file::exists(&socket).then(|| address(&socket))
    })?;
    Some(Desktop {
        user: name_of(uid).unwrap_or_else(|| uid.to_string()),
        uid,
        bus,
    })
}

fn name_of(uid: u32) -> Option<String> {
    let user = sys::user_by_id(uid)?;
    Some(text::display(user.name.as_bytes()).into_owned())
}

/// The address of a bus at a socket. Source: D-Bus Specification, "Server Addresses".
fn address(socket: &Path) -> String {
    use std::fmt::Write as _;
    let mut address = String::from("unix:path=");
    for &byte in socket.as_os_str().as_bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte);
        if plain {
            address.push(char::from(byte));
        } else {
            write!(address, "%{byte:02x}").expect("writing to a String cannot fail");
        }
    }
    address
}

/// Shows a notice on one of them.
pub(super) fn show(desktop: &Desktop, popup: &Popup, limit: Duration) -> Result<Shown, String> {
    if desktop.uid == sys::effective_uid() {
        return desktop::show(&desktop.bus, popup, limit);
    }
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(itself);
    // Under another name it has no such command.
    command.arg0("ironborg").args(["jobs", "notify-desktop"]);
    command.env_clear();
    let order = json!({"uid": desktop.uid, "bus": desktop.bus, "popup": popup});
    let finished = program::run(command, order.to_string().as_bytes(), limit)?;
    if !finished.status.success() {
        let said = text::display(&finished.stderr).trim().to_owned();
        return Err(said);
    }
    serde_json::from_slice(&finished.stdout).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_no_address_is_made_one() {
        assert_eq!(
            address(Path::new("/run/user/1000/bus")),
            "unix:path=/run/user/1000/bus"
        );
        assert_eq!(
            address(Path::new("/a,b;c =%")),
            "unix:path=/a%2cb%3bc%20%3d%25"
        );
    }
}
