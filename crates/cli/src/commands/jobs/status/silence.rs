//! Notices about jobs of which nothing is heard: no backup for too long, or a run that was killed.

use ironborg_jobs::history::History;
use ironborg_jobs::job::{Job, Jobs};
use ironborg_jobs::notify::{self, Kind, Notice, Telling};
use ironborg_jobs::run::{KILLED, Remembering, Voice, complain_of};
use ironborg_jobs::status::TargetStatus;
use ironborg_source::named_file;
use ironborg_types::Level;
use jiff::{Timestamp, Zoned};

use crate::commands::jobs::Place;
use crate::commands::jobs::run::clock::RealClock;
use crate::commands::jobs::run::user_switch;
use crate::commands::jobs::run::voice::ConsoleVoice;
use crate::commands::jobs::run::{LOCK_NAME, log_command, make_state, place_words};
use crate::context::Context;
use crate::error::CliError;

/// Under which name it is remembered when a job was first looked at.
const SEEN: &str = "silence/seen";

/// Tells what is to be told of a job.
pub(super) fn tell(
    context: &Context,
    place: &Place,
    jobs: &Jobs,
    job: &Job,
) -> Result<(), CliError> {
    if job.notify.by.is_empty() {
        return Ok(());
    }
    let state = place.state_of(context, &job.name);
    if let Some(user) = user_switch::other_user(job)? {
        let mut words = vec!["jobs".into(), "status".into(), "--notify".into()];
        words.extend(place_words(place, context));
        words.extend(["--".into(), (&job.name).into()]);
        let command = user_switch::command_as(&user, &state, words)?;
        let clock = RealClock::new()?;
        return user_switch::wait(command, &clock).map(drop);
    }
    let voice = ConsoleVoice { context };
    make_state(&state).map_err(|error| CliError::generic(error.to_string()))?;
    // Whoever runs it tells how it ended; only silence is told of meanwhile.
    let lock = named_file::try_lock(&state.join(LOCK_NAME));
    let lock = lock.map_err(|error| CliError::generic(error.to_string()))?;
    let opened = History::open(&state);
    if let Some(complaint) = opened.complaint {
        voice.say(Level::Warning, &complaint);
    }
    let mut history = opened.history;
    let now = Zoned::now();
    let failed = |error: ironborg_jobs::history::HistoryError| CliError::generic(error.to_string());
    let mut notices: Vec<Notice> = Vec::new();
    let host = crate::commands::jobs::notify::host(context);
    let notice = |kind, label: &str, at| {
        let repository = job.targets.iter().find(|target| target.label == label);
        Notice {
            repository: repository.map_or_else(String::new, |it| it.repository.clone()),
            log_command: log_command(context, job),
            ..Notice::new(kind, &job.name, label, &host, at)
        }
    };
    if lock.is_some() {
        for run in history.bury().map_err(failed)? {
            // Newest first: what is older is no news.
            if notices.iter().any(|notice| notice.target == run.target) {
                continue;
            }
            let last_success = history.last_success(&run.target).map_err(failed)?;
            notices.push(Notice {
                message: Some(KILLED.to_owned()),
                last_success: last_success.and_then(|run| run.ended),
                ..notice(Kind::Failure, &run.target, run.begun)
            });
        }
    }
    let seen = first_seen(&mut history, now.timestamp()).map_err(failed)?;
    for target in TargetStatus::of_all(job, Some(&history)).map_err(failed)? {
        let last = target.last_success.as_ref();
        let since = last.map_or(seen, |run| run.ended.unwrap_or(run.begun));
        let silent = now.timestamp().duration_since(since);
        let Some(max_age) = job.notify.max_age else {
            continue;
        };
        if silent > max_age.try_into().unwrap_or(jiff::SignedDuration::MAX) {
            notices.push(Notice {
                last_success: last.and_then(|run| run.ended),
                message: target.not_begun.and_then(|run| run.message),
                ..notice(Kind::Silence, &target.label, now.timestamp())
            });
        }
    }
    let telling = Telling {
        job,
        notifiers: &jobs.notifiers,
        sender: &crate::commands::jobs::notify::sender(context),
        now: now.timestamp(),
        zone: now.time_zone().clone(),
        timeout: notify::TIMEOUT,
    };
    let mut memory = Remembering {
        history: &mut history,
        voice: &voice,
    };
    let deliveries = notify::tell(&telling, &notices, &mut memory);
    complain_of(&deliveries, &voice);
    drop(lock);
    Ok(())
}

/// When a job that never had a backup was first looked at: it is silent since then.
fn first_seen(
    history: &mut History,
    now: Timestamp,
) -> Result<Timestamp, ironborg_jobs::history::HistoryError> {
    let known = history.recall(SEEN)?;
    let known = known.and_then(|text| text.parse::<Timestamp>().ok());
    if let Some(known) = known.filter(|known| *known <= now) {
        return Ok(known);
    }
    history.remember(SEEN, &now.to_string())?;
    Ok(now)
}
