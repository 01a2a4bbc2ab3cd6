//! Calendar and clock: when a calendar expression elapses in a time zone.
//!
//! What is on the calendar is sought among dates and times of day; a zone makes points in time of them. Where its clocks are set
//! forward some times of day do not exist: they are left out. Where they are set back some exist twice: the first counts.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

use super::calendar::{Calendar, Direction};

/// The first time after `now`.
pub(super) fn next_after(
    calendar: &Calendar,
    now: Timestamp,
    here: &TimeZone,
) -> Option<Timestamp> {
    let zone = calendar.zone.as_ref().unwrap_or(here);
    let mut from = whole_seconds(zone.to_datetime(now));
    if let Some(end) = end_of_second(zone, now) {
        // All times of day until then have been.
        from = end;
    }
    // A second turn is for what is now, any more are for changes of the clocks.
    loop {
        let found = calendar.seek(from, Direction::Forward)?;
        from = match read(zone, found)? {
            Reading::At(at) | Reading::Twice { first: at, .. } if at > now => return Some(at),
            Reading::Never { end, .. } => end,
            _ => found.checked_add(Span::new().seconds(1)).ok()?,
        };
    }
}

/// The last time before `now`.
pub(super) fn last_before(
    calendar: &Calendar,
    now: Timestamp,
    here: &TimeZone,
) -> Option<Timestamp> {
    let zone = calendar.zone.as_ref().unwrap_or(here);
    let mut from = whole_seconds(zone.to_datetime(now));
    if let Some(end) = end_of_second(zone, now) {
        // All times of day until then have been, even those that are later on the clock.
        from = end.checked_sub(Span::new().seconds(1)).ok()?;
    }
    loop {
        let found = calendar.seek(from, Direction::Backward)?;
        from = match read(zone, found)? {
            Reading::At(at) | Reading::Twice { first: at, .. } if at < now => return Some(at),
            Reading::Never { start, .. } => start.checked_sub(Span::new().seconds(1)).ok()?,
            _ => found.checked_sub(Span::new().seconds(1)).ok()?,
        };
    }
}

/// What a time of day is.
enum Reading {
    At(Timestamp),
    /// Times of day up to `end` exist twice.
    Twice {
        first: Timestamp,
        end: DateTime,
    },
    /// There is none from `start` up to `end`.
    Never {
        start: DateTime,
        end: DateTime,
    },
}

/// Nothing at the ends of time.
fn read(zone: &TimeZone, time: DateTime) -> Option<Reading> {
    Some(match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } => Reading::At(offset.to_timestamp(time).ok()?),
        AmbiguousOffset::Fold { before, after } => {
            let first = before.to_timestamp(time).ok()?;
            let change = change_after(zone, first)?;
            Reading::Twice {
                first,
                end: before.to_datetime(change).max(after.to_datetime(change)),
            }
        }
        AmbiguousOffset::Gap { before, after } => {
            // Read with what holds afterwards, it is before the change.
            let change = change_after(zone, after.to_timestamp(time).ok()?)?;
            Reading::Never {
                start: before.to_datetime(change),
                end: after.to_datetime(change),
            }
        }
    })
}

fn change_after(zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
    zone.following(at).next().map(|change| change.timestamp())
}

/// If the time of day is there for the second time: the one from which on they are there once again.
fn end_of_second(zone: &TimeZone, at: Timestamp) -> Option<DateTime> {
    let offset = zone.to_offset(at);
    let time = offset.to_datetime(at);
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Fold { after, .. } if after == offset => match read(zone, time)? {
            Reading::Twice { end, .. } => Some(end),
            _ => None,
        },
        _ => None,
    }
}

fn whole_seconds(time: DateTime) -> DateTime {
    time.with()
        .subsec_nanosecond(0)
        .build()
        .expect("whole seconds of a time that exists exist")
}
