//! Who reads the files of a backup: as many threads as there are cores where files come at once, more where each has to
//! be waited for.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ironborg_archive::create::{Created, create};
use ironborg_crypto::KeyMode;
use ironborg_storage::MemoryStorage;
use ironborg_testkit::Scratch;

use crate::distant;
use crate::machine::Machine;
use crate::stage::{Stage, close, create_options};

const LATENCY: Duration = Duration::from_millis(5);
const FILES: usize = 480;
/// Threads that read, at most.
const READERS_MAX: usize = 16;
/// Opening a file, and reading it.
const REQUESTS: usize = 2 * FILES;

/// Makes an archive of a directory, in memory.
fn archive(scratch: &Scratch, source: &Path) -> (Created, Duration) {
    let machine = Machine::doomed(scratch.dir("home"), "memory");
    let stage = Stage::new(machine, Arc::new(MemoryStorage::new()), source.to_owned());
    stage.init(KeyMode::None).expect("a repository is made");
    let mut session = stage.session().expect("it opens");
    let mut options = create_options("a", source);
    options.checkpoints.volume = 0;
    let started = Instant::now();
    let created = create(&mut session, &options).expect("it is made");
    let elapsed = started.elapsed();
    close(session).expect("it closes");
    (created, elapsed)
}

#[test]
fn files_that_have_to_be_waited_for_are_read_by_many() {
    let scratch = Scratch::new();
    let source = scratch.dir("distant");
    let (mounted, asked) = distant::mount(FILES, LATENCY, &source);
    let (created, elapsed) = archive(&scratch, &source);
    drop(mounted);

    assert_eq!(created.stats.nfiles, FILES as u64);
    assert_eq!(created.stats.size, (FILES * distant::FILE_LEN) as u64);
    let requests = asked.requests.load(Ordering::Relaxed);
    // Each file is opened once and read once; each reader finds out once, with a file, what the file system can do.
    assert!(
        (REQUESTS..=REQUESTS + 3 * READERS_MAX).contains(&requests),
        "{requests} requests"
    );
    let most = asked.most.load(Ordering::Relaxed);
    let of = |readers: u32| LATENCY * u32::try_from(REQUESTS).expect("few") / readers;
    println!(
        "{FILES} files at 5 ms a request: {elapsed:?}; one reader {:?}, two {:?}, sixteen {:?}; {most} at once",
        of(1),
        of(2),
        of(16)
    );
    assert!(most >= 14, "{most} at once");
    // Less than what two take, whatever is going on beside; undisturbed it is a fifth.
    assert!(elapsed < of(2), "{elapsed:?}");
}

#[test]
fn files_that_come_at_once_are_read_by_as_many_as_there_are_cores() {
    let scratch = Scratch::new();
    let source = scratch.dir("near");
    for number in 0..FILES {
        fs::write(source.join(format!("file{number}")), [7; 700]).expect("it is written");
    }
    let before = threads_of_this_process();
    let done = &AtomicBool::new(false);
    let watched = std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(threads_of_this_process());
                std::thread::sleep(Duration::from_micros(300));
            }
            most
        });
        archive(&scratch, &source);
        done.store(true, Ordering::Relaxed);
        watch.join().expect("it only looks")
    });
    // Who watches, the walk, and two workers.
    assert!(watched <= before + 4, "{before} before, {watched} at most");
}

fn threads_of_this_process() -> usize {
    fs::read_dir("/proc/self/task")
        .expect("there is /proc")
        .count()
}
