//! Who hears what and when: weeks of a job's life, with a notifier that writes down what it is told.

// A set-up that fails is a failed test, and the line says which.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ironborg_jobs::config;
use ironborg_jobs::job::Jobs;
use ironborg_jobs::notify::{
    self, Delivery, Kind, Memory, Notice, Parcel, SendError, Sender, Sent, Telling,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What there is besides what a test writes: one job, two notifiers.
const JOB: &str = r#"
    [jobs.home]
    paths = "/home"
    repos = [{ url = "/backup/one", label = "one" }, { url = "/backup/two", label = "two" }]
    encryption.passphrase = "correct horse"
"#;

fn jobs(more: &str) -> Jobs {
    let text = format!("{JOB}\n{more}");
    config::load(&[(PathBuf::from("/etc/ironborg/jobs.toml"), text)]).unwrap()
}

/// A job whose only notifier is a command called `me`.
fn told_by_command(notify: &str, notifier: &str) -> Jobs {
    jobs(&format!(
        "notify = {notify}\n[notify.me]\ntype = \"command\"\ncommand = \"true\"\n{notifier}"
    ))
}

#[derive(Default)]
struct Notebook(BTreeMap<String, String>);

impl Memory for Notebook {
    fn recall(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    fn remember(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), value.to_owned());
    }
}

/// Writes down what it is given; can be out of order.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<Parcel>>,
    deaf: AtomicBool,
}

impl Sender for Ear {
    fn send(&self, parcel: &Parcel) -> Result<Sent, SendError> {
        if self.deaf.load(Ordering::SeqCst) {
            return Err(SendError::new("nobody there"));
        }
        self.heard.lock().unwrap().push(parcel.clone());
        Ok(Sent::default())
    }
}

/// A job's life.
struct Life {
    jobs: Jobs,
    memory: Notebook,
    ear: Arc<Ear>,
    now: Timestamp,
}

impl Life {
    fn of(jobs: Jobs) -> Self {
        Self {
            jobs,
            memory: Notebook::default(),
            ear: Arc::new(Ear::default()),
            now: "2026-03-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn notice(&self, kind: Kind, target: &str) -> Notice {
        Notice::new(kind, "home", target, "station", self.now)
    }

    fn tell(&mut self, notices: &[Notice]) -> Vec<Delivery> {
        let sender: Arc<dyn Sender> = self.ear.clone();
        let telling = Telling {
            job: &self.jobs.jobs[0],
            notifiers: &self.jobs.notifiers,
            sender: &sender,
            now: self.now,
            zone: TimeZone::UTC,
            timeout: Duration::from_secs(30),
        };
        notify::tell(&telling, notices, &mut self.memory)
    }

    /// A run with this outcome, to one repository.
    fn run(&mut self, kind: Kind) -> Vec<Kind> {
        let notice = self.notice(kind, "one");
        self.tell(&[notice]);
        self.heard()
    }

    /// What was heard since the last look.
    fn heard(&self) -> Vec<Kind> {
        let heard = self.parcels();
        heard
            .iter()
            .map(|parcel| parcel.message.notice.kind)
            .collect()
    }

    fn parcels(&self) -> Vec<Parcel> {
        std::mem::take(&mut *self.ear.heard.lock().unwrap())
    }

    fn hours(&mut self, hours: i64) {
        self.now += SignedDuration::from_hours(hours);
    }

    fn deaf(&self, deaf: bool) {
        self.ear.deaf.store(deaf, Ordering::SeqCst);
    }
}

#[test]
fn a_failure_is_told_once_in_a_period_and_its_end_once() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, r#"at_most_every = "7 days""#));
    assert_eq!(life.run(Kind::Success), []);
    let mut heard = Vec::new();
    for _ in 0..10 {
        life.hours(24);
        heard.push(life.run(Kind::Failure));
    }
    let told: Vec<usize> = (0..10)
        .filter(|&day| heard[day] == [Kind::Failure])
        .collect();
    assert_eq!(told, [0, 7], "a week lies between");
    assert!(heard.iter().all(|heard| heard.len() <= 1));
    life.hours(24);
    assert_eq!(life.run(Kind::Success), [Kind::Recovery]);
    life.hours(24);
    assert_eq!(life.run(Kind::Success), []);
    // Another period is told of at once.
    life.hours(1);
    assert_eq!(life.run(Kind::Failure), [Kind::Failure]);
}

#[test]
fn the_message_says_how_often_and_since_when() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, r#"at_most_every = "1 day""#));
    for _ in 0..3 {
        life.run(Kind::Failure);
        life.hours(24);
        // Half a minute less or more is what a daily job's failures are apart.
        life.now -= SignedDuration::from_secs(30);
    }
    let mut last = life.notice(Kind::Failure, "one");
    last.message = Some("Connection closed by remote host".to_owned());
    last.code = Some(2);
    last.log_tail = "creating archive\nConnection closed by remote host\n".to_owned();
    last.last_success = Some("2026-02-28T00:00:00Z".parse().unwrap());
    life.run(Kind::Failure);
    life.hours(24);
    life.tell(&[last]);
    let parcels = life.parcels();
    let message = &parcels.last().unwrap().message;
    assert_eq!(
        message.subject,
        "Backup home on station failed, the 5th time"
    );
    assert_eq!(
        (
            message.failures,
            message.failing_since.unwrap().to_string().as_str()
        ),
        (5, "2026-03-01T00:00:00Z")
    );
    for expected in [
        "Error: Connection closed by remote host\n",
        "Failing since: 2026-03-01 00:00:00, this was the 5th time\n",
        "Last backup: 2026-02-28 00:00:00, 3 days 23 hours before this\n",
        "ironborg jobs status home",
        "ironborg jobs run home",
        "The end of the log:\ncreating archive\nConnection closed",
    ] {
        assert!(
            message.body.contains(expected),
            "{expected:?} is not in:\n{}",
            message.body
        );
    }
    assert!(
        !message.short.contains("creating archive"),
        "{}",
        message.short
    );
}

#[test]
fn what_could_not_be_told_is_told_later() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, ""));
    life.deaf(true);
    assert_eq!(life.run(Kind::Failure), []);
    life.hours(1);
    assert_eq!(life.tell(&[]).len(), 1, "it is tried again");
    life.deaf(false);
    life.hours(1);
    let deliveries = life.tell(&[]);
    assert_eq!(deliveries[0].outcome, Ok(()));
    let parcels = life.parcels();
    assert_eq!(parcels.len(), 1);
    // It says when it happened, not when it was told.
    assert!(parcels[0].message.body.contains("2026-03-01 00:00:00"));
    assert!(life.tell(&[]).is_empty(), "nothing is owed any more");
    // The end is owed like the beginning.
    life.deaf(true);
    assert_eq!(life.run(Kind::Success), []);
    life.deaf(false);
    assert!(
        life.tell(&[])
            .iter()
            .all(|told| told.kind == Kind::Recovery)
    );
    assert_eq!(life.heard(), [Kind::Recovery]);
}

#[test]
fn a_failure_nobody_heard_of_is_told_with_its_end() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, ""));
    life.deaf(true);
    for _ in 0..3 {
        life.run(Kind::Failure);
        life.hours(24);
    }
    life.deaf(false);
    let end = life.notice(Kind::Success, "one");
    life.tell(&[end]);
    let parcels = life.parcels();
    assert_eq!(parcels.len(), 1);
    let message = &parcels[0].message;
    assert_eq!(message.notice.kind, Kind::Recovery);
    let expected = "Failing since: 2026-03-01 00:00:00, 3 times, until now\n";
    assert!(message.body.contains(expected), "{}", message.body);
}

#[test]
fn a_process_killed_while_it_tells_has_told_or_will() {
    let jobs = told_by_command(r#"["me"]"#, "");
    // What is remembered at each moment of a run is what the next process finds.
    struct Killed {
        notebook: Notebook,
        writes_left: usize,
    }
    impl Memory for Killed {
        fn recall(&self, key: &str) -> Option<String> {
            self.notebook.recall(key)
        }
        fn remember(&mut self, key: &str, value: &str) {
            if self.writes_left > 0 {
                self.writes_left -= 1;
                self.notebook.remember(key, value);
            }
        }
    }
    for writes in 0..=2 {
        let mut life = Life::of(jobs.clone());
        let sender: Arc<dyn Sender> = life.ear.clone();
        let mut memory = Killed {
            notebook: Notebook::default(),
            writes_left: writes,
        };
        let telling = Telling {
            job: &life.jobs.jobs[0],
            notifiers: &life.jobs.notifiers,
            sender: &sender,
            now: life.now,
            zone: TimeZone::UTC,
            timeout: Duration::from_secs(30),
        };
        // Killed before it was sent: what was heard is taken back.
        notify::tell(&telling, &[life.notice(Kind::Failure, "one")], &mut memory);
        life.parcels();
        life.memory = memory.notebook;
        life.tell(&[]);
        let heard = life.heard();
        match writes {
            // Nothing was noted: whoever finds the run dead tells it as a failure.
            0 => assert_eq!(heard, []),
            1 => assert_eq!(heard, [Kind::Failure], "noted, not crossed out: once more"),
            _ => assert_eq!(heard, [], "crossed out"),
        }
        if writes == 0 {
            assert_eq!(life.run(Kind::Failure), [Kind::Failure]);
        }
    }
}

#[test]
fn silence_is_told_again_and_ended_by_a_backup() {
    let notify = r#"{ by = ["me"], max_age = "2 days" }"#;
    let mut life = Life::of(told_by_command(notify, r#"at_most_every = "1 day""#));
    let mut told = Vec::new();
    // Looked at every hour, as the timer does.
    for hour in 0..72 {
        if life.run(Kind::Silence) == [Kind::Silence] {
            told.push(hour);
        }
        life.hours(1);
    }
    assert_eq!(told, [0, 23, 46, 69], "once a day or so");
    assert_eq!(life.run(Kind::Success), [Kind::Recovery]);
    // Without a length of time nobody wants to hear of it.
    let mut life = Life::of(told_by_command(r#"["me"]"#, ""));
    assert_eq!(life.run(Kind::Silence), []);
}

#[test]
fn silence_after_failures_is_told_once_and_then_not_beside_them() {
    let notify = r#"{ by = ["me"], max_age = "2 days" }"#;
    let mut life = Life::of(told_by_command(notify, r#"at_most_every = "7 days""#));
    assert_eq!(life.run(Kind::Failure), [Kind::Failure]);
    life.hours(48);
    assert_eq!(life.run(Kind::Silence), [Kind::Silence]);
    life.hours(48);
    assert_eq!(life.run(Kind::Silence), []);
}

#[test]
fn a_clock_that_was_set_back_does_not_silence_anybody() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, r#"at_most_every = "30 days""#));
    assert_eq!(life.run(Kind::Failure), [Kind::Failure]);
    life.hours(-24 * 365);
    assert_eq!(life.run(Kind::Failure), [Kind::Failure]);
    assert_eq!(life.run(Kind::Failure), []);
}

#[test]
fn what_is_not_wanted_is_not_told() {
    let wish = |notify: &str| Life::of(told_by_command(notify, ""));
    let mut life = wish(r#"{ by = ["me"], success = true, failure = false }"#);
    assert_eq!(life.run(Kind::Success), [Kind::Success]);
    assert_eq!(life.run(Kind::Warning), [Kind::Warning]);
    assert_eq!(life.run(Kind::Failure), []);
    assert_eq!(life.run(Kind::Success), [Kind::Success]);
    let mut life = wish(r#"{ by = ["me"], recovery = false }"#);
    assert_eq!(life.run(Kind::Failure), [Kind::Failure]);
    assert_eq!(life.run(Kind::Success), []);
    let mut life = Life::of(jobs(""));
    assert_eq!(life.run(Kind::Failure), []);
    assert!(life.memory.0.is_empty());
}

#[test]
fn warnings_are_failures_where_the_job_says_so() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, ""));
    life.jobs.jobs[0].fail_on_warnings = true;
    assert_eq!(life.run(Kind::Warning), [Kind::Failure]);
    assert_eq!(life.run(Kind::Success), [Kind::Recovery]);
}

#[test]
fn each_repository_has_its_own_period() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, ""));
    let both = [
        life.notice(Kind::Failure, "one"),
        life.notice(Kind::Success, "two"),
    ];
    life.tell(&both);
    assert_eq!(life.heard(), [Kind::Failure]);
    let both = [
        life.notice(Kind::Failure, "one"),
        life.notice(Kind::Failure, "two"),
    ];
    life.tell(&both);
    let parcels = life.parcels();
    let targets: Vec<&str> = parcels
        .iter()
        .map(|it| it.message.notice.target.as_str())
        .collect();
    assert_eq!(targets, ["two"]);
    let both = [
        life.notice(Kind::Success, "one"),
        life.notice(Kind::Failure, "two"),
    ];
    life.tell(&both);
    assert_eq!(life.heard(), [Kind::Recovery]);
}

#[test]
fn a_check_hears_of_every_run_and_of_the_worst_outcome() {
    let check = "[notify.check]\ntype = \"healthchecks\"\nurl = ";
    let mut life = Life::of(jobs(&format!(
        "notify = [\"check\"]\n{check}\"http://x/uuid\""
    )));
    assert_eq!(life.run(Kind::Started), [Kind::Started]);
    for (one, two, heard) in [
        (Kind::Success, Kind::Failure, Kind::Failure),
        (Kind::Failure, Kind::Success, Kind::Failure),
        (Kind::Success, Kind::Warning, Kind::Warning),
        (Kind::Success, Kind::Success, Kind::Success),
    ] {
        let both = [life.notice(one, "one"), life.notice(two, "two")];
        life.tell(&both);
        assert_eq!(life.heard(), [heard]);
    }
    assert_eq!(life.run(Kind::Silence), [], "it notices by itself");
    // A failure that did not get there is out of date after the next run.
    life.deaf(true);
    life.run(Kind::Failure);
    life.deaf(false);
    assert_eq!(life.run(Kind::Success), [Kind::Success]);
    assert_eq!(life.tell(&[]), []);
    let each = format!("notify = [\"check\"]\n{check}\"http://x/{{target}}\"");
    let mut life = Life::of(jobs(&each));
    let both = [
        life.notice(Kind::Success, "one"),
        life.notice(Kind::Failure, "two"),
    ];
    life.tell(&both);
    let mut heard = life.heard();
    heard.sort_unstable();
    assert_eq!(heard, [Kind::Success, Kind::Failure]);
}

#[test]
fn nobody_waits_for_one_that_hangs() {
    struct Hanging;
    impl Sender for Hanging {
        fn send(&self, parcel: &Parcel) -> Result<Sent, SendError> {
            if parcel.name == "a" {
                std::thread::sleep(Duration::from_mins(10));
            }
            assert_ne!(parcel.name, "b", "one that falls over");
            Ok(Sent::default())
        }
    }
    let command = |name: &str| format!("[notify.{name}]\ntype = \"command\"\ncommand = \"true\"\n");
    let three = ["a", "b", "c"].map(command).concat();
    let jobs = jobs(&format!("notify = [\"a\", \"b\", \"c\"]\n{three}"));
    let sender: Arc<dyn Sender> = Arc::new(Hanging);
    let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    let telling = Telling {
        job: &jobs.jobs[0],
        notifiers: &jobs.notifiers,
        sender: &sender,
        now,
        zone: TimeZone::UTC,
        timeout: Duration::from_millis(300),
    };
    let mut memory = Notebook::default();
    let notice = Notice::new(Kind::Failure, "home", "one", "station", now);
    let begun = Instant::now();
    let deliveries = notify::tell(&telling, &[notice], &mut memory);
    assert!(begun.elapsed() < Duration::from_mins(5));
    let worked: Vec<bool> = deliveries.iter().map(|it| it.outcome.is_ok()).collect();
    assert_eq!(worked, [false, false, true]);
}

#[test]
fn nothing_secret_and_nothing_harmful_is_told() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, "subject = \"{message}\""));
    let mut notice = life.notice(Kind::Failure, "one");
    notice.repository = "ssh://me:hunter22@nas/./repo".to_owned();
    notice.message = Some("it is correct horse\r\nBcc: all@example.org\x1b[2J".to_owned());
    notice.log_tail = format!(
        "{}the passphrase correct horse is wrong\n",
        "x\n".repeat(20_000)
    );
    life.tell(&[notice]);
    let parcels = life.parcels();
    let message = &parcels[0].message;
    let remembered = life.memory.0.values().cloned().collect::<String>();
    for text in [&message.subject, &message.body, &message.short, &remembered] {
        assert!(
            !text.contains("correct horse") && !text.contains("hunter22"),
            "{text}"
        );
    }
    assert_eq!(message.subject, "it is [secret] Bcc: all@example.org?[2J");
    assert!(message.body.contains("ssh://me@nas/./repo"));
    assert!(message.body.contains("the passphrase [secret] is wrong"));
    assert!(message.body.len() < 16 * 1024, "the log is cut");
    assert!(!message.body.contains('\x1b'));
}

#[test]
fn records_that_cannot_be_read_are_begun_anew() {
    let mut life = Life::of(told_by_command(r#"["me"]"#, ""));
    for broken in ["", "{", "[]", "{\"targets\":{\"one\":{\"told\":7}}}"] {
        life.memory.remember(notify::MEMORY_KEY, broken);
        assert_eq!(life.run(Kind::Failure), [Kind::Failure], "{broken}");
    }
    // Notifiers that are no more are forgotten with what they are owed.
    life.deaf(true);
    life.run(Kind::Success);
    life.run(Kind::Failure);
    life.jobs.jobs[0].notify.by.clear();
    life.deaf(false);
    assert!(life.tell(&[]).is_empty());
}
