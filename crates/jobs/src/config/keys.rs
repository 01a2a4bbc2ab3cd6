//! The keys of a configuration. What is said here of each is what the schema says.

use serde_json::{Value, json};

use super::document::Node;
use super::setting::{ByName, Definitions, Field, Integer, OneOrMany, Setting, Settings};
use super::values::{
    AbsolutePath, Compression, EncryptionMode, Exclude, Expression, HttpMethod, IoClass, Keep,
    MailSecurity, PatternText, SecretText, Span, Text, Urgency, Url, WayName, Words,
};
use crate::settings;

/// The tables and keys of a file, outermost.
pub const FILE_KEYS: &[&str] = &["metrics", "defaults", "jobs", "notify"];

settings! {
    /// A job: what is backed up where, when and how.
    pub struct JobSettings as "job" {
        /// Files and directories that are backed up.
        replace paths: OneOrMany<AbsolutePath>,
        /// What is left out: patterns as `create --exclude` takes them; `{path}` stands for each of the paths.
        join exclude: Vec<Exclude>,
        /// Patterns as `create --pattern` takes them.
        join patterns: Vec<PatternText>,
        /// A shell command whose output is backed up, instead of paths.
        replace dump_command: Text,
        /// The repository; `{job}` stands for the job's name.
        replace repo: Text,
        /// Several repositories, each with an archive of its own.
        replace repos: Vec<RepoSettings>,
        /// Whether the repository is on a device that is not always there: without it nothing is done. Default: false.
        replace removable_device: bool,
        /// How the repository is encrypted, and where its passphrase comes from.
        merge encryption: EncryptionSettings,
        /// How data is compressed, as `create --compression` takes it. Default: lz4.
        replace compression: Compression,
        /// Beginning of the archives' names; `{job}` and Borg's placeholders are replaced. Default: {hostname}-{job}.
        replace archive_base_name: String,
        /// The date that follows it, as strftime writes it; empty: none. Default: %Y-%m-%dT%H:%M:%S.
        replace date_format: String,
        /// Whether an archive is called NAME.failed until it is complete. Default: true.
        replace append_failed_suffix: bool,
        /// When it runs by itself: calendar expressions of systemd, or lines of cron; an empty list: never. Default: daily.
        replace start_at: OneOrMany<Expression>,
        /// Whether a run that was missed is caught up with. Default: true.
        replace persistent_timer: bool,
        /// It starts up to so much later, each machine at another time. Default: 0.
        replace random_delay: Span,
        /// Whether the machine is kept from going to sleep meanwhile. Default: false.
        replace inhibits_sleep: bool,
        /// Which archives are kept.
        merge prune: PruneSettings,
        /// Whether space is freed after archives were deleted. Default: true.
        replace compact: bool,
        /// What is checked, and how often.
        merge checks: CheckSettings,
        /// Variables for the commands and hooks.
        join environment: Environment,
        /// A shell command that is run before anything else.
        replace pre_hook: String,
        /// A shell command that is run after a repository was made.
        replace post_init: String,
        /// A shell command that is run after an archive was made.
        replace post_create: String,
        /// A shell command that is run after archives were deleted.
        replace post_prune: String,
        /// A shell command that is run at the end, however it ends.
        replace post_hook: String,
        /// A shell command that is run after a failure.
        replace on_failure: String,
        /// Words added to every command.
        join extra_args: Words,
        /// Words added to `init`.
        join extra_init_args: Words,
        /// Words added to `create`.
        join extra_create_args: Words,
        /// Words added to `prune`.
        join extra_prune_args: Words,
        /// Words added to `compact`.
        join extra_compact_args: Words,
        /// Words added to `check`.
        join extra_check_args: Words,
        /// Who runs it. Default: whoever starts it; the system's services are root's.
        replace user: Text,
        /// The group it runs as. Default: the user's.
        replace group: Text,
        /// Directories that hooks may write to.
        replace read_write_paths: Vec<AbsolutePath>,
        /// Whether the service has a /tmp of its own. Default: true.
        replace private_tmp: bool,
        /// Niceness of the process. Default: that of who starts it.
        replace nice: Integer<-20, 19>,
        /// Class and priority of reading and writing, as ionice has them. Default: that of who starts it.
        replace io: IoClass,
        /// What has to be the case before a run.
        merge conditions: ConditionSettings,
        /// What is tried again after a failure that may pass.
        merge retry: RetrySettings,
        /// Whether warnings count as failure. Default: false.
        replace fail_on_warnings: bool,
        /// Whether a repository that is not there is made. Default: true.
        replace do_init: bool,
        /// Who is told of what.
        merge notify: NotifySettings,
    }
}

settings! {
    /// How a repository is encrypted, and where its passphrase comes from: one of the four.
    pub struct EncryptionSettings as "encryption" {
        /// The mode in which a new repository is made. Default: repokey-blake2.
        replace mode: EncryptionMode,
        /// A command that prints the passphrase, such as one that asks a keyring.
        replace pass_command: Text,
        /// The passphrase itself, for who keeps this file to himself.
        replace passphrase: SecretText,
        /// A file whose content is the passphrase.
        replace passphrase_file: AbsolutePath,
        /// The name of a credential of systemd.
        replace credential: CredentialName,
    }
}

settings! {
    /// One of several repositories.
    pub struct RepoTable as "repository" {
        /// Where it is; `{job}` stands for the job's name.
        replace url: Text,
        /// How it is called in logs and figures. Default: the last part of its path.
        replace label: Label,
        /// Its encryption, where it is not that of the job.
        merge encryption: EncryptionSettings,
        /// Variables for this repository only.
        join environment: Environment,
    }
}

settings! {
    /// Which archives are kept.
    pub struct PruneSettings as "prune" {
        /// Rules and numbers; an empty table: all are kept.
        replace keep: Keep,
        /// Only archives whose names begin so are deleted; empty: any. Default: the base name and a dash.
        replace prefix: String,
    }
}

settings! {
    /// What is checked, and how often. A length of time is that since the last time; 0: after every backup.
    pub struct CheckSettings as "checks" {
        /// Repository and archives (`check`). Default: never.
        replace repository: Span,
        /// All data too (`check --verify-data`). Default: never.
        replace data: Span,
        /// Whether files can be restored, by restoring some. Default: never.
        replace drill: DrillSettings,
    }
}

settings! {
    /// A restore drill: files are restored and compared.
    pub struct DrillTable as "drill" {
        /// How often. Default: 1 week.
        replace every: Span,
        /// How long it takes at most. Default: 5 min.
        replace budget: Span,
    }
}

settings! {
    /// What has to be the case before a run.
    pub struct ConditionSettings as "conditions" {
        /// Whether the host of the repository has to answer. Default: true.
        replace reachable: bool,
        /// Whether the machine has to have a network. Default: false.
        replace online: bool,
        /// Whether a network that costs money is good enough. Default: true.
        replace metered: bool,
        /// Whether the machine has to be on mains power. Default: false.
        replace ac_power: bool,
        /// Paths that have to be there.
        replace paths: OneOrMany<AbsolutePath>,
        /// How long all that is waited for. Default: 10 min.
        replace wait: Span,
    }
}

settings! {
    /// What is tried again after a failure that may pass: of the network, or of a lock.
    pub struct RetrySettings as "retry" {
        /// Attempts altogether. Default: 4.
        replace attempts: Integer<1, 1000>,
        /// The wait before the second one; it doubles each time. Default: 1 min.
        replace first: Span,
        /// The longest wait. Default: 30 min.
        replace longest: Span,
    }
}

settings! {
    /// Who is told of what.
    pub struct NotifyTable as "told" {
        /// Names of the tables below `notify`.
        replace by: OneOrMany<Text>,
        /// Whether of a failure. Default: true.
        replace failure: bool,
        /// Whether of the first success after it. Default: true.
        replace recovery: bool,
        /// Whether of every success. Default: false.
        replace success: bool,
        /// Told if there was no success for so long. Default: never.
        replace max_age: Span,
    }
}

settings! {
    /// A way of telling somebody. Which keys there are depends on the type.
    pub struct NotifierSettings as "notifier" {
        /// The way.
        replace r#type: WayName,
        /// Desktop: whose. Default: the job's user, or all who are logged in.
        replace users: OneOrMany<Text>,
        /// Mail: the sender.
        replace from: Text,
        /// Mail: recipients.
        replace to: OneOrMany<Text>,
        /// Mail: the program that takes it. Default: /usr/sbin/sendmail, unless there is a server.
        replace sendmail: AbsolutePath,
        /// Mail: the server that takes it.
        replace smtp: SmtpSettings,
        /// Ntfy, webhook, Healthchecks: the address. Those of webhooks and Healthchecks may have placeholders.
        replace url: Url,
        /// Ntfy, webhook, Healthchecks: a file with the address.
        replace url_file: AbsolutePath,
        /// Ntfy, webhook, Healthchecks: a credential of systemd with the address.
        replace url_credential: CredentialName,
        /// Ntfy, webhook: an access token.
        replace token: SecretText,
        /// Ntfy, webhook: a file with that token.
        replace token_file: AbsolutePath,
        /// Ntfy, webhook: a credential of systemd with that token.
        replace token_credential: CredentialName,
        /// Ntfy, webhook, Healthchecks, mail: certificates of authorities (PEM) that are trusted instead of the system's.
        replace ca_file: AbsolutePath,
        /// Ntfy: how urgent. Default: high for failures.
        replace priority: Urgency,
        /// Webhook: the method. Default: POST.
        replace method: HttpMethod,
        /// Webhook: headers, with placeholders.
        replace headers: Headers,
        /// Command: what the shell runs.
        replace command: Text,
        /// The subject, with placeholders.
        replace subject: Text,
        /// The text, with placeholders.
        replace body: Text,
        /// The same failure is not told again for so long. Default: 1 day.
        replace at_most_every: Span,
    }
}

settings! {
    /// A mail server.
    pub struct SmtpSettings as "smtp" {
        /// Its name.
        replace host: Text,
        /// Its port. Default: 465 with tls, 587 with starttls, 25 else.
        replace port: Integer<1, 65535>,
        /// How the connection is kept secret. Default: starttls.
        replace security: MailSecurity,
        /// The name to log in with.
        replace user: Text,
        /// The password.
        replace password: SecretText,
        /// A file with the password.
        replace password_file: AbsolutePath,
        /// A credential of systemd with the password.
        replace password_credential: CredentialName,
    }
}

/// A repository: its location, or a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RepoSettings(pub RepoTable);

impl Setting for RepoSettings {
    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            let table = RepoTable::read(node)?;
            if !table.url.is_given() {
                return node.refuse("the repository's `url` is missing");
            }
            return Some(Self(table));
        }
        if !node.is_text() {
            return node.expected("a string with a location, or a table with `url`");
        }
        let url = Field::read(node);
        Some(Self(RepoTable {
            url,
            ..RepoTable::default()
        }))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        let table = RepoTable::schema(definitions);
        json!({ "anyOf": [{ "type": "string", "minLength": 1 }, table] })
    }
}

/// A restore drill: how often, or a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DrillSettings(pub DrillTable);

impl Setting for DrillSettings {
    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return DrillTable::read(node).map(Self);
        }
        let every = Field::read(node);
        Some(Self(DrillTable {
            every,
            ..DrillTable::default()
        }))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        let every = Span::schema(definitions);
        let table = DrillTable::schema(definitions);
        json!({ "anyOf": [every, table] })
    }
}

/// Who is told of what: names, or a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NotifySettings(pub NotifyTable);

impl Setting for NotifySettings {
    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_table() {
            return NotifyTable::read(node).map(Self);
        }
        let by = Field::read(node);
        Some(Self(NotifyTable {
            by,
            ..NotifyTable::default()
        }))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        let names = OneOrMany::<Text>::schema(definitions);
        let table = NotifyTable::schema(definitions);
        json!({ "anyOf": [names, table] })
    }
}

impl Settings for NotifySettings {
    fn over(self, defaults: Self) -> Self {
        Self(self.0.over(defaults.0))
    }
}

/// Variables by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Environment(pub ByName<String>);

/// The variable that says which repository is meant; that is what `repo` does.
const REPO_VARIABLE: &str = "BORG_REPO";
/// Variables that are secrets.
const SECRET_VARIABLES: &[&str] = &["BORG_PASSPHRASE", "BORG_NEW_PASSPHRASE"];

impl Setting for Environment {
    fn read(node: &Node<'_>) -> Option<Self> {
        let mut variables = ByName::new();
        let table = node.table("a table of variables")?;
        table.for_each(|name, place, value| {
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = "the name of a variable must not be empty nor have \"=\" in it";
                node.reading.error(place, message);
            } else if name == REPO_VARIABLE {
                let message = "which repository is meant is said by `repo` or `repos`";
                node.reading.error(place, message);
            } else if let Some(text) = value.text("a string") {
                if SECRET_VARIABLES.contains(&name) {
                    node.reading.secret(place);
                }
                variables.insert(name.to_owned(), text.to_owned());
            }
        });
        Some(Self(variables))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        ByName::<String>::schema(definitions)
    }
}

impl super::setting::Join for Environment {
    fn add(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}

/// Headers of a request, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headers(pub ByName<String>);

/// Headers that are secrets.
const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "cookie",
];

impl Setting for Headers {
    fn read(node: &Node<'_>) -> Option<Self> {
        let mut headers = ByName::new();
        let table = node.table("a table of headers")?;
        table.for_each(|name, place, value| {
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(is_token) {
                node.reading
                    .error(place, "this cannot be the name of a header");
            } else if let Some(text) = value.text("a string") {
                if text.contains(char::is_control) {
                    node.reading.error(place, "a header must be one line");
                } else {
                    if SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                        node.reading.secret(place);
                    }
                    headers.insert(name.to_owned(), text.to_owned());
                }
            }
        });
        Some(Self(headers))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        ByName::<String>::schema(definitions)
    }
}

/// What a thing is called within a job, in figures and in names of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(pub String);

/// Longest name of a job, notifier or repository: names of files and units are made of it.
pub const NAME_LEN_MAX: usize = 100;

/// Whether it is a good name: letters, digits and `._-`, beginning with a letter or digit.
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
        && text.len() <= NAME_LEN_MAX
}

/// What a name has to be.
pub const NAME_RULE: &str = "a name has letters, digits and \"._-\", begins with a letter or digit, and has no more than 100 characters";

impl Setting for Label {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string")?;
        if !is_name(text) {
            return node.refuse(NAME_RULE);
        }
        Some(Self(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> Value {
        name_schema()
    }
}

/// The schema of names.
pub fn name_schema() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": NAME_LEN_MAX })
}

/// The name of a credential of systemd: that of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialName(pub String);

impl Setting for CredentialName {
    fn read(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a string with the name of a credential")?;
        let plain = |c: char| c.is_ascii_graphic() && !"/:%".contains(c);
        if text.is_empty() || text.len() > 255 || text.starts_with('.') || !text.chars().all(plain)
        {
            return node.refuse("this cannot be the name of a credential");
        }
        Some(Self(text.to_owned()))
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": 255 })
    }
}
