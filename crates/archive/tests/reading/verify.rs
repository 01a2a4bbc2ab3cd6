//! Verification of all objects: the same is found whichever way they are read, each segment is read once, and a damaged
//! object decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ironborg_archive::check::{CheckMode, CheckOptions, check};
use ironborg_archive::selection::ArchiveSelection;
use ironborg_archive::{Client, PassphraseError, PassphraseSource};
use ironborg_crypto::{Passphrase, envelope_nonce};
use ironborg_repository::{LocalRepository, LockMode, OpenOptions, Repository, process_identity};
use ironborg_storage::{LocalStorage, Operation, RecordingStorage};
use ironborg_testkit::{generated, sample_passphrase};
use ironborg_types::{ChunkId, Event, FindingKind, Level, Place, Reporter};

use crate::counting::CountingRepository;
use crate::extract::machine_with;
use crate::machine::Machine;

/// What was said at INFO or above, and what was found.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    findings: Mutex<Vec<(FindingKind, Place)>>,
}

impl Reporter for Said {
    fn report(&self, event: Event<'_>) {
        let line = match event {
            Event::Log { level, message, .. } if level >= Level::Info => message.into_owned(),
            Event::Finding(finding) => {
                let mut findings = self.findings.lock().expect("not poisoned");
                findings.push((finding.kind, finding.place.clone()));
                finding.message.clone()
            }
            Event::ProgressPercent {
                msgid: "check.verify_data",
                message,
                ..
            } => message.into_owned(),
            _ => return,
        };
        self.lines.lock().expect("not poisoned").push(line);
    }
}

/// What an outcome of a check consists of.
#[derive(Debug, PartialEq)]
struct Outcome {
    sound: bool,
    /// What the verification said.
    verification: Vec<String>,
    damaged: Vec<Place>,
}

/// How objects come to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// While the segments are checked.
    Early,
    /// In pieces of segments, later.
    Shown,
    /// One by one.
    Asked,
}

fn options(way: Way, mode: CheckMode) -> CheckOptions {
    CheckOptions {
        repository: way == Way::Early,
        archives: true,
        verify_data: true,
        mode,
        save_space: false,
        max_duration_s: 0,
        archive: None,
        selection: ArchiveSelection::default(),
        glob: None,
    }
}

fn run(machine: &Machine, way: Way, threads: usize) -> Outcome {
    let said = Arc::new(Said::default());
    let client = Client {
        reporter: Arc::clone(&said) as Arc<dyn Reporter>,
        threads,
        ..machine.client()
    };
    let repository = machine.open_repository(LockMode::Exclusive);
    let repository: Box<dyn Repository> = match way {
        Way::Early | Way::Shown => Box::new(repository),
        Way::Asked => Box::new(CountingRepository::new(repository).0),
    };
    let sound = check(client, repository, &options(way, CheckMode::Look)).expect("it is checked");
    let lines = std::mem::take(&mut *said.lines.lock().expect("not poisoned"));
    let is_begin = |line: &String| line.starts_with("Starting cryptographic");
    let is_end = |line: &String| line.starts_with("Finished cryptographic");
    let begin = lines.iter().position(is_begin).expect("it begins");
    let end = lines.iter().position(is_end).expect("it ends");
    let findings = said.findings.lock().expect("not poisoned");
    let damaged = findings
        .iter()
        .filter(|(kind, _)| *kind == FindingKind::ObjectDamaged)
        .map(|(_, place)| place.clone());
    Outcome {
        sound,
        verification: lines[begin..=end].to_vec(),
        damaged: damaged.collect(),
    }
}

/// An archive of some files, and the ids of their chunks.
fn machine(files: usize, len: usize) -> (Machine, Vec<ChunkId>) {
    let mut ids = Vec::new();
    let machine = machine_with(|writer| {
        for number in 0..files {
            let name = format!("file {number}");
            let item = writer.file(&name, &[&generated(&name, len)]);
            ids.extend(item.chunks.iter().flatten().map(|chunk| chunk.id));
        }
    });
    (machine, ids)
}

/// Stores an object of the repository with some bytes changed, and sound checksums.
fn damage(machine: &Machine, id: &ChunkId, change: impl Fn(&mut Vec<u8>)) {
    let mut repository = machine.open_repository(LockMode::Exclusive);
    let mut object = Vec::new();
    repository.get(id, &mut object).expect("it is there");
    change(&mut object);
    repository.put(id, &object).expect("it is stored");
    repository.commit().expect("it commits");
}

fn flip(at: usize) -> impl Fn(&mut Vec<u8>) {
    move |object| {
        let at = at.min(object.len() - 1);
        object[at] ^= 0x10;
    }
}

#[test]
fn however_objects_are_read_the_same_is_found_in_the_same_order() {
    let (machine, ids) = machine(90, 3_000);
    for way in [Way::Early, Way::Shown, Way::Asked] {
        let outcome = run(&machine, way, 3);
        assert!(outcome.sound, "{way:?}: {outcome:?}");
        assert_eq!(outcome.damaged, [], "{way:?}");
    }
    damage(&machine, &ids[3], flip(60));
    damage(&machine, &ids[50], flip(0));
    damage(&machine, &ids[77], |object| object.truncate(20));
    damage(&machine, &ids[8], flip(1_000));
    let expected = run(&machine, Way::Asked, 1);
    assert!(!expected.sound);
    let damaged: Vec<_> = expected.damaged.iter().map(|place| place.chunk).collect();
    assert_eq!(
        damaged,
        [3, 50, 77, 8].map(|number: usize| Some(ids[number])),
        "in the order they were stored"
    );
    assert!(
        expected
            .verification
            .last()
            .is_some_and(|line| line.ends_with("with 4 integrity errors.")),
        "{expected:?}"
    );
    for way in [Way::Early, Way::Shown, Way::Asked] {
        for threads in [1, 2, 5] {
            let mut outcome = run(&machine, way, threads);
            if way == Way::Asked {
                // The wrapper knows no places.
                assert!(outcome.damaged.iter().all(|place| place.segment.is_none()));
            } else {
                assert!(outcome.damaged.iter().all(|place| place.segment.is_some()));
                for place in &mut outcome.damaged {
                    (place.segment, place.offset) = (None, None);
                }
            }
            assert_eq!(outcome, expected, "{way:?}, {threads} threads");
        }
    }
}

#[test]
fn what_the_disk_has_damaged_is_told_as_stock_borg_tells_it_reading_object_after_object() {
    let (machine, ids) = machine(40, 2_000);
    let at = {
        let repository = machine.open_repository(LockMode::Shared);
        [ids[5], ids[30]].map(|id| repository.place(&id).expect("it is there"))
    };
    for (segment, offset) in at {
        let path = {
            let repository = machine.open_repository(LockMode::Shared);
            repository.segment_path(segment)
        };
        let mut bytes = std::fs::read(&path).expect("it is there");
        bytes[usize::try_from(offset).expect("small") + 100] ^= 1;
        std::fs::write(&path, bytes).expect("it is written");
    }
    let expected = run(&machine, Way::Asked, 1);
    let (segment, offset) = at[0];
    assert!(
        expected.verification.contains(&format!(
            "chunk {}: Data integrity error: Segment entry checksum mismatch [segment {segment}, offset {offset}]",
            ids[5]
        )),
        "{expected:?}"
    );
    for threads in [1, 4] {
        let outcome = run(&machine, Way::Shown, threads);
        assert_eq!(
            outcome.verification, expected.verification,
            "{threads} threads"
        );
    }
}

#[test]
fn segments_are_read_once_though_all_data_is_verified() {
    let (machine, _) = machine(120, 50_000);
    let recording = RecordingStorage::new(Arc::new(LocalStorage::new(&machine.repository)));
    let client = machine.client();
    let open = OpenOptions {
        lock: LockMode::Exclusive,
        lock_wait: None,
        owner: process_identity("test@1"),
        append_only: false,
        storage_quota: None,
        reporter: Arc::clone(&client.reporter),
    };
    let repository = LocalRepository::open_in(Arc::new(recording.clone()), open).expect("it opens");
    recording.take_operations();
    let early = options(Way::Early, CheckMode::Look);
    assert!(check(client, Box::new(repository), &early).expect("it is checked"));
    let mut large_reads: BTreeMap<String, usize> = BTreeMap::new();
    let mut small_bytes = 0;
    for operation in recording.take_operations() {
        match operation {
            Operation::ReadAt(name, _, len) if name.starts_with("data/") && len > 2 << 20 => {
                *large_reads.entry(name).or_default() += 1;
            }
            Operation::ReadAt(_, _, len) => small_bytes += len,
            _ => {}
        }
    }
    // Six megabytes of what cannot be compressed: the first segment takes a piece and a bit.
    assert!(
        large_reads.values().all(|&count| count <= 2),
        "{large_reads:?}"
    );
    assert!(large_reads.values().sum::<usize>() > large_reads.len());
    // A few objects that tell what key there is, the items, the last commit.
    assert!(small_bytes < 6 << 20, "{small_bytes}");
}

/// Nothing is given; a person is asked.
struct Asked;

impl PassphraseSource for Asked {
    fn given(&self) -> Result<Option<Passphrase>, PassphraseError> {
        Ok(None)
    }

    fn ask(&self, _: &str) -> Result<Passphrase, PassphraseError> {
        Ok(Passphrase::new(sample_passphrase()))
    }

    fn new_passphrase(&self) -> Result<Passphrase, PassphraseError> {
        self.ask("")
    }
}

#[test]
fn who_has_to_be_asked_for_a_passphrase_is_asked_when_it_is_time_and_all_is_verified() {
    let (machine, ids) = machine(20, 1_000);
    damage(&machine, &ids[7], flip(70));
    let said = Arc::new(Said::default());
    let client = Client {
        reporter: Arc::clone(&said) as Arc<dyn Reporter>,
        passphrases: Arc::new(Asked),
        ..machine.client()
    };
    let repository = machine.open_repository(LockMode::Exclusive);
    let early = options(Way::Early, CheckMode::Look);
    assert!(!check(client, Box::new(repository), &early).expect("it is checked"));
    let findings = said.findings.lock().expect("not poisoned");
    let (kind, place) = &findings[0];
    assert_eq!(
        (*kind, place.chunk),
        (FindingKind::ObjectDamaged, Some(ids[7]))
    );
}

/// All stored objects.
fn objects(machine: &Machine) -> BTreeMap<ChunkId, Vec<u8>> {
    let repository = machine.open_repository(LockMode::Shared);
    let read = |id: ChunkId| {
        let mut object = Vec::new();
        repository.get(&id, &mut object).expect("it is there");
        (id, object)
    };
    let ids = repository.list(None, None).expect("they are listed");
    ids.into_iter().map(read).collect()
}

#[test]
fn one_damaged_type_byte_does_not_choose_a_key_that_opens_nothing() {
    let (machine, ids) = machine(20, 1_000);
    // The manifest, which is the first object of all, says that nothing is encrypted.
    damage(&machine, &ChunkId::MANIFEST, |object| object[0] = 2);
    let before = objects(&machine);
    let repository = machine.open_repository(LockMode::Exclusive);
    let repair = options(Way::Early, CheckMode::Repair);
    assert!(check(machine.client(), Box::new(repository), &repair).expect("it is repaired"));
    let after = objects(&machine);
    for id in &ids {
        assert_eq!(before.get(id), after.get(id));
    }
    assert!(machine.session().load_archive(b"a").is_ok());
}

#[test]
fn a_repair_uses_no_counter_value_again_though_nobody_remembers_them() {
    let (machine, _) = machine(30, 1_000);
    let used = objects(&machine);
    let end = |object: &[u8]| envelope_nonce(object).and_then(ironborg_crypto::EnvelopeNonce::end);
    let last = used.values().filter_map(|object| end(object)).max();
    // The manifest is lost, whose values were the last, and both notes of what was reserved.
    let mut repository = machine.open_repository(LockMode::Exclusive);
    repository.delete(&ChunkId::MANIFEST).expect("it is there");
    repository.commit().expect("it commits");
    drop(repository);
    std::fs::remove_file(machine.repository.join("nonce")).expect("it is there");
    let id = machine.open_repository(LockMode::Shared).id();
    let security = machine.home.config().join("security").join(id.to_string());
    let _ = std::fs::remove_file(security.join("nonce"));

    let repository = machine.open_repository(LockMode::Exclusive);
    let repair = options(Way::Early, CheckMode::Repair);
    assert!(check(machine.client(), Box::new(repository), &repair).expect("it is repaired"));
    let after = objects(&machine);
    let mut new = 0;
    for (id, object) in &after {
        if used.get(id) != Some(object) {
            let first = envelope_nonce(object).expect("it is encrypted").first;
            assert!(
                Some(first) >= last, // Even those of what is gone.
                "{id}: {first} of {last:?}"
            );
            new += 1;
        }
    }
    assert!(new > 0, "a manifest was written");
}
