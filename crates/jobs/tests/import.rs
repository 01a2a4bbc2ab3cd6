//! Configurations of borgmatic, old and new: what they come to, and that nothing is dropped without a word.

// A set-up that fails is a failed test, and the line says which.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use ironborg_jobs::config;
use ironborg_jobs::import::{ImportError, Imported, borgmatic};
use ironborg_jobs::job::{Job, Jobs, Passphrase, Secret, Source, Way};
use proptest::prelude::*;

/// Every key of borgmatic 2.1, each with a value of its kind.
const KEYS: &str = include_str!("testdata/borgmatic-keys.txt");

fn import(yaml: &str) -> (Imported, Jobs) {
    let imported = borgmatic::translate(yaml, "home").unwrap();
    let files = [(PathBuf::from("jobs.toml"), imported.toml.clone())];
    let jobs = config::load_for(&files, Some(Path::new("/home/me")));
    let jobs = jobs.unwrap_or_else(|errors| panic!("{errors}\n{}", imported.toml));
    (imported, jobs)
}

fn only(jobs: &Jobs) -> &Job {
    assert_eq!(jobs.jobs.len(), 1);
    &jobs.jobs[0]
}

const FLAT: &str = r#"
constants:
    user: me
source_directories:
    - /home/{user}
    - /etc
repositories:
    - path: ssh://u@backup.example.com/./home.borg
      label: far
      encryption: repokey-blake2
      append_only: true
    - path: /mnt/backup.borg
      label: near
one_file_system: true
ctime: false
exclude_patterns:
    - '*.pyc'
    - sh:home/*/.cache
exclude_if_present:
    - .nobackup
encryption_passcommand: pass show borg
compression: auto,zstd
retries: 5
retry_wait: 10
ssh_command: ssh -i /home/me/.ssh/id
remote_path: borg1
umask: 0077
lock_wait: 5
archive_name_format: '{hostname}-docs-{now}'
keep_within: 3H
keep_daily: 7
keep_monthly: 6
checks:
    - name: repository
      frequency: 2 weeks
    - name: archives
      frequency: 1 week
    - name: data
      frequency: 1 month
    - name: extract
      frequency: 3 months
check_last: 3
extra_borg_options:
    create: --comment 'a comment'
    list: --short
commands:
    - before: action
      when: [create]
      run:
          - echo before
    - after: error
      run:
          - 'echo "Failed: {error}"'
    - after: action
      when: [check]
      run: [echo checked]
postgresql_databases:
    - name: users
ntfy:
    topic: my-topic
    server: https://ntfy.example.com
    states: [fail, finish]
healthchecks:
    ping_url: https://hc.example.com/uuid
    verify_tls: false
"#;

#[test]
fn a_flat_configuration_is_translated() {
    let (imported, jobs) = import(FLAT);
    let job = only(&jobs);
    let Source::Paths { paths, exclude, .. } = &job.source else {
        panic!("{:?}", job.source);
    };
    assert_eq!(
        paths,
        &["/home/me", "/etc"].map(PathBuf::from),
        "constants are put in"
    );
    assert_eq!(exclude, &["*.pyc", "sh:home/*/.cache"]);
    let labels: Vec<_> = job
        .targets
        .iter()
        .map(|it| (it.label.as_str(), it.repository.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("far", "ssh://u@backup.example.com/./home.borg"),
            ("near", "/mnt/backup.borg")
        ]
    );
    for target in &job.targets {
        assert_eq!(
            target.passphrase,
            Some(Passphrase::Command("pass show borg".into()))
        );
    }
    assert_eq!(
        job.arguments.create,
        [
            "--one-file-system",
            "--noctime",
            "--exclude-if-present",
            ".nobackup",
            "--comment",
            "a comment"
        ]
    );
    assert_eq!(job.arguments.all, ["--umask", "77", "--lock-wait", "5"]);
    assert_eq!(job.arguments.init, ["--append-only"]);
    assert_eq!(job.arguments.check, ["--last", "3"]);
    assert_eq!(job.environment["BORG_RSH"], "ssh -i /home/me/.ssh/id");
    assert_eq!(job.environment["BORG_REMOTE_PATH"], "borg1");
    assert_eq!(job.archive.base, "{hostname}-docs-{now}");
    assert_eq!(job.archive.date_format, None);
    assert_eq!(job.retry.attempts, 6);
    assert_eq!(job.retry.first, Duration::from_secs(10));
    let rules: Vec<_> = job
        .prune
        .as_ref()
        .unwrap()
        .keep
        .iter()
        .map(|(rule, value)| format!("{rule} {value}"))
        .collect();
    assert_eq!(rules, ["within 3H", "daily 7", "monthly 6"]);
    assert_eq!(
        job.checks.repository,
        Some(Duration::from_hours(7 * 24)),
        "the more frequent of both"
    );
    assert!(job.checks.data.is_some() && job.checks.drill.is_some());
    assert_eq!(job.hooks.pre.as_deref(), Some("echo before"));
    assert_eq!(
        job.hooks.on_failure.as_deref(),
        Some("echo \"Failed: {error}\"")
    );
    assert!(!job.init && job.notify.success);
    let Way::Ntfy { url, .. } = &jobs.notifiers["ntfy"].way else {
        panic!("{:?}", jobs.notifiers["ntfy"].way);
    };
    assert!(*url == Secret::Text("https://ntfy.example.com/my-topic".into()));
    let left: Vec<&str> = imported.left.iter().map(|left| left.key.as_str()).collect();
    for key in [
        "extra_borg_options.list",
        "commands[1]",
        "commands[2]",
        "postgresql_databases",
        "healthchecks.verify_tls",
        "(schedule)",
    ] {
        assert!(left.contains(&key), "{key} is not among {left:?}");
    }
    for left in &imported.left {
        let comment = format!("#   {}: {}", left.key, left.reason);
        assert!(
            imported.toml.contains(&comment),
            "{comment}\n{}",
            imported.toml
        );
    }
}

#[test]
fn a_configuration_in_sections_is_translated() {
    let (imported, jobs) = import(
        r#"
location:
    source_directories: [/home, /var/www*]
    repositories:
        - user@backup.example.com:sourcehostname.borg
    numeric_owner: true
    working_directory: /srv
storage:
    encryption_passphrase: "secret"
    archive_name_format: '{hostname}-{now}'
retention:
    keep_daily: 7
    prefix: '{hostname}-'
consistency:
    checks: [disabled]
    prefix: '{hostname}-'
hooks:
    before_backup:
        - echo start
    after_backup: [echo done]
    on_error:
        - echo failed
    healthchecks: https://hc.example.com/uuid
"#,
    );
    let job = only(&jobs);
    assert_eq!(
        job.targets[0].repository,
        "user@backup.example.com:sourcehostname.borg"
    );
    assert_eq!(
        job.targets[0].passphrase,
        Some(Passphrase::Text("secret".into()))
    );
    assert_eq!(job.arguments.create, ["--numeric-ids"]);
    assert_eq!(job.checks.repository, None);
    assert_eq!(
        job.prune.as_ref().unwrap().prefix.as_deref(),
        Some("{hostname}-")
    );
    assert_eq!(job.hooks.post_create.as_deref(), Some("echo done"));
    assert!(matches!(
        &jobs.notifiers["healthchecks"].way,
        Way::Healthchecks { .. }
    ));
    let pattern = imported
        .left
        .iter()
        .find(|left| left.reason.contains("/var/www*"));
    assert!(
        pattern.is_some(),
        "what borgmatic expands is named: {:?}",
        imported.left
    );
}

#[test]
fn what_borgmatic_does_unless_told_otherwise_is_done() {
    let (_, jobs) = import("source_directories: [/a]\nrepositories:\n    - path: /r\n");
    let job = only(&jobs);
    assert_eq!(
        job.checks.repository,
        Some(Duration::from_mins(43_830)),
        "monthly"
    );
    assert_eq!(job.archive.base, "{hostname}-{now:%Y-%m-%dT%H:%M:%S.%f}");
    assert!(job.prune.is_none(), "nothing is deleted without a rule");
    let (_, jobs) = import(
        "patterns: ['R /a', '- *.o']\nrepositories: [{path: /r}]\nkeep_daily: 1\nskip_actions: [prune, compact, check]\n",
    );
    let job = only(&jobs);
    assert!(job.prune.is_none() && !job.compact && job.checks.repository.is_none());
    let Source::Paths {
        paths, patterns, ..
    } = &job.source
    else {
        panic!("{:?}", job.source);
    };
    assert_eq!(
        (paths.len(), patterns.len()),
        (1, 1),
        "roots among the patterns are paths"
    );
}

/// Keys that say how the tables of others are read, or what is there already if nothing is said.
const SILENT: &[&str] = &[
    "constants",
    "verbosity",
    "ctime",
    "birthtime",
    "flags",
    "skip_actions",
    "check_last",
    "extra_borg_options",
];

#[test]
fn no_key_is_dropped_without_a_word() {
    let mut looked_at = 0;
    for line in KEYS.lines() {
        let key = line.split(':').next().unwrap();
        let base = "source_directories: [/a]\nrepositories: [{path: /r}]\nkeep_secondly: 1\n";
        let without = borgmatic::translate(base, "x").unwrap();
        let with = borgmatic::translate(&format!("{base}{line}\n"), "x").unwrap();
        let reasons: Vec<_> = with
            .left
            .iter()
            .filter(|left| left.key.starts_with(key))
            .collect();
        assert!(
            !reasons
                .iter()
                .any(|left| left.reason.contains("no such key")),
            "{key} is not known"
        );
        let changes = with.toml != without.toml;
        assert!(changes || SILENT.contains(&key), "{key} leaves no trace");
        looked_at += 1;
    }
    assert!(looked_at > 130, "{looked_at}");
    let unknown = borgmatic::translate("no_such_key: 1\n", "x").unwrap();
    assert!(unknown.left.iter().any(|left| left.key == "no_such_key"));
}

#[test]
fn what_is_no_configuration_is_refused() {
    assert_eq!(
        borgmatic::translate("- a\n", "x"),
        Err(ImportError::NoTable)
    );
    assert_eq!(borgmatic::translate("", "x"), Err(ImportError::NoTable));
    let wrong = borgmatic::translate("a: [\nb: }", "x").unwrap_err();
    assert!(wrong.to_string().starts_with("line 2, column "), "{wrong}");
}

proptest! {
    /// Whatever the values are, there is TOML that can be read.
    #[test]
    fn what_is_written_is_toml(lines in prop::collection::vec((0_usize..136, value()), 0..8)) {
        let keys: Vec<&str> = KEYS.lines().map(|line| line.split(':').next().unwrap()).collect();
        let yaml: Vec<String> = lines.iter().map(|(key, value)| format!("{}: {value}\n", keys[*key % keys.len()])).collect();
        let yaml = yaml.concat();
        if let Ok(imported) = borgmatic::translate(&yaml, "x") {
            let errors = config::load(&[(PathBuf::from("jobs.toml"), imported.toml.clone())]);
            let errors = errors.err().map_or(String::new(), |errors| errors.to_string());
            for words in ["duplicate key", "expected `", "invalid", "unclosed", "unknown key"] {
                prop_assert!(!errors.contains(words), "{errors}\n{}", imported.toml);
            }
        }
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|value| value.to_string()),
        "[a-z/*{}$ \\\\\"']{0,12}".prop_map(|text| format!("{text:?}")),
        "[a-z/*{}$]{0,12}".prop_map(|text| format!("[{text:?}, {text:?}]")),
        "[a-z]{1,8}".prop_map(|text| format!(
            "{{path: /{text}, label: {text}, name: {text}, run: [{text}], topic: {text}}}"
        )),
        Just("[{path: /r, label: \"a b\"}, {name: data, frequency: x}]".to_owned()),
    ]
}
