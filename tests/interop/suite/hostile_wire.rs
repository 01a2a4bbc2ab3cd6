//! Ends of the wire that mean harm: clients against our server, servers against our client, and what remains of a
//! repository whose client may only add to it.

mod append_only;
mod clients;
mod peer;
mod restricted;
mod servers;

use std::fs;

use ironborg_testkit::Home;

use crate::scene::{Scene, text};

/// The scene's machine with a remote shell that runs `command` whatever host and program it is asked for: what a forced
/// command of an ssh server does.
fn forced(scene: &Scene, name: &str, command: &str) -> Home {
    let script = scene.scratch.join(format!("rsh-{name}"));
    fs::write(&script, format!("exec {command}\n")).expect("room on the disk");
    let mut home = scene.home.clone();
    home.set("BORG_RSH", format!("sh {}", text(&script)));
    // The same repository is used without the wire too.
    home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    home.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    home
}

/// The repository as a client names it.
fn remote(scene: &Scene) -> String {
    format!("ssh://host{}", scene.repo())
}
