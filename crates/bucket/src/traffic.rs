//! What the requests to a store were, counted where they leave: repeated ones included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts requests and bytes; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    reads: AtomicU64,
    lists: AtomicU64,
    writes: AtomicU64,
    removals: AtomicU64,
    repeated: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// What kind of request it is: stores charge for some more than for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `GET` and `HEAD` of an object.
    Read,
    /// A list of objects.
    List,
    /// `PUT`, the parts of an upload, copies.
    Write,
    /// `DELETE`, one or many at a time.
    Removal,
}

/// What was counted up to some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// `GET` and `HEAD` requests.
    pub reads: u64,
    /// Requests for lists.
    pub lists: u64,
    /// `PUT` and `POST` requests that write.
    pub writes: u64,
    /// Requests that remove.
    pub removals: u64,
    /// How many of these were answered by an error of the store or not at all.
    pub failed: u64,
    /// Bytes of content received.
    pub bytes_in: u64,
    /// Bytes of content sent.
    pub bytes_out: u64,
}

impl Figures {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.reads + self.lists + self.writes + self.removals
    }
}

impl Traffic {
    /// What has been counted so far.
    pub fn figures(&self) -> Figures {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            reads: get(&self.0.reads),
            lists: get(&self.0.lists),
            writes: get(&self.0.writes),
            removals: get(&self.0.removals),
            failed: get(&self.0.repeated),
            bytes_in: get(&self.0.bytes_in),
            bytes_out: get(&self.0.bytes_out),
        }
    }

    pub(crate) fn request(&self, kind: Kind, bytes_out: u64) {
        let counter = match kind {
            Kind::Read => &self.0.reads,
            Kind::List => &self.0.lists,
            Kind::Write => &self.0.writes,
            Kind::Removal => &self.0.removals,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.0.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.0.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.0.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }
}
