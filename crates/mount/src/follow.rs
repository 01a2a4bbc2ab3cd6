//! The repository as it is mounted: what is committed is read, no lock is kept, compaction is followed.
