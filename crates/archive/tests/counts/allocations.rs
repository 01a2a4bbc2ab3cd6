//! How often memory is asked for: for each item that is read or written, and for each large chunk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ironborg_archive::Session;
use ironborg_archive::create::create;
use ironborg_archive::extract::{Destination, ExtractOptions, extract};
use ironborg_archive::items::{PartFiles, with_items};
use ironborg_archive::tar::{ExportOptions, TarFormat, export};
use ironborg_crypto::KeyMode;
use ironborg_object::Compression;
use ironborg_source::{PatternMatcher, RestoreOptions};
use ironborg_storage::LocalStorage;
use ironborg_testkit::{Allocated, CountingAllocator};

use crate::alone;
use crate::machine::{Machine, quick_directory};
use crate::stage::{Stage, close, create_options};

/// Files of the smaller tree; the larger one has twice as many.
const FILES: usize = 1500;
/// A change is told from one that long ago by its time.
const SETTLED: Duration = Duration::from_millis(2100);
/// Bytes of a large chunk, and how many the smaller file has.
pub(crate) const CHUNK_LEN: usize = 1 << 20;
pub(crate) const CHUNKS: usize = 12;

/// A repository on a disk: nothing there takes memory for what it keeps.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    pub(crate) stage: Stage,
}

impl Scene {
    pub(crate) fn new(mode: KeyMode) -> Self {
        let dir = quick_directory();
        let machine = Machine::doomed(dir.path().join("home"), "memory");
        let storage = LocalStorage::new(dir.path().join("repository"));
        let source = dir.path().join("source");
        fs::create_dir(&source).expect("there is room");
        let stage = Stage::new(machine, Arc::new(storage), source);
        stage.init(mode).expect("a repository is made");
        // Segments as large as they usually are: each has a buffer of its own.
        let mut repository = stage.repository().expect("it opens");
        let mut config = repository.config().clone();
        config.set("repository", "max_segment_size", "524288000");
        repository.save_config(config).expect("there is room");
        repository.close().expect("it closes");
        Self { dir, stage }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Counts what something does with an open repository.
    pub(crate) fn counted(&self, act: impl FnOnce(&mut Session)) -> Allocated {
        let mut session = self.stage.session().expect("it opens");
        CountingAllocator::start();
        act(&mut session);
        let counted = CountingAllocator::counted();
        close(session).expect("it closes");
        counted
    }

    pub(crate) fn create(
        &self,
        name: &str,
        change: impl FnOnce(&mut ironborg_archive::create::CreateOptions),
    ) -> Allocated {
        let mut options = create_options(name, &self.stage.source);
        options.checkpoints.volume = 0;
        options.compression = Compression::None;
        change(&mut options);
        self.counted(|session| {
            create(session, &options).expect("it is made");
        })
    }
}

/// Everything in an archive.
pub(crate) fn everything() -> ExtractOptions {
    ExtractOptions {
        matcher: PatternMatcher::new([], true),
        strip_components: 0,
        parts: PartFiles::Skip,
        list: false,
    }
}

/// A tree of so many files.
fn tree(files: usize) -> Scene {
    let scene = Scene::new(KeyMode::None);
    for file in 0..files {
        let dir = scene.stage.source.join(format!("dir{}", file / 100));
        fs::create_dir_all(&dir).expect("there is room");
        fs::write(dir.join(format!("file{file}")), format!("content {file}"))
            .expect("there is room");
    }
    // What is as young as the youngest file may still change: it would be read again.
    thread::sleep(Duration::from_millis(20));
    fs::write(scene.stage.source.join("youngest"), "").expect("there is room");
    scene
}

/// What is counted of such a tree: of a first backup, one of nothing new, reading the items, a tarball, an extraction.
fn of_files(scene: &Scene, files: usize) -> [Allocated; 5] {
    let first = scene.create("first", |_| ());
    let unchanged = scene.create("second", |_| ());
    let read = scene.counted(|session| {
        let archive = session.load_archive(b"first").expect("it is there");
        let mut count = 0;
        with_items(session, &archive, PartFiles::Skip, |items| {
            items.for_each(|item| {
                count += usize::from(item.chunks.is_some());
                Ok::<_, ironborg_archive::ArchiveError>(std::ops::ControlFlow::Continue(()))
            })
        })
        .expect("it is read");
        assert_eq!(count, files + 1);
    });
    let tar = scene.counted(|session| {
        let archive = session.load_archive(b"first").expect("it is there");
        let options = ExportOptions {
            matcher: PatternMatcher::new([], true),
            strip_components: 0,
            parts: PartFiles::Skip,
            list: false,
            format: TarFormat::Gnu,
        };
        export(session, &archive, &mut io::sink(), options).expect("it is written");
    });
    let out = scene.path("out");
    fs::create_dir(&out).expect("there is room");
    let extracted = scene.counted(|session| {
        let archive = session.load_archive(b"first").expect("it is there");
        let destination = Destination::Directory {
            path: out.as_os_str().as_encoded_bytes(),
            attributes: RestoreOptions {
                numeric_ids: true,
                acls: true,
                xattrs: true,
                flags: true,
            },
            sparse: false,
        };
        extract(session, &archive, destination, everything()).expect("it is extracted");
    });
    [first, unchanged, read, tar, extracted]
}

#[test]
fn an_item_asks_for_memory_so_often() {
    let _alone = alone();
    let trees = [FILES, 2 * FILES].map(|files| (tree(files), files));
    // That a file has no attributes is remembered of one that has not just been changed.
    thread::sleep(SETTLED);
    let [small, large] = trees.map(|(scene, files)| of_files(&scene, files));
    let limits = [
        ("a first backup", 1200),
        ("a backup of nothing new", 80),
        ("reading items", 50),
        ("a tarball", 400),
        ("an extraction", 1500),
    ];
    let mut over = Vec::new();
    for ((what, most), (small, large)) in limits.into_iter().zip(small.into_iter().zip(large)) {
        let counted = large.calls.saturating_sub(small.calls) * 100 / FILES as u64;
        println!(
            "{what}: {}.{:02} allocations for each file",
            counted / 100,
            counted % 100
        );
        if counted > most {
            over.push(format!("{what}: {counted} hundredths, at most {most}"));
        }
    }
    assert_eq!(over, [""; 0]);
}

pub(crate) fn write_large(path: &Path, chunks: usize) {
    let mut content = vec![7; chunks * CHUNK_LEN];
    for (number, chunk) in content.chunks_mut(CHUNK_LEN).enumerate() {
        chunk[..8].copy_from_slice(&number.to_le_bytes());
    }
    fs::write(path, content).expect("there is room");
}

/// Buffers of the size of a chunk that a backup of one file and its extraction ask for.
fn of_chunks(chunks: usize) -> [Allocated; 2] {
    let scene = Scene::new(KeyMode::None);
    write_large(&scene.stage.source.join("large"), chunks);
    let created = scene.create("large", |options| {
        options.chunker = "fixed,1048576".parse().expect("parameters");
    });
    let verified = scene.counted(|session| {
        let archive = session.load_archive(b"large").expect("it is there");
        extract(session, &archive, Destination::Nowhere, everything()).expect("it is read");
    });
    [created, verified]
}

/// The buffers that chunks go through are there once, however many chunks there are.
#[test]
fn large_chunks_go_through_buffers_that_are_used_again() {
    let _alone = alone();
    let (small, large) = (of_chunks(CHUNKS), of_chunks(3 * CHUNKS));
    for (what, (small, large)) in ["created", "verified"]
        .into_iter()
        .zip(small.into_iter().zip(large))
    {
        println!(
            "{what}: {} large allocations for {CHUNKS} chunks of 1 MiB, {} for {}",
            small.large,
            large.large,
            3 * CHUNKS
        );
        let more = large.large.saturating_sub(small.large);
        // One where a worker begins a buffer anew because others still seal what is in the last one, and where more objects
        // come back than are kept: how often depends on who is faster. A buffer for each stage would be three a chunk.
        assert!(
            more <= 2 * CHUNKS as u64,
            "{what}: {more} more for {} chunks more",
            2 * CHUNKS
        );
    }
}
