//! Who is told of what, how often, in which words, by which way.
//!
//! ```text
//! notice     what happened, as the run or the silence check hands it over
//! rules      what of it each notifier is to hear, from what it has been told before
//! template   texts with placeholders, and what may stand in them
//! amounts    times and sizes in words
//! words      our own texts, for who wrote none
//! harmless   what comes from elsewhere made fit for a line, a header, a page
//! ways       each way of telling: mail, requests, programs, the desktop
//! ```
//!
//! What is owed is written down before it is sent and crossed out afterwards, so a notice survives a process that is
//! killed and a network that is down; at worst it is told twice. That a notifier fails is told in the log and nowhere else.

mod amounts;
pub mod harmless;
mod notice;
mod rules;
pub mod template;
pub mod ways;
mod words;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::job::{Job, Notifier};
pub use notice::{Kind, Message, Notice};
use rules::State;

/// A notifier that has not finished after so long is given up for now.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// A backup does not wait longer than this to say that it begins.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// The record in which [`tell`] keeps what was told when.
pub const MEMORY_KEY: &str = "notify";

/// Texts kept for a job from one run to the next.
pub trait Memory {
    /// What was remembered last under the key.
    fn recall(&self, key: &str) -> Option<String>;
    /// Remembers a text, durably.
    fn remember(&mut self, key: &str, value: &str);

    /// Replaces a text by what `change` makes of it; what is not changed is not written. Where several processes
    /// share the memory none may change it meanwhile.
    fn update(&mut self, key: &str, change: &mut dyn FnMut(Option<&str>) -> String) {
        let before = self.recall(key);
        let after = change(before.as_deref());
        if before.as_ref() != Some(&after) {
            self.remember(key, &after);
        }
    }
}

/// Sends a message one way or another.
pub trait Sender: Send + Sync {
    /// Sends it, waiting until somebody else is responsible for it.
    ///
    /// # Errors
    /// Why it did not get there. It does not contain secrets: it is logged.
    fn send(&self, parcel: &Parcel) -> Result<Sent, SendError>;
}

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The notifier's name.
    pub name: String,
    /// How it tells.
    pub notifier: Notifier,
    /// What it tells.
    pub message: Message,
    /// What [`Sent::receipt`] of the last message said.
    pub receipt: Option<String>,
}

/// That a message was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Handed over with the next message.
    pub receipt: Option<String>,
}

/// Why a message was not sent, or not to everybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    /// Why.
    pub reason: String,
    /// Handed over with the next attempt, such as who was told already.
    pub receipt: Option<String>,
}

impl SendError {
    /// Nobody was told.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            receipt: None,
        }
    }
}

/// What came of telling somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The notifier's name.
    pub notifier: String,
    /// The repository's label.
    pub target: String,
    /// What was to be told.
    pub kind: Kind,
    /// What came of it.
    pub outcome: Result<(), String>,
}

/// Whom a job tells, and by what means.
pub struct Telling<'a> {
    /// The job.
    pub job: &'a Job,
    /// All notifiers there are.
    pub notifiers: &'a BTreeMap<String, Notifier>,
    /// What sends.
    pub sender: &'a Arc<dyn Sender>,
    /// Now.
    pub now: Timestamp,
    /// Where times are shown for.
    pub zone: TimeZone,
    /// How long each may take.
    pub timeout: Duration,
}

/// Tells what is to be told of a run: one notice for each of the job's repositories. When it ends, also what could not
/// be told before.
pub fn tell(telling: &Telling<'_>, notices: &[Notice], memory: &mut dyn Memory) -> Vec<Delivery> {
    if telling.job.notify.by.is_empty() {
        return Vec::new();
    }
    let mut orders = Vec::new();
    // Written down before anything is sent: this process may not live to see it arrive.
    memory.update(MEMORY_KEY, &mut |before| {
        let mut state = State::parse(before);
        orders = rules::decide(telling, notices, &mut state);
        state.into_text()
    });
    if orders.is_empty() {
        return Vec::new();
    }
    let parcels: Vec<Parcel> = orders.iter().map(|order| order.parcel(telling)).collect();
    let begins = notices.iter().any(|notice| notice.kind == Kind::Started);
    let timeout = if begins {
        telling.timeout.min(START_TIMEOUT)
    } else {
        telling.timeout
    };
    let outcomes = send_all(telling.sender, &parcels, timeout);
    memory.update(MEMORY_KEY, &mut |before| {
        let mut state = State::parse(before);
        for (order, outcome) in orders.iter().zip(&outcomes) {
            state.settle(order, outcome, telling.now);
        }
        state.into_text()
    });
    let told = parcels.iter().zip(&outcomes);
    told.map(|(parcel, outcome)| delivery(parcel, outcome.as_ref().map(drop)))
        .collect()
}

/// Tells what could not be told before.
pub fn owed(telling: &Telling<'_>, memory: &mut dyn Memory) -> Vec<Delivery> {
    tell(telling, &[], memory)
}

/// Tells the notifiers, whatever was told before, and remembers nothing.
pub fn test(
    notifiers: &BTreeMap<String, Notifier>,
    sender: &Arc<dyn Sender>,
    notice: &Notice,
    zone: &TimeZone,
    timeout: Duration,
) -> Vec<Delivery> {
    let parcels = notifiers.iter().map(|(name, notifier)| Parcel {
        name: name.clone(),
        notifier: notifier.clone(),
        message: words::message(notice.clone(), notifier, None, zone),
        receipt: None,
    });
    let parcels: Vec<Parcel> = parcels.collect();
    let outcomes = send_all(sender, &parcels, timeout);
    let told = parcels.into_iter().zip(outcomes);
    told.map(|(parcel, outcome)| delivery(&parcel, outcome.as_ref().map(drop)))
        .collect()
}

fn delivery(parcel: &Parcel, outcome: Result<(), &SendError>) -> Delivery {
    Delivery {
        notifier: parcel.name.clone(),
        target: parcel.message.notice.target.clone(),
        kind: parcel.message.notice.kind,
        outcome: outcome.map_err(ToString::to_string),
    }
}

/// Sends all at the same time: one that hangs keeps nobody else from being told. Its thread is left to itself.
fn send_all(
    sender: &Arc<dyn Sender>,
    parcels: &[Parcel],
    timeout: Duration,
) -> Vec<Result<Sent, SendError>> {
    let (done, results) = mpsc::channel();
    for (place, parcel) in parcels.iter().enumerate() {
        let (sender, parcel, done) = (sender.clone(), parcel.clone(), done.clone());
        let name = format!("notify {place}");
        let started = std::thread::Builder::new().name(name).spawn(move || {
            // Nobody may be waiting any more.
            let _ = done.send((place, sender.send(&parcel)));
        });
        // What was not started does not answer, and is seen as too late below.
        drop(started);
    }
    drop(done);
    let mut outcomes: Vec<Option<Result<Sent, SendError>>> = vec![None; parcels.len()];
    let give_up = Instant::now() + timeout;
    while outcomes.iter().any(Option::is_none) {
        let left = give_up.saturating_duration_since(Instant::now());
        match results.recv_timeout(left) {
            Ok((place, outcome)) => outcomes[place] = Some(outcome),
            Err(_) => break,
        }
    }
    let late = || SendError::new(format!("no answer within {} s", timeout.as_secs()));
    let settled = outcomes.into_iter();
    settled
        .map(|outcome| outcome.unwrap_or_else(|| Err(late())))
        .collect()
}
