//! Buffers of large objects, used again: getting memory for megabytes costs more than filling them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Smaller ones cost little.
const LEN_MIN: usize = 128 * 1024;
/// Larger ones are rare, and not kept for that.
const LEN_MAX: usize = 8 * 1024 * 1024;
/// How many bytes are kept: those that are in use soon come back.
const KEPT_MAX: usize = 8 * 1024 * 1024;

/// Buffers nobody uses at the moment.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// A copy of `bytes`, in a buffer that was used before if one fits.
    pub(super) fn copy(&self, bytes: &[u8]) -> Vec<u8> {
        if bytes.len() < LEN_MIN {
            return bytes.to_vec();
        }
        let fits = |buffer: &Vec<u8>| {
            // One that is far too large would hold memory for little.
            (bytes.len()..=bytes.len().saturating_mul(4)).contains(&buffer.capacity())
        };
        let found = {
            let mut buffers = self.lock();
            let at = buffers.iter().position(fits);
            at.map(|at| buffers.swap_remove(at))
        };
        let Some(mut buffer) = found else {
            return bytes.to_vec();
        };
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        if !(LEN_MIN..=LEN_MAX).contains(&buffer.capacity()) {
            return;
        }
        let mut buffers = self.lock();
        let kept: usize = buffers.iter().map(Vec::capacity).sum();
        if kept + buffer.capacity() <= KEPT_MAX {
            buffers.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_fits_is_used_again_and_no_other() {
        let spare = Spare::default();
        let buffer = Vec::with_capacity(LEN_MIN * 8);
        let at = buffer.as_ptr();
        spare.give_back(buffer);
        // Neither when it is far too large nor when it is too small.
        for len in [LEN_MIN, LEN_MIN * 9] {
            let other = spare.copy(&vec![1; len]);
            assert_ne!(other.as_ptr(), at);
        }
        let copy = spare.copy(&vec![7; LEN_MIN * 3]);
        assert_eq!(copy.as_ptr(), at);
        assert!(copy == vec![7; LEN_MIN * 3]);
        spare.give_back(Vec::with_capacity(10));
        spare.give_back(Vec::with_capacity(LEN_MAX + 1));
        assert!(spare.lock().is_empty());
    }
}
