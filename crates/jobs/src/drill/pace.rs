//! How much is restored at once: as much as takes a third of a second here.

use std::time::Duration;

/// How long a batch should take: a drill overruns its time by no more.
const BATCH_MS: f64 = 330.0;
/// Bounds of a batch, in bytes and in items: below, starting one costs more than it does; above, so much would have to
/// be written to disk.
const LEN: (f64, f64) = (64.0 * 1024.0, 64.0 * 1024.0 * 1024.0);
const COUNT: (f64, f64) = (4.0, 1024.0);

/// How large the next batch is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    len: f64,
    count: f64,
}

impl Default for Pace {
    /// Small, until it is known how fast this goes.
    fn default() -> Self {
        Self {
            len: 1024.0 * 1024.0,
            count: 32.0,
        }
    }
}

impl Pace {
    /// Bytes of a batch.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is within LEN.
    pub(super) fn batch_len(&self) -> u64 {
        self.len as u64
    }

    /// Items of a batch.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is within COUNT.
    pub(super) fn batch_count(&self) -> usize {
        self.count as usize
    }

    /// Learns from how long the last one took. One that was not full says little of how long a full one takes.
    #[allow(clippy::cast_precision_loss)] // An estimate.
    pub(super) fn took(&mut self, time: Duration, len: u64, count: usize) {
        let ms = (time.as_secs_f64() * 1000.0).max(1.0);
        let factor = |share: f64| {
            if ms > BATCH_MS {
                return (BATCH_MS / ms).max(0.1);
            }
            (BATCH_MS / ms * share).clamp(1.0, 4.0)
        };
        let (len, count) = (len as f64 / self.len, count as f64 / self.count);
        self.len = (self.len * factor(len)).clamp(LEN.0, LEN.1);
        self.count = (self.count * factor(count)).clamp(COUNT.0, COUNT.1);
    }
}
