//! Files cache, chunk table, archive summaries and the security directory.
