//! One archive, and a repository of them: everything a file system can hold, as both programs show it and as it was.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use ironborg_testkit::{
    Compare, Program, Random, Server, Snapshot, View, generated, sample, sample_passphrase, tree,
};

use super::{Mounts, end};
use crate::scene::{KEY_MODES, Scene, text};

/// Enough for several listings of a directory by the kernel, and for several chunks of metadata.
const MANY: usize = 3000;

/// How often a file is read somewhere in its middle.
const READS: usize = 120;

/// What a mount has of a tree: all but the flags.
fn as_mounted(top: &Path) -> Snapshot {
    let mut snapshot = Snapshot::of(top);
    snapshot.nodes.values_mut().for_each(|node| node.flags = 0);
    snapshot
}

#[test]
fn everything_a_file_system_can_hold() {
    let scene = Scene::with_repository(Program::Ours, "repokey-blake2");
    let tree = scene.scratch.join("tree");
    let left_out = tree::rich(&tree);
    tree::huge_directory(&tree.join("huge"), MANY);
    scene.create(Program::Ours, "a", &["--atime"], "tree");
    let mounts = Mounts::of(&scene);
    let view = mounts.compare(&[], &scene.archive("a"), &[]);
    assert!(
        view.entries.len() > MANY + 100,
        "{} names",
        view.entries.len()
    );

    // What both show is what extraction brings back, which other tests compare with the source.
    let out = scene.extract(Program::Ours, "a", &[]);
    let ours = mounts.mount(Program::Ours, &[], &scene.archive("a"), &[]);
    let differences = as_mounted(&out.join("tree"))
        .differences(&as_mounted(&ours.path().join("tree")), Compare::Everything);
    assert!(
        differences.is_empty(),
        "{differences:#?} (the source lacks {left_out:?})"
    );
    same_order_by_find(&mounts, &ours);
    same_bytes_anywhere(&ours.path().join("tree"), &tree);
    read_only(ours.path());
}

/// `find` itself, which reads directories in its own way, and must see them whole and in stock Borg's order.
#[track_caller]
fn same_order_by_find(mounts: &Mounts, ours: &ironborg_testkit::Mount) {
    let stock = mounts.mount(Program::Stock, &[], &mounts.scene.archive("a"), &[]);
    let [found, wanted] = [ours, &stock].map(|mount| {
        let format = "%P %y %m %U %G %n %s %b %T@ %C@ %l\\n";
        let mut find = Command::new("find");
        find.arg(mount.path())
            .args(["-mindepth", "1", "-printf", format]);
        let output = find.output().expect("find starts");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    });
    let lines = |bytes: &[u8]| {
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        lines.collect::<Vec<_>>()
    };
    let (wanted, found) = (lines(&wanted), lines(&found));
    for (wanted, found) in wanted.iter().zip(&found) {
        let [wanted, found] = [wanted, found].map(|line| line.escape_ascii().to_string());
        assert_eq!(wanted, found, "of find, stock's first");
    }
    assert_eq!(wanted.len(), found.len(), "lines of find");
    assert_eq!(end(stock).0, Some(0));
}

/// Reads at random places, forwards and backwards, over the ends of chunks and of files.
#[track_caller]
fn same_bytes_anywhere(mounted: &Path, source: &Path) {
    let seed = std::env::var("IRONBORG_RANDOM_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok()).unwrap_or(2_024);
    let mut random = Random::new(seed);
    let names = ["several chunks", "sparse", "words", "only a hole", "text"];
    let open = |top: &Path| names.map(|name| File::open(top.join(name)).expect("a file"));
    let (mounted, source) = (open(mounted), open(source));
    for _ in 0..READS {
        let file = random.below(names.len());
        let size = source[file].metadata().expect("an open file").len();
        let beyond = usize::try_from(size).expect("small") + 5000;
        let (offset, len) = (random.below(beyond) as u64, 1 + random.below(300_000));
        let [found, wanted] = [&mounted[file], &source[file]].map(|file| {
            let mut buf = vec![0; len];
            let mut filled = 0;
            loop {
                let place = offset + filled as u64;
                let got = file.read_at(&mut buf[filled..], place).expect("readable");
                filled += got;
                if got == 0 || filled == len {
                    break;
                }
            }
            buf.truncate(filled);
            buf
        });
        assert!(
            found == wanted,
            "{} at {offset}, {len} bytes, seed {seed}",
            names[file]
        );
    }
}

/// Nothing can be changed, not even by root.
#[track_caller]
fn read_only(mountpoint: &Path) {
    let name = mountpoint.join("tree/text");
    let refusals = [
        fs::write(mountpoint.join("new"), b"").err(),
        fs::write(&name, b"").err(),
        fs::remove_file(&name).err(),
        fs::rename(&name, mountpoint.join("other")).err(),
        fs::create_dir(mountpoint.join("dir")).err(),
    ];
    for refusal in refusals {
        let code = refusal.as_ref().and_then(std::io::Error::raw_os_error);
        assert_eq!(code, Some(30), "EROFS, not {refusal:?}");
    }
}

#[test]
fn a_repository_shows_its_archives() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), b"first").expect("room on the disk");
    fs::create_dir(tree.join("sub")).expect("room on the disk");
    fs::write(tree.join("sub/inner"), generated("inner", 3000)).expect("room on the disk");
    scene.create(
        Program::Ours,
        "zeta",
        &["--timestamp", "2020-02-02T02:02:02"],
        "tree",
    );
    fs::write(tree.join("file"), b"second, and longer").expect("room on the disk");
    for name in [
        "alpha.checkpoint",
        "an archive of blanks",
        "beta-1",
        "beta-2",
    ] {
        scene.create(Program::Ours, name, &[], "tree");
    }
    scene.create(Program::Ours, "empty", &["--exclude", "*"], "tree");
    let mounts = Mounts::of(&scene);
    let view = mounts.compare(&[], scene.repo(), &[]);
    assert_eq!(
        top_level(&view),
        ["zeta", "an archive of blanks", "beta-1", "beta-2", "empty"]
    );
    let old = view.entry("zeta").times_ns[1];
    assert_eq!(old, 1_580_608_922_000_000_000, "the archive's own time");
    for (options, shown) in [
        (&["--consider-checkpoints"] as &[&str], 6),
        (&["-a", "beta-*"], 2),
        (&["--first", "1"], 1),
        (&["--sort-by", "name", "--last", "2"], 2),
        (&["-P", "beta-"], 2),
    ] {
        let view = mounts.compare(options, scene.repo(), &[]);
        assert_eq!(top_level(&view).len(), shown, "{options:?}");
    }
    // Paths and stripping count inside of each archive.
    let view = mounts.compare(&["--strip-components", "1"], scene.repo(), &["tree/sub"]);
    assert_eq!(view.entry("beta-1/sub/inner").size, 3000);
}

/// Names directly below the mount point, in their order.
fn top_level(view: &View) -> Vec<String> {
    let paths = view.entries.iter();
    let paths = paths.filter(|entry| !entry.path.is_empty() && !entry.path.contains(&b'/'));
    paths
        .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
        .collect()
}

#[test]
fn every_key_mode() {
    let scene = Scene::new();
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), generated("content", 100_000)).expect("room on the disk");
    let mounts = Mounts::of(&scene);
    for mode in KEY_MODES {
        let here = scene.beside(mode);
        here.init(Program::Ours, mode);
        here.create(Program::Ours, "a", &[], "tree");
        // How content is opened depends on the mode; what stock Borg shows of it does not.
        let ours = mounts.mount(Program::Ours, &[], &here.archive("a"), &[]);
        let found = fs::read(ours.path().join("tree/file")).expect("readable");
        assert!(found == generated("content", 100_000), "{mode}");
        assert_eq!(end(ours), (Some(0), String::new()), "{mode}");
    }
}

#[test]
fn over_the_wire() {
    let scene = Scene::behind(Server::Current(Program::Ours));
    scene.init(Program::Ours, "repokey");
    let tree = scene.scratch.dir("tree");
    tree::many_small(&tree.join("small"), 150);
    fs::write(tree.join("large"), generated("large", 3_000_000)).expect("room on the disk");
    scene.create(Program::Ours, "a", &[], "tree");
    let mounts = Mounts::of(&scene);
    let served_by_ours = mounts.compare(&[], scene.repo(), &[]);
    let stock = scene.served_by(Server::Current(Program::Stock));
    let again = mounts.mount_on(&stock.home, Program::Ours, &[], scene.repo(), &[]);
    served_by_ours.assert_same(&mounts.view(&again), "served by stock Borg");
    assert_eq!(end(again), (Some(0), String::new()));
}

#[test]
fn archives_of_older_releases() {
    let mut scene = Scene::new();
    scene.home.set("BORG_PASSPHRASE", sample_passphrase());
    scene
        .home
        .set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
        .set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let mounts = Mounts::of(&scene);
    for (name, options) in [
        ("made-by-1.0.13-repokey", &[] as &[&str]),
        ("made-by-1.1.18-keyfile-blake2", &[]),
        ("made-by-1.2.9-repokey", &["--numeric-ids"]),
        ("repaired", &[]),
        ("repaired", &["-o", "allow_damaged_files"]),
        ("part-files", &["--consider-checkpoints"]),
        (
            "part-files",
            &["--consider-checkpoints", "--consider-part-files"],
        ),
    ] {
        let sample = sample(name);
        let mut here = scene.beside("unused");
        let dir = here.scratch.join(format!("sample-{name}"));
        if dir.exists() {
            here.moved_to(dir.join(name));
        } else {
            here.moved_to(sample.unpack(&here.scratch, &here.home).repository);
            // From here on it is known, and no question is asked any more.
            here.run(Program::Ours, &["info", here.repo()]).ok();
        }
        let (view, [stock, ours]) = mounts.compare_views(options, here.repo(), &[]);
        assert!(view.entries.len() > 1, "{name}: {:?}", view.paths());
        // Ours also says which file it is.
        let named = "dam/comp/big: cannot be opened: it is damaged\n";
        assert_eq!(stock, (ours.0, ours.1.replace(named, "")), "{name}");
        assert_eq!(stock.1.is_empty(), !ours.1.contains(named), "{name}");
    }
}

#[test]
fn owners_by_name_and_by_number() {
    let scene = Scene::with_repository(Program::Ours, "none");
    let tree = scene.scratch.dir("tree");
    fs::write(tree.join("file"), b"whose?").expect("room on the disk");
    // Names that exist here with other numbers, that exist nowhere, and none at all.
    for (archive, owner, group) in [
        ("known", "daemon:4242", "bin:4343"),
        ("unknown", "nobody-knows-me:5151", "nor-this-group:5252"),
        ("huge", "x:4000000000", "x:4000000000"),
    ] {
        let tarball = scene.scratch.join(format!("{archive}.tar"));
        let status = Command::new("tar")
            .args(["--owner", owner, "--group", group, "-cf"])
            .arg(&tarball)
            .args(["-C", text(scene.scratch.path()), "tree"])
            .status()
            .expect("tar starts");
        assert!(status.success(), "{archive}");
        let args = ["import-tar", &scene.archive(archive), text(&tarball)];
        scene.run(Program::Ours, &args).ok();
    }
    let mounts = Mounts::of(&scene);
    let by_name = mounts.compare(&[], scene.repo(), &[]);
    let by_number = mounts.compare(&["--numeric-ids"], scene.repo(), &[]);
    let uid = |view: &View, path: &str| view.entry(path).uid;
    assert_eq!(uid(&by_name, "known/tree/file"), 1, "daemon, as here");
    assert_eq!(uid(&by_number, "known/tree/file"), 4242, "as it was there");
    assert_eq!(uid(&by_name, "unknown/tree/file"), 5151);

    let options = ["-o", "uid=1,gid=2,umask=027"];
    let forced = mounts.compare(&options, scene.repo(), &[]);
    let file = forced.entry("known/tree/file");
    assert_eq!((file.uid, file.gid, file.mode & 0o027), (1, 2, 0));
    mounts.compare(
        &["-o", "umask=0777,ignore_permissions"],
        &scene.archive("known"),
        &[],
    );
}
