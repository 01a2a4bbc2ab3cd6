//! Results of several workers, put back in order.

use std::collections::VecDeque;

/// Numbered values that come in any order and are taken in theirs, from 0 on.
///
/// Memory: as many places as numbers are on their way.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    early: VecDeque<Option<T>>,
    taken: u64,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self {
            early: VecDeque::new(),
            taken: 0,
        }
    }
}

impl<T> InOrder<T> {
    /// Keeps a value until it is its turn.
    ///
    /// # Panics
    /// If a value of that number was there before.
    pub(super) fn put(&mut self, number: u64, value: T) {
        let ahead = number
            .checked_sub(self.taken)
            .expect("each number comes once");
        let slot = usize::try_from(ahead).expect("few are on their way");
        if self.early.len() <= slot {
            self.early.resize_with(slot + 1, || None);
        }
        let before = self.early[slot].replace(value);
        assert!(before.is_none(), "each number comes once");
    }

    /// The next value, if it is there.
    pub(super) fn next(&mut self) -> Option<T> {
        self.early.front()?.as_ref()?;
        self.taken += 1;
        self.early.pop_front().flatten()
    }

    /// How many were taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::InOrder;

    #[test]
    fn what_comes_early_waits() {
        let mut values = InOrder::default();
        values.put(2, 'c');
        values.put(1, 'b');
        assert_eq!(values.next(), None);
        values.put(0, 'a');
        let all: Vec<char> = std::iter::from_fn(|| values.next()).collect();
        assert_eq!(all, ['a', 'b', 'c']);
        assert_eq!(values.taken(), 3);
    }
}
