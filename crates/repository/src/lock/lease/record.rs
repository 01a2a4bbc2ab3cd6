//! What the object of a lease says: who has the repository, and which segment numbers nobody may use any more.

use std::fmt::Write as _;
use std::time::Duration;

use crate::lock::LockOwner;

/// First line of the object.
const MAGIC: &str = "repository lease 1";

/// Numbers of segments, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Void {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Void {
    pub(crate) fn contains(self, segment: u32) -> bool {
        (self.first..=self.last).contains(&segment)
    }
}

/// The one who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) owner: LockOwner,
    /// Tells this holding from every other one, of the same process too.
    pub(super) token: String,
    /// When it began, seconds since 1970 by the holder's clock; for showing only.
    pub(super) since: u64,
    /// A holder that was not heard of for so long has lost it.
    pub(super) term: Duration,
    /// Where its COMMIT is going to be: said before it is written.
    pub(super) committing: Option<String>,
}

/// The content of the object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// Goes up with every renewal, so that no two contents are alike.
    pub(super) sequence: u64,
    /// Nobody if it is free.
    pub(super) holder: Option<Holder>,
    /// Names of segments whose COMMIT a lost holder may still be writing. They are to be made before anybody else
    /// writes, so that it cannot be.
    pub(super) fences: Vec<String>,
    /// Numbers a lost holder may still be writing segments of.
    pub(super) voids: Vec<Void>,
    /// The holder has taken it from another one and not yet found out which numbers that may have used.
    pub(super) is_inherited: bool,
}

impl Record {
    /// The object's bytes: a line for each thing, `NAME VALUE`.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\nsequence {}\n", self.sequence);
        if let Some(holder) = &self.holder {
            let Holder {
                owner,
                token,
                since,
                term,
                committing,
            } = holder;
            let LockOwner { host, pid, thread } = owner;
            let _ = write!(
                text,
                "pid {pid}\nthread {thread}\ntoken {token}\nsince {since}\nterm-ms {}\nhost {}\n",
                term.as_millis(),
                // A line is all there is for it.
                host.replace(['\n', '\r'], "?")
            );
            if let Some(name) = committing {
                let _ = writeln!(text, "committing {name}");
            }
        }
        for name in &self.fences {
            let _ = writeln!(text, "fence {name}");
        }
        for Void { first, last } in &self.voids {
            let _ = writeln!(text, "void {first} {last}");
        }
        if self.is_inherited {
            text.push_str("inherited\n");
        }
        // Cut off, it would be another one.
        text.push_str("end\n");
        text.into_bytes()
    }

    /// Reads an object; `None` if it is no lease, or not a whole one. Unknown lines are of a newer version and passed over.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let text = text.strip_suffix("end\n")?;
        let mut lines = text.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let mut record = Self::default();
        let (mut host, mut pid, mut thread, mut token) = (None, None, 0, None);
        let (mut since, mut term, mut committing) = (0, None, None);
        for line in lines {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match name {
                "sequence" => record.sequence = value.parse().ok()?,
                "host" => host = Some(value.to_owned()),
                "pid" => pid = Some(value.parse().ok()?),
                "thread" => thread = value.parse().ok()?,
                "token" => token = Some(value.to_owned()),
                "since" => since = value.parse().ok()?,
                "term-ms" => term = Some(Duration::from_millis(value.parse().ok()?)),
                "committing" => committing = Some(value.to_owned()),
                "fence" => record.fences.push(value.to_owned()),
                "void" => {
                    let (first, last) = value.split_once(' ')?;
                    record.voids.push(Void {
                        first: first.parse().ok()?,
                        last: last.parse().ok()?,
                    });
                }
                "inherited" => record.is_inherited = true,
                _ => {}
            }
        }
        record.holder = match (host, pid, token, term) {
            (Some(host), Some(pid), Some(token), Some(term)) => Some(Holder {
                owner: LockOwner { host, pid, thread },
                token,
                since,
                term,
                committing,
            }),
            (None, None, None, None) => None,
            _ => return None,
        };
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        Record {
            sequence: 7,
            holder: Some(Holder {
                owner: LockOwner {
                    host: "host@123".to_owned(),
                    pid: 42,
                    thread: 0,
                },
                token: "0a".to_owned(),
                since: 1_700_000_000,
                term: Duration::from_mins(1),
                committing: Some("data/0/17".to_owned()),
            }),
            fences: vec!["data/0/9".to_owned()],
            voids: vec![Void { first: 3, last: 99 }],
            is_inherited: true,
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for record in [record(), Record::default()] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn a_part_of_one_is_none() {
        let whole = record().encode();
        for len in 0..whole.len() {
            assert_eq!(Record::decode(&whole[..len]), None, "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Record::decode(&bytes));
        }
    }
}
