//! restic's words. Its repositories are always encrypted, and compressed with zstd since version 2 of the format.

use std::ffi::OsString;

use super::{Deed, remembered_id, words_of};
use crate::contestant::Contestant;

pub(super) fn words(contestant: &Contestant, deed: Deed<'_>) -> Option<Vec<OsString>> {
    let id = |name| remembered_id(contestant, name);
    Some(match deed {
        Deed::Init { .. } => words_of(["init", "--repository-version", "2"]),
        Deed::Backup { compression, .. } => {
            let how = if compression == "none" { "off" } else { "auto" };
            words_of(["backup", "--compression", how, "."])
        }
        Deed::Extract { name } => words_of(["restore", &id(name)?, "--target", "."]),
        Deed::List { name } => words_of(["ls", "--json", &id(name)?]),
        Deed::Archives => words_of(["snapshots"]),
        Deed::Diff { from, to } => words_of(["diff", &id(from)?, &id(to)?]),
        Deed::CheckData => words_of(["check", "--read-data"]),
    })
}
