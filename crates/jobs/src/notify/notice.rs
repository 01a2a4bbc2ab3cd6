//! What happened, as it is handed over, and as it is told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::Figures;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A run has begun.
    Started,
    /// A backup was made.
    Success,
    /// A backup was made, though something was to be said about it.
    Warning,
    /// The first backup after what was told as failure or silence.
    Recovery,
    /// No backup was made.
    Failure,
    /// There was no backup for longer than there should be.
    Silence,
    /// Somebody wants to see whether this arrives.
    Test,
}

impl Kind {
    /// As it is called in templates and variables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Recovery => "recovery",
            Self::Failure => "failure",
            Self::Silence => "silence",
            Self::Test => "test",
        }
    }

    /// Whether something is wrong.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failure | Self::Silence)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about.
    pub kind: Kind,
    /// The job's name.
    pub job: String,
    /// The repository's label.
    pub target: String,
    /// The repository's location.
    pub repository: String,
    /// The name of this machine.
    pub host: String,
    /// When it happened.
    pub at: Timestamp,
    /// Names the run: a UUID. The same at its beginning and its end.
    #[serde(default)]
    pub run: Option<String>,
    /// Borg's exit code.
    #[serde(default)]
    pub code: Option<u8>,
    /// What the error says.
    #[serde(default)]
    pub message: Option<String>,
    /// The end of the log.
    #[serde(default)]
    pub log_tail: String,
    /// How long it took, in seconds.
    #[serde(default)]
    pub duration: Option<f64>,
    /// What it did.
    #[serde(default)]
    pub figures: Figures,
    /// When the last backup was made.
    #[serde(default)]
    pub last_success: Option<Timestamp>,
    /// The command that shows the log, such as `journalctl -u ironborg-job-home`; nothing: `jobs status`.
    #[serde(default)]
    pub log_command: Option<String>,
}

impl Notice {
    /// One that says nothing but what it is about.
    pub fn new(kind: Kind, job: &str, target: &str, host: &str, at: Timestamp) -> Self {
        Self {
            kind,
            job: job.to_owned(),
            target: target.to_owned(),
            repository: String::new(),
            host: host.to_owned(),
            at,
            run: None,
            code: None,
            message: None,
            log_tail: String::new(),
            duration: None,
            figures: Figures::default(),
            last_success: None,
            log_command: None,
        }
    }
}

/// A notice in words, for one notifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What happened. What is in it can be shown anywhere but in headers and markup.
    pub notice: Notice,
    /// One line.
    pub subject: String,
    /// Some lines.
    pub body: String,
    /// The same in a few lines, without the log.
    pub short: String,
    /// What placeholders stand for, by their names.
    pub fields: Vec<(&'static str, String)>,
    /// Whom the job belongs to.
    pub user: Option<String>,
    /// How many runs have failed since the last backup.
    pub failures: u64,
    /// When the first of them was.
    pub failing_since: Option<Timestamp>,
}
