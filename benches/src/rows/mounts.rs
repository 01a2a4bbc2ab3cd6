//! Rows on mounted archives.

use super::{Index, Kind, LARGE, Row, SMALL, Setting, Tree};
use crate::mounting::Use;

const ONE_FILE: Setting = Setting {
    tree: Tree::OneFile,
    ..LARGE
};
const MILLION: Setting = Setting {
    tree: Tree::Million,
    ..SMALL
};

pub(super) static ROWS: &[Row] = &[
    Row::new(
        "mount-first-ls",
        0.05,
        "mount to the first ls, 200,000 small files",
        SMALL,
        Kind::Mount(Use::List, Index::Absent),
    ),
    Row::on_request(
        "mount-ls",
        Some(0.01),
        "mount to the first ls of an archive mounted before, 200,000 small files",
        SMALL,
        Kind::Mount(Use::List, Index::Present),
    ),
    Row::new(
        "mount-find",
        0.20,
        "mount and find -ls, 200,000 small files",
        SMALL,
        Kind::Mount(Use::Find, Index::Absent),
    ),
    Row::new(
        "mount-cat",
        0.40,
        "mount and cat, a file of 1 GB, repokey-blake2, zstd,3",
        ONE_FILE,
        Kind::Mount(Use::Cat, Index::Absent),
    ),
    Row::new(
        "mount-tar",
        0.20,
        "mount and tar, 200,000 small files",
        SMALL,
        Kind::Mount(Use::Tar, Index::Absent),
    ),
    Row::on_request(
        "mount-million-first-ls",
        None,
        "mount to the first ls, 1,000,000 files, ours only",
        MILLION,
        Kind::Mount(Use::List, Index::Absent),
    ),
    Row::on_request(
        "mount-million-find",
        None,
        "mount of an archive mounted before and find -ls, 1,000,000 files, ours only",
        MILLION,
        Kind::Mount(Use::Find, Index::Present),
    ),
];
