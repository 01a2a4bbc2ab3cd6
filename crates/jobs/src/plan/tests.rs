//! Which words a job becomes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::job::{
    ArchiveNaming, Arguments, Checks, Conditions, Drill, Hooks, Notify, Prune, Retry, Schedule,
};

fn job() -> Job {
    Job {
        name: "home".to_owned(),
        source: Source::Paths {
            paths: vec![PathBuf::from("/home/me"), PathBuf::from("/srv/-x {y}")],
            exclude: vec!["/home/me/.cache".to_owned(), "-odd".to_owned()],
            patterns: vec!["+ /home/me/keep".to_owned()],
        },
        targets: Vec::new(),
        archive: ArchiveNaming {
            base: "home".to_owned(),
            date_format: Some("%F".to_owned()),
            utc: false,
            failed_suffix: false,
        },
        compression: None,
        arguments: Arguments::default(),
        environment: BTreeMap::new(),
        schedule: Schedule::default(),
        conditions: Conditions {
            reachable: false,
            online: false,
            metered: true,
            ac_power: false,
            paths: Vec::new(),
            wait: Duration::ZERO,
        },
        retry: Retry {
            attempts: 1,
            first: Duration::ZERO,
            longest: Duration::ZERO,
        },
        prune: None,
        compact: false,
        checks: Checks::default(),
        hooks: Hooks::default(),
        user: None,
        group: None,
        read_write_paths: Vec::new(),
        private_tmp: true,
        removable_device: false,
        inhibits_sleep: false,
        fail_on_warnings: true,
        init: false,
        nice: None,
        io: None,
        notify: Notify::default(),
    }
}

fn target() -> Target {
    Target {
        label: "local".to_owned(),
        repository: "/backup".to_owned(),
        encryption: "repokey-blake2".to_owned(),
        passphrase: None,
        environment: BTreeMap::new(),
    }
}

/// The order as lines: names and words.
fn lines(job: &Job, due: DueChecks) -> Vec<String> {
    let order = order(job, &target(), due, "home-2024-02-29");
    let line = |step: &Step| match step {
        Step::Command { name, words } => format!("{name}: {}", words.join(" ")),
        Step::Hook { name, script } => format!("{name}! {script}"),
        Step::Drill {
            budget,
            archives,
            paths,
        } => format!("drill: {budget} {archives} {}", paths.join(" ")),
    };
    order.steps.iter().map(line).collect()
}

#[test]
fn a_plain_job_only_makes_an_archive() {
    assert_eq!(
        lines(&job(), DueChecks::default()),
        [
            "create: create --exclude=/home/me/.cache --exclude=-odd --pattern=+ /home/me/keep -- ::home-2024-02-29 \
          /home/me /srv/-x {y}"
        ]
    );
}

#[test]
fn everything_comes_in_order_with_the_words_of_the_user_behind_ours() {
    let mut job = job();
    job.source = Source::Paths {
        paths: vec![PathBuf::from("/home/me")],
        exclude: Vec::new(),
        patterns: Vec::new(),
    };
    job.init = true;
    job.archive.failed_suffix = true;
    job.compression = Some("zstd,1".to_owned());
    let word = |word: &str| vec![word.to_owned()];
    job.arguments = Arguments {
        all: word("--lock-wait=9"),
        init: word("--append-only"),
        create: word("--stats"),
        prune: word("--list"),
        compact: word("--threshold=1"),
        check: word("--last=3"),
    };
    job.prune = Some(Prune {
        keep: vec![
            ("within".to_owned(), "1d".to_owned()),
            ("monthly".to_owned(), "-1".to_owned()),
        ],
        prefix: None,
    });
    job.compact = true;
    let script = |text: &str| Some(text.to_owned());
    job.hooks = Hooks {
        pre: script("pre"),
        post_init: script("made"),
        post_create: script("stored"),
        post_prune: script("pruned"),
        post: script("post"),
        on_failure: script("failed"),
    };
    job.checks.drill = Some(Drill {
        every: Duration::ZERO,
        budget: Duration::from_mins(5),
    });
    let due = DueChecks {
        repository: true,
        data: false,
        drill: true,
    };
    let glob = "home-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*";
    assert_eq!(
        lines(&job, due),
        [
            "init: init --lock-wait=9 --encryption=repokey-blake2 --append-only",
            "post-init! made",
            "create: create --lock-wait=9 --compression=zstd,1 --stats -- ::home-2024-02-29.failed /home/me",
            "rename: rename --lock-wait=9 -- ::home-2024-02-29.failed home-2024-02-29",
            "post-create! stored",
            &format!(
                "prune: prune --lock-wait=9 --keep-within=1d --keep-monthly=-1 --glob-archives={glob} --list"
            ),
            "compact: compact --lock-wait=9 --threshold=1",
            "post-prune! pruned",
            "check: check --lock-wait=9 --last=3",
            &format!("drill: 300 {glob} /home/me"),
        ]
    );
    let all = order(&job, &target(), due, "a");
    assert_eq!(all.remaining(3).steps.first().unwrap().name(), "rename");
    assert_eq!(all.remaining(99).steps, []);
}

#[test]
fn a_check_of_the_data_is_one_of_the_repository_too() {
    let due = DueChecks {
        repository: true,
        data: true,
        drill: true,
    };
    assert_eq!(lines(&job(), due)[1..], ["check-data: check --verify-data"]);
}

#[test]
fn a_prefix_says_what_is_pruned() {
    let mut job = job();
    let mut last = |prefix: &str| {
        job.prune = Some(Prune {
            keep: vec![("daily".to_owned(), "7".to_owned())],
            prefix: Some(prefix.to_owned()),
        });
        lines(&job, DueChecks::default()).pop().unwrap()
    };
    assert_eq!(
        last("ho"),
        "prune: prune --keep-daily=7 --glob-archives=ho*"
    );
    assert_eq!(last(""), "prune: prune --keep-daily=7");
}

#[test]
fn what_a_command_prints_is_stored_only_if_it_succeeds() {
    let mut job = job();
    job.source = Source::Command("pg_dumpall | gzip".to_owned());
    let order = order(&job, &target(), DueChecks::default(), "db");
    let Step::Command { words, .. } = &order.steps[0] else {
        panic!("{order:?}");
    };
    let [create, option, end, archive, shell @ ..] = words.as_slice() else {
        panic!("{words:?}");
    };
    assert_eq!(
        [create, option, end, archive],
        ["create", "--content-from-command", "--", "::db"]
    );
    assert_eq!(shell, ["sh", "-c", PIPEFAIL, "sh", "pg_dumpall | gzip"]);
}

#[test]
fn an_order_survives_the_pipe() {
    let mut job = job();
    job.hooks.post_create = Some("echo \"$archiveName\"\n".to_owned());
    let order = order(&job, &target(), DueChecks::default(), "a");
    let line = serde_json::to_string(&order).unwrap();
    assert!(!line.contains('\n'));
    assert_eq!(serde_json::from_str::<WorkOrder>(&line).unwrap(), order);
}
