//! When jobs run next by themselves.

use std::collections::BTreeMap;

use ironborg_jobs::job::Jobs;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Place;
use super::due::{Seeing, planned};
use crate::context::Context;

/// The times of all jobs that have one.
pub(super) fn next_starts(
    context: &Context,
    place: &Place,
    jobs: &Jobs,
    now: Timestamp,
) -> BTreeMap<String, Timestamp> {
    let planned = planned(context, place, jobs, now, Seeing::Forgotten);
    let starts = planned.into_iter().filter_map(|planned| {
        let next = planned
            .timing
            .next_start(&planned.record, now, &TimeZone::system())?;
        Some((planned.name, next))
    });
    starts.collect()
}
