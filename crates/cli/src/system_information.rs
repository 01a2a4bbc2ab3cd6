//! What is shown with an error nobody should meet: enough to report it.

use std::os::unix::ffi::OsStrExt;

use ironborg_types::text;

use crate::output::pyformat::repr;
use crate::program::BORG_VERSION;

/// A few lines about the system, the program and the process.
pub(crate) fn text() -> String {
    let uname = rustix::system::uname();
    let part = |part: &std::ffi::CStr| text::display(part.to_bytes()).into_owned();
    let arguments: Vec<String> = std::env::args_os()
        .map(|word| repr(&text::display(word.as_bytes())))
        .collect();
    let cwd = std::env::current_dir().unwrap_or_default();
    let original = std::env::var("SSH_ORIGINAL_COMMAND");
    format!(
        "Platform: {} {} {} {} {}\nIronBorg: {}  Borg: {BORG_VERSION}\nPID: {}  CWD: {}\nsys.argv: [{}]\nSSH_ORIGINAL_COMMAND: {}\n",
        part(uname.sysname()),
        part(uname.nodename()),
        part(uname.release()),
        part(uname.version()),
        part(uname.machine()),
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        cwd.display(),
        arguments.join(", "),
        original.map_or_else(|_| "None".to_owned(), |command| repr(&command)),
    )
}
