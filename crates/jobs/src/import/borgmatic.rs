//! borgmatic's keys, one by one, in the order of its schema. Older configurations have them in sections.

use super::job::{Draft, Repository};
use super::yaml::{self, Yaml};
use super::{ImportError, Imported, hooks, storage, tell};
use crate::config::{ENCRYPTION_MODES, is_keep_rule, is_name};

/// Sections of configurations before borgmatic 1.8.
const SECTIONS: &[&str] = &[
    "location",
    "storage",
    "retention",
    "consistency",
    "output",
    "hooks",
];
/// How borgmatic names archives unless told otherwise.
const ARCHIVE_NAME: &str = "{hostname}-{now:%Y-%m-%dT%H:%M:%S.%f}";
/// How often it checks unless told otherwise.
const CHECK_EVERY: &str = "1 month";

/// Translates a configuration of borgmatic into a job of that name.
///
/// # Errors
/// It is not YAML, or no configuration.
pub fn translate(text: &str, name: &str) -> Result<Imported, ImportError> {
    let Yaml::Map(entries) = yaml::parse(text)? else {
        return Err(ImportError::NoTable);
    };
    let mut settings: Vec<(String, Yaml)> = Vec::new();
    for (key, value) in entries {
        match value {
            Yaml::Map(inner) if SECTIONS.contains(&key.as_str()) => settings.extend(inner),
            Yaml::Null if SECTIONS.contains(&key.as_str()) => {}
            value => settings.push((key, value)),
        }
    }
    let mut draft = Draft::default();
    let constants = constants(&settings);
    let has = |key: &str| settings.iter().any(|(name, _)| name == key);
    let (names_archives, says_checks) = (has("archive_name_format"), has("checks"));
    let directory = settings
        .iter()
        .find(|(name, _)| name == "working_directory");
    let directory = directory.and_then(|(_, value)| value.text());
    for (key, value) in &settings {
        let value = with_constants(value, &constants);
        if let Yaml::Tagged(tagged) = &value {
            draft.leave(
                key,
                format!("\"{tagged}\" is not looked up: put what it stands for here"),
            );
        } else {
            note_variables(&mut draft, key, &value);
            translate_key(&mut draft, key, &value);
        }
    }
    if let Some(directory) = directory {
        make_absolute(&mut draft, &directory);
    }
    complete(&mut draft, names_archives, says_checks);
    Ok(draft.finish(name))
}

fn complete(draft: &mut Draft, names_archives: bool, says_checks: bool) {
    if !names_archives {
        draft
            .texts
            .push(("archive_base_name", ARCHIVE_NAME.to_owned()));
    }
    draft.texts.push(("date_format", String::new()));
    // Making a repository is a command of its own there.
    draft.plain.push(("do_init", "false".to_owned()));
    draft.texts.push(("start_at", "daily".to_owned()));
    draft.leave(
        "(schedule)",
        "borgmatic is started by cron or systemd; set `start_at` to when that was",
    );
    if !says_checks {
        draft.checks.insert("repository", CHECK_EVERY.to_owned());
    }
    if draft.paths.is_empty() {
        draft.leave(
            "source_directories",
            "there is none: `paths` has to be filled in",
        );
    }
    for path in draft.paths.clone() {
        if path.contains(['*', '?', '[']) {
            draft.leave(
                "source_directories",
                format!("\"{path}\" is a pattern that borgmatic replaces by what it matches; write out the directories"),
            );
        }
    }
}

fn constants(settings: &[(String, Yaml)]) -> Vec<(String, String)> {
    let table = settings.iter().find(|(name, _)| name == "constants");
    match table {
        Some((_, Yaml::Map(entries))) => entries
            .iter()
            .filter_map(|(name, value)| Some((format!("{{{name}}}"), value.text()?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Longest text after constants were put in.
const TEXT_LEN_MAX: usize = 64 * 1024;

fn with_constants(value: &Yaml, constants: &[(String, String)]) -> Yaml {
    match value {
        Yaml::Text(text) => {
            let mut text = text.clone();
            for (name, constant) in constants {
                if text.contains(name) && text.len().saturating_add(constant.len()) < TEXT_LEN_MAX {
                    text = text.replacen(name, constant, MAX_REPLACED);
                }
            }
            Yaml::Text(text)
        }
        Yaml::List(items) => Yaml::List(
            items
                .iter()
                .map(|item| with_constants(item, constants))
                .collect(),
        ),
        Yaml::Map(entries) => {
            let each = entries
                .iter()
                .map(|(name, value)| (name.clone(), with_constants(value, constants)));
            Yaml::Map(each.collect())
        }
        other => other.clone(),
    }
}

/// How often a constant is put into one text.
const MAX_REPLACED: usize = 16;

/// `${NAME}` is replaced by borgmatic itself.
fn note_variables(draft: &mut Draft, key: &str, value: &Yaml) {
    let found = match value {
        Yaml::Text(text) => text.contains("${"),
        Yaml::List(items) => items
            .iter()
            .any(|item| item.text().is_some_and(|text| text.contains("${"))),
        _ => false,
    };
    let is_script = key.starts_with("before_") || key.starts_with("after_") || key == "on_error";
    if found && !is_script {
        draft.leave(
            key,
            "variables (${NAME}) are not replaced in configurations: write the value",
        );
    }
}

fn make_absolute(draft: &mut Draft, directory: &str) {
    let mut changed = false;
    for path in &mut draft.paths {
        if !path.starts_with(['/', '~']) {
            *path = format!("{}/{path}", directory.trim_end_matches('/'));
            changed = true;
        }
    }
    let reason = if changed {
        "paths were made absolute, and will be stored so"
    } else {
        "commands are run elsewhere: paths in options have to be absolute"
    };
    draft.leave("working_directory", reason);
}

fn translate_key(draft: &mut Draft, key: &str, value: &Yaml) {
    if matches!(value, Yaml::Null) && !matches!(key, "zfs" | "btrfs" | "lvm" | "prefix") {
        return;
    }
    let known = match key {
        "constants" | "working_directory" => true,
        "source_directories" => add_texts(&mut draft.paths, value),
        "repositories" => repositories(draft, value),
        "exclude_patterns" => add_texts(&mut draft.exclude, value),
        "patterns" => patterns(draft, value),
        "archive_name_format" => archive_name(draft, value),
        "match_archives" | "prefix" => which_archives(draft, key, value),
        "checks" => checks(draft, value),
        "check_last" => number(value, |n| {
            draft.add_words("extra_check_args", &["--last", n]);
        }),
        "check_repositories" => {
            draft.leave(
                key,
                "the repositories of a job are all checked; make another job of those that are not",
            );
            true
        }
        "skip_actions" => skip_actions(draft, value),
        _ if key.strip_prefix("keep_").is_some_and(is_keep_rule) => keep(draft, key, value),
        _ => storage::translate(draft, key, value)
            .or_else(|| hooks::translate(draft, key, value))
            .or_else(|| tell::translate(draft, key, value))
            .unwrap_or_else(|| {
                draft.leave(key, "borgmatic has no such key, as far as is known here");
                true
            }),
    };
    if !known {
        draft.leave(key, "the value is not of the kind that is expected");
    }
}

/// Whether it was a number, which `add` got.
pub(super) fn number(value: &Yaml, add: impl FnOnce(&str)) -> bool {
    let Yaml::Int(number) = value else {
        return false;
    };
    add(&number.to_string());
    true
}

fn add_texts(to: &mut Vec<String>, value: &Yaml) -> bool {
    let Some(texts) = value.texts() else {
        return false;
    };
    to.extend(texts);
    true
}

fn repositories(draft: &mut Draft, value: &Yaml) -> bool {
    let Yaml::List(items) = value else {
        return false;
    };
    for item in items {
        let mut repository = Repository::default();
        match item {
            Yaml::Map(entries) => {
                for (key, value) in entries {
                    repository_key(draft, &mut repository, key, value);
                }
            }
            other => match other.text() {
                Some(url) => repository.url = url,
                None => return false,
            },
        }
        if !repository.url.is_empty() {
            draft.repositories.push(repository);
        }
    }
    true
}

fn repository_key(draft: &mut Draft, repository: &mut Repository, key: &str, value: &Yaml) {
    let name = format!("repositories[].{key}");
    match (key, value) {
        ("path", value) => repository.url = value.text().unwrap_or_default(),
        ("label", value) => {
            let label = value.text().unwrap_or_default();
            if is_name(&label) {
                repository.label = Some(label);
            } else {
                draft.leave(
                    name,
                    format!(
                        "\"{label}\" cannot be a label: {}",
                        crate::config::NAME_RULE
                    ),
                );
            }
        }
        ("encryption", value) => {
            let mode = value.text().unwrap_or_default();
            if ENCRYPTION_MODES.contains(&mode.as_str()) {
                repository.mode = Some(mode);
            } else {
                draft.leave(name, format!("there is no mode \"{mode}\" in Borg 1.4"));
            }
        }
        ("append_only", Yaml::Bool(true)) => draft.add_words("extra_init_args", &["--append-only"]),
        ("make_parent_directories", Yaml::Bool(true)) => {
            draft.add_words("extra_init_args", &["--make-parent-dirs"]);
        }
        ("append_only" | "make_parent_directories", _) => {}
        ("storage_quota", value) => {
            let quota = value.text().unwrap_or_default();
            draft.add_words("extra_init_args", &["--storage-quota", &quota]);
        }
        ("id_hash" | "key_location", _) => draft.leave(name, "that is for Borg 2"),
        _ => draft.leave(name, "borgmatic has no such key, as far as is known here"),
    }
}

/// Roots among the patterns are paths.
fn patterns(draft: &mut Draft, value: &Yaml) -> bool {
    let Some(lines) = value.texts() else {
        return false;
    };
    for line in lines {
        match line.strip_prefix("R ") {
            Some(root) => draft.paths.push(root.trim().to_owned()),
            None => draft.patterns.push(line),
        }
    }
    true
}

fn archive_name(draft: &mut Draft, value: &Yaml) -> bool {
    let Some(name) = value.text() else {
        return false;
    };
    draft.texts.push(("archive_base_name", name));
    true
}

fn which_archives(draft: &mut Draft, key: &str, value: &Yaml) -> bool {
    let pattern = value.text().unwrap_or_default();
    let glob = match key {
        "prefix" => format!("{pattern}*"),
        _ => pattern.strip_prefix("sh:").unwrap_or(&pattern).to_owned(),
    };
    match glob.strip_suffix('*') {
        Some(prefix) if !prefix.contains(['*', '?', '[']) => draft.prefix = Some(prefix.to_owned()),
        _ => draft.leave(
            key,
            "archives are told by the beginning of their names only: see `prune.prefix`",
        ),
    }
    true
}

fn keep(draft: &mut Draft, key: &str, value: &Yaml) -> bool {
    let rule = key.trim_start_matches("keep_").to_owned();
    let Some(kept) = value.text() else {
        return false;
    };
    draft.keep.push((rule, kept));
    true
}

fn checks(draft: &mut Draft, value: &Yaml) -> bool {
    let Yaml::List(items) = value else {
        return false;
    };
    for item in items {
        let name = item.get("name").unwrap_or(item).text().unwrap_or_default();
        let every = item.get("frequency").and_then(Yaml::text);
        let every = match every.as_deref() {
            None | Some("always") => "0".to_owned(),
            Some(every) => every.to_owned(),
        };
        let ours = match name.as_str() {
            "disabled" => continue,
            "repository" | "archives" => "repository",
            "data" => "data",
            "extract" => "drill",
            "spot" => {
                draft.leave("checks: spot", "a restore drill takes its place: it restores and compares as much as its time allows");
                "drill"
            }
            other => {
                draft.leave(
                    format!("checks: {other}"),
                    "borgmatic has no such check, as far as is known here",
                );
                continue;
            }
        };
        shorter(draft, ours, every);
        if let Yaml::Map(entries) = item {
            for (key, _) in entries
                .iter()
                .filter(|(key, _)| key != "name" && key != "frequency")
            {
                draft.leave(
                    format!("checks: {name}: {key}"),
                    "there is no such condition for a check",
                );
            }
        }
    }
    true
}

/// Repository and archives are one check here: the more frequent of both counts.
fn shorter(draft: &mut Draft, check: &'static str, every: String) {
    let length = |text: &str| crate::schedule::parse_duration(text).ok();
    let Some(new) = length(&every) else {
        draft.leave(
            format!("checks: {check}: frequency"),
            format!("\"{every}\" is not a length of time"),
        );
        return;
    };
    let old = draft.checks.get(check).and_then(|text| length(text));
    if old.is_none_or(|old| new < old) {
        draft.checks.insert(check, every);
    }
}

fn skip_actions(draft: &mut Draft, value: &Yaml) -> bool {
    let Some(actions) = value.texts() else {
        return false;
    };
    for action in actions {
        match action.as_str() {
            "prune" => draft.skips_prune = true,
            "check" => draft.skips_check = true,
            "compact" => draft.plain.push(("compact", "false".to_owned())),
            "create" => draft.leave(
                "skip_actions: create",
                "a job without a backup is none: run the other commands by hand",
            ),
            _ => {}
        }
    }
    true
}
