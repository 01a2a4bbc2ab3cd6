//! Borg's words, and ours.

use std::ffi::OsString;

use super::{Deed, words_of};
use crate::contestant::Contestant;

pub(super) fn words(contestant: &Contestant, deed: Deed<'_>) -> Vec<OsString> {
    let (location, archive) = (contestant.location(), |name| contestant.archive(name));
    match deed {
        Deed::Init { mode } => words_of(["init", "-e", mode, &location]),
        Deed::Backup { name, compression } => {
            words_of(["create", "--compression", compression, &archive(name), "."])
        }
        Deed::Extract { name } => words_of(["extract", &archive(name)]),
        Deed::List { name } => words_of(["list", "--json-lines", &archive(name)]),
        Deed::Archives => words_of(["list", &location]),
        Deed::Diff { from, to } => words_of(["diff", &archive(from), to]),
        Deed::CheckData => words_of(["check", "--verify-data", &location]),
    }
}
