//! What a mirror says of itself: of which repository it is one, and how far it has come.
//!
//! Layout: docs/format.md, "Mirrors".

use std::fmt::Write as _;

use ironborg_types::{RepositoryId, SegmentId};

/// Name of the file.
pub(super) const RECORD: &str = "mirror";
/// Its first line.
const MAGIC: &str = "repository mirror 1";

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Of which repository.
    pub(super) of: RepositoryId,
    /// The transaction that was there as a whole last.
    pub(super) commit: Option<SegmentId>,
    /// The transaction whose index, hints and integrity data are there as they were sent.
    pub(super) index: Option<SegmentId>,
    /// The transaction that is on its way.
    pub(super) sending: Option<SegmentId>,
}

impl Record {
    /// A line for each thing, `NAME VALUE`.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\nof {}\n", self.of);
        let lines = [
            ("commit", self.commit),
            ("index", self.index),
            ("sending", self.sending),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                let _ = writeln!(text, "{name} {value}");
            }
        }
        text.push_str("end\n");
        text.into_bytes()
    }

    /// Reads the file; `None` if it is not a whole one. Unknown lines are of a newer version and passed over.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix("end\n")?;
        let mut lines = text.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let (mut of, mut commit, mut index, mut sending) = (None, None, None, None);
        for line in lines {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let number = || value.parse().ok().map(SegmentId);
            match name {
                "of" => of = Some(value.parse().ok()?),
                "commit" => commit = Some(number()?),
                "index" => index = Some(number()?),
                "sending" => sending = Some(number()?),
                _ => {}
            }
        }
        Some(Self {
            of: of?,
            commit,
            index,
            sending,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_written_is_read_and_a_part_of_it_is_not() {
        let record = Record {
            of: RepositoryId([7; RepositoryId::LEN]),
            commit: Some(SegmentId(12)),
            index: None,
            sending: Some(SegmentId(u32::MAX)),
        };
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        for len in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..len]), None, "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::decode(&bytes);
        }
    }
}
