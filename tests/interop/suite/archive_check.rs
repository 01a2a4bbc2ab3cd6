//! `check` and `check --repair` of ours and stock Borg on a library of damages: the same is found, in the same words and
//! order, and a repair by either leaves the same archives, the same items, the same objects.
//!
//! Each damage is done once, by stock Borg's own library where it needs the key, and copied for each program. Normally
//! every damage is tried with one key mode, and with the others those where they matter; `IRONBORG_INTEROP_FULL` tries
//! all with all.

mod ground;
mod library;
mod options;
mod plan;
mod trial;

use library::{CONTENT, MANIFEST, METADATA, SEGMENTS};
use trial::Trial;

use crate::scene::KEY_MODES;

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

/// Where the key mode makes a difference: what can be noticed of damage, and what is signed.
#[test]
fn other_modes() {
    for mode in KEY_MODES.into_iter().filter(|mode| *mode != "repokey") {
        if trial::is_full() {
            Trial::new(mode).of(&library::all());
        } else if ["none", "authenticated", "repokey-blake2"].contains(&mode) {
            Trial::new(mode).of(&library::where_modes_matter());
        }
    }
}
