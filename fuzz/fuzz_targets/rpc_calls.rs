//! Fuzzes calls across a pipe.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("rpc_calls", bytes));
