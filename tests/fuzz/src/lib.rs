//! What fuzzing calls: one function per decoder of untrusted bytes, with the seeds to start from.
//!
//! The functions panic when something is wrong and return otherwise; refusing the input is not wrong.
//! `fuzz/` runs them under libFuzzer, `tests/mutations.rs` for a moment in every test run.

mod arguments;
mod client_files;
mod client_session;
mod jobs;
mod messages;
mod metadata;
pub mod mutation;
mod objects;
mod path_index;
mod repository;
mod seeds;
mod server_session;
mod tarball;

/// One decoder to be fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target, of its file in `fuzz/fuzz_targets` and of its corpus.
    pub name: &'static str,
    /// Takes any bytes; panics only if the decoder is broken.
    pub run: fn(&[u8]),
    /// Valid and nearly valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets, from the smallest format to the largest, then what users type.
pub const TARGETS: &[Target] = &[
    target("msgpack", metadata::msgpack, seeds::msgpack),
    target("item_stream", metadata::item_stream, seeds::item_stream),
    target("manifest", metadata::manifest, seeds::manifest),
    target("archive", metadata::archive, seeds::archive),
    target("key", metadata::key, seeds::key),
    target("segment", repository::segment, seeds::segment),
    target("hashindex", repository::hashindex, seeds::hashindex),
    target("hints", repository::hints, seeds::hints),
    target("integrity", repository::integrity, seeds::integrity),
    target("config", repository::config, seeds::config),
    target("roster", repository::roster, seeds::roster),
    target(
        "paper_key",
        client_files::paper_key,
        client_files::paper_key_seeds,
    ),
    target("caches", client_files::caches, client_files::cache_seeds),
    target(
        "security",
        client_files::security,
        client_files::security_seeds,
    ),
    target("path_index", path_index::path_index, path_index::seeds),
    target("tarball", tarball::tarball, tarball::seeds),
    target("rpc_calls", messages::rpc_calls, messages::call_seeds),
    target("rpc_replies", messages::rpc_replies, messages::reply_seeds),
    target(
        "rpc_client_session",
        client_session::rpc_client_session,
        client_session::client_session_seeds,
    ),
    target(
        "rpc_server_session",
        server_session::rpc_server_session,
        server_session::server_session_seeds,
    ),
    target("object", objects::object, seeds::object),
    target("stored_form", objects::stored_form, seeds::stored_form),
    target("patterns", arguments::patterns, seeds::patterns),
    target("location", arguments::location, seeds::location),
    target("parameters", arguments::parameters, seeds::parameters),
    target("paths", arguments::paths, seeds::paths),
    target(
        "jobs_configuration",
        jobs::configuration,
        jobs::configuration_seeds,
    ),
    target("jobs_import", jobs::import, jobs::import_seeds),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// Runs the target of that name.
///
/// # Panics
/// If there is none, or if the decoder is broken.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("the fuzz target is in the table").run)(bytes);
}
