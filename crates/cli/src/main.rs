//! The binary: the allocator and the way into the program, nothing else.

use std::process::ExitCode;

/// A static build with musl's own allocator loses up to half its speed; this one also scales with threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ironborg_cli::main()
}
