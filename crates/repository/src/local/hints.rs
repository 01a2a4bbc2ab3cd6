//! Showing a repository's hints.

use ironborg_format::hints::HintsListing;

use super::LocalRepository;
use crate::RepositoryError;

impl LocalRepository {
    /// The hints of the committed transaction, in the order of their file if that is sound.
    ///
    /// # Errors
    /// As opening the committed state: segments that contradict it, unreadable files.
    pub fn hints(&mut self) -> Result<HintsListing, RepositoryError> {
        let loaded = match self.take_loaded() {
            Some(loaded) => loaded,
            None => self.load()?,
        };
        let loaded = self.with_hints(loaded)?;
        let mut listing = HintsListing::sorted(&loaded.state.hints);
        if let Some(id) = loaded.id
            && let Ok(file) = self.storage.read(&format!("hints.{id}"))
        {
            listing = listing.in_order_of(&file);
        }
        self.set_loaded(Some(loaded));
        Ok(listing)
    }
}
