//! Archives that mean harm: nothing outside of the restored directory is read, written or changed.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use ironborg_source::attributes::UF_NODUMP;
use ironborg_source::{AttributeValues, FileKind, Place};
use ironborg_types::{ErrorKind, NullReporter};

use crate::restore::{
    DIRECTORY, REGULAR, SYMLINK, fingerprint, make_dir, make_link, values, write_file,
};
use crate::{EVERYTHING, bytes, restore_root, temporary};

/// Every hostile path is refused, and the outside stays as it was.
#[test]
fn nothing_gets_out_of_the_directory() {
    let temp = temporary();
    let (inside, outside) = (temp.path().join("inside"), temp.path().join("outside"));
    fs::create_dir(&inside).expect("made");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("victim"), b"safe").expect("written");
    fs::set_permissions(outside.join("victim"), fs::Permissions::from_mode(0o640)).expect("set");
    let before = fingerprint(&outside.join("victim"));
    let root = restore_root(&inside, EVERYTHING);
    make_link(&root, "up", "../outside").expect("a symlink may point anywhere");
    make_link(&root, "absolute", bytes_as_str(&outside)).expect("as well");
    make_link(&root, "file", "../outside/victim").expect("as well");
    make_dir(&root, "d").expect("made");
    make_link(&root, "d/up", "../../outside").expect("as well");
    write_file(&root, "plain", b"").expect("written");

    let check = |path: &str, expected: ErrorKind| {
        let results = [
            write_file(&root, path, b"evil"),
            make_dir(&root, path).map(|_| ()),
            make_link(&root, path, "evil"),
            root.prepare_again(path.as_bytes()).map(|_| ()),
        ];
        for result in results {
            assert_eq!(result.expect_err(path).kind(), expected, "{path}");
        }
    };
    for path in [
        "up/victim",
        "absolute/victim",
        "d/up/victim",
        "up/x/y",
        "./up//victim",
        "plain/x",
    ] {
        check(path, ErrorKind::BackupSymlinkParentError);
    }
    for path in [
        "d/../../outside/victim",
        "d/..",
        "..",
        "d/../x",
        "./../outside/x",
        "x/../../y",
    ] {
        check(path, ErrorKind::BackupPathTraversalError);
    }
    for path in ["/etc/ironborg-test", "../outside/victim", "//x"] {
        check(path, ErrorKind::Exception);
    }
    check("nul\0in/name", ErrorKind::BackupOSError);

    // Attributes of a symlink are the symlink's own.
    let target = root.prepare(b"file", FileKind::Symlink).expect("free");
    target.create_symlink(b"../outside/victim").expect("made");
    for mode in [SYMLINK | 0o777, REGULAR | 0o777, DIRECTORY | 0o777] {
        let wanted = AttributeValues {
            uid: 4711,
            gid: 4711,
            flags: Some(u64::from(UF_NODUMP)),
            acl_access: Some(b"user::rwx\nuser:9999:r--:9999\ngroup::r-x\nmask::r-x\nother::---"),
            ..values(mode)
        };
        // A lie about the type is an error about the mode; what counts is the victim.
        let _ = target.set_attributes(&wanted, &NullReporter);
    }
    let after = fingerprint(&outside.join("victim"));
    assert_eq!(before, after);
    assert_eq!(fs::read(outside.join("victim")).expect("there"), b"safe");
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 1);
}

fn bytes_as_str(path: &Path) -> &str {
    path.to_str()
        .expect("a temporary directory has a plain name")
}

/// An archive replaces a directory it has used by a symlink: the open directory must be forgotten.
#[test]
fn a_directory_that_became_a_symlink_is_not_entered() {
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    fs::create_dir(temp.path().join("elsewhere")).expect("made");
    write_file(&root, "d/sub/f", b"x").expect("written");
    fs::remove_dir_all(temp.path().join("d/sub")).expect("removed");
    make_link(&root, "d/sub", "../elsewhere").expect("linked");
    let error = write_file(&root, "d/sub/f", b"x").expect_err("a symlink");
    assert_eq!(error.kind(), ErrorKind::BackupSymlinkParentError);
    let error = write_file(&root, "d/sub/deeper/f", b"x").expect_err("a symlink");
    assert_eq!(error.kind(), ErrorKind::BackupSymlinkParentError);
    assert_eq!(
        fs::read_dir(temp.path().join("elsewhere"))
            .expect("there")
            .count(),
        0
    );
}

#[test]
fn a_fifo_in_the_way_is_never_written_to() {
    let temp = temporary();
    let root = restore_root(temp.path(), EVERYTHING);
    let target = root.prepare(b"x", FileKind::Regular).expect("free");
    let path = temp.path().join("x");
    // Put there after the place was made, as by somebody else.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bytes(&path),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a fifo");
    let reader = Place::path(bytes(&path))
        .open_file(ironborg_source::walk::OpenMode::Normal)
        .expect("opened");
    let error = target.create_file().expect_err("not a file");
    assert_eq!(
        error.to_string(),
        format!("open: [Errno 17] File exists: '{}'", path.display())
    );
    drop(reader);
    let target = root.prepare(b"x", FileKind::Regular).expect("removed");
    target.create_file().expect("a file now");
    assert!(
        !fs::symlink_metadata(&path)
            .expect("there")
            .file_type()
            .is_fifo()
    );
}
