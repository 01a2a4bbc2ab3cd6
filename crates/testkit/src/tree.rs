//! File trees to back up: one with everything a file system can hold, and large ones.
//!
//! All of them are deterministic: the same call makes the same names and the same bytes anywhere. What the file system
//! or the user's rights do not allow is left out and returned, so that a test can say what it did not see.

mod attributes;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat};

use crate::{Random, generated};

/// What a tree could not be given here, one line each.
pub type LeftOut = Vec<String>;

/// A tree of about 120 names with every kind of file, name, attribute and time.
///
/// # Panics
/// When `top` exists or its file system is full or read-only.
pub fn rich(top: &Path) -> LeftOut {
    let mut left_out = LeftOut::new();
    make_dir(top);
    contents(top);
    names(top);
    links(top);
    special_files(top, &mut left_out);
    directories(top);
    owners_and_modes(top, &mut left_out);
    attributes::add(top, &mut left_out);
    times(top);
    left_out
}

/// `count` files of 1 to 4,000 bytes, a hundred to a directory.
///
/// # Panics
/// When the file system does not take them.
pub fn many_small(top: &Path, count: usize) {
    make_dir(top);
    let mut random = Random::new(20_000);
    for index in 0..count {
        let dir = top.join(format!("d{:04}", index / 100));
        if index % 100 == 0 {
            make_dir(&dir);
        }
        let len = 1 + random.below(4000);
        // Half random, half repeated: compressors and deduplication both find something to do.
        let mut bytes = random.bytes(len / 2);
        bytes.resize(len, b'a' + u8::try_from(index % 26).expect("below 26"));
        write(&dir.join(format!("f{index:06}")), &bytes);
    }
}

/// One directory of `count` empty files, whose metadata fills several chunks.
///
/// # Panics
/// When the file system does not take them.
pub fn huge_directory(top: &Path, count: usize) {
    make_dir(top);
    for index in 0..count {
        write(
            &top.join(format!("a file with a rather long name, number {index:08}")),
            b"",
        );
    }
}

/// A sparse file of 3 GB with data at its start, in its middle and near its end, closing with a hole.
///
/// # Panics
/// When the file system does not take it.
pub fn big_sparse(path: &Path) {
    const SIZE: u64 = 3_000_000_000;
    let mut file = create(path);
    for (index, offset) in [0, SIZE / 2 + 12_345, SIZE - 9_000_000]
        .into_iter()
        .enumerate()
    {
        file.seek(SeekFrom::Start(offset)).expect("a regular file");
        file.write_all(&generated(&format!("sparse {index}"), 300_000))
            .expect("room on the disk");
    }
    file.set_len(SIZE).expect("a file system with sparse files");
}

/// A plain tree without anything that needs rights: about `mib` MiB in files of mixed size and compressibility.
///
/// # Panics
/// When the file system does not take it.
pub fn mixed(top: &Path, mib: usize, seed: u64) {
    make_dir(top);
    let mut random = Random::new(seed);
    let mut left = mib << 20;
    for index in 0.. {
        if left == 0 {
            break;
        }
        let len = match index % 8 {
            0 => 2_000_000 + random.below(6_000_000),
            1 | 2 => 200_000 + random.below(800_000),
            _ => 1_000 + random.below(60_000),
        };
        let len = len.min(left);
        left -= len;
        let bytes = match index % 3 {
            0 => random.bytes(len),
            1 => text(&mut random, len),
            _ => generated("the same beginning in many files", len),
        };
        let dir = top.join(format!("dir{}", index % 7));
        if !dir.exists() {
            make_dir(&dir);
        }
        write(&dir.join(format!("file{index}")), &bytes);
    }
}

/// `len` bytes of words: compressible to about a third.
pub fn text(random: &mut Random, len: usize) -> Vec<u8> {
    const SYLLABLES: &[&str] = &[
        "ba", "cor", "di", "en", "fa", "gul", "hi", "lo", "mer", "na", "or", "pe", "qui",
    ];
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        for _ in 0..=random.below(3) {
            bytes.extend_from_slice(SYLLABLES[random.below(SYLLABLES.len())].as_bytes());
        }
        bytes.push(if random.below(12) == 0 { b'\n' } else { b' ' });
    }
    bytes.truncate(len);
    bytes
}

fn contents(top: &Path) {
    write(&top.join("empty"), b"");
    write(&top.join("one byte"), b"x");
    write(&top.join("text"), b"a line\nanother line\n");
    write(&top.join("random"), &generated("random", 70_000));
    write(&top.join("same as random"), &generated("random", 70_000));
    write(&top.join("words"), &text(&mut Random::new(1), 300_000));
    write(&top.join("zeros"), &vec![0; 200_000]);
    // Larger than the smallest chunk, so that there is a cut to agree on.
    write(
        &top.join("several chunks"),
        &generated("several chunks", 5_000_000),
    );
    let mut sparse = create(&top.join("sparse"));
    sparse
        .set_len(2_000_000)
        .expect("a file system with sparse files");
    sparse
        .seek(SeekFrom::Start(1_000_000))
        .expect("a regular file");
    sparse
        .write_all(b"in the middle")
        .expect("room on the disk");
    create(&top.join("only a hole"))
        .set_len(700_000)
        .expect("a file system with sparse files");
}

fn names(top: &Path) {
    let dir = top.join("names");
    make_dir(&dir);
    let long = [b'L'; 255];
    let names: &[&[u8]] = &[
        b"latin1-\xe9\xff",
        b"\xff\xfe\xfd",
        b"new\nline",
        b"tab\there",
        b"\x01control\x1f",
        b" leading and trailing ",
        b"back\\slash",
        b"quote\"'`",
        b"-dash",
        b"--option",
        "\u{1f600} emoji".as_bytes(),
        "e\u{301} decomposed".as_bytes(),
        "\u{e9} composed".as_bytes(),
        "\u{fffd} replacement".as_bytes(),
        b"cut off \xf0\x9f\x98",
        b"surrogate \xed\xa0\x80",
        b"a::b",
        b"{now} {brace}",
        b"%s %d %",
        b"#hash",
        b"*?[glob]",
        b"CACHEDIR.TAG.not",
        b"...",
        b"~",
        &long,
    ];
    for name in names {
        write(&dir.join(OsStr::from_bytes(name)), name);
    }
    let mut deep = dir.join("deep");
    for level in 0..40 {
        make_dir(&deep);
        deep = deep.join(format!("level {level}"));
    }
    write(&deep, b"at the bottom");
}

fn links(top: &Path) {
    let dir = top.join("links");
    make_dir(&dir);
    let link = |target: &[u8], name: &str| {
        symlink(OsStr::from_bytes(target), dir.join(name)).expect("a new symlink");
    };
    link(b"../text", "relative");
    link(b"/etc/hostname", "absolute");
    link(b"no/such/target", "dangling");
    link(b"itself", "itself");
    link(b"caf\xe9", "to latin1");
    link(&[b'x'; 1000], "long target");
    // Names on both sides of a directory that sorts between them.
    make_dir(&dir.join("m"));
    write(&dir.join("a first"), b"three names");
    for name in ["m/second", "z third"] {
        fs::hard_link(dir.join("a first"), dir.join(name)).expect("a new hard link");
    }
    write(
        &dir.join("outside partner"),
        b"a second name outside of the tree's subdirectory",
    );
    fs::hard_link(dir.join("outside partner"), top.join("outside partner"))
        .expect("a new hard link");
}

fn special_files(top: &Path, left_out: &mut LeftOut) {
    let dir = top.join("special");
    make_dir(&dir);
    let mode = Mode::from_raw_mode(0o640);
    let mut node = |name: &str, kind: FileType, dev: u64| {
        if let Err(error) = mknodat(CWD, dir.join(name), kind, mode, dev) {
            left_out.push(format!("special/{name}: {error}"));
        }
    };
    node("fifo", FileType::Fifo, 0);
    node("null", FileType::CharacterDevice, makedev(1, 3));
    node(
        "large numbers",
        FileType::CharacterDevice,
        makedev(511, 70_000),
    );
    node("disk", FileType::BlockDevice, makedev(7, 200));
    let fifo = dir.join("fifo");
    if fifo.exists() {
        fs::hard_link(fifo, dir.join("second name of fifo")).expect("a new hard link");
    }
    // Left out by Borg; here to see that both do. Socket addresses are short, so bind by a short detour.
    let short = std::env::temp_dir().join(format!("ironborg-socket-{}", std::process::id()));
    if UnixListener::bind(&short).is_err() || fs::rename(&short, dir.join("socket")).is_err() {
        let _ = fs::remove_file(&short);
        left_out.push("special/socket".to_owned());
    }
}

fn directories(top: &Path) {
    make_dir(&top.join("empty directory"));
    let cache = top.join("cache");
    make_dir(&cache);
    write(
        &cache.join("CACHEDIR.TAG"),
        b"Signature: 8a477f597d28d172789f06886806bc55\n# a cache\n",
    );
    write(&cache.join("cached"), b"not worth keeping");
    let tagged = top.join("tagged");
    make_dir(&tagged);
    write(&tagged.join(".nobackup"), b"");
    write(&tagged.join("left out on request"), b"...");
    let many = top.join("many");
    make_dir(&many);
    for index in 0..30 {
        write(
            &many.join(format!("{index}")),
            format!("file {index}").as_bytes(),
        );
    }
}

fn owners_and_modes(top: &Path, left_out: &mut LeftOut) {
    let dir = top.join("modes");
    make_dir(&dir);
    for mode in [
        0o000, 0o400, 0o444, 0o600, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777,
    ] {
        let path = dir.join(format!("mode {mode:04o}"));
        write(&path, b"m");
        chmod(&path, mode);
    }
    for mode in [0o700, 0o1777, 0o2775] {
        let path = dir.join(format!("directory {mode:04o}"));
        make_dir(&path);
        chmod(&path, mode);
    }
    let dir = top.join("owners");
    make_dir(&dir);
    for (name, uid, gid) in [
        ("daemon", 1, 1),
        ("unknown", 54_321, 54_322),
        ("huge", 4_000_000_000, 4_000_000_001),
    ] {
        let path = dir.join(name);
        write(&path, b"o");
        if let Err(error) = chown(&path, Some(uid), Some(gid)) {
            left_out.push(format!("owners/{name}: {error}"));
        }
        let link = dir.join(format!("link of {name}"));
        symlink("target", &link).expect("a new symlink");
        if lchown(&link, Some(uid), Some(gid)).is_err() {
            left_out.push(format!("owners/link of {name}"));
        }
    }
}

/// Times last: everything above changes them.
fn times(top: &Path) {
    let dir = top.join("times");
    make_dir(&dir);
    let odd = [
        ("epoch", 0, 0),
        ("nanoseconds", 1_234_567_890, 123_456_789),
        ("last nanosecond", 1_600_000_000, 999_999_999),
        ("2038", 2_147_483_648, 0),
        ("before 1970", -86_400, 0),
        ("before 1970, with a fraction", -1, 500_000_000),
        ("far future", 4_100_000_000, 1),
    ];
    for (name, _, _) in odd {
        write(&dir.join(name), name.as_bytes());
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    list(top, &mut paths);
    // Children before parents, so that a directory keeps the time it is given.
    for (index, path) in paths.iter().rev().enumerate() {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let special = odd
            .iter()
            .find(|(odd, _, _)| *odd == name && path.starts_with(&dir));
        let (seconds, nanoseconds) = special.map_or_else(
            || {
                (
                    1_500_000_000 + i64::try_from(index).expect("small"),
                    120_000_001,
                )
            },
            |(_, seconds, nanoseconds)| (*seconds, *nanoseconds),
        );
        set_mtime(path, seconds, nanoseconds);
    }
    attributes::forbid(top);
}

fn list(dir: &Path, paths: &mut Vec<PathBuf>) {
    paths.push(dir.to_path_buf());
    let mut entries: Vec<_> = fs::read_dir(dir)
        .expect("our own directory")
        .flatten()
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&entry.path(), paths);
        } else {
            paths.push(entry.path());
        }
    }
}

/// Gives a name (a symlink itself, not its target) a modification time.
///
/// # Panics
/// When the file system refuses it.
pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
}

fn make_dir(path: &Path) {
    fs::create_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn create(path: &Path) -> File {
    File::create_new(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) {
    create(path)
        .write_all(bytes)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
