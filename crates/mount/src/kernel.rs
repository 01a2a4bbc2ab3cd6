//! The requests of the kernel.
