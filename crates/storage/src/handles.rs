//! Open files kept for the next reader.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files kept open at once; Borg keeps 90.
const CAPACITY: usize = 64;
/// Handles unused for longer are closed: network file systems may have lost the file by then (ESTALE).
const AGE_MAX: Duration = Duration::from_mins(4);

struct Handle {
    file: Arc<File>,
    used: Instant,
}

/// Least recently used out.
pub(crate) struct HandleCache {
    handles: HashMap<String, Handle>,
    cleaned: Instant,
}

impl HandleCache {
    pub(crate) fn new() -> Self {
        Self {
            handles: HashMap::new(),
            cleaned: Instant::now(),
        }
    }

    pub(crate) fn get(&mut self, name: &str) -> Option<Arc<File>> {
        let now = Instant::now();
        if now.duration_since(self.cleaned) > AGE_MAX / 8 {
            self.cleaned = now;
            self.handles
                .retain(|_, handle| now.duration_since(handle.used) <= AGE_MAX);
        }
        let handle = self.handles.get_mut(name)?;
        handle.used = now;
        Some(Arc::clone(&handle.file))
    }

    pub(crate) fn insert(&mut self, name: &str, file: Arc<File>) {
        if self.handles.len() >= CAPACITY {
            let oldest = self.handles.iter().min_by_key(|(_, handle)| handle.used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.handles.remove(&name);
            }
        }
        let used = Instant::now();
        self.handles.insert(name.to_owned(), Handle { file, used });
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.handles.remove(name);
    }

    pub(crate) fn clear(&mut self) {
        self.handles.clear();
    }
}
