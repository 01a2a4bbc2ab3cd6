//! Reading from a source in memory: right bytes, each chunk once, within bounds, ahead of who reads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, MutexGuard};
use std::thread;

use super::*;
use crate::follow::ChunkReader;
use ironborg_testkit::Random;

/// Chunks in memory, and what was asked of them.
#[derive(Default)]
struct Source {
    chunks: HashMap<ChunkId, Vec<u8>>,
    damaged: HashSet<ChunkId>,
    state: Mutex<Seen>,
    changed: Condvar,
    /// Reads wait until so many of them are going on, or were.
    meet: AtomicUsize,
}

#[derive(Default)]
struct Seen {
    reads: HashMap<ChunkId, u32>,
    hints: Vec<Vec<ChunkId>>,
    in_flight: usize,
    most_in_flight: usize,
}

impl Source {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap()
    }

    fn reads(&self) -> u32 {
        self.seen().reads.values().sum()
    }
}

impl ChunkSource for Source {
    fn read_chunk(
        &self,
        _: &mut ChunkReader,
        id: &ChunkId,
        _: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), MountError> {
        let mut seen = self.seen();
        *seen.reads.entry(*id).or_default() += 1;
        seen.in_flight += 1;
        seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
        self.changed.notify_all();
        let meet = self.meet.load(Ordering::Relaxed);
        let mut seen = self
            .changed
            .wait_while(seen, |seen| seen.most_in_flight < meet)
            .unwrap();
        seen.in_flight -= 1;
        drop(seen);
        out.clear();
        if self.damaged.contains(id) {
            return Err(ironborg_archive::ArchiveError::other("it is damaged").into());
        }
        out.extend_from_slice(&self.chunks[id]);
        Ok(())
    }

    fn will_need(&self, objects: &[(ChunkId, u32)]) {
        let ids = objects.iter().map(|(id, _)| *id).collect();
        self.seen().hints.push(ids);
    }
}

/// A file of these chunk lengths, its bytes, and its chunks in the source. One in eight is a hole.
fn file(source: &mut Source, random: &mut Random, lens: &[usize]) -> (FileChunks, Vec<u8>) {
    let mut content = Vec::new();
    let mut chunks = Vec::new();
    for len in lens {
        let mut bytes = vec![0; *len];
        let mut id = [0; 32];
        id[..8].copy_from_slice(&len.to_le_bytes());
        if random.below(8) > 0 {
            random.fill(&mut bytes);
            id[8..16].copy_from_slice(&random.next_u64().to_le_bytes());
        }
        let id = ChunkId(id);
        chunks.push(ChunkEntry {
            id,
            size: u32::try_from(*len).unwrap(),
            csize: 0,
        });
        content.extend_from_slice(&bytes);
        source.chunks.insert(id, bytes);
    }
    (FileChunks::new(&chunks), content)
}

fn store(source: Source, threads: usize, budget: u64) -> (ContentStore, Arc<Source>) {
    let source = Arc::new(source);
    let shared: Arc<dyn ChunkSource> = Arc::<Source>::clone(&source);
    (ContentStore::new(shared, threads, Budget(budget)), source)
}

fn read(store: &ContentStore, file: &FileChunks, offset: u64, size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    store.read(file, offset, size, &"f", &mut out).unwrap();
    out
}

#[test]
fn random_reads_give_the_bytes_of_the_source() {
    const SEED: u64 = 0x1a2b_3c4d;
    let mut random = Random::new(SEED);
    let mut source = Source::default();
    let files: Vec<_> = (0..12)
        .map(|n| {
            let lens: Vec<usize> = (0..random.below(30))
                .map(|_| random.below(1 << (n + 8)))
                .collect();
            file(&mut source, &mut random, &lens)
        })
        .collect();
    let (store, _) = store(source, 3, 1 << 20);
    thread::scope(|scope| {
        for n in 0..6 {
            let (store, files) = (&store, &files);
            scope.spawn(move || {
                let mut random = Random::new(SEED + n);
                for round in 0..400 {
                    let (file, content) = &files[random.below(12)];
                    let offset = random.below(content.len() + 100);
                    let exponent = random.below(20);
                    let size = random.below(1 << exponent);
                    let from = content.len().min(offset);
                    let to = content.len().min(from + size);
                    let got = read(store, file, offset as u64, size);
                    assert!(
                        got == content[from..to],
                        "seed {SEED:#x}, thread {n}, round {round}: {size} bytes at {offset}"
                    );
                    assert!(store.fill().used <= (1 << 20) + 6 * (1 << 20), "bounds");
                }
            });
        }
    });
    let fill = store.fill();
    assert!(fill.used <= fill.budget, "{fill:?}");
}

#[test]
fn who_reads_from_front_to_back_reads_each_chunk_once_and_ahead() {
    let mut source = Source::default();
    let mut random = Random::new(7);
    let lens: Vec<usize> = (0..60).map(|n| 40_000 + n * 1000).collect();
    let (file, content) = file(&mut source, &mut random, &lens);
    let (store, source) = store(source, 4, 2 << 20);
    let mut got = Vec::new();
    for offset in (0..content.len()).step_by(16 * 1024) {
        if offset > 10 * 16 * 1024 {
            // From here on a read only goes on when another one is going on, too.
            source.meet.store(2, Ordering::Relaxed);
        }
        got.extend(read(&store, &file, offset as u64, 16 * 1024));
    }
    assert!(got == content);
    let seen = source.seen();
    assert!(
        seen.reads.values().all(|times| *times == 1),
        "{:?}",
        seen.reads
    );
    assert!(seen.most_in_flight >= 2);
    let hinted: usize = seen.hints.iter().map(Vec::len).sum();
    assert!(hinted > 40 && seen.hints.len() < hinted, "{hinted}");
}

#[test]
fn a_chunk_several_need_is_read_once() {
    let mut source = Source::default();
    let (file, content) = file(&mut source, &mut Random::new(3), &[200_000]);
    let (store, source) = store(source, 2, 1 << 20);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(read(&store, &file, 0, 200_000) == content));
        }
    });
    assert_eq!(source.reads(), 1);
}

#[test]
fn holes_are_read_once_and_drive_nothing_out() {
    let mut source = Source::default();
    let (small, content) = file(&mut source, &mut Random::new(3), &[100_000]);
    let hole = ChunkId([9; 32]);
    source.chunks.insert(hole, vec![0; 1 << 20]);
    let hole = ChunkEntry {
        id: hole,
        size: 1 << 20,
        csize: 0,
    };
    let sparse = FileChunks::new(&vec![hole; 1000]);
    let (store, source) = store(source, 2, 3 << 20);
    assert!(read(&store, &small, 0, 50_000) == content[..50_000]);
    for n in 0..1000 {
        let slices = store.slices(&sparse, n << 20, 1 << 20, &"f").unwrap();
        let zeros = slices.as_one().expect("nothing is copied");
        assert!(zeros.len() == 1 << 20 && ironborg_chunker::is_zero(zeros));
    }
    assert!(read(&store, &small, 50_000, 50_000) == content[50_000..]);
    assert_eq!(source.reads(), 2);
}

#[test]
fn damage_hurts_only_who_touches_it() {
    let mut source = Source::default();
    let (file, content) = file(
        &mut source,
        &mut Random::new(3),
        &[10_000, 20_000, 30_000, 5],
    );
    source.damaged.insert(file.piece(1).id);
    let (store, source) = store(source, 2, 3 << 20);
    assert!(read(&store, &file, 0, 10_000) == content[..10_000]);
    assert!(read(&store, &file, 30_000, 40_000) == content[30_000..]);
    for (offset, size) in [(9_999, 2), (10_000, 1), (29_999, 1), (0, 60_005)] {
        let mut out = Vec::new();
        let result = store.read(&file, offset, size, &"a/b", &mut out);
        let error = result.expect_err("it touches the damage");
        let id = file.piece(1).id;
        let text = format!("a/b: chunk {id} at offset 10000: Error: it is damaged");
        assert_eq!(error.to_string(), text);
        assert!(out.is_empty());
        assert_eq!(store.is_news(&error), offset == 9_999);
    }
    assert_eq!(
        source.seen().reads[&file.piece(1).id],
        1,
        "once in a moment"
    );
}

#[test]
fn lengths_that_lie_are_damage() {
    let mut source = Source::default();
    let (file, content) = file(&mut source, &mut Random::new(5), &[1000, 2000, 3000]);
    source.chunks.get_mut(&file.piece(1).id).unwrap().pop();
    let (store, _) = store(source, 2, 3 << 20);
    assert!(read(&store, &file, 3000, 3000) == content[3000..]);
    let error = store
        .slices(&file, 999, 2, &"f")
        .expect_err("it is too short");
    let id = file.piece(1).id;
    let text = format!("f: chunk {id} at offset 1000: 1999 bytes instead of 2000");
    assert_eq!(error.to_string(), text);
    let huge = ChunkEntry {
        id,
        size: u32::MAX,
        csize: u32::MAX,
    };
    let huge = FileChunks::new(&[huge; 100]);
    assert!(store.slices(&huge, 1 << 33, usize::MAX, &"f").is_err());
    assert!(
        store
            .slices(&huge, u64::MAX, usize::MAX, &"f")
            .unwrap()
            .is_empty()
    );
}

#[test]
fn the_next_files_are_fetched_before_they_are_read() {
    let mut source = Source::default();
    let mut random = Random::new(11);
    let files: Vec<_> = (0..100)
        .map(|n| file(&mut source, &mut random, &[1000 + n]))
        .collect();
    let entries: Vec<ChunkEntry> = files
        .iter()
        .map(|(file, content)| ChunkEntry {
            id: file.piece(0).id,
            size: u32::try_from(content.len()).unwrap(),
            csize: 0,
        })
        .collect();
    let (store, source) = store(source, 2, 4 << 20);
    for (n, (file, content)) in files.iter().enumerate() {
        if n % 20 == 0 {
            store.expect(entries[n..].iter().take(40).copied());
        }
        assert!(read(&store, file, 0, 4096) == *content);
    }
    let seen = source.seen();
    assert!(seen.reads.values().all(|times| *times == 1));
    assert!(seen.hints.len() <= 5, "{:?}", seen.hints.len());
    assert!(seen.hints.iter().map(Vec::len).sum::<usize>() > 80);
}

#[test]
fn what_is_no_longer_expected_is_given_up() {
    let mut source = Source::default();
    let mut random = Random::new(13);
    let (file, _) = file(&mut source, &mut random, &[1000; 64]);
    let entry = |at: usize| ChunkEntry {
        id: file.piece(at).id,
        size: 1000,
        csize: 0,
    };
    // Nobody gets on: what is expected stays where it is, and each thread has a few in hand.
    let in_hand = 2 * 4;
    source.meet = AtomicUsize::new(3);
    let (store, source) = store(source, 2, 4 << 20);
    store.expect((0..32).map(entry));
    store.expect((32..48).map(entry));
    let distinct: HashSet<ChunkId> = (32..48).map(|at| file.piece(at).id).collect();
    let used = store.fill().used;
    assert!(used <= (distinct.len() as u64 + in_hand) * 1256, "{used}");
    source.meet.store(0, Ordering::Relaxed);
    source.changed.notify_all();
}

#[test]
fn memory_is_given_back() {
    let mut source = Source::default();
    let (file, content) = file(&mut source, &mut Random::new(3), &[100_000, 100_000]);
    let (store, _) = store(source, 2, 3 << 20);
    assert!(read(&store, &file, 0, 150_000) == content[..150_000]);
    assert!(store.fill().used > 150_000);
    store.rest();
    assert_eq!((store.fill().used, store.fill().chunks), (0, 0));
    assert!(read(&store, &file, 0, 200_000) == content);
}
