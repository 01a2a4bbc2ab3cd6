//! Bytes to values and back for every file and message of a Borg repository; no I/O.
