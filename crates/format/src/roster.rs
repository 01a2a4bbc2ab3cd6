//! The roster of a lock: who reads, who writes. Layout: docs/format.md, "Locks".

use serde_json::Value;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockOwner {
    /// Identifies the machine.
    pub host: String,
    /// Process id.
    pub pid: u64,
    /// Always 0 for real processes; others are never considered dead.
    pub thread: u64,
}

impl LockOwner {
    /// The name of the file that says who holds an exclusive lock: `HOST.PID-THREAD`.
    pub fn file_name(&self) -> String {
        format!("{}.{}-{:x}", self.host, self.pid, self.thread)
    }

    /// Reads such a name; `None` if it is something else.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (host_pid, thread) = name.rsplit_once('-')?;
        let (host, pid) = host_pid.rsplit_once('.')?;
        Some(Self {
            host: host.to_owned(),
            pid: pid.parse().ok()?,
            thread: u64::from_str_radix(thread, 16).ok()?,
        })
    }
}

/// The content of a roster file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// Those who read.
    pub shared: Vec<LockOwner>,
    /// The one who writes.
    pub exclusive: Vec<LockOwner>,
    /// Those who are going to write when nobody reads any more: a hint that Borg carries along without looking at it.
    pub waiting: Vec<LockOwner>,
}

impl Roster {
    /// Reads a roster; what is missing, empty or no roster counts as an empty one, as with Borg.
    pub fn decode(bytes: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let decoded = owners(&value["shared"]).zip(owners(&value["exclusive"]));
        decoded
            .map(|(shared, exclusive)| Self {
                shared,
                exclusive,
                waiting: owners(&value["waiting"]).unwrap_or_default(),
            })
            .unwrap_or_default()
    }

    /// Whether nobody reads or writes.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.exclusive.is_empty()
    }

    /// The file's content, spaced as Python's `json.dump` spaces it.
    pub fn encode(&self) -> Vec<u8> {
        let lists = [
            ("shared", &self.shared),
            ("exclusive", &self.exclusive),
            ("waiting", &self.waiting),
        ];
        let lists: Vec<String> = lists
            .into_iter()
            .filter(|(_, owners)| !owners.is_empty())
            .map(|(key, owners)| {
                let owners: Vec<String> = owners.iter().map(owner_text).collect();
                format!("\"{key}\": [{}]", owners.join(", "))
            })
            .collect();
        format!("{{{}}}", lists.join(", ")).into_bytes()
    }
}

fn owner_text(owner: &LockOwner) -> String {
    let host = Value::from(owner.host.as_str());
    format!("[{host}, {}, {}]", owner.pid, owner.thread)
}

/// The owners in one list; `None` if it is not a list of them.
fn owners(list: &Value) -> Option<Vec<LockOwner>> {
    if list.is_null() {
        return Some(Vec::new());
    }
    let entries = list.as_array()?;
    let mut owners: Vec<LockOwner> = Vec::with_capacity(entries.len());
    for entry in entries {
        let owner = LockOwner {
            host: entry[0].as_str()?.to_owned(),
            pid: entry[1].as_u64()?,
            thread: entry[2].as_u64()?,
        };
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    Some(owners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owner(host: &str, pid: u64, thread: u64) -> LockOwner {
        LockOwner {
            host: host.to_owned(),
            pid,
            thread,
        }
    }

    #[test]
    fn rosters_are_the_ones_stock_borg_writes() {
        let text = include_str!("../../../testdata/vectors/locks.json");
        let vectors: Value = serde_json::from_str(text).unwrap();
        let mut count = 0;
        for step in vectors["steps"].as_array().unwrap() {
            let Some(written) = step[1]["lock.roster"].as_str() else {
                continue;
            };
            let roster = Roster::decode(written.as_bytes());
            // Stock keeps the key of a list that became empty.
            if !written.contains("[]") {
                assert_eq!(roster.encode(), written.as_bytes());
            }
            assert!(!roster.is_empty());
            assert_eq!(Roster::decode(&roster.encode()), roster);
            count += 1;
        }
        assert!(count > 5);
    }

    #[test]
    fn anything_else_counts_as_an_empty_roster() {
        for bytes in [
            &b""[..],
            b"[]",
            b"{",
            b"null",
            b"{\"shared\": 1}",
            b"{\"shared\": [[1]]}",
            b"\xff",
        ] {
            assert!(Roster::decode(bytes).is_empty());
        }
        assert_eq!(Roster::default().encode(), b"{}");
    }

    #[test]
    fn those_who_wait_are_carried_along_and_do_not_count() {
        let text = b"{\"shared\": [[\"a@1\", 1, 0]], \"waiting\": [[\"b@2\", 2, 0]]}";
        let mut roster = Roster::decode(text);
        assert_eq!(roster.waiting, [owner("b@2", 2, 0)]);
        assert_eq!(roster.encode(), text);
        roster.shared.clear();
        assert!(roster.is_empty());
        let odd = Roster::decode(b"{\"shared\": [[\"a@1\", 1, 0]], \"waiting\": 7}");
        assert_eq!((odd.shared.len(), odd.waiting.len()), (1, 0));
    }

    #[test]
    fn an_owner_is_a_file_name() {
        let a = owner("host.example.org@1", 4711, 0);
        assert_eq!(a.file_name(), "host.example.org@1.4711-0");
        let c = owner("other@2", 77, 0xabc);
        assert_eq!(c.file_name(), "other@2.77-abc");
        for owner in [a, c, owner("a-b", 1, 2)] {
            assert_eq!(LockOwner::from_file_name(&owner.file_name()), Some(owner));
        }
        for name in ["", "host", "host.1", "host-0", "host.x-0", "host.1-g", ".-"] {
            assert_eq!(LockOwner::from_file_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Roster::decode(&bytes);
        }

        #[test]
        fn a_roster_survives_a_round_trip(hosts in proptest::collection::hash_set(".{0,8}", 0..4)) {
            let owners: Vec<_> = hosts.iter().map(|host| owner(host, 1, 0)).collect();
            let roster = Roster { shared: owners.clone(), exclusive: owners.clone(), waiting: owners };
            prop_assert_eq!(Roster::decode(&roster.encode()), roster);
        }
    }
}
