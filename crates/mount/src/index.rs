//! Path index of an archive.
