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
    paths: HashMap<u64, Ticket>,
    open: BTreeMap<Ticket, Vec<u64>>,
    next: Ticket,
}

impl InFlight {
    /// Begins a job.
    pub(super) fn begin(&mut self) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.open.insert(ticket, Vec::new());
        ticket
    }

    /// Notes that a job that was begun makes or changes `path`.
    pub(super) fn note(&mut self, ticket: Ticket, path: &[u8]) {
        let hash = self.hash(path);
        self.paths.insert(hash, ticket);
        self.open
            .get_mut(&ticket)
            .expect("the job was begun and is not done")
            .push(hash);
    }

    /// Forgets a job that is done.
    pub(super) fn done(&mut self, ticket: Ticket) {
        for path in self.open.remove(&ticket).expect("a job is done once") {
            if self.paths.get(&path) == Some(&ticket) {
                self.paths.remove(&path);
            }
        }
    }

    /// The job that is about `path`, if one is not done.
    pub(super) fn job_of(&self, path: &[u8]) -> Option<Ticket> {
        if self.paths.is_empty() {
            return None;
        }
        self.paths.get(&self.hash(path)).copied()
    }

    /// The last job about `path` or a directory it would lie in, if one is not done.
    pub(super) fn job_above(&self, path: &[u8]) -> Option<Ticket> {
        if self.paths.is_empty() {
            return None;
        }
        let mut last = None;
        self.for_each_prefix(path, |hash| last = last.max(self.paths.get(&hash).copied()));
        last
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

    fn hash(&self, path: &[u8]) -> u64 {
        let mut whole = self.hasher.build_hasher().finish();
        self.for_each_prefix(path, |hash| whole = hash);
        whole
    }

    /// Hands over the hash of the path's first component, of the first two, and so on.
    fn for_each_prefix(&self, path: &[u8], mut take: impl FnMut(u64)) {
        let mut hasher = self.hasher.build_hasher();
        // `a//b` and `a/./b` are the same file as `a/b`.
        for component in path.split(|byte| *byte == b'/') {
            if !component.is_empty() && component != b"." {
                hasher.write(component);
                hasher.write_u8(b'/');
                take(hasher.finish());
            }
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
        assert_eq!(jobs.job_above(b"a/b/c"), Some(first));
        assert_eq!(jobs.job_above(b"a/c"), None);
        jobs.done(first);
        assert_eq!(jobs.job_above(b"a/b/c"), None);
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
}
