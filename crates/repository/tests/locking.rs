//! Locks keep apart whom they should, leave stock Borg's files, and outlive nobody.
#![allow(clippy::unwrap_used)] // Here a failed unwrap is a failed test.

mod support;

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ironborg_repository::{
    Lock, LockMode, LockOptions, LockOwner, OpenOptions, Repository, RepositoryError,
};
use ironborg_storage::{LocalStorage, MemoryStorage, Storage};
use ironborg_types::{ErrorKind, Event, LockHolder, Reporter};
use support::{HOST, Messages, create, id, open, options, reading, writing};

fn owner(host: &str, pid: u64, thread: u64) -> LockOwner {
    LockOwner {
        host: host.to_owned(),
        pid,
        thread,
    }
}

/// This process under a host id of its own.
fn me() -> LockOwner {
    owner(HOST, std::process::id().into(), 0)
}

fn memory() -> MemoryStorage {
    let memory = MemoryStorage::new();
    memory.create_dir_all("").unwrap();
    memory
}

struct Locking {
    storage: MemoryStorage,
    messages: Arc<Messages>,
}

impl Locking {
    fn new() -> Self {
        Self {
            storage: memory(),
            messages: Messages::new(),
        }
    }

    fn acquire(&self, owner: &LockOwner, exclusive: bool) -> Result<Lock, RepositoryError> {
        Lock::acquire(
            Arc::new(self.storage.clone()),
            "lock",
            LockOptions {
                exclusive,
                wait: Some(Duration::ZERO),
                owner: owner.clone(),
            },
            Arc::clone(&self.messages) as _,
        )
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        let files: Vec<(String, String)> = self
            .storage
            .files()
            .into_iter()
            .map(|(name, content)| (name, String::from_utf8(content).unwrap()))
            .collect();
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()))
            .collect();
        assert_eq!(files, expected);
    }
}

#[test]
fn lock_files_are_stock_borg_s() {
    let locking = Locking::new();
    let (a, pid) = (me(), std::process::id());
    let c = owner("other@2", 77, 0xabc);
    let b = owner(HOST, 1, 0);
    let shared_a = locking.acquire(&a, false).unwrap();
    locking.check(&[(
        "lock.roster",
        &format!("{{\"shared\": [[\"{HOST}\", {pid}, 0]]}}"),
    )]);
    let shared_c = locking.acquire(&c, false).unwrap();
    let both = format!("{{\"shared\": [[\"{HOST}\", {pid}, 0], [\"other@2\", 77, 2748]]}}");
    locking.check(&[("lock.roster", &both)]);

    let error = locking.acquire(&b, true).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LockTimeout);
    assert_eq!(
        error.to_string(),
        "Failed to create/acquire the lock /memory/lock (timeout)."
    );
    locking.check(&[("lock.roster", &both)]);

    drop(shared_a);
    locking.check(&[("lock.roster", "{\"shared\": [[\"other@2\", 77, 2748]]}")]);
    shared_c.release().unwrap();
    locking.check(&[]);

    let exclusive_b = locking.acquire(&b, true).unwrap();
    let files = [
        (format!("lock.exclusive/{HOST}.1-0"), String::new()),
        (
            "lock.roster".to_owned(),
            format!("{{\"exclusive\": [[\"{HOST}\", 1, 0]]}}"),
        ),
    ];
    let files = files
        .each_ref()
        .map(|(name, content)| (name.as_str(), content.as_str()));
    locking.check(&files);
    let error = locking.acquire(&a, false).err().unwrap();
    assert_eq!(
        error.to_string(),
        "Failed to create/acquire the lock /memory/lock.exclusive (timeout)."
    );
    locking.check(&files);
    exclusive_b.release().unwrap();
    locking.check(&[]);
    assert_eq!(locking.messages.take(), Vec::<String>::new());
}

#[test]
fn a_reader_becomes_a_writer_when_it_is_alone() {
    let locking = Locking::new();
    let mut lock = locking.acquire(&me(), false).unwrap();
    let other = locking.acquire(&owner("other@2", 1, 0), false).unwrap();
    assert!(lock.upgrade().is_err());
    assert!(!lock.is_exclusive());
    drop(other);
    lock.upgrade().unwrap();
    assert!(lock.is_exclusive());
    assert!(locking.acquire(&owner("other@2", 1, 0), false).is_err());
    lock.release().unwrap();
    locking.check(&[]);
}

fn dead_pid() -> u64 {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    pid.into()
}

#[test]
fn locks_of_dead_processes_of_this_machine_are_removed() {
    let locking = Locking::new();
    let dead = dead_pid();
    for exclusive in [true, false] {
        std::mem::forget(locking.acquire(&owner(HOST, dead, 0), exclusive).unwrap());
        let lock = locking.acquire(&me(), true).unwrap();
        lock.release().unwrap();
        locking.check(&[]);
    }
    let killed = format!("Killed stale lock {HOST}.{dead}-0.");
    let removed =
        |key| format!("Removed stale {key} roster lock for host {HOST} pid {dead} thread 0.");
    assert_eq!(
        locking.messages.take(),
        [killed, removed("exclusive"), removed("shared")]
    );
}

#[test]
fn what_may_be_alive_keeps_its_lock() {
    let dead = dead_pid();
    for holder in [
        owner(HOST, 1, 0),
        owner(HOST, dead, 1),
        owner("other@2", dead, 0),
        owner(HOST, u64::MAX, 0),
        owner(HOST, 0, 0),
    ] {
        for exclusive in [true, false] {
            let locking = Locking::new();
            let held = locking.acquire(&holder, exclusive).unwrap();
            assert!(locking.acquire(&me(), true).is_err(), "{holder:?}");
            assert_eq!(locking.messages.take(), Vec::<String>::new());
            drop(held);
            assert!(locking.acquire(&me(), true).is_ok());
        }
    }
}

#[test]
fn a_lock_nobody_understands_is_left_to_people() {
    let locking = Locking::new();
    locking.storage.set("lock.exclusive/what is this", "");
    assert!(locking.acquire(&me(), false).is_err());
    assert_eq!(
        locking.messages.take(),
        ["Found malformed lock what is this in /memory/lock.exclusive. Please check/fix manually."]
    );
    Lock::break_lock(&locking.storage, "lock").unwrap();
    Lock::break_lock(&locking.storage, "lock").unwrap();
    locking.acquire(&me(), true).unwrap();
}

#[test]
fn a_broken_lock_is_reported_when_it_is_given_back() {
    let locking = Locking::new();
    let lock = locking.acquire(&me(), true).unwrap();
    Lock::break_lock(&locking.storage, "lock").unwrap();
    let error = lock.release().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotLocked);
    let lock = locking.acquire(&me(), true).unwrap();
    Lock::break_lock(&locking.storage, "lock").unwrap();
    let other = locking.acquire(&owner("other@2", 1, 0), true).unwrap();
    assert_eq!(lock.release().unwrap_err().kind(), ErrorKind::NotMyLock);
    drop(other);
}

#[test]
fn a_place_that_cannot_be_written_to_cannot_be_locked() {
    let storage = MemoryStorage::new();
    let result = Lock::acquire(
        Arc::new(storage),
        "lock",
        LockOptions {
            exclusive: false,
            wait: None,
            owner: me(),
        },
        Messages::new(),
    );
    let error = result.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LockFailed);
    assert_eq!(
        error.to_string(),
        "Failed to create/acquire the lock /memory/lock.exclusive \
         ([Errno 2] No such file or directory: '/memory/lock.exclusive')."
    );
}

#[test]
fn waiting_ends_when_the_lock_is_free_and_not_before_its_time() {
    let locking = Locking::new();
    let held = locking.acquire(&owner("other@2", 1, 0), true).unwrap();
    let acquire = |wait| {
        Lock::acquire(
            Arc::new(locking.storage.clone()),
            "lock",
            LockOptions {
                exclusive: false,
                wait,
                owner: me(),
            },
            Messages::new(),
        )
    };
    let started = Instant::now();
    assert!(acquire(Some(Duration::from_millis(50))).is_err());
    assert!(started.elapsed() >= Duration::from_millis(50));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| acquire(Some(Duration::from_mins(1))).map(drop));
        held.release().unwrap();
        waiting.join().unwrap().unwrap();
    });
    locking.check(&[]);
}

#[test]
fn a_panic_releases_the_lock() {
    let storage = MemoryStorage::new();
    let mut repository = create(Arc::new(storage.clone())).unwrap();
    let result = thread::scope(|scope| {
        let thread = scope.spawn(move || {
            repository.put(&id("a"), b"a").unwrap();
            assert_eq!(repository.len().unwrap(), 17, "this panic is meant");
        });
        thread.join()
    });
    assert!(result.is_err());
    assert!(storage.status("lock.exclusive").unwrap().is_none());
    assert!(storage.status("lock.roster").unwrap().is_none());
    assert!(open(&storage, reading()).is_empty().unwrap());
}

#[test]
fn a_repository_is_locked_while_it_is_open() {
    let storage = MemoryStorage::new();
    drop(create(Arc::new(storage.clone())).unwrap());
    let other = |lock| OpenOptions {
        owner: owner("other@2", 5, 0),
        ..options(lock)
    };
    let try_open =
        |options| ironborg_repository::LocalRepository::open_in(Arc::new(storage.clone()), options);
    let writer = open(&storage, writing());
    assert!(try_open(other(LockMode::Shared)).is_err());
    assert!(try_open(other(LockMode::None)).is_ok());
    drop(writer);
    let reader = open(&storage, reading());
    assert!(try_open(other(LockMode::Shared)).is_ok());
    let error = try_open(other(LockMode::Exclusive)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LockTimeout);
    reader.close().unwrap();
    assert!(try_open(other(LockMode::Exclusive)).is_ok());
}

/// Many at once, each to be alone with a counter that is not atomic.
#[test]
fn of_many_threads_one_at_a_time_has_the_lock() {
    let scratch = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new(scratch.path()));
    storage.write("counter", b"0").unwrap();
    let readers = AtomicU32::new(0);
    let (threads, rounds) = (6, 15);
    thread::scope(|scope| {
        for i in 0..threads {
            let (storage, readers) = (&storage, &readers);
            scope.spawn(move || {
                for round in 0..rounds {
                    let exclusive = (round + i) % 3 != 0;
                    let lock = lock_soon(storage, i, exclusive);
                    if exclusive {
                        assert_eq!(readers.load(Ordering::SeqCst), 0);
                        let count = String::from_utf8(storage.read("counter").unwrap()).unwrap();
                        let count: u32 = count.parse().unwrap();
                        storage
                            .write("counter", (count + 1).to_string().as_bytes())
                            .unwrap();
                    } else {
                        readers.fetch_add(1, Ordering::SeqCst);
                        storage.read("counter").unwrap();
                        readers.fetch_sub(1, Ordering::SeqCst);
                    }
                    lock.release().unwrap();
                }
            });
        }
    });
    let count = String::from_utf8(storage.read("counter").unwrap()).unwrap();
    assert_eq!(count, (threads * rounds * 2 / 3).to_string());
    assert_eq!(storage.list("").unwrap().len(), 1);
}

/// Tries until it works, without the pauses of a person's lock wait.
fn lock_soon(storage: &Arc<dyn Storage>, thread: u64, exclusive: bool) -> Lock {
    loop {
        let options = LockOptions {
            exclusive,
            wait: Some(Duration::ZERO),
            owner: owner(HOST, std::process::id().into(), thread + 1),
        };
        match Lock::acquire(Arc::clone(storage), "lock", options, Messages::new()) {
            Ok(lock) => return lock,
            Err(RepositoryError::LockTimeout { .. }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A roster that a crash left half-written is none: nobody stays locked out for it.
#[test]
fn a_torn_roster_shuts_nobody_out() {
    let whole =
        format!("{{\"shared\": [[\"{HOST}\", 1, 0]], \"exclusive\": [[\"other@2\", 5, 0]]}}");
    for len in 0..whole.len() {
        let locking = Locking::new();
        locking.storage.set("lock.roster", &whole[..len]);
        locking.acquire(&me(), true).unwrap().release().unwrap();
        locking.storage.set("lock.roster", &whole[..len]);
        locking.acquire(&me(), false).unwrap().release().unwrap();
        locking.check(&[]);
    }
}

/// The pid of a dead reader that an unrelated process has got, and a process that runs in another pid namespace under
/// our host id, cannot be told from the living: they are waited for, never broken.
#[test]
fn a_number_that_is_in_use_again_counts_as_alive() {
    let locking = Locking::new();
    let mut unrelated = Command::new("sleep").arg("60").spawn().unwrap();
    let left = owner(HOST, unrelated.id().into(), 0);
    std::mem::forget(locking.acquire(&left, false).unwrap());
    let error = locking.acquire(&me(), true).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LockTimeout);
    unrelated.kill().unwrap();
    unrelated.wait().unwrap();
    locking.acquire(&me(), true).unwrap().release().unwrap();
    locking.check(&[]);
}

/// What a process that has to end at once had of a lock, others do not notice any more; what others had, stays.
#[test]
fn a_lock_is_given_back_from_another_thread() {
    for exclusive in [true, false] {
        let locking = Locking::new();
        std::mem::forget(locking.acquire(&me(), exclusive).unwrap());
        let storage: Arc<dyn Storage> = Arc::new(locking.storage.clone());
        for _ in 0..2 {
            Lock::release_held(Arc::clone(&storage), "lock", &me()).unwrap();
            locking.check(&[]);
        }
        let other = owner("other@2", 1, 0);
        let held = locking.acquire(&other, exclusive).unwrap();
        let before = locking.storage.files();
        Lock::release_held(storage, "lock", &me()).unwrap();
        assert_eq!(locking.storage.files(), before);
        held.release().unwrap();
    }
}

/// Killed inside of the moment in which it changes the roster: the directory is its own then too.
#[test]
fn a_lock_in_the_making_is_given_back() {
    let locking = Locking::new();
    let held = locking.acquire(&owner("other@2", 1, 0), false).unwrap();
    let claim = format!("lock.exclusive/{}", me().file_name());
    locking.storage.set(&claim, "");
    Lock::release_held(Arc::new(locking.storage.clone()), "lock", &me()).unwrap();
    locking.check(&[("lock.roster", "{\"shared\": [[\"other@2\", 1, 0]]}")]);
    held.release().unwrap();
}

fn patient(
    locking: &Locking,
    owner: &LockOwner,
    exclusive: bool,
    wait_ms: u64,
) -> Result<Lock, RepositoryError> {
    Lock::acquire(
        Arc::new(locking.storage.clone()),
        "lock",
        LockOptions {
            exclusive,
            wait: Some(Duration::from_millis(wait_ms)),
            owner: owner.clone(),
        },
        Arc::clone(&locking.messages) as _,
    )
}

/// Readers that come one after the other, and overlap, would keep a writer out for ever.
#[test]
fn a_writer_is_not_starved_by_a_stream_of_readers() {
    let locking = Locking::new();
    let ended = AtomicU32::new(0);
    thread::scope(|scope| {
        for number in 0..2_u64 {
            let (locking, ended) = (&locking, &ended);
            scope.spawn(move || {
                let reader = owner(HOST, std::process::id().into(), number + 1);
                // One of the two always reads: the next begins long before the last has ended.
                thread::sleep(Duration::from_millis(30 * number));
                while ended.load(Ordering::SeqCst) == 0 {
                    let lock = patient(locking, &reader, false, 20_000).unwrap();
                    thread::sleep(Duration::from_millis(60));
                    lock.release().unwrap();
                }
            });
        }
        thread::sleep(Duration::from_millis(100));
        let writer = patient(&locking, &owner("other@2", 7, 0), true, 15_000);
        ended.store(1, Ordering::SeqCst);
        writer.unwrap().release().unwrap();
    });
    locking.check(&[]);
}

/// A writer that died on another machine while it waited holds nobody up for long, and nobody fails for it.
#[test]
fn who_waited_and_is_no_more_only_delays() {
    let locking = Locking::new();
    let shared = "{\"shared\": [[\"other@2\", 1, 0]]}";
    let waiting = "{\"waiting\": [[\"other@3\", 9, 0]]}";
    let both = shared.replace('}', ", ") + &waiting[1..];
    locking.storage.set("lock.roster", both);
    let started = Instant::now();
    let lock = patient(&locking, &me(), false, 400).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200));
    drop(lock);
    locking.check(&[("lock.roster", shared)]);
    // Who does not wait at all does not wait for this either.
    locking.storage.set("lock.roster", waiting);
    locking.acquire(&me(), false).unwrap().release().unwrap();
    locking.check(&[]);
    locking.storage.set("lock.roster", waiting);
    locking.acquire(&me(), true).unwrap().release().unwrap();
    locking.check(&[("lock.roster", waiting)]);
}

/// A writer that gives up takes its announcement back; one that never waits makes none.
#[test]
fn an_announcement_is_withdrawn() {
    let locking = Locking::new();
    let held = locking.acquire(&owner("other@2", 1, 0), false).unwrap();
    let roster = "{\"shared\": [[\"other@2\", 1, 0]]}";
    assert!(patient(&locking, &me(), true, 50).is_err());
    locking.check(&[("lock.roster", roster)]);
    assert!(patient(&locking, &me(), true, 0).is_err());
    locking.check(&[("lock.roster", roster)]);
    held.release().unwrap();
}

/// Whom a lock is waited for is told once the wait has become long, again when that is somebody else, and at the end.
#[test]
fn holders_are_named_to_those_who_wait() {
    #[derive(Default)]
    struct Told(Mutex<Vec<(String, Vec<LockHolder>, bool)>>);
    impl Reporter for Told {
        fn report(&self, event: Event<'_>) {
            if let Event::LockHeld {
                lock,
                holders,
                given_up,
            } = event
            {
                let told = (lock.into_owned(), holders.to_vec(), given_up);
                self.0.lock().unwrap().push(told);
            }
        }
    }
    for exclusive in [true, false] {
        let scratch = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new(scratch.path()));
        let acquire = |owner: LockOwner, exclusive, wait_ms, reporter: Arc<Told>| {
            let wait = Some(Duration::from_millis(wait_ms));
            let options = LockOptions {
                exclusive,
                wait,
                owner,
            };
            Lock::acquire(Arc::clone(&storage), "lock", options, reporter)
        };
        let quiet = Arc::new(Told::default());
        let held = acquire(owner("other@2", 41, 0), exclusive, 0, Arc::clone(&quiet)).unwrap();
        let told = Arc::new(Told::default());
        assert!(acquire(me(), true, 1500, Arc::clone(&told)).is_err());
        held.release().unwrap();
        let told = told.0.lock().unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        for ((lock, holders, given_up), is_last) in told.iter().zip([false, true]) {
            assert_eq!(*lock, scratch.path().join("lock").display().to_string());
            assert_eq!(*given_up, is_last);
            let [holder] = &holders[..] else {
                panic!("{holders:?}")
            };
            assert_eq!((holder.host.as_str(), holder.pid), ("other@2", 41));
            assert_eq!((holder.exclusive, holder.is_local), (exclusive, false));
            let age = holder.age.unwrap_or_default();
            assert_eq!(holder.age.is_some(), exclusive);
            assert!(age < Duration::from_mins(5), "{age:?}");
        }
        assert!(quiet.0.lock().unwrap().is_empty());
    }
}

/// Somebody broke the lock: whoever had it begins no transaction any more, as another may be writing.
#[test]
fn nothing_is_written_without_the_lock() {
    let storage = MemoryStorage::new();
    drop(create(Arc::new(storage.clone())).unwrap());
    let mut writer = open(&storage, writing());
    Lock::break_lock(&storage, "lock").unwrap();
    let before = storage.files();
    let error = writer.put(&id("a"), b"a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LockFailed);
    assert_eq!(
        error.to_string(),
        "Failed to create/acquire the lock /memory/lock.exclusive (somebody has broken it)."
    );
    drop(writer);
    assert_eq!(storage.files(), before);
    let mut writer = open(&storage, writing());
    writer.put(&id("a"), b"a").unwrap();
    writer.commit().unwrap();
}
