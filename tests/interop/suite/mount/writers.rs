//! A mount and everybody else: backups, deletions and repairs go on while an archive is looked at; so does reading.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ironborg_testkit::{Mount, OtherUser, Program, Tried, generated, tally};
use rustix::process::Signal;

use super::{Mounts, end, eventually};
use crate::scene::{Scene, text};

/// The system's numbers for what an open file of a deleted archive may answer: gone, stale, unreadable.
const GONE: [i32; 3] = [2, 116, 5];
/// Nobody answers for the mount any more.
const NOT_CONNECTED: i32 = 107;

/// Files in each archive, and the length of one: more than a reader or the kernel reads ahead.
const FILES: usize = 12;
const LEN: usize = 700_000;

/// Archives, as the root of the mount lists them.
fn archives(mount: &Mount) -> Vec<String> {
    let entries = fs::read_dir(mount.path()).expect("a live mount");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.into_string().expect("plain names"))
        .collect()
}

/// The content of a file as it was when the archive was made.
fn content(round: &str, file: usize) -> Vec<u8> {
    generated(&format!("{round} {file}"), LEN)
}

/// Makes the tree of a round; half of the files are as in every other round.
fn write_tree(scene: &Scene, round: &str) {
    let tree = scene.scratch.dir("tree");
    for file in 0..FILES {
        let round = if file % 2 == 0 { "every" } else { round };
        fs::write(tree.join(format!("{file}")), content(round, file)).expect("room on the disk");
    }
}

/// Reads some files of an archive, which must have the bytes they had.
#[track_caller]
fn assert_reads(mount: &Mount, archive: &str, round: &str, files: &[usize]) {
    for &file in files {
        let path = mount.path().join(format!("{archive}/tree/{file}"));
        let round = if file % 2 == 0 { "every" } else { round };
        let found = fs::read(&path)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", path.display(), mount.log()));
        assert!(found == content(round, file), "{}", path.display());
    }
}

fn is_locked(scene: &Scene) -> bool {
    ["lock.exclusive", "lock.roster"]
        .into_iter()
        .any(|name| scene.repo.join(name).exists())
}

/// Does something with a program, which waits a second for locks and no more.
#[track_caller]
fn write(mounts: &Mounts, program: Program, args: &[&str]) {
    let args = [&["--lock-wait", "1"], args].concat();
    mounts.scene.run(program, &args).ok();
}

#[test]
fn the_repository_is_used_while_ours_is_mounted() {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let scene = scene.with("BORG_CHECK_I_KNOW_WHAT_I_AM_DOING", "YES");
    for round in ["keep", "doomed-ours", "doomed-stock", "doomed-stock-last"] {
        write_tree(&scene, round);
        scene.create(Program::Ours, round, &["-C", "lz4"], "tree");
    }
    let mounts = Mounts::of(&scene);
    let mount = mounts.mount(Program::Ours, &[], scene.repo(), &[]);
    assert_reads(&mount, "keep", "keep", &[0]);
    assert!(!is_locked(&scene), "a mount keeps no lock");
    let kept = File::open(mount.path().join("keep/tree/11")).expect("a file");

    for (round, program) in Program::BOTH.into_iter().enumerate() {
        // Files that were not read before: what the kernel has kept is no proof.
        let files = [2 * round + 1, FILES - 2 - 2 * round, 2 * round + 2];
        replace_an_archive(&mounts, &mount, program, files);
        rename_and_repair(&mounts, &mount, program, files[2]);
        assert!(!is_locked(&scene), "after {}", program.name());
    }
    // Opened before all of it.
    assert!(read_at(&kept, LEN / 3).expect("readable") == content("keep", 11)[LEN / 3..][..4096]);
    assert_reads(&mount, "keep", "keep", &(0..FILES).collect::<Vec<_>>());
    drop(kept);
    // A view of everything there is now agrees with stock Borg's.
    let found = mounts.view(&mount);
    let stock = mounts.mount(Program::Stock, &[], scene.repo(), &[]);
    mounts.view(&stock).assert_same(&found, "after all that");
    assert_eq!(end(stock).0, Some(0));
    assert_eq!(end(mount), (Some(0), String::new()));
    scene.assert_checks();
}

/// A backup, and the end of another archive with the room it took.
#[track_caller]
fn replace_an_archive(mounts: &Mounts, mount: &Mount, program: Program, files: [usize; 3]) {
    let scene = mounts.scene;
    let new = format!("new-{}", program.name());
    let doomed = format!("doomed-{}", program.name());
    let open = File::open(mount.path().join(&doomed).join("tree/1")).expect("a file");
    read_at(&open, 0).expect("readable as long as it is there");

    write_tree(scene, &new);
    write(
        mounts,
        program,
        &["create", "-C", "lz4", &scene.archive(&new), "tree"],
    );
    eventually("a new archive", || archives(mount).contains(&new));
    assert_reads(mount, &new, &new, &[0, 1, 5]);

    // One way of deleting each.
    if program == Program::Ours {
        write(mounts, program, &["delete", &scene.archive(&doomed)]);
    } else {
        let which = ["--keep-last", "1", "--glob-archives", "doomed-stock*"];
        let args = [&["prune"], &which[..], &[scene.repo()]].concat();
        write(mounts, program, &args);
    }
    write(
        mounts,
        program,
        &["compact", "--threshold", "0", scene.repo()],
    );
    eventually("a deleted archive", || !archives(mount).contains(&doomed));
    eventually("that its files are gone too", || {
        let looked_up = fs::metadata(mount.path().join(&doomed).join("tree/1"));
        looked_up.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    });
    // What is still open has the bytes it had, or says that it has not.
    for offset in [0, LEN / 2, LEN - 5000] {
        match read_at(&open, offset) {
            Ok(bytes) => assert!(bytes == content(&doomed, 1)[offset..][..bytes.len()]),
            Err(error) => {
                let code = error.raw_os_error().expect("from the system");
                assert!(GONE.contains(&code), "{error}");
            }
        }
    }
    assert_reads(mount, "keep", "keep", &files[..2]);
    assert_reads(mount, &new, &new, &[7]);
}

/// The same archive under another name, and a repair of what is whole.
#[track_caller]
fn rename_and_repair(mounts: &Mounts, mount: &Mount, program: Program, file: usize) {
    let scene = mounts.scene;
    let new = format!("new-{}", program.name());
    let renamed = format!("renamed-{}", program.name());
    write(mounts, program, &["rename", &scene.archive(&new), &renamed]);
    eventually("a new name", || {
        let names = archives(mount);
        names.contains(&renamed) && !names.contains(&new)
    });
    assert_reads(mount, &renamed, &new, &[2, 3]);
    write(mounts, program, &["check", "--repair", scene.repo()]);
    assert_reads(mount, "keep", "keep", &[file]);
}

fn read_at(file: &File, offset: usize) -> io::Result<Vec<u8>> {
    let mut buf = vec![0; 4096];
    let len = file.read_at(&mut buf, offset as u64)?;
    buf.truncate(len);
    Ok(buf)
}

#[test]
fn both_programs_mount_one_repository() {
    let scene = Scene::with_repository(Program::Ours, "none");
    write_tree(&scene, "a");
    scene.create(Program::Ours, "a", &[], "tree");
    let mounts = Mounts::of(&scene);
    let stock = mounts.mount(Program::Stock, &[], scene.repo(), &[]);
    let ours = mounts.mount(Program::Ours, &[], scene.repo(), &[]);
    for mount in [&stock, &ours] {
        assert_reads(mount, "a", "a", &[0, 1, 2, 3]);
    }
    // Stock Borg's mount stops a backup, ours does not.
    let archive = scene.archive("b");
    let args = ["--lock-wait", "1", "create", &archive, "tree"];
    let refused = scene.run(Program::Ours, &args).exits(2);
    assert!(
        refused.err().contains("Failed to create/acquire the lock"),
        "{refused}"
    );
    assert_eq!(end(stock), (Some(0), String::new()));
    write(&mounts, Program::Ours, &["create", &archive, "tree"]);
    write(
        &mounts,
        Program::Stock,
        &["create", &scene.archive("c"), "tree"],
    );
    eventually("both archives", || archives(&ours) == ["a", "b", "c"]);
    assert_eq!(end(ours), (Some(0), String::new()));
}

#[test]
fn killed() {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    write_tree(&scene, "a");
    scene.create(Program::Ours, "a", &[], "tree");
    let mounts = Mounts::of(&scene);
    let umounts: [(&str, Option<Program>); 3] = [
        ("fusermount3", None),
        ("ours", Some(Program::Ours)),
        ("stock", Some(Program::Stock)),
    ];
    for (name, program) in umounts {
        let mut mount = mounts.mount(Program::Ours, &[], &scene.archive("a"), &[]);
        let inside = mount.path().join("tree/0");
        assert!(fs::read(&inside).expect("readable") == content("every", 0));
        mount.end_by(Signal::KILL);
        // An empty directory in its place would be taken for the loss of everything by whatever mirrors it.
        let not_asked_for_yet = mount.path().join("tree/no such name");
        let error = fs::metadata(&not_asked_for_yet).expect_err("nobody answers");
        assert_eq!(error.raw_os_error(), Some(NOT_CONNECTED), "{error}");
        assert!(!is_locked(&scene), "{name}");
        assert!(mount.is_mounted(), "{name}");
        let place = text(mount.path());
        if let Some(program) = program {
            scene.run(program, &["umount", place]).ok();
        } else {
            let fusermount = Path::new("fusermount3");
            scene.home.tool(fusermount, ["-u", place]).run().ok();
        }
        assert!(!mount.is_mounted(), "{name}");
        write(
            &mounts,
            Program::Ours,
            &["create", &scene.archive(name), "tree"],
        );
        // The same place can be used again.
        let again = ["mount", "-f", &scene.archive(name), place];
        let again = Mount::start(scene.home.invocation(Program::Ours, again), mount.path());
        assert!(fs::read(&inside).expect("readable") == content("every", 0));
        assert_eq!(end(again), (Some(0), String::new()), "{name}");
    }
    tally(Tried::Kills, umounts.len() as u64);
}

/// Everything without root: the repository, the mount, which `fusermount3` makes, reading, and unmounting.
#[test]
fn an_ordinary_user() {
    let scene = Scene::new();
    let user = OtherUser::new(&scene.scratch, &scene.home);
    let tree = user.dir("tree");
    for (name, mode) in [("file", 0o640), ("private", 0o600)] {
        let path = tree.join(name);
        fs::write(&path, generated(name, 300_000)).expect("room on the disk");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&path, mode).expect("our own file");
        user.give(&path);
    }
    let [repo, mountpoint] = ["repo", "mnt"].map(|name| user.dir(name));
    let archive = format!("{}::a", text(&repo));
    user.invocation(["init", "-e", "repokey", text(&repo)])
        .run()
        .ok();
    user.invocation(["create", &archive, "tree"]).run().ok();

    let mount = user.invocation(["mount", "-f", &archive, text(&mountpoint)]);
    let mut mount = Mount::start(mount, &mountpoint);
    let find = |top: &Path, what: &str| {
        let args = [text(top), "-type", "f", "-printf", what];
        let found = user.tool(Path::new("find"), args).run().ok().out();
        // A file system of the disk lists names in an order of its own.
        let mut lines: Vec<String> = found.lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines.len(), 2, "{found}");
        lines
    };
    let facts = "%P %s %m %U %G %T@\\n";
    assert_eq!(find(&mountpoint.join("tree"), facts), find(&tree, facts));
    for name in ["file", "private"] {
        let path = mountpoint.join("tree").join(name);
        let found = user.tool(Path::new("cat"), [text(&path)]).run().ok();
        assert!(found.stdout == generated(name, 300_000), "{name}");
    }
    let place = text(&mountpoint);
    user.invocation(["umount", place]).run().ok();
    assert_eq!(mount.wait().code(), Some(0), "{}", mount.log());
    assert_eq!((mount.is_mounted(), mount.log().as_str()), (false, ""));
    // In the background as well.
    user.invocation(["mount", &archive, place]).run().ok();
    let mount = Mount::watch(&mountpoint);
    assert_eq!(find(&mountpoint.join("tree"), facts), find(&tree, facts));
    user.invocation(["umount", place]).run().ok();
    assert!(!mount.is_mounted());
}
