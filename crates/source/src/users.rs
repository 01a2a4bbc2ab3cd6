//! Names of users and groups, and their numbers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, RwLock};

use crate::sys;

/// Look-ups of users and groups, remembered for the length of an operation. Shared between threads.
///
/// Names are asked of the system (and so of LDAP and the like). A fully static binary cannot load the
/// C library's look-up modules and reads `/etc/passwd` and `/etc/group` instead.
#[derive(Debug, Default)]
pub struct Names {
    by_uid: Cache<u32, Arc<[u8]>>,
    by_gid: Cache<u32, Arc<[u8]>>,
    uids: Cache<Vec<u8>, u32>,
    gids: Cache<Vec<u8>, u32>,
}

/// Whether this is run by root, who can give files to anybody.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Names {
    /// Nothing remembered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The user's name; None if there is no such user.
    pub fn user_name(&self, uid: u32) -> Option<Arc<[u8]>> {
        self.by_uid
            .get(&uid, || database::user_name(uid).map(Arc::from))
    }

    /// The group's name; None if there is no such group.
    pub fn group_name(&self, gid: u32) -> Option<Arc<[u8]>> {
        self.by_gid
            .get(&gid, || database::group_name(gid).map(Arc::from))
    }

    /// The user's number; None if there is no such user.
    pub fn user_id(&self, name: &[u8]) -> Option<u32> {
        self.uids.get(name, || database::user_id(name))
    }

    /// The group's number; None if there is no such group.
    pub fn group_id(&self, name: &[u8]) -> Option<u32> {
        self.gids.get(name, || database::group_id(name))
    }
}

/// Answers given before, the negative ones too.
#[derive(Debug)]
struct Cache<K, V>(RwLock<HashMap<K, Option<V>>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(RwLock::new(HashMap::new()))
    }
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    fn get<Q>(&self, key: &Q, look_up: impl FnOnce() -> Option<V>) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        const POISONED: &str = "nothing can panic while the map is locked";
        if let Some(known) = self.0.read().expect(POISONED).get(key) {
            return known.clone();
        }
        // Not locked meanwhile: a look-up may ask a server. Two threads may ask twice.
        let found = look_up();
        let mut map = self.0.write().expect(POISONED);
        map.insert(key.to_owned(), found.clone());
        found
    }
}

#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
mod database {
    pub(super) use super::sys::{group_id, group_name, user_id, user_name};
}

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod database {
    pub(super) use super::files::{group_id, group_name, user_id, user_name};
}

/// The user database as plain files.
#[cfg_attr(
    not(all(target_env = "gnu", target_feature = "crt-static")),
    allow(
        dead_code,
        reason = "compiled and tested everywhere, used by static binaries"
    )
)]
mod files {
    const USERS: &str = "/etc/passwd";
    const GROUPS: &str = "/etc/group";

    pub(super) fn user_name(uid: u32) -> Option<Vec<u8>> {
        name_of(&std::fs::read(USERS).ok()?, uid)
    }

    pub(super) fn group_name(gid: u32) -> Option<Vec<u8>> {
        name_of(&std::fs::read(GROUPS).ok()?, gid)
    }

    pub(super) fn user_id(name: &[u8]) -> Option<u32> {
        id_of(&std::fs::read(USERS).ok()?, name)
    }

    pub(super) fn group_id(name: &[u8]) -> Option<u32> {
        id_of(&std::fs::read(GROUPS).ok()?, name)
    }

    /// Name and number of every line: `name:password:number:...`.
    fn entries(content: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
        content.split(|&b| b == b'\n').filter_map(|line| {
            let mut fields = line.split(|&b| b == b':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let number = fields.nth(1)?;
            Some((name, std::str::from_utf8(number).ok()?.parse().ok()?))
        })
    }

    pub(super) fn name_of(content: &[u8], id: u32) -> Option<Vec<u8>> {
        entries(content)
            .find(|&(_, number)| number == id)
            .map(|(name, _)| name.to_vec())
    }

    pub(super) fn id_of(content: &[u8], wanted: &[u8]) -> Option<u32> {
        entries(content)
            .find(|&(name, _)| name == wanted)
            .map(|(_, number)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_number() {
        let names = Names::new();
        for _ in 0..2 {
            assert_eq!(names.user_name(0).as_deref(), Some(&b"root"[..]));
            assert_eq!(names.group_name(0).as_deref(), Some(&b"root"[..]));
            assert_eq!(names.user_id(b"root"), Some(0));
            assert_eq!(names.group_id(b"root"), Some(0));
            assert_eq!(names.user_id(b"no such user here"), None);
            assert_eq!(names.group_id(b"nul\0inside"), None);
            assert_eq!(names.user_name(4_000_000_123), None);
        }
    }

    #[test]
    fn the_files_say_what_the_system_says() {
        assert_eq!(files::user_name(0), sys::user_name(0));
        assert_eq!(files::group_name(0), sys::group_name(0));
        assert_eq!(files::user_id(b"root"), sys::user_id(b"root"));
        assert_eq!(files::group_id(b"root"), sys::group_id(b"root"));
    }

    #[test]
    fn malformed_lines_are_skipped() {
        let content = b"#x\n:x:1:\nshort:x\nbad:x:y:\nok\xff:x:7:7::/:/bin/sh\n+::::::\n";
        assert_eq!(files::name_of(content, 7), Some(b"ok\xff".to_vec()));
        assert_eq!(files::name_of(content, 1), None);
        assert_eq!(files::id_of(content, b"bad"), None);
    }
}
