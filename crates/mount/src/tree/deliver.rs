//! Content that is handed to the kernel before it asks for it: of small files that will probably be read next.
//!
//! A request costs two changes of threads, several times what a small file's bytes do. The content of files that are expected
//! ([`super::siblings`]) is therefore put where the kernel keeps what it has read. What goes wrong here is told to nobody: whoever
//! reads the file asks, and is told then.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::archive::{Coming, OpenArchive};
use super::inode::Inode;

/// Larger files are asked for in pieces, which cost as much when they are asked for.
pub(super) const LEN_MAX: u64 = 128 << 10;
/// Deliveries that wait for their turn. Of what does not fit in, files are asked for.
const WAITING_MAX: usize = 4;

/// Where the kernel keeps content.
pub trait Pages: Send + Sync {
    /// Puts all of a file's content there. `false`: that will never be possible.
    ///
    /// It may wait for requests about this file to be answered.
    fn store(&self, inode: Inode, content: &[u8]) -> bool;
}

/// Files of an archive, to be delivered in this order.
pub(super) struct Delivery {
    pub(super) archive: Arc<OpenArchive>,
    pub(super) files: Vec<(Inode, Coming)>,
}

/// Hands deliveries to a thread of their own, which is started for the first.
pub(super) struct Deliveries(Mutex<State>);

enum State {
    /// Nobody takes content, or not any more.
    Refused,
    Ready(Arc<dyn Pages>),
    Going(SyncSender<Delivery>),
}

impl Default for Deliveries {
    fn default() -> Self {
        Self(Mutex::new(State::Refused))
    }
}

impl Deliveries {
    /// From now on content goes to `pages`.
    pub(super) fn begin(&self, pages: Arc<dyn Pages>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Ready(pages);
    }

    /// Has files delivered, unless too many wait for it already.
    pub(super) fn hand_on(&self, delivery: Delivery) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Ready(pages) = &*state {
            let pages = Arc::clone(pages);
            let (send, receive) = sync_channel(WAITING_MAX);
            let thread = std::thread::Builder::new().name("mount-deliver".to_owned());
            let started = thread.spawn(move || deliver(&receive, pages.as_ref()));
            *state = started.map_or(State::Refused, |_| State::Going(send));
        }
        if let State::Going(send) = &*state {
            // If the thread has ended, nothing can be delivered.
            let _ = send.try_send(delivery);
        }
    }
}

fn deliver(deliveries: &Receiver<Delivery>, pages: &dyn Pages) {
    let mut whole = Vec::new();
    for Delivery { archive, files } in deliveries {
        for (inode, coming) in files {
            let Ok(slices) = archive.content(&coming) else {
                break;
            };
            let is_possible = if let Some(bytes) = slices.as_one() {
                pages.store(inode, bytes)
            } else {
                whole.clear();
                slices.copy_to(&mut whole);
                pages.store(inode, &whole)
            };
            if !is_possible {
                return;
            }
        }
    }
}
