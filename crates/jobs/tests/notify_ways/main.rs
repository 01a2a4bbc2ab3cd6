//! Every way of telling, against a real listener on the loopback interface.
//!
//! `certificates/` holds an authority and a server's certificate for `localhost` that it signed, both good for a hundred
//! years and for nothing else: made by `openssl req -x509` and `openssl x509 -req -CA`, the authority's key thrown away.

// A set-up that fails is a failed test, and the line says which.
#![allow(clippy::unwrap_used)]

mod desktop;
mod listener;
mod mail;
mod requests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ironborg_jobs::config;
use ironborg_jobs::job::{Jobs, Secret};
use ironborg_jobs::notify::ways::desktop::{Desktop, Popup, Shown, show};
use ironborg_jobs::notify::ways::{Ended, Program, Surroundings, Ways};
use ironborg_jobs::notify::{self, Delivery, Kind, Memory, Notice, Sender, Telling};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What a test may take that has to wait for nothing.
const LIMIT: Duration = Duration::from_secs(10);

/// Writes down what would be run, and finds the desktops it was told of.
#[derive(Default)]
struct Bench {
    programs: Mutex<Vec<Program>>,
    desktops: Mutex<Vec<Desktop>>,
}

impl Surroundings for Bench {
    fn run(&self, program: &Program, _limit: Duration) -> Result<Ended, String> {
        self.programs.lock().unwrap().push(program.clone());
        Ok(Ended {
            code: Some(0),
            output: String::new(),
        })
    }

    fn secret(&self, secret: &Secret) -> Result<String, String> {
        match secret {
            Secret::Text(text) => Ok(text.clone()),
            Secret::File(path) => std::fs::read_to_string(path).map_err(|it| it.to_string()),
            Secret::Credential(name) => Err(format!("there is no credential {name}")),
        }
    }

    fn desktops(&self) -> Vec<Desktop> {
        self.desktops.lock().unwrap().clone()
    }

    fn show(&self, desktop: &Desktop, popup: &Popup, limit: Duration) -> Result<Shown, String> {
        show(&desktop.bus, popup, limit)
    }
}

#[derive(Default)]
struct Notebook(Option<String>);

impl Memory for Notebook {
    fn recall(&self, _key: &str) -> Option<String> {
        self.0.clone()
    }

    fn remember(&mut self, _key: &str, value: &str) {
        self.0 = Some(value.to_owned());
    }
}

/// One job with one notifier, whose settings are given, and all that is remembered of it.
struct Told {
    jobs: Jobs,
    bench: Arc<Bench>,
    memory: Notebook,
    limit: Duration,
}

impl Told {
    fn by(settings: &str) -> Self {
        let text = format!(
            "[jobs.home]\npaths = \"/home\"\nrepos = [{{ url = \"/backup/home\", label = \"nas\" }}]\n\
             encryption.mode = \"none\"\nnotify = {{ by = [\"it\"], success = true }}\n[notify.it]\n{settings}"
        );
        let jobs = config::load(&[(PathBuf::from("/jobs.toml"), text)]);
        Self {
            jobs: jobs.unwrap_or_else(|errors| panic!("{errors}")),
            bench: Arc::default(),
            memory: Notebook::default(),
            limit: LIMIT,
        }
    }

    fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Tells of it, and says what came of that.
    fn tell(&mut self, notice: Notice) -> Result<(), String> {
        let deliveries = self.deliveries(&[notice]);
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        deliveries[0].outcome.clone()
    }

    fn deliveries(&mut self, notices: &[Notice]) -> Vec<Delivery> {
        let sender: Arc<dyn Sender> = Arc::new(Ways {
            surroundings: self.bench.clone(),
            limit: self.limit,
        });
        let telling = Telling {
            job: &self.jobs.jobs[0],
            notifiers: &self.jobs.notifiers,
            sender: &sender,
            now: noon(),
            zone: TimeZone::UTC,
            timeout: notify::TIMEOUT,
        };
        notify::tell(&telling, notices, &mut self.memory)
    }
}

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn notice(kind: Kind) -> Notice {
    let mut notice = Notice::new(kind, "home", "nas", "station", noon());
    "/backup/home".clone_into(&mut notice.repository);
    notice.run = Some("0b6e9a2c-5d0f-4c39-9c6e-0a4b9f3f3a11".to_owned());
    notice
}

fn failure() -> Notice {
    let mut notice = notice(Kind::Failure);
    notice.code = Some(2);
    notice.message = Some("Repository \"/backup/home\" does not exist.".to_owned());
    "Größe <b>&amp;</b>\n.\nend of the log\n".clone_into(&mut notice.log_tail);
    notice
}

fn certificate(name: &str) -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("notify_ways/certificates").join(name)
}

#[test]
fn a_command_finds_everything_in_variables_and_on_its_input() {
    let mut told = Told::by("type = \"command\"\ncommand = \"tell everybody\"");
    told.tell(failure()).unwrap();
    let programs = told.bench.programs.lock().unwrap();
    let program = &programs[0];
    assert_eq!(program.words, ["sh", "-c", "tell everybody"]);
    let variable = |name: &str| {
        let found = program.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(variable("IRONBORG_NOTICE_KIND"), Some("failure"));
    assert_eq!(variable("IRONBORG_NOTICE_JOB"), Some("home"));
    assert_eq!(variable("IRONBORG_NOTICE_TARGET"), Some("nas"));
    assert_eq!(variable("IRONBORG_NOTICE_CODE"), Some("2"));
    assert_eq!(variable("IRONBORG_NOTICE_FAILURES"), Some("1"));
    assert_eq!(
        variable("IRONBORG_NOTICE_SUBJECT"),
        Some("Backup home on station failed")
    );
    assert!(
        variable("IRONBORG_NOTICE_LOG")
            .unwrap()
            .ends_with("end of the log\n")
    );
    let document: serde_json::Value = serde_json::from_slice(&program.input).unwrap();
    assert_eq!(document["kind"], "failure");
    assert_eq!(document["code"], 2);
    assert_eq!(document["at"], "2026-11-22T12:00:00Z");
    assert_eq!(document["failures"], 1);
    assert_eq!(
        document["message"],
        "Repository \"/backup/home\" does not exist."
    );
}

#[test]
fn a_secret_that_is_not_there_is_said_to_be_missing() {
    let settings =
        "type = \"ntfy\"\nurl = \"http://127.0.0.1:9/t\"\ntoken_file = \"/no/such/token\"";
    let reason = Told::by(settings).tell(failure()).unwrap_err();
    assert!(reason.contains("No such file"), "{reason}");
    let settings = "type = \"ntfy\"\nurl_credential = \"topic\"";
    let reason = Told::by(settings).tell(failure()).unwrap_err();
    assert_eq!(reason, "there is no credential topic");
}
