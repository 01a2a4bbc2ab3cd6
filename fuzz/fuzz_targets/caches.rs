//! Fuzzes the client's cache files.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("caches", bytes));
