//! Counter values for AES-CTR: reserved durably before use, used once, ever, per key.
//!
//! A repeated counter value gives away the XOR of two plaintexts, so this file is built around
//! never repeating one: not after a crash, not after a rollback of the repository, not between
//! threads. Values are wasted freely; there are 2^64 of them.

use crate::error::CryptoError;
use ironborg_types::{NonceStore, NonceStoreError, Reservation};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Values reserved beyond what is needed at once: 2^28 blocks, 4 GiB of objects. Source: Borg 1.4,
/// `NONCE_SPACE_RESERVATION`.
const RESERVATION_BLOCKS: u64 = 1 << 28;

/// How often a reservation is tried that is not answered.
const ATTEMPTS_MAX: u32 = 10;

/// Bytes encrypted with one counter value.
pub(crate) const BLOCK_LEN: usize = 16;

/// A run of counter values for the encryption of one object. No `Clone`, no `Copy`: encrypting
/// takes it by value, and only [`Nonces`] makes one.
#[derive(Debug)]
pub struct Nonce {
    first: u64,
    blocks: u64,
}

impl Nonce {
    /// The first counter value, which the envelope records.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many values follow each other from there.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Uses it up: the first value and how many.
    pub(crate) fn consume(self) -> (u64, u64) {
        (self.first, self.blocks)
    }

    #[cfg(test)]
    pub(crate) fn for_test(first: u64, blocks: u64) -> Self {
        Self { first, blocks }
    }
}

/// Counter values needed for `len` bytes.
pub(crate) fn blocks(len: usize) -> u64 {
    u64::try_from(len.div_ceil(BLOCK_LEN)).expect("lengths fit into 64 bits")
}

/// Hands out counter values of one key for one session, from any number of threads.
///
/// A reservation begins at the largest of the repository's counter, this client's counter, the
/// first value after the manifest's envelope and the end of this session's previous reservation;
/// both counters are moved past its end, durably, before the first value is handed out. Source:
/// Borg 1.4, `NonceManager`.
pub struct Nonces {
    /// The next value to hand out. Only ever grows.
    next: AtomicU64,
    /// End of the reserved values. Only ever grows, and only after `next` has been moved into the
    /// new reservation, so a thread that sees the new end cannot take values between the two
    /// reservations.
    end: AtomicU64,
    /// Held while reserving; `None` for keys that do not encrypt.
    stores: Option<Mutex<Stores>>,
}

struct Stores {
    repository: Arc<dyn NonceStore>,
    local: Arc<dyn NonceStore>,
    manifest: Option<u64>,
}

impl Nonces {
    /// For a key whose counters are kept in `repository` and `local`. `manifest` is the first value
    /// after those the manifest's envelope may have used ([`crate::EnvelopeNonce::end`]); `None` if
    /// there is no manifest yet. Nothing is read or written before the first
    /// [`reserve`](Self::reserve).
    pub fn new(
        repository: Arc<dyn NonceStore>,
        local: Arc<dyn NonceStore>,
        manifest: Option<u64>,
    ) -> Self {
        Self {
            next: AtomicU64::new(0),
            end: AtomicU64::new(0),
            stores: Some(Mutex::new(Stores {
                repository,
                local,
                manifest,
            })),
        }
    }

    /// For keys that do not encrypt and so never ask.
    pub fn none() -> Self {
        Self {
            next: AtomicU64::new(0),
            end: AtomicU64::new(0),
            stores: None,
        }
    }

    /// Takes `blocks` consecutive values nobody else has had or will have.
    ///
    /// # Errors
    /// When a counter could not be read or moved, or no values are left; then none was handed out.
    ///
    /// # Panics
    /// If made by [`none`](Self::none).
    pub fn reserve(&self, blocks: u64) -> Result<Nonce, CryptoError> {
        if let Some(nonce) = self.take(blocks) {
            return Ok(nonce);
        }
        let stores = self
            .stores
            .as_ref()
            .expect("a key that encrypts has counters");
        // A thread that panicked while reserving left `next` and `end` as they were or fully moved.
        let stores = stores.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have reserved while this one waited.
        if let Some(nonce) = self.take(blocks) {
            return Ok(nonce);
        }
        self.extend(&stores, blocks)
    }

    /// Takes from what is reserved already; `None` if that is not enough.
    fn take(&self, blocks: u64) -> Option<Nonce> {
        // `next` is read before `end`: if `end` turns out to be of a newer reservation, `next` has
        // been moved since and the exchange fails.
        let mut first = self.next.load(Ordering::SeqCst);
        loop {
            let after = first.checked_add(blocks)?;
            if after > self.end.load(Ordering::SeqCst) {
                return None;
            }
            match self
                .next
                .compare_exchange_weak(first, after, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => return Some(Nonce { first, blocks }),
                Err(current) => first = current,
            }
        }
    }

    /// Reserves in the repository and on this machine: the first value and the end.
    ///
    /// A reservation the repository did not answer is never taken for granted, nor for not made: another one is begun
    /// with what the repository says then. That wastes values at most.
    fn reserve_in(&self, stores: &Stores, blocks: u64) -> Result<(u64, u64), CryptoError> {
        let own_end = self.end.load(Ordering::SeqCst);
        for _ in 0..ATTEMPTS_MAX {
            let repository = stores.repository.next_unreserved()?;
            let local = stores.local.next_unreserved()?;
            let first = [repository, local, stores.manifest, Some(own_end)]
                .into_iter()
                .flatten()
                .max()
                .unwrap_or(0);
            let after = first.checked_add(blocks);
            // The largest value stays unused: Borg wants room above the end.
            let end = after
                .and_then(|after| after.checked_add(RESERVATION_BLOCKS))
                .filter(|end| *end < u64::MAX)
                .ok_or(CryptoError::NonceSpaceExhausted)?;
            if stores.repository.try_reserve(end, repository)? == Reservation::Made {
                stores.local.reserve(end, local)?;
                return Ok((first, end));
            }
        }
        let lost = "the repository does not answer reservations";
        Err(NonceStoreError::new(lost).into())
    }

    /// Makes a new reservation and takes the first `blocks` values of it.
    fn extend(&self, stores: &Stores, blocks: u64) -> Result<Nonce, CryptoError> {
        let (first, end) = self.reserve_in(stores, blocks)?;
        self.next.store(first + blocks, Ordering::SeqCst);
        self.end.store(end, Ordering::SeqCst);
        Ok(Nonce { first, blocks })
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces")
            .field("next", &self.next)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
