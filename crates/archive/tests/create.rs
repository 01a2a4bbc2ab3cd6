//! Making archives in real repositories: what is in them, whatever the number of threads.

// A test that cannot set its scene has failed.
#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ironborg_archive::create::{
    CheckpointPolicy, CreateOptions, Created, FilesChanged, Input, Metadata, PipedFile, Selection,
    create,
};
use ironborg_archive::references::ChunkReferences;
use ironborg_archive::{
    ArchiveError, Client, ClientDirectories, Identity, PassphraseError, PassphraseSource, Session,
    Workarounds,
};
use ironborg_cache::FilesCacheMode;
use ironborg_chunker::ChunkerParams;
use ironborg_crypto::{KeyMode, Passphrase};
use ironborg_format::{Item, ItemDecoder};
use ironborg_object::{Compression, Opener};
use ironborg_repository::{
    CreateOptions as RepositoryOptions, LocalRepository, LockMode, LockOptions, OpenOptions,
    process_identity,
};
use ironborg_source::PatternMatcher;
use ironborg_types::{Answer, BytePath, ChunkId, Event, Interrupt, Question, Questioner, Reporter};

static NEVER: Interrupt = Interrupt::new();

struct Fixed;

impl PassphraseSource for Fixed {
    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        Ok(Some(Passphrase::new(b"test".to_vec())))
    }

    fn ask(&self, _: &str) -> Result<Passphrase, PassphraseError> {
        unreachable!("one is given")
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new(b"test".to_vec()))
    }
}

impl Questioner for Fixed {
    fn ask(&self, _: &Question<'_>) -> Answer {
        Answer::Yes
    }
}

/// Remembers list lines and warnings.
#[derive(Default)]
struct Lines(
    Mutex<Vec<String>>,
    Mutex<Option<(&'static str, &'static Interrupt)>>,
);

impl Reporter for Lines {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::FileStatus { status, path } => {
                if let Some((end, interrupt)) = *self.1.lock().unwrap()
                    && path.ends_with(end.as_bytes())
                {
                    interrupt.request_stop();
                }
                let line = format!("{status} {}", ironborg_types::text::display(path));
                self.0.lock().unwrap().push(line);
            }
            Event::Log { level, message, .. } if level >= ironborg_types::Level::Warning => {
                self.0.lock().unwrap().push(message.into_owned());
            }
            Event::Warning { message, .. } => self.0.lock().unwrap().push(message.into_owned()),
            _ => {}
        }
    }

    fn wants_list(&self) -> bool {
        true
    }
}

struct Machine {
    dir: tempfile::TempDir,
    lines: Arc<Lines>,
}

impl Machine {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            lines: Arc::default(),
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn client(&self, threads: usize) -> Client {
        Client {
            directories: ClientDirectories {
                keys: self.path("keys"),
                security: self.path("security"),
                cache: self.path("cache"),
                key_file: None,
            },
            reporter: Arc::clone(&self.lines) as Arc<dyn Reporter>,
            questioner: Arc::new(Fixed),
            passphrases: Arc::new(Fixed),
            interrupt: self
                .lines
                .1
                .lock()
                .unwrap()
                .map_or(&NEVER, |(_, interrupt)| interrupt),
            unlocked: None,
            workarounds: Workarounds::default(),
            identity: Identity {
                cwd: b"/".to_vec(),
                ..Identity::default()
            },
            threads,
            location: self.path("repo").display().to_string(),
            lock: LockOptions {
                exclusive: true,
                wait: Some(Duration::from_secs(1)),
                owner: process_identity("test@1"),
            },
            subprocess_environment: Vec::new(),
            memory: ironborg_types::MemoryLimit::NONE,
            key_file_stem: "repo".into(),
        }
    }

    fn open_options(&self) -> OpenOptions {
        OpenOptions {
            lock: LockMode::Exclusive,
            lock_wait: Some(Duration::from_secs(1)),
            owner: process_identity("test@1"),
            append_only: false,
            storage_quota: None,
            reporter: Arc::clone(&self.lines) as Arc<dyn Reporter>,
        }
    }

    fn init(&self, mode: KeyMode) -> Session {
        let create = RepositoryOptions {
            append_only: false,
            storage_quota: None,
            make_parent_dirs: false,
        };
        let repository =
            LocalRepository::create(&self.path("repo"), &create, self.open_options()).unwrap();
        Session::init(self.client(2), Box::new(repository), mode, None).unwrap()
    }

    fn open(&self, threads: usize) -> Session {
        let repository = LocalRepository::open(&self.path("repo"), self.open_options()).unwrap();
        Session::open(self.client(threads), Box::new(repository), &[]).unwrap()
    }

    fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.0.lock().unwrap())
    }
}

fn options(name: &str, roots: &[&Path]) -> CreateOptions {
    let bytes = |path: &&Path| BytePath::new(path.as_os_str().as_encoded_bytes());
    CreateOptions {
        name: name.into(),
        comment: Vec::new(),
        timestamp: None,
        input: Input::Roots(roots.iter().map(bytes).collect()),
        piped: PipedFile {
            name: "stdin".into(),
            user: b"root".to_vec(),
            group: b"root".to_vec(),
            mode: 0o660,
        },
        selection: Selection {
            matcher: PatternMatcher::new([], true),
            exclude_caches: false,
            exclude_if_present: Vec::new(),
            keep_exclude_tags: false,
            exclude_nodump: false,
            one_file_system: false,
            read_special: false,
            never: Vec::new(),
        },
        metadata: Metadata::default(),
        files_changed: FilesChanged::Ctime,
        files_cache: FilesCacheMode::DEFAULT,
        files_cache_suffix: String::new(),
        files_cache_ttl: 20,
        chunker: ChunkerParams::Buzhash {
            min_exp: 10,
            max_exp: 16,
            mask_bits: 12,
            window: 4095,
        },
        sparse: false,
        compression: Compression::default(),
        checkpoints: CheckpointPolicy {
            interval: Duration::ZERO,
            volume: 0,
        },
    }
}

fn items(session: &Session, created: &Created) -> Vec<Item> {
    let archive = session.load_archive(&created.name).unwrap();
    let (mut decoder, mut opener) = (ItemDecoder::new(), Opener::new());
    let (mut object, mut data) = (Vec::new(), Vec::new());
    let mut items = Vec::new();
    for id in &archive.metadata.items {
        session.repository.get(id, &mut object).unwrap();
        opener.open(&session.key, id, &object, &mut data).unwrap();
        decoder.push(&data);
        let mut item = Item::default();
        while decoder.next_into(&mut item).unwrap() {
            items.push(item.clone());
        }
    }
    decoder.finish().unwrap();
    items
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(next).collect()
}

fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("many")).unwrap();
    for n in 0..700_u32 {
        fs::write(
            root.join("many").join(format!("f{n}")),
            noise(n as usize % 90, u64::from(n)),
        )
        .unwrap();
    }
    fs::write(root.join("large"), noise(40 << 20, 7)).unwrap();
    fs::write(root.join("middle"), noise(700_000, 8)).unwrap();
    fs::write(root.join("zeros"), vec![0; 3 << 20]).unwrap();
    fs::write(root.join("empty"), []).unwrap();
    symlink("large", root.join("link")).unwrap();
    fs::hard_link(root.join("middle"), root.join("zz-hard")).unwrap();
}

#[test]
fn what_an_archive_contains_does_not_depend_on_the_number_of_threads() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    make_tree(&tree);
    let mut reference: Option<Vec<Item>> = None;
    drop(machine.init(KeyMode::RepokeyBlake2));
    for threads in [1, 2, 5] {
        let mut session = machine.open(threads);
        let mut options = options(&format!("a{threads}"), &[&tree]);
        options.files_cache = FilesCacheMode::DISABLED;
        let created = create(&mut session, &options).unwrap();
        assert_eq!(created.stats.nfiles, 704);
        let found = items(&session, &created);
        assert_eq!(found.len(), 708);
        match &reference {
            None => reference = Some(found),
            Some(expected) => {
                assert_eq!(
                    created.stats.unique_csize, 0,
                    "all chunks were stored by the first"
                );
                assert!(*expected == found, "{threads} threads");
            }
        }
    }
}

#[test]
fn a_second_backup_of_an_unchanged_tree_reads_no_file() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    make_tree(&tree);
    let mut session = machine.init(KeyMode::None);
    let first = create(&mut session, &options("one", &[&tree])).unwrap();
    machine.take_lines();
    drop(session);
    // A file younger than all others: the newest ones of a run are never taken for unchanged.
    std::thread::sleep(Duration::from_millis(20));
    fs::write(tree.join("newest"), b"x").unwrap();
    let mut session = machine.open(2);
    create(&mut session, &options("two", &[&tree])).unwrap();
    machine.take_lines();
    let third = create(&mut session, &options("three", &[&tree])).unwrap();
    let lines = machine.take_lines();
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("U ")).count(),
        704,
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("A ") && line.ends_with("/newest"))
    );
    assert_eq!(third.stats.unique_csize, 0);
    assert_eq!(third.stats.size, first.stats.size + 1);
    assert_eq!(
        third.stats.csize - first.stats.csize,
        items(&session, &third)
            .iter()
            .filter(|item| item.path.ends_with(b"newest"))
            .flat_map(|item| item.chunks.clone().unwrap())
            .map(|chunk| u64::from(chunk.csize))
            .sum::<u64>()
    );
}

/// What is known to be unchanged goes another way into an archive than what is read. It comes out the same, to the byte.
#[test]
fn files_that_are_known_make_the_items_of_files_that_are_read() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    make_tree(&tree);
    fs::create_dir_all(tree.join("deep/er")).unwrap();
    for n in 0..300 {
        fs::write(tree.join(format!("deep/er/{n}")), noise(n * 40, n as u64)).unwrap();
    }
    let flags = rustix::fs::XattrFlags::empty();
    // Where there are no extended attributes all files are without.
    let _ = rustix::fs::lsetxattr(tree.join("many/f7"), "user.word", b"said", flags);
    // That a file has none is remembered of one that has not just been changed.
    std::thread::sleep(Duration::from_millis(2100));
    fs::write(tree.join("newest"), b"x").unwrap();
    drop(machine.init(KeyMode::None));
    // Below the mark names are archived without what is in front of it.
    let marked = machine.path("tree/./deep");
    let roots = [tree.as_path(), marked.as_path()];
    let mut known = Vec::new();
    for (name, threads) in [("one", 2), ("two", 1), ("three", 3)] {
        let mut session = machine.open(threads);
        let created = create(&mut session, &options(name, &roots)).unwrap();
        let lines = machine.take_lines();
        let unchanged = lines.iter().filter(|line| line.starts_with("U ")).count();
        // All but the newest and hard links after the first.
        assert_eq!(unchanged, if name == "one" { 0 } else { 1304 }, "{name}");
        known.push((
            created.stats,
            lines.len(),
            session.load_archive(name.as_bytes()).unwrap(),
        ));
    }
    let mut session = machine.open(2);
    let mut reading = options("read", &roots);
    reading.files_cache = FilesCacheMode::DISABLED;
    let read = create(&mut session, &reading).unwrap();
    let read_lines = machine.take_lines().len();
    let archive = session.load_archive(b"read").unwrap();
    for (stats, lines, known) in &known[1..] {
        assert_eq!(known.metadata.items, archive.metadata.items);
        assert_eq!(
            (stats.size, stats.csize),
            (read.stats.size, read.stats.csize)
        );
        assert_eq!(stats.nfiles, read.stats.nfiles);
        assert_eq!(*lines, read_lines);
    }
}

#[test]
fn an_attribute_given_to_a_file_that_never_had_one_comes_into_the_next_archive() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    fs::create_dir_all(&tree).unwrap();
    for name in ["given", "not given"] {
        fs::write(tree.join(name), b"content").unwrap();
    }
    // That a file has none is remembered of one that has not just been changed.
    std::thread::sleep(Duration::from_millis(2100));
    fs::write(tree.join("newest"), b"x").unwrap();
    let mut session = machine.init(KeyMode::None);
    create(&mut session, &options("one", &[&tree])).unwrap();
    create(&mut session, &options("two", &[&tree])).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::lsetxattr(tree.join("given"), "user.word", b"said", flags).is_err() {
        eprintln!("skipped: no extended attributes here");
        return;
    }
    machine.take_lines();
    for name in ["three", "four"] {
        let created = create(&mut session, &options(name, &[&tree])).unwrap();
        let attributes: Vec<_> = items(&session, &created)
            .into_iter()
            .filter_map(|item| Some((item.path.to_vec(), item.xattrs?)))
            .collect();
        let [(path, xattrs)] = &attributes[..] else {
            panic!("{name}: {attributes:?}");
        };
        assert!(path.ends_with(b"/given"));
        assert_eq!(
            xattrs[..],
            [(b"user.word".to_vec(), Some(b"said".to_vec()))]
        );
        let unchanged = |line: &String| line == &format!("U {}", tree.join("not given").display());
        assert!(machine.take_lines().iter().any(unchanged));
    }
}

#[test]
fn an_archive_name_is_used_once() {
    let machine = Machine::new();
    fs::create_dir(machine.path("tree")).unwrap();
    let mut session = machine.init(KeyMode::None);
    create(&mut session, &options("one", &[&machine.path("tree")])).unwrap();
    let again = create(&mut session, &options("one", &[&machine.path("tree")]));
    assert!(matches!(again, Err(ArchiveError::AlreadyExists { .. })));
}

#[test]
fn a_checkpoint_by_volume_leaves_no_trace_in_the_finished_repository() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    make_tree(&tree);
    let mut session = machine.init(KeyMode::None);
    let mut options = options("one", &[&tree]);
    options.checkpoints.volume = 5 << 20;
    let created = create(&mut session, &options).unwrap();
    assert_eq!(session.manifest.archives.len(), 1);
    let found = items(&session, &created);
    let parts: Vec<&Item> = found.iter().filter(|item| item.part.is_some()).collect();
    let whole = found
        .iter()
        .find(|item| item.path.ends_with(b"/large"))
        .unwrap();
    let joined: Vec<_> = parts
        .iter()
        .flat_map(|part| part.chunks.clone().unwrap())
        .collect();
    assert!(parts.len() > 1);
    assert_eq!(
        Some(joined),
        whole.chunks,
        "all parts together are the file"
    );
}

/// A random run found it: workers are ahead of what is archived when the user wants to stop, and what they had stored
/// by then was committed with the checkpoint. Nothing was lost, but `check` had something to complain about.
#[test]
fn what_is_stored_when_the_user_stops_is_in_the_checkpoint() {
    for (threads, end) in [(1, "f03"), (2, "f07"), (4, "f20")] {
        let machine = Machine::new();
        let tree = machine.path("tree");
        fs::create_dir(&tree).unwrap();
        for n in 0..60_u32 {
            fs::write(
                tree.join(format!("f{n:02}")),
                noise(40_000, 2 * u64::from(n)),
            )
            .unwrap();
        }
        drop(machine.init(KeyMode::None));
        *machine.lines.1.lock().unwrap() = Some((end, Box::leak(Box::default())));
        let mut session = machine.open(threads);
        let outcome = create(&mut session, &options("one", &[&tree]));
        assert!(matches!(outcome, Err(ArchiveError::Interrupted)));
        drop(session);
        *machine.lines.1.lock().unwrap() = None;
        let session = machine.open(threads);
        assert_eq!(session.manifest.archives.len(), 1, "the checkpoint");
        let references = ChunkReferences::load(&session).unwrap();
        let ids = session.repository.list(None, None).unwrap();
        let orphans = ids.iter().filter(|id| **id != ChunkId::MANIFEST);
        let orphans = orphans
            .filter(|id| references.table().refs(id) == 0)
            .count();
        assert_eq!(orphans, 0, "{threads} threads, of {} objects", ids.len());
        assert_eq!(
            references.table().len(),
            ids.len() - 1,
            "objects that are missing"
        );
    }
}

#[test]
fn what_cannot_be_looked_at_is_named_and_left_out() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("there"), b"there").unwrap();
    let missing = machine.path("missing");
    let mut session = machine.init(KeyMode::None);
    let created = create(&mut session, &options("one", &[&missing, &tree])).unwrap();
    assert_eq!(created.stats.nfiles, 1);
    let text = missing.display().to_string();
    assert_eq!(
        machine.take_lines()[0],
        format!("{text}: stat: [Errno 2] No such file or directory: '{text}'")
    );
}
