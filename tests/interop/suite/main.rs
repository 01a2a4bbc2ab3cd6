//! Ours and stock Borg 1.4.5 in turn on the same repositories: what one leaves, the other must take for its own.
//!
//! One binary, a module per question. Every test uses its own scratch directory, machines and repositories; a failure
//! shows the command, its exit code and both outputs. `IRONBORG_BIN` may point at stock Borg itself: a suite that
//! fails for stock against stock is wrong.

mod same_output;
mod scene;

mod alternate;
mod archive_check;
mod automount;
mod bucket;
mod concurrency;
mod counts;
mod crash_states;
mod create_options;
mod cuts;
mod damage;
mod debug;
mod diff;
mod differential;
mod environment;
mod extract_options;
mod full_disk;
mod heavy;
mod hostile;
mod hostile_bytes;
mod hostile_wire;
mod init;
mod jobs_drill;
mod jobs_notify;
mod jobs_run;
mod jobs_schedule;
mod jobs_units;
mod jobs_work;
mod keys;
mod kill;
mod listings;
mod locks;
mod machine;
mod maintenance;
mod memory_limit;
mod mirror;
mod modes;
mod mount;
mod mount_commands;
mod mount_follow;
mod mount_helpers;
mod mount_reading;
mod nix;
mod patterns;
mod prune;
mod questions;
mod random;
mod recreate;
mod remote_reads;
mod remote_words;
mod repos;
mod repository_check;
mod retention;
mod samples;
mod serve;
mod signals;
mod tar;
mod threads;
mod upgrade;
mod walkthrough_tutorial;
mod walkthrough_wiki;
mod wire;
mod wrappers;
