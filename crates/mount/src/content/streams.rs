//! Who reads a file from front to back, and how far ahead of it chunks should be.
//!
//! The kernel asks for pieces of 4 KiB to 1 MiB, several at once, and they arrive in any order. A request close to
//! where a reader was seen belongs to that reader; what it has read in one go is the evidence that it will go on, and twice
//! as much is read ahead. Reads here and there never gather evidence.

/// Readers of one file that are told apart.
const READERS_MAX: usize = 4;
/// So many requests of the same size may come in any order,
const REORDERED: u64 = 8;
/// and at least so many bytes: the last request of a burst is often a short one.
const SLACK_MIN: u64 = 256 * 1024;

/// Readers of one file, the one seen last first.
#[derive(Debug, Default)]
pub(super) struct Streams {
    readers: [Reader; READERS_MAX],
}

/// One that reads from front to back.
#[derive(Debug, Default, Clone, Copy)]
struct Reader {
    /// Behind the last byte that was asked for.
    next: u64,
    /// Bytes asked for, in one go.
    run: u64,
    /// Requests, in one go.
    requests: u32,
    /// Chunks before this one have been asked for ahead of the reader.
    planned: usize,
}

/// What should be there soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ahead {
    /// Where the reader is, in bytes.
    pub(super) position: u64,
    /// How many bytes behind that; 0 if nothing is known of what is read next.
    pub(super) window: u64,
    /// Chunks before this one need not be looked at.
    pub(super) planned: usize,
}

impl Streams {
    /// Notes that `len` bytes at `offset` are read, and tells what will probably be read next: at most `window_max`
    /// bytes.
    pub(super) fn note(&mut self, offset: u64, len: u64, window_max: u64) -> Ahead {
        let slack = len.saturating_mul(REORDERED).max(SLACK_MIN);
        let end = offset.saturating_add(len);
        let known = self
            .readers
            .iter()
            .position(|reader| reader.requests > 0 && reader.next.abs_diff(offset) <= slack);
        let at = known.unwrap_or(READERS_MAX - 1);
        self.readers[..=at].rotate_right(1);
        let reader = &mut self.readers[0];
        if known.is_none() {
            *reader = Reader {
                next: offset,
                ..Reader::default()
            };
        }
        reader.run = reader.run.saturating_add(end.saturating_sub(reader.next));
        reader.next = reader.next.max(end);
        reader.requests = reader.requests.saturating_add(1);
        Ahead {
            position: reader.next,
            window: match reader.requests {
                1 => 0,
                _ => reader.run.saturating_mul(2).min(window_max),
            },
            planned: reader.planned,
        }
    }

    /// Notes that chunks before `planned` are there or on their way to the reader at `position`; what it is told when
    /// chunks went missing can be less than before.
    pub(super) fn planned(&mut self, position: u64, planned: usize) {
        let reader = self
            .readers
            .iter_mut()
            .find(|reader| reader.next == position);
        if let Some(reader) = reader {
            reader.planned = planned;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MAX: u64 = 8192 * KIB;

    #[test]
    fn who_reads_on_is_read_ahead_of_more_and_more() {
        let mut streams = Streams::default();
        let windows: Vec<u64> = (0..5)
            .map(|n| streams.note(n * 128 * KIB, 128 * KIB, MAX).window / KIB)
            .collect();
        assert_eq!(windows, [0, 512, 768, 1024, 1280]);
        let last = (5..100).map(|n| streams.note(n * 128 * KIB, 128 * KIB, MAX));
        assert_eq!(last.last().unwrap().window, MAX);
    }

    #[test]
    fn a_burst_may_come_in_any_order() {
        let mut streams = Streams::default();
        for burst in 0..10 {
            for n in [3, 0, 2, 1, 7, 6, 5, 4] {
                streams.note((burst * 8 + n) * 128 * KIB, 128 * KIB, MAX);
            }
        }
        let ahead = streams.note(80 * 128 * KIB, 128 * KIB, u64::MAX);
        assert_eq!(ahead.position, 81 * 128 * KIB);
        assert_eq!(
            ahead.window,
            2 * 78 * 128 * KIB,
            "it was first seen at the fourth piece"
        );
    }

    #[test]
    fn reads_here_and_there_are_not_read_ahead_of() {
        let mut streams = Streams::default();
        let mut random = 1_u64;
        let mut ahead = 0;
        for _ in 0..1000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let offset = (random >> 33) % (1 << 30);
            ahead += u32::from(streams.note(offset, 4 * KIB, MAX).window > 0);
        }
        assert!(ahead < 10, "{ahead}");
    }

    #[test]
    fn several_readers_do_not_disturb_each_other() {
        let mut streams = Streams::default();
        let starts = [0, 100 << 20, 200 << 20, 300 << 20];
        for n in 0..20 {
            for start in starts {
                let ahead = streams.note(start + n * 128 * KIB, 128 * KIB, MAX);
                assert_eq!(ahead.window > 0, n > 0);
                assert_eq!(ahead.position, start + (n + 1) * 128 * KIB);
            }
        }
    }

    #[test]
    fn what_was_planned_belongs_to_its_reader() {
        let mut streams = Streams::default();
        streams.note(0, 10, MAX);
        streams.planned(10, 7);
        assert_eq!(streams.note(100 << 20, 10, MAX).planned, 0);
        assert_eq!(streams.note(10, 10, MAX).planned, 7);
        streams.note(u64::MAX - 5, 10, MAX);
    }
}
