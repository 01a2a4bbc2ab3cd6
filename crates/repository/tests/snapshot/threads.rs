//! Several threads read real files while another one writes.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ironborg_repository::{
    CompactOptions, LocalRepository, LockMode, Repository, SnapshotRepository,
};
use ironborg_testkit::{Tried, tally};

use crate::story::{Content, OBJECTS, Random, new_repository};
use crate::support::{id, options, writing};

/// What is committed, and stays so until the writer's next transaction takes it away.
#[derive(Default)]
struct Promised {
    /// Counts how often something was taken away.
    removals: u64,
    content: Content,
}

/// Transactions of the writer that several threads read beside.
fn transactions_beside() -> u64 {
    if std::env::var_os("IRONBORG_INTEROP_FULL").is_some() {
        3000
    } else {
        40
    }
}

/// On real files, with nothing to keep the writer and the readers apart.
#[test]
fn threads_find_everything_while_another_one_writes() {
    let dir = tempfile::tempdir().unwrap();
    let disk = new_repository();
    for (name, content) in disk.files() {
        let path = dir.path().join(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    std::fs::create_dir_all(dir.path().join("data")).unwrap();
    let promised = Mutex::new(Promised::default());
    write_some(dir.path(), 0, &promised);
    let readers: Vec<SnapshotRepository> = (0..2)
        .map(|_| SnapshotRepository::open(dir.path(), &options(LockMode::None)).unwrap())
        .collect();
    let is_done = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (readers, promised, is_done, reads) = (&readers, &promised, &is_done, &reads);
            scope.spawn(move || {
                let mut random = Random(thread);
                while !is_done.load(Ordering::SeqCst) {
                    let reader = &readers[usize::try_from(thread % 2).unwrap()];
                    read_one(reader, promised, &mut random);
                    reads.fetch_add(1, Ordering::SeqCst);
                    if random.below(200) == 0 {
                        reader.rest();
                    }
                }
            });
        }
        let _done = Done(&is_done);
        for transaction in 1..transactions_beside() {
            write_some(dir.path(), transaction, &promised);
        }
    });
    tally(Tried::Reads, reads.into_inner());
}

/// Ends the readers, also when the writer fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One transaction, compacted mostly.
fn write_some(path: &Path, transaction: u64, promised: &Mutex<Promised>) {
    let random = &mut Random(transaction + 1);
    let mut repository = LocalRepository::open(path, writing()).unwrap();
    let mut content = promised.lock().unwrap().content.clone();
    let mut removed = Vec::new();
    for _ in 0..6 {
        let number = random.below(OBJECTS);
        let id = id(&number.to_string());
        if content.remove(&id).is_some() {
            repository.delete(&id).unwrap();
            removed.push(id);
        } else {
            let object = vec![u8::try_from(number).unwrap(); 100];
            repository.put(&id, &object).unwrap();
            content.insert(id, object);
        }
    }
    {
        let mut promised = promised.lock().unwrap();
        promised.removals += 1;
        for id in removed {
            promised.content.remove(&id);
        }
    }
    if random.below(4) == 0 {
        repository.commit().unwrap();
    } else {
        let options = CompactOptions {
            threshold: 0.0,
            cleanup_commits: false,
            interrupt: None,
        };
        repository.commit_compact(options).unwrap();
    }
    repository.close().unwrap();
    promised.lock().unwrap().content = content;
}

fn read_one(reader: &SnapshotRepository, promised: &Mutex<Promised>, random: &mut Random) {
    let (id, expected, removals) = {
        let promised = promised.lock().unwrap();
        let count = u64::try_from(promised.content.len()).unwrap();
        if count == 0 {
            return;
        }
        let at = usize::try_from(random.below(count)).unwrap();
        let (id, expected) = promised.content.iter().nth(at).unwrap();
        (*id, expected.clone(), promised.removals)
    };
    let mut object = Vec::new();
    let found = reader.get(&id, &mut object);
    if found.is_err() && promised.lock().unwrap().removals != removals {
        // It may have been taken away in the meantime.
        return;
    }
    found.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(object, expected);
}
