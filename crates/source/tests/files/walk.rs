//! Directories, stat, opening and reading.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use ironborg_source::walk::{Extent, OpenMode, TagOptions, check_same, dir_tags};
use ironborg_source::{DirEntries, FileKind, Place};
use ironborg_types::{BytePath, ErrorKind};
use rustix::fs::{CWD, FileType, Mode};

use crate::{bytes, is_root, open_dir, temporary};

#[test]
fn entries_come_in_inode_order_and_complete() {
    let temp = temporary();
    for number in 0..3000 {
        let name = format!("a rather long name, so that several reads are needed {number:04}");
        fs::write(temp.path().join(name), b"").expect("written");
    }
    fs::hard_link(
        temp.path()
            .join("a rather long name, so that several reads are needed 0007"),
        temp.path().join("link"),
    )
    .expect("linked");
    let dir = open_dir(temp.path());
    let mut entries = DirEntries::new();
    for _ in 0..2 {
        dir.read(&mut entries).expect("readable");
        assert_eq!(entries.len(), 3001);
        let inodes: Vec<u64> = entries.iter().map(|entry| entry.ino).collect();
        assert!(inodes.is_sorted());
        let mut names: Vec<&[u8]> = entries.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 3001);
        assert!(
            entries
                .iter()
                .all(|entry| matches!(entry.kind, None | Some(FileKind::Regular)))
        );
    }
    let first = entries.get(0).expect("there are many");
    let stat = Place::entry(&dir, first.name, b"x")
        .stat()
        .expect("it is there");
    assert_eq!(stat.ino, first.ino);
    assert_eq!(entries.get(3001), None);

    let empty = temporary();
    open_dir(empty.path()).read(&mut entries).expect("readable");
    assert!(entries.is_empty());
}

#[test]
fn stat_says_what_the_standard_library_says() {
    let temp = temporary();
    let path = temp.path().join("file \u{e9}");
    fs::write(&path, b"12345").expect("written");
    symlink("file", temp.path().join("link")).expect("linked");
    let at = |name: &str| bytes(&temp.path().join(name)).to_vec();
    rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).expect("a fifo");
    let times = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec {
            tv_sec: 1,
            tv_nsec: 2,
        },
        last_modification: rustix::fs::Timespec {
            tv_sec: -5,
            tv_nsec: 999_999_999,
        },
    };
    rustix::fs::utimensat(CWD, bytes(&path), &times, rustix::fs::AtFlags::empty()).expect("set");
    let expected = fs::symlink_metadata(&path).expect("it is there");
    let stat = Place::path(bytes(&path)).stat().expect("it is there");
    assert_eq!(stat.kind(), FileKind::Regular);
    assert_eq!(stat.mode, expected.mode());
    assert_eq!((stat.uid, stat.gid), (expected.uid(), expected.gid()));
    assert_eq!((stat.ino, stat.dev), (expected.ino(), expected.dev()));
    assert_eq!((stat.size, stat.nlink), (5, 1));
    assert_eq!(stat.mtime_ns, -4_000_000_001);
    assert_eq!(stat.atime_ns, 1_000_000_002);
    assert_eq!(
        stat.ctime_ns,
        expected.ctime() * 1_000_000_000 + expected.ctime_nsec()
    );

    let dir = open_dir(temp.path());
    let kind = |name: &[u8]| Place::entry(&dir, name, name).stat().expect("there").kind();
    assert_eq!(kind(b"link"), FileKind::Symlink);
    assert_eq!(kind(b"fifo"), FileKind::Fifo);
    assert_eq!(dir.stat().expect("open").kind(), FileKind::Directory);
    assert_eq!(
        Place::entry(&dir, b"link", b"x")
            .read_link()
            .expect("a link"),
        b"file"
    );
    let null = Place::path(b"/dev/null").stat().expect("there");
    assert_eq!(null.kind(), FileKind::CharDevice);
    assert_eq!(null.rdev, fs::metadata("/dev/null").expect("there").rdev());
}

#[test]
fn errors_name_the_operation_and_the_name() {
    let temp = temporary();
    symlink("/", temp.path().join("link")).expect("linked");
    let dir = open_dir(temp.path());
    let place = |name| Place::entry(&dir, name, b"some/path");
    let error = place(b"gone").stat().expect_err("not there");
    assert_eq!(error.kind(), ErrorKind::BackupFileNotFoundError);
    assert_eq!(
        error.warning(b"some/gone"),
        "some/gone: stat: [Errno 2] No such file or directory: 'gone'"
    );
    let error = place(b"link").open_dir().expect_err("a symlink");
    assert_eq!(
        error.to_string(),
        "dir_open: [Errno 20] Not a directory: 'link'"
    );
    let error = place(b"link")
        .open_file(OpenMode::Normal)
        .expect_err("a symlink");
    assert_eq!(
        error.to_string(),
        "open: [Errno 40] Too many levels of symbolic links: 'link'"
    );
    let error = place(b"gone").read_link().expect_err("not there");
    assert_eq!(
        error.to_string(),
        "readlink: [Errno 2] No such file or directory: 'gone'"
    );
}

#[test]
fn a_replaced_file_is_noticed() {
    let temp = temporary();
    fs::write(temp.path().join("a"), b"").expect("written");
    fs::write(temp.path().join("b"), b"").expect("written");
    let stat = |name: &str| {
        Place::path(bytes(&temp.path().join(name)))
            .stat()
            .expect("there")
    };
    let (a, b) = (stat("a"), stat("b"));
    let dir = open_dir(temp.path()).stat().expect("open");
    assert_eq!(check_same(&a, &stat("a")), Ok(()));
    for (other, what) in [(b, "inode"), (dir, "type")] {
        let error = check_same(&a, &other).expect_err("another file");
        assert_eq!(error.kind(), ErrorKind::BackupRaceConditionError);
        assert!(format!("{error:?}").contains(what));
    }
}

#[test]
fn files_are_read_without_waiting_and_without_a_trace() {
    let temp = temporary();
    let path = temp.path().join("file");
    fs::write(&path, b"0123456789").expect("written");
    let at = bytes(&path);
    let old = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        },
        last_modification: rustix::fs::Timespec {
            tv_sec: 2,
            tv_nsec: 0,
        },
    };
    rustix::fs::utimensat(CWD, at, &old, rustix::fs::AtFlags::empty()).expect("set");
    let file = Place::path(at).open_file(OpenMode::Normal).expect("there");
    file.advise_sequential();
    let mut buffer = [0; 6];
    assert_eq!(file.read_full(&mut buffer).expect("readable"), 6);
    assert_eq!(file.read_full(&mut buffer).expect("readable"), 4);
    assert_eq!(&buffer[..4], b"6789");
    assert_eq!(file.read_at(&mut buffer, 8).expect("readable"), 2);
    assert_eq!(file.read(&mut buffer).expect("readable"), 0);
    file.advise_done(0, 0);
    assert_eq!(file.stat_again().expect("open").atime_ns, 1_000_000_000);

    let fifo = bytes(&temp.path().join("fifo")).to_vec();
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo");
    let file = Place::path(&fifo)
        .open_file(OpenMode::Normal)
        .expect("nobody writes");
    assert_eq!(file.stat().expect("open").kind(), FileKind::Fifo);

    let dir = Place::path(bytes(temp.path()))
        .open_file(OpenMode::Normal)
        .expect("opened");
    let error = dir.read(&mut buffer).expect_err("a directory");
    assert_eq!(error.to_string(), "read: [Errno 21] Is a directory");
}

#[test]
fn extents_show_where_nothing_is_stored() {
    let temp = temporary();
    let path = temp.path().join("sparse");
    let file = fs::File::create(&path).expect("created");
    let mebibyte = vec![1_u8; 1 << 20];
    std::os::unix::fs::FileExt::write_all_at(&file, &mebibyte, 1 << 20).expect("written");
    file.set_len(4 << 20).expect("longer");
    file.sync_all().expect("stored");
    let file = Place::path(bytes(&path))
        .open_file(OpenMode::Normal)
        .expect("there");
    let (mut at, mut holes, mut total) = (0, 0, 0);
    while let Some(Extent { offset, len, hole }) = file.extent_at(at).expect("known") {
        assert_eq!(offset, at);
        at += len;
        total += len;
        holes += if hole { len } else { 0 };
    }
    assert_eq!(total, 4 << 20);
    // A file system without holes shows one extent of data.
    assert!(holes == 3 << 20 || holes == 0, "{holes} bytes of holes");
    assert_eq!(file.extent_at(5 << 20).expect("behind the end"), None);

    fs::write(temp.path().join("empty"), b"").expect("written");
    let empty = temp.path().join("empty");
    let empty = Place::path(bytes(&empty))
        .open_file(OpenMode::Normal)
        .expect("there");
    assert_eq!(empty.extent_at(0).expect("empty"), None);
}

#[test]
fn tags_are_found_as_stock_finds_them() {
    let temp = temporary();
    let names = [BytePath::from(".nobackup"), BytePath::from("sub/deep")];
    let make = |directory: &str| {
        let path = temp.path().join(directory);
        fs::create_dir(&path).expect("made");
        path
    };
    let tags = |directory: &str, caches| {
        let options = TagOptions {
            caches,
            if_present: &names,
        };
        dir_tags(&open_dir(&temp.path().join(directory)), &options)
    };
    const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55";

    let cache = make("cache");
    fs::write(
        cache.join("CACHEDIR.TAG"),
        format!("{SIGNATURE}\n# by a test\n"),
    )
    .expect("written");
    assert_eq!(tags("cache", true), ["CACHEDIR.TAG".into()]);
    assert_eq!(tags("cache", false), []);

    let bad = make("bad");
    fs::write(bad.join("CACHEDIR.TAG"), &SIGNATURE[..42]).expect("written");
    assert_eq!(tags("bad", true), []);

    let both = make("both");
    fs::create_dir(both.join(".nobackup")).expect("made");
    fs::create_dir(both.join("sub")).expect("made");
    symlink("..", both.join("sub/deep")).expect("linked");
    symlink("../cache/CACHEDIR.TAG", both.join("CACHEDIR.TAG")).expect("linked");
    let expected = ["CACHEDIR.TAG".into(), ".nobackup".into(), "sub/deep".into()];
    assert_eq!(tags("both", true), expected);

    let dangling = make("dangling");
    symlink("nowhere", dangling.join(".nobackup")).expect("linked");
    let fifo = bytes(&dangling.join("CACHEDIR.TAG")).to_vec();
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).expect("a fifo");
    assert_eq!(tags("dangling", true), []);
}

#[test]
fn special_files_are_followed_only_on_request() {
    if !is_root() {
        eprintln!("skipped: only root may do this");
        return;
    }
    let temp = temporary();
    symlink("/dev/zero", temp.path().join("zero")).expect("linked");
    let dir = open_dir(temp.path());
    let place = Place::entry(&dir, b"zero", b"zero");
    assert!(place.stat_target().expect("there").kind().is_special());
    place.open_file(OpenMode::Special).expect_err("a symlink");
    let file = place.open_file(OpenMode::SpecialFollow).expect("a device");
    let mut buffer = [1; 9];
    assert_eq!(file.read_full(&mut buffer).expect("readable"), 9);
    assert_eq!(buffer, [0; 9]);
}
