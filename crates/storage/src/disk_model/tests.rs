//! What a power failure may and may not take.

use super::*;
use crate::{LocalStorage, RecordingStorage};

const SEEDS: u64 = 200;

fn text(value: &str) -> String {
    value.to_owned()
}

fn bytes(value: &str) -> Vec<u8> {
    value.as_bytes().to_vec()
}

/// A disk with a file `data/old`, everything safe, to which these operations were done.
fn disk_after(operations: &[Operation]) -> DiskModel {
    let memory = MemoryStorage::new();
    memory.set("data/old", "was there");
    let mut disk = DiskModel::holding(&memory).expect("memory lists what it has");
    for operation in operations {
        disk.apply(operation);
    }
    disk
}

/// Every state found by chance, once.
fn states(disk: &DiskModel) -> BTreeSet<Vec<(String, Vec<u8>)>> {
    (0..SEEDS)
        .map(|seed| disk.after_power_failure(Unsynced::Reordered(seed)).files())
        .collect()
}

fn content(memory: &MemoryStorage, name: &str) -> Option<String> {
    let content = memory.read(name).ok()?;
    Some(String::from_utf8(content).expect("tests write text"))
}

#[test]
fn a_sealed_file_is_there_whatever_happens() {
    let disk = disk_after(&[
        Operation::Create(text("data/1")),
        Operation::AppendTo(text("data/1"), bytes("sealed")),
        Operation::Seal(text("data/1")),
    ]);
    for state in states(&disk) {
        assert!(state.contains(&(text("data/1"), bytes("sealed"))));
        assert!(state.contains(&(text("data/old"), bytes("was there"))));
    }
}

#[test]
fn a_synced_file_may_still_have_no_name() {
    let disk = disk_after(&[
        Operation::Create(text("data/1")),
        Operation::AppendTo(text("data/1"), bytes("synced")),
        Operation::Sync(text("data/1")),
    ]);
    let dropped = disk.after_power_failure(Unsynced::Dropped);
    assert_eq!(content(&dropped, "data/1"), None);
    let kept = disk.after_power_failure(Unsynced::Torn);
    assert_eq!(content(&kept, "data/1"), Some(text("synced")));
    assert_eq!(states(&disk).len(), 2);
}

#[test]
fn unsynced_bytes_may_be_missing_torn_or_zero() {
    let disk = disk_after(&[
        Operation::Create(text("data/1")),
        Operation::AppendTo(text("data/1"), bytes("safe")),
        Operation::Seal(text("data/1")),
        Operation::AppendTo(text("data/1"), bytes("lost")),
    ]);
    let found = |unsynced| content(&disk.after_power_failure(unsynced), "data/1");
    assert_eq!(found(Unsynced::Kept), Some(text("safelost")));
    assert_eq!(found(Unsynced::Dropped), Some(text("safe")));
    assert_eq!(found(Unsynced::Torn), Some(text("safelo")));
    assert_eq!(found(Unsynced::Zeroed), Some(text("safe\0\0\0\0")));
    for state in states(&disk) {
        assert!(state[0].1.starts_with(b"safe"));
    }
}

#[test]
fn removals_and_new_names_arrive_in_any_order() {
    let disk = disk_after(&[
        Operation::Create(text("data/1")),
        Operation::Seal(text("data/1")),
        Operation::Create(text("data/2")),
        Operation::Seal(text("data/2")),
        Operation::Remove(text("data/1")),
        Operation::Remove(text("data/2")),
        Operation::Create(text("data/3")),
        Operation::Sync(text("data/3")),
    ]);
    // Each of the three names for itself.
    assert_eq!(states(&disk).len(), 8);
}

#[test]
fn what_happens_to_one_name_happens_in_order() {
    let disk = disk_after(&[
        Operation::Remove(text("data/old")),
        Operation::Create(text("data/old")),
        Operation::Sync(text("data/old")),
    ]);
    let contents: BTreeSet<_> = states(&disk)
        .into_iter()
        .flatten()
        .map(|(_, c)| c)
        .collect();
    assert_eq!(contents, BTreeSet::from([bytes(""), bytes("was there")]));
    // Old, none, new: but never the new one without the removal of the old.
    assert_eq!(states(&disk).len(), 3);
}

#[test]
fn a_file_is_replaced_whole_between_any_two_calls() {
    let mut disk = disk_after(&[]);
    let mut found = BTreeSet::new();
    let mut litter = 0;
    let operation = Operation::Replace(text("data/old"), bytes("new"));
    let look = |disk: &DiskModel| {
        for seed in 0..SEEDS {
            let state = disk.after_power_failure(Unsynced::Reordered(seed));
            found.insert(content(&state, "data/old").expect("one of the two"));
            litter += state.files().len() - 1;
        }
    };
    disk.apply_stepwise(&operation, look);
    assert_eq!(found, BTreeSet::from([text("was there"), text("new")]));
    assert!(litter > 0, "temporary files may be left");
    let settled = disk.after_power_failure(Unsynced::Dropped);
    assert_eq!(settled.files(), [(text("data/old"), bytes("new"))]);
}

#[test]
fn a_file_written_in_place_may_be_anything() {
    let disk = disk_after(&[Operation::Write(text("data/old"), bytes("new content"))]);
    let found = |unsynced| content(&disk.after_power_failure(unsynced), "data/old");
    assert_eq!(found(Unsynced::Kept), Some(text("new content")));
    assert_eq!(found(Unsynced::Dropped), Some(text("was there")));
    assert_eq!(found(Unsynced::Torn), Some(text("new c")));
}

#[test]
fn without_its_directorys_name_a_file_cannot_be_found() {
    let disk = disk_after(&[
        Operation::CreateDir(text("data/0")),
        Operation::Create(text("data/0/1")),
        Operation::Seal(text("data/0/1")),
    ]);
    let dropped = disk.after_power_failure(Unsynced::Dropped);
    assert_eq!(dropped.files().len(), 1);
    let mut disk = disk;
    disk.apply(&Operation::SyncDir(text("data")));
    let dropped = disk.after_power_failure(Unsynced::Dropped);
    assert_eq!(content(&dropped, "data/0/1"), Some(String::new()));
}

#[test]
fn of_published_names_each_may_be_there_but_none_half() {
    let mut disk = disk_after(&[
        Operation::Stage(text("data/a"), bytes("one")),
        Operation::Stage(text("data/b"), bytes("two")),
    ]);
    let mut found = BTreeSet::new();
    let names = vec![text("data/a"), text("data/b")];
    disk.apply_stepwise(&Operation::Publish(names), |disk| {
        for seed in 0..SEEDS {
            let state = disk.after_power_failure(Unsynced::Reordered(seed));
            found.insert((content(&state, "data/a"), content(&state, "data/b")));
        }
    });
    let (one, two) = (Some(text("one")), Some(text("two")));
    let expected = [
        (None, None),
        (one.clone(), None),
        (None, two.clone()),
        (one, two),
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

/// The model does to its files what the real storage does to its own.
#[test]
fn operations_have_the_effect_they_have_on_a_real_disk() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let local = Arc::new(LocalStorage::new(scratch.path()));
    let recording = RecordingStorage::new(Arc::clone(&local) as Arc<dyn Storage>);
    do_everything(&recording).expect("a real disk does this");
    let mut disk = DiskModel::new();
    for operation in recording.operations() {
        disk.apply(&operation);
    }
    let expected = DiskModel::holding(&*local).expect("a real disk lists what it has");
    let kept = disk.after_power_failure(Unsynced::Kept);
    assert_eq!(
        kept.files(),
        expected.after_power_failure(Unsynced::Kept).files()
    );
    assert_eq!(kept.status("empty").expect("memory"), None);
    assert!(kept.files().len() > 5, "{:?}", kept.files());
}

fn do_everything(storage: &dyn Storage) -> Result<(), StorageError> {
    storage.create_dir("")?;
    storage.create_dir_all("data/0")?;
    assert!(!storage.create_dir("data")?);
    let mut file = storage.create("data/0/1")?;
    file.append(b"one ")?;
    file.sync()?;
    file.append(b"two")?;
    file.seal()?;
    assert!(storage.create("data/0/1").is_err());
    storage.write("README", b"first")?;
    storage.write("README", b"second")?;
    storage.append("log", b"a")?;
    storage.append("log", b"b")?;
    storage.replace("config", &[b"x", b"y"])?;
    assert!(storage.link("config", "config.old")?);
    storage.replace("config", &[b"z"])?;
    storage.stage("index.1", &[b"i"])?;
    storage.publish(&["index.1"])?;
    assert!(storage.publish(&["never staged"]).is_err());
    storage.stage("only staged", &[b"s"])?;
    storage.write("secret", b"secret")?;
    storage.erase("secret")?;
    assert!(storage.claim_dir("lock", "me")?);
    assert!(!storage.claim_dir("lock", "you")?);
    storage.remove("lock/me")?;
    assert!(storage.claim_dir("lock", "you")?);
    storage.create_dir("empty")?;
    assert!(!storage.remove_dir("data")?);
    assert!(storage.remove_dir("empty")?);
    storage.create_dir_all("tree/of/files")?;
    storage.write("tree/of/files/f", b"f")?;
    storage.remove_tree("tree")?;
    // What is written to a file that was replaced meanwhile goes nowhere.
    let mut file = storage.create("gone")?;
    storage.remove("gone")?;
    storage.write("gone", b"another")?;
    file.append(b"into the void")?;
    storage.sync_dir("data")
}
