//! What the system says about a disk: whether going from one place of it to another takes time.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the system describes its disks.
const DISKS: &str = "/sys/dev/block";

/// Whether the disk of a file system is one that turns. `device` is the `st_dev` of a file; what is not known counts as no.
///
/// Machines that are emulated often say so of disks that do not turn: only a hint.
pub fn is_rotational(device: u64) -> bool {
    rotational_below(Path::new(DISKS), device)
}

fn rotational_below(disks: &Path, device: u64) -> bool {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    if major == 0 {
        return false; // Memory, the network, or several disks as one: there is no queue to ask.
    }
    let disk = disks.join(format!("{major}:{minor}"));
    // A partition has its disk around it. What is put together of several disks has taken over what they are.
    let queues: [PathBuf; 2] = [disk.join("queue"), disk.join("../queue")];
    queues
        .iter()
        .find_map(|queue| fs::read_to_string(queue.join("rotational")).ok())
        .is_some_and(|answer| answer.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with a turning disk `8:0`, a partition `8:1` of it, and a disk `259:0` that does not turn.
    fn system() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        for (disk, answer) in [("sda", "1\n"), ("nvme", "0\n")] {
            fs::create_dir_all(at(&format!("devices/{disk}/queue"))).expect("it is made");
            let file = at(&format!("devices/{disk}/queue/rotational"));
            fs::write(file, answer).expect("it is written");
        }
        fs::create_dir(at("devices/sda/sda1")).expect("it is made");
        fs::create_dir(at("block")).expect("it is made");
        for (number, target) in [("8:0", "sda"), ("8:1", "sda/sda1"), ("259:0", "nvme")] {
            let target = at(&format!("devices/{target}"));
            std::os::unix::fs::symlink(target, at(&format!("block/{number}"))).expect("linked");
        }
        dir
    }

    #[test]
    fn a_partition_turns_with_its_disk() {
        let system = system();
        let turns = |major, minor| {
            let device = rustix::fs::makedev(major, minor);
            rotational_below(&system.path().join("block"), device)
        };
        assert!(turns(8, 0) && turns(8, 1));
        assert!(!turns(259, 0));
        assert!(!turns(9, 9), "nobody knows");
        assert!(!turns(0, 50), "no disk at all");
    }
}
