//! A job with everything settled: defaults are applied, values are checked, paths are absolute.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::ConfigError;

/// Everything that configuration files say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Jobs {
    /// The jobs, in the order of the files.
    pub jobs: Vec<Job>,
    /// Ways of telling somebody, by name.
    pub notifiers: BTreeMap<String, Notifier>,
    /// Where figures for Prometheus go: a directory that its node exporter reads text files from.
    pub metrics: Option<PathBuf>,
    /// The files this was read from.
    pub files: Vec<PathBuf>,
    /// What is allowed, though it may not be meant.
    pub remarks: Vec<ConfigError>,
    /// Where secrets are written in the files.
    pub secrets: Vec<ConfigError>,
}

/// What is backed up where, when and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name: letters, digits and `._-`, beginning with a letter or digit.
    pub name: String,
    /// What is backed up.
    pub source: Source,
    /// Where to: one or more, each with an archive of its own.
    pub targets: Vec<Target>,
    /// How archives are named.
    pub archive: ArchiveNaming,
    /// What `--compression` says.
    pub compression: Option<String>,
    /// Words added to the commands.
    pub arguments: Arguments,
    /// Variables, in addition to those of the process.
    pub environment: BTreeMap<String, String>,
    /// When it runs by itself.
    pub schedule: Schedule,
    /// What has to be the case before it runs.
    pub conditions: Conditions,
    /// What is tried again, and when.
    pub retry: Retry,
    /// Which archives are kept; nothing: all of them.
    pub prune: Option<Prune>,
    /// Whether `compact` follows.
    pub compact: bool,
    /// What is checked, and how often.
    pub checks: Checks,
    /// Shell commands of the user's.
    pub hooks: Hooks,
    /// Who runs it; nothing: whoever started it.
    pub user: Option<String>,
    /// The group it runs as.
    pub group: Option<String>,
    /// What may be written to, beside what is needed anyway.
    pub read_write_paths: Vec<PathBuf>,
    /// Whether the service has a `/tmp` of its own.
    pub private_tmp: bool,
    /// Whether the repository is on a device that is not always there: nothing is started or complained of without it.
    pub removable_device: bool,
    /// Whether the machine is kept from going to sleep meanwhile.
    pub inhibits_sleep: bool,
    /// Whether warnings (exit code 1) count as failure.
    pub fail_on_warnings: bool,
    /// Whether a repository that is not there is made.
    pub init: bool,
    /// Niceness of the process, -20 to 19.
    pub nice: Option<i32>,
    /// Class and priority of its reading and writing.
    pub io: Option<IoPriority>,
    /// Who is told.
    pub notify: Notify,
}

/// What is backed up.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Files.
    Paths {
        /// Files and directories, absolute.
        paths: Vec<PathBuf>,
        /// What `--exclude` says, `{path}` having been replaced by each of the paths.
        exclude: Vec<String>,
        /// What `--pattern` says.
        patterns: Vec<String>,
    },
    /// What a shell command prints, as a file called `stdin`.
    Command(String),
}

/// A repository that a job writes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// How it is called in logs and figures; unique within the job.
    pub label: String,
    /// The location, as `BORG_REPO` takes it.
    pub repository: String,
    /// How it is encrypted if it has to be made.
    pub encryption: String,
    /// Where the passphrase comes from.
    pub passphrase: Option<Passphrase>,
    /// Variables for this repository only.
    pub environment: BTreeMap<String, String>,
}

/// Where a passphrase comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Passphrase {
    /// It is written in the configuration.
    Text(String),
    /// It is what a command prints (`BORG_PASSCOMMAND`), such as one that asks a keyring.
    Command(String),
    /// It is the content of a file.
    File(PathBuf),
    /// It is the credential of this name, handed over by the service manager.
    Credential(String),
}

/// How archives are named: `BASE-DATE`.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveNaming {
    /// What precedes the date, with Borg's placeholders; `{job}` is replaced already.
    pub base: String,
    /// The date as strftime writes it; nothing: none.
    pub date_format: Option<String>,
    /// Whether it is that of UTC, not of the local time zone.
    pub utc: bool,
    /// Whether it is called `NAME.failed` until everything went well.
    pub failed_suffix: bool,
}

/// Words added to commands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Arguments {
    /// To all.
    pub all: Vec<String>,
    /// To `init`.
    pub init: Vec<String>,
    /// To `create`.
    pub create: Vec<String>,
    /// To `prune`.
    pub prune: Vec<String>,
    /// To `compact`.
    pub compact: Vec<String>,
    /// To `check`.
    pub check: Vec<String>,
}

/// When a job runs by itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedule {
    /// Calendar expressions of systemd or cron, checked; none: it does not.
    pub start_at: Vec<String>,
    /// Whether what was missed is caught up with.
    pub persistent: bool,
    /// It starts up to so much later, each machine at another time.
    pub random_delay: Duration,
}

/// What has to be the case before a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// Whether the host of the repository has to answer.
    pub reachable: bool,
    /// Whether the machine has to have a network.
    pub online: bool,
    /// Whether a network that costs money is good enough.
    pub metered: bool,
    /// Whether the machine has to be on mains power.
    pub ac_power: bool,
    /// Paths that have to be there, such as where a device is mounted.
    pub paths: Vec<PathBuf>,
    /// How long they are waited for before giving up.
    pub wait: Duration,
}

/// What is done after a failure that may pass: of the network, or of a lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts altogether.
    pub attempts: u32,
    /// The wait before the second one; it doubles.
    pub first: Duration,
    /// It does not get longer than this.
    pub longest: Duration,
}

/// Which archives are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Prune {
    /// Rules and values, as in `--keep-RULE VALUE`: `within`, `last`, `daily` and so on.
    pub keep: Vec<(String, String)>,
    /// Archives whose names begin so are pruned, with Borg's placeholders; nothing: those this job has made, told by
    /// base and date. The empty text is all there are.
    pub prefix: Option<String>,
}

/// What is checked after a backup. A length of time is that since the last time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checks {
    /// `check`.
    pub repository: Option<Duration>,
    /// `check --verify-data`.
    pub data: Option<Duration>,
    /// A restore drill.
    pub drill: Option<Drill>,
}

/// A restore drill: files are restored and compared with those that have not changed since.
#[derive(Debug, Clone, PartialEq)]
pub struct Drill {
    /// How often.
    pub every: Duration,
    /// How long it takes at most.
    pub budget: Duration,
}

/// Shell commands of the user's, as in the NixOS module.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hooks {
    /// Before anything.
    pub pre: Option<String>,
    /// After a repository was made.
    pub post_init: Option<String>,
    /// After an archive was made; `$archiveName` is its name.
    pub post_create: Option<String>,
    /// After `prune`.
    pub post_prune: Option<String>,
    /// After everything; `$exitStatus` is the exit code.
    pub post: Option<String>,
    /// After a failure.
    pub on_failure: Option<String>,
}

/// Class and priority of reading and writing, as `ionice` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoPriority {
    /// Only when nobody else does.
    Idle,
    /// 0 (first) to 7 (last).
    BestEffort(u8),
}

/// Who is told of what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notify {
    /// Names of notifiers.
    pub by: Vec<String>,
    /// Whether of a failure.
    pub failure: bool,
    /// Whether of the first success after it.
    pub recovery: bool,
    /// Whether of every success.
    pub success: bool,
    /// Told if there was no success for so long.
    pub max_age: Option<Duration>,
}

/// A way of telling somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Notifier {
    /// The way.
    pub way: Way,
    /// The subject, with placeholders; nothing: ours.
    pub subject: Option<String>,
    /// The text, with placeholders; nothing: ours.
    pub body: Option<String>,
    /// The same is not told again for so long.
    pub at_most_every: Duration,
    /// Certificates of authorities (PEM) that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// On the desktop of who is logged in.
    Desktop {
        /// Users; none: the job's user, or all who are logged in if that is root.
        users: Vec<String>,
    },
    /// By mail.
    Mail {
        /// Sender.
        from: String,
        /// Recipients.
        to: Vec<String>,
        /// How.
        transport: MailTransport,
    },
    /// By ntfy.
    Ntfy {
        /// The topic's address.
        url: Secret,
        /// An access token.
        token: Option<Secret>,
        /// `min` to `urgent`.
        priority: Option<String>,
    },
    /// By a request to any web service.
    Webhook {
        /// The address, with placeholders. Whoever knows it can often use it.
        url: Secret,
        /// `POST`, `PUT` or `GET`.
        method: String,
        /// Headers, with placeholders.
        headers: BTreeMap<String, String>,
        /// A token that is sent as `Authorization: Bearer`.
        token: Option<Secret>,
    },
    /// By Healthchecks and what speaks like it: start, success, failure with log.
    Healthchecks {
        /// The check's address; with `{target}` in it each repository has its own.
        url: Secret,
    },
    /// By a shell command that finds everything in variables.
    Command {
        /// The command.
        command: String,
    },
}

/// How mail leaves the machine.
#[derive(Debug, Clone, PartialEq)]
pub enum MailTransport {
    /// By the machine's own program.
    Sendmail {
        /// The program.
        program: PathBuf,
    },
    /// By a server.
    Smtp {
        /// The server.
        host: String,
        /// Its port.
        port: Option<u16>,
        /// How the connection is kept secret: `none`, `starttls`, `tls`.
        security: String,
        /// Name and password.
        login: Option<(String, Secret)>,
    },
}

/// Something that should not be in the configuration, though it may.
#[derive(Clone, PartialEq)]
pub enum Secret {
    /// It is there nevertheless.
    Text(String),
    /// It is the content of a file.
    File(PathBuf),
    /// It is the credential of this name.
    Credential(String),
}

/// What is secret is not shown.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("[secret]"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Credential(name) => f.debug_tuple("Credential").field(name).finish(),
        }
    }
}
