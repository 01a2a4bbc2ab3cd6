//! bupstash's words. Its key is a file; its repositories are always encrypted.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Deed, words_of};
use crate::contestant::Contestant;

/// Where its key is.
pub(super) fn key(contestant: &Contestant) -> PathBuf {
    contestant.beside("bupstash.key")
}

pub(super) fn new_key(contestant: &Contestant) -> Vec<OsString> {
    let mut words = words_of(["new-key", "-o"]);
    words.push(key(contestant).into_os_string());
    words
}

pub(super) fn words(deed: Deed<'_>) -> Option<Vec<OsString>> {
    let named = |name: &str| format!("backup={name}");
    Some(match deed {
        Deed::Init { .. } => words_of(["init"]),
        Deed::Backup { name, compression } => {
            // A level is not said but with a colon.
            let how = compression.replace(',', ":");
            words_of(["put", "--quiet", "--compression", &how, &named(name), "."])
        }
        Deed::Extract { name } => words_of(["restore", "--quiet", "--into", ".", &named(name)]),
        Deed::List { name } => words_of([
            "list-contents",
            "--quiet",
            "--format",
            "jsonl1",
            &named(name),
        ]),
        Deed::Archives => words_of(["list", "--quiet"]),
        Deed::Diff { from, to } => words_of(["diff", "--quiet", &named(from), "::", &named(to)]),
        // It can fetch everything, but not look at what no backup needs.
        Deed::CheckData => return None,
    })
}
