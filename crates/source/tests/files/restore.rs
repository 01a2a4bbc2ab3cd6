//! Putting files back: whole, in place of what is there, and nowhere else.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use ironborg_source::attributes::{AttributeSource, UF_APPEND, UF_IMMUTABLE, UF_NODUMP};
use ironborg_source::restore::{AttributesSet, Target};
use ironborg_source::{
    AttributeOptions, AttributeReader, AttributeValues, FileKind, FileStat, Names, Place,
    RestoreOptions, RestoreRoot, SourceError,
};
use ironborg_types::{ErrorKind, NullReporter};

use crate::{EVERYTHING, Messages, bytes, is_root, restore_root, temporary};

pub(crate) const REGULAR: u32 = 0o100_000;
pub(crate) const DIRECTORY: u32 = 0o040_000;
pub(crate) const SYMLINK: u32 = 0o120_000;

pub(crate) fn values(mode: u32) -> AttributeValues<'static> {
    AttributeValues {
        mode,
        uid: i64::from(rustix::process::geteuid().as_raw()),
        gid: i64::from(rustix::process::getegid().as_raw()),
        user: None,
        group: None,
        mtime_ns: 1_234_567_890_123_456_789,
        atime_ns: None,
        flags: None,
        xattrs: &[],
        acl_access: None,
        acl_default: None,
    }
}

pub(crate) fn write_file(
    root: &RestoreRoot,
    path: &str,
    content: &[u8],
) -> Result<(), SourceError> {
    let file = root
        .prepare(path.as_bytes(), FileKind::Regular)?
        .create_file()?;
    file.write_at(content, 0)?;
    let size = u64::try_from(content.len()).expect("short");
    let set = file.finish(size, &values(REGULAR | 0o644), &NullReporter)?;
    assert_eq!(set, AttributesSet::All);
    Ok(())
}

pub(crate) fn make_dir<'r>(root: &'r RestoreRoot, path: &str) -> Result<Target<'r>, SourceError> {
    let target = root.prepare(path.as_bytes(), FileKind::Directory)?;
    target.create_dir()?;
    Ok(target)
}

pub(crate) fn make_link(root: &RestoreRoot, path: &str, content: &str) -> Result<(), SourceError> {
    root.prepare(path.as_bytes(), FileKind::Symlink)?
        .create_symlink(content.as_bytes())
}

#[test]
fn files_come_back_with_content_holes_and_attributes() {
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    let file = root
        .prepare(b"new/dirs/file", FileKind::Regular)
        .and_then(Target::create_file)
        .expect("created");
    file.write_at(b"end", 100_000).expect("written");
    file.write_at(b"start", 0).expect("written");
    let set = file.finish(3_000_000, &values(REGULAR | 0o4751), &NullReporter);
    assert_eq!(set, Ok(AttributesSet::All));
    let path = temp.path().join("new/dirs/file");
    let stat = Place::path(bytes(&path)).stat().expect("there");
    assert_eq!(stat.mode, REGULAR | 0o4751);
    assert_eq!(stat.mtime_ns, 1_234_567_890_123_456_789);
    assert_eq!(stat.atime_ns, 1_234_567_890_123_456_789);
    let content = fs::read(&path).expect("there");
    assert_eq!(content.len(), 3_000_000);
    assert_eq!(&content[..5], b"start");
    assert_eq!(&content[100_000..100_003], b"end");
    assert!(
        fs::metadata(&path).expect("there").blocks() < 1000,
        "the end is a hole"
    );
}

/// What of a file must be the same after a restore.
pub(crate) fn fingerprint(path: &Path) -> (FileStat, ironborg_source::ExtendedAttributes) {
    let options = AttributeOptions {
        flags: true,
        xattrs: true,
        acls: true,
        numeric_ids: false,
    };
    let stat = Place::path(bytes(path)).stat().expect("there");
    let attributes = AttributeReader::new(options, Arc::new(Names::new()))
        .read(
            AttributeSource::Place(Place::path(bytes(path))),
            &stat,
            &NullReporter,
        )
        .expect("readable");
    (stat, attributes)
}

#[test]
fn every_attribute_of_every_type_survives() {
    if !is_root() {
        eprintln!("skipped: only root may do this");
        return;
    }
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    let xattrs = [
        (b"trusted.empty".to_vec(), None),
        (b"trusted.name".to_vec(), Some(b"\0value\xff".to_vec())),
    ];
    let acl = b"user::rwx\nuser:9999:r--:9999\ngroup::r-x\nmask::r-x\nother::---";
    let null = fs::metadata("/dev/null").expect("there").rdev();
    for (name, file_type) in [
        ("file", REGULAR),
        ("dir", DIRECTORY),
        ("link", SYMLINK),
        ("fifo", 0o010_000),
        ("char", 0o020_000),
        ("block", 0o060_000),
    ] {
        let kind = FileKind::of_mode(file_type);
        let is_link = kind == FileKind::Symlink;
        let has_flags = matches!(kind, FileKind::Regular | FileKind::Directory);
        let wanted = AttributeValues {
            uid: 4711,
            gid: 4712,
            user: Some(b"no such user here"),
            group: Some(b"no such group here"),
            atime_ns: Some(-1_500_000_000),
            flags: Some(u64::from(UF_NODUMP | 0x8000)),
            xattrs: &xattrs,
            acl_access: Some(acl),
            acl_default: (kind == FileKind::Directory).then_some(&acl[..]),
            // The group's bits are the mask's: they have to fit.
            ..values(file_type | if is_link { 0o777 } else { 0o2750 })
        };
        let target = root.prepare(name.as_bytes(), kind).expect("free");
        let set = if kind == FileKind::Regular {
            let file = target.create_file().expect("created");
            file.finish(0, &wanted, &NullReporter)
        } else {
            let created = match kind {
                FileKind::Directory => target.create_dir(),
                FileKind::Symlink => target.create_symlink(b"to\xff/nowhere"),
                FileKind::Fifo => target.create_fifo(),
                _ => target.create_device(wanted.mode, null),
            };
            created.expect(name);
            target.set_attributes(&wanted, &NullReporter)
        };
        assert_eq!(set, Ok(AttributesSet::All), "{name}");
        let (stat, attributes) = fingerprint(&temp.path().join(name));
        assert_eq!(stat.mode, wanted.mode, "{name}");
        assert_eq!((stat.uid, stat.gid), (4711, 4712), "{name}");
        assert_eq!(stat.mtime_ns, wanted.mtime_ns, "{name}");
        assert_eq!(stat.atime_ns, -1_500_000_000, "{name}");
        assert_eq!(attributes.xattrs, xattrs, "{name}");
        assert_eq!(
            attributes.flags,
            if has_flags { UF_NODUMP } else { 0 },
            "{name}"
        );
        let has_acl = !is_link;
        assert_eq!(
            attributes.acl_access.as_deref(),
            has_acl.then_some(&acl[..]),
            "{name}"
        );
        assert_eq!(
            attributes.acl_default.as_deref(),
            wanted.acl_default,
            "{name}"
        );
        if matches!(kind, FileKind::CharDevice | FileKind::BlockDevice) {
            assert_eq!(stat.rdev, null, "{name}");
        }
    }
    let target = fs::read_link(temp.path().join("link")).expect("a link");
    assert_eq!(target.as_os_str().as_bytes(), b"to\xff/nowhere");
}

#[test]
fn options_leave_things_out_and_choose_owners() {
    if !is_root() {
        eprintln!("skipped: only root may do this");
        return;
    }
    let temp = temporary();
    let nothing = RestoreOptions {
        numeric_ids: true,
        acls: false,
        xattrs: false,
        flags: false,
    };
    let xattrs = [(b"user.x".to_vec(), None)];
    let wanted = AttributeValues {
        uid: 4711,
        gid: -1,
        user: Some(b"root"),
        group: Some(b"no such group here"),
        flags: Some(u64::from(UF_NODUMP)),
        xattrs: &xattrs,
        acl_access: Some(b"malformed, but not looked at"),
        ..values(DIRECTORY | 0o700)
    };
    let root = restore_root(temp.path(), nothing);
    let target = make_dir(&root, "d").expect("made");
    assert_eq!(
        target.set_attributes(&wanted, &NullReporter),
        Ok(AttributesSet::All)
    );
    let (stat, attributes) = fingerprint(&temp.path().join("d"));
    assert_eq!((stat.uid, stat.gid), (4711, 0), "negative numbers become 0");
    let no_attributes = ironborg_source::ExtendedAttributes {
        is_bare: attributes.is_bare,
        ..Default::default()
    };
    assert_eq!(attributes, no_attributes);

    let root = restore_root(
        temp.path(),
        RestoreOptions {
            numeric_ids: false,
            ..nothing
        },
    );
    let target = make_dir(&root, "e").expect("made");
    assert_eq!(
        target.set_attributes(&wanted, &NullReporter),
        Ok(AttributesSet::All)
    );
    assert_eq!(
        fingerprint(&temp.path().join("e")).0.uid,
        0,
        "the name comes first"
    );
}

#[test]
fn attributes_that_cannot_be_set_are_told_and_the_rest_is_set() {
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    let too_big = vec![0; 70_000];
    let xattrs = [
        (b"user.big".to_vec(), Some(too_big)),
        (b"nonsense".to_vec(), None),
    ];
    let wanted = AttributeValues {
        xattrs: &xattrs,
        acl_access: Some(b"user::rw-\nuser:nobody here:rw-:who\ngroup::r--\nother::---"),
        ..values(DIRECTORY | 0o700)
    };
    let messages = Messages::default();
    let target = make_dir(&root, "d").expect("made");
    let error = target
        .set_attributes(&wanted, &messages)
        .expect_err("no such user");
    let path = temp.path().join("d");
    assert_eq!(
        error.to_string(),
        format!("attrs: [Errno 22] Invalid argument: '{}'", path.display())
    );
    let said = messages.take();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(
        said[0],
        format!(
            "when setting extended attribute user.big: too big for this filesystem \
             ([Errno 7] Argument list too long: b'{}')",
            path.display()
        )
    );
    assert_eq!(
        said[1],
        format!(
            "when setting extended attribute nonsense: [Errno 95] Operation not supported: b'{}'",
            path.display()
        )
    );
    assert_eq!(fingerprint(&path).0.mtime_ns, wanted.mtime_ns);

    let no_acl = AttributeValues {
        acl_access: None,
        ..wanted
    };
    let set = target.set_attributes(&no_acl, &messages);
    assert_eq!(set, Ok(AttributesSet::WithWarnings));
}

#[test]
fn immutable_files_come_back_immutable() {
    if !is_root() {
        eprintln!("skipped: only root may do this");
        return;
    }
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    let wanted = AttributeValues {
        flags: Some(u64::from(UF_IMMUTABLE | UF_APPEND)),
        ..values(REGULAR | 0o600)
    };
    let file = root
        .prepare(b"f", FileKind::Regular)
        .and_then(Target::create_file)
        .expect("created");
    file.write_at(b"x", 0).expect("written");
    assert_eq!(
        file.finish(1, &wanted, &NullReporter),
        Ok(AttributesSet::All)
    );
    let path = temp.path().join("f");
    let (stat, attributes) = fingerprint(&path);
    if attributes.flags == 0 {
        eprintln!("skipped: no flags in {}", temp.path().display());
        return;
    }
    assert_eq!(attributes.flags, UF_IMMUTABLE | UF_APPEND);
    assert_eq!(stat.mtime_ns, wanted.mtime_ns, "times are set before");
    let error = write_file(&root, "f", b"y").expect_err("it can neither be removed nor written");
    assert_eq!(error.kind(), ErrorKind::BackupPermissionError);
    assert_eq!(
        error.to_string(),
        format!(
            "open: [Errno 1] Operation not permitted: '{}'",
            path.display()
        )
    );
    let handle = fs::File::open(&path).expect("there");
    rustix::fs::ioctl_setflags(&handle, rustix::fs::IFlags::empty()).expect("or it stays for ever");
}

#[test]
fn what_is_there_is_replaced_as_stock_replaces_it() {
    let temp = temporary();
    let at = |name: &str| temp.path().join(name);
    for name in ["full", "empty", "dir for link"] {
        fs::create_dir(at(name)).expect("made");
    }
    fs::write(at("full/inner"), b"old").expect("written");
    fs::write(at("dir for link/inner"), b"old").expect("written");
    fs::write(at("file"), b"old").expect("written");
    fs::hard_link(at("file"), at("other name")).expect("linked");
    symlink("file", at("link")).expect("linked");
    let root = restore_root(temp.path(), EVERYTHING);

    // A full directory stays, and is in the way.
    let error = write_file(&root, "full", b"new").expect_err("in the way");
    assert_eq!(
        error.to_string(),
        format!(
            "open: [Errno 21] Is a directory: '{}'",
            at("full").display()
        )
    );
    let error = make_link(&root, "dir for link", "x").expect_err("in the way");
    assert_eq!(
        error.to_string(),
        format!(
            "open: [Errno 17] File exists: 'x' -> '{}'",
            at("dir for link").display()
        )
    );
    let error = root
        .prepare(b"full", FileKind::Fifo)
        .and_then(|target| target.create_fifo())
        .expect_err("in the way");
    assert_eq!(error.to_string(), "open: [Errno 17] File exists");
    make_dir(&root, "full").expect("there is one");
    assert!(at("full/inner").exists());

    // Everything else makes way; other names of the file keep their content.
    write_file(&root, "empty", b"new").expect("an empty directory makes way");
    write_file(&root, "file", b"new").expect("a file makes way");
    assert_eq!(fs::read(at("other name")).expect("there"), b"old");
    write_file(&root, "link", b"new too").expect("a symlink makes way");
    assert_eq!(fs::read(at("file")).expect("there"), b"new");
    make_dir(&root, "file").expect("a file makes way");
    make_link(&root, "other name", "somewhere").expect("a file makes way");
    assert!(at("file").is_dir() && at("other name").is_symlink());
}

#[test]
fn hard_links_are_made_between_restored_files() {
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    write_file(&root, "a/first", b"content").expect("written");
    make_link(&root, "a/link", "/etc/passwd").expect("linked");
    let link = |path: &str, source: &str| {
        root.check_link_source(source.as_bytes(), path.as_bytes())?;
        root.prepare(path.as_bytes(), FileKind::Regular)?
            .link_to(source.as_bytes())
    };
    link("b/second", "a/first").expect("linked");
    let ino = |name: &str| {
        fs::symlink_metadata(temp.path().join(name))
            .expect("there")
            .ino()
    };
    assert_eq!(ino("a/first"), ino("b/second"));
    link("b/of link", "a/link").expect("the symlink itself is linked");
    assert_eq!(ino("a/link"), ino("b/of link"));
    let error = link("b/third", "a/none").expect_err("nothing to link to");
    assert_eq!(
        error.to_string(),
        format!(
            "link: [Errno 2] No such file or directory: '{0}/a/none' -> '{0}/b/third'",
            temp.path().display()
        )
    );
    link("b/fourth", "none/none").expect_err("nothing to link to");
    for source in ["../x", "a/../../x", "a/..", "a/link/x"] {
        let error = link("b/bad", source).expect_err(source);
        assert_eq!(
            error,
            SourceError::HardlinkSource {
                path: "b/bad".into()
            },
            "{source}"
        );
    }
}

#[test]
fn directories_get_their_attributes_in_the_end() {
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    make_dir(&root, "d").expect("made");
    write_file(&root, "d/f", b"x").expect("written");
    make_dir(&root, "gone").expect("made");
    make_dir(&root, "replaced").expect("made");
    fs::remove_dir(temp.path().join("gone")).expect("removed");
    fs::remove_dir(temp.path().join("replaced")).expect("removed");
    symlink("d", temp.path().join("replaced")).expect("linked");
    for path in ["d", "gone", "replaced", "."] {
        let target = root.prepare_again(path.as_bytes()).expect(path);
        let set = target.set_attributes(&values(DIRECTORY | 0o1711), &NullReporter);
        assert_eq!(set, Ok(AttributesSet::All), "{path}");
        let stat = fingerprint(&temp.path().join(path)).0;
        assert_eq!(stat.mode, DIRECTORY | 0o1711, "{path}");
        assert_eq!(stat.mtime_ns, 1_234_567_890_123_456_789, "{path}");
    }
    assert!(temp.path().join("d/f").exists());
}

#[test]
fn many_and_deep_directories_are_found_again() {
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    let deep = vec!["a component of some length"; 300].join("/");
    for round in 0..2 {
        for number in 0..40 {
            write_file(&root, &format!("d{number}/e/f{round}"), b"x").expect("written");
        }
        write_file(
            &root,
            &format!("{deep}/file{round}"),
            b"deeper than any path may be long",
        )
        .expect("written");
    }
    for number in 0..40 {
        let entries = fs::read_dir(temp.path().join(format!("d{number}/e"))).expect("there");
        assert_eq!(entries.count(), 2);
    }
    let again = root.prepare_again(deep.as_bytes()).expect("there");
    assert_eq!(
        again.set_attributes(&values(DIRECTORY | 0o755), &NullReporter),
        Ok(AttributesSet::All)
    );
}

#[test]
fn pieces_may_be_written_by_several_threads() {
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    let file = root
        .prepare(OsStr::new("f").as_bytes(), FileKind::Regular)
        .and_then(Target::create_file)
        .expect("created");
    std::thread::scope(|scope| {
        for piece in 0..8_u8 {
            let file = &file;
            scope.spawn(move || {
                file.write_at(&[piece; 1000], u64::from(piece) * 1000)
                    .expect("written");
            });
        }
    });
    let set = file.finish(8000, &values(REGULAR | 0o600), &NullReporter);
    assert_eq!(set, Ok(AttributesSet::All));
    let content = fs::read(temp.path().join("f")).expect("there");
    assert_eq!(content.len(), 8000);
    assert!(
        content
            .iter()
            .enumerate()
            .all(|(at, &byte)| usize::from(byte) == at / 1000)
    );
}
