//! Fuzzes the item stream of an archive.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("item_stream", bytes));
