//! What may be assumed, and remembered, of files that are far away, where every question has its price.

/// A place whose files are asked for over a network.
pub trait Distant: Send + Sync {
    /// Up to so many bytes an index is written with every commit; a larger one only when it has become worth it.
    fn index_always_max(&self) -> u64;

    /// Whether nobody else changes files until told otherwise: lists may be answered from memory then.
    fn set_alone(&self, is_alone: bool);

    /// Keeps a note on this machine about a file that does not change any more. It is lost with the file, or at any time.
    fn remember(&self, name: &str, note: &[u8]);

    /// The note about a file, if it still is the one the note was about.
    fn recall(&self, name: &str) -> Option<Vec<u8>>;

    /// Removes notes that are not wanted, by the names of their files.
    fn forget_notes(&self, is_wanted: &dyn Fn(&str) -> bool);

    /// What was kept of an object under this id. It may be anything: whoever opens it finds out.
    fn kept_object(&self, id: &str) -> Option<Vec<u8>>;

    /// Bytes of what was kept of an object, if anything was.
    fn kept_len(&self, id: &str) -> Option<u64>;

    /// Keeps an object that is going to be read again.
    fn keep_object(&self, id: &str, object: &[u8]);

    /// What was kept of an object was not that object.
    fn drop_object(&self, id: &str);
}
