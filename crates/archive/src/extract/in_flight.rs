//! What has been handed to workers and is not done.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};

/// Names one job: jobs are numbered in the order they were begun.
pub(super) type Ticket = u64;

/// Jobs that are not done, and the paths they are about.
///
/// Paths are kept as hashes of their components: two paths that happen to share one only make
/// somebody wait who need not.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    hasher: RandomState,
    /// The last job about a path,
    paths: HashMap<u64, Ticket>,
    /// and jobs about anything below a path.
    above: HashMap<u64, Below>,
    open: BTreeMap<Ticket, Hashes>,
    next: Ticket,
}

/// Jobs about what lies below a directory.
#[derive(Debug, Clone, Copy)]
struct Below {
    /// How many are not done.
    open: usize,
    /// The one begun last, done or not.
    last: Ticket,
}

/// What has to be done before a path can be used for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Conflict {
    /// One job.
    With(Ticket),
    /// All jobs up to this one.
    UpTo(Ticket),
}

/// What an open job has entered.
#[derive(Debug, Default)]
struct Hashes {
    paths: Vec<u64>,
    above: Vec<u64>,
    /// Parent of the path noted last: mostly that of the next one too.
    parent: Option<u64>,
}

impl InFlight {
    /// Begins a job.
    pub(super) fn begin(&mut self) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.open.insert(ticket, Hashes::default());
        ticket
    }

    /// Notes that a job that was begun makes, changes or needs `path`.
    pub(super) fn note(&mut self, ticket: Ticket, path: &[u8]) {
        let (mut hash, mut parent) = (self.empty(), None);
        for_each_prefix(&self.hasher, path, |prefix| {
            (parent, hash) = (Some(hash), prefix);
        });
        let entered = self
            .open
            .get_mut(&ticket)
            .expect("the job was begun and is not done");
        self.paths.insert(hash, ticket);
        entered.paths.push(hash);
        if entered.parent != parent {
            entered.parent = parent;
            for_each_prefix(&self.hasher, path, |prefix| {
                if prefix != hash && !entered.above.contains(&prefix) {
                    let below = self.above.entry(prefix).or_insert(Below {
                        open: 0,
                        last: ticket,
                    });
                    below.open += 1;
                    below.last = below.last.max(ticket);
                    entered.above.push(prefix);
                }
            });
        }
    }

    /// Forgets a job that is done.
    pub(super) fn done(&mut self, ticket: Ticket) {
        let entered = self.open.remove(&ticket).expect("a job is done once");
        for path in entered.paths {
            if self.paths.get(&path) == Some(&ticket) {
                self.paths.remove(&path);
            }
        }
        for directory in entered.above {
            let below = self.above.get_mut(&directory).expect("it was entered");
            below.open -= 1;
            if below.open == 0 {
                self.above.remove(&directory);
            }
        }
    }

    /// The job that is about `path`, if one is not done.
    pub(super) fn job_of(&self, path: &[u8]) -> Option<Ticket> {
        if self.paths.is_empty() {
            return None;
        }
        let mut whole = self.empty();
        for_each_prefix(&self.hasher, path, |hash| whole = hash);
        self.paths.get(&whole).copied()
    }

    /// What is not done about `path`, about a directory it would lie in, or about something that lies
    /// below it.
    pub(super) fn conflict(&self, path: &[u8]) -> Option<Conflict> {
        if self.paths.is_empty() {
            return None;
        }
        let (mut last, mut whole) = (None, self.empty());
        for_each_prefix(&self.hasher, path, |hash| {
            last = last.max(self.paths.get(&hash).copied());
            whole = hash;
        });
        match self.above.get(&whole) {
            Some(below) => Some(Conflict::UpTo(
                last.map_or(below.last, |last| last.max(below.last)),
            )),
            None => last.map(Conflict::With),
        }
    }

    /// Whether all jobs begun up to and with `ticket` are done.
    pub(super) fn is_done_up_to(&self, ticket: Ticket) -> bool {
        self.open
            .first_key_value()
            .is_none_or(|(oldest, _)| *oldest > ticket)
    }

    /// Whether this job is done.
    pub(super) fn is_done(&self, ticket: Ticket) -> bool {
        !self.open.contains_key(&ticket)
    }

    /// The job begun last, done or not.
    pub(super) fn last(&self) -> Option<Ticket> {
        self.next.checked_sub(1)
    }

    /// The hash of a path without components: the root itself.
    fn empty(&self) -> u64 {
        self.hasher.build_hasher().finish()
    }
}

/// Hands over the hash of the path's first component, of the first two, and so on.
fn for_each_prefix(hasher: &RandomState, path: &[u8], mut take: impl FnMut(u64)) {
    let mut hasher = hasher.build_hasher();
    // `a//b` and `a/./b` are the same file as `a/b`.
    for component in path.split(|byte| *byte == b'/') {
        if !component.is_empty() && component != b"." {
            hasher.write(component);
            hasher.write_u8(b'/');
            take(hasher.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_its_job_until_that_is_done() {
        let mut jobs = InFlight::default();
        let first = jobs.begin();
        jobs.note(first, b"a/b");
        assert_eq!(jobs.job_of(b"a//./b"), Some(first));
        assert_eq!(jobs.job_of(b"a"), None);
        assert_eq!(jobs.conflict(b"a/b/c"), Some(Conflict::With(first)));
        assert_eq!(jobs.conflict(b"a/c"), None);
        assert_eq!(
            jobs.conflict(b"a"),
            Some(Conflict::UpTo(first)),
            "it lies below"
        );
        assert_eq!(jobs.conflict(b"b"), None);
        jobs.done(first);
        assert_eq!(jobs.conflict(b"a/b/c"), None);
    }

    #[test]
    fn a_later_job_takes_a_path_over() {
        let mut jobs = InFlight::default();
        let (first, second) = (jobs.begin(), jobs.begin());
        jobs.note(first, b"x");
        jobs.note(second, b"x");
        jobs.done(first);
        assert_eq!(jobs.job_of(b"x"), Some(second));
    }

    #[test]
    fn a_watermark_waits_for_the_oldest_job() {
        let mut jobs = InFlight::default();
        assert_eq!(jobs.last(), None);
        let (first, second) = (jobs.begin(), jobs.begin());
        jobs.done(second);
        assert!(jobs.is_done(second) && !jobs.is_done_up_to(second));
        jobs.done(first);
        assert!(jobs.is_done_up_to(second));
        assert_eq!(jobs.last(), Some(second));
    }

    #[test]
    fn a_directory_is_in_use_as_long_as_one_job_below_it_is() {
        let mut jobs = InFlight::default();
        let (first, second) = (jobs.begin(), jobs.begin());
        jobs.note(first, b"a/b/c");
        jobs.note(second, b"a/d");
        jobs.note(second, b"x/y");
        jobs.note(second, b"a/e");
        jobs.done(second);
        assert_eq!(jobs.conflict(b"a"), Some(Conflict::UpTo(second)));
        assert!(!jobs.is_done_up_to(second));
        assert_eq!(jobs.conflict(b"x"), None);
        jobs.done(first);
        assert_eq!(jobs.conflict(b"a"), None);
    }
}
