//! Saying where two trees differ.

use std::fmt::Write;
use std::path::Path;

use crate::snapshot::{Node, NodeKind, Snapshot};

/// What counts as a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Everything a backup keeps: content, kind, mode, owner, time, attributes, flags, hard links.
    Everything,
    /// The same, and that sparse files stay sparse.
    AndHoles,
    /// Names, kinds and content only.
    Content,
}

/// Checks that the tree at `found` is what a backup of the tree at `expected` brings back.
///
/// That is the same tree, but for sockets, which are left out, and times outside of Borg's range (1970 to
/// 2038-01-17T03:14:07), which come back as its ends.
///
/// # Panics
/// When they differ; the message lists the first differences.
#[track_caller]
pub fn assert_same_tree(expected: &Path, found: &Path, compare: Compare) {
    assert_restored(&Snapshot::of(expected).as_restored(), found, compare);
}

/// The same for a tree that was read before (see [`Snapshot::as_restored`]).
///
/// # Panics
/// When they differ; the message lists the first differences.
#[track_caller]
pub fn assert_restored(expected: &Snapshot, found: &Path, compare: Compare) {
    let differences = expected.differences(&Snapshot::of(found), compare);
    assert!(
        differences.is_empty(),
        "{} differs in {} places from what was backed up:\n{}",
        found.display(),
        differences.len(),
        differences
            .iter()
            .take(30)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
}

impl Snapshot {
    /// One line for every difference of `found` from this tree.
    pub fn differences(&self, found: &Self, compare: Compare) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, want) in &self.nodes {
            let shown = path.escape_ascii();
            match found.nodes.get(path) {
                None => lines.push(format!("{shown}: missing")),
                Some(have) => {
                    let text = node_differences(want, have, compare);
                    if !text.is_empty() {
                        lines.push(format!("{shown}:{text}"));
                    }
                }
            }
        }
        for path in found
            .nodes
            .keys()
            .filter(|path| !self.nodes.contains_key(*path))
        {
            lines.push(format!("{}: should not be there", path.escape_ascii()));
        }
        lines
    }
}

fn node_differences(want: &Node, have: &Node, compare: Compare) -> String {
    let mut text = String::new();
    let mut note = |what: &str, want: &dyn std::fmt::Debug, have: &dyn std::fmt::Debug| {
        write!(text, " {what} is {have:?}, not {want:?};")
            .expect("writing to a string cannot fail");
    };
    if want.kind != have.kind {
        note("content", &want.kind, &have.kind);
    }
    if compare == Compare::Content {
        return text;
    }
    if want.mode != have.mode {
        note(
            "mode",
            &format_args!("{:o}", want.mode),
            &format_args!("{:o}", have.mode),
        );
    }
    if (want.uid, want.gid) != (have.uid, have.gid) {
        note("owner", &(want.uid, want.gid), &(have.uid, have.gid));
    }
    if want.mtime_ns != have.mtime_ns {
        note("mtime", &want.mtime_ns, &have.mtime_ns);
    }
    if want.xattrs != have.xattrs {
        note("xattrs", &want.xattrs, &have.xattrs);
    }
    if want.flags != have.flags {
        note("flags", &want.flags, &have.flags);
    }
    if want.link_of != have.link_of {
        note("hard link", &want.link_of, &have.link_of);
    }
    if compare == Compare::AndHoles && is_sparse(want) && !is_sparse(have) {
        note("blocks in use", &want.blocks, &have.blocks);
    }
    text
}

/// Larger than any chunk, and less than half of the size is in use.
///
/// Only chunks of zeros become holes: a hole smaller than a chunk comes back filled.
fn is_sparse(node: &Node) -> bool {
    const CHUNK_LEN_MAX: u64 = 1 << 23;
    match node.kind {
        NodeKind::File { size, .. } => {
            size > CHUNK_LEN_MAX && node.blocks.saturating_mul(512) < size / 2
        }
        _ => false,
    }
}
