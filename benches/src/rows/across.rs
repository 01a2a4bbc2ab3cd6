//! Rows on repositories across a pipe: `pipe-` with ours at both ends, `client-` and `server-` with ours at that end
//! only, `line-` with ours at both ends of a long line.

use ironborg_testkit::Program;

use super::{Kind, LARGE, Row, SMALL, Tree};
use crate::wire::{Line, Wire};

const BOTH: Wire = Wire {
    client: Program::Ours,
    server: Program::Ours,
    line: Line::Pipe,
};
const CLIENT: Wire = Wire {
    server: Program::Stock,
    ..BOTH
};
const SERVER: Wire = Wire {
    client: Program::Stock,
    ..BOTH
};
const LONG: Wire = Wire {
    line: Line::Long,
    ..BOTH
};

const FIRST_LARGE: (Tree, Kind) = (Tree::Large, Kind::First(LARGE.0, LARGE.1));
const FIRST_SMALL: (Tree, Kind) = (Tree::Small, Kind::First(SMALL.0, SMALL.1));
const UNCHANGED_SMALL: (Tree, Kind) = (Tree::Small, Kind::Unchanged(SMALL.0, SMALL.1));
const EXTRACT_LARGE: (Tree, Kind) = (Tree::Large, Kind::Extract(LARGE.0, LARGE.1));

/// What crosses a long line is not to be compressed: its share of the line is asked for.
const FIRST_RANDOM: (Tree, Kind) = (Tree::Random, Kind::First(LARGE.0, "none"));
const EXTRACT_RANDOM: (Tree, Kind) = (Tree::Random, Kind::Extract(LARGE.0, "none"));
const FIRST_FEW: (Tree, Kind) = (Tree::FewSmall, Kind::First(SMALL.0, "none"));
const EXTRACT_FEW: (Tree, Kind) = (Tree::FewSmall, Kind::Extract(SMALL.0, "none"));

const fn row(name: &'static str, aim: Option<f64>, wire: Wire, what: Timed) -> Row {
    let (what, (tree, kind)) = what;
    Row {
        name,
        what,
        aim,
        tree,
        wire: Some(wire),
        kind,
    }
}

/// A row's explanation, tree and command.
type Timed = (&'static str, (Tree, Kind));

pub(super) static ROWS: &[Row] = &[
    row(
        "pipe-first-large",
        Some(0.40),
        BOTH,
        ("first backup, 4 GB, both ends ours", FIRST_LARGE),
    ),
    row(
        "pipe-first-small",
        Some(0.15),
        BOTH,
        (
            "first backup, 200,000 small files, both ends ours",
            FIRST_SMALL,
        ),
    ),
    row(
        "pipe-unchanged-small",
        Some(0.06),
        BOTH,
        (
            "unchanged second backup, 200,000 small files, both ends ours",
            UNCHANGED_SMALL,
        ),
    ),
    row(
        "pipe-extract-large",
        Some(0.45),
        BOTH,
        ("extract, 4 GB, both ends ours", EXTRACT_LARGE),
    ),
    row(
        "client-first-large",
        Some(0.70),
        CLIENT,
        ("first backup, 4 GB, server stock", FIRST_LARGE),
    ),
    row(
        "client-first-small",
        Some(0.70),
        CLIENT,
        (
            "first backup, 200,000 small files, server stock",
            FIRST_SMALL,
        ),
    ),
    row(
        "client-unchanged-small",
        Some(0.70),
        CLIENT,
        (
            "unchanged second backup, 200,000 small files, server stock",
            UNCHANGED_SMALL,
        ),
    ),
    row(
        "client-extract-large",
        Some(0.70),
        CLIENT,
        ("extract, 4 GB, server stock", EXTRACT_LARGE),
    ),
    row(
        "server-first-large",
        Some(1.00),
        SERVER,
        ("first backup, 4 GB, client stock", FIRST_LARGE),
    ),
    row(
        "server-first-small",
        Some(1.00),
        SERVER,
        (
            "first backup, 200,000 small files, client stock",
            FIRST_SMALL,
        ),
    ),
    row(
        "server-unchanged-small",
        Some(1.00),
        SERVER,
        (
            "unchanged second backup, 200,000 small files, client stock",
            UNCHANGED_SMALL,
        ),
    ),
    row(
        "server-extract-large",
        Some(1.00),
        SERVER,
        ("extract, 4 GB, client stock", EXTRACT_LARGE),
    ),
    row(
        "line-first",
        None,
        LONG,
        (
            "first backup, 250 MB of random bytes, 100 Mbit/s, 50 ms each way",
            FIRST_RANDOM,
        ),
    ),
    row(
        "line-extract",
        None,
        LONG,
        (
            "extract, 250 MB of random bytes, 100 Mbit/s, 50 ms each way",
            EXTRACT_RANDOM,
        ),
    ),
    row(
        "line-first-small",
        None,
        LONG,
        (
            "first backup, 20,000 small files, 100 Mbit/s, 50 ms each way",
            FIRST_FEW,
        ),
    ),
    row(
        "line-extract-small",
        None,
        LONG,
        (
            "extract, 20,000 small files, 100 Mbit/s, 50 ms each way",
            EXTRACT_FEW,
        ),
    ),
];
