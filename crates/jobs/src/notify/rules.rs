//! What each notifier is to hear, from what happened and from what it has been told before.
//!
//! A period of failure begins with the first failed run and ends with the next backup. In it a notifier hears of the first
//! failure, and again when [`Notifier::at_most_every`] has passed; of the end it hears if it heard of the beginning, or
//! should have. Services in the manner of Healthchecks keep such records themselves and hear of every run.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::notice::{Kind, Notice};
use super::{Parcel, SendError, Sent, Telling, words};
use crate::job::{Notifier, Notify, Secret, Way};

/// News this good is not told any more when it is so old.
const GOOD_NEWS_AGE_MAX: Duration = Duration::from_hours(168);
/// A daily job does not fail at the same second every day; a limit of a day must not make that every other day.
const SLACK_MAX: Duration = Duration::from_hours(1);

/// What is remembered for a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// By the repository's label; that of the whole job has none.
    #[serde(default)]
    targets: BTreeMap<String, TargetState>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct TargetState {
    /// The failures since the last backup.
    #[serde(default)]
    failing: Option<Failing>,
    /// By the notifier's name.
    #[serde(default)]
    told: BTreeMap<String, Told>,
}

/// A period of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failing {
    /// The first one.
    pub(super) since: Timestamp,
    /// How many.
    pub(super) count: u64,
}

/// What a notifier was told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    /// When it last was told of a failure, in this period.
    #[serde(default)]
    failure: Option<Timestamp>,
    /// When it last was told of silence, in this one.
    #[serde(default)]
    silence: Option<Timestamp>,
    /// What it is still to be told.
    #[serde(default)]
    owed: Option<Owed>,
    /// What the sender wants to know the next time.
    #[serde(default)]
    receipt: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Owed {
    notice: Notice,
    failing: Option<Failing>,
}

/// Something to be told to a notifier.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    /// The notifier's name.
    notifier: String,
    /// The label under which the record is.
    target: String,
    owed: Owed,
    receipt: Option<String>,
}

impl Order {
    /// It in words.
    ///
    /// # Panics
    /// The notifier is not there: orders are made for those that are.
    pub(super) fn parcel(&self, telling: &Telling<'_>) -> Parcel {
        let notifier = &telling.notifiers[&self.notifier];
        let notice = self.owed.notice.clone();
        let mut message = words::message(notice, notifier, self.owed.failing, &telling.zone);
        message.user.clone_from(&telling.job.user);
        Parcel {
            name: self.notifier.clone(),
            notifier: notifier.clone(),
            message,
            receipt: self.receipt.clone(),
        }
    }
}

impl State {
    /// What was remembered; nothing if there is nothing or it cannot be read.
    pub(super) fn parse(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// To be remembered.
    pub(super) fn into_text(mut self) -> String {
        for target in self.targets.values_mut() {
            target.told.retain(|_, told| *told != Told::default());
        }
        self.targets
            .retain(|_, target| *target != TargetState::default());
        serde_json::to_string(&self).expect("texts as keys, and no values that JSON does not have")
    }

    /// Notes what came of an order. Another process may have changed the rest meanwhile.
    pub(super) fn settle(
        &mut self,
        order: &Order,
        outcome: &Result<Sent, SendError>,
        now: Timestamp,
    ) {
        let target = self.targets.entry(order.target.clone()).or_default();
        let told = target.told.entry(order.notifier.clone()).or_default();
        let receipt = match outcome {
            Ok(sent) => &sent.receipt,
            Err(error) => &error.receipt,
        };
        if receipt.is_some() {
            told.receipt.clone_from(receipt);
        }
        if outcome.is_err() {
            return;
        }
        if told.owed.as_ref() == Some(&order.owed) {
            told.owed = None;
        }
        match order.owed.notice.kind {
            Kind::Failure => told.failure = Some(now),
            Kind::Silence => told.silence = Some(now),
            _ => {}
        }
    }

    /// Forgets notifiers and repositories that are no more.
    fn forget_others(&mut self, telling: &Telling<'_>) {
        let labels = &telling.job.targets;
        self.targets.retain(|label, _| {
            label.is_empty() || labels.iter().any(|target| target.label == *label)
        });
        for target in self.targets.values_mut() {
            target.told.retain(|name, _| {
                telling.notifiers.contains_key(name) && telling.job.notify.by.contains(name)
            });
        }
    }
}

/// Decides who hears what, and notes in `state` what is owed.
pub(super) fn decide(telling: &Telling<'_>, notices: &[Notice], state: &mut State) -> Vec<Order> {
    state.forget_others(telling);
    let notices: Vec<Notice> = notices
        .iter()
        .map(|notice| judged(telling, notice))
        .collect();
    let mut orders = Vec::new();
    for notice in &notices {
        let target = state.targets.entry(notice.target.clone()).or_default();
        let failing = target.note(notice);
        for (name, notifier) in listening(telling) {
            if !matches!(notifier.way, Way::Healthchecks { .. }) {
                let told = target.told.entry(name.to_owned()).or_default();
                let news = told.hears(&telling.job.notify, notifier, notice, telling.now);
                orders.extend(told.order(name, &notice.target, news, failing));
            }
        }
    }
    for (name, notifier) in listening(telling) {
        if let Way::Healthchecks { url } = &notifier.way {
            for (label, notice) in pings(url, &notices) {
                let target = state.targets.entry(label.to_owned()).or_default();
                let told = target.told.entry(name.to_owned()).or_default();
                // Whatever it has not heard yet is out of date now.
                told.owed = None;
                let news = Some((notice.clone(), notice.kind == Kind::Failure));
                orders.extend(told.order(name, label, news, None));
            }
        }
    }
    // A backup that is about to begin has not got the time.
    if notices.iter().any(|notice| notice.kind == Kind::Started) {
        return orders;
    }
    with_arrears(state, orders, telling.now)
}

/// The notice as the job wants it seen, with nothing in it that nobody should see.
fn judged(telling: &Telling<'_>, notice: &Notice) -> Notice {
    let mut notice = notice.clone();
    if notice.kind == Kind::Warning && telling.job.fail_on_warnings {
        notice.kind = Kind::Failure;
    }
    words::without_secrets(&mut notice, telling.job);
    notice
}

fn listening<'a>(telling: &'a Telling<'_>) -> impl Iterator<Item = (&'a str, &'a Notifier)> {
    let names = telling.job.notify.by.iter();
    names.filter_map(|name| Some((name.as_str(), telling.notifiers.get(name)?)))
}

/// What a service that keeps records of its own hears: each repository's outcome if it has an address for each, otherwise
/// the worst.
fn pings<'a>(url: &Secret, notices: &'a [Notice]) -> Vec<(&'a str, &'a Notice)> {
    let heard = notices.iter().filter(|notice| notice.kind != Kind::Silence);
    let each = ["{target}", "{repository}"];
    if matches!(url, Secret::Text(url) if each.iter().any(|each| url.contains(each))) {
        return heard
            .map(|notice| (notice.target.as_str(), notice))
            .collect();
    }
    heard
        .max_by_key(|notice| notice.kind)
        .map(|notice| ("", notice))
        .into_iter()
        .collect()
}

/// Adds what is owed from before. It comes first.
fn with_arrears(state: &mut State, orders: Vec<Order>, now: Timestamp) -> Vec<Order> {
    let mut all = Vec::new();
    for (label, target) in &mut state.targets {
        for (name, told) in &mut target.told {
            let Some(owed) = &told.owed else { continue };
            let is_old = passed(owed.notice.at, now, GOOD_NEWS_AGE_MAX) && owed.notice.at <= now;
            if !owed.notice.kind.is_bad() && is_old {
                told.owed = None;
                continue;
            }
            all.push(Order {
                notifier: name.clone(),
                target: label.clone(),
                owed: owed.clone(),
                receipt: told.receipt.clone(),
            });
        }
    }
    for order in orders {
        if !all.contains(&order) {
            all.push(order);
        }
    }
    all
}

impl TargetState {
    /// Counts failures. Also tells how many it were when they are over.
    fn note(&mut self, notice: &Notice) -> Option<Failing> {
        match notice.kind {
            Kind::Failure => {
                let before = self.failing.unwrap_or(Failing {
                    since: notice.at,
                    count: 0,
                });
                self.failing = Some(Failing {
                    count: before.count.saturating_add(1),
                    ..before
                });
                self.failing
            }
            Kind::Success | Kind::Warning | Kind::Recovery => self.failing.take(),
            Kind::Silence | Kind::Started | Kind::Test => self.failing,
        }
    }
}

impl Told {
    /// What a notifier hears of a notice, and whether that must not get lost.
    fn hears(
        &mut self,
        rules: &Notify,
        notifier: &Notifier,
        notice: &Notice,
        now: Timestamp,
    ) -> Option<(Notice, bool)> {
        let every = notifier.at_most_every;
        let owes = |kind| {
            self.owed
                .as_ref()
                .is_some_and(|owed| owed.notice.kind == kind)
        };
        match notice.kind {
            Kind::Failure => {
                let again = self.failure.is_none_or(|last| passed(last, now, every));
                let heard = rules.failure && (again || owes(Kind::Failure));
                heard.then(|| (notice.clone(), true))
            }
            Kind::Silence => {
                let max_age = rules.max_age?;
                let every = if every.is_zero() { max_age } else { every };
                // Failures that are told of all the time say it as well.
                let last = self.silence.max(self.failure);
                let first = self.silence.is_none();
                let heard = first || last.is_none_or(|last| passed(last, now, every));
                // A failure that is still to be told says more.
                (heard && !owes(Kind::Failure)).then(|| (notice.clone(), true))
            }
            Kind::Success | Kind::Warning | Kind::Recovery => self.hears_of_backup(rules, notice),
            Kind::Started | Kind::Test => None,
        }
    }

    /// A backup: the end of what was told before, or of what should have been.
    fn hears_of_backup(&mut self, rules: &Notify, notice: &Notice) -> Option<(Notice, bool)> {
        let owes = self
            .owed
            .as_ref()
            .is_some_and(|owed| owed.notice.kind.is_bad());
        let in_trouble = owes || self.failure.is_some() || self.silence.is_some();
        self.failure = None;
        self.silence = None;
        if in_trouble && rules.recovery {
            let recovery = Notice {
                kind: Kind::Recovery,
                ..notice.clone()
            };
            return Some((recovery, true));
        }
        rules.success.then(|| (notice.clone(), false))
    }

    fn order(
        &mut self,
        name: &str,
        target: &str,
        news: Option<(Notice, bool)>,
        failing: Option<Failing>,
    ) -> Option<Order> {
        let (notice, must_arrive) = news?;
        let owed = Owed { notice, failing };
        if must_arrive {
            self.owed = Some(owed.clone());
        }
        Some(Order {
            notifier: name.to_owned(),
            target: target.to_owned(),
            owed,
            receipt: self.receipt.clone(),
        })
    }
}

/// Whether so much time has passed. If the clock was set back nobody knows, and it has.
fn passed(since: Timestamp, now: Timestamp, every: Duration) -> bool {
    let slack = (every / 10).min(SLACK_MAX);
    let every =
        SignedDuration::try_from(every.saturating_sub(slack)).unwrap_or(SignedDuration::MAX);
    let elapsed = now.duration_since(since);
    elapsed.is_negative() || elapsed >= every
}
