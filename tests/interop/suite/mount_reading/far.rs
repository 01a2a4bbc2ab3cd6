//! A repository far away: small files are sent for before they are opened, large ones before they are read.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ironborg_testkit::{Program, Random, WireMessage, WireProxy};

use super::read_at;
use crate::scene::Scene;

const SMALL: usize = 300;
const DELAY: Duration = Duration::from_millis(10);

fn tree(top: &Path) {
    let mut random = Random::new(3);
    for number in 0..SMALL {
        let directory = top.join(format!("d{}", number / 50));
        fs::create_dir_all(&directory).expect("room on the disk");
        let len = 100 + random.below(6_000);
        let name = format!("f{number:03}");
        fs::write(directory.join(name), random.bytes(len)).expect("room on the disk");
    }
    fs::write(top.join("large"), random.bytes(16 << 20)).expect("room on the disk");
}

/// Reads everything below a directory, in the order it is listed in, as `grep -r` does; returns how many files.
fn read_all(source: &Path, mounted: &Path) -> usize {
    let names: Vec<_> = fs::read_dir(mounted)
        .expect("a directory")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    let mut count = 0;
    for name in names {
        let (source, mounted) = (source.join(&name), mounted.join(&name));
        if mounted.is_dir() {
            count += read_all(&source, &mounted);
        } else if name != "large" {
            let expected = fs::read(&source).expect("it was backed up");
            assert!(fs::read(&mounted).expect("it can be read") == expected);
            count += 1;
        }
    }
    count
}

/// How often the client has waited for the line, from one moment of the log on.
fn turns(log: &Path, since: usize) -> (usize, usize) {
    let messages = WireMessage::read_all(log);
    (WireMessage::turns(&messages[since..]), messages.len())
}

#[test]
fn a_long_line_is_not_waited_for_once_for_each_file() {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let top = scene.scratch.join("tree");
    tree(&top);
    scene.create(Program::Ours, "a", &["-C", "none"], "tree");
    for server in [Program::Ours, Program::Stock] {
        let log = scene.scratch.join(format!("log-{}", server.name()));
        let mut far = scene.beside("repo");
        let proxy = WireProxy::new().delay(DELAY).log(&log);
        let home = proxy
            .before(&scene.home, server)
            .with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        far.home = home;
        let url = format!("{}::a", WireProxy::url(&scene.repo));
        let mount = far.mounted(&url, &[], &format!("mnt-{}", server.name()));
        // Listed first, as whoever looks around does; the index is there then.
        let mounted = mount.path().join("tree");
        assert_eq!(
            fs::read_dir(&mounted).expect("a directory").count(),
            SMALL / 50 + 1
        );
        let (_, since) = turns(&log, 0);
        assert_eq!(read_all(&top, &mounted), SMALL);
        let (waited, since) = turns(&log, since);
        assert!(
            waited < SMALL / 6,
            "{waited} turns for {SMALL} files, {server:?}"
        );
        let large = fs::File::open(mounted.join("large")).expect("it can be opened");
        let expected = fs::read(top.join("large")).expect("it was backed up");
        let reads = expected.len() >> 20;
        for offset in (0..expected.len()).step_by(1 << 20) {
            let found = read_at(&large, offset as u64, 1 << 20).expect("it can be read");
            assert!(found == expected[offset..offset + (1 << 20)]);
        }
        drop(large); // Or the mount is in use.
        let (waited, _) = turns(&log, since);
        // How far it reads ahead grows with what was read, and how much of that one turn brings is up to the line.
        assert!(
            waited <= reads / 2,
            "{waited} turns for {reads} reads of one file, {server:?}"
        );
        assert!(mount.unmount().0.success());
    }
}
