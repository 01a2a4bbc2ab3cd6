//! Rows on repositories across a pipe: `pipe-` with ours at both ends, `client-` and `server-` with ours at that end
//! only, `line-` with ours at both ends of a long line.

use ironborg_testkit::Program;

use super::{Kind, LARGE, Row, SMALL, Setting, Tree};
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

const fn large(wire: Wire) -> Setting {
    Setting {
        wire: Some(wire),
        ..LARGE
    }
}

const fn small(wire: Wire) -> Setting {
    Setting {
        wire: Some(wire),
        ..SMALL
    }
}

/// What crosses a long line is not to be compressed: its share of the line is asked for.
const fn random(wire: Wire) -> Setting {
    Setting {
        tree: Tree::Random,
        compression: "none",
        ..large(wire)
    }
}

const fn few(wire: Wire) -> Setting {
    Setting {
        tree: Tree::FewSmall,
        compression: "none",
        ..small(wire)
    }
}

pub(super) static ROWS: &[Row] = &[
    Row::new(
        "pipe-first-large",
        0.40,
        "first backup over a pipe, 4 GB, both ends ours",
        large(BOTH),
        Kind::First,
    ),
    Row::new(
        "pipe-extract-large",
        0.40,
        "extract over a pipe, 4 GB, both ends ours",
        large(BOTH),
        Kind::Extract,
    ),
    Row::on_request(
        "pipe-first-small",
        Some(0.15),
        "first backup, 200,000 small files, both ends ours",
        small(BOTH),
        Kind::First,
    ),
    Row::on_request(
        "pipe-unchanged-small",
        Some(0.06),
        "unchanged second backup, 200,000 small files, both ends ours",
        small(BOTH),
        Kind::Unchanged,
    ),
    Row::on_request(
        "client-first-large",
        Some(0.70),
        "first backup, 4 GB, server stock",
        large(CLIENT),
        Kind::First,
    ),
    Row::on_request(
        "client-first-small",
        Some(0.70),
        "first backup, 200,000 small files, server stock",
        small(CLIENT),
        Kind::First,
    ),
    Row::on_request(
        "client-unchanged-small",
        Some(0.70),
        "unchanged second backup, 200,000 small files, server stock",
        small(CLIENT),
        Kind::Unchanged,
    ),
    Row::on_request(
        "client-extract-large",
        Some(0.70),
        "extract, 4 GB, server stock",
        large(CLIENT),
        Kind::Extract,
    ),
    Row::on_request(
        "server-first-large",
        Some(1.00),
        "first backup, 4 GB, client stock",
        large(SERVER),
        Kind::First,
    ),
    Row::on_request(
        "server-first-small",
        Some(1.00),
        "first backup, 200,000 small files, client stock",
        small(SERVER),
        Kind::First,
    ),
    Row::on_request(
        "server-unchanged-small",
        Some(1.00),
        "unchanged second backup, 200,000 small files, client stock",
        small(SERVER),
        Kind::Unchanged,
    ),
    Row::on_request(
        "server-extract-large",
        Some(1.00),
        "extract, 4 GB, client stock",
        large(SERVER),
        Kind::Extract,
    ),
    Row::on_request(
        "line-first",
        None,
        "first backup, 250 MB of random bytes, 100 Mbit/s, 50 ms each way",
        random(LONG),
        Kind::First,
    ),
    Row::on_request(
        "line-extract",
        None,
        "extract, 250 MB of random bytes, 100 Mbit/s, 50 ms each way",
        random(LONG),
        Kind::Extract,
    ),
    Row::on_request(
        "line-first-small",
        None,
        "first backup, 20,000 small files, 100 Mbit/s, 50 ms each way",
        few(LONG),
        Kind::First,
    ),
    Row::on_request(
        "line-extract-small",
        None,
        "extract, 20,000 small files, 100 Mbit/s, 50 ms each way",
        few(LONG),
        Kind::Extract,
    ),
];
