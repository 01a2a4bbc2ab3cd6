//! Fuzzes a session of the server with any client.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ironborg_fuzz_targets::run("rpc_server_session", bytes));
