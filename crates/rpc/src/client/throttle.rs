//! Limits the rate of sending.

use std::time::{Duration, Instant};

/// Bytes are handed out for periods of this length.
const PERIOD: Duration = Duration::from_millis(100);

/// Says how many bytes may be sent, so that no more than the given rate are in the long run.
///
/// Source: Borg 1.4, `SleepingBandwidthLimiter`.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Bytes of one period.
    per_period: usize,
    left: usize,
    begun: Instant,
}

impl Throttle {
    /// `rate`: bytes a second; `None` or 0 for no limit.
    pub(super) fn new(rate: Option<u64>, now: Instant) -> Option<Self> {
        let rate = rate.filter(|rate| *rate > 0)?;
        let per_period = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1);
        Some(Self {
            per_period,
            left: per_period,
            begun: now,
        })
    }

    /// How many of `wanted` bytes may be sent now; none means to wait for so long and ask again.
    pub(super) fn allow(&mut self, wanted: usize, now: Instant) -> Result<usize, Duration> {
        let passed = now.saturating_duration_since(self.begun);
        if passed >= PERIOD {
            // What was not used is kept for one period, not for ever.
            self.left = (self.left + self.per_period).min(self.per_period.saturating_mul(2));
            self.begun = now;
        }
        if self.left == 0 {
            return Err(PERIOD.saturating_sub(passed).max(Duration::from_millis(1)));
        }
        let allowed = wanted.min(self.left);
        self.left -= allowed;
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_rate_is_sent_in_the_long_run() {
        let start = Instant::now();
        let mut throttle = Throttle::new(Some(10_000), start).unwrap();
        let (mut now, mut sent) = (start, 0);
        while now < start + Duration::from_secs(10) {
            match throttle.allow(700, now) {
                Ok(len) => sent += len,
                Err(wait) => now += wait,
            }
        }
        assert!((95_000..=101_000).contains(&sent), "{sent}");
        assert!(Throttle::new(Some(0), start).is_none());
    }
}
