//! Copies on this machine of what would be asked for again: whole files of the state of a repository, notes about files that
//! never change, and objects somebody has said to want again.
//!
//! A copy is good for one version of what it is a copy of. That version is known from lists and from our own writing.

use std::io::IoSliceMut;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ironborg_storage::{Keep, Kept, StorageError};

use crate::known::{KnownObjects, Object};
use crate::requests::Requests;

/// Bytes of objects that are kept, at most.
const OBJECTS_LEN_MAX: u64 = 512 << 20;
/// A file that is looked things up in is fetched whole if it is not larger,
const FETCHED_LEN_MAX: u64 = 16 << 20;
/// or when that was done so often that it pays.
const LOOKUPS_MAX: u64 = 64;
/// Ends the name of a note.
const NOTE: &str = ".note";
/// All objects have the same tag: their names say what they are.
const OBJECT_TAG: &str = "object";

/// The copies of one repository.
pub(crate) struct Copies {
    files: Keep,
    objects: Keep,
    /// The file that is looked things up in, and which one it is.
    open: Mutex<Option<(String, String, Arc<Kept>)>>,
    lookups: AtomicU64,
}

/// Whether a file is one of a state: named for a number, at the root, and replaced by one with another number.
pub(crate) fn is_of_a_state(name: &str) -> bool {
    let number = name.rsplit_once('.').map(|(_, number)| number);
    !name.contains('/') && number.is_some_and(is_number)
}

/// Whether a file never changes once it is there: that of a state, or one in a directory that has a number for a name.
pub(crate) fn is_settled(name: &str) -> bool {
    is_of_a_state(name)
        || name
            .rsplit_once('/')
            .is_some_and(|(_, last)| is_number(last))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Copies {
    /// Those in a directory, which may be missing.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            files: Keep::new(&dir.join("files"), u64::MAX),
            objects: Keep::new(&dir.join("objects"), OBJECTS_LEN_MAX),
            open: Mutex::default(),
            lookups: AtomicU64::new(0),
        }
    }

    fn opened(&self) -> MutexGuard<'_, Option<(String, String, Arc<Kept>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole of a file of a state, if it is here.
    pub(crate) fn read(&self, name: &str, known: &KnownObjects) -> Option<Vec<u8>> {
        self.files.read(name, &known.get(name)?.tag())
    }

    /// Keeps a file of a state.
    pub(crate) fn put(&self, name: &str, object: &Object, content: &[u8]) {
        self.files.put(name, &object.tag(), content);
    }

    /// Begins to keep a file of a state that comes in pieces.
    pub(crate) fn files(&self) -> &Keep {
        &self.files
    }

    /// Reads from a copy of a file of a state, which is fetched first if that seems worth it. `None`: there is none.
    ///
    /// # Errors
    /// It cannot be fetched.
    pub(crate) fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffers: &mut [IoSliceMut<'_>],
        (known, requests): (&KnownObjects, &Requests),
    ) -> Result<Option<usize>, StorageError> {
        let Some(object) = known.get(name) else {
            return Ok(None);
        };
        let tag = object.tag();
        for _ in 0..2 {
            if let Some(kept) = self.kept(name, &tag) {
                if let Some(count) = kept.read_at(offset, buffers) {
                    return Ok(Some(count));
                }
                *self.opened() = None;
                self.files.remove(name);
            }
            let lookups = self.lookups.fetch_add(1, Ordering::Relaxed);
            if tag.is_empty() || (object.size > FETCHED_LEN_MAX && lookups < LOOKUPS_MAX) {
                break;
            }
            let mut writer = self.files.writer(name);
            let fetched = requests.stream(name, &mut |piece| writer.append(piece))?;
            writer.finish(&fetched.tag());
            if fetched != object {
                break;
            }
        }
        Ok(None)
    }

    fn kept(&self, name: &str, tag: &str) -> Option<Arc<Kept>> {
        let mut open = self.opened();
        if let Some((open_name, open_tag, kept)) = &*open
            && open_name == name
            && open_tag == tag
        {
            return Some(Arc::clone(kept));
        }
        let kept = Arc::new(self.files.open(name, tag)?);
        *open = Some((name.to_owned(), tag.to_owned(), Arc::clone(&kept)));
        Some(kept)
    }

    /// A file is gone, or is going to be another one.
    pub(crate) fn forget(&self, name: &str) {
        if is_of_a_state(name) {
            *self.opened() = None;
            self.files.remove(name);
        }
    }

    /// The files at the root are these.
    pub(crate) fn retain_states(&self, is_there: impl Fn(&str) -> bool) {
        self.files
            .retain(|name| !is_of_a_state(name) || is_there(name));
    }

    /// Keeps a note about a file.
    pub(crate) fn remember(&self, name: &str, object: &Object, note: &[u8]) {
        self.files
            .put(&format!("{name}{NOTE}"), &object.tag(), note);
    }

    /// The note about a file.
    pub(crate) fn recall(&self, name: &str, object: &Object) -> Option<Vec<u8>> {
        self.files.read(&format!("{name}{NOTE}"), &object.tag())
    }

    /// Removes notes that are not wanted.
    pub(crate) fn retain_notes(&self, is_wanted: &dyn Fn(&str) -> bool) {
        self.files
            .retain(|name| name.strip_suffix(NOTE).is_none_or(is_wanted));
    }

    /// What was kept of an object.
    pub(crate) fn object(&self, id: &str) -> Option<Vec<u8>> {
        self.objects.read(id, OBJECT_TAG)
    }

    /// Bytes of what was kept of an object.
    pub(crate) fn object_len(&self, id: &str) -> Option<u64> {
        let kept = self.objects.open(id, OBJECT_TAG)?;
        Some(kept.len())
    }

    /// Keeps an object.
    pub(crate) fn put_object(&self, id: &str, object: &[u8]) {
        self.objects.put(id, OBJECT_TAG, object);
    }

    /// Removes one that is wrong.
    pub(crate) fn drop_object(&self, id: &str) {
        self.objects.remove(id);
    }

    /// Removes everything.
    pub(crate) fn clear(&self) {
        *self.opened() = None;
        self.files.clear();
        self.objects.clear();
    }
}
