//! Rows on mounted archives.

use super::{Index, Kind, LARGE, Row, SMALL, Tree};
use crate::mounting::Use;

const fn row(name: &'static str, aim: Option<f64>, what: &'static str, timed: Timed) -> Row {
    let (tree, kind) = timed;
    Row {
        name,
        what,
        aim,
        tree,
        kind,
        wire: None,
    }
}

/// A row's tree, and what is done with it.
type Timed = (Tree, Kind);

const fn small(usage: Use, index: Index) -> Timed {
    (Tree::Small, Kind::Mount(SMALL.0, SMALL.1, usage, index))
}

const fn million(usage: Use, index: Index) -> Timed {
    (Tree::Million, Kind::Mount(SMALL.0, SMALL.1, usage, index))
}

pub(super) static ROWS: &[Row] = &[
    row(
        "mount-first-ls",
        Some(0.05),
        "mount to the first ls, 200,000 small files",
        small(Use::List, Index::Absent),
    ),
    row(
        "mount-ls",
        Some(0.01),
        "mount to the first ls of an archive mounted before, 200,000 small files",
        small(Use::List, Index::Present),
    ),
    row(
        "mount-find",
        Some(0.20),
        "mount and find -ls, 200,000 small files",
        small(Use::Find, Index::Absent),
    ),
    row(
        "mount-tar",
        Some(0.20),
        "mount and tar, 200,000 small files",
        small(Use::Tar, Index::Absent),
    ),
    row(
        "mount-cat",
        Some(0.40),
        "mount and cat, a file of 1 GB, repokey-blake2, zstd,3",
        (
            Tree::OneFile,
            Kind::Mount(LARGE.0, LARGE.1, Use::Cat, Index::Absent),
        ),
    ),
    row(
        "mount-million-first-ls",
        None,
        "mount to the first ls, 1,000,000 files, ours only",
        million(Use::List, Index::Absent),
    ),
    row(
        "mount-million-find",
        None,
        "mount of an archive mounted before and find -ls, 1,000,000 files, ours only",
        million(Use::Find, Index::Present),
    ),
];
