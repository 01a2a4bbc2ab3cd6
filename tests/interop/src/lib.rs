//! Interop tests; see tests/.
