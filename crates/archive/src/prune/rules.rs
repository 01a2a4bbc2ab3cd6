//! Which archives retention rules keep, and which rule keeps each.
//!
//! Pure functions: the time and its zone come from the caller. Source: Borg 1.4, `prune_within`,
//! `prune_split`.

use std::collections::HashSet;
use std::fmt;

use ironborg_types::{ArchiveId, Timestamp, civil_from_days, days_from_civil};

use crate::selection::ListedArchive;

const SECONDS_PER_HOUR: i64 = 3600;
const SECONDS_PER_DAY: i64 = 86_400;

/// A length of time of which a rule keeps one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week of ISO 8601, Monday to Sunday.
    Week,
    /// A month.
    Month,
    /// 13 weeks of ISO 8601; the fourth such quarter has the 53rd week too.
    Quarter13Weeks,
    /// January to March, April to June and so on.
    Quarter3Months,
    /// A year.
    Year,
}

impl Period {
    /// All of them, in the order their rules are applied.
    pub const ALL: [Self; 9] = [
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter13Weeks,
        Self::Quarter3Months,
        Self::Year,
    ];

    /// The name of its rule in lists.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Second => "secondly",
            Self::Minute => "minutely",
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Quarter13Weeks => "quarterly_13weekly",
            Self::Quarter3Months => "quarterly_3monthly",
            Self::Year => "yearly",
        }
    }

    /// A number every point in time of the same period has, and no other.
    fn number(self, local_seconds: i64) -> i64 {
        let days = local_seconds.div_euclid(SECONDS_PER_DAY);
        let (year, month, _) = civil_from_days(days);
        match self {
            Self::Second => local_seconds,
            Self::Minute => local_seconds.div_euclid(60),
            Self::Hour => local_seconds.div_euclid(SECONDS_PER_HOUR),
            Self::Day => days,
            Self::Week => iso_week_start(days),
            Self::Month => year * 12 + month,
            Self::Quarter13Weeks => {
                // The year a week belongs to is that of its Thursday.
                let thursday = iso_week_start(days) + 3;
                let (year, _, _) = civil_from_days(thursday);
                let week = (thursday - days_from_civil(year, 1, 1)) / 7;
                year * 4 + (week / 13).min(3)
            }
            Self::Quarter3Months => year * 4 + (month - 1) / 3,
            Self::Year => year,
        }
    }
}

/// The day a week begins with, a Monday; 1970-01-01 was a Thursday.
fn iso_week_start(days: i64) -> i64 {
    days - (days + 3).rem_euclid(7)
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Everything of so many hours before now.
    pub within_hours: Option<i64>,
    /// One archive each of so many periods, in the order of [`Period::ALL`]. 0 keeps none; a negative
    /// number keeps one of every period.
    pub counts: [i64; Period::ALL.len()],
}

impl Retention {
    /// Whether there is any rule.
    pub fn has_rules(&self) -> bool {
        self.within_hours.is_some() || self.counts.iter().any(|count| *count != 0)
    }
}

/// Why an archive is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// The rule that keeps it.
    pub rule: &'static str,
    /// Kept as the oldest one, because the rule asked for more than there are.
    pub oldest: bool,
    /// The how manyth archive of that rule it is.
    pub number: usize,
}

/// `daily #1`, `yearly[oldest] #3`
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let oldest = if self.oldest { "[oldest]" } else { "" };
        write!(f, "{}{oldest} #{}", self.rule, self.number)
    }
}

/// Says of each archive why it is kept; `None` for those no rule keeps.
///
/// `archives` come newest first. `local_seconds` turns a time into seconds of the local clock since
/// 1970: that clock decides what is a day.
pub fn apply(
    archives: &[ListedArchive],
    retention: &Retention,
    now: Timestamp,
    local_seconds: &dyn Fn(Timestamp) -> i64,
) -> Vec<Option<Reason>> {
    let mut kept = Kept {
        archives,
        reasons: vec![None; archives.len()],
        ids: HashSet::new(),
    };
    if let Some(hours) = retention.within_hours {
        kept.within(hours, now);
    }
    for (period, count) in Period::ALL.into_iter().zip(retention.counts) {
        kept.one_of_each(period, count, local_seconds);
    }
    kept.reasons
}

struct Kept<'a> {
    archives: &'a [ListedArchive],
    reasons: Vec<Option<Reason>>,
    /// An archive listed under two names is kept once, as in stock Borg.
    ids: HashSet<ArchiveId>,
}

impl Kept<'_> {
    fn keep(&mut self, index: usize, rule: &'static str, oldest: bool, number: usize) {
        self.ids.insert(self.archives[index].id);
        self.reasons[index] = Some(Reason {
            rule,
            oldest,
            number,
        });
    }

    fn within(&mut self, hours: i64, now: Timestamp) {
        let span = hours.saturating_mul(SECONDS_PER_HOUR * 1_000_000);
        let since = now.0.saturating_sub(span);
        let mut number = 0;
        for index in 0..self.archives.len() {
            if self.archives[index].time.0 > since {
                number += 1;
                self.keep(index, "within", false, number);
            }
        }
    }

    fn one_of_each(
        &mut self,
        period: Period,
        count: i64,
        local_seconds: &dyn Fn(Timestamp) -> i64,
    ) {
        if count == 0 || self.archives.is_empty() {
            return;
        }
        let wanted = usize::try_from(count).ok();
        let mut number = 0;
        let mut last = None;
        for index in 0..self.archives.len() {
            let this = period.number(local_seconds(self.archives[index].time));
            // Only the newest of a period is looked at, even if another rule has kept it.
            if last.replace(this) == Some(this) || self.ids.contains(&self.archives[index].id) {
                continue;
            }
            number += 1;
            self.keep(index, period.rule(), false, number);
            if wanted == Some(number) {
                return;
            }
        }
        let oldest = self.archives.len() - 1;
        if wanted.is_some() && !self.ids.contains(&self.archives[oldest].id) {
            self.keep(oldest, period.rule(), true, number + 1);
        }
    }
}

#[cfg(test)]
mod tests;
