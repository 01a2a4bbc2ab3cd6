//! Some chunks are damaged: what touches them is refused, everything else is read, and the log names each once.

use std::fs;
use std::ops::Range;
use std::path::Path;

use ironborg_testkit::{Mount, Program, Random, Tried, tally};
use rustix::io::Errno;

use super::{Way, forget, open, part, read_at, seed};
use crate::scene::{Scene, text};

/// Length of every chunk but the last of a file: no multiple of a page.
const CHUNK: usize = 20_000;
const DAMAGED: [usize; 4] = [0, 7, 8, 31];

/// A repository without encryption or compression, whose segments have the files as they are.
fn scene() -> (Scene, Vec<u8>) {
    let scene = Scene::with_repository(Program::Ours, "none");
    let content = Random::new(2).bytes(34 * CHUNK + 123);
    let top = scene.scratch.dir("tree");
    fs::write(top.join("file"), &content).expect("room on the disk");
    fs::write(top.join("other"), "other").expect("room on the disk");
    let params = format!("fixed,{CHUNK}");
    let options = ["--chunker-params", &params, "-C", "none"];
    scene.create(Program::Ours, "a", &options, "tree");
    (scene, content)
}

fn chunk(number: usize) -> Range<usize> {
    number * CHUNK..(number + 1) * CHUNK
}

/// Flips a bit in the middle of a chunk, wherever in the repository that is.
fn damage(repo: &Path, content: &[u8]) {
    let wanted = &content[CHUNK / 2..CHUNK / 2 + 64];
    for directory in fs::read_dir(repo.join("data")).expect("a repository") {
        for segment in fs::read_dir(directory.expect("readable").path()).expect("readable") {
            let path = segment.expect("readable").path();
            let mut bytes = fs::read(&path).expect("readable");
            let found = bytes.windows(64).position(|window| window == wanted);
            if let Some(at) = found {
                bytes[at] ^= 4;
                fs::write(&path, bytes).expect("room on the disk");
                return;
            }
        }
    }
    panic!("the chunk is in no segment");
}

fn is_damaged(bytes: &Range<usize>) -> bool {
    DAMAGED
        .iter()
        .map(|number| chunk(*number))
        .any(|chunk| chunk.start < bytes.end && bytes.start < chunk.end)
}

/// Reads something that may be damaged; says whether it was refused.
#[track_caller]
fn check(file: &fs::File, way: Way, content: &[u8], bytes: Range<usize>) -> bool {
    let expected = part(content, bytes.start as u64, bytes.len());
    let bytes = bytes.start..bytes.start + expected.len();
    match read_at(file, bytes.start as u64, bytes.len()) {
        Ok(found) => {
            assert!(found == expected, "{way:?}, {bytes:?}: wrong bytes");
            assert!(!is_damaged(&bytes), "{way:?}, {bytes:?}: damage was read");
            false
        }
        Err(error) => {
            assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
            assert!(is_damaged(&bytes), "{way:?}, {bytes:?} is not damaged");
            true
        }
    }
}

#[test]
fn damage_is_refused_where_it_is_and_named_once() {
    let (scene, content) = scene();
    for number in DAMAGED {
        damage(&scene.repo, &content[chunk(number)]);
    }
    let mount = scene.mounted(&scene.archive("a"), &[], "mnt");
    let path = mount.path().join("tree/file");
    let mut refused = 0;
    // Every page, in order: the kernel asks for more than one, is refused, and then asks for just that one.
    let cached = open(&path, Way::Cached);
    for page in (0..content.len()).step_by(4096) {
        refused += u32::from(check(&cached, Way::Cached, &content, page..page + 4096));
    }
    // Bytes at the edges, and anything else, as it is asked for.
    let direct = open(&path, Way::Direct);
    for number in DAMAGED {
        let Range { start, end } = chunk(number);
        for bytes in [
            start.saturating_sub(9)..start,
            start..start + 1,
            end - 1..end + 5,
            end..end + 9,
        ] {
            refused += u32::from(check(&direct, Way::Direct, &content, bytes));
        }
    }
    let mut random = Random::new(seed());
    for _ in 0..100 {
        let start = random.below(content.len());
        let size = 1 + random.below(3 * CHUNK);
        refused += u32::from(check(&direct, Way::Direct, &content, start..start + size));
    }
    assert!(refused > 30, "{refused}");
    assert_eq!(
        fs::read(mount.path().join("tree/other")).expect("whole"),
        b"other"
    );
    let log = mount.log();
    for number in DAMAGED {
        let offset = format!(" at offset {}: ", chunk(number).start);
        assert_eq!(log.matches(&offset).count(), 1, "{log}");
    }
    assert_eq!(
        log.matches("tree/file: chunk ").count(),
        DAMAGED.len(),
        "{log}"
    );
    drop((cached, direct)); // Or the mount is in use.
    tally(Tried::Damages, DAMAGED.len() as u64);
    assert!(mount.unmount().0.success());
    repaired(&scene, &content);
}

/// After a repair the file has zeros where chunks were lost, and is only opened if that is wanted. Both programs.
fn repaired(scene: &Scene, content: &[u8]) {
    let scene = scene.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    scene.run(Program::Ours, &["check", "--repair", scene.repo()]);
    let mount = scene.mounted(&scene.archive("a"), &[], "strict");
    let error = fs::read(mount.path().join("tree/file")).expect_err("it is damaged");
    assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
    assert!(mount.unmount().0.success());
    let mut expected = content.to_vec();
    for number in DAMAGED {
        expected[chunk(number)].fill(0);
    }
    let mount = scene.mounted(&scene.archive("a"), &["-o", "allow_damaged_files"], "lax");
    let path = mount.path().join("tree/file");
    let file = open(&path, Way::Cached);
    forget(&file);
    drop(file);
    assert!(fs::read(&path).expect("it may be read now") == expected);
    assert!(mount.unmount().0.success());
    let stock = stock_mount(&scene, "stock");
    let path = stock.path().join("tree/file");
    assert!(fs::read(path).expect("it may be read") == expected, "stock");
}

fn stock_mount(scene: &Scene, name: &str) -> Mount {
    let mountpoint = scene.scratch.join(name);
    let archive = scene.archive("a");
    let args = [
        "mount",
        "-f",
        "-o",
        "allow_damaged_files",
        &archive,
        text(&mountpoint),
    ];
    let invocation = scene.home.invocation(Program::Stock, args);
    Mount::start(invocation.dir(scene.scratch.path()), &mountpoint)
}
