//! The settings of a job and the defaults → a job with everything settled. Contradictions are found here.

use std::collections::BTreeSet;
use std::time::Duration;

use super::document::{Place, Reading};
use super::keys::{EncryptionSettings, JobSettings, RepoTable};
use super::location::Location;
use super::setting::{Field, OneOrMany, Settings as _};
use super::values::{Keep, Words};
use crate::job::{
    ArchiveNaming, Arguments, Checks, Conditions, Drill, Hooks, IoPriority, Job, Notify,
    Passphrase, Prune, Retry, Schedule, Source, Target,
};
use crate::plan;

/// What `{job}` stands for is put in its place.
const JOB_PLACEHOLDER: &str = "{job}";
const BASE_NAME: &str = "{hostname}-{job}";
const DATE_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";
const ENCRYPTION_MODE: &str = "repokey-blake2";
const START_AT: &str = "daily";
const MINUTE: Duration = Duration::from_mins(1);
const WAIT: Duration = Duration::from_mins(10);
const DRILL_EVERY: Duration = Duration::from_hours(7 * 24);
const DRILL_BUDGET: Duration = Duration::from_mins(5);
const ATTEMPTS: u32 = 4;
const RETRY_LONGEST: Duration = Duration::from_mins(30);
/// Variables by which a passphrase may come.
const PASSPHRASE_VARIABLES: &[&str] = &[
    "BORG_PASSPHRASE",
    "BORG_PASSCOMMAND",
    "BORG_PASSPHRASE_FD",
    "IRONBORG_PASSPHRASE_FILE",
];

/// Puts a job's settings over the defaults. Where one thing is said in one of several ways, what the job says takes the
/// place of the defaults whichever way they chose.
pub(super) fn layer(own: JobSettings, mut defaults: JobSettings) -> JobSettings {
    if own.dump_command.is_given() {
        defaults.paths = Field::default();
        defaults.exclude = Field::default();
        defaults.patterns = Field::default();
    }
    if own.paths.is_given() {
        defaults.dump_command = Field::default();
    }
    if own.repo.is_given() || own.repos.is_given() {
        defaults.repo = Field::default();
        defaults.repos = Field::default();
    }
    if own.encryption.get().is_some_and(has_source) {
        defaults.encryption = defaults.encryption.map(without_source);
    }
    own.over(defaults)
}

fn has_source(encryption: &EncryptionSettings) -> bool {
    encryption.pass_command.is_given()
        || encryption.passphrase.is_given()
        || encryption.passphrase_file.is_given()
        || encryption.credential.is_given()
}

fn without_source(encryption: EncryptionSettings) -> EncryptionSettings {
    EncryptionSettings {
        mode: encryption.mode,
        ..EncryptionSettings::default()
    }
}

/// Settles one job.
pub(super) struct Settling<'r> {
    /// Where mistakes are noted.
    pub(super) reading: &'r Reading<'r>,
    /// The job's name.
    pub(super) name: &'r str,
    /// Where it begins.
    pub(super) place: &'r Place,
    /// Names of the notifiers.
    pub(super) notifiers: &'r BTreeSet<String>,
}

impl Settling<'_> {
    /// Nothing, if something necessary is missing or wrong; that has been noted then.
    pub(super) fn settle(&self, settings: &JobSettings) -> Option<Job> {
        let source = self.source(settings);
        let targets = self.targets(settings);
        let archive = self.archive(settings);
        let prune = self.prune(settings);
        let notify = self.notify(settings);
        Some(Job {
            name: self.name.to_owned(),
            source: source?,
            targets: targets?,
            archive: archive?,
            compression: settings.compression.get().map(|it| it.0.clone()),
            arguments: arguments(settings),
            environment: settings.environment.cloned().unwrap_or_default().0,
            schedule: schedule(settings),
            conditions: conditions(settings),
            retry: retry(settings),
            prune,
            compact: settings.compact.cloned().unwrap_or(true),
            checks: checks(settings),
            hooks: hooks(settings),
            user: settings.user.cloned().map(|it| it.0),
            group: settings.group.cloned().map(|it| it.0),
            read_write_paths: settings
                .read_write_paths
                .get()
                .map(|paths| paths.iter().map(|path| path.0.clone()).collect())
                .unwrap_or_default(),
            private_tmp: settings.private_tmp.cloned().unwrap_or(true),
            removable_device: settings.removable_device.cloned().unwrap_or(false),
            inhibits_sleep: settings.inhibits_sleep.cloned().unwrap_or(false),
            fail_on_warnings: settings.fail_on_warnings.cloned().unwrap_or(false),
            init: settings.do_init.cloned().unwrap_or(true),
            nice: settings.nice.get().and_then(|it| i32::try_from(it.0).ok()),
            io: settings.io.get().map(|it| io_priority(&it.0)),
            notify,
        })
    }

    fn error(&self, place: &Place, message: impl Into<String>) {
        self.reading.error(place, message);
    }

    fn here(&self, message: impl Into<String>) {
        self.error(self.place, message);
    }

    fn source(&self, settings: &JobSettings) -> Option<Source> {
        if let Some(command) = settings.dump_command.place() {
            if settings.paths.is_given() {
                self.error(command, "`paths` and `dump_command` exclude each other");
            }
            let patterns = [settings.exclude.place(), settings.patterns.place()];
            for place in patterns.into_iter().flatten() {
                self.error(
                    place,
                    "there is nothing to exclude from the output of a command",
                );
            }
            return settings
                .dump_command
                .cloned()
                .map(|it| Source::Command(it.0));
        }
        let Some(place) = settings.paths.place() else {
            self.here("`paths` is missing (or `dump_command`): what is to be backed up?");
            return None;
        };
        let paths: Vec<_> = settings
            .paths
            .get()?
            .0
            .iter()
            .map(|path| path.0.clone())
            .collect();
        if paths.is_empty() {
            self.error(place, "there has to be a path at least");
            return None;
        }
        let excludes = settings.exclude.get().map_or(&[][..], Vec::as_slice);
        let patterns = settings.patterns.get().map_or(&[][..], Vec::as_slice);
        Some(Source::Paths {
            exclude: excludes
                .iter()
                .flat_map(|it| it.for_paths(&paths))
                .collect(),
            patterns: patterns.iter().map(|it| it.0.clone()).collect(),
            paths,
        })
    }

    fn targets(&self, settings: &JobSettings) -> Option<Vec<Target>> {
        if let (Some(_), Some(place)) = (settings.repo.place(), settings.repos.place()) {
            self.error(place, "`repo` and `repos` exclude each other");
            return None;
        }
        let single = settings.repo.is_given().then(|| {
            vec![RepoTable {
                url: settings.repo.clone(),
                ..RepoTable::default()
            }]
        });
        let tables = match (single, settings.repos.located()) {
            (Some(single), _) => single,
            (None, Some((repos, place))) => {
                if repos.is_empty() {
                    self.error(place, "there has to be a repository at least");
                }
                repos.iter().map(|repo| repo.0.clone()).collect()
            }
            (None, None) => {
                if !settings.repos.is_given() {
                    self.here("`repo` is missing (or `repos`): where is it to be backed up to?");
                }
                return None;
            }
        };
        let mut targets: Vec<Target> = Vec::new();
        for table in &tables {
            let target = self.target(settings, table, &targets)?;
            targets.push(target);
        }
        (!targets.is_empty()).then_some(targets)
    }

    fn target(
        &self,
        settings: &JobSettings,
        table: &RepoTable,
        others: &[Target],
    ) -> Option<Target> {
        let (url, place) = table.url.located()?;
        let repository = self.with_job(&url.0);
        let repository = match (repository.strip_prefix("~/"), self.reading.home()) {
            (Some(below), Some(home)) => home.join(below).to_string_lossy().into_owned(),
            _ => repository,
        };
        let location = match Location::parse(&repository) {
            Ok(location) => location,
            Err(message) => {
                self.error(place, message);
                return None;
            }
        };
        if others.iter().any(|other| other.repository == repository) {
            self.error(place, "this repository is there twice");
            return None;
        }
        if let (Some((true, device)), true) =
            (settings.removable_device.located(), location.is_remote())
        {
            self.error(
                device,
                "a repository on another host cannot be on a removable device",
            );
        }
        let encryption = match table.encryption.get() {
            Some(own) if has_source(own) => table
                .encryption
                .clone()
                .merged(settings.encryption.clone().map(without_source)),
            _ => table.encryption.clone().merged(settings.encryption.clone()),
        };
        let encryption = encryption.cloned().unwrap_or_default();
        let environment = table.environment.cloned().unwrap_or_default().0;
        let passphrase = self.passphrase(settings, &environment, &encryption, place);
        let mode = encryption.mode.cloned();
        let label = self.label(table, location, others)?;
        Some(Target {
            label,
            encryption: mode.map_or_else(|| ENCRYPTION_MODE.to_owned(), |mode| mode.0),
            passphrase,
            environment,
            repository,
        })
    }

    fn label(
        &self,
        table: &RepoTable,
        location: Location<'_>,
        others: &[Target],
    ) -> Option<String> {
        let taken = |label: &str| others.iter().any(|other| other.label == label);
        if let Some((label, place)) = table.label.located() {
            if taken(&label.0) {
                self.error(place, "another repository of the job is called so already");
                return None;
            }
            return Some(label.0.clone());
        }
        let label = location.label();
        if !taken(&label) {
            return Some(label);
        }
        let with_host = format!("{}-{label}", location.host_label());
        let numbered = (2..).map(|number| format!("{label}-{number}"));
        std::iter::once(with_host)
            .chain(numbered)
            .find(|label| !taken(label))
    }

    fn passphrase(
        &self,
        settings: &JobSettings,
        environment: &std::collections::BTreeMap<String, String>,
        encryption: &EncryptionSettings,
        place: &Place,
    ) -> Option<Passphrase> {
        let sources = [
            ("pass_command", encryption.pass_command.place()),
            ("passphrase", encryption.passphrase.place()),
            ("passphrase_file", encryption.passphrase_file.place()),
            ("credential", encryption.credential.place()),
        ];
        let mut given = sources
            .iter()
            .filter_map(|(key, place)| Some((*key, (*place)?)));
        if let (Some((first, _)), Some((_, second))) = (given.next(), given.next()) {
            let message = format!("`{first}` says already where the passphrase comes from");
            self.error(second, message);
            return None;
        }
        let in_environment = |name: &&&str| {
            let job = settings.environment.get();
            job.is_some_and(|it| it.0.contains_key(**name)) || environment.contains_key(**name)
        };
        let variable = PASSPHRASE_VARIABLES.iter().find(in_environment);
        if let (Some(name), Some(source)) = (variable, given_place(encryption)) {
            self.error(source, format!("{name} in `environment` says so already"));
        }
        let encrypts = encryption.mode.get().is_none_or(|mode| mode.0 != "none");
        if encrypts && variable.is_none() && !has_source(encryption) {
            let message = "no passphrase is given, and a run that nobody watches cannot ask for it; see `encryption`";
            self.reading.remark(place, message);
        }
        let command = encryption
            .pass_command
            .cloned()
            .map(|it| Passphrase::Command(it.0));
        let text = encryption
            .passphrase
            .cloned()
            .map(|it| Passphrase::Text(it.0));
        let file = encryption
            .passphrase_file
            .cloned()
            .map(|it| Passphrase::File(it.0));
        let credential = encryption
            .credential
            .cloned()
            .map(|it| Passphrase::Credential(it.0));
        command.or(text).or(file).or(credential)
    }

    fn archive(&self, settings: &JobSettings) -> Option<ArchiveNaming> {
        let base = settings.archive_base_name.located();
        let (base, place) = base.map_or((BASE_NAME, self.place), |(base, place)| {
            (base.as_str(), place)
        });
        let base = self.with_job(base);
        if base.contains('/') || base.contains("::") || base.contains(char::is_control) {
            self.error(
                place,
                "the name of an archive must not have \"/\" or \"::\" in it",
            );
            return None;
        }
        let format = settings.date_format.located();
        let (format, format_place) = format.map_or((DATE_FORMAT, place), |(format, place)| {
            (format.as_str(), place)
        });
        let (utc, format) = match format.strip_prefix("-u ") {
            Some(format) => (true, format.trim_start()),
            None => (false, format),
        };
        let format = format.strip_prefix('+').unwrap_or(format);
        let date_format = (!format.is_empty()).then(|| format.to_owned());
        if format.is_empty()
            && !CHANGING
                .iter()
                .any(|placeholder| base.contains(placeholder))
        {
            let message = "without a date in it all archives would have the same name";
            self.error(format_place, message);
            return None;
        }
        let failed_suffix = settings.append_failed_suffix.cloned().unwrap_or(true);
        if failed_suffix && base.contains("{uuid4}") {
            self.error(
                place,
                "each command has another {uuid4}: the archive would not be found to take \".failed\" off its name; \
                 set append_failed_suffix = false",
            );
            return None;
        }
        let naming = ArchiveNaming {
            base,
            date_format,
            utc,
            failed_suffix,
        };
        let some_day = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
        if let Err(error) = plan::archive_name(&naming, &some_day) {
            self.error(format_place, error.to_string());
            return None;
        }
        Some(naming)
    }

    fn prune(&self, settings: &JobSettings) -> Option<Prune> {
        let prune = settings.prune.get()?;
        let (Keep(keep), place) = prune.keep.located()?;
        if keep.is_empty() {
            return None;
        }
        if keep.iter().all(|(_, value)| value == "0") {
            self.error(place, "no archive would be kept");
            return None;
        }
        Some(Prune {
            keep: keep.clone(),
            prefix: prune.prefix.get().map(|prefix| self.with_job(prefix)),
        })
    }

    fn notify(&self, settings: &JobSettings) -> Notify {
        let given = settings.notify.cloned().unwrap_or_default().0;
        let by: Vec<String> = given
            .by
            .get()
            .map(|OneOrMany(names)| names.iter().map(|name| name.0.clone()).collect())
            .unwrap_or_default();
        if let Some(place) = given.by.place() {
            let known: Vec<&str> = self.notifiers.iter().map(String::as_str).collect();
            for name in by.iter().filter(|name| !self.notifiers.contains(*name)) {
                let shown = super::document::shorten(name);
                let hint = super::nearest::nearest(name, &known);
                let hint = hint.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
                self.error(place, format!("there is no table [notify.{shown}]{hint}"));
            }
        }
        Notify {
            by,
            failure: given.failure.cloned().unwrap_or(true),
            recovery: given.recovery.cloned().unwrap_or(true),
            success: given.success.cloned().unwrap_or(false),
            max_age: given.max_age.cloned().map(|it| it.0),
        }
    }

    fn with_job(&self, text: &str) -> String {
        text.replace(JOB_PLACEHOLDER, self.name)
    }
}

fn given_place(encryption: &EncryptionSettings) -> Option<&Place> {
    let places = [
        encryption.pass_command.place(),
        encryption.passphrase.place(),
        encryption.passphrase_file.place(),
        encryption.credential.place(),
    ];
    places.into_iter().flatten().next()
}

/// Placeholders whose values change from run to run.
const CHANGING: &[&str] = &["{now", "{utcnow", "{uuid4}"];

fn words(field: &Field<Words>) -> Vec<String> {
    field.cloned().map(|it| it.0).unwrap_or_default()
}

fn arguments(settings: &JobSettings) -> Arguments {
    Arguments {
        all: words(&settings.extra_args),
        init: words(&settings.extra_init_args),
        create: words(&settings.extra_create_args),
        prune: words(&settings.extra_prune_args),
        compact: words(&settings.extra_compact_args),
        check: words(&settings.extra_check_args),
    }
}

fn schedule(settings: &JobSettings) -> Schedule {
    let start_at = match settings.start_at.get() {
        Some(OneOrMany(expressions)) => expressions.iter().map(|it| it.0.clone()).collect(),
        None => vec![START_AT.to_owned()],
    };
    Schedule {
        start_at,
        persistent: settings.persistent_timer.cloned().unwrap_or(true),
        random_delay: settings
            .random_delay
            .get()
            .map_or(Duration::ZERO, |it| it.0),
    }
}

fn conditions(settings: &JobSettings) -> Conditions {
    let given = settings.conditions.cloned().unwrap_or_default();
    Conditions {
        reachable: given.reachable.cloned().unwrap_or(true),
        online: given.online.cloned().unwrap_or(false),
        metered: given.metered.cloned().unwrap_or(true),
        ac_power: given.ac_power.cloned().unwrap_or(false),
        paths: given
            .paths
            .cloned()
            .map(|OneOrMany(paths)| paths.into_iter().map(|path| path.0).collect())
            .unwrap_or_default(),
        wait: given.wait.get().map_or(WAIT, |it| it.0),
    }
}

fn retry(settings: &JobSettings) -> Retry {
    let given = settings.retry.cloned().unwrap_or_default();
    let attempts = given.attempts.get().and_then(|it| u32::try_from(it.0).ok());
    let first = given.first.get().map_or(MINUTE, |it| it.0);
    Retry {
        attempts: attempts.unwrap_or(ATTEMPTS),
        first,
        longest: given
            .longest
            .get()
            .map_or(RETRY_LONGEST, |it| it.0)
            .max(first),
    }
}

fn checks(settings: &JobSettings) -> Checks {
    let given = settings.checks.cloned().unwrap_or_default();
    let drill = given.drill.cloned().map(|drill| Drill {
        every: drill.0.every.get().map_or(DRILL_EVERY, |it| it.0),
        budget: drill.0.budget.get().map_or(DRILL_BUDGET, |it| it.0),
    });
    Checks {
        repository: given.repository.cloned().map(|it| it.0),
        data: given.data.cloned().map(|it| it.0),
        drill,
    }
}

fn hooks(settings: &JobSettings) -> Hooks {
    // An empty script takes one of the defaults away.
    let script = |field: &Field<String>| field.cloned().filter(|script| !script.trim().is_empty());
    Hooks {
        pre: script(&settings.pre_hook),
        post_init: script(&settings.post_init),
        post_create: script(&settings.post_create),
        post_prune: script(&settings.post_prune),
        post: script(&settings.post_hook),
        on_failure: script(&settings.on_failure),
    }
}

fn io_priority(text: &str) -> IoPriority {
    match text.split_once(':') {
        Some((_, level)) => IoPriority::BestEffort(level.parse().unwrap_or(4)),
        None if text == "idle" => IoPriority::Idle,
        None => IoPriority::BestEffort(4),
    }
}
