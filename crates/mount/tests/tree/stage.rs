//! A repository with a few archives, and its tree.

use std::ops::ControlFlow;
use std::sync::Arc;

use ironborg_archive::items::PartFiles;
use ironborg_archive::selection::{ArchiveSelection, SortKey};
use ironborg_archive::{ArchiveError, Session};
use ironborg_format::item::Item;
use ironborg_mount::content::Budget;
use ironborg_mount::follow::{Follower, Opens};
use ironborg_mount::tree::attributes::Attributes;
use ironborg_mount::tree::inode::Inode;
use ironborg_mount::tree::{DirectoryHandle, Entry, Reading, Root, Tree};
use ironborg_mount::{MountError, MountOwner, MountWords, ViewOptions};
use ironborg_repository::{LockMode, OpenOptions, SnapshotRepository, process_identity};
use ironborg_types::Reporter;

use crate::archive_writer::{ArchiveWriter, directory, hard_link, item, master, symlink};
use crate::machine::Machine;

pub(crate) const READING: Reading = Reading {
    threads: 2,
    budget: Budget::DEFAULT,
};

/// Opens the machine's repository again.
struct Again(Arc<Machine>);

impl Opens for Again {
    fn open(&self) -> Result<Session, ArchiveError> {
        open(&self.0)
    }
}

fn open(machine: &Machine) -> Result<Session, ArchiveError> {
    let client = machine.client();
    let options = OpenOptions {
        lock: LockMode::None,
        lock_wait: None,
        owner: process_identity("test@1"),
        append_only: false,
        storage_quota: None,
        reporter: Arc::clone(&client.reporter),
    };
    let repository = SnapshotRepository::open(&machine.repository, &options)?;
    Session::open(client, Box::new(repository), &[])
}

pub(crate) fn follower(machine: &Arc<Machine>) -> Arc<Follower> {
    let session = open(machine).expect("the repository opens");
    Arc::new(Follower::new(session, Box::new(Again(Arc::clone(machine)))))
}

/// A view with these words of `-o`; archives in order of time, as on the command line.
pub(crate) fn view(words: &str) -> ViewOptions {
    ViewOptions {
        rules: Vec::new(),
        paths: Vec::new(),
        strip_components: 0,
        parts: PartFiles::Skip,
        selection: ArchiveSelection {
            sort_by: vec![SortKey::Timestamp],
            ..ArchiveSelection::default()
        },
        numeric_ids: false,
        default_owner: MountOwner { uid: 70, gid: 80 },
        words: MountWords::parse(Some(words)).expect("they are words"),
    }
}

pub(crate) fn tree(machine: &Machine, root: Root, view: &ViewOptions) -> Tree {
    let reporter = Arc::clone(&machine.notes) as Arc<dyn Reporter>;
    Tree::new(root, view, READING, reporter).expect("all paths are paths")
}

/// The tree of one archive of a machine.
pub(crate) fn archive_tree(machine: &Arc<Machine>, name: &str, view: &ViewOptions) -> Tree {
    let follower = follower(machine);
    let archive = follower.session().load_archive(name.as_bytes());
    let archive = Box::new(archive.expect("it is there"));
    tree(machine, Root::Archive(follower, archive), view)
}

/// A machine whose repository has an archive `kinds` besides those of the sample.
pub(crate) fn machine() -> Arc<Machine> {
    let machine = Machine::with_sample("mode-repokey");
    let mut session = machine.exclusive();
    let mut writer = ArchiveWriter::new(&mut session);
    writer.add(&Item {
        acl_access: Some(b"user::rwx\nuser:root:r-x:0\ngroup::r-x\nmask::r-x\nother::r-x".to_vec()),
        acl_default: Some(b"user::rwx\ngroup::r-x\nother::---".to_vec()),
        ..directory("top")
    });
    let first = writer.put(b"first ");
    let second = writer.put(b"second");
    let file = Item {
        xattrs: Some(vec![
            (b"user.color".to_vec(), Some(b"blue".to_vec())),
            (b"user.empty".to_vec(), None),
        ]),
        uid: Some(7),
        gid: Some(-1),
        atime: Some(5),
        ctime: Some(-3_000_000_001),
        acl_access: Some(b"user::rw-\ngroup::r--\nother::r--".to_vec()),
        ..master(&crate::archive_writer::file(
            "top/file",
            vec![first, second],
        ))
    };
    writer.add(&file);
    writer.add(&hard_link("top/again", "top/file"));
    writer.add(&symlink("top/link", "file"));
    writer.add(&Item {
        rdev: Some(0x1_0000_0000 | 0x0812),
        ..item("top/device", 0o060_640)
    });
    let damaged = crate::archive_writer::file("top/damaged", vec![first]);
    writer.add(&Item {
        chunks_healthy: Some(vec![second]),
        ..damaged
    });
    for n in 0..200 {
        writer.file(&format!("many/{n}"), &[format!("content {n}").as_bytes()]);
    }
    writer.add(&item("strange", 0o644));
    writer.finish("kinds");
    drop(session);
    Arc::new(machine)
}

/// One more archive in the machine's repository.
pub(crate) fn add_archive(machine: &Machine, name: &str) {
    let mut session = machine.exclusive();
    let mut writer = ArchiveWriter::new(&mut session);
    writer.file("one", &[name.as_bytes()]);
    writer.finish(name);
}

/// Follows a path from the root.
pub(crate) fn walk(tree: &Tree, path: &str) -> Result<Attributes, MountError> {
    let mut at = tree.attributes(Inode::ROOT)?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        at = tree.lookup(at.inode, name.as_bytes())?;
    }
    Ok(at)
}

/// Names and attributes of a directory, asked for in answers of `room` entries each.
pub(crate) fn list(
    tree: &Tree,
    directory: Inode,
    room: usize,
) -> Result<Vec<(String, Attributes)>, MountError> {
    let handle = tree.open_directory(directory)?;
    let listed = list_open(tree, directory, handle, room);
    tree.close_directory(handle);
    listed
}

pub(crate) fn list_open(
    tree: &Tree,
    directory: Inode,
    handle: DirectoryHandle,
    room: usize,
) -> Result<Vec<(String, Attributes)>, MountError> {
    let mut found = Vec::new();
    let mut from = 0;
    loop {
        let before = found.len();
        tree.list(directory, handle, from, room, &mut |entry: Entry<'_>| {
            if found.len() - before == room {
                return ControlFlow::Break(());
            }
            from = entry.next;
            found.push((
                String::from_utf8_lossy(entry.name).into_owned(),
                entry.attributes,
            ));
            ControlFlow::Continue(())
        })?;
        if found.len() == before {
            return Ok(found);
        }
    }
}

/// The names among what was listed, without the two that are always there.
pub(crate) fn names(listed: &[(String, Attributes)]) -> Vec<&str> {
    let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..2], [".", ".."]);
    names[2..].to_vec()
}

pub(crate) fn read(tree: &Tree, inode: Inode) -> Result<Vec<u8>, MountError> {
    let mut bytes = Vec::new();
    tree.read(inode, 0, 1 << 20)?.copy_to(&mut bytes);
    Ok(bytes)
}
