//! What every storage must do; a new one is done when it passes.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

use std::io::IoSliceMut;
use std::sync::Arc;
use std::thread;

use ironborg_storage::{
    EntryKind, Fault, FaultyStorage, LocalStorage, MemoryStorage, Operation, RecordingStorage,
    Storage,
};

fn names(storage: &dyn Storage, dir: &str) -> Vec<(String, EntryKind)> {
    let mut names: Vec<_> = storage
        .list(dir)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.name, entry.kind))
        .collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    names
}

fn read_range(storage: &dyn Storage, name: &str, offset: u64, len: usize) -> Vec<u8> {
    let (mut head, mut tail) = (vec![0; len / 2], vec![0; len - len / 2]);
    let mut buffers = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    let count = storage.read_at(name, offset, &mut buffers).unwrap();
    head.extend(tail);
    head.truncate(count);
    head
}

/// A storage whose root does not exist yet, but could.
type New<'a> = &'a dyn Fn() -> Arc<dyn Storage>;

fn root_is_made_and_removed(new: New<'_>) {
    let storage = new();
    assert_eq!(storage.status("").unwrap(), None);
    assert!(storage.list("").unwrap_err().is_not_found());
    assert!(storage.write("file", b"x").unwrap_err().is_not_found());
    assert!(storage.create("file").err().unwrap().is_not_found());
    assert!(storage.create_dir("a/b").unwrap_err().is_not_found());
    assert!(storage.create_dir("").unwrap());
    assert!(!storage.create_dir("").unwrap());
    storage.create_dir_all("a/b/c").unwrap();
    storage.create_dir_all("a/b/c").unwrap();
    storage.write("a/b/file", b"x").unwrap();
    assert_eq!(
        names(&*storage, "a/b"),
        [
            ("c".into(), EntryKind::Directory),
            ("file".into(), EntryKind::File)
        ]
    );
    assert!(!storage.remove_dir("a/b").unwrap());
    assert!(storage.remove_dir("a/b/c").unwrap());
    assert!(!storage.remove_dir("a/b/c").unwrap());
    storage.remove_tree("").unwrap();
    assert_eq!(storage.status("").unwrap(), None);
    storage.remove_tree("").unwrap();
}

fn small_files_are_replaced_whole(new: New<'_>) {
    let storage = new();
    storage.create_dir_all("").unwrap();
    assert!(storage.read("file").unwrap_err().is_not_found());
    storage.replace("file", &[b"one", b"", b" two"]).unwrap();
    assert_eq!(storage.read("file").unwrap(), b"one two");
    // A reader that has looked at the old file sees the new one next time.
    assert_eq!(read_range(&*storage, "file", 0, 100), b"one two");
    storage.replace_unsynced("file", &[b"two", b"!"]).unwrap();
    assert_eq!(storage.read("file").unwrap(), b"two!");
    storage.replace("file", &[b"three"]).unwrap();
    assert_eq!(read_range(&*storage, "file", 0, 100), b"three");
    let mut asked = 0;
    for (answer, content) in [(false, b"three"), (true, b"THREE")] {
        let mut may_go_on = || {
            asked += 1;
            assert_eq!(storage.read("file").unwrap(), b"three");
            answer
        };
        storage
            .replace_when("file", &[b"THR", b"EE"], &mut may_go_on)
            .unwrap();
        assert_eq!(storage.read("file").unwrap(), content);
        assert_eq!(names(&*storage, "").len(), 1);
    }
    assert_eq!(asked, 2);
    storage.replace("file", &[b"three"]).unwrap();
    storage.append("file", b" four").unwrap();
    storage.append("log", b"line\n").unwrap();
    assert_eq!(storage.read("file").unwrap(), b"three four");
    storage.write("file", b"5").unwrap();
    assert_eq!(storage.read("file").unwrap(), b"5");
    assert_eq!(storage.status("file").unwrap().unwrap().size, 1);
    assert_eq!(names(&*storage, "").len(), 2);

    storage.stage("index.1", &[b"a", b"b"]).unwrap();
    storage.stage("hints.1", &[b"c"]).unwrap();
    assert_eq!(storage.status("index.1").unwrap(), None);
    storage.publish(&["index.1", "hints.1"]).unwrap();
    assert_eq!(storage.read("index.1").unwrap(), b"ab");
    assert_eq!(storage.read("hints.1").unwrap(), b"c");
    assert_eq!(storage.status("index.1.tmp").unwrap(), None);
    assert!(storage.publish(&["index.1"]).unwrap_err().is_not_found());

    assert!(storage.link("index.1", "second").unwrap());
    storage.replace("index.1", &[b"new"]).unwrap();
    assert_eq!(storage.read("second").unwrap(), b"ab");
    storage.erase("second").unwrap();
    storage.remove("index.1").unwrap();
    assert!(storage.remove("index.1").unwrap_err().is_not_found());
    assert!(storage.erase("index.1").unwrap_err().is_not_found());
    storage.sync_dir("").unwrap();
    assert!(storage.free_space().unwrap() > 0);
}

fn files_are_made_piece_by_piece_or_not_at_all(new: New<'_>) {
    let storage = new();
    storage.create_dir_all("").unwrap();
    let piece = vec![b'p'; 3 << 20];
    let mut left = 7;
    storage
        .stage_pieces("index.1", &mut |out| {
            out.clear();
            if left > 0 {
                out.extend_from_slice(&piece[left..]);
                left -= 1;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(storage.status("index.1").unwrap(), None);
    storage.publish(&["index.1"]).unwrap();
    let len = 7 * piece.len() - 28;
    assert!(storage.read("index.1").unwrap() == vec![b'p'; len]);

    // Whoever makes it finds out half way that it is no good.
    let mut made = 0;
    let error = storage.stage_pieces("index.2", &mut |out| {
        made += 1;
        out.resize(100, 1);
        match made {
            3 => Err(storage.read("no such file").unwrap_err()),
            _ => Ok(()),
        }
    });
    assert!(error.unwrap_err().is_not_found());
    assert_eq!(names(&*storage, "").len(), 1, "nothing is left of it");
    storage.stage_pieces("empty", &mut |_| Ok(())).unwrap();
    storage.publish(&["empty"]).unwrap();
    assert_eq!(storage.read("empty").unwrap(), b"");
}

fn appended_files_are_read_in_ranges(new: New<'_>) {
    let storage = new();
    storage.create_dir_all("data/0").unwrap();
    let mut file = storage.create("data/0/7").unwrap();
    assert!(
        storage
            .create("data/0/7")
            .err()
            .unwrap()
            .is_already_exists()
    );
    file.append(b"0123456789").unwrap();
    assert_eq!(read_range(&*storage, "data/0/7", 2, 4), b"2345");
    file.append(b"abc").unwrap();
    file.sync().unwrap();
    file.append(b"def").unwrap();
    assert_eq!(read_range(&*storage, "data/0/7", 8, 100), b"89abcdef");
    file.seal().unwrap();
    assert_eq!(read_range(&*storage, "data/0/7", 16, 1), b"");
    assert_eq!(
        read_range(&*storage, "data/0/7", u64::from(u32::MAX), 9),
        b""
    );
    assert_eq!(storage.status("data/0/7").unwrap().unwrap().size, 16);
    storage.will_need("data/0/7", 0, 16);
    storage.will_need("missing", 0, 16);
    storage.remove("data/0/7").unwrap();
    let mut again = storage.create("data/0/7").unwrap();
    again.append(b"new").unwrap();
    again.seal().unwrap();
    assert_eq!(read_range(&*storage, "data/0/7", 0, 100), b"new");
    let mut nothing = [0; 1];
    let missing = storage.read_at("data/0/8", 0, &mut [IoSliceMut::new(&mut nothing)]);
    assert!(missing.unwrap_err().is_not_found());
}

fn one_of_many_claims_a_directory(new: New<'_>) {
    let storage = new();
    storage.create_dir_all("").unwrap();
    let claims: Vec<bool> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let storage = &storage;
                scope.spawn(move || storage.claim_dir("lock", &format!("owner{i}")).unwrap())
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let winner = claims.iter().position(|&claimed| claimed).unwrap();
    assert_eq!(claims.iter().filter(|&&claimed| claimed).count(), 1);
    assert_eq!(
        names(&*storage, "lock"),
        [(format!("owner{winner}"), EntryKind::File)]
    );
    // Nothing is left of the others' attempts.
    assert_eq!(names(&*storage, "").len(), 1);
    assert!(!storage.claim_dir("lock", "late").unwrap());
    storage.remove(&format!("lock/owner{winner}")).unwrap();
    assert!(storage.claim_dir("lock", "late").unwrap());
    storage.remove("lock/late").unwrap();
    assert!(storage.remove_dir("lock").unwrap());
    assert!(storage.claim_dir("lock", "last").unwrap());
    assert!(
        storage
            .claim_dir("no/where", "x")
            .unwrap_err()
            .is_not_found()
    );
}

fn suite(new: New<'_>) {
    root_is_made_and_removed(new);
    small_files_are_replaced_whole(new);
    files_are_made_piece_by_piece_or_not_at_all(new);
    appended_files_are_read_in_ranges(new);
    one_of_many_claims_a_directory(new);
}

#[test]
fn a_local_directory_conforms() {
    let scratch = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    suite(&|| {
        count.set(count.get() + 1);
        Arc::new(LocalStorage::new(
            scratch.path().join(count.get().to_string()),
        ))
    });
}

#[test]
fn memory_conforms() {
    suite(&|| Arc::new(MemoryStorage::new()));
}

#[test]
fn recording_and_faulty_storage_change_nothing_by_themselves() {
    let never = Fault {
        at: u64::MAX,
        forever: true,
        errno: 5,
    };
    suite(&|| Arc::new(RecordingStorage::new(Arc::new(MemoryStorage::new()))));
    suite(&|| Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new()), never)));
}

#[test]
fn more_files_than_stay_open_can_be_read() {
    let scratch = tempfile::tempdir().unwrap();
    let storage = LocalStorage::new(scratch.path());
    for i in 0..200 {
        storage
            .write(&format!("f{i}"), format!("content {i}").as_bytes())
            .unwrap();
    }
    for round in 0..3 {
        for i in (0..200).rev() {
            let expected = format!("content {i}");
            let found = read_range(&storage, &format!("f{i}"), 0, 50);
            assert_eq!(found, expected.as_bytes(), "round {round}");
        }
    }
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 150, "{open} files are open");
}

#[test]
fn erasing_spares_a_file_that_has_another_name() {
    let scratch = tempfile::tempdir().unwrap();
    let storage = LocalStorage::new(scratch.path());
    storage.write("config", b"secret").unwrap();
    assert!(storage.link("config", "copy").unwrap());
    storage.erase("config").unwrap();
    assert_eq!(storage.read("copy").unwrap(), b"secret");
}

#[test]
fn every_call_is_written_down_and_counted() {
    let recording = RecordingStorage::new(Arc::new(MemoryStorage::new()));
    recording.create_dir("").unwrap();
    recording.write("f", b"abc").unwrap();
    read_range(&recording, "f", 1, 2);
    assert_eq!(
        recording.take_operations(),
        [
            Operation::CreateDir(String::new()),
            Operation::Write("f".into(), b"abc".to_vec()),
            Operation::ReadAt("f".into(), 1, 2),
        ]
    );
    assert!(recording.operations().is_empty());
}

#[test]
fn a_fault_strikes_once_or_for_ever() {
    for (forever, expected) in [(false, [true, false, true]), (true, [true, false, false])] {
        let memory = MemoryStorage::new();
        memory.create_dir("").unwrap();
        let fault = Fault {
            at: 1,
            forever,
            errno: 28,
        };
        let faulty = FaultyStorage::new(Arc::new(memory), fault);
        let results = [1, 2, 3].map(|_| faulty.write("f", b"x"));
        assert_eq!(results.each_ref().map(Result::is_ok), expected);
        assert!(results[1].as_ref().unwrap_err().is_no_space());
        assert_eq!(faulty.calls(), 3);
    }
}

/// Found by putting a fifo in the place of each file of a repository: reading waited for a writer, for ever.
#[test]
fn a_fifo_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    let storage = LocalStorage::new(dir.path());
    storage.read("fifo").expect_err("no file");
    let mut buffer = [0; 8];
    let mut buffers = [std::io::IoSliceMut::new(&mut buffer)];
    storage
        .read_at("fifo", 0, &mut buffers)
        .expect_err("no file");
}
