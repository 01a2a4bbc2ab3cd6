//! Selection, proofs and budgets of drills, with a made-up clock.

// A test that cannot set its scene has failed.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use ironborg_types::ChunkId;
use proptest::prelude::*;

use super::*;

/// A file of an archive that is not there.
#[derive(Debug, Clone)]
struct File {
    size: u64,
    version: u8,
    link_to: Option<String>,
    verdict: Verdict,
}

impl File {
    fn of(size: u64) -> Self {
        Self {
            size,
            version: 0,
            link_to: None,
            verdict: Verdict::Equal,
        }
    }
}

/// An archive of which restoring takes time, as a clock of its own tells.
struct Fake<'c> {
    files: BTreeMap<String, File>,
    clock: &'c Cell<Duration>,
    bytes_per_second: u64,
    piece_len: u64,
    room: u64,
    /// Paths, batch by batch.
    restored: Vec<Vec<String>>,
    complaints: Vec<String>,
    surveys: usize,
}

impl<'c> Fake<'c> {
    fn new(files: impl IntoIterator<Item = (String, File)>, clock: &'c Cell<Duration>) -> Self {
        Self {
            files: files.into_iter().collect(),
            clock,
            bytes_per_second: 10 << 20,
            piece_len: 2 << 20,
            room: u64::MAX,
            restored: Vec::new(),
            complaints: Vec::new(),
            surveys: 0,
        }
    }

    fn spend(&self, bytes: u64) {
        let ms = 1 + bytes * 1000 / self.bytes_per_second;
        self.clock.set(self.clock.get() + Duration::from_millis(ms));
    }

    fn names(items: &[&[u8]]) -> Vec<String> {
        let name = |item: &&[u8]| String::from_utf8(item.to_vec()).unwrap();
        items.iter().map(name).collect()
    }
}

fn chunks_of(path: &str, file: &File) -> Vec<ChunkId> {
    let mut id = [0; 32];
    id[0] = file.version;
    id[1] = u8::try_from(path.len() % 256).unwrap();
    vec![ChunkId(id)]
}

impl Drillable for Fake<'_> {
    type Error = ();

    fn survey(&mut self, see: &mut dyn FnMut(&Seen<'_>)) -> Result<(), ()> {
        self.surveys += 1;
        for (path, file) in &self.files {
            see(&Seen {
                path: path.as_bytes(),
                link_to: file.link_to.as_ref().map(String::as_bytes),
                target: None,
                size: file.size,
                chunks: &|| Box::new(chunks_of(path, file).into_iter()),
                encoded: path.as_bytes(),
            });
        }
        Ok(())
    }

    fn restore(&mut self, items: &[&[u8]]) -> Result<Vec<Verdict>, ()> {
        let names = Self::names(items);
        let files = names.iter().map(|name| &self.files[name]);
        let verdicts = files.clone().map(|file| file.verdict.clone()).collect();
        self.spend(files.map(|file| file.size).sum());
        self.restored.push(names);
        Ok(verdicts)
    }

    fn restore_in_pieces(
        &mut self,
        items: &[&[u8]],
        from: Option<Progress>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Pieces, ()> {
        let names = Self::names(items);
        let count = usize::try_from(self.files[&names[0]].size.div_ceil(self.piece_len)).unwrap();
        let mut chunk = from.map_or(0, |from| from.chunk);
        while chunk < count {
            self.spend(self.piece_len);
            chunk += 1;
            if !go_on(self.piece_len) && chunk < count {
                let is_compared = true;
                return Ok(Pieces::Stopped(Progress { chunk, is_compared }));
            }
        }
        let verdict = |name: &String| self.files[name].verdict.clone();
        let verdicts = names.iter().map(verdict).collect();
        self.restored.push(names);
        Ok(Pieces::Done(verdicts))
    }

    fn room(&self) -> u64 {
        self.room
    }

    fn complain(&mut self, item: &[u8], what: &str) {
        let path = String::from_utf8_lossy(item);
        self.complaints.push(format!("{path}: {what}"));
    }
}

fn memory() -> Memory {
    Memory::new([7; 32])
}

/// One drill, of so many seconds, on that day.
fn run(fake: &mut Fake<'_>, memory: &mut Memory, seconds: u64, day: u32) -> Figures {
    run_within(fake, memory, seconds, day, CHOSEN_LEN_MAX)
}

fn run_within(
    fake: &mut Fake<'_>,
    memory: &mut Memory,
    seconds: u64,
    day: u32,
    len_max: usize,
) -> Figures {
    let begun = fake.clock.get();
    let clock = fake.clock;
    let elapsed = || clock.get().saturating_sub(begun);
    let time = Time {
        elapsed: &elapsed,
        budget: Duration::from_secs(seconds),
        now: day * 86_400,
    };
    let mut figures = Figures::default();
    drill_within(fake, memory, time, &mut figures, len_max).unwrap();
    // What is remembered is what was written down.
    *memory = Memory::decode(&memory.encode()).unwrap();
    figures
}

fn share(figures: &Figures) -> f64 {
    figures.proven_share.unwrap()
}

fn many(count: u64, size: u64) -> Vec<(String, File)> {
    let file = |number| (format!("dir/file-{number:05}"), File::of(size));
    (0..count).map(file).collect()
}

#[test]
fn every_file_has_its_turn_and_the_share_grows_to_one() {
    let clock = Cell::default();
    let mut fake = Fake::new(many(500, 1 << 20), &clock);
    let mut memory = memory();
    let (mut before, mut days) = (0.0, 0);
    while before < 1.0 {
        days += 1;
        let begun = clock.get();
        let figures = run(&mut fake, &mut memory, 5, days);
        let took = clock.get().saturating_sub(begun);
        assert!(took < Duration::from_secs(6), "day {days} took {took:?}");
        assert!(share(&figures) > before, "day {days}");
        before = share(&figures);
        assert_eq!(figures.proven_since, Some(86_400));
        // 10 MiB/s make some 50 files a drill.
        assert!(days <= 12, "{before} on day {days}");
    }
    assert!(days >= 9, "so much was not to be done in {days} days");
    let all: Vec<&String> = fake.restored.iter().flatten().collect();
    let different: BTreeSet<&&String> = all.iter().collect();
    assert_eq!(different.len(), 500);
    // The day after, the oldest proofs are made anew.
    let figures = run(&mut fake, &mut memory, 5, days + 1);
    assert!(figures.proven_files.unwrap() > 20);
    assert!((share(&figures) - 1.0).abs() < f64::EPSILON);
    for _ in 0..12 {
        days += 1;
        run(&mut fake, &mut memory, 5, days + 1);
    }
    let figures = run(&mut fake, &mut memory, 5, days + 2);
    assert!(figures.proven_since.unwrap() > 86_400 * 5);
}

#[test]
fn the_sample_is_spread_and_another_key_takes_another_one() {
    let clock = Cell::default();
    let first_of = |key: u8| {
        let mut fake = Fake::new(many(1000, 1 << 20), &clock);
        run(&mut fake, &mut Memory::new([key; 32]), 3, 1);
        fake.restored.into_iter().flatten().collect::<BTreeSet<_>>()
    };
    let (one, other) = (first_of(1), first_of(2));
    assert!(one.len() >= 20, "{}", one.len());
    assert!(one.intersection(&other).count() < one.len() / 2);
    let late = one.iter().filter(|path| &path[..] >= "dir/file-00500");
    assert!(late.clone().count() > one.len() / 5 && late.count() < one.len() * 4 / 5);
}

#[test]
fn a_file_too_large_for_one_drill_is_proven_by_several() {
    let clock = Cell::default();
    let mut files = many(3, 1000);
    files.push(("large".to_owned(), File::of(200 << 20)));
    let mut fake = Fake::new(files, &clock);
    let mut memory = memory();
    let mut figures = Figures::default();
    for day in 1..=6 {
        let begun = clock.get();
        figures = run(&mut fake, &mut memory, 4, day);
        let took = clock.get().saturating_sub(begun);
        assert!(
            took <= Duration::from_millis(4300),
            "day {day} took {took:?}"
        );
    }
    assert!((share(&figures) - 1.0).abs() < f64::EPSILON, "{figures:?}");
    assert!(fake.restored.contains(&vec!["large".to_owned()]));
}

#[test]
fn what_was_read_of_a_file_that_has_changed_counts_for_nothing() {
    let clock = Cell::default();
    let mut fake = Fake::new([("large".to_owned(), File::of(100 << 20))], &clock);
    let mut memory = memory();
    run(&mut fake, &mut memory, 9, 1);
    fake.files.get_mut("large").unwrap().version = 1;
    let figures = run(&mut fake, &mut memory, 2, 2);
    assert!(share(&figures).abs() < f64::EPSILON);
    let figures = run(&mut fake, &mut memory, 20, 3);
    assert!((share(&figures) - 1.0).abs() < f64::EPSILON);
    assert_eq!(figures.proven_since, Some(3 * 86_400));
}

#[test]
fn links_come_with_their_file_and_in_the_order_of_the_archive() {
    let clock = Cell::default();
    let mut files = many(40, 100 << 10);
    for number in 0..40 {
        let mut link = File::of(0);
        link.link_to = Some(format!("dir/file-{number:05}"));
        files.push((format!("links/{number:05}"), link));
    }
    let mut fake = Fake::new(files, &clock);
    let mut memory = memory();
    for day in 1..=10 {
        run(&mut fake, &mut memory, 1, day);
    }
    for batch in &fake.restored {
        assert!(batch.is_sorted(), "{batch:?}");
        for name in batch {
            let other = match name.split_once("file-") {
                Some((_, number)) => format!("links/{number}"),
                None => name.replace("links/", "dir/file-"),
            };
            assert!(batch.contains(&other), "{name} without {other}");
        }
    }
    assert!(fake.restored.iter().flatten().count() >= 80);
}

#[test]
fn new_and_changed_files_are_unproven_and_come_first() {
    let clock = Cell::default();
    let mut fake = Fake::new(many(20, 1 << 20), &clock);
    let mut memory = memory();
    let figures = run(&mut fake, &mut memory, 60, 1);
    assert!((share(&figures) - 1.0).abs() < f64::EPSILON);
    fake.files.get_mut("dir/file-00003").unwrap().version = 1;
    fake.files.insert("new".to_owned(), File::of(1 << 20));
    fake.files.remove("dir/file-00004");
    fake.restored.clear();
    fake.bytes_per_second = 1 << 20;
    let figures = run(&mut fake, &mut memory, 0, 2);
    // Both are in the first batch, or one of them is the first: nothing else is before them.
    let first: Vec<&String> = fake.restored[0].iter().collect();
    assert!(
        first
            .iter()
            .all(|path| ["new", "dir/file-00003"].contains(&path.as_str())),
        "{first:?}"
    );
    assert!((share(&figures) - 19.0 / 20.0).abs() < 0.001, "{figures:?}");
    assert_eq!(
        memory.proof_count(),
        19,
        "those of what is gone are forgotten"
    );
}

#[test]
fn what_differs_is_told_and_not_proven_and_what_is_gone_is_counted_apart() {
    let clock = Cell::default();
    let mut fake = Fake::new(many(10, 1000), &clock);
    let mut memory = memory();
    let figures = run(&mut fake, &mut memory, 60, 1);
    assert_eq!(figures.proven_files, Some(10));
    assert_eq!(figures.proven_bytes, Some(10_000));
    let bad = fake.files.get_mut("dir/file-00001").unwrap();
    bad.verdict = Verdict::Different("rotten".to_owned());
    fake.files.get_mut("dir/file-00002").unwrap().verdict = Verdict::Restored;
    let figures = run(&mut fake, &mut memory, 60, 2);
    assert_eq!(figures.proven_files, Some(8));
    assert_eq!(figures.different_files, Some(1));
    assert_eq!(figures.restored_files, Some(1));
    assert_eq!(figures.restored_bytes, Some(1000));
    assert_eq!(fake.complaints, ["dir/file-00001: rotten"]);
    assert!((share(&figures) - 0.9).abs() < 0.001);
    fake.restored.clear();
    run(&mut fake, &mut memory, 60, 3);
    assert!(fake.restored[0].contains(&"dir/file-00001".to_owned()));
}

#[test]
fn an_archive_too_large_to_choose_from_at_once_is_gone_through_again() {
    let clock = Cell::default();
    let mut fake = Fake::new(many(300, 1000), &clock);
    let mut bad = File::of(1000);
    bad.verdict = Verdict::Different("rotten".to_owned());
    fake.files.insert("bad".to_owned(), bad);
    let mut memory = memory();
    let figures = run_within(&mut fake, &mut memory, 600, 1, 10_000);
    assert_eq!(figures.proven_files, Some(300));
    assert_eq!(fake.complaints.len(), 1, "it is tried once a drill");
    assert!((5..40).contains(&fake.surveys), "{} passes", fake.surveys);
    let all: Vec<&String> = fake.restored.iter().flatten().collect();
    assert_eq!(all.len(), 301);
}

#[test]
fn without_room_files_are_read_in_pieces() {
    let clock = Cell::default();
    let mut fake = Fake::new(many(5, 1000), &clock);
    fake.room = 0;
    let figures = run(&mut fake, &mut memory(), 60, 1);
    assert_eq!(figures.proven_files, Some(5));
    assert!(fake.restored.iter().all(|batch| batch.len() == 1));
}

#[test]
fn an_archive_without_data_is_proven() {
    let clock = Cell::default();
    let mut fake = Fake::new(many(2, 0), &clock);
    let figures = run(&mut fake, &mut memory(), 60, 1);
    assert!((share(&figures) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn memory_that_is_damaged_is_none() {
    let clock = Cell::default();
    let mut files = many(3, 1000);
    files.push(("large".to_owned(), File::of(200 << 20)));
    let mut fake = Fake::new(files, &clock);
    let mut memory = memory();
    run(&mut fake, &mut memory, 4, 1);
    let bytes = memory.encode();
    assert_eq!(Memory::decode(&bytes), Some(memory));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert_eq!(Memory::decode(&flipped), None, "byte {at}");
        assert_eq!(Memory::decode(&bytes[..at]), None, "{at} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the sizes, the speed and the budget: time is kept, everything is proven in the end, nothing is lost.
    #[test]
    fn time_is_kept_and_everything_is_proven_in_the_end(
        sizes in prop::collection::vec(prop_oneof![0_u64..100_000, 0_u64..40_000_000], 1..60),
        megabytes_per_second in 1_u64..200,
        seconds in 1_u64..20,
    ) {
        let clock = Cell::default();
        let named = |(number, size): (usize, u64)| (format!("f{number}"), File::of(size));
        let mut fake = Fake::new(sizes.into_iter().enumerate().map(named), &clock);
        fake.bytes_per_second = megabytes_per_second << 20;
        let mut memory = memory();
        let total: u64 = fake.files.values().map(|file| file.size).sum();
        let days = 2 + total / (fake.bytes_per_second * seconds) * 2;
        let mut figures = Figures::default();
        for day in 1..=u32::try_from(days).unwrap() {
            let begun = clock.get();
            figures = run(&mut fake, &mut memory, seconds, day);
            let over = clock.get().saturating_sub(begun).saturating_sub(Duration::from_secs(seconds));
            // A piece at this speed takes up to two seconds; nothing else takes more than one.
            let piece = Duration::from_millis(fake.piece_len * 1000 / fake.bytes_per_second);
            prop_assert!(over <= piece.max(Duration::from_millis(1100)), "{:?}", over);
        }
        prop_assert!((share(&figures) - 1.0).abs() < f64::EPSILON, "{:?}", figures);
        let all: BTreeSet<&String> = fake.restored.iter().flatten().collect();
        prop_assert_eq!(all.len(), fake.files.len());
    }
}
