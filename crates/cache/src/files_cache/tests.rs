//! What a run remembers for the next, checked against a plain model of Borg's rules.

use super::*;
use ironborg_storage::MemoryStorage;
use ironborg_types::{ChunkId, NullReporter};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::thread;

const REPOSITORY: RepositoryId = RepositoryId([9; 32]);

struct Machine {
    memory: Arc<MemoryStorage>,
    storage: Arc<dyn Storage>,
}

impl Machine {
    fn new() -> Self {
        let memory = Arc::new(MemoryStorage::new());
        Self {
            storage: Arc::clone(&memory) as Arc<dyn Storage>,
            memory,
        }
    }

    fn open(&self, mode: &str) -> FilesCache {
        self.open_with(mode, Sight::All)
    }

    fn open_with(&self, mode: &str, sight: Sight) -> FilesCache {
        let mode = mode.parse().unwrap();
        let reporter = NullReporter;
        FilesCache::open(&self.storage, "files", REPOSITORY, mode, sight, &reporter)
    }

    fn save(&self, cache: &FilesCache) {
        cache.save(&self.storage, "files", REPOSITORY, 20).unwrap();
    }
}

fn path(n: u64) -> PathHash {
    PathHasher::new(&[5; 32]).hash(format!("/some/where/{n}").as_bytes())
}

fn stat(time: i64) -> FileStat {
    FileStat {
        inode: 77,
        size: 1000,
        ctime_ns: time,
        mtime_ns: time - 5,
    }
}

fn chunks(count: u8, seed: u8) -> Vec<ChunkEntry> {
    let chunk = |n| ChunkEntry {
        id: ChunkId([n ^ seed; 32]),
        size: u32::from(n) + 100,
        csize: u32::from(seed) + 7,
    };
    (0..count).map(chunk).collect()
}

fn known(cache: &FilesCache, n: u64, stat: &FileStat) -> FileKnown {
    let (mut chunks, mut of_each) = (Vec::new(), Vec::new());
    let known = cache.lookup(path(n), stat, &mut chunks);
    // Several at once are told the same.
    let stats = [*stat; 2].into_iter();
    cache.lookup_each(&[path(n), path(n)], stats, &mut of_each, |each, _| {
        assert_eq!(each, known);
    });
    assert_eq!(of_each, [&chunks[..], &chunks].concat());
    known
}

#[test]
fn what_is_read_ahead_is_what_is_opened_and_damage_is_told_when_it_is_opened() {
    use ironborg_types::Event;
    #[derive(Default)]
    struct Warnings(std::sync::Mutex<Vec<String>>);
    impl Reporter for Warnings {
        fn report(&self, event: Event<'_>) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    cache.record(path(1), &stat(1000), &chunks(2, 1));
    cache.record(path(2), &stat(2000), &[]);
    machine.save(&cache);
    let open = |read: FilesRead| {
        let (mode, warnings) = ("ctime,size,inode".parse().unwrap(), Warnings::default());
        let storage = &machine.storage;
        let cache = FilesCache::open_read(
            read,
            storage,
            "files",
            REPOSITORY,
            mode,
            Sight::All,
            &warnings,
        );
        (cache, warnings.0.into_inner().unwrap())
    };
    let read = FilesRead::read(&machine.storage, "files", REPOSITORY);
    // It is not read again.
    machine.memory.set("files", b"damaged".to_vec());
    let (cache, warnings) = open(read);
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::Unchanged);
    assert_eq!(known(&cache, 2, &stat(2000)), FileKnown::Unknown);
    assert_eq!(warnings, Vec::<String>::new());
    let read = FilesRead::read(&machine.storage, "files", REPOSITORY);
    let (cache, warnings) = open(read);
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::Unknown);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("files cache is corrupted"));
}

#[test]
fn a_bare_file_is_known_to_be_bare_by_who_sees_no_more_than_who_said_so() {
    use Sight::{All, Ordinary};
    let known_to = |said, asked| {
        let machine = Machine::new();
        let mut cache = machine.open_with("ctime,size,inode", said);
        for n in 0..4 {
            cache.record(path(n), &stat(1000), &chunks(1, 1));
        }
        cache.record(path(9), &stat(2000), &[]);
        // Two are recorded as bare, of which one is not seen again; one is noted when it is met again.
        cache.note_bare(path(0));
        cache.note_bare(path(1));
        machine.save(&cache);
        cache = machine.open_with("ctime,size,inode", said);
        assert_eq!(known(&cache, 0, &stat(1000)), FileKnown::UnchangedBare);
        assert_eq!(known(&cache, 2, &stat(1000)), FileKnown::Unchanged);
        cache.note_bare(path(2));
        assert_eq!(known(&cache, 3, &stat(1000)), FileKnown::Unchanged);
        machine.save(&cache);
        cache = machine.open_with("ctime,size,inode", asked);
        let answers = [0, 1, 2].map(|n| known(&cache, n, &stat(1000)));
        assert_eq!(known(&cache, 3, &stat(1000)), FileKnown::Unchanged);
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        answers[0]
    };
    assert_eq!(known_to(All, All), FileKnown::UnchangedBare);
    assert_eq!(known_to(All, Ordinary), FileKnown::UnchangedBare);
    assert_eq!(known_to(Ordinary, Ordinary), FileKnown::UnchangedBare);
    assert_eq!(known_to(Ordinary, All), FileKnown::Unchanged);
}

#[test]
fn only_the_ctime_of_the_same_inode_tells_that_a_file_is_still_bare() {
    for mode in ["mtime,size,inode", "ctime,size"] {
        let machine = Machine::new();
        let cache = machine.open("ctime,size,inode");
        let same = FileStat {
            ctime_ns: 1000,
            ..stat(1000)
        };
        let same = FileStat {
            mtime_ns: 1000,
            ..same
        };
        cache.record(path(1), &same, &chunks(1, 1));
        cache.note_bare(path(1));
        cache.record(path(9), &stat(2000), &[]);
        machine.save(&cache);
        let cache = machine.open(mode);
        assert_eq!(known(&cache, 1, &same), FileKnown::Unchanged, "{mode}");
        // Nor can such a run note it.
        cache.record(path(2), &same, &chunks(1, 1));
        cache.note_bare(path(2));
        cache.record(path(8), &stat(3000), &[]);
        machine.save(&cache);
        let cache = machine.open("ctime,size,inode");
        assert_eq!(known(&cache, 2, &same), FileKnown::Unchanged, "{mode}");
        assert_eq!(known(&cache, 1, &same), FileKnown::UnchangedBare, "{mode}");
    }
}

#[test]
fn the_age_of_a_bare_file_is_counted_as_that_of_others() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    cache.record(path(1), &stat(1000), &chunks(1, 1));
    cache.note_bare(path(1));
    cache.record(path(2), &stat(2000), &[]);
    machine.save(&cache);
    for _ in 0..19 {
        let cache = machine.open("ctime,size,inode");
        assert_eq!(cache.loaded_count(), 1);
        machine.save(&cache);
    }
    let cache = machine.open("ctime,size,inode");
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::UnchangedBare);
    machine.save(&cache);
    for _ in 0..20 {
        let cache = machine.open("ctime,size,inode");
        machine.save(&cache);
    }
    assert_eq!(machine.open("ctime,size,inode").loaded_count(), 0);
}

#[test]
fn what_a_run_recorded_the_next_one_knows() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    for n in 0..50 {
        let count = u8::try_from(n % 4).unwrap();
        cache.record(path(n), &stat(1000), &chunks(count, 1));
    }
    cache.record(path(99), &stat(2000), &chunks(1, 1));
    machine.save(&cache);

    let cache = machine.open("ctime,size,inode");
    assert_eq!(cache.loaded_count(), 50);
    let mut found = chunks(3, 9);
    for n in 0..50 {
        assert_eq!(
            cache.lookup(path(n), &stat(1000), &mut found),
            FileKnown::Unchanged
        );
        assert_eq!(found, chunks(u8::try_from(n % 4).unwrap(), 1));
    }
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    let paths: Vec<PathHash> = (0..60).map(path).collect();
    let stats = (0..60).map(|_| stat(1000));
    cache.lookup_each(&paths, stats, &mut all, |known, chunks| {
        ends.push((known, chunks.len()));
    });
    let mut start = 0;
    for (n, (known, end)) in (0..).zip(ends) {
        let is_known = n < 50;
        assert_eq!(known == FileKnown::Unchanged, is_known, "{n}");
        let expected = if is_known {
            chunks(n % 4, 1)
        } else {
            Vec::new()
        };
        assert_eq!(all[start..end], expected);
        start = end;
    }
    // The newest is left out: it might have been changed again in the same tick of the clock.
    assert_eq!(known(&cache, 99, &stat(2000)), FileKnown::Unknown);
}

#[test]
fn the_mode_decides_what_is_compared() {
    let machine = Machine::new();
    let recorded = stat(1000);
    let changes = [
        (
            "inode",
            FileStat {
                inode: 1,
                ..recorded
            },
        ),
        (
            "size",
            FileStat {
                size: 1,
                ..recorded
            },
        ),
        (
            "ctime",
            FileStat {
                ctime_ns: 1,
                ..recorded
            },
        ),
        (
            "mtime",
            FileStat {
                mtime_ns: 1,
                ..recorded
            },
        ),
    ];
    for (mode, compared) in [
        ("ctime,size,inode", vec!["inode", "size", "ctime"]),
        ("mtime,size,inode", vec!["inode", "size", "mtime"]),
        ("ctime,size", vec!["size", "ctime"]),
        ("mtime,size", vec!["size", "mtime"]),
        ("size", vec!["size"]),
    ] {
        let cache = machine.open(mode);
        cache.record(path(1), &recorded, &chunks(1, 1));
        cache.record(path(2), &stat(5000), &chunks(1, 1));
        machine.save(&cache);
        for (what, changed) in &changes {
            let expected = if compared.contains(what) {
                FileKnown::Changed
            } else {
                FileKnown::Unchanged
            };
            let cache = machine.open(mode);
            assert_eq!(known(&cache, 1, changed), expected, "{mode}: {what}");
            assert_eq!(known(&cache, 1, &recorded), FileKnown::Unchanged, "{mode}");
        }
    }
}

#[test]
fn rechunk_writes_only_and_disabled_does_nothing() {
    let machine = Machine::new();
    let cache = machine.open("rechunk,ctime");
    cache.record(path(1), &stat(1000), &chunks(1, 1));
    cache.record(path(2), &stat(2000), &chunks(1, 1));
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::Unknown);
    machine.save(&cache);
    let before = machine.memory.read("files").unwrap();

    let cache = machine.open("disabled");
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::Unknown);
    cache.record(path(3), &stat(1), &chunks(1, 1));
    machine.save(&cache);
    assert_eq!(machine.memory.read("files").unwrap(), before);

    let cache = machine.open("ctime,size");
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::Unchanged);
}

#[test]
fn a_file_not_seen_survives_until_its_time_to_live() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    cache.record(path(1), &stat(1000), &chunks(1, 1));
    cache.record(path(2), &stat(2000), &chunks(1, 1));
    machine.save(&cache);
    for _ in 0..19 {
        machine.save(&machine.open("ctime,size,inode"));
    }
    assert_eq!(machine.open("ctime,size,inode").loaded_count(), 1);
    // Being seen makes it young again.
    let cache = machine.open("ctime,size,inode");
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::Unchanged);
    machine.save(&cache);
    for runs in 1..=20 {
        machine.save(&machine.open("ctime,size,inode"));
        let left = machine.open("ctime,size,inode").loaded_count();
        assert_eq!(left, usize::from(runs < 20), "after {runs} runs");
    }
}

#[test]
fn a_changed_file_that_was_not_recorded_again_ages() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    cache.record(path(1), &stat(1000), &chunks(1, 1));
    cache.record(path(2), &stat(2000), &chunks(1, 1));
    machine.save(&cache);
    let cache = machine.open("ctime,size,inode");
    assert_eq!(known(&cache, 1, &stat(1001)), FileKnown::Changed);
    cache
        .save(&machine.storage, "files", REPOSITORY, 1)
        .unwrap();
    assert_eq!(machine.open("ctime,size,inode").loaded_count(), 0);
}

#[test]
fn an_inode_that_was_not_compared_is_updated() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    cache.record(path(1), &stat(1000), &chunks(2, 1));
    cache.record(path(2), &stat(2000), &chunks(1, 1));
    machine.save(&cache);
    let moved = FileStat {
        inode: 78,
        ..stat(1000)
    };
    let cache = machine.open("ctime,size");
    assert_eq!(known(&cache, 1, &moved), FileKnown::Unchanged);
    machine.save(&cache);
    let cache = machine.open("ctime,size,inode");
    let mut found = Vec::new();
    assert_eq!(
        cache.lookup(path(1), &moved, &mut found),
        FileKnown::Unchanged
    );
    assert_eq!(found, chunks(2, 1));
}

#[test]
fn a_path_met_twice_in_one_run_is_known_the_second_time() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::Unknown);
    cache.record(path(1), &stat(1000), &chunks(1, 3));
    assert_eq!(known(&cache, 1, &stat(1000)), FileKnown::Unchanged);
    assert_eq!(known(&cache, 1, &stat(1001)), FileKnown::Changed);
}

#[test]
fn times_out_of_range_are_never_unchanged() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    cache.record(path(1), &stat(-5), &chunks(1, 1));
    cache.record(path(2), &stat(1), &chunks(1, 1));
    machine.save(&cache);
    let cache = machine.open("ctime,size,inode");
    assert_eq!(known(&cache, 1, &stat(-5)), FileKnown::Changed);
}

#[test]
fn saving_at_checkpoints_does_not_disturb_the_run() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    cache.record(path(1), &stat(1000), &chunks(1, 1));
    machine.save(&cache);
    assert_eq!(machine.open("ctime,size,inode").loaded_count(), 0);
    cache.record(path(2), &stat(2000), &chunks(1, 1));
    machine.save(&cache);
    assert_eq!(machine.open("ctime,size,inode").loaded_count(), 1);
}

#[test]
fn a_damaged_file_is_an_empty_one() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    for n in 0..9 {
        cache.record(
            path(n),
            &stat(1000 + i64::try_from(n).unwrap()),
            &chunks(2, 1),
        );
    }
    machine.save(&cache);
    let good = machine.memory.read("files").unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        machine.memory.set("files", bad);
        let cache = machine.open("ctime,size,inode");
        assert_eq!(cache.loaded_count(), 0, "byte {at}");
        assert_eq!(known(&cache, 1, &stat(1001)), FileKnown::Unknown);
    }
}

#[test]
fn many_threads_look_up_and_record_at_once() {
    let machine = Machine::new();
    let cache = machine.open("ctime,size,inode");
    (0..2000).for_each(|n| cache.record(path(n), &stat(1000), &chunks(1, 1)));
    cache.record(path(9_999_999), &stat(1001), &[]);
    machine.save(&cache);
    let cache = machine.open("ctime,size,inode");
    thread::scope(|scope| {
        for worker in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for n in (worker..4000).step_by(4) {
                    match known(cache, n, &stat(1000)) {
                        FileKnown::Unchanged => assert!(n < 2000),
                        FileKnown::Unknown => cache.record(path(n), &stat(1002), &chunks(1, 2)),
                        FileKnown::Changed | FileKnown::UnchangedBare => panic!("nothing changed"),
                    }
                }
            });
        }
    });
    cache.record(path(9_999_998), &stat(1003), &[]);
    machine.save(&cache);
    let cache = machine.open("ctime,size,inode");
    // All four thousand, and the newest of the first run, which was not kept, is not among them.
    assert_eq!(cache.loaded_count(), 4000);
}

#[test]
fn path_hashes_depend_on_the_seed() {
    let (one, other) = (PathHasher::new(&[1; 32]), PathHasher::new(&[2; 32]));
    for path in [&b""[..], b"/", b"/home/x", &[7; 300]] {
        assert_eq!(one.hash(path), PathHasher::new(&[1; 32]).hash(path));
        assert_ne!(one.hash(path), other.hash(path));
    }
    assert_eq!(format!("{one:?}"), "PathHasher([secret])");
}

/// What stock Borg does, written down plainly: a map of all files and the newest time recorded.
#[derive(Default)]
struct Model {
    files: BTreeMap<u64, (u64, FileStat, i64, u8)>,
    newest: Option<i64>,
}

impl Model {
    fn load(&mut self) {
        self.newest = None;
        self.files.values_mut().for_each(|entry| entry.0 += 1);
    }

    fn lookup(&mut self, n: u64, stat: &FileStat) -> Option<bool> {
        let (age, seen, time, _) = self.files.get_mut(&n)?;
        if (seen.size, seen.inode, *time) != (stat.size, stat.inode, stat.ctime_ns) {
            return Some(false);
        }
        *age = 0;
        Some(true)
    }

    fn record(&mut self, n: u64, stat: FileStat, seed: u8) {
        self.files.insert(n, (0, stat, stat.ctime_ns, seed));
        self.newest = self.newest.max(Some(stat.ctime_ns));
    }

    fn save(&mut self, ttl: u64) {
        let newest = self.newest.unwrap_or(i64::MAX);
        self.files
            .retain(|_, (age, _, time, _)| *age == 0 && *time < newest || *age > 0 && *age < ttl);
    }
}

proptest! {
    #[test]
    fn runs_remember_what_stock_borg_would(
        runs in prop::collection::vec(prop::collection::vec((0_u64..30, 1_i64..6, any::<bool>()), 0..40), 1..8)
    ) {
        let machine = Machine::new();
        let mut model = Model::default();
        for (files, seed) in runs.iter().zip(0_u8..) {
            let cache = machine.open("ctime,size,inode");
            prop_assert_eq!(cache.loaded_count(), model.files.len());
            model.load();
            for (n, time, is_read) in files {
                let stat = stat(*time);
                let mut found = Vec::new();
                let known = match cache.lookup(path(*n), &stat, &mut found) {
                    FileKnown::Unknown => None,
                    FileKnown::Changed => Some(false),
                    FileKnown::Unchanged => Some(true),
                    FileKnown::UnchangedBare => panic!("nobody noted that"),
                };
                prop_assert_eq!(known, model.lookup(*n, &stat));
                if known == Some(true) {
                    let seed = model.files[n].3;
                    prop_assert_eq!(&found, &chunks(seed % 4, seed));
                } else if *is_read {
                    cache.record(path(*n), &stat, &chunks(seed % 4, seed));
                    model.record(*n, stat, seed);
                }
            }
            cache.save(&machine.storage, "files", REPOSITORY, 3).unwrap();
            model.save(3);
        }
    }

    #[test]
    fn no_bytes_make_loading_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), counts in any::<[u8; 2]>()) {
        let _ = LoadedFiles::decode(bytes.clone());
        let mut plausible = vec![0; crate::cache_file::BODY_OFFSET];
        let [entry_count, chunk_count] = counts.map(|count| usize::from(count % 4));
        plausible.extend_from_slice(&(entry_count as u64).to_le_bytes());
        plausible.extend_from_slice(&(chunk_count as u64).to_le_bytes());
        plausible.extend(bytes.iter().cycle().take(48 * entry_count + 40 * chunk_count));
        if let Some(loaded) = LoadedFiles::decode(plausible) {
            let mut chunks = Vec::new();
            for found in loaded.all() {
                prop_assert_eq!(loaded.find(loaded.path(found)), Some(found));
                loaded.chunks_into(found, &mut chunks);
            }
        }
    }
}
