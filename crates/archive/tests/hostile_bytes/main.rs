//! Every bit of a small repository, and of what a client keeps beside it: flipped, it is named and refused, or it is
//! harmless, in every operation.
//!
//! In one process and in memory, so that there is time for all of them: `laboratory` makes the repository, `reading` and
//! `writing` are the operations, `trial` does one damage and judges what came of it.
//!
//! `IRONBORG_INTEROP_FULL` tries every bit of every byte and every operation on it; otherwise one bit of each byte that is
//! structure and of some of the others, and one writing operation in turn. `IRONBORG_HOSTILE_SEED` chooses others.

// A test that cannot set its scene has failed.
#![allow(clippy::unwrap_used)]

mod counters;
mod laboratory;
mod reading;
mod segment_file;
mod trial;
mod writing;

mod attacks;
mod bits;
mod client_files;
mod structures;

#[global_allocator]
static ALLOCATOR: ironborg_testkit::CountingAllocator = ironborg_testkit::CountingAllocator;
