//! What a client knows of the transaction it is in, and whether that can go on through another connection.

use ironborg_types::ChunkId;

use super::journal::{Journal, JournalOptions};
use crate::message::Call;

/// Everything since the last commit, and what is known about that commit.
///
/// The manifest is the witness: it changes whenever anybody changes what archives there are, and never becomes again
/// what it was, since it holds a time and mostly a nonce.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) journal: Journal,
    /// The committed manifest, if it was seen.
    committed: Option<Vec<u8>>,
    /// The manifest of this transaction, if there is one.
    new: Option<Vec<u8>>,
    /// A commit was asked for and not answered.
    commit_in_flight: bool,
    /// Somebody else has written; this client may go on to read, not to write.
    is_overtaken: bool,
}

/// What is to be done on a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The repository is as it was at the last commit: everything since then is sent again.
    Resume,
    /// The commit that was asked for has come through.
    Committed,
    /// Somebody else has written, and this client only reads.
    Overtaken,
    /// Nothing: somebody else has written.
    Foreign,
}

impl Transaction {
    pub(super) fn new(options: JournalOptions) -> Self {
        Self {
            journal: Journal::new(options),
            committed: None,
            new: None,
            commit_in_flight: false,
            is_overtaken: false,
        }
    }

    /// Notes the manifest a server gave.
    pub(super) fn saw_manifest(&mut self, object: &[u8]) {
        if self.new.is_none() && !self.is_overtaken {
            self.committed = Some(object.to_vec());
        }
    }

    /// Whether this is the manifest that was seen last.
    pub(super) fn has_seen(&self, object: &[u8]) -> bool {
        self.committed.as_deref() == Some(object)
    }

    /// Notes a change and its message.
    pub(super) fn changes(&mut self, call: &Call<'_>, frame: &[u8]) {
        self.journal.append(frame);
        match call {
            Call::Put { id, data } if *id == ChunkId::MANIFEST => self.new = Some(data.to_vec()),
            // Whoever removes the manifest does nothing that can be recognised afterwards.
            Call::Delete { id } if *id == ChunkId::MANIFEST => self.committed = None,
            _ => {}
        }
    }

    pub(super) fn is_overtaken(&self) -> bool {
        self.is_overtaken
    }

    pub(super) fn overtaken(&mut self) {
        self.is_overtaken = true;
    }

    pub(super) fn commit_begins(&mut self) {
        self.commit_in_flight = true;
    }

    pub(super) fn commit_in_flight(&self) -> bool {
        self.commit_in_flight
    }

    /// The server refused the commit.
    pub(super) fn commit_failed(&mut self) {
        self.commit_in_flight = false;
    }

    pub(super) fn committed(&mut self) {
        self.commit_in_flight = false;
        self.committed = self.new.take().or(self.committed.take());
        self.journal.clear();
    }

    pub(super) fn rolled_back(&mut self) {
        self.commit_in_flight = false;
        self.new = None;
        self.journal.clear();
    }

    /// Whether there is enough to go on with.
    pub(super) fn is_resumable(&self) -> bool {
        let is_empty = self.journal.is_empty() && !self.commit_in_flight;
        is_empty || (self.journal.is_complete() && self.committed.is_some())
    }

    /// Whether it matters what manifest a server has now.
    pub(super) fn wants_manifest(&self) -> bool {
        self.committed.is_some()
    }

    /// Compares with the manifest a server has now.
    pub(super) fn verdict(&self, found: Option<&[u8]>, exclusive: bool) -> Verdict {
        if self.committed.is_none() || found == self.committed.as_deref() {
            return Verdict::Resume;
        }
        if self.commit_in_flight && found.is_some() && found == self.new.as_deref() {
            return Verdict::Committed;
        }
        if exclusive || !self.journal.is_empty() || self.commit_in_flight {
            return Verdict::Foreign;
        }
        Verdict::Overtaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[u8] = b"old manifest";
    const NEW: &[u8] = b"new manifest";

    fn transaction() -> Transaction {
        let mut transaction = Transaction::new(JournalOptions {
            directory: None,
            len_max: 1000,
        });
        transaction.saw_manifest(OLD);
        transaction
    }

    fn put(id: ChunkId, data: &[u8]) -> Call<'_> {
        Call::Put { id, data }
    }

    #[test]
    fn an_unchanged_repository_is_gone_on_with() {
        let mut transaction = transaction();
        transaction.changes(&put(ChunkId([1; 32]), b"object"), b"frame");
        assert!(transaction.is_resumable());
        assert_eq!(transaction.verdict(Some(OLD), true), Verdict::Resume);
        for other in [Some(NEW), None] {
            assert_eq!(transaction.verdict(other, false), Verdict::Foreign);
        }
    }

    #[test]
    fn a_commit_that_came_through_is_recognised_only_while_one_is_in_flight() {
        let mut transaction = transaction();
        transaction.changes(&put(ChunkId::MANIFEST, NEW), b"frame");
        assert_eq!(transaction.verdict(Some(NEW), true), Verdict::Foreign);
        transaction.commit_begins();
        assert_eq!(transaction.verdict(Some(NEW), true), Verdict::Committed);
        assert_eq!(transaction.verdict(Some(OLD), true), Verdict::Resume);
        assert_eq!(transaction.verdict(Some(b"third"), true), Verdict::Foreign);
        transaction.committed();
        assert_eq!(transaction.verdict(Some(NEW), true), Verdict::Resume);
        assert_eq!(transaction.verdict(Some(OLD), true), Verdict::Foreign);
        assert!(transaction.journal.is_empty());
    }

    #[test]
    fn a_rollback_brings_the_committed_manifest_back() {
        let mut transaction = transaction();
        transaction.changes(&put(ChunkId::MANIFEST, NEW), b"frame");
        transaction.rolled_back();
        assert_eq!(transaction.verdict(Some(OLD), true), Verdict::Resume);
    }

    #[test]
    fn readers_may_be_overtaken_and_writers_may_not() {
        let transaction = transaction();
        assert_eq!(transaction.verdict(Some(NEW), false), Verdict::Overtaken);
        assert_eq!(transaction.verdict(Some(NEW), true), Verdict::Foreign);
    }

    #[test]
    fn without_having_seen_the_manifest_changes_are_not_repeated() {
        let mut transaction = Transaction::new(JournalOptions {
            directory: None,
            len_max: 1000,
        });
        assert!(transaction.is_resumable(), "nothing was done");
        transaction.changes(&put(ChunkId([1; 32]), b"object"), b"frame");
        assert!(!transaction.is_resumable());
        // What a transaction has put is not what was committed before it.
        transaction.changes(&put(ChunkId::MANIFEST, NEW), b"frame");
        transaction.saw_manifest(NEW);
        assert!(!transaction.is_resumable());
    }
}
