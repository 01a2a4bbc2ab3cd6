//! Keys that were unlocked before: a process that opens one repository several times derives the key from the passphrase,
//! and asks for it, once.

use std::sync::{Mutex, PoisonError};

use ironborg_crypto::KeyMode;

use crate::keys::OpenedKey;

/// What was unlocked last. Shared by all clients of one process that work on the same repository.
#[derive(Default)]
pub struct UnlockedKey(Mutex<Option<Remembered>>);

struct Remembered {
    kept: Kept,
    key: OpenedKey,
}

/// All that an unlocked key depends on, the passphrase aside: of that it is the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) mode: KeyMode,
    /// The key as it is kept, locked.
    pub(crate) text: String,
    pub(crate) tam_required: bool,
}

impl UnlockedKey {
    /// Whether one was unlocked before.
    pub(crate) fn is_there(&self) -> bool {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.is_some()
    }

    /// The key, if this is what was unlocked last.
    pub(crate) fn recall(&self, kept: &Kept) -> Option<OpenedKey> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = remembered.as_ref().filter(|known| known.kept == *kept)?;
        Some(remembered.key.clone())
    }

    /// Remembers it instead of what was unlocked before.
    pub(crate) fn remember(&self, kept: Kept, key: OpenedKey) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *remembered = Some(Remembered { kept, key });
    }
}

impl std::fmt::Debug for UnlockedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
