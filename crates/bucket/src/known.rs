//! What is known of objects without asking: from lists, and from what was written here.
//!
//! Whoever has a repository for itself knows what is in it once it has looked, as nobody else changes it. Others may use
//! what the first list of a directory said once more when they begin, and what a list says of objects that never change;
//! that one of them has gone since shows when it is read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ironborg_storage::{EntryKind, StorageEntry, Version};

/// An object, as it was when it was seen or written last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) size: u64,
    /// Another one after every replacement; empty if the store does not say.
    pub(crate) version: Version,
}

impl Object {
    /// Names this very content; empty if nothing does.
    pub(crate) fn tag(&self) -> String {
        let Version(version) = &self.version;
        let version = version.trim_start_matches("W/").trim_matches('"');
        if version.is_empty() {
            return String::new();
        }
        format!("{version} {}", self.size)
    }
}

/// One level of names: directories have no object.
pub(crate) type Listing = BTreeMap<String, Option<Object>>;

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct KnownObjects(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    objects: HashMap<String, Object>,
    /// Nobody else changes anything.
    is_alone: bool,
    /// Complete lists: all that were asked for where nobody else changes them, else the first ones.
    lists: HashMap<String, BTreeMap<String, EntryKind>>,
    /// Directories that were listed before.
    listed: HashSet<String>,
}

impl KnownObjects {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything; from now on it is so that nobody else changes anything, or is not.
    pub(crate) fn set_alone(&self, is_alone: bool) {
        let mut known = self.known();
        *known = Known {
            is_alone,
            listed: std::mem::take(&mut known.listed),
            ..Known::default()
        };
    }

    /// What became of a request is not known: everything is to be asked for again.
    pub(crate) fn doubt(&self) {
        let is_alone = self.known().is_alone;
        self.set_alone(is_alone);
    }

    /// A directory was listed.
    pub(crate) fn listed(&self, dir: &str, listing: &Listing) {
        let mut known = self.known();
        known.objects.retain(|name, _| split(name).0 != dir);
        for (name, object) in listing {
            if let Some(object) = object {
                known.objects.insert(join(dir, name), object.clone());
            }
        }
        if known.listed.insert(dir.to_owned()) || known.is_alone {
            let kind = |object: &Option<Object>| match object {
                Some(_) => EntryKind::File,
                None => EntryKind::Directory,
            };
            let list = listing.iter().map(|(name, o)| (name.clone(), kind(o)));
            known.lists.insert(dir.to_owned(), list.collect());
        }
    }

    /// What is in a directory, if that need not be asked for.
    pub(crate) fn list(&self, dir: &str) -> Option<Vec<StorageEntry>> {
        let mut known = self.known();
        let list = if known.is_alone {
            known.lists.get(dir).cloned()
        } else {
            known.lists.remove(dir)
        };
        let entries = list?.into_iter();
        Some(
            entries
                .map(|(name, kind)| StorageEntry { name, kind })
                .collect(),
        )
    }

    /// An object, if it is known to be there.
    pub(crate) fn get(&self, name: &str) -> Option<Object> {
        self.known().objects.get(name).cloned()
    }

    /// Whether all there is to know of an object is known: that there is none, too.
    pub(crate) fn is_complete(&self, name: &str) -> bool {
        let known = self.known();
        known.is_alone && known.lists.contains_key(split(name).0)
    }

    /// Whether a directory is known to have something in it, or nothing.
    pub(crate) fn has_any(&self, dir: &str) -> Option<bool> {
        let known = self.known();
        let list = known.lists.get(dir).filter(|_| known.is_alone);
        list.map(|list| !list.is_empty())
    }

    /// An object was written.
    pub(crate) fn written(&self, name: &str, object: Object) {
        let mut known = self.known();
        known.objects.insert(name.to_owned(), object);
        let (mut dir, mut last) = split(name);
        let mut kind = EntryKind::File;
        loop {
            if let Some(list) = known.lists.get_mut(dir) {
                list.insert(last.to_owned(), kind);
            }
            if dir.is_empty() {
                return;
            }
            (dir, last) = split(dir);
            kind = EntryKind::Directory;
        }
    }

    /// An object was removed, or is about to be.
    pub(crate) fn removed(&self, name: &str) {
        let mut known = self.known();
        known.objects.remove(name);
        let mut gone = name;
        while !gone.is_empty() {
            let (dir, last) = split(gone);
            let Some(list) = known.lists.get_mut(dir) else {
                return;
            };
            list.remove(last);
            // Directories are there as long as something is in them.
            if !list.is_empty() {
                return;
            }
            known.lists.remove(dir);
            gone = dir;
        }
    }
}

/// Directory and last component of a name.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str) -> Object {
        Object {
            size: 7,
            version: Version(version.to_owned()),
        }
    }

    fn names(list: Option<Vec<StorageEntry>>) -> Option<Vec<String>> {
        list.map(|list| list.into_iter().map(|entry| entry.name).collect())
    }

    fn listing(known: &KnownObjects) {
        let dirs = Listing::from([("0".to_owned(), None)]);
        known.listed("data", &dirs);
        let segments = Listing::from([("4".to_owned(), Some(object("\"a\"")))]);
        known.listed("data/0", &segments);
    }

    #[test]
    fn who_is_alone_lists_once_and_keeps_in_step() {
        let known = KnownObjects::default();
        known.set_alone(true);
        assert_eq!(known.list("data"), None);
        listing(&known);
        known.written("data/0/5", object("b"));
        known.written("data/1/1000", object("c"));
        assert_eq!(
            names(known.list("data/0")),
            Some(vec!["4".to_owned(), "5".to_owned()])
        );
        assert_eq!(
            names(known.list("data")),
            Some(vec!["0".to_owned(), "1".to_owned()])
        );
        assert_eq!(known.list("data/1"), None, "never listed");
        assert!(known.is_complete("data/0/6") && !known.is_complete("data/1/6"));
        known.removed("data/0/4");
        assert_eq!(known.has_any("data/0"), Some(true));
        known.removed("data/0/5");
        assert_eq!(names(known.list("data")), Some(vec!["1".to_owned()]));
        assert_eq!(known.get("data/0/5"), None);
    }

    #[test]
    fn who_is_not_uses_the_first_list_once_more() {
        let known = KnownObjects::default();
        listing(&known);
        assert!(known.list("data").is_some() && known.list("data").is_none());
        listing(&known);
        assert!(known.list("data").is_none(), "it may have changed since");
        assert_eq!(known.get("data/0/4"), Some(object("\"a\"")));
        known.listed("data/0", &Listing::new());
        assert_eq!(known.get("data/0/4"), None);
    }

    #[test]
    fn tags_of_one_content_are_the_same_however_they_are_quoted() {
        assert_eq!(object("\"a\"").tag(), object("a").tag());
        assert_eq!(object("W/\"a\"").tag(), "a 7");
        assert_eq!(object("\"\"").tag(), "");
    }
}
