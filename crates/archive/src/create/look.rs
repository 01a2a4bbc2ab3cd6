//! Looking at files before it is their turn.
//!
//! One `statx` for each file is most of what the walk does, and nobody can go on without the walk. So where a directory
//! has many files the walk hands out their names, a few at a time, and workers with nothing better to do look at them.
//! What nobody has begun to look at when it is its turn the walk looks at itself.
//!
//! Nothing is looked at that the walk would not look at, and nothing long before its turn: names are handed out only up to
//! the next directory, and [`AHEAD_LEN`] at most.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ironborg_source::{Decision, DirEntries, FileKind, FileStat, Place, SourceError};

use super::step::OpenDir;

/// Entries at most that are looked at ahead.
const AHEAD_LEN: usize = 128;
/// Names that are handed out together: at least this many, for looking at a few costs no more than handing them out,
const LOOK_LEN_MIN: usize = 8;
/// and at most this many: the walk may have to wait for them.
const LOOK_LEN_MAX: usize = 64;

/// What was seen of one entry; `None`: nobody looked.
pub(super) type Seen = Option<Result<FileStat, SourceError>>;

/// A few names of a directory, for whoever comes first to look at.
#[derive(Debug)]
pub(crate) struct Look {
    dir: Arc<OpenDir>,
    names: Vec<u8>,
    /// Where each name ends. An empty one is not to be looked at.
    ends: Vec<usize>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
enum State {
    /// Nobody has begun.
    Open,
    /// Somebody is looking, or the walk does not need it any more.
    Taken,
    /// In the order of the names; too short if whoever looked has panicked.
    Seen(Vec<Seen>),
}

impl Look {
    fn new(dir: Arc<OpenDir>) -> Self {
        Self {
            dir,
            names: Vec::new(),
            ends: Vec::new(),
            state: Mutex::new(State::Open),
            changed: Condvar::new(),
        }
    }

    fn push(&mut self, name: &[u8]) {
        self.names.extend_from_slice(name);
        self.ends.push(self.names.len());
    }

    /// Looks at all of them, unless somebody else does.
    pub(super) fn see(&self) {
        if !self.take() {
            return;
        }
        /// Whatever happens, the walk does not wait for ever.
        struct Answer<'l>(&'l Look, Vec<Seen>);
        impl Drop for Answer<'_> {
            fn drop(&mut self) {
                *self.0.lock() = State::Seen(std::mem::take(&mut self.1));
                self.0.changed.notify_one();
            }
        }
        let mut answer = Answer(self, Vec::with_capacity(self.ends.len()));
        let mut start = 0;
        for end in &self.ends {
            let name = &self.names[start..*end];
            start = *end;
            let stat = || Place::entry(&self.dir.dir, name, name).stat();
            answer.1.push((!name.is_empty()).then(stat));
        }
    }

    /// Whether it falls to the caller.
    fn take(&self) -> bool {
        let mut state = self.lock();
        let is_open = matches!(*state, State::Open);
        if is_open {
            *state = State::Taken;
        }
        is_open
    }

    /// What was seen; nothing if nobody has begun yet, and then nobody will.
    fn seen(&self) -> Vec<Seen> {
        if self.take() {
            return Vec::new();
        }
        let mut state = self.lock();
        loop {
            if let State::Seen(seen) = &mut *state {
                return std::mem::take(seen);
            }
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the next entries of a directory.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// How many entries that is, and how many of them are done.
    count: usize,
    done: usize,
    /// Entries in each of `looks`; as many come before the first of them.
    look_len: usize,
    looks: Vec<Arc<Look>>,
    decisions: Vec<Decision>,
    /// What was seen of the entries of the look that is being used.
    seen: Vec<Seen>,
}

impl Ahead {
    /// Whether it is time to look ahead again.
    pub(super) fn is_over(&self) -> bool {
        self.done >= self.count
    }

    /// Nobody has time: the next few entries are the walk's.
    pub(super) fn ask_again_later(&mut self) {
        *self = Self {
            count: LOOK_LEN_MIN,
            ..Self::default()
        };
    }

    /// Hands out what comes from `position` on, where that is worth it. `decide` tells what patterns say of a name.
    pub(super) fn plan(
        &mut self,
        dir: &Arc<OpenDir>,
        entries: &DirEntries,
        position: usize,
        decide: impl FnMut(&[u8]) -> Decision,
        mut hand_out: impl FnMut(&Arc<Look>),
    ) {
        let files: Vec<&[u8]> = (position..entries.len())
            .take(AHEAD_LEN)
            .map_while(|at| entries.get(at))
            .take_while(|entry| entry.kind.is_some_and(|kind| kind != FileKind::Directory))
            .map(|entry| entry.name)
            .collect();
        let look_len = (files.len().div_ceil(2)).clamp(LOOK_LEN_MIN, LOOK_LEN_MAX);
        *self = Self {
            // What follows, if anything does, is a directory, or more of the same.
            count: files.len().max(1),
            look_len,
            ..Self::default()
        };
        if files.len() < 2 * LOOK_LEN_MIN {
            return;
        }
        self.decisions = files.iter().copied().map(decide).collect();
        let decided = files.chunks(look_len).zip(self.decisions.chunks(look_len));
        for (names, decisions) in decided.skip(1) {
            let mut look = Look::new(Arc::clone(dir));
            for (name, decision) in names.iter().zip(decisions) {
                // What is excluded is not even looked at: that could fail.
                let is_wanted = decision.include || decision.recurse;
                look.push(if is_wanted { name } else { b"" });
            }
            self.looks.push(Arc::new(look));
        }
        self.looks.iter().for_each(&mut hand_out);
    }

    /// What is known of the next entry.
    pub(super) fn next(&mut self) -> (Option<Decision>, Seen) {
        let at = self.done;
        self.done += 1;
        if self.looks.is_empty() {
            return (None, None);
        }
        let (look, place) = (at / self.look_len, at % self.look_len);
        if place == 0 {
            let of_others = look.checked_sub(1).and_then(|look| self.looks.get(look));
            self.seen = of_others.map(|look| look.seen()).unwrap_or_default();
        }
        let seen = self.seen.get_mut(place).and_then(Option::take);
        (self.decisions.get(at).copied(), seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;
    use std::fs;

    /// A directory with these entries, a slash behind those that are directories themselves.
    fn scene(names: &[String]) -> (tempfile::TempDir, Arc<OpenDir>, DirEntries) {
        let scratch = tempfile::tempdir().expect("there is room");
        for name in names {
            match name.strip_suffix('/') {
                Some(name) => fs::create_dir(scratch.path().join(name)),
                None => fs::write(scratch.path().join(name), name),
            }
            .expect("there is room");
        }
        let path = scratch.path().as_os_str().as_encoded_bytes();
        let dir = Place::path(path).open_dir().expect("it is there");
        let mut entries = DirEntries::new();
        dir.read(&mut entries).expect("it is readable");
        let gate = Arc::new(Gate::new(1));
        assert!(gate.try_take(1));
        (scratch, Arc::new(OpenDir { dir, gate }), entries)
    }

    fn included(_: &[u8]) -> Decision {
        Decision {
            include: true,
            recurse: true,
        }
    }

    /// Walks all entries; `hand_out` hears of every look. Gives how many entries others have looked at.
    fn walk(
        (_, dir, entries): &(tempfile::TempDir, Arc<OpenDir>, DirEntries),
        mut decide: impl FnMut(&[u8]) -> Decision,
        mut hand_out: impl FnMut(&Arc<Look>),
    ) -> usize {
        let mut ahead = Ahead::default();
        let mut count = 0;
        for (position, entry) in entries.iter().enumerate() {
            if ahead.is_over() {
                ahead.plan(dir, entries, position, &mut decide, &mut hand_out);
            }
            let (decision, seen) = ahead.next();
            assert!(decision.is_none_or(|decision| decision == decide(entry.name)));
            if let Some(stat) = seen {
                count += 1;
                assert_eq!(stat.expect("it is there").ino, entry.ino);
            }
        }
        count
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("file {number}")).collect()
    }

    #[test]
    fn every_entry_gets_what_was_seen_of_it_whoever_looked() {
        let mut ahead = Ahead::default();
        ahead.ask_again_later();
        for _ in 0..LOOK_LEN_MIN {
            assert!(!ahead.is_over());
            let (decision, seen) = ahead.next();
            assert!(decision.is_none() && seen.is_none());
        }
        assert!(ahead.is_over());
        for count in [0, 1, 15, 16, 17, 100, 127, 128, 129, 300] {
            let scene = scene(&names(count));
            assert_eq!(walk(&scene, included, |_| ()), 0);
            let seen = walk(&scene, included, |look| look.see());
            assert!(count < 16 || seen * 3 >= count, "{seen} of {count}");
            // Some of them only, and on other threads.
            std::thread::scope(|scope| {
                let mut number = 0;
                walk(&scene, included, |look| {
                    number += 1;
                    if number % 2 == 0 {
                        let look = Arc::clone(look);
                        scope.spawn(move || look.see());
                    }
                });
            });
        }
    }

    #[test]
    fn nobody_looks_beyond_a_directory() {
        let mut all = names(40);
        all.extend((0..5).map(|number| format!("dir {number}/")));
        let (scratch, dir, entries) = scene(&all);
        let kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
        let mut ahead = Ahead::default();
        for (position, kind) in kinds.iter().enumerate() {
            if *kind != Some(FileKind::Directory) {
                continue;
            }
            ahead.plan(&dir, &entries, position, included, |_| {
                panic!("a directory is entered first")
            });
            let before = kinds[..position].iter().rev();
            let files = before.take_while(|kind| **kind != Some(FileKind::Directory));
            let from = position - files.count();
            let mut ends = 0;
            ahead.plan(&dir, &entries, from, included, |look| {
                ends += look.ends.len();
            });
            assert!(ends <= position - from);
        }
        drop(scratch);
    }

    #[test]
    fn what_is_excluded_is_not_looked_at() {
        let scene = scene(&names(100));
        for name in names(100) {
            fs::remove_file(scene.0.path().join(name)).expect("it is there");
        }
        let excluded = |_: &[u8]| Decision {
            include: false,
            recurse: false,
        };
        // A look would find nothing, and that would be an error.
        assert_eq!(walk(&scene, excluded, |look| look.see()), 0);
    }
}
