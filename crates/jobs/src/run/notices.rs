//! Who is told of a run.

use ironborg_types::Level;

use super::{Done, Running};
use crate::history::{History, Outcome, Run};
use crate::job::Target;
use crate::notify::{self, Delivery, Kind, Memory, Notice, Telling};
use crate::run::Voice;

/// What was told when, kept in the history.
pub struct Remembering<'a> {
    /// The history.
    pub history: &'a mut History,
    /// Complains of what cannot be remembered.
    pub voice: &'a dyn Voice,
}

impl Memory for Remembering<'_> {
    fn recall(&self, key: &str) -> Option<String> {
        let known = self.history.recall(key);
        known.unwrap_or_else(|error| {
            self.voice.say(Level::Warning, &error.to_string());
            None
        })
    }

    fn remember(&mut self, key: &str, value: &str) {
        if let Err(error) = self.history.remember(key, value) {
            self.voice.say(Level::Warning, &error.to_string());
        }
    }

    fn update(&mut self, key: &str, change: &mut dyn FnMut(Option<&str>) -> String) {
        let mut is_decided = false;
        let updated = self.history.update(key, &mut |before| {
            is_decided = true;
            change(before)
        });
        if let Err(error) = updated {
            self.voice.say(Level::Warning, &error.to_string());
            if !is_decided {
                // Nothing is known: who is to be told is told rather than not.
                change(None);
            }
        }
    }
}

/// Complains of what could not be told.
pub fn complain_of(deliveries: &[Delivery], voice: &dyn Voice) {
    for delivery in deliveries {
        if let Err(reason) = &delivery.outcome {
            let name = &delivery.notifier;
            voice.say(Level::Warning, &format!("notifier {name}: {reason}"));
        }
    }
}

/// What a run that was found dead is told as.
pub const KILLED: &str = "the run ended without a word: it was killed, or the power went";

impl Running<'_> {
    /// Records of the last run, if it did not live to do so itself, how it ended, and tells.
    pub(super) fn bury_the_dead(&mut self) {
        let dead = match self.history.bury() {
            Ok(dead) => dead,
            Err(error) => return self.complain(&error),
        };
        let mut notices: Vec<Notice> = Vec::new();
        for run in &dead {
            // Newest first: what is older is no news.
            if notices.iter().any(|notice| notice.target == run.target) {
                continue;
            }
            let (job, target) = (&self.job.name, &run.target);
            let line = format!("{job}: {target}: {KILLED}");
            self.world.voice.say(Level::Warning, &line);
            notices.push(self.notice_of_dead(run));
        }
        if !notices.is_empty() {
            self.tell(&notices);
        }
    }

    fn notice_of_dead(&self, run: &Run) -> Notice {
        let job = &self.job.name;
        let repository = self.job.targets.iter().find(|t| t.label == run.target);
        Notice {
            repository: repository.map_or_else(String::new, |target| target.repository.clone()),
            message: Some(KILLED.to_owned()),
            last_success: self.last_success(&run.target),
            log_command: self.world.log_command.clone(),
            ..Notice::new(Kind::Failure, job, &run.target, &self.world.host, run.begun)
        }
    }

    /// Tells those who want to know that it begins.
    pub(super) fn tell_of_beginning(&mut self, targets: &[&Target]) {
        let notice = |target: &&Target| Notice {
            repository: target.repository.clone(),
            run: Some(self.world.id.clone()),
            log_command: self.world.log_command.clone(),
            ..Notice::new(
                Kind::Started,
                &self.job.name,
                &target.label,
                &self.world.host,
                self.begun,
            )
        };
        let notices: Vec<Notice> = targets.iter().map(notice).collect();
        self.tell(&notices);
    }

    /// Tells how it ended. Somebody who has ended it knows, and a machine that is shut down tells nobody.
    pub(super) fn tell_of_end(&mut self, first: usize) {
        let mut notices = Vec::new();
        for turn in &self.turns[first..] {
            let kind = match turn.done.end.outcome {
                Outcome::Success => Kind::Success,
                Outcome::Warning => Kind::Warning,
                Outcome::Failure => Kind::Failure,
                Outcome::Interrupted | Outcome::Killed | Outcome::Unmet | Outcome::Absent => {
                    continue;
                }
            };
            notices.push(self.notice_of_end(kind, turn.target, &turn.done));
        }
        if !notices.is_empty() {
            self.tell(&notices);
        }
    }

    fn notice_of_end(&self, kind: Kind, target: &Target, done: &Done) -> Notice {
        let end = &done.end;
        Notice {
            repository: target.repository.clone(),
            run: Some(self.world.id.clone()),
            code: Some(end.code),
            message: end.message.clone(),
            log_tail: end.log.clone(),
            duration: Some(end.at.duration_since(done.begun).as_secs_f64().max(0.0)),
            figures: end.figures.clone(),
            last_success: self.last_success(&target.label),
            log_command: self.world.log_command.clone(),
            ..Notice::new(
                kind,
                &self.job.name,
                &target.label,
                &self.world.host,
                end.at,
            )
        }
    }

    fn last_success(&self, target: &str) -> Option<jiff::Timestamp> {
        match self.history.last_success(target) {
            Ok(run) => run.and_then(|run| run.ended),
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    fn tell(&mut self, notices: &[Notice]) {
        let now = self.world.clock.now();
        let telling = Telling {
            job: self.job,
            notifiers: self.world.notifiers,
            sender: self.world.sender,
            now: now.timestamp(),
            zone: now.time_zone().clone(),
            timeout: notify::TIMEOUT,
        };
        let mut memory = Remembering {
            history: self.history,
            voice: self.world.voice,
        };
        let deliveries = notify::tell(&telling, notices, &mut memory);
        complain_of(&deliveries, self.world.voice);
    }
}
