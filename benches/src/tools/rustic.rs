//! rustic's words. It writes restic's format, always encrypted and compressed with zstd.

use std::ffi::OsString;

use super::{Deed, remembered_id, words_of};
use crate::contestant::Contestant;

pub(super) fn words(contestant: &Contestant, deed: Deed<'_>) -> Option<Vec<OsString>> {
    let id = |name| remembered_id(contestant, name);
    Some(match deed {
        Deed::Init { .. } => words_of(["init"]),
        Deed::Backup { .. } => words_of(["backup", "."]),
        Deed::Extract { name } => words_of(["restore", &id(name)?, "."]),
        Deed::List { name } => words_of(["ls", "--recursive", "--json", &id(name)?]),
        Deed::Archives => words_of(["snapshots"]),
        Deed::Diff { from, to } => words_of(["diff", &id(from)?, &id(to)?]),
        Deed::CheckData => words_of(["check", "--read-data"]),
    })
}
