//! Random changes of the tree that is backed up, each in one line of words.
#![allow(
    clippy::unnecessary_debug_formatting,
    reason = "names with line breaks are to stay in one line"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ironborg_testkit::{Random, tree};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lremovexattr, lsetxattr, mknodat};

/// Few names, so that what was deleted comes back as something else.
const NAMES: [&str; 12] = [
    "a",
    "b",
    "ab",
    "c",
    "long name with spaces",
    "ünïcödé",
    "x.tmp",
    "y.tmp",
    "-dash",
    "new\nline",
    "*star[",
    "z",
];

/// Bytes in the tree above which nothing is added.
const SIZE_MAX: u64 = 14_000_000;

/// All names below a directory, sorted, by kind.
struct Names {
    files: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
    others: Vec<PathBuf>,
    size: u64,
}

impl Names {
    fn below(tops: &[PathBuf]) -> Self {
        let mut names = Self {
            files: Vec::new(),
            dirs: tops.to_vec(),
            others: Vec::new(),
            size: 0,
        };
        let mut next = 0;
        while let Some(dir) = names.dirs.get(next).cloned() {
            next += 1;
            let entries = fs::read_dir(&dir).expect("a directory of this test");
            let mut paths: Vec<PathBuf> = entries
                .map(|entry| entry.expect("an entry").path())
                .collect();
            paths.sort();
            for path in paths {
                let meta = fs::symlink_metadata(&path).expect("just listed");
                if meta.is_dir() {
                    names.dirs.push(path);
                } else if meta.is_file() {
                    names.size += meta.len();
                    names.files.push(path);
                } else {
                    names.others.push(path);
                }
            }
        }
        names
    }
}

fn pick<'a>(random: &mut Random, paths: &'a [PathBuf]) -> Option<&'a PathBuf> {
    (!paths.is_empty()).then(|| &paths[random.below(paths.len())])
}

/// Content of some length: noise, words, zeros, or what other files begin with.
fn content(random: &mut Random) -> Vec<u8> {
    let len = match random.below(20) {
        0 => 0,
        1..8 => 1 + random.below(3_000),
        8..16 => random.below(120_000),
        16..19 => random.below(700_000),
        _ => 1_000_000 + random.below(3_000_000),
    };
    match random.below(5) {
        0 => random.bytes(len),
        1 => tree::text(random, len),
        2 => vec![0; len],
        3 => ironborg_testkit::generated("many files begin so", len),
        _ => {
            let mut bytes = random.bytes(len / 2);
            bytes.resize(len, 0);
            bytes
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("room on the disk");
}

/// A name that does not exist yet.
fn new_name(random: &mut Random, names: &Names) -> Option<PathBuf> {
    let dir = pick(random, &names.dirs)?;
    let path = dir.join(NAMES[random.below(NAMES.len())]);
    fs::symlink_metadata(&path).is_err().then_some(path)
}

/// Changes something in one of the directories; says what, or nothing if it could not be done.
pub(super) fn change(random: &mut Random, tops: &[PathBuf]) -> Option<String> {
    let names = Names::below(tops);
    let words = match random.below(20) {
        0..5 if names.size < SIZE_MAX => add_file(random, &names)?,
        0..6 => add_other(random, &names)?,
        6..11 => edit(random, &names)?,
        11 | 12 => replace(random, &names)?,
        13..16 => attributes(random, &names)?,
        16 => rename(random, &names, tops)?,
        _ => remove(random, &names, tops)?,
    };
    Some(words)
}

fn add_file(random: &mut Random, names: &Names) -> Option<String> {
    let path = new_name(random, names)?;
    if random.below(6) == 0 {
        // Holes.
        let mut file = File::create_new(&path).expect("a new name");
        let size = 100_000 + random.next_u64() % 4_000_000;
        file.set_len(size).expect("a regular file");
        file.seek(SeekFrom::Start(size / 2))
            .expect("a regular file");
        file.write_all(b"in the middle").expect("room on the disk");
        return Some(format!("sparse file {path:?} of {size}"));
    }
    let bytes = match pick(random, &names.files) {
        Some(other) if random.below(4) == 0 => fs::read(other).expect("a file of this test"),
        _ => content(random),
    };
    write(&path, &bytes);
    Some(format!("new file {path:?} of {}", bytes.len()))
}

fn add_other(random: &mut Random, names: &Names) -> Option<String> {
    let path = new_name(random, names)?;
    match random.below(8) {
        0..3 => {
            let file = pick(random, &names.files)?;
            fs::hard_link(file, &path).expect("a new name");
            Some(format!("hard link {path:?} of {file:?}"))
        }
        3 | 4 => {
            let target = NAMES[random.below(NAMES.len())];
            symlink(target, &path).expect("a new name");
            Some(format!("symlink {path:?} to {target:?}"))
        }
        5 => {
            let mode = Mode::from_raw_mode(0o640);
            mknodat(CWD, &path, FileType::Fifo, mode, 0).expect("a new name");
            Some(format!("fifo {path:?}"))
        }
        _ => {
            fs::create_dir(&path).expect("a new name");
            Some(format!("directory {path:?}"))
        }
    }
}

fn edit(random: &mut Random, names: &Names) -> Option<String> {
    let path = pick(random, &names.files)?;
    let size = fs::metadata(path).expect("just listed").len();
    let file = OpenOptions::new()
        .write(true)
        .open(path)
        .expect("a file of this test");
    match random.below(4) {
        0 => {
            let len = random.next_u64() % (size + 1);
            file.set_len(len).expect("a regular file");
            Some(format!("truncated {path:?} to {len}"))
        }
        1 => {
            let len = 1 + random.below(50_000);
            file.write_all_at(&random.bytes(len), size)
                .expect("room on the disk");
            Some(format!("appended {len} to {path:?}"))
        }
        2 => {
            let len = 1 + random.below(2_000);
            let at = random.next_u64() % (size + 1);
            file.write_all_at(&random.bytes(len), at)
                .expect("room on the disk");
            Some(format!("wrote {len} at {at} of {path:?}"))
        }
        _ => {
            // Same size, same time of modification: only ctime tells.
            let meta = file.metadata().expect("an open file");
            let at = random.next_u64() % size.max(1);
            let byte = random.bytes(1);
            if size > 0 {
                file.write_all_at(&byte, at).expect("room on the disk");
            }
            tree::set_mtime(path, meta.mtime(), meta.mtime_nsec());
            Some(format!(
                "one byte at {at} of {path:?}, and its mtime put back"
            ))
        }
    }
}

/// Same name, another inode.
fn replace(random: &mut Random, names: &Names) -> Option<String> {
    let path = pick(random, &names.files)?;
    let meta = fs::metadata(path).expect("just listed");
    let mut bytes = fs::read(path).expect("a file of this test");
    let changed = random.below(2) == 0 && !bytes.is_empty();
    if changed {
        let at = random.below(bytes.len());
        bytes[at] ^= 1;
    }
    let beside = path.with_file_name("replacement");
    write(&beside, &bytes);
    tree::set_mtime(&beside, meta.mtime(), meta.mtime_nsec());
    fs::rename(&beside, path).expect("the same directory");
    let what = if changed { "another byte" } else { "the same" };
    Some(format!("{path:?} replaced, {what} in it"))
}

fn attributes(random: &mut Random, names: &Names) -> Option<String> {
    let all = if random.below(4) == 0 {
        &names.dirs
    } else {
        &names.files
    };
    let path = pick(random, all)?;
    match random.below(5) {
        0 => {
            let mode = [0o600, 0o644, 0o750, 0o700, 0o4755, 0o1777][random.below(6)];
            let mode = if path.is_dir() { mode | 0o700 } else { mode };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
            Some(format!("chmod {mode:o} {path:?}"))
        }
        1 | 2 => {
            let seconds = 1_000_000_000 + i64::try_from(random.below(700_000_000)).expect("small");
            tree::set_mtime(path, seconds, 123_456_789);
            Some(format!("mtime of {path:?} is {seconds}"))
        }
        3 => {
            let len = 1 + random.below(60);
            let value = random.bytes(len);
            // A file system without them is nothing to stop for.
            let outcome = lsetxattr(path, "user.random", &value, XattrFlags::empty());
            Some(format!("xattr of {path:?}: {outcome:?}"))
        }
        _ => {
            let outcome = lremovexattr(path, "user.random");
            Some(format!("no xattr of {path:?}: {outcome:?}"))
        }
    }
}

fn rename(random: &mut Random, names: &Names, tops: &[PathBuf]) -> Option<String> {
    let all = [&names.files, &names.dirs, &names.others][random.below(3)];
    let from = pick(random, all)?.clone();
    let to = new_name(random, names)?;
    if tops.contains(&from) || to.starts_with(&from) {
        return None;
    }
    fs::rename(&from, &to).expect("a new name");
    Some(format!("{from:?} renamed to {to:?}"))
}

fn remove(random: &mut Random, names: &Names, tops: &[PathBuf]) -> Option<String> {
    let all = match random.below(6) {
        0 => &names.dirs,
        1 => &names.others,
        _ => &names.files,
    };
    let path = pick(random, all)?;
    if tops.contains(path) {
        return None;
    }
    if fs::symlink_metadata(path).expect("just listed").is_dir() {
        fs::remove_dir_all(path).expect("a directory of this test");
    } else {
        fs::remove_file(path).expect("a file of this test");
    }
    Some(format!("{path:?} removed"))
}
