//! Options of Borg: words and variables.

use super::borgmatic::number;
use super::job::Draft;
use super::yaml::Yaml;
use crate::config::written::text;

const CREATE: &str = "extra_create_args";

/// Whether the value was of use; nothing if it is another key.
pub(super) fn translate(draft: &mut Draft, key: &str, value: &Yaml) -> Option<bool> {
    if let Some(option) = switch(key) {
        let Yaml::Bool(on) = value else {
            return Some(false);
        };
        if *on == option.when {
            draft.add_words(CREATE, &[option.word]);
        }
        return Some(true);
    }
    if let Some(option) = create_option(key) {
        return Some(value.texts().is_some_and(|texts| {
            for text in texts {
                draft.add_words(CREATE, &[option, &text]);
            }
            true
        }));
    }
    if let Some(variable) = variable(key) {
        let value = match value {
            Yaml::Bool(true) => Some("yes".to_owned()),
            Yaml::Bool(false) => Some("no".to_owned()),
            other => other.text(),
        };
        let known = value.map(|value| draft.environment.insert(variable.to_owned(), value));
        return Some(known.is_some());
    }
    Some(match key {
        "encryption_passcommand" => passphrase(draft, "pass_command", value),
        "encryption_passphrase" => passphrase(draft, "passphrase", value),
        "compression" => value.text().is_some_and(|it| {
            draft.texts.push(("compression", it));
            true
        }),
        "retries" => {
            let Yaml::Int(count) = value else {
                return Some(false);
            };
            draft.plain.push((
                "retry.attempts",
                count.saturating_add(1).clamp(1, 1000).to_string(),
            ));
            true
        }
        "retry_wait" => number(value, |seconds| {
            draft
                .plain
                .push(("retry.first", text(&format!("{seconds}s"))));
        }),
        "umask" => value.text().is_some_and(|umask| {
            draft.add_words("extra_args", &["--umask", &umask]);
            true
        }),
        "lock_wait" => number(value, |wait| {
            draft.add_words("extra_args", &["--lock-wait", wait]);
        }),
        "compact_threshold" => number(value, |percent| {
            draft.add_words("extra_compact_args", &["--threshold", percent]);
        }),
        "verbosity" => number(value, |level| match level {
            "1" => draft.add_words("extra_args", &["--info"]),
            "2" => draft.add_words("extra_args", &["--debug"]),
            _ => {}
        }),
        "statistics" => {
            let shown =
                !matches!(value, Yaml::Bool(false)) && value.text().as_deref() != Some("none");
            if shown {
                draft.add_words(CREATE, &["--stats"]);
            }
            true
        }
        "extra_borg_options" => extra_options(draft, value),
        _ => {
            let reason = reason(key)?;
            draft.leave(key, reason);
            true
        }
    })
}

/// A switch of `create`, and the value at which it is given.
struct Switch {
    word: &'static str,
    when: bool,
}

fn switch(key: &str) -> Option<Switch> {
    let on = |word| Some(Switch { word, when: true });
    let off = |word| Some(Switch { word, when: false });
    match key {
        "one_file_system" => on("--one-file-system"),
        "numeric_ids" | "numeric_owner" => on("--numeric-ids"),
        "atime" => on("--atime"),
        "ctime" => off("--noctime"),
        "birthtime" => off("--nobirthtime"),
        "read_special" => on("--read-special"),
        "flags" | "bsd_flags" => off("--noflags"),
        "exclude_caches" => on("--exclude-caches"),
        "keep_exclude_tags" => on("--keep-exclude-tags"),
        "exclude_nodump" => on("--exclude-nodump"),
        "list_details" => on("--list"),
        _ => None,
    }
}

fn create_option(key: &str) -> Option<&'static str> {
    Some(match key {
        "patterns_from" => "--patterns-from",
        "exclude_from" => "--exclude-from",
        "exclude_if_present" => "--exclude-if-present",
        "files_cache" => "--files-cache",
        "files_changed" => "--files-changed",
        "checkpoint_interval" => "--checkpoint-interval",
        "chunker_params" => "--chunker-params",
        "upload_rate_limit" | "remote_rate_limit" => "--upload-ratelimit",
        "upload_buffer_size" => "--upload-buffer",
        _ => return None,
    })
}

fn variable(key: &str) -> Option<&'static str> {
    Some(match key {
        "remote_path" => "BORG_REMOTE_PATH",
        "temporary_directory" => "TMPDIR",
        "ssh_command" => "BORG_RSH",
        "borg_base_directory" => "BORG_BASE_DIR",
        "borg_config_directory" => "BORG_CONFIG_DIR",
        "borg_cache_directory" => "BORG_CACHE_DIR",
        "borg_security_directory" => "BORG_SECURITY_DIR",
        "borg_keys_directory" => "BORG_KEYS_DIR",
        "borg_key_file" => "BORG_KEY_FILE",
        "borg_files_cache_ttl" => "BORG_FILES_CACHE_TTL",
        "use_chunks_archive" => "BORG_USE_CHUNKS_ARCHIVE",
        "archive_hostname" => "BORG_HOSTNAME",
        "archive_username" => "BORG_USERNAME",
        "relocated_repo_access_is_ok" => "BORG_RELOCATED_REPO_ACCESS_IS_OK",
        "unknown_unencrypted_repo_access_is_ok" => "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK",
        "debug_passphrase" => "BORG_DEBUG_PASSPHRASE",
        "display_passphrase" => "BORG_DISPLAY_PASSPHRASE",
        "check_i_know_what_i_am_doing" => "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING",
        "msgpack_version_check" => "BORG_MSGPACK_VERSION_CHECK",
        _ => return None,
    })
}

/// Why a key is left out.
fn reason(key: &str) -> Option<&'static str> {
    Some(match key {
        "source_directories_must_exist" => {
            "a path that is not there is a warning; see `fail_on_warnings`"
        }
        "unsafe_skip_path_validation_before_create"
        | "borgmatic_source_directory"
        | "user_runtime_directory"
        | "user_state_directory"
        | "color"
        | "bootstrap" => "it is about borgmatic itself",
        "local_path" => "it is this program that runs",
        "checkpoint_volume" => "that is for Borg 2",
        "recompress" => "archives are not compressed anew by a job; `recreate` does that",
        "borg_exit_codes" => {
            "whether warnings count as failure is all that can be said: `fail_on_warnings`"
        }
        "file_list_format"
        | "archive_list_format"
        | "quick_statistics"
        | "progress"
        | "log_json" => "it only changes what is shown",
        "syslog_verbosity"
        | "log_file_verbosity"
        | "log_file"
        | "log_file_format"
        | "monitoring_verbosity" => {
            "the log goes to standard error: to the journal, if systemd runs the job"
        }
        "default_actions" => "a job always runs create, prune, compact and the checks that are due",
        _ => return None,
    })
}

/// A passphrase may be a reference to where it is kept.
fn passphrase(draft: &mut Draft, key: &'static str, value: &Yaml) -> bool {
    let Some(given) = value.text() else {
        return false;
    };
    let reference = given
        .strip_prefix("{credential ")
        .and_then(|rest| rest.strip_suffix('}'));
    let Some(reference) = reference else {
        draft.encryption.push((key, given));
        return true;
    };
    match reference.split_once(' ') {
        Some(("systemd", name)) => draft.encryption.push(("credential", name.trim().to_owned())),
        Some(("file", path)) => draft.encryption.push(("passphrase_file", path.trim().to_owned())),
        Some(("container", name)) => {
            let path = format!("/run/secrets/{}", name.trim());
            draft.encryption.push(("passphrase_file", path));
        }
        _ => draft.leave(
            "encryption_passphrase",
            format!("\"{given}\" is not known; use `encryption.pass_command` with a command that prints it"),
        ),
    }
    true
}

/// Options for each command, as one text.
fn extra_options(draft: &mut Draft, value: &Yaml) -> bool {
    let Yaml::Map(entries) = value else {
        return false;
    };
    for (command, options) in entries {
        let key = match command.as_str() {
            "init" | "repo_create" => "extra_init_args",
            "create" => CREATE,
            "prune" => "extra_prune_args",
            "compact" => "extra_compact_args",
            "check" => "extra_check_args",
            _ => {
                let name = format!("extra_borg_options.{command}");
                draft.leave(name, "a job does not run this command");
                continue;
            }
        };
        let words = options.text().unwrap_or_default();
        match crate::config::split_words(&words) {
            Ok(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                draft.add_words(key, &words);
            }
            Err(message) => draft.leave(format!("extra_borg_options.{command}"), message),
        }
    }
    true
}
