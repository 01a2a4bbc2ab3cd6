//! The line between two ends: how fast bytes get onto it, and how long they are on their way.
//!
//! No clock and no I/O: times are those since the connection began, given by the caller.

use std::collections::VecDeque;
use std::time::Duration;

/// What may be on a line that is not narrow: more than any sender has on its way at once.
const WINDOW: usize = 64 << 20;

/// What a line is like, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineOptions {
    /// How long each byte is on its way.
    pub(crate) delay: Duration,
    /// Bytes a second.
    pub(crate) rate: Option<u64>,
    /// Bytes waiting to get onto a narrow line, as in a socket's send buffer; then the sender has to wait.
    pub(crate) queue: usize,
}

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Line {
    options: LineOptions,
    held: VecDeque<(Duration, Parcel)>,
    /// Bytes of all that is held.
    held_len: usize,
    /// When the last byte accepted is on its way.
    free_at: Duration,
}

/// Something that arrives at the other end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parcel {
    Bytes(Vec<u8>),
    /// The sender has closed its end.
    End,
}

impl Line {
    pub(crate) fn new(options: LineOptions) -> Self {
        Self {
            options,
            held: VecDeque::new(),
            held_len: 0,
            free_at: Duration::ZERO,
        }
    }

    /// Bytes that may be read from the sender now; 0 when it has to wait.
    pub(crate) fn room(&self) -> usize {
        self.window()
            .saturating_sub(self.held_len)
            .min(self.piece())
    }

    /// Takes what the sender has sent at `now`.
    pub(crate) fn accept(&mut self, now: Duration, parcel: Parcel) {
        if let Parcel::Bytes(bytes) = &parcel {
            self.held_len += bytes.len();
            self.free_at = self.free_at.max(now) + self.time_for(bytes.len());
        }
        let due = self.free_at.max(now) + self.options.delay;
        self.held.push_back((due, parcel));
    }

    /// When the next parcel arrives.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.held.front().map(|(due, _)| *due)
    }

    /// The next parcel, if it has arrived.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Parcel> {
        let (_, parcel) = self.held.pop_front_if(|(due, _)| *due <= now)?;
        if let Parcel::Bytes(bytes) = &parcel {
            self.held_len -= bytes.len();
        }
        Some(parcel)
    }

    /// Everything that fits between the two ends: what is on its way, and what waits to be.
    fn window(&self) -> usize {
        let Some(rate) = self.options.rate else {
            return WINDOW;
        };
        let on_its_way = u128::from(rate) * self.options.delay.as_nanos() / 1_000_000_000;
        usize::try_from(on_its_way)
            .unwrap_or(usize::MAX)
            .saturating_add(self.options.queue)
    }

    /// Bytes taken at once: a narrow line passes on small pieces, five milliseconds or so each.
    fn piece(&self) -> usize {
        const PIECE_MAX: usize = 64 << 10;
        let rate = self.options.rate.unwrap_or(u64::MAX);
        usize::try_from(rate / 200)
            .unwrap_or(PIECE_MAX)
            .clamp(1, PIECE_MAX)
    }

    fn time_for(&self, len: usize) -> Duration {
        let Some(rate) = self.options.rate else {
            return Duration::ZERO;
        };
        let nanos = len as u128 * 1_000_000_000 / u128::from(rate.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn line(delay_ms: u64, rate: Option<u64>, queue: usize) -> Line {
        Line::new(LineOptions {
            delay: MS(delay_ms),
            rate,
            queue,
        })
    }

    fn bytes(len: usize) -> Parcel {
        Parcel::Bytes(vec![1; len])
    }

    #[test]
    fn bytes_arrive_late_but_at_once() {
        let mut line = line(50, None, 0);
        line.accept(MS(10), bytes(1 << 20));
        line.accept(MS(10), bytes(1 << 20));
        line.accept(MS(20), Parcel::End);
        assert_eq!(line.take(MS(59)), None);
        assert_eq!(line.take(MS(60)), Some(bytes(1 << 20)));
        assert_eq!(line.take(MS(60)), Some(bytes(1 << 20)));
        assert_eq!(line.next_due(), Some(MS(70)));
        assert_eq!(line.take(MS(69)), None);
        assert_eq!(line.take(MS(70)), Some(Parcel::End));
        assert_eq!(line.next_due(), None);
    }

    #[test]
    fn a_narrow_line_passes_bytes_one_after_the_other() {
        let mut line = line(50, Some(1000), 1000);
        line.accept(MS(0), bytes(100));
        line.accept(MS(0), bytes(100));
        line.accept(MS(0), Parcel::End);
        assert_eq!(line.next_due(), Some(MS(150)));
        assert!(line.take(MS(150)).is_some());
        assert_eq!(line.next_due(), Some(MS(250)));
        assert!(line.take(MS(250)).is_some());
        assert_eq!(line.next_due(), Some(MS(250)));
        assert_eq!(line.take(MS(250)), Some(Parcel::End));
        // What was not used while nothing was sent cannot be used later.
        line.accept(MS(2000), bytes(100));
        assert_eq!(line.next_due(), Some(MS(2150)));
    }

    #[test]
    fn the_sender_waits_when_the_queue_is_full() {
        let mut line = line(500, Some(1000), 20);
        let mut sent = 0;
        while line.room() > 0 {
            let room = line.room();
            line.accept(MS(0), bytes(room));
            sent += room;
        }
        assert_eq!(sent, 520, "500 on their way, 20 in the queue");
        assert_eq!(line.take(MS(505)), Some(bytes(5)));
        assert_eq!(line.room(), 5);
    }

    #[test]
    fn a_saturated_line_is_used_to_the_full() {
        let rate = 1_000_000;
        let mut line = line(50, Some(rate), 64 << 10);
        let mut received = 0;
        for now in 0..1000 {
            while line.room() > 0 {
                let room = line.room();
                line.accept(MS(now), bytes(room));
            }
            while let Some(Parcel::Bytes(bytes)) = line.take(MS(now)) {
                received += bytes.len();
            }
        }
        let expected = 950_000;
        let difference = i64::try_from(received).expect("small") - expected;
        assert!(difference.abs() < 10_000, "{received} bytes in a second");
    }
}
