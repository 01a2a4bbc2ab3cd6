//! What a repository must hold: every archive by its name, as the tree that comes back from it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ironborg_testkit::{Compare, Snapshot};

/// An archive as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archived {
    /// What an extraction brings back, below the directory it is made in.
    pub(super) files: Snapshot,
    /// How exactly it must.
    pub(super) compare: Compare,
    /// Names known to be damaged: whoever reads them must say so.
    pub(super) damaged: BTreeSet<Vec<u8>>,
}

/// All archives of a repository, checkpoints included.
pub(super) type Archives = BTreeMap<String, Rc<Archived>>;

impl Archived {
    /// Everything there is to know of these files must come back.
    pub(super) fn exact(files: Snapshot) -> Rc<Self> {
        Rc::new(Self {
            files,
            compare: Compare::Everything,
            damaged: BTreeSet::new(),
        })
    }

    /// Names, kinds and content must.
    pub(super) fn content(files: Snapshot) -> Rc<Self> {
        Rc::new(Self {
            files,
            compare: Compare::Content,
            damaged: BTreeSet::new(),
        })
    }

    /// The part of the archive that the predicate lets through.
    pub(super) fn part(&self, keep: impl Fn(&[u8]) -> bool) -> Self {
        let damaged = self.damaged.iter().filter(|path| keep(path));
        Self {
            damaged: damaged.cloned().collect(),
            files: part(&self.files, &keep),
            compare: self.compare,
        }
    }

    /// Where an extracted tree is not what it must be; nothing is demanded of damaged names.
    pub(super) fn differences(&self, found: &Snapshot) -> Vec<String> {
        let whole = |path: &[u8]| !self.damaged.contains(path);
        let expected = part(&self.files, whole);
        let found = part(found, |path| whole(path) && !self.is_only_above(path));
        expected.differences(&found, self.compare)
    }

    /// The same for a backup that did not come to its end: what is there must be right.
    pub(super) fn differences_of_beginning(&self, found: &Snapshot) -> Vec<String> {
        let begun = self.part(|path| found.nodes.contains_key(path));
        begun.differences(found)
    }

    /// A directory that was made because something in it was extracted.
    fn is_only_above(&self, path: &[u8]) -> bool {
        if path.is_empty() {
            return true;
        }
        let below = [path, b"/"].concat();
        let mut after = self.files.nodes.range(below.clone()..);
        !self.files.nodes.contains_key(path)
            && after
                .next()
                .is_some_and(|(path, _)| path.starts_with(&below))
    }
}

/// What the predicate lets through of a tree; hard links are what they are among the names that stay.
pub(super) fn part(files: &Snapshot, keep: impl Fn(&[u8]) -> bool) -> Snapshot {
    let mut files = files.clone().without(|path, _| !keep(path));
    let mut groups: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, node) in &files.nodes {
        if let Some(first) = &node.link_of {
            groups.entry(first.clone()).or_default().push(path.clone());
        }
    }
    for names in groups.into_values() {
        let first = (names.len() > 1).then(|| names[0].clone());
        for name in names {
            let node = files.nodes.get_mut(&name).expect("grouped from there");
            node.link_of.clone_from(&first);
        }
    }
    files
}

/// Whether a path is this one or below it.
pub(super) fn is_below(path: &[u8], top: &[u8]) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
