//! One damage after the other, and what came of it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ironborg_storage::MemoryStorage;
use ironborg_testkit::{CountingAllocator, Tried, tally};

use crate::counters;
use crate::laboratory::Laboratory;
use crate::reading::{Reading, Thorough};
use crate::writing::Writer;

/// Memory that no operation on a repository of some kilobytes may need, whatever a damaged length says.
const MEMORY_MAX: u64 = 64 << 20;
/// How long one damage may take all operations together; a thousand times what it does.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether every bit and every operation is wanted, however long that takes.
pub(crate) fn is_full() -> bool {
    std::env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

/// Chooses bits and operations where not all are tried.
pub(crate) fn seed() -> u64 {
    let chosen = std::env::var("IRONBORG_HOSTILE_SEED").ok();
    chosen.map_or(1, |seed| {
        seed.parse().expect("IRONBORG_HOSTILE_SEED is a number")
    })
}

/// What is wrong.
#[derive(Clone, Default)]
pub(crate) struct Damage {
    /// The repository, if that is what is damaged.
    pub(crate) repository: Option<MemoryStorage>,
    /// Files of the client's that have other content; caches are there if one of these is one.
    pub(crate) client: Vec<(PathBuf, Vec<u8>)>,
}

impl Damage {
    /// The client's files are as they were.
    pub(crate) fn of_repository(storage: MemoryStorage) -> Self {
        Self {
            repository: Some(storage),
            ..Self::default()
        }
    }

    /// The repository is as it was.
    pub(crate) fn of_client(path: PathBuf, content: Vec<u8>) -> Self {
        Self {
            client: vec![(path, content)],
            ..Self::default()
        }
    }

    /// Puts the client's files there; gives the repository.
    pub(crate) fn take_effect(&self, laboratory: &Laboratory) -> MemoryStorage {
        let is_cache = |(path, _): &(PathBuf, _)| laboratory.caches.contains_key(path);
        if self.client.iter().any(is_cache) {
            laboratory.start_with_caches();
        } else {
            laboratory.start_anew();
        }
        for (path, content) in &self.client {
            std::fs::write(path, content).unwrap();
        }
        self.storage(laboratory)
    }

    fn storage(&self, laboratory: &Laboratory) -> MemoryStorage {
        let storage = self.repository.as_ref().unwrap_or(&laboratory.healthy);
        storage.snapshot()
    }
}

/// Damages of one laboratory.
pub(crate) struct Trials<'l> {
    laboratory: &'l Laboratory,
    watched: Arc<Watched>,
    damages: u64,
    refused: u64,
    failures: Vec<String>,
    next_writer: usize,
    harmless: bool,
}

/// What is being tried, for who waits for its end.
struct Watched {
    current: Mutex<Option<(String, Instant)>>,
}

impl<'l> Trials<'l> {
    pub(crate) fn new(laboratory: &'l Laboratory) -> Self {
        let watched = Arc::new(Watched {
            current: Mutex::default(),
        });
        let watcher = Arc::clone(&watched);
        std::thread::spawn(move || watcher.watch());
        Self {
            laboratory,
            watched,
            damages: 0,
            refused: 0,
            failures: Vec::new(),
            next_writer: usize::try_from(seed()).unwrap_or_default(),
            harmless: false,
        }
    }

    /// Nothing may be refused from now on.
    pub(crate) fn demand_harmless(&mut self) {
        self.harmless = true;
    }

    /// Tries all reading operations and, in turn or all, the writing ones.
    #[track_caller]
    pub(crate) fn check(&mut self, what: &str, damage: &Damage) {
        let writers = if is_full() {
            Writer::ALL.to_vec()
        } else {
            self.next_writer += 1;
            vec![Writer::ALL[self.next_writer % Writer::ALL.len()]]
        };
        self.check_with(what, damage, &writers);
    }

    /// Tries all reading operations and these writing ones.
    #[track_caller]
    pub(crate) fn check_with(&mut self, what: &str, damage: &Damage, writers: &[Writer]) {
        let what = format!("{:?}, seed {}: {what}", self.laboratory.mode, seed());
        *self.watched.current.lock().unwrap() = Some((what.clone(), Instant::now()));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let reading = self.read(&what, damage);
            for writer in writers {
                self.write(&format!("{what}, {writer:?}"), damage, &reading, *writer);
            }
        }));
        *self.watched.current.lock().unwrap() = None;
        if let Err(panic) = outcome {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
            match text {
                Some(text) if text.starts_with(&what) => self.failures.push(text),
                Some(text) => self.failures.push(format!("{what}: PANIC: {text}")),
                None => resume_unwind(panic),
            }
        }
        self.damages += 1;
    }

    fn read(&mut self, what: &str, damage: &Damage) -> Reading {
        let storage = damage.take_effect(self.laboratory);
        // Counting all references takes its time.
        let thorough = if is_full() || self.damages.is_multiple_of(4) {
            Thorough::All
        } else {
            Thorough::Most
        };
        let reading = self.measured(what, |laboratory| {
            Reading::of(laboratory, &storage, thorough)
        });
        assert_unlocked(what, &storage);
        let healthy = &self.laboratory.answers;
        for (question, answer) in &reading.answers {
            match answer {
                Ok(_) => assert!(
                    Some(answer) == healthy.answers.get(question),
                    "{what}: {question}: {answer:?} without a word, not {:?}\n{reading:#?}",
                    healthy.answers.get(question)
                ),
                Err(text) => self.assert_named(what, question, text),
            }
        }
        if !reading.is_whole() {
            assert!(!self.harmless, "{what}: not harmless: {reading:#?}");
            self.refused += 1;
        }
        reading
    }

    fn write(&mut self, what: &str, damage: &Damage, reading: &Reading, writer: Writer) {
        let before = if reading.is_whole() {
            reading.clone()
        } else {
            self.laboratory.be_a_stranger();
            let storage = damage.storage(self.laboratory);
            Reading::of(self.laboratory, &storage, Thorough::Contents)
        };
        let storage = damage.take_effect(self.laboratory);
        let outcome = self.measured(what, |laboratory| writer.run(laboratory, &storage));
        assert_unlocked(what, &storage);
        if self.laboratory.mode.is_encrypted() {
            let old = [&self.laboratory.healthy, &damage.storage(self.laboratory)];
            counters::assert_none_used_twice(what, &old, &storage);
        }
        if let Err(error) = &outcome {
            let text = format!("{:?}: {error}", error.kind());
            self.assert_named(what, "writing", &text);
        }
        self.laboratory.be_a_stranger();
        let after = Reading::of(self.laboratory, &storage, Thorough::Contents);
        assert!(
            outcome.is_ok() || !self.harmless,
            "{what}: not harmless: {outcome:?}"
        );
        let context = || format!("{what}: {outcome:?}\nbefore {before:#?}\nafter {after:#?}");
        for name in &before.archives {
            // What deletes first and compacts then may have come as far as that.
            let is_done = outcome.is_ok() || writer == Writer::Compact;
            if !before.has_whole(name) || is_done && writer.takes_away() == Some(name) {
                continue;
            }
            assert!(after.has_whole(name), "{}: {name} is lost", context());
            assert!(
                before.contents(name) == after.contents(name),
                "{}: {name} is not what it was",
                context()
            );
        }
        if outcome.is_err() {
            return;
        }
        if let Some(gone) = writer.takes_away() {
            let there = after.archives.iter().any(|name| name == gone);
            assert!(!there, "{}: {gone} is still there", context());
        }
        if let Some((name, like)) = writer.brings() {
            assert!(
                !before.is_whole() || after.has_whole(name),
                "{}: {name} is not whole",
                context()
            );
            assert!(
                !after.has_whole(name)
                    || after.contents(name) == self.laboratory.answers.contents(like),
                "{}: {name} is not like {like}",
                context()
            );
        }
    }

    /// Runs something that must not take more memory than there is reason for.
    fn measured<T>(&self, what: &str, run: impl FnOnce(&Laboratory) -> T) -> T {
        let start = CountingAllocator::start();
        let result = run(self.laboratory);
        let used = CountingAllocator::counted().peak.saturating_sub(start);
        assert!(used < MEMORY_MAX, "{what}: {used} bytes of memory");
        result
    }

    /// Whoever reads it knows where to look.
    fn assert_named(&self, what: &str, question: &str, text: &str) {
        let places = [
            "[segment ",
            "section: 'repository'",
            "repository config",
            "encrypted key",
            "hints file",
            "storage quota",
            "Chunk (unknown)",
            "/memory",
            "first",
            "second",
            "third",
            "tree/",
            "nonce",
        ];
        let files = self.laboratory.path("");
        // These are about the manifest or the key, of which there is one.
        let unique = [
            "CacheRepositoryIDNotUnique: ",
            "CacheRepositoryReplay: ",
            "CacheEncryptionMethodMismatch: ",
            "CacheRepositoryAccessAborted: ",
            "CacheCacheInitAbortedError: ",
            "TAMInvalid: ",
            "TAMRequiredError: ",
            "TAMUnsupportedSuiteError: ",
            "UnsupportedManifestError: ",
            "UnsupportedPayloadError: ",
            "PassphraseWrong: ",
            "MandatoryFeatureUnsupported: ",
            "NoManifestError: ",
            // Stock Borg's words, without a chunk's id; extraction logs path and id besides.
            "DecompressionError: ",
        ];
        let is_named = places.iter().any(|place| text.contains(place))
            || text.contains(&*files.to_string_lossy())
            || unique.iter().any(|kind| text.starts_with(kind))
            || text
                .split(|c: char| !c.is_ascii_hexdigit())
                .any(|word| word.len() == 64);
        assert!(is_named, "{what}: {question}: nothing is named in: {text}");
    }

    /// Notes how many there were. A test in which nothing was refused has damaged nothing.
    pub(crate) fn finish(self, refused_min: u64) {
        let Self {
            damages, refused, ..
        } = self;
        let failures = &self.failures;
        assert!(
            failures.is_empty(),
            "{} of {damages} damages:\n{}",
            failures.len(),
            failures[..failures.len().min(20)].join("\n")
        );
        assert!(
            refused >= refused_min,
            "{refused} of {damages} damages made a difference"
        );
        tally(Tried::Damages, damages);
    }
}

impl Drop for Trials<'_> {
    fn drop(&mut self) {
        *self.watched.current.lock().unwrap() = None;
    }
}

impl Watched {
    /// Ends the process when one trial takes too long: a thread that hangs cannot be ended.
    fn watch(self: Arc<Self>) {
        while Arc::strong_count(&self) > 1 {
            std::thread::sleep(Duration::from_millis(200));
            if let Some((what, start)) = &*self.current.lock().unwrap()
                && start.elapsed() > PATIENCE
            {
                let text = format!("{what}: HANGS\n");
                drop(std::io::Write::write_all(
                    &mut std::io::stderr(),
                    text.as_bytes(),
                ));
                std::process::abort();
            }
        }
    }
}

fn assert_unlocked(what: &str, storage: &MemoryStorage) {
    let files = storage.files();
    let left = files
        .iter()
        .find(|(name, _)| name.starts_with("lock.exclusive/"));
    assert!(left.is_none(), "{what}: {left:?} is left behind");
}
