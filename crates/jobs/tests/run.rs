//! Runs on a machine that is made up: no program is started and nobody waits.
#![allow(clippy::unwrap_used)]

mod made_up;

use std::path::PathBuf;
use std::time::Duration;

use ironborg_jobs::history::{History, Outcome};
use ironborg_jobs::job::{Checks, Drill};
use ironborg_jobs::notify::Kind;
use ironborg_jobs::run::{End, Finished, Reach, wait_before};
use ironborg_testkit::{Tried, tally};
use ironborg_types::error_kind::ERROR_ROWS;
use made_up::{Attempt, Scene, job, step_failed};

const SECOND: Duration = Duration::from_secs(1);

fn outcomes(finished: &Finished) -> Vec<Outcome> {
    let ends = finished.targets.iter();
    ends.map(|done| done.end.outcome).collect()
}

#[test]
fn a_run_that_goes_well_is_recorded_and_told() {
    let mut scene = Scene::new(job(&["nas"]));
    let finished = scene.run();
    assert_eq!(finished.code, 0);
    assert_eq!(outcomes(&finished), [Outcome::Success]);
    let end = &finished.targets[0].end;
    assert_eq!(end.attempts, 1);
    assert_eq!(end.figures.files, Some(3));
    assert_eq!(end.log, "working\n");
    let names: Vec<&str> = end.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["create", "prune", "compact"]);
    assert_eq!(scene.told(), [Kind::Started, Kind::Success]);
    let recorded = scene.history.last_success("nas").unwrap().unwrap();
    assert_eq!(recorded.outcome, Some(Outcome::Success));
    assert_eq!(recorded.figures, end.figures);
    assert_eq!(scene.history.steps(recorded.id).unwrap().len(), 3);
}

/// Every error there is, at every step, with one attempt to three: tried again is only what passes by itself, and never what
/// was done already.
#[test]
fn every_failure_is_tried_as_often_as_is_of_use() {
    let mut count = 0;
    for row in ERROR_ROWS.iter().filter(|row| !row.warning) {
        let passes = row.class.starts_with("Connection")
            || row.class.starts_with("Lock")
            || matches!(row.class, "NotLocked" | "NotMyLock");
        for failing in ["create", "prune", "compact"] {
            for attempts in 1..=3 {
                let mut job = job(&["nas"]);
                job.retry.attempts = attempts;
                let mut scene = Scene::new(job);
                let failure = Attempt::fails_at(failing, 2, Some(row.class));
                scene.worker.attempts = vec![failure.clone(), failure];
                let finished = scene.run();
                let case = format!("{} at {failing}, {attempts} attempts", row.class);
                let end = &finished.targets[0].end;
                let expected = if passes { attempts } else { 1 };
                assert_eq!(end.attempts, expected, "{case}");
                let is_success = passes && attempts == 3;
                let outcome = if is_success {
                    Outcome::Success
                } else {
                    Outcome::Failure
                };
                assert_eq!(end.outcome, outcome, "{case}");
                assert_eq!(finished.code, if is_success { 0 } else { 2 }, "{case}");
                let creates = end.steps.iter();
                let done = creates.filter(|step| step.name == "create" && step.code == 0);
                let expected = usize::from(is_success || failing != "create");
                assert_eq!(done.count(), expected, "{case}");
                if !is_success {
                    assert_eq!(end.msgid.as_deref(), Some(row.class), "{case}");
                    assert_eq!(scene.told(), [Kind::Started, Kind::Failure], "{case}");
                }
                count += 1;
            }
        }
    }
    assert!(count > 400, "{count}");
    tally(Tried::CrashPoints, count);
}

#[test]
fn a_worker_that_is_killed_anywhere_is_a_failed_attempt() {
    for (step, names) in [
        ("create", vec!["create", "prune", "compact"]),
        ("prune", vec!["create", "prune", "compact"]),
        ("compact", vec!["create", "prune", "compact"]),
    ] {
        let mut scene = Scene::new(job(&["nas"]));
        scene.worker.attempts = vec![Attempt::killed_at(step)];
        let finished = scene.run();
        let end = &finished.targets[0].end;
        assert_eq!((end.outcome, end.attempts), (Outcome::Success, 2), "{step}");
        let done: Vec<&str> = end.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(done, names, "killed at {step}");
    }
    // Again and again, it is a failure.
    let mut scene = Scene::new(job(&["nas"]));
    scene.worker.attempts = vec![Attempt::killed_at("create"); 3];
    let finished = scene.run();
    assert_eq!(finished.code, 2);
    let message = finished.targets[0].end.message.as_deref();
    assert_eq!(
        message,
        Some("the process that works was killed by signal 9")
    );
}

/// An archive that was not finished is made with the time of its second beginning; one that was keeps its name.
#[test]
fn an_archive_is_called_by_when_it_was_begun() {
    for (step, same) in [("create", false), ("prune", true)] {
        let mut scene = Scene::new(job(&["nas"]));
        let failure = Attempt::fails_at(step, 2, Some("ConnectionClosed"));
        scene.worker.attempts = vec![failure];
        scene.run();
        let archives = &scene.worker.archives;
        assert_eq!(archives.len(), 2);
        assert_eq!(archives[0] == archives[1], same, "{archives:?}");
    }
}

#[test]
fn waits_between_attempts_grow_and_are_bounded() {
    for random in [0.0, 0.3, 0.5, 1.0] {
        let mut job = job(&["nas"]);
        job.retry.attempts = 6;
        job.retry.first = 10 * SECOND;
        job.retry.longest = 60 * SECOND;
        let retry = job.retry.clone();
        let mut scene = Scene::new(job);
        scene.clock.random.set(random);
        scene.worker.attempts = vec![Attempt::fails_at("create", 2, Some("LockTimeout")); 6];
        scene.run();
        let waited: Duration = (2..=6).map(|next| wait_before(&retry, next, random)).sum();
        let plain = Duration::from_secs(10 + 20 + 40 + 60 + 60);
        assert_eq!(scene.clock.awake.get(), waited, "{random}");
        assert!(
            waited >= plain * 3 / 4 && waited <= plain * 5 / 4,
            "{waited:?}"
        );
    }
}

#[test]
fn warnings_count_only_if_they_are_to() {
    for (fail_on_warnings, outcome, kind) in [
        (false, Outcome::Warning, Kind::Warning),
        (true, Outcome::Failure, Kind::Failure),
    ] {
        let mut job = job(&["nas"]);
        job.fail_on_warnings = fail_on_warnings;
        let mut scene = Scene::new(job);
        scene.worker.attempts = vec![Attempt::fails_at("create", 1, None)];
        let finished = scene.run();
        assert_eq!(finished.code, 1);
        assert_eq!(outcomes(&finished), [outcome]);
        assert_eq!(scene.told(), [Kind::Started, kind]);
    }
}

#[test]
fn one_repository_that_fails_keeps_no_other_from_its_turn() {
    let mut scene = Scene::new(job(&["a", "b", "c"]));
    let damage = Attempt::fails_at("create", 2, Some("IntegrityError"));
    scene.worker.attempts = vec![Attempt::good(), damage, Attempt::good()];
    let finished = scene.run();
    assert_eq!(finished.code, 2);
    let expected = [Outcome::Success, Outcome::Failure, Outcome::Success];
    assert_eq!(outcomes(&finished), expected);
    assert_eq!(scene.worker.targets, ["a", "b", "c"]);
    let mut told = scene.told();
    told.sort();
    let started = [Kind::Started; 3];
    assert_eq!(told[..3], started);
    assert_eq!(told[3..], [Kind::Success, Kind::Success, Kind::Failure]);
}

/// Each condition, never met, and met after some looks.
#[test]
fn conditions_are_waited_for_and_given_up() {
    let conditions: [(&str, made_up::Setting, &str); 5] = [
        (
            "online",
            |machine, met| machine.online.set(met),
            "there is no network",
        ),
        (
            "metered",
            |machine, met| machine.metered.set(!met),
            "the network is metered",
        ),
        (
            "ac_power",
            |machine, met| machine.ac_power.set(met),
            "the machine is not on mains power",
        ),
        (
            "paths",
            |machine, met| machine.paths.set(met),
            "/media/disk is not there",
        ),
        (
            "reachable",
            |machine, met| machine.reachable.set(met),
            "nas does not answer",
        ),
    ];
    for (name, set, reason) in conditions {
        for wait in [0, 1, 60, 3600] {
            let mut job = job(&["nas"]);
            job.conditions.online = true;
            job.conditions.metered = false;
            job.conditions.ac_power = true;
            job.conditions.reachable = true;
            job.conditions.paths = vec![PathBuf::from("/media/disk")];
            job.conditions.wait = Duration::from_secs(wait);
            let mut scene = Scene::new(job.clone());
            set(&scene.machine, false);
            let finished = scene.run();
            // No sooner and no later: and nothing was done.
            let waited = scene.clock.awake.get();
            assert_eq!(waited, Duration::from_secs(wait), "{name}");
            assert_eq!(outcomes(&finished), [Outcome::Unmet], "{name}");
            assert!(finished.was_kept_from_beginning());
            let message = finished.targets[0].end.message.as_deref();
            assert_eq!(message, Some(reason), "{name}");
            assert_eq!(scene.worker.targets.len(), 0);
            assert_eq!(scene.told(), []);

            let mut scene = Scene::new(job);
            set(&scene.machine, false);
            scene.machine.met_after.set(Some((4, set)));
            let finished = scene.run();
            let met = [Outcome::Success];
            // The fourth look is after 1, 2 and 4 seconds.
            let expected = if wait > 6 { &met } else { &[Outcome::Unmet] };
            assert_eq!(outcomes(&finished), expected, "{name}, {wait} s");
        }
    }
}

#[test]
fn conditions_nobody_asked_for_are_not_looked_at() {
    let scene = &mut Scene::new(job(&["nas"]));
    scene.machine.online.set(false);
    scene.machine.metered.set(true);
    scene.machine.ac_power.set(false);
    scene.machine.reachable.set(false);
    assert_eq!(scene.run().code, 0);
    assert_eq!(scene.machine.looks.get(), 0);
}

/// A repository that cannot be reached does not keep the others waiting longer than the first look.
#[test]
fn a_repository_that_is_reachable_is_enough_to_begin() {
    let mut job = job(&["away", "near"]);
    job.conditions.reachable = true;
    job.conditions.wait = 30 * SECOND;
    let mut scene = Scene::new(job);
    *scene.machine.reach.borrow_mut() = vec![("away".to_owned(), Reach::No("away".to_owned()))];
    let finished = scene.run();
    assert_eq!(outcomes(&finished), [Outcome::Unmet, Outcome::Success]);
    assert_eq!(scene.worker.targets, ["near"]);
    assert_eq!(finished.code, 0);
    assert!(finished.was_kept_from_beginning());
}

#[test]
fn a_device_that_is_not_there_is_nobodys_business() {
    let mut job = job(&["disk", "nas"]);
    job.removable_device = true;
    let mut scene = Scene::new(job.clone());
    *scene.machine.absent.borrow_mut() = vec!["disk".to_owned()];
    let finished = scene.run();
    assert_eq!(outcomes(&finished), [Outcome::Absent, Outcome::Success]);
    assert_eq!(scene.told(), [Kind::Started, Kind::Success]);
    *scene.machine.absent.borrow_mut() = vec!["disk".to_owned(), "nas".to_owned()];
    let finished = scene.run();
    assert_eq!(outcomes(&finished), [Outcome::Absent, Outcome::Absent]);
    assert_eq!(finished.code, 0);
    let mut scene = Scene::new(made_up::without_removable(job));
    *scene.machine.absent.borrow_mut() = vec!["disk".to_owned()];
    assert_eq!(outcomes(&scene.run()), [Outcome::Success; 2]);
}

/// A signal at every moment there is something to wait for.
#[test]
fn a_signal_ends_it_wherever_it_is() {
    // While conditions are waited for.
    let mut waiting = job(&["a", "b"]);
    waiting.conditions.online = true;
    waiting.conditions.wait = 600 * SECOND;
    let mut scene = Scene::new(waiting);
    scene.machine.online.set(false);
    scene.clock.ends_at.set(Some(7 * SECOND));
    let finished = scene.run();
    assert_eq!(outcomes(&finished), [Outcome::Interrupted; 2]);
    assert_eq!(finished.code, 143);
    assert_eq!(scene.clock.awake.get(), 7 * SECOND);
    assert_eq!(scene.told(), []);
    assert_eq!(scene.history.runs(None, 9).unwrap(), []);

    // Between two attempts.
    let mut scene = Scene::new(job(&["a", "b"]));
    scene.worker.attempts = vec![Attempt::fails_at("create", 2, Some("LockTimeout"))];
    scene.clock.ends_at.set(Some(3 * SECOND));
    let finished = scene.run();
    assert_eq!(outcomes(&finished), [Outcome::Interrupted; 2]);
    assert_eq!(finished.code, 143);
    assert_eq!(scene.worker.targets, ["a"]);
    assert_eq!(scene.told(), [Kind::Started, Kind::Started]);

    // During the work.
    let mut scene = Scene::new(job(&["a", "b"]));
    scene.job.hooks.post = Some("post".to_owned());
    scene.job.hooks.on_failure = Some("failure".to_owned());
    let mut attempt = Attempt::fails_at("create", 143, Some("Signal.SIGTERM"));
    attempt.ends = true;
    scene.worker.attempts = vec![attempt];
    let finished = scene.run();
    assert_eq!(outcomes(&finished), [Outcome::Interrupted; 2]);
    let hooks: Vec<&str> = scene.worker.hooks.iter().map(|hook| &*hook.0).collect();
    assert_eq!(hooks, ["post"]);
    let runs = scene.history.runs(None, 9).unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].code, Some(143));
}

#[test]
fn hooks_surround_the_work() {
    let mut scene = Scene::new(job(&["a", "b"]));
    scene.job.hooks.pre = Some("pre".to_owned());
    scene.job.hooks.post = Some("post".to_owned());
    scene.job.hooks.on_failure = Some("failure".to_owned());
    assert_eq!(scene.run().code, 0);
    let hooks = std::mem::take(&mut scene.worker.hooks);
    let status = |code: &str| ("exitStatus".to_owned(), code.to_owned());
    assert_eq!(hooks.len(), 2);
    assert_eq!(hooks[0], ("pre".to_owned(), Vec::new()));
    assert_eq!(hooks[1], ("post".to_owned(), vec![status("0")]));

    // What the first does not want is not done.
    scene.worker.targets.clear();
    scene.worker.hook_ends = vec![("pre", End::Code(7))];
    let finished = scene.run();
    assert_eq!(finished.code, 7);
    assert_eq!(outcomes(&finished), [Outcome::Failure; 2]);
    assert!(scene.worker.targets.is_empty());
    let message = finished.targets[0].end.message.as_deref();
    assert_eq!(message, Some("the pre hook ended with exit code 7"));
    let hooks = std::mem::take(&mut scene.worker.hooks);
    assert_eq!(hooks[1], ("post".to_owned(), vec![status("7")]));
    assert_eq!(hooks[2].0, "failure");
    assert_eq!(hooks[2].1[0], status("7"));

    // What the last says counts, too, and is recorded.
    scene.worker.hook_ends = vec![("post", End::Signal(11)), ("failure", End::Code(1))];
    let finished = scene.run();
    assert_eq!(finished.code, 2);
    assert_eq!(outcomes(&finished), [Outcome::Failure; 2]);
    let last = scene.history.runs(Some("b"), 1).unwrap().remove(0);
    assert_eq!(last.outcome, Some(Outcome::Failure));
    let message = last.message.as_deref();
    assert_eq!(message, Some("the post hook was killed by signal 11"));
    assert_eq!(scene.history.steps(last.id).unwrap().len(), 3);
}

#[test]
fn checks_are_done_when_they_are_due() {
    let day = 24 * 3600;
    let mut job = job(&["nas"]);
    job.checks = Checks {
        repository: Some(Duration::from_secs(7 * day)),
        data: Some(Duration::from_secs(30 * day)),
        drill: Some(Drill {
            every: Duration::from_secs(10 * day),
            budget: SECOND,
        }),
    };
    let mut scene = Scene::new(job);
    let mut done: Vec<(u64, String)> = Vec::new();
    for today in 0..35 {
        let finished = scene.run();
        for step in &finished.targets[0].end.steps {
            if step.name.starts_with("check") || step.name == "drill" {
                done.push((today, step.name.clone()));
            }
        }
        scene.clock.pass(Duration::from_secs(day));
    }
    let of = |name: &str| {
        let steps = done.iter().filter(|(_, step)| step == name);
        steps.map(|(day, _)| *day).collect::<Vec<_>>()
    };
    assert_eq!(of("check-data"), [0, 30]);
    // One of all data is one of the repository.
    assert_eq!(of("check"), [7, 14, 21, 28]);
    assert_eq!(of("drill"), [0, 10, 20, 30]);
    // A clock that is set back does not put it off for ever.
    scene.clock.set_back(Duration::from_secs(1000 * day));
    let names: Vec<String> = scene.run().targets[0]
        .end
        .steps
        .iter()
        .map(|step| step.name.clone())
        .collect();
    assert!(names.contains(&"check-data".to_owned()), "{names:?}");
}

#[test]
fn a_supervisor_that_was_killed_is_told_of_by_the_next() {
    let mut scene = Scene::new(job(&["nas"]));
    let now = ironborg_jobs::run::Clock::timestamp(&scene.clock);
    scene.history.begin("nas", now).unwrap();
    let finished = scene.run();
    assert_eq!(finished.code, 0);
    // The notifier hears of recovery by itself; here all is heard.
    assert_eq!(scene.told()[0], Kind::Failure);
    let runs = scene.history.runs(None, 9).unwrap();
    assert_eq!(runs[1].outcome, Some(Outcome::Killed));
}

/// Where the history cannot be written, everything else goes on.
#[test]
fn no_backup_fails_of_its_history() {
    let directory = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(job(&["nas"]));
    scene.history = History::open(directory.path()).history;
    let other = rusqlite::Connection::open(directory.path().join("history.sqlite")).unwrap();
    let gone = "DROP TABLE steps; DROP TABLE runs; DROP TABLE remembered";
    other.execute_batch(gone).unwrap();
    let finished = scene.run();
    assert_eq!(outcomes(&finished), [Outcome::Success]);
    assert!(!scene.voice.lines.borrow().is_empty());
    assert!(scene.told().contains(&Kind::Success));
}

#[test]
fn what_a_step_says_is_what_the_run_says() {
    let told = step_failed(
        1,
        "prune",
        2,
        Some("LockTimeout"),
        "Failed to create/acquire the lock",
    );
    let mut scene = Scene::new(job(&["nas"]));
    scene.job.retry.attempts = 1;
    let mut attempt = Attempt::good();
    attempt.failing = Some(told);
    scene.worker.attempts = vec![attempt];
    let end = scene.run().targets.remove(0).end;
    assert_eq!(end.msgid.as_deref(), Some("LockTimeout"));
    assert_eq!(
        end.message.as_deref(),
        Some("Failed to create/acquire the lock")
    );
    assert_eq!(end.steps.len(), 2);
}

/// A repository on a device that is not mounted is missing, not new.
#[test]
fn a_repository_that_has_had_a_backup_is_not_made_again() {
    let mut job = job(&["nas"]);
    job.init = true;
    job.hooks.post_init = Some("true".to_owned());
    let mut scene = Scene::new(job);
    scene.worker.attempts = vec![Attempt::fails_at("create", 2, Some("CommandError"))];
    let makes = |scene: &Scene| {
        let order = scene.worker.orders.last().unwrap();
        let steps = ["init", "post-init"].map(|step| order.iter().any(|name| name == step));
        assert_eq!(steps[0], steps[1]);
        steps[0]
    };
    assert_eq!(outcomes(&scene.run()), [Outcome::Failure]);
    assert!(makes(&scene));
    assert_eq!(outcomes(&scene.run()), [Outcome::Success]);
    assert!(makes(&scene));
    assert_eq!(outcomes(&scene.run()), [Outcome::Success]);
    assert!(!makes(&scene));
    // Another one in its place may be.
    scene.job.targets[0].repository.push_str("-2");
    scene.run();
    assert!(makes(&scene));
}
