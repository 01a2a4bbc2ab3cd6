//! Fuzzes a session of the client with any server.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("rpc_client_session", bytes));
