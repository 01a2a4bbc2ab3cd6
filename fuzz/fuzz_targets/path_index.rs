//! Fuzzes path indexes: what is built of any items, and what is read of any file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("path_index", bytes));
