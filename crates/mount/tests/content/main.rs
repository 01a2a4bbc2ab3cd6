//! The content of files, and path indexes, out of a whole repository: every way of storing it, damage, threads, memory.

// A test that cannot set its scene has failed.
#![allow(clippy::unwrap_used)]

mod repository;
mod tree;

mod index;
mod memory;
mod reading;

#[global_allocator]
static ALLOCATOR: ironborg_testkit::CountingAllocator = ironborg_testkit::CountingAllocator;
