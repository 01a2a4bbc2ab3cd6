//! Fuzzes lines of paper keys as they are typed in.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("paper_key", bytes));
