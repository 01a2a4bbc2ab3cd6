//! `check` and `check --repair` of ours and stock Borg on a library of damages: the same is found, in the same words and
//! order, and a repair by either leaves the same archives, the same items, the same objects.
//!
//! Each damage is done once, by stock Borg's own library where it needs the key, and copied for each program. Normally
//! every damage is tried with one key mode, and with the others those where they matter; `IRONBORG_INTEROP_FULL` tries
//! all with all.

mod ground;
mod library;
mod plan;
mod trial;

use library::{CONTENT, MANIFEST, METADATA, SEGMENTS};
use trial::Trial;

#[test]
fn content() {
    Trial::new("repokey").of(&CONTENT);
}

#[test]
fn metadata() {
    Trial::new("repokey").of(&METADATA);
}

#[test]
fn manifest() {
    Trial::new("repokey").of(&MANIFEST);
}

#[test]
fn segments() {
    Trial::new("repokey").of(&SEGMENTS);
}
