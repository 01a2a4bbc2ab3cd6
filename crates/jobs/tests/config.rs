//! Configuration files as people write them: what they come to, and what is said of mistakes.

// A set-up that fails is a failed test, and the line says which.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use ironborg_jobs::config;
use ironborg_jobs::job::{IoPriority, Job, Jobs, MailTransport, Passphrase, Secret, Source, Way};
use proptest::prelude::*;

fn file(path: &str, text: &str) -> (PathBuf, String) {
    (PathBuf::from(path), text.to_owned())
}

fn load(text: &str) -> Jobs {
    config::load(&[file("jobs.toml", text)]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn job(text: &str) -> Job {
    load(text).jobs.into_iter().next().unwrap()
}

/// Every line that is said about a text.
fn errors(text: &str) -> Vec<String> {
    let refused = config::load(&[file("jobs.toml", text)]).expect_err("it is wrong");
    refused.to_string().lines().map(str::to_owned).collect()
}

/// The wiki's three jobs, short.
const WIKI: &str = r#"
[defaults]
user = "danbst"
repo = "ssh://user@example.com//media/backup/backups/station/{job}"
encryption.mode = "none"
compression = "zstd,1"
extra_create_args = "--verbose --stats --checkpoint-interval 600"
exclude = [
  "{path}/.cache", "{path}/*/cache2", "{path}/*/Cache", "{path}/.config/Slack/logs",
  "{path}/*/node_modules", "{path}/*/.venv",
]

[defaults.environment]
BORG_RSH = "ssh -o 'StrictHostKeyChecking=no' -i /home/danbst/.ssh/id_ed25519"
BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK = "yes"

[jobs.home-danbst]
paths = "/home/danbst"
exclude = ["/home/danbst/dev/company1", "/home/danbst/dev/company2", "{path}/Downloads"]

[jobs.home-danbst-downloads]
paths = "/home/danbst/Downloads"

[jobs.extra-drive-important]
paths = "/media/extra-drive/important"
"#;

#[test]
fn the_three_jobs_of_the_wiki_are_short() {
    let jobs = load(WIKI).jobs;
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "home-danbst",
            "home-danbst-downloads",
            "extra-drive-important"
        ],
        "in the order of the file"
    );
    let Source::Paths { paths, exclude, .. } = &jobs[0].source else {
        panic!("{:?}", jobs[0].source);
    };
    assert_eq!(paths, &[PathBuf::from("/home/danbst")]);
    assert_eq!(exclude.len(), 9, "those of the defaults, then its own");
    assert_eq!(exclude[0], "/home/danbst/.cache");
    assert_eq!(exclude[8], "/home/danbst/Downloads");
    for job in &jobs {
        assert_eq!(
            job.targets[0].repository,
            format!(
                "ssh://user@example.com//media/backup/backups/station/{}",
                job.name
            )
        );
        assert_eq!(job.targets[0].encryption, "none");
        assert_eq!(job.targets[0].label, job.name);
        assert_eq!(
            job.arguments.create,
            ["--verbose", "--stats", "--checkpoint-interval", "600"]
        );
        assert_eq!(job.environment.len(), 2);
        assert_eq!(job.archive.base, format!("{{hostname}}-{}", job.name));
        assert_eq!(
            job.archive.date_format.as_deref(),
            Some("%Y-%m-%dT%H:%M:%S")
        );
        assert_eq!(job.schedule.start_at, ["daily"]);
        assert!(job.schedule.persistent);
        assert_eq!(job.user.as_deref(), Some("danbst"));
        assert_eq!(job.compression.as_deref(), Some("zstd,1"));
    }
}

#[test]
fn every_key_arrives() {
    let jobs = load(
        r#"
metrics = "/var/lib/node_exporter"
[jobs.full]
paths = ["/a", "/b[1]"]
exclude = ["{path}/x", "re:^{path}/y", "pp:{path}/z", "*.o"]
patterns = ["+ /a/keep", "- /a/*"]
repos = [
  "/srv/one",
  { url = "ssh://u@h:22/one", encryption = { passphrase_file = "/p" }, environment = { BORG_RSH = "ssh -x" } },
  { url = "h2:two", label = "far" },
]
encryption = { mode = "keyfile-blake2", pass_command = "pass show borg" }
compression = "auto,zstd,10"
archive_base_name = "{user}-{job}"
date_format = "-u +%s"
append_failed_suffix = false
start_at = ["Mon..Fri 12:30", "0 4 * * *"]
persistent_timer = false
random_delay = "15min"
inhibits_sleep = true
prune = { keep = { within = "1d", daily = 7, yearly = -1 }, prefix = "{user}-" }
compact = false
checks = { repository = "1 week", data = "1 month", drill = { every = "2 weeks", budget = "10min" } }
environment = { A = "b" }
pre_hook = "true"
post_init = "true 1"
post_create = "true 2"
post_prune = "true 3"
post_hook = "true 4"
on_failure = "true 5"
extra_args = ["--info"]
extra_init_args = "--make-parent-dirs"
extra_prune_args = ["--list"]
extra_compact_args = "--threshold 20"
extra_check_args = "--last '3'"
user = "u"
group = "g"
read_write_paths = ["/w"]
private_tmp = false
nice = 19
io = "best-effort:7"
conditions = { reachable = false, online = true, metered = false, ac_power = true, paths = "/mnt", wait = "1h" }
retry = { attempts = 2, first = "10s", longest = "1min" }
fail_on_warnings = true
do_init = false
notify = { by = ["mail", "hook"], failure = false, recovery = false, success = true, max_age = "26h" }
[notify.mail]
type = "mail"
from = "a@example.com"
to = "b@example.com"
smtp = { host = "mx", port = 25, security = "tls", user = "a", password_file = "/pw" }
[notify.hook]
type = "webhook"
url = "https://example.com/{job}"
headers = { X-Run = "{run}" }
token = "secret"
at_most_every = "1h"
"#,
    );
    let job = &jobs.jobs[0];
    let Source::Paths {
        exclude, patterns, ..
    } = &job.source
    else {
        panic!("{:?}", job.source);
    };
    assert_eq!(
        exclude,
        &[
            "/a/x",
            "/b[[]1]/x",
            "re:^/a/y",
            "re:^/b\\[1\\]/y",
            "pp:/a/z",
            "pp:/b[1]/z",
            "*.o"
        ],
        "a path stands for itself, whatever the style"
    );
    assert_eq!(patterns.len(), 2);
    let labels: Vec<&str> = job
        .targets
        .iter()
        .map(|target| target.label.as_str())
        .collect();
    assert_eq!(labels, ["one", "h-one", "far"]);
    assert_eq!(
        job.targets[0].passphrase,
        Some(Passphrase::Command("pass show borg".into()))
    );
    assert_eq!(
        job.targets[1].passphrase,
        Some(Passphrase::File("/p".into())),
        "its own source, not the job's as well"
    );
    assert_eq!(job.targets[1].encryption, "keyfile-blake2");
    assert_eq!(job.targets[1].environment["BORG_RSH"], "ssh -x");
    assert_eq!(job.archive.base, "{user}-full");
    assert!(job.archive.utc);
    assert_eq!(job.archive.date_format.as_deref(), Some("%s"));
    assert!(!job.archive.failed_suffix);
    assert_eq!(job.schedule.random_delay, Duration::from_mins(15));
    let prune = job.prune.as_ref().unwrap();
    let rule = |rule: &str, value: &str| (rule.to_owned(), value.to_owned());
    assert_eq!(
        prune.keep,
        [
            rule("within", "1d"),
            rule("daily", "7"),
            rule("yearly", "-1")
        ]
    );
    assert_eq!(prune.prefix.as_deref(), Some("{user}-"));
    assert!(!job.compact && !job.init && job.fail_on_warnings && job.inhibits_sleep);
    assert_eq!(job.checks.repository, Some(Duration::from_hours(7 * 24)));
    assert_eq!(
        job.checks.drill.as_ref().unwrap().budget,
        Duration::from_mins(10)
    );
    assert_eq!(job.hooks.on_failure.as_deref(), Some("true 5"));
    assert_eq!(job.arguments.check, ["--last", "3"]);
    assert_eq!(job.io, Some(IoPriority::BestEffort(7)));
    assert_eq!(job.nice, Some(19));
    assert_eq!(job.conditions.wait, Duration::from_hours(1));
    assert!(job.conditions.ac_power && job.conditions.online && !job.conditions.reachable);
    assert_eq!(job.retry.attempts, 2);
    assert_eq!(job.notify.max_age, Some(Duration::from_hours(26)));
    assert_eq!(
        jobs.metrics.as_deref(),
        Some(Path::new("/var/lib/node_exporter"))
    );
    let Way::Mail { to, transport, .. } = &jobs.notifiers["mail"].way else {
        panic!("{:?}", jobs.notifiers["mail"].way);
    };
    assert_eq!(to, &["b@example.com"]);
    let MailTransport::Smtp { port, login, .. } = transport else {
        panic!("{transport:?}");
    };
    assert_eq!(*port, Some(25));
    assert_eq!(login, &Some(("a".to_owned(), Secret::File("/pw".into()))));
    assert_eq!(
        jobs.notifiers["hook"].at_most_every,
        Duration::from_hours(1)
    );
    assert_eq!(jobs.secrets.len(), 1, "{:?}", jobs.secrets);
    assert_eq!(jobs.secrets[0].key, "notify.hook.token");
}

#[test]
fn lists_and_variables_add_to_the_defaults_and_all_else_takes_their_place() {
    let job = job(r#"
[defaults]
paths = "/default"
exclude = ["a"]
patterns = ["- b"]
environment = { A = "1", B = "1" }
extra_create_args = "--one"
read_write_paths = ["/x"]
prune.keep = { daily = 7, weekly = 4 }
prune.prefix = "p"
encryption = { mode = "repokey", pass_command = "c" }
conditions = { online = true, wait = "1h" }
pre_hook = "default"
[jobs.x]
paths = ["/own"]
exclude = ["c"]
repo = "/r"
environment = { B = "2" }
extra_create_args = ["--two"]
read_write_paths = ["/y"]
prune.keep = { last = 3 }
encryption.passphrase_file = "/p"
conditions.wait = "2h"
pre_hook = ""
"#);
    let Source::Paths {
        paths,
        exclude,
        patterns,
    } = &job.source
    else {
        panic!("{:?}", job.source);
    };
    assert_eq!(paths, &[PathBuf::from("/own")]);
    assert_eq!(exclude, &["a", "c"]);
    assert_eq!(patterns, &["- b"]);
    assert_eq!(job.environment["A"], "1");
    assert_eq!(job.environment["B"], "2");
    assert_eq!(job.arguments.create, ["--one", "--two"]);
    assert_eq!(job.read_write_paths, [PathBuf::from("/y")]);
    let prune = job.prune.unwrap();
    assert_eq!(
        prune.keep,
        [("last".to_owned(), "3".to_owned())],
        "rules belong together"
    );
    assert_eq!(prune.prefix.as_deref(), Some("p"));
    assert_eq!(job.targets[0].encryption, "repokey");
    assert_eq!(
        job.targets[0].passphrase,
        Some(Passphrase::File("/p".into()))
    );
    assert!(job.conditions.online);
    assert_eq!(job.conditions.wait, Duration::from_hours(2));
    assert_eq!(
        job.hooks.pre, None,
        "an empty script takes the default away"
    );
}

#[test]
fn a_command_takes_the_place_of_paths_and_patterns() {
    let job = job(
        "[defaults]\npaths = \"/a\"\nexclude = [\"x\"]\nrepo = \"/r\"\n[jobs.d]\ndump_command = \"pg_dump\"\n",
    );
    assert_eq!(job.source, Source::Command("pg_dump".into()));
}

#[test]
fn files_in_jobs_d_have_defaults_of_their_own() {
    let files = [
        file(
            "/e/jobs.toml",
            "[defaults]\nrepo = \"/r/{job}\"\nexclude = [\"all\"]\n[jobs.a]\npaths = \"/a\"\n",
        ),
        file(
            "/e/jobs.d/b.toml",
            "[defaults]\nexclude = [\"b\"]\nnice = 5\n[jobs.b]\npaths = \"/b\"\n",
        ),
        file("/e/jobs.d/c.toml", "[jobs.c]\npaths = \"/c\"\n"),
    ];
    let jobs = config::load(&files).unwrap();
    let excluded = |job: &Job| match &job.source {
        Source::Paths { exclude, .. } => exclude.clone(),
        Source::Command(_) => Vec::new(),
    };
    let found: Vec<_> = jobs
        .jobs
        .iter()
        .map(|job| (job.name.as_str(), excluded(job), job.nice))
        .collect();
    assert_eq!(
        found,
        [
            ("a", vec!["all".to_owned()], None),
            ("b", vec!["all".to_owned(), "b".to_owned()], Some(5)),
            ("c", vec!["all".to_owned()], None),
        ]
    );
    assert_eq!(jobs.files.len(), 3);
    let twice = [
        files[1].clone(),
        file("/e/jobs.d/d.toml", "[jobs.b]\npaths = \"/x\"\n"),
    ];
    let errors = config::load(&twice).unwrap_err().to_string();
    assert!(
        errors.contains("/e/jobs.d/d.toml:1:7: jobs.b: there is another job of this name"),
        "{errors}"
    );
}

#[test]
fn all_mistakes_are_named_at_once_with_their_places() {
    let found = errors(
        r#"[defaults]
usr = "x"
[jobs.a]
startAt = "daily"
paths = "relative"
repo = 5
compression = "zstd,99"
start_at = "Mon..Foo"
exclude = ["re:("]
nice = 20
[jobs."b c"]
paths = []
repo = "x::archive"
[jobs.c]
paths = "/c"
prune.keep = { dayly = 7 }
random_delay = "5"
notify = ["mial"]
encryption = { mode = "aes", passphrase = "p", credential = "c" }
environment = { BORG_REPO = "x", A = 5 }
[notify.mail]
type = "mail"
command = "x"
url = 5
"#,
    );
    let expected = [
        "jobs.toml:2:1: defaults.usr: unknown key; did you mean \"user\"?",
        "jobs.toml:4:1: jobs.a.startAt: unknown key; did you mean \"start_at\"?",
        "jobs.toml:5:9: jobs.a.paths: the path has to be absolute: \"relative\"",
        "jobs.toml:6:8: jobs.a.repo: expected a string, found an integer (it needs quotes)",
        "jobs.toml:7:15: jobs.a.compression: \"zstd,99\": level must be >= 1 and <= 22",
        "jobs.toml:8:12: jobs.a.start_at: \"Mon..Foo\", character 6: ",
        "jobs.toml:9:12: jobs.a.exclude[0]: \"re:(\": missing ), unterminated subpattern",
        "jobs.toml:10:8: jobs.a.nice: expected an integer from -20 to 19",
        "jobs.toml:11:7: jobs.b c: a name has letters, digits",
        "jobs.toml:12:9: jobs.b c.paths: there has to be a path at least",
        "jobs.toml:13:8: jobs.b c.repo: \"x::archive\": a repository is wanted, not an archive of it",
        "jobs.toml:14:7: jobs.c: `repo` is missing (or `repos`): where is it to be backed up to?",
        "jobs.toml:16:16: jobs.c.prune.keep.dayly: unknown key; did you mean \"daily\"?",
        "jobs.toml:17:16: jobs.c.random_delay: ",
        "jobs.toml:18:10: jobs.c.notify: there is no table [notify.mial]; did you mean \"mail\"?",
        "jobs.toml:19:23: jobs.c.encryption.mode: expected one of \"repokey-blake2\", ",
        "jobs.toml:20:17: jobs.c.environment.BORG_REPO: which repository is meant is said by `repo` or `repos`",
        "jobs.toml:20:38: jobs.c.environment.A: expected a string, found an integer (it needs quotes)",
        "jobs.toml:21:9: notify.mail: `from` is missing",
        "jobs.toml:21:9: notify.mail: `to` is missing",
        "jobs.toml:23:11: notify.mail.command: there is no such key for the type \"mail\"",
        "jobs.toml:24:7: notify.mail.url: expected a string with an address (https://…), found an integer",
    ];
    for expected in expected {
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{expected}\nis not among\n{}",
            found.join("\n")
        );
    }
    assert_eq!(found.len(), expected.len() + 1, "{}", found.join("\n"));
}

#[test]
fn contradictions_are_refused() {
    let check = |more: &str, message: &str| {
        let text = format!("[jobs.x]\n{more}\n");
        let found = errors(&text);
        assert!(
            found.iter().any(|line| line.contains(message)),
            "{text}{}",
            found.join("\n")
        );
    };
    let good = "paths = \"/a\"\nrepo = \"/r\"\n";
    let with = |more: &str| format!("{good}{more}");
    check(
        "repo = \"/r\"\npaths = \"/a\"\ndump_command = \"x\"",
        "exclude each other",
    );
    check(
        "repo = \"/r\"\nexclude = [\"a\"]\ndump_command = \"x\"",
        "nothing to exclude",
    );
    check(
        &with("repos = [\"/s\"]"),
        "`repo` and `repos` exclude each other",
    );
    check(
        "paths = \"/a\"\nrepos = [\"/s\", \"/s\"]",
        "this repository is there twice",
    );
    check(
        "paths = \"/a\"\nrepo = \"h:r\"\nremovable_device = true",
        "cannot be on a removable device",
    );
    check(
        &with("encryption = { passphrase_file = \"/a\", credential = \"b\" }"),
        "`passphrase_file` says already",
    );
    check(
        &with("encryption.credential = \"b\"\nenvironment.BORG_PASSPHRASE = \"x\""),
        "BORG_PASSPHRASE in `environment`",
    );
    check(
        &with("prune.keep = { daily = 0 }"),
        "no archive would be kept",
    );
    check(
        &with("archive_base_name = \"x-{uuid4}\""),
        "each command has another {uuid4}",
    );
    check(
        &with("date_format = \"\""),
        "all archives would have the same name",
    );
    check(
        &with("date_format = \"%d/%m\""),
        "cannot be part of an archive's name",
    );
    check(&with("archive_base_name = \"a/b\""), "must not have \"/\"");
    check("paths = \"/a\"\nrepo = \"relative\"", "has to be absolute");
    check(
        &with("read_write_paths = [\"~/x\"]"),
        "nobody's home directory",
    );
    check(&with("pre_hook = \"a\\u0000b\""), "NUL character");
}

#[test]
fn a_job_that_would_delete_archives_of_another_is_refused() {
    let two = |first: &str, second: &str| {
        format!(
            "[defaults]\npaths = \"/a\"\nrepo = \"/r\"\nprune.keep.daily = 7\n[jobs.home]\n{first}\n[jobs.home-2]\n{second}\n"
        )
    };
    assert_eq!(
        load(&two("", "")).jobs.len(),
        2,
        "dates are told from names"
    );
    let message = "this job would delete archives of the job \"home-2\"";
    let found = errors(&two("prune.prefix = \"{hostname}-home\"", ""));
    assert!(found[0].contains(message), "{found:?}");
    let found = errors(&two("prune.prefix = \"\"", ""));
    assert!(found[0].contains(message), "{found:?}");
    let same = "archive_base_name = \"{hostname}\"";
    assert_eq!(errors(&two(same, same)).len(), 2);
    assert_eq!(
        load(&two("prune.prefix = \"\"", "repo = \"/other\""))
            .jobs
            .len(),
        2
    );
}

#[test]
fn a_leading_tilde_is_the_home_directory_of_the_user() {
    let files = [file(
        "jobs.toml",
        "[jobs.x]\npaths = [\"~\", \"~/a\"]\nrepo = \"~/r\"\n",
    )];
    let jobs = config::load_for(&files, Some(Path::new("/home/me"))).unwrap();
    assert_eq!(jobs.jobs[0].targets[0].repository, "/home/me/r");
    let Source::Paths { paths, .. } = &jobs.jobs[0].source else {
        panic!("{:?}", jobs.jobs[0].source);
    };
    assert_eq!(paths, &["/home/me", "/home/me/a"].map(PathBuf::from));
    assert_eq!(config::load(&files).unwrap_err().0.len(), 3);
}

#[test]
fn what_toml_itself_does_not_allow_is_all_named() {
    let found = errors("[jobs.x]\npaths = \nrepo = \"a\n[jobs.x]\na = 1\na = 2\n");
    assert!(
        found.iter().any(|line| line.starts_with("jobs.toml:2:")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|line| line.starts_with("jobs.toml:3:")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|line| line.contains("duplicate key")),
        "{found:?}"
    );
}

#[test]
fn secrets_are_neither_repeated_nor_shown() {
    let text = "[jobs.x]\npaths = \"/a\"\nrepo = \"/r\"\nencryption.passphrase = \"hunter2\"\n";
    let jobs = load(text);
    assert_eq!(jobs.secrets.len(), 1);
    assert_eq!((jobs.secrets[0].line, jobs.secrets[0].column), (4, 25));
    assert!(!jobs.secrets[0].to_string().contains("hunter2"));
    let wrong = errors("[jobs.x]\nencryption.passphrase = [\"hunter2\"]\n").join("\n");
    assert!(!wrong.contains("hunter2"), "{wrong}");
}

#[test]
fn the_schema_that_is_shipped_is_that_of_the_program() {
    let shipped = include_str!("../../../docs/jobs.schema.json");
    let own = format!("{:#}\n", config::schema());
    if std::env::var_os("IRONBORG_UPDATE_EXPECTED").is_some_and(|value| !value.is_empty()) {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/jobs.schema.json"),
            &own,
        )
        .unwrap();
        return;
    }
    assert!(shipped == own, "IRONBORG_UPDATE_EXPECTED=1 writes it anew");
    // Every key is in the guide too.
    let guide = include_str!("../../../docs/jobs.md");
    let schema = config::schema();
    for (table, definition) in schema["$defs"].as_object().unwrap() {
        for (key, value) in definition["properties"].as_object().unwrap() {
            assert!(
                guide.contains(&format!("`{key}`")),
                "docs/jobs.md does not say what `{key}` of {table} is"
            );
            assert!(
                value["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{table}.{key}"
            );
        }
    }
}

proptest! {
    /// Pieces of configurations in any order, and any text: there are jobs or errors, and nothing else happens.
    #[test]
    fn nothing_makes_it_panic(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = pieces.concat();
        if let Err(errors) = config::load(&[file("jobs.toml", &text)]) {
            prop_assert!(!errors.0.is_empty(), "{text}");
            for error in errors.0 {
                prop_assert!(error.line >= 1 && error.line <= text.lines().count() + 1, "{text}\n{error}");
            }
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    let keys = prop::sample::select(vec![
        "paths",
        "repo",
        "repos",
        "exclude",
        "prune.keep",
        "prune",
        "encryption",
        "checks.drill",
        "notify",
        "start_at",
        "extra_args",
        "environment",
        "date_format",
        "archive_base_name",
        "io",
        "retry.attempts",
        "type",
        "url",
        "smtp",
    ]);
    let values = prop_oneof![
        any::<String>().prop_map(|text| format!("{text:?}")),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("\"/a\"".to_owned()),
        Just("[\"{path}/a\", 5, {}]".to_owned()),
        Just("{ daily = 1, url = \"/a\", every = \"1 day\" }".to_owned()),
        Just("true".to_owned()),
        Just("1979-05-27".to_owned()),
    ];
    prop_oneof![
        Just("[defaults]\n".to_owned()),
        Just("[jobs.a]\n".to_owned()),
        Just("[jobs.b.prune]\n".to_owned()),
        Just("[notify.n]\n".to_owned()),
        (keys, values).prop_map(|(key, value)| format!("{key} = {value}\n")),
        ".{0,20}",
    ]
}

#[test]
fn large_and_deep_texts_are_refused_quickly() {
    let deep = format!("a{} = 1\n", ".a".repeat(100_000));
    let nested = format!("a = {}\n", "[".repeat(100_000));
    let many: Vec<String> = (0..20_000)
        .map(|n| format!("[jobs.j{n}]\nx{n} = 1\n"))
        .collect();
    let many = many.concat();
    let large = "#".repeat(5 << 20);
    for text in [deep, nested, many, large] {
        let errors = config::load(&[file("jobs.toml", &text)]).unwrap_err();
        assert!(!errors.0.is_empty() && errors.0.len() <= 200);
        assert!(errors.to_string().len() < 1 << 18);
    }
}
