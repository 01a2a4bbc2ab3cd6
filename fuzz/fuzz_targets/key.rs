//! Fuzzes keys, key blobs and key files.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("key", bytes));
