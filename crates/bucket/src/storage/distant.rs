//! What is kept on this machine of a repository that is far away.

use ironborg_storage::Distant;

use super::BucketStorage;

impl Distant for BucketStorage {
    fn index_always_max(&self) -> u64 {
        self.index_always_max
    }

    fn set_alone(&self, is_alone: bool) {
        self.known.set_alone(is_alone);
    }

    fn remember(&self, name: &str, note: &[u8]) {
        if let (Some(copies), Some(object)) = (&self.copies, self.known.get(name)) {
            copies.remember(name, &object, note);
        }
    }

    fn recall(&self, name: &str) -> Option<Vec<u8>> {
        self.copies.as_ref()?.recall(name, &self.known.get(name)?)
    }

    fn forget_notes(&self, is_wanted: &dyn Fn(&str) -> bool) {
        if let Some(copies) = &self.copies {
            copies.retain_notes(is_wanted);
        }
    }

    fn kept_object(&self, id: &str) -> Option<Vec<u8>> {
        self.copies.as_ref()?.object(id)
    }

    fn kept_len(&self, id: &str) -> Option<u64> {
        self.copies.as_ref()?.object_len(id)
    }

    fn keep_object(&self, id: &str, object: &[u8]) {
        if let Some(copies) = &self.copies {
            copies.put_object(id, object);
        }
    }

    fn drop_object(&self, id: &str) {
        if let Some(copies) = &self.copies {
            copies.drop_object(id);
        }
    }
}
