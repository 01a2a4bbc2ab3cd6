//! Rows on a repository of fifty archives of a tree that changes a little from one to the next.

use super::{Kind, Many, Row, SMALL, Setting, Tree};

const CHANGING: Setting = Setting {
    tree: Tree::Changing,
    ..SMALL
};

pub(super) static ROWS: &[Row] = &[
    Row::new(
        "delete",
        0.10,
        "delete of one of 50 archives of 100,000 files",
        CHANGING,
        Kind::Many(Many::Delete),
    ),
    Row::new(
        "prune",
        0.10,
        "prune to 10 of 50 archives of 100,000 files",
        CHANGING,
        Kind::Many(Many::Prune),
    ),
    Row::new(
        "prune-unseen",
        0.10,
        "the same, of archives ours has never seen (stock Borg's cache is in step)",
        CHANGING,
        Kind::Many(Many::PruneUnseen),
    ),
    Row::new(
        "compact",
        0.50,
        "compact after the prune",
        CHANGING,
        Kind::Many(Many::Compact),
    ),
    Row::new(
        "info-all",
        0.10,
        "info of all of 50 archives of 100,000 files",
        CHANGING,
        Kind::Many(Many::InfoOfAll),
    ),
    Row::new(
        "caches-gone",
        0.05,
        "create of 100,000 files after the local caches are gone, the 50th archive",
        CHANGING,
        Kind::Many(Many::CachesGone),
    ),
];
