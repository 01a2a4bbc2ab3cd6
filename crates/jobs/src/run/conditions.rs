//! What has to be the case before a run, and waiting for it.

use std::time::Duration;

use ironborg_types::Level;

use super::world::{Clock, Machine, Reach, Voice};
use crate::job::{Conditions, Job, Target};

/// The first wait between two looks.
const LOOK_FIRST: Duration = Duration::from_secs(1);
/// The longest one: somebody who comes home is not kept waiting.
const LOOK_LONGEST: Duration = Duration::from_secs(15);

/// How waiting has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waited {
    /// All is as it should be.
    Met,
    /// It was not, until time was up: why.
    Unmet(String),
    /// A signal came: its exit code.
    Ended(u8),
}

/// What of the machine is not as it should be.
fn missing(conditions: &Conditions, machine: &dyn Machine) -> Option<String> {
    if let Some(path) = conditions.paths.iter().find(|path| !machine.exists(path)) {
        return Some(format!("{} is not there", path.display()));
    }
    if conditions.ac_power && !machine.ac_power() {
        return Some("the machine is not on mains power".to_owned());
    }
    if conditions.online && !machine.online() {
        return Some("there is no network".to_owned());
    }
    if !conditions.metered && machine.metered() {
        return Some("the network is metered".to_owned());
    }
    None
}

/// Waits until a job may run and one of its repositories, at least, can be reached.
pub(super) fn wait_for_any(
    job: &Job,
    targets: &[&Target],
    until: Duration,
    clock: &dyn Clock,
    machine: &dyn Machine,
    voice: &dyn Voice,
) -> Waited {
    let conditions = &job.conditions;
    let look = || {
        if let Some(reason) = missing(conditions, machine) {
            return Some(reason);
        }
        if !conditions.reachable {
            return None;
        }
        let mut first = None;
        for target in targets {
            match machine.reach(target) {
                Reach::Yes => return None,
                Reach::No(reason) => first = first.or(Some(reason)),
            }
        }
        first
    };
    wait(look, until, clock, voice)
}

/// Looks until nothing is missing; the last time when it is [`Clock::awake`] for `until`. A machine that slept meanwhile
/// gets the rest of its time.
fn wait(
    look: impl Fn() -> Option<String>,
    until: Duration,
    clock: &dyn Clock,
    voice: &dyn Voice,
) -> Waited {
    let mut pause = LOOK_FIRST;
    let mut said = None;
    loop {
        if let Some(code) = clock.ending() {
            return Waited::Ended(code);
        }
        let Some(reason) = look() else {
            return Waited::Met;
        };
        let left = until.saturating_sub(clock.awake());
        if left.is_zero() {
            return Waited::Unmet(reason);
        }
        if said.as_ref() != Some(&reason) {
            let seconds = left.as_secs_f64().ceil();
            voice.say(
                Level::Info,
                &format!("waiting for up to {seconds} s: {reason}"),
            );
            said = Some(reason);
        }
        clock.sleep(pause.min(left));
        pause = (pause * 2).min(LOOK_LONGEST);
    }
}
