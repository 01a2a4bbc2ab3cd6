//! Fuzzes security records and stock Borg's cache config.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("security", bytes));
