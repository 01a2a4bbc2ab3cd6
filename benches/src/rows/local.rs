//! Rows on repositories of this machine.

use super::{CheckPart, Kind, LARGE, Row, SMALL, Setting, Tree};

const LARGE_LZ4: Setting = Setting {
    mode: "repokey",
    compression: "lz4",
    ..LARGE
};
const LARGE_PLAIN: Setting = Setting {
    mode: "repokey",
    compression: "none",
    ..LARGE
};
const NOWHERE: Setting = Setting {
    tree: Tree::None,
    ..SMALL
};
const USR: Setting = Setting {
    tree: Tree::Usr,
    ..LARGE
};

pub(super) static ROWS: &[Row] = &[
    Row::new(
        "first-large",
        0.36,
        "first backup, 4 GB in 2,000 files, repokey-blake2, zstd,3",
        LARGE,
        Kind::First,
    ),
    Row::new(
        "first-large-lz4",
        0.45,
        "first backup, 4 GB in 2,000 files, repokey, lz4",
        LARGE_LZ4,
        Kind::First,
    ),
    Row::new(
        "first-large-none",
        0.50,
        "first backup, 4 GB in 2,000 files, repokey, none",
        LARGE_PLAIN,
        Kind::First,
    ),
    Row::new(
        "first-small",
        0.12,
        "first backup, 200,000 small files, repokey, lz4",
        SMALL,
        Kind::First,
    ),
    Row::new(
        "unchanged-small",
        0.04,
        "unchanged second backup, 200,000 small files",
        SMALL,
        Kind::Unchanged,
    ),
    Row::new(
        "changed-small",
        0.06,
        "backup after 1 % of 200,000 small files changed",
        SMALL,
        Kind::Changed,
    ),
    Row::new(
        "extract-large",
        0.45,
        "extract, 4 GB in 2,000 files, zstd,3",
        LARGE,
        Kind::Extract,
    ),
    Row::new(
        "extract-large-lz4",
        0.45,
        "extract, 4 GB in 2,000 files, lz4",
        LARGE_LZ4,
        Kind::Extract,
    ),
    Row::new(
        "extract-small",
        0.45,
        "extract, 200,000 small files",
        SMALL,
        Kind::Extract,
    ),
    Row::new(
        "export-tar",
        0.10,
        "export-tar, 200,000 small files",
        SMALL,
        Kind::ExportTar,
    ),
    Row::on_request(
        "import-tar",
        None,
        "import-tar of what is stored already, 200,000 small files",
        SMALL,
        Kind::ImportTar,
    ),
    Row::new(
        "list-small",
        0.06,
        "list --json-lines, 200,000 small files",
        SMALL,
        Kind::List,
    ),
    Row::new("archives", 0.08, "list of archives", SMALL, Kind::Archives),
    Row::new("info", 0.08, "info of the repository", SMALL, Kind::Info),
    Row::new("version", 0.08, "--version", NOWHERE, Kind::Version),
    Row::new(
        "diff",
        0.06,
        "diff of two archives of 200,000 small files, 1 % changed",
        SMALL,
        Kind::Diff,
    ),
    Row::new(
        "check-verify-large",
        0.45,
        "check --verify-data, 4 GB in 2,000 files, repokey-blake2, zstd,3",
        LARGE,
        Kind::Check(CheckPart::AllData),
    ),
    Row::new(
        "check-verify-small",
        0.10,
        "check --verify-data, 200,000 small files, repokey, lz4",
        SMALL,
        Kind::Check(CheckPart::AllData),
    ),
    Row::new(
        "check-archives-small",
        0.08,
        "check --archives-only, 200,000 small files",
        SMALL,
        Kind::Check(CheckPart::Archives),
    ),
    Row::on_request(
        "check-repository",
        Some(1.5),
        "check --repository-only, 4 GB in 2,000 files; compared with reading the segments and their CRC-32",
        LARGE,
        Kind::Check(CheckPart::Repository),
    ),
    Row::on_request(
        "usr",
        None,
        "first backup, a copy of /usr, repokey-blake2, zstd,3",
        USR,
        Kind::First,
    ),
];
