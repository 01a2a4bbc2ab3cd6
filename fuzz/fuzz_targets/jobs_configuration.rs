//! Fuzzes configurations of jobs.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("jobs_configuration", bytes));
