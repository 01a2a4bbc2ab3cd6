//! The kernel's FUSE: the device that mounts go through, usable by everyone.
//!
//! Where udev runs there is nothing to do. Containers and minimal systems have a device nobody but root may open, or
//! none at all; then tests would mount as root only, and what ordinary users meet would never be seen.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The device, and its number as the kernel's list of devices has it.
const DEVICE: &str = "/dev/fuse";
const NUMBER: [&str; 2] = ["10", "229"];

/// What udev's rules give it: to mount is decided elsewhere.
const MODE: u32 = 0o666;

/// Sees to it that the device is there and that every user may open it.
pub(crate) fn prepare(root: bool) -> Result<()> {
    let device = Path::new(DEVICE);
    if !device.exists() {
        create(root)?;
    }
    let meta = fs::metadata(device).with_context(|| format!("cannot look at {DEVICE}"))?;
    if !meta.file_type().is_char_device() {
        bail!("{DEVICE} is no character device");
    }
    if meta.permissions().mode() & MODE != MODE && root {
        eprintln!("{DEVICE} is for root only here: mode {MODE:o} is set, as udev would");
        fs::set_permissions(device, Permissions::from_mode(MODE))
            .with_context(|| format!("cannot set the mode of {DEVICE}"))?;
    }
    open(device).or_else(|_| {
        // Nobody has asked for the module yet; where it is built in or loaded, this changes nothing.
        process::succeeds(Command::new("modprobe").arg("fuse"));
        open(device)
    })
}

fn create(root: bool) -> Result<()> {
    let command = format!("mknod {DEVICE} c {}", NUMBER.join(" "));
    if !root {
        bail!("{DEVICE} is missing; as root: modprobe fuse || {command}");
    }
    eprintln!("{DEVICE} is missing");
    process::run(Command::new("mknod").args([DEVICE, "c"]).args(NUMBER))
}

/// Opening is the only way to see whether the kernel has FUSE, and whether a container lets us at it.
fn open(device: &Path) -> Result<()> {
    let opened = OpenOptions::new().read(true).write(true).open(device);
    opened.map(drop).map_err(|error: io::Error| {
        anyhow::anyhow!(
            "cannot open {DEVICE}: {error} (the kernel has no FUSE, or this container may not use it; \
             the tests mount archives through the real kernel)"
        )
    })
}
