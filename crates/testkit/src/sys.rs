//! An allocator that counts: what an operation asks for, and the most it has at once.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// Hands everything on to the system's allocator and counts, for the whole process: to be made the `#[global_allocator]` of
/// a test binary whose tests have a process each.
#[derive(Debug)]
pub struct CountingAllocator;

/// What was asked of the allocator since [`CountingAllocator::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocated {
    /// How often memory was asked for, or more of it.
    pub calls: u64,
    /// How often for [`Allocated::LARGE`] bytes or more.
    pub large: u64,
    /// The most bytes that were in use, those from before included.
    pub peak: u64,
}

impl Allocated {
    /// Nobody asks for so much but for content.
    pub const LARGE: usize = 256 << 10;
}

static IN_USE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);
static LARGE: AtomicU64 = AtomicU64::new(0);

fn grown(by: usize) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    LARGE.fetch_add(u64::from(by >= Allocated::LARGE), Ordering::Relaxed);
    let now = IN_USE.fetch_add(by as u64, Ordering::Relaxed) + by as u64;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

fn shrunk(by: usize) {
    IN_USE.fetch_sub(by as u64, Ordering::Relaxed);
}

impl CountingAllocator {
    /// Starts to count anew: bytes in use now.
    pub fn start() -> u64 {
        let now = IN_USE.load(Ordering::Relaxed);
        PEAK.store(now, Ordering::Relaxed);
        CALLS.store(0, Ordering::Relaxed);
        LARGE.store(0, Ordering::Relaxed);
        now
    }

    /// What there was since then.
    pub fn counted() -> Allocated {
        Allocated {
            calls: CALLS.load(Ordering::Relaxed),
            large: LARGE.load(Ordering::Relaxed),
            peak: PEAK.load(Ordering::Relaxed),
        }
    }
}

// SAFETY: every call is handed on unchanged to the system's allocator, which keeps the promises; the counters do not
// touch the memory.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are those the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        grown(new_size);
        shrunk(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, new_size) }
    }
}
