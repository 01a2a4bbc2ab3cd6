//! Extraction: every attribute, every option, nothing lost by doing it in parallel.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as make_symlink};
use std::path::{Path, PathBuf};

use ironborg_archive::extract::{Destination, ExtractOptions, ExtractOutcome, extract};
use ironborg_archive::items::{PartFiles, with_items};
use ironborg_archive::{ArchiveError, Session};
use ironborg_format::item::Item;
use ironborg_source::{PatternMatcher, RestoreOptions};
use ironborg_testkit::{NodeKind, Snapshot, generated};
use ironborg_types::{BytePath, ErrorKind};
use serde_json::Value;

use crate::archive_writer::{ArchiveWriter, MTIME, directory, hard_link, item, master, symlink};
use crate::machine::{Machine, bytes};

pub(crate) const ALL_ATTRIBUTES: RestoreOptions = RestoreOptions {
    numeric_ids: false,
    acls: true,
    xattrs: true,
    flags: true,
};

pub(crate) fn options(paths: &[&str]) -> ExtractOptions {
    let paths: Vec<BytePath> = paths.iter().map(|path| BytePath::from(*path)).collect();
    ExtractOptions {
        matcher: PatternMatcher::with_include_paths([], &paths).expect("good patterns"),
        strip_components: 0,
        parts: PartFiles::Skip,
        list: true,
    }
}

pub(crate) fn into(
    machine: &Machine,
    archive: &str,
    path: &Path,
    options: ExtractOptions,
) -> Result<ExtractOutcome, ArchiveError> {
    let session = machine.session();
    let archive = session.load_archive(archive.as_bytes())?;
    let attributes = ALL_ATTRIBUTES;
    let destination = Destination::Directory {
        path: bytes(path),
        attributes,
        sparse: false,
    };
    extract(&session, &archive, destination, options)
}

/// A machine whose repository holds an archive `a` written by `write`.
pub(crate) fn machine_with(write: impl FnOnce(&mut ArchiveWriter<'_>)) -> Machine {
    let machine = Machine::with_sample("empty");
    let mut session = machine.exclusive();
    let mut writer = ArchiveWriter::new(&mut session);
    write(&mut writer);
    writer.finish("a");
    drop(session);
    machine
}

fn all_items(session: &Session, archive: &str) -> Vec<Item> {
    let archive = session
        .load_archive(archive.as_bytes())
        .expect("it is there");
    let mut items = Vec::new();
    with_items(session, &archive, PartFiles::Skip, |reader| {
        let mut item = Item::default();
        while reader.next_into(&mut item)? {
            items.push(item.clone());
        }
        Ok::<_, ArchiveError>(())
    })
    .expect("the archive reads");
    items
}

fn is_root() -> bool {
    rustix_uid() == 0
}

fn rustix_uid() -> u32 {
    fs::metadata("/proc/self").expect("there is a /proc").uid()
}

/// Names, kinds, modes, owners, times and hashes, from the recorded listing of stock Borg.
#[track_caller]
fn assert_as_recorded(root: &Path, items: &[Item], recorded: &[Value]) {
    let found = Snapshot::of(root);
    assert_eq!(items.len(), recorded.len());
    for (item, row) in items.iter().zip(recorded) {
        let path = item.path.clone();
        let node = found
            .nodes
            .get(&path.0)
            .unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(
            node.mtime_ns,
            i128::from(item.mtime.expect("it has one")),
            "{path}: mtime"
        );
        assert_eq!(node.mode, item.mode & 0o7777, "{path}: mode");
        match &node.kind {
            NodeKind::File { size, sha256 } => {
                if row["source"] == "" {
                    assert_eq!(row["sha256"], **sha256, "{path}");
                    assert_eq!(row["size"], *size, "{path}");
                } else {
                    let source = row["source"].as_str().expect("text").as_bytes();
                    assert_eq!(node.link_of, found.nodes[source].link_of, "{path}");
                    assert!(node.link_of.is_some(), "{path}");
                }
            }
            NodeKind::Symlink(target) => assert_eq!(item.source.as_ref(), Some(target), "{path}"),
            kind => assert!(row["sha256"] == "", "{path}: {kind:?}"),
        }
        for (name, value) in item.xattrs.iter().flatten() {
            let value = value.clone().unwrap_or_default();
            assert_eq!(node.xattrs.get(name), Some(&value), "{path}");
        }
        let has_acl = node.xattrs.contains_key(&b"system.posix_acl_access"[..]);
        assert_eq!(has_acl, item.acl_access.is_some(), "{path}: ACL");
        if item.user.as_bytes().is_none() && is_root() {
            assert_eq!(
                i64::from(node.uid),
                item.uid.expect("it has one").max(0),
                "{path}: uid"
            );
        }
    }
    // Nothing else was made (the root itself is the empty path).
    assert_eq!(found.nodes.len(), items.len() + 1);
}

#[test]
fn the_rich_tree_comes_back_with_everything() {
    if !is_root() {
        eprintln!("devices, owners and capabilities can only be restored by root");
        return;
    }
    for (sample, threads) in [
        ("mode-repokey", 1),
        ("mode-none", 4),
        ("made-by-1.0.13-repokey", 3),
    ] {
        let mut machine = Machine::with_sample(sample);
        machine.threads = threads;
        let root = machine.dir("out");
        let outcome = into(&machine, "rich", &root, options(&[])).expect("it extracts");
        assert!(!outcome.attributes_missing);
        assert_eq!(machine.warnings(), []);
        let recorded = machine
            .sample
            .archives
            .iter()
            .find(|archive| archive.name == "rich");
        let items = all_items(&machine.session(), "rich");
        assert_as_recorded(&root, &items, &recorded.expect("it is recorded").items);
        assert_eq!(machine.list().len(), items.len());
    }
}

#[test]
fn every_other_sample_archive_restores_to_its_recorded_hashes() {
    for sample in [
        "mixed-compression",
        "uncompacted",
        "no-index",
        "repaired",
        "made-by-1.2.9-repokey",
    ] {
        let machine = Machine::with_sample(sample);
        for recorded in &machine.sample.archives {
            let root = machine.dir(&format!("out-{}", recorded.name));
            into(&machine, &recorded.name, &root, options(&[])).expect("it extracts");
            let found = Snapshot::of(&root);
            let items = all_items(&machine.session(), &recorded.name);
            for (item, row) in items.iter().zip(&recorded.items) {
                if let NodeKind::File { sha256, .. } = &found.nodes[&item.path.0].kind
                    && row["source"] == ""
                {
                    assert_eq!(row["sha256"], **sha256, "{sample}::{}", item.path);
                }
            }
        }
        let broken: Vec<_> = machine.warnings();
        if sample == "repaired" {
            // Stock's template for this class leaves the detail out.
            assert_eq!(
                broken,
                [(ErrorKind::BackupError, "comp/big: backup error".to_owned())]
            );
        } else {
            assert_eq!(broken, []);
        }
    }
}

fn content(label: &str, len: usize) -> Vec<u8> {
    generated(label, len)
}

/// 60 directories of 40 small files, and two large files among them.
fn busy(writer: &mut ArchiveWriter<'_>) {
    writer.add(&directory("top"));
    for dir in 0..60 {
        writer.add(&directory(&format!("top/{dir}")));
        for number in 0..40 {
            let data = content(&format!("{dir}/{number}"), number * 37);
            let chunks: Vec<&[u8]> = if data.is_empty() { vec![] } else { vec![&data] };
            writer.file(&format!("top/{dir}/{number}"), &chunks);
        }
        if dir % 30 == 7 {
            let pieces: Vec<Vec<u8>> = (0..14)
                .map(|n| content(&format!("large {dir} {n}"), 800_000 + n))
                .collect();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            writer.file(&format!("top/{dir}/large"), &pieces);
        }
    }
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    let mut machine = machine_with(busy);
    let mut before: Option<Snapshot> = None;
    for threads in [1, 2, 5] {
        machine.threads = threads;
        let root = machine.dir(&format!("out-{threads}"));
        into(&machine, "a", &root, options(&[])).expect("it extracts");
        let mut found = Snapshot::of(&root);
        found.nodes.remove(&b""[..]); // The root itself is as new as it is.
        let large = &found.nodes[&b"top/37/large"[..]];
        assert!(matches!(large.kind, NodeKind::File { size, .. } if size == 14 * 800_000 + 91));
        // Directories got their time after everything in them was made.
        assert!(
            found
                .nodes
                .values()
                .all(|node| node.mtime_ns == i128::from(MTIME))
        );
        if let Some(before) = &before {
            for (path, node) in &found.nodes {
                let blocks = before.nodes[path].blocks; // The file system's business.
                assert_eq!(
                    &ironborg_testkit::Node {
                        blocks,
                        ..node.clone()
                    },
                    &before.nodes[path]
                );
            }
            assert_eq!(found.nodes.len(), before.nodes.len());
        }
        before = Some(found);
    }
    assert_eq!(machine.warnings(), []);
}

#[test]
fn what_is_in_the_way_is_replaced_as_stock_replaces_it() {
    let machine = machine_with(|writer| {
        writer.add(&directory("dir"));
        writer.file("dir/file", &[b"new"]);
        writer.add(&symlink("link", "dir"));
        writer.file("was-dir", &[b"file now"]);
        writer.file("full", &[b"never"]);
    });
    let root = machine.dir("out");
    fs::create_dir(root.join("dir")).expect("new");
    fs::write(root.join("dir/file"), "something longer that was here").expect("new");
    fs::hard_link(root.join("dir/file"), root.join("dir/other")).expect("new");
    fs::write(root.join("dir/stays"), "stays").expect("new");
    fs::write(root.join("link"), "a file").expect("new");
    fs::create_dir(root.join("was-dir")).expect("new");
    fs::create_dir_all(root.join("full/of")).expect("new");
    into(&machine, "a", &root, options(&[])).expect("it extracts");
    assert_eq!(fs::read(root.join("dir/file")).expect("there"), b"new");
    let other = fs::read(root.join("dir/other")).expect("there");
    assert_eq!(
        other, b"something longer that was here",
        "replaced, not overwritten"
    );
    assert_eq!(fs::read(root.join("dir/stays")).expect("there"), b"stays");
    assert_eq!(
        fs::read_link(root.join("link")).expect("a link"),
        Path::new("dir")
    );
    assert_eq!(fs::read(root.join("was-dir")).expect("there"), b"file now");
    assert!(
        root.join("full/of").is_dir(),
        "a directory that is not empty stays"
    );
    let expected = format!(
        "full: open: [Errno 21] Is a directory: '{}'",
        root.join("full").display()
    );
    assert_eq!(machine.warnings(), [(ErrorKind::BackupOSError, expected)]);
}

fn inode(path: PathBuf) -> u64 {
    fs::symlink_metadata(path).expect("there").ino()
}

fn linked(writer: &mut ArchiveWriter<'_>) {
    writer.add(&directory("d"));
    let chunk = writer.put(b"shared content");
    let first = crate::archive_writer::file("d/first", vec![chunk]);
    writer.add(&master(&first));
    writer.add(&hard_link("d/second", "d/first"));
    writer.file("d/other", &[b"other"]);
    writer.add(&hard_link("d/third", "d/first"));
    let fifo = Item {
        hardlink_master: Some(true),
        ..item("d/fifo", 0o010_644)
    };
    writer.add(&fifo);
    writer.add(&Item {
        source: Some(b"d/fifo".to_vec()),
        ..item("d/fifo2", 0o010_644)
    });
}

#[test]
fn hard_links_are_links_again() {
    let machine = machine_with(linked);
    let root = machine.dir("out");
    into(&machine, "a", &root, options(&[])).expect("it extracts");
    assert_eq!(inode(root.join("d/first")), inode(root.join("d/second")));
    assert_eq!(inode(root.join("d/first")), inode(root.join("d/third")));
    assert_eq!(inode(root.join("d/fifo")), inode(root.join("d/fifo2")));
    assert_ne!(inode(root.join("d/first")), inode(root.join("d/other")));
}

#[test]
fn the_first_link_selected_takes_the_content_of_a_master_that_is_not() {
    let machine = machine_with(linked);
    let root = machine.dir("out");
    into(
        &machine,
        "a",
        &root,
        options(&["d/second", "d/third", "d/fifo2"]),
    )
    .expect("it extracts");
    assert_eq!(
        fs::read(root.join("d/second")).expect("there"),
        b"shared content"
    );
    assert_eq!(inode(root.join("d/second")), inode(root.join("d/third")));
    assert!(!root.join("d/first").exists());
    assert!(
        !fs::symlink_metadata(root.join("d/fifo2"))
            .expect("there")
            .is_file()
    );
}

#[test]
fn components_are_stripped_from_links_too() {
    let machine = machine_with(linked);
    let root = machine.dir("out");
    let stripped = ExtractOptions {
        strip_components: 1,
        ..options(&[])
    };
    into(&machine, "a", &root, stripped).expect("it extracts");
    assert_eq!(
        machine.list(),
        ["first", "second", "other", "third", "fifo", "fifo2"]
    );
    assert_eq!(inode(root.join("first")), inode(root.join("third")));
    assert_eq!(machine.warnings(), []);
}

#[test]
fn of_several_items_for_one_path_the_last_one_stays() {
    let mut machine = machine_with(|writer| {
        for round in 0..50 {
            for name in 0..20 {
                writer.file(
                    &format!("{round}/{name}"),
                    &[format!("round {round}").as_bytes()],
                );
            }
        }
        writer.add(&symlink("x/3", "gone"));
        writer.add(&directory("x/4"));
        writer.file("y/4/below", &[b"below"]);
    });
    machine.threads = 4;
    let root = machine.dir("out");
    let stripped = ExtractOptions {
        strip_components: 1,
        ..options(&[])
    };
    into(&machine, "a", &root, stripped).expect("it extracts");
    for name in 0..20 {
        let path = root.join(name.to_string());
        match name {
            3 => assert_eq!(fs::read_link(path).expect("a link"), Path::new("gone")),
            4 => assert_eq!(fs::read(path.join("below")).expect("there"), b"below"),
            _ => assert_eq!(fs::read(path).expect("there"), b"round 49"),
        }
    }
    assert_eq!(machine.warnings(), []);
}

#[test]
fn only_what_the_paths_select_is_made_and_paths_without_a_match_are_named() {
    let machine = machine_with(busy);
    let root = machine.dir("out");
    into(
        &machine,
        "a",
        &root,
        options(&["top/3", "nosuch", "top/4/5"]),
    )
    .expect("it extracts");
    let found = Snapshot::of(&root);
    assert_eq!(
        found.nodes.len(),
        1 + 1 + 41 + 1 + 1,
        "root, top, top/3 and all below, top/4, its file"
    );
    let expected = "Include pattern 'nosuch' never matched.".to_owned();
    assert_eq!(
        machine.warnings(),
        [(ErrorKind::IncludePatternNeverMatchedWarning, expected)]
    );
}

#[test]
fn chunks_of_zeros_become_holes_if_wanted() {
    const MIB: usize = 1 << 20;
    let zeros = vec![0_u8; MIB];
    let machine = machine_with(|writer| {
        let data = content("data", MIB);
        writer.file(
            "large",
            &[&data, &zeros, &zeros, &zeros, &data, &zeros, &zeros, &zeros],
        );
        writer.file("small", &[&zeros, &data[..1000], &zeros]);
    });
    let session = machine.session();
    let archive = session.load_archive(b"a").expect("it is there");
    for sparse in [false, true] {
        let root = machine.dir(&format!("out-{sparse}"));
        let (path, attributes) = (bytes(&root), ALL_ATTRIBUTES);
        let destination = Destination::Directory {
            path,
            attributes,
            sparse,
        };
        extract(&session, &archive, destination, options(&[])).expect("it extracts");
        let large = fs::read(root.join("large")).expect("there");
        assert_eq!(large.len(), 8 * MIB);
        assert_eq!(
            (&large[..MIB], &large[4 * MIB..5 * MIB]),
            (&*content("data", MIB), &*content("data", MIB))
        );
        assert!(large[5 * MIB..].iter().all(|byte| *byte == 0));
        assert_eq!(
            fs::metadata(root.join("small")).expect("there").len(),
            2 * MIB as u64 + 1000
        );
        let blocks = |name: &str| fs::metadata(root.join(name)).expect("there").blocks() * 512;
        if sparse {
            assert!(
                blocks("large") <= 2 * MIB as u64 + 65536,
                "{}",
                blocks("large")
            );
            assert!(blocks("small") <= 65536, "{}", blocks("small"));
        } else {
            assert!(blocks("large") >= 8 * MIB as u64);
        }
    }
}

#[test]
fn standard_output_gets_the_files_one_after_the_other() {
    let machine = machine_with(linked);
    let session = machine.session();
    let archive = session.load_archive(b"a").expect("it is there");
    let mut out = Vec::new();
    extract(
        &session,
        &archive,
        Destination::Stream(&mut out),
        options(&[]),
    )
    .expect("it reads");
    // Later hard links have no content of their own.
    assert_eq!(out, b"shared contentother");
}

#[test]
fn progress_counts_bytes_before_each_chunk() {
    let machine = machine_with(|writer| {
        writer.add(&directory("d"));
        writer.file("d/a", &[b"1234", b"123456"]);
        writer.add(&symlink("d/l", "1234567890"));
    })
    .with_progress();
    let root = machine.dir("out");
    into(&machine, "a", &root, options(&[])).expect("it extracts");
    let steps = machine.notes.progress.lock().expect("not poisoned").clone();
    let found: Vec<_> = steps
        .iter()
        .map(|(id, n, of, text)| (&**id, *n, *of, &**text))
        .collect();
    let announcement = "Calculating total archive size for the progress indicator (might take long for large archives)";
    assert_eq!(
        found,
        [
            ("extract", 0, 0, announcement),
            ("extract", 4, 20, "  0.0% Extracting: d/a"),
            ("extract", 10, 20, " 20.0% Extracting: d/a"),
            (
                "extract.permissions",
                1,
                1,
                "Setting directory permissions   0%"
            ),
        ]
    );
}

#[test]
fn restrictive_directories_are_restricted_last() {
    let machine = machine_with(|writer| {
        writer.add(&item("locked", 0o040_500));
        writer.file("locked/file", &[b"inside"]);
    });
    let root = machine.dir("out");
    into(&machine, "a", &root, options(&[])).expect("it extracts");
    let mode = fs::metadata(root.join("locked"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o500);
    assert_eq!(
        fs::read(root.join("locked/file")).expect("there"),
        b"inside"
    );
}

#[test]
fn nothing_is_written_through_a_symlink_that_is_in_the_way() {
    let machine = machine_with(|writer| {
        writer.file("sub/file", &[b"captured"]);
        writer.file("fine", &[b"fine"]);
    });
    let (root, outside) = (machine.dir("out"), machine.dir("outside"));
    make_symlink(&outside, root.join("sub")).expect("new");
    into(&machine, "a", &root, options(&[])).expect("it extracts");
    assert!(!outside.join("file").exists());
    assert_eq!(fs::read(root.join("fine")).expect("there"), b"fine");
    let kinds: Vec<_> = machine
        .warnings()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(kinds, [ErrorKind::BackupSymlinkParentError]);
}

#[test]
fn a_stop_leaves_what_was_done_and_begins_nothing_new() {
    let machine = machine_with(busy).stopping_at("top/40/5");
    let root = machine.dir("out");
    let error = into(&machine, "a", &root, options(&[])).expect_err("it was stopped");
    assert_eq!(error.kind(), ErrorKind::Error);
    assert_eq!(error.to_string(), "Error: Got Ctrl-C / SIGINT.");
    assert_eq!(machine.list().last().map(String::as_str), Some("top/40/5"));
    assert!(root.join("top/3/39").exists());
    assert!(!root.join("top/41").exists());
    assert_eq!(machine.warnings(), []);
    let mut stream = Vec::new();
    let session = machine.session();
    let archive = session.load_archive(b"a").expect("it is there");
    let result = extract(
        &session,
        &archive,
        Destination::Stream(&mut stream),
        options(&[]),
    );
    assert!(result.is_err() && stream.is_empty(), "still asked to stop");
}
