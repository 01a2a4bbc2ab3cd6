//! How much memory an operation may take.

/// A limit for all of the process, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryLimit(Option<u64>);

impl MemoryLimit {
    /// As much as it usually takes.
    pub const NONE: Self = Self(None);

    /// So many bytes.
    pub const fn bytes(limit: u64) -> Self {
        Self(Some(limit))
    }

    /// The limit, if there is one.
    pub const fn get(self) -> Option<u64> {
        self.0
    }

    /// What something takes that usually takes `usual`: not more than one of so many `parts` of all there may be.
    pub fn share(self, parts: u64, usual: u64) -> u64 {
        self.0
            .map_or(usual, |limit| usual.min(limit / parts.max(1)))
    }

    /// How many of at most `threads` threads there can be if all the rest takes `fixed` bytes, and each of them `each`.
    ///
    /// # Errors
    /// How many bytes one thread would need, if that is more than there may be.
    pub fn threads(self, fixed: u64, each: u64, threads: usize) -> Result<usize, u64> {
        let Some(limit) = self.0 else {
            return Ok(threads);
        };
        let needed = fixed.saturating_add(each);
        if limit < needed {
            return Err(needed);
        }
        let more = (limit - needed) / each.max(1);
        let possible = usize::try_from(more)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        Ok(threads.min(possible))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_never_gives_more_than_there_is_without_one() {
        for limit in [0, 1, 1000, u64::MAX] {
            let limit = MemoryLimit::bytes(limit);
            assert!(limit.share(3, 500) <= 500);
            assert!(limit.threads(0, 10, 4).map_or(true, |given| given <= 4));
        }
        assert_eq!(MemoryLimit::NONE.share(3, 500), 500);
        assert_eq!(MemoryLimit::bytes(300).share(3, 500), 100);
        assert_eq!(MemoryLimit::NONE.threads(u64::MAX, u64::MAX, 7), Ok(7));
    }

    #[test]
    fn the_least_there_must_be_is_named() {
        assert_eq!(MemoryLimit::bytes(129).threads(100, 30, 4), Err(130));
        assert_eq!(MemoryLimit::bytes(130).threads(100, 30, 4), Ok(1));
        assert_eq!(MemoryLimit::bytes(190).threads(100, 30, 4), Ok(3));
        assert_eq!(MemoryLimit::bytes(900).threads(100, 30, 4), Ok(4));
        assert_eq!(
            MemoryLimit::bytes(900).threads(u64::MAX, 30, 4),
            Err(u64::MAX)
        );
    }
}
